"""Failures of Windows hosts: what the payload printed of exit codes and HRESULTs, made from the table of codes.py.

The payload prints `patchctl: exit-code FILE NUMBER` for every installer it ran and `patchctl: hresult WHAT 0xNNNNNNNN`
for everything the update agent said.
"""

from __future__ import annotations

import re

from patchctl.model.rollout import Signature
from patchctl.platforms.windows.codes import INSTALLER, UPDATE_AGENT, Code, spellings


def _exit_code(code: Code) -> Signature:
    words = "|".join(re.escape(word) for word in spellings(code.number))
    return Signature(
        code.name, code.cls, rf"^patchctl: exit-code (?P<file>\S+) (?:{words})$", f"{{file}}: {code.meaning}",
        code.transient, code.remedy,
    )


def _hresult(code: Code) -> Signature:
    return Signature(
        code.name, code.cls, rf"(?i)(?:^patchctl: hresult (?P<what>\S+) |\b)0x{code.number:08X}\b",
        f"{code.meaning} (0x{code.number:08X})", code.transient, code.remedy,
    )


_PASSES = "|".join(str(code.number) for code in INSTALLER if code.ok)

SIGNATURES: tuple[Signature, ...] = (
    # Never matches a line: it gives interrupted attempts (rollout/diagnose.py) no remedy of dpkg's.
    Signature("attempt-interrupted", "package-manager", r"(?!)", "the install was interrupted", transient=True),
    Signature("reboot-pending", "reboot", r"^patchctl: reboot-first", "an earlier installation waits for a reboot"),
    Signature("asks-questions", "patch", r"^patchctl: asks-questions (?P<what>\S+)",
              "{what} asks questions while it installs"),
    Signature("update-withdrawn", "repository", r"^patchctl: not-offered (?P<what>\S+)",
              "{what} is not offered to this host any more in the planned revision"),
    Signature("update-permanent", "patch", r"^patchctl: permanent (?P<what>\S+)",
              "{what} is permanent: Windows does not uninstall it"),
    Signature("update-superseded", "patch", r"^patchctl: superseded (?P<what>\S+)",
              "{what} is superseded by a later update: Windows does not uninstall it alone"),
    Signature("servicing-unreadable", "package-manager", r"^patchctl: servicing-unreadable (?P<what>\S+)",
              "what component servicing has of {what} cannot be read"),
    Signature("agent-task-late", "package-manager", r"^patchctl: task-timeout (?P<what>.*)",
              "the SYSTEM task gave no result in time: {what}", transient=True, remedy="wait"),
    *(_exit_code(code) for code in (*INSTALLER, *UPDATE_AGENT) if not code.ok),
    *(_hresult(code) for code in UPDATE_AGENT),
    Signature("installer-failed", "patch", rf"^patchctl: exit-code (?P<file>\S+) (?P<rc>(?!(?:{_PASSES})$)-?\d+)$",
              "{file} ended with {rc}", remedy=""),
    Signature("update-failed", "patch", r"^patchctl: hresult (?P<what>\S+) (?P<rc>0x(?!00000000)[0-9A-Fa-f]{8})",
              "{what} failed with {rc}"),
)  # fmt: skip
