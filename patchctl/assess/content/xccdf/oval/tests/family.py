"""family (OVAL independent schema): the kind of operating system."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import Wanted


class _Family:
    name = "family"

    def limits(self, found: Object) -> list[str]:
        return []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item."""
        kernel = facts.one("host", "uname")[2]
        return collected([OvalItem({"family": ("macos" if kernel == "Darwin" else "unix",)})])


TYPE = _Family()
