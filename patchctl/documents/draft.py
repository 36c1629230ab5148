"""The inventory while it is being put together from several files: layers of settings with their origins.

Every value remembers where it was written and the rank of its file: a file outranks what it imports. The same setting
written twice on one level by files of the same rank is a conflict, never a coin toss.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from patchctl.documents.source import Findings, Source
from patchctl.model.hosts import HealthCheck


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written; the source line is looked up only when a message needs it."""

    source: Source
    line: int
    column: int

    def __str__(self) -> str:
        return self.source.place(self.line, self.column)


@dataclass(frozen=True, slots=True)
class Setting:
    value: Any
    place: Place
    rank: int = 0
    """0 = a file named by the user, -1 = imported by it, and so on down."""
    override: bool = False
    """May replace an equal-ranked value (Ansible's files have an order of their own)."""


Layer = dict[str, Setting]


@dataclass(slots=True)
class Level:
    """What one host, group, site or the defaults say."""

    settings: Layer = field(default_factory=dict)
    variables: Layer = field(default_factory=dict)
    health: dict[HealthCheck, Setting] = field(default_factory=dict)
    vaulted: list[str] = field(default_factory=list)
    """Paths of variable files that are encrypted as a whole."""
    place: Place | None = None


@dataclass(slots=True)
class GroupDraft(Level):
    name: str = ""
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, Place] = field(default_factory=dict)
    priority: int = 1
    """ansible_group_priority: breaks ties between groups of the same depth."""


@dataclass(slots=True)
class Draft:
    """All levels found so far."""

    defaults: Level = field(default_factory=Level)
    everyone: Level = field(default_factory=Level)
    """Ansible's group `all`: below every group, above defaults and sites."""
    sites: dict[str, Level] = field(default_factory=dict)
    groups: dict[str, GroupDraft] = field(default_factory=dict)
    hosts: dict[str, Level] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)
    """file -> what in it was not understood, in words"""

    def group(self, name: str, place: Place | None = None) -> GroupDraft:
        """Return the group, made if need be."""
        found = self.groups.get(name)
        if found is None:
            found = self.groups[name] = GroupDraft(name=name, place=place)
        return found

    def host(self, name: str, place: Place) -> Level:
        found = self.hosts.get(name)
        if found is None:
            found = self.hosts[name] = Level(place=place)
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
