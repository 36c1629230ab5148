"""file (OVAL unix schema): metadata of files, as lstat(2) gives it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from patchctl.assess.content.xccdf.oval import paths
from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import COMPLETE, DOES_NOT_EXIST, INCOMPLETE, Collected, Object, OvalItem
from patchctl.assess.content.xccdf.oval.sources.metadata import Stat
from patchctl.assess.content.xccdf.oval.wanted import Wanted

_BITS = {
    "suid": 0o4000, "sgid": 0o2000, "sticky": 0o1000, "uread": 0o400, "uwrite": 0o200, "uexec": 0o100,
    "gread": 0o040, "gwrite": 0o020, "gexec": 0o010, "oread": 0o004, "owrite": 0o002, "oexec": 0o001,
}
_TRUTH = (("false",), ("true",))


class _File:
    name = "file"
    not_told = ("has_extended_acl", "a_time")

    def limits(self, found: Object) -> list[str]:
        return paths.limits(found)

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each file, or folder where the filename is nil."""
        named, complete = paths.stats(wanted, facts)
        items = tuple(item(n) for n in named)
        if not complete:
            return Collected(INCOMPLETE, items, "some folders could not be searched")
        return Collected(COMPLETE, items) if items else Collected(DOES_NOT_EXIST)


@lru_cache(maxsize=4096)
def _bits(mode: int) -> Mapping[str, tuple[str, ...]]:
    """Return the entities of a mode: there are few modes and many files."""
    return {name: _TRUTH[bool(mode & bit)] for name, bit in _BITS.items()}


@lru_cache(maxsize=8192)  # rules on owner, group and mode look at the same files
def item(named: paths.Named) -> OvalItem:
    """Return the item of one file or folder."""
    stat: Stat = named.found
    entities = {
        "path": (named.folder,), "filename": (named.name,), "type": (stat.kind,), "group_id": (str(stat.gid),),
        "user_id": (str(stat.uid),), "size": (str(stat.size),), "m_time": (str(stat.m_time),),
        "c_time": (str(stat.c_time),), **_bits(stat.mode),
    }
    if named.filepath:
        entities["filepath"] = (named.filepath,)
    return OvalItem(entities)


TYPE = _File()
