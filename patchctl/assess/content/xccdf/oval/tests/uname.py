"""uname (OVAL unix schema): what the kernel says of itself."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts, NotCollectedError
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import Wanted


class _Uname:
    name = "uname"

    def limits(self, found: Object) -> list[str]:
        return []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item."""
        lines = facts.one("host", "uname")
        if len(lines) != 5:
            raise NotCollectedError("uname told too little")
        machine, node, system, release, version = lines
        return collected([OvalItem({
            "machine_class": (machine,), "node_name": (node,), "os_name": (system,), "os_release": (release,),
            "os_version": (version,), "processor_type": (machine,),
        })])


TYPE = _Uname()
