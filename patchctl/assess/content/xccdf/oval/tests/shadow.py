"""shadow (OVAL unix schema): /etc/shadow, whose hashes never leave the host."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted

_NUMBERS = ("chg_lst", "chg_allow", "chg_req", "exp_warn", "exp_inact", "exp_date")
_METHODS = {"1": "MD5", "2": "Blowfish", "2a": "Blowfish", "5": "SHA-256", "6": "SHA-512", "md5": "Sun MD5"}


class _Shadow:
    name = "shadow"

    def limits(self, found: Object) -> list[str]:
        return []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each account; numbers that are not there are -1, as getspent(3) gives them."""
        name = wanted.entity("username")
        if name is None:
            raise ObjectError("shadow names no account")
        found: list[OvalItem] = []
        for fields in facts.one("shadow", "all"):
            if len(fields) != 9 or not name.matches(fields[0]):
                continue
            entities = {"username": (fields[0],), "password": (fields[1],), "flag": (fields[8] or str(2**64 - 1),)}
            entities.update({n: (v or "-1",) for n, v in zip(_NUMBERS, fields[2:8], strict=True)})
            method = _method(fields[1])
            if method:
                entities["encrypt_method"] = (method,)
            found.append(OvalItem(entities))
        return collected(found)


def _method(password: str) -> str:
    """Return OVAL's name of the hash method ("" for one it has no name for). Like oscap, all else is DES."""
    if password.startswith("_"):
        return "BSDi"
    if not password.startswith("$"):
        return "DES"
    return _METHODS.get(password.split("$")[1].partition(",")[0], "")


TYPE = _Shadow()
