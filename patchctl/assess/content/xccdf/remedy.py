"""Takes the shell fix of a rule, with the profile's values put in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from patchctl.assess.content.xccdf import xml
from patchctl.model.assessment import Remediation

SHELL = "urn:xccdf:fix:script:sh"
"""Written for bash, whatever the name says, and for a run that goes on after an error: so oscap runs it too."""


def remediation(rule: Any, value_of: Callable[[str], tuple[str, ...] | None]) -> Remediation | None:
    """Return the rule's fix for the shell, or None when it has none or one whose values are not known."""
    for fix in xml.children(rule, "fix"):
        if fix.get("system") != SHELL:
            continue
        script = _script(fix, value_of)
        if script is None:
            return None
        disruption = fix.get("disruption", "")
        return Remediation("bash", script, disruption="" if disruption in ("", "low") else f"disruption {disruption}",
                           reboot=xml.is_true(fix.get("reboot")))
    return None


def _script(fix: Any, value_of: Callable[[str], tuple[str, ...] | None]) -> str | None:
    parts = [fix.text or ""]
    for part in fix:
        if xml.name(part) != "sub":  # <instance> stands for a thing of the host that nobody named
            return None
        value = value_of(part.get("idref", ""))
        if value is None:
            return None
        parts += [value[0] if value else "", part.tail or ""]
    return "".join(parts)
