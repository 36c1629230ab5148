"""process58 (OVAL unix schema): running processes by command line or process id."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import Wanted


class _Process58:
    name = "process58"
    not_told = ("exec_time", "priority", "scheduling_class", "start_time", "tty", "exec_shield", "loginuid",
                "posix_capability", "selinux_domain_label", "session_id")

    def limits(self, found: Object) -> list[str]:
        return []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each process that is meant."""
        command, pid = wanted.entity("command_line"), wanted.entity("pid")
        found: list[OvalItem] = []
        for number, parent, real, effective, line in facts.one("processes", "all"):
            if (command is None or command.matches(line)) and (pid is None or pid.matches(number)):
                found.append(OvalItem({"command_line": (line,), "pid": (number,), "ppid": (parent,), "ruid": (real,),
                                       "user_id": (effective,)}))
        return collected(found)


TYPE = _Process58()
