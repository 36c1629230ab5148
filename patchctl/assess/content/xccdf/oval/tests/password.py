"""password (OVAL unix schema): accounts, as getpwent(3) lists them."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted

_FIELDS = ("username", "password", "user_id", "group_id", "gcos", "home_dir", "login_shell")


class _Password:
    name = "password"
    not_told = ("last_login",)

    def limits(self, found: Object) -> list[str]:
        return []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each account whose name is meant."""
        name = wanted.entity("username")
        if name is None:
            raise ObjectError("password names no account")
        found: list[OvalItem] = []
        for line in facts.one("host", "accounts"):
            values = line.split(":")
            if len(values) == len(_FIELDS) and name.matches(values[0]):
                # getent leaves the numbers of NIS entries (+, -) out; getpwent(3) has them as 0.
                values[2:4] = [v or "0" for v in values[2:4]]
                found.append(OvalItem({f: (v,) for f, v in zip(_FIELDS, values, strict=True)}))
        return collected(found)


TYPE = _Password()
