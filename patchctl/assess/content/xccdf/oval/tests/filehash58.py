"""filehash58 (OVAL independent schema): checksums of files."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts, NotCollectedError, Unreadable
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.sources.hashes import PROGRAMS
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted


class _Filehash58:
    name = "filehash58"

    def limits(self, found: Object) -> list[str]:
        named: list[str] = []
        for name in ("filepath", "hash_type"):
            entity = found.entities.get(name)
            if entity is None or entity.operation != "equals":
                named.append(f"OVAL filehash58 without a literal {name}")
        kind = found.entities.get("hash_type")
        if kind is not None and kind.value is not None and kind.value not in PROGRAMS:
            named.append(f"OVAL filehash58 of type {kind.value}")
        return named

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each file and kind of checksum."""
        path, kind = wanted.entity("filepath"), wanted.entity("hash_type")
        if path is None or kind is None or path.literals is None or kind.literals is None:
            raise ObjectError("filehash58 names no file or type")
        found: list[OvalItem] = []
        asks = [("hashes", k, p) for p in path.literals for k in kind.literals]
        for (_, k, p), digest in zip(asks, facts.get(*asks), strict=True):
            if isinstance(digest, Unreadable):
                raise NotCollectedError(f"{p}: {digest.reason}")
            if digest is not None:
                folder, _, name = p.rpartition("/")
                found.append(OvalItem({"filepath": (p,), "path": (folder or "/",), "filename": (name,),
                                       "hash_type": (k,), "hash": (digest,)}))
        return collected(found)


TYPE = _Filehash58()
