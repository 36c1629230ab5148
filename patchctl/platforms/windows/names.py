"""What Windows software is called here: programs by their display name, updates by their KB number. Pure.

The same rule for programs stands in PowerShell in packages.py (fingerprint): what a plan starts from is read twice.
"""

from __future__ import annotations

import re

from patchctl.model.text import one_line

CARRIER = "windows-update"
"""Who fetches and verifies what has no file of ours: the Windows Update Agent."""
_ARCH = re.compile(r"\s*\(?\b(?:x64|x86|amd64|arm64|64-bit|32-bit)\b(?: edition)?\)?", re.IGNORECASE)
IDENTITY = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def program_name(display: str, version: str) -> str:
    """Return a program's name without its version and architecture: `7-Zip 23.01 (x64)` is `7-Zip`.

    White space and colons become one `-`, as names are words here; a name that would be empty stays whole.
    """
    name = display.replace(version, "") if version else display
    name = re.sub(r"[\s:]+", "-", _ARCH.sub("", name).strip()).strip("-")
    return one_line(name or re.sub(r"[\s:]+", "-", display.strip()), 200)


def update_name(kbs: list[str], identity: str, shared: bool) -> str:
    """Return an update's name: its KB number, with the first part of its id where several on the host share that.

    Updates without a KB number (drivers) are called by their id.
    """
    kb = next((f"KB{kb}" for kb in kbs if kb.isdigit()), "")
    return (f"{kb}~{identity[:8]}" if shared else kb) if kb else identity
