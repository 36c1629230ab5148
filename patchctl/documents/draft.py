"""The inventory while it is being put together from several files: levels of settings with their origins.

Every value remembers where it was written and the rank of its file: a file outranks what it imports. The same setting
written twice on one level by files of the same rank is a conflict, never a coin toss.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from patchctl.documents.source import Findings, Source
from patchctl.model.hosts import HealthCheck


class Place(Struct, frozen=True):
    """Where something was written; the source line is looked up only when a message needs it."""

    source: Source
    line: int
    column: int

    def __str__(self) -> str:
        return self.source.place(self.line, self.column)


class Setting(Struct, frozen=True):
    value: Any
    place: Place
    rank: int = 0
    """0 = a file named by the user, -1 = imported by it, and so on down."""
    override: bool = False
    """May replace a value of the same rank: between Ansible's files the later one wins, as it does there."""


Layer = dict[str, Setting]


class Level(Struct):
    """What one source of values says about one host, group, site or everybody."""

    settings: Layer = field(default_factory=dict)
    variables: Layer = field(default_factory=dict)
    health: dict[HealthCheck, Setting] = field(default_factory=dict)
    vaulted: list[str] = field(default_factory=list)
    """Paths of variable files that are encrypted as a whole."""

    def __bool__(self) -> bool:
        return bool(self.settings or self.variables or self.health or self.vaulted)


class Entry(Struct):
    """A host or group by its three sources: Ansible's inventory, Ansible's variable files, patchctl's own form."""

    inline: Level = field(default_factory=Level)
    files: Level = field(default_factory=Level)
    own: Level = field(default_factory=Level)

    def __bool__(self) -> bool:
        return bool(self.inline or self.files or self.own)


class GroupEntry(Entry):
    name: str = ""
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, Place] = field(default_factory=dict)
    priority: int = 1
    """ansible_group_priority: breaks ties between groups of the same depth."""


class Draft(Struct):
    """All levels found so far."""

    defaults: Level = field(default_factory=Level)
    everyone: Entry = field(default_factory=Entry)
    """Ansible's group `all`."""
    ungrouped: Entry = field(default_factory=Entry)
    """Ansible's group `ungrouped`: every host that is in no other."""
    sites: dict[str, Level] = field(default_factory=dict)
    groups: dict[str, GroupEntry] = field(default_factory=dict)
    hosts: dict[str, Entry] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)

    def group(self, name: str) -> GroupEntry:
        """Return the group, made if need be."""
        found = self.groups.get(name)
        if found is None:
            found = self.groups[name] = GroupEntry(name=name)
        return found

    def host(self, name: str) -> Entry:
        """Return the host, made if need be."""
        found = self.hosts.get(name)
        if found is None:
            found = self.hosts[name] = Entry()
        return found


def put_setting(layer: Layer, key: str, new: Setting, findings: Findings) -> None:
    """Set a value on a level, or add a conflict when an equal file says otherwise."""
    old = layer.get(key)
    if old is None or old.rank < new.rank or (new.override and old.rank == new.rank):
        layer[key] = new
    elif old.rank == new.rank and old.value != new.value:
        findings.add(new.place.source.problem(
            new.place.line, new.place.column, "conflicting-setting",
            f"{key!r} is set differently for the same level at {old.place}", "keep one of the two",
        ))
