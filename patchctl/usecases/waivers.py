"""Waivers against the inventory: which hosts each one means, and what is wrong with them across files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from patchctl.documents.source import Findings
from patchctl.model.assessment import Waiver
from patchctl.model.errors import Problem, UsageError
from patchctl.model.hosts import Inventory
from patchctl.model.selection import select_hosts


def waiver_members(waivers: Iterable[Waiver], inventory: Inventory) -> Mapping[str, Collection[str]]:
    """Return host pattern -> names of its hosts. Raise UsageError when a pattern names nothing: no waiver by guess."""
    found: dict[str, frozenset[str]] = {}
    for waiver in waivers:
        if waiver.hosts not in found:
            try:
                found[waiver.hosts] = frozenset(select_hosts(inventory, waiver.hosts))
            except UsageError as error:
                raise UsageError(error.code, f"{waiver.source}: {error.message}", error.hint) from error
    return found


def check_waivers(waivers: Iterable[Waiver], inventory: Inventory | None, now: float, findings: Findings) -> None:
    """Check patterns against the inventory (None = not there); note what has expired. `now`: Unix time."""
    for waiver in waivers:
        file, _, line = waiver.source.rpartition(":")
        if inventory is not None and inventory.hosts:
            try:
                select_hosts(inventory, waiver.hosts)
            except UsageError as error:
                findings.add(Problem(file, int(line), 0, error.code, error.message, error.hint))
        if now >= waiver.until_at:
            findings.note(Problem(
                file, int(line), 0, "waiver-expired", f"the waiver of {waiver.rule} ended {waiver.until}",
                "repair what it waived, or decide again; then remove it",
            ))  # fmt: skip
