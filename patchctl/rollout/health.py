"""Compares health checks before and after: only what was well before and is not now is held against an update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def find_regressions(before: Sequence[Mapping[str, Any]] | None, after: Sequence[Mapping[str, Any]]) -> list[str]:
    """Given lists of {kind, target, ok, detail}, return one line per check that is worse now.

    `ok` is True, False or None (could not be checked). A check that was not well before, or could not be made then,
    is not a regression. Was well before and cannot be checked now: unknown is never good news, so it is one.
    Without any `before`, every check that is not well now counts.
    """
    was_well = None if before is None else {_key(check) for check in before if check.get("ok") is True}
    lines = []
    for check in after:
        if check.get("ok") is True or (was_well is not None and _key(check) not in was_well):
            continue
        verdict = "unhealthy" if check.get("ok") is False else "cannot be checked"
        lines.append(f"{_name(check)}: {verdict}{_detail(check)}")
    seen = {_key(check) for check in after}
    missing = [check for check in before or () if check.get("ok") is True and _key(check) not in seen]
    lines.extend(f"{_name(check)}: was not checked again" for check in missing)
    return lines


def _key(check: Mapping[str, Any]) -> tuple[str, str]:
    return str(check.get("kind", "")), str(check.get("target", ""))


def _name(check: Mapping[str, Any]) -> str:
    return " ".join(part for part in _key(check) if part)


def _detail(check: Mapping[str, Any]) -> str:
    return f" ({check['detail']})" if check.get("detail") else ""
