"""The model's repairs by PowerShell: what assess/asking/windows_repair.py says, on what checks are told of the host."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

from patchctl.assess.asking import windows_repair as texts
from patchctl.assess.checks.windows_defender import _SWITCHES
from tests.windows.words import LITERAL

if TYPE_CHECKING:
    from tests.windows.model import WindowsHost

_SECTION = re.compile(rf"#([0-9a-f]+)-\d+#\n\$ErrorActionPreference = 'Stop'\n"
                      rf"\$what, \$value = {LITERAL}, {LITERAL}(.*?)\n#\1-end#", re.DOTALL)
_STARTS = {"auto": "Auto", "demand": "Manual", "disabled": "Disabled"}


def carry_out_repairs(host: WindowsHost, spool: Path) -> None:
    """Do what the PowerShell sections of a payload do that Wine's cmd has run: its powershell did nothing."""
    payload = (spool / "payload.cmd").read_bytes().decode().replace("\r\n", "\n")
    for found in _SECTION.finditer(payload):
        what, value, text = found[2].replace("''", "'"), found[3].replace("''", "'"), found[4] + "\n"
        host.repaired.append(what)
        if text == texts.AUDIT:
            rows = [row for row in _lines(host, "windows-audit", "all") if what.lower() not in row.lower()]
            _put(host, "windows-audit", "all", [*rows, f"PC,System,x,{{{what}}},x,,{value}"])
        elif text == texts.FIREWALL:
            profile, name = what.split(" ")
            _set(host, "windows-firewall", profile, name, value)
        elif text == texts.ACCOUNT:
            rid, name = what.split(" ")
            _set(host, "windows-account", rid, name, value)
        elif text == texts.GROUP:
            sid, how = what.split(" ")
            _regroup(host, sid, how, value)
        elif text == texts.DEFENDER:
            off = next((status for status, switch in _SWITCHES.items() if switch == what), "")
            if off:
                _set(host, "windows-defender", "Status", off, "False" if value == "True" else "True")
            else:
                _set(host, "windows-defender", "Preference", what, value)
        elif text == texts.FEATURE:
            host.at_boot.append(functools.partial(_set, host, "windows-feature", what, "InstallState", "2"))
        elif text == texts.SHARE_REMOVAL:
            host.checks["windows-share"][what] = ""
        elif text == texts.SERVICE:
            _set(host, "windows-service", what, "StartMode", _STARTS[value])
        else:
            section = "Privilege Rights" if what.startswith("Se") else "System Access"
            assert text == texts.POLICY.replace("@SECTION@", section), "this repair is none that the model knows"
            _set(host, "windows-policy", "all", what, value)


def _regroup(host: WindowsHost, sid: str, how: str, value: str) -> None:
    named = value.split(",") if value else []
    (line,) = [line for line in _lines(host, "windows-group", sid) if line.startswith("Members=")]
    members = [one for one in line.removeprefix("Members=").split(",") if one and one not in named]
    _put(host, "windows-group", sid, ["Members=" + ",".join(members if how == "without" else named)])


def _lines(host: WindowsHost, batch: str, question: str) -> list[str]:
    return host.checks.setdefault(batch, {}).get(question, "").splitlines()


def _put(host: WindowsHost, batch: str, question: str, lines: list[str]) -> None:
    host.checks[batch][question] = "\n".join(lines)


def _set(host: WindowsHost, batch: str, question: str, name: str, value: str) -> None:
    """Set one `name=value` line, the others stay; a value of nothing is no line."""
    kept = [line for line in _lines(host, batch, question) if line.partition("=")[0] != name]
    _put(host, batch, question, [*kept, *([f"{name}={value}"] if value else [])])
