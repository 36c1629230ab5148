"""Why a host failed: a class, a signature and the line that shows it.

A platform declares signatures (model/rollout.py Signature); they are tried in order over the runner's output, newest
line last, and over the error's code. What no signature explains becomes `unknown` with the last line of output as its
evidence: never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from patchctl.model.errors import HostFailure
from patchctl.model.rollout import Diagnosis, Signature
from patchctl.model.text import one_line

INTERRUPTED_SIGNATURE = "attempt-interrupted"
CLASSES = ("access", "package-manager", "repository", "disk", "policy", "patch", "fix", "reboot", "unknown")

_ACCESS_STATUSES = frozenset({"unreachable", "auth-failed", "privilege-failed", "host-key", "timeout"})
_CODE_CLASSES: tuple[tuple[str, str, bool, str], ...] = (
    # word in the error code, class, transient, remedy
    ("disk", "disk", False, ""),
    ("space", "disk", False, ""),
    ("staging", "disk", True, "refetch"),
    ("broken", "package-manager", False, ""),
    ("lock", "package-manager", True, "wait"),
    ("busy", "package-manager", True, "wait"),
    ("artefact", "repository", True, "refetch"),
    ("repository", "repository", True, "wait"),
    ("veto", "policy", False, ""),
    ("fenced", "policy", False, ""),
    ("reboot", "reboot", False, ""),
)
_NOISE = re.compile(r"^\s*(?:patchctl: (?:step|transaction) .*)?$")
_MAX_LINE = 2000
_SHOWN = 160
"""Characters of the last line that a message holds; all of it is the evidence."""


def diagnose(
    kind: str,
    error: HostFailure | None,
    data: Mapping[str, Any],
    signatures: Sequence[Signature] = (),
) -> Diagnosis:
    """Given a failed job's kind, error and data (`log`, `rc`), return its Diagnosis. Total: never raises on content.

    A signature whose pattern is not a valid expression raises re.error: that is the platform's bug, not the host's.
    """
    log = str(data.get("log") or "")
    found = _match_signature(kind, error, log, signatures)
    if found is not None:
        return found
    if error is not None:
        return _from_error(error)
    lines = [line for line in log.splitlines() if not _NOISE.match(line)]
    evidence = one_line(lines[-1]) if lines else ""
    rc = data.get("rc")
    if rc is None and not evidence:
        return Diagnosis("unknown", "unknown", evidence, "failed without a word")
    # Nobody knows what it means: the last line says more than the number.
    words = [f"exit status {rc}" if rc is not None else "", evidence[:_SHOWN]]
    return Diagnosis("unknown", "unknown", evidence, ": ".join(word for word in words if word))


NOT_CONFIRMED = "fix-not-confirmed"
"""Signature of a fix of the way in that the host took back, because nobody logged in anew after it."""


def explain_silence(found: Diagnosis, shut_out: HostFailure | None) -> Diagnosis:
    """Given why fixes failed, say of those that nobody confirmed why nobody did.

    `shut_out`: what kept the controller from getting in while the host waited; None = it did not even try, because it
    was stopped or held up. Only then has the fix not been shown to lock anybody out, and may be tried once more.
    """
    if found.signature != NOT_CONFIRMED:
        return found
    if shut_out is None:
        left = re.search("could not be taken back|not taken back", found.evidence)
        return replace(found, transient=left is None, message=f"{found.message}; patchctl was away and tried no login")
    why = one_line(f"{shut_out.code}: {shut_out.message}", 200)
    return replace(
        found, message=f"{found.message}; patchctl could not log in ({why}): it is not tried again by itself"
    )


def diagnose_verification(data: Mapping[str, Any]) -> Diagnosis:
    """Given a failed verification's data, say what is not as planned."""
    pending = [one_line(str(line)) for line in data.get("pending") or ()]
    if pending and data.get("unrepaired"):
        more = f" and {len(pending) - 1} more" if len(pending) > 1 else ""
        return Diagnosis("fix", "rule-still-fails", "; ".join(pending)[:1000], f"after the fix: {pending[0]}{more}")
    if pending:
        return Diagnosis(
            "patch", "changes-not-in-place", "; ".join(pending)[:1000],
            f"{len(pending)} planned change{'s' if len(pending) != 1 else ''} not in place after the install",
        )
    regressed = [one_line(str(line)) for line in data.get("health_regressed") or ()]
    if regressed:
        return Diagnosis(
            "patch", "health-regressed", "; ".join(regressed)[:1000], f"unhealthy after the update: {regressed[0]}"
        )
    units = [one_line(str(unit)) for unit in data.get("failed_units_new") or ()]
    if units:
        return Diagnosis("patch", "units-failed", ", ".join(units)[:1000], f"unit {units[0]} fails since the update")
    return Diagnosis("unknown", "verification-failed", "", "the verification failed without naming a reason")


def diagnose_interruption(data: Mapping[str, Any], signatures: Sequence[Signature] = ()) -> Diagnosis:
    """Say that an attempt ended without finishing (host rebooted, runner killed, spool lost)."""
    remedy = next((s.remedy for s in signatures if s.name == INTERRUPTED_SIGNATURE), "dpkg-configure-a")
    step = one_line(str(data.get("step") or "an unknown step"))
    boot = one_line(str(data.get("boot_id") or "unknown"))
    return Diagnosis(
        "package-manager", INTERRUPTED_SIGNATURE, f"ended at {step}, boot id now {boot}",
        f"the install was interrupted at {step}", transient=True, remedy=remedy,
    )


def _match_signature(
    kind: str, error: HostFailure | None, log: str, signatures: Sequence[Signature]
) -> Diagnosis | None:
    texts = [line[:_MAX_LINE] for line in log.splitlines()]
    if error is not None:
        texts.extend((error.code, error.message[:_MAX_LINE]))
    for signature in signatures:
        if signature.phase and signature.phase != kind:
            continue
        pattern = _compile(signature.pattern)
        for text in texts:
            match = pattern.search(text)
            if match:
                return Diagnosis(
                    signature.cls, signature.name, one_line(text), _fill(signature.message, match),
                    signature.transient, signature.remedy,
                )
    return None


def _fill(message: str, match: re.Match[str]) -> str:
    """Put the named groups into the message. Host text is a value here, never a format string."""
    values = {name: one_line(value or "", 120) for name, value in match.groupdict().items()}
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), message)


@lru_cache(maxsize=256)
def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _from_error(error: HostFailure) -> Diagnosis:
    evidence, message = one_line(error.message), one_line(error.message)
    if error.status in _ACCESS_STATUSES:
        return Diagnosis("access", error.code, evidence, message)
    words = error.code.split("-")
    for word, cls, transient, remedy in _CODE_CLASSES:
        if word in words:
            return Diagnosis(cls, error.code, evidence, message, transient=transient, remedy=remedy)
    return Diagnosis("unknown", error.code, evidence, message)
