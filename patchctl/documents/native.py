"""Reads one inventory file in patchctl's own form into the draft."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from pydantic import BaseModel

from patchctl.documents.check import check_document
from patchctl.documents.draft import Draft, Level, Place, Setting, put_setting
from patchctl.documents.inventory_schema import GroupSection, HostSection, InventoryFile
from patchctl.documents.loader import Document
from patchctl.documents.names import HOST_NAME, NAME_HINT
from patchctl.documents.ranges import expand_range
from patchctl.documents.scalars import free_data
from patchctl.documents.source import Findings
from patchctl.model.hosts import Freeze

RESERVED = ("all", "ungrouped")
NESTED = ("become", "timeouts", "ssh_options", "winrm")
_NOT_SETTINGS = ("vars", "health", "hosts", "groups", "imports")


class NativeReader:
    """Reads one document; one instance per file."""

    def __init__(self, document: Document, draft: Draft, rank: int, findings: Findings) -> None:
        self.document = document
        self.draft = draft
        self.rank = rank
        self.findings = findings

    def read(self) -> list[tuple[str, Place]]:
        """Put the file's content into the draft; return its imports with their places."""
        content = check_document(self.document, InventoryFile, self.findings)
        if content is None:
            return []
        if content.defaults:
            self.level(self.draft.defaults, content.defaults, ("defaults",))
        for name, site in (content.sites or {}).items():
            level = self.draft.sites.setdefault(name, Level())
            if site:
                self.level(level, site, ("sites", name))
        for name, group in (content.groups or {}).items():
            self.group(name, group or GroupSection())
        if content.hosts:
            self.hosts(content.hosts, ("hosts",))
        return [(path, self.place(("import", index))) for index, path in enumerate(content.imports or [])]

    def group(self, name: str, section: GroupSection) -> None:
        path = ("groups", name)
        if name in RESERVED:
            self.problem(path, "reserved-name", f"{name!r} cannot be a group: every host is in 'all' by itself",
                         "use defaults: for what holds everywhere", key=True)
            return
        group = self.draft.group(name)
        self.level(group.own, section, path)
        for index, child in enumerate(section.groups or []):
            group.children.setdefault(child, self.place((*path, "groups", index)))
        if section.hosts:
            group.hosts.update(dict.fromkeys(self.hosts(section.hosts, (*path, "hosts"))))

    def hosts(self, section: list[str] | dict[str, HostSection | None], path: tuple[Hashable, ...]) -> list[str]:
        """Enter hosts, ranges expanded; return their names."""
        names: list[str] = []
        mapping = isinstance(section, dict)
        for index, written in enumerate(section):
            at = (*path, written if mapping else index)
            try:
                expanded = expand_range(written)
            except ValueError as error:
                self.problem(at, "invalid-range", str(error), key=mapping)
                continue
            if not HOST_NAME.fullmatch(expanded[0]):
                self.problem(at, "invalid-name", f"not a host name: {written!r}",
                             f"{NAME_HINT}; put an IPv6 address under address:", key=mapping)
                continue
            own = section[written] if isinstance(section, dict) else None
            for name in expanded:
                entry = self.draft.host(name)
                if own:
                    self.level(entry.own, own, at)
            names += expanded
        return names

    def level(self, level: Level, section: BaseModel, path: tuple[Hashable, ...]) -> None:
        """Enter the settings, variables and health checks of one section."""
        for key in section.model_fields_set:
            value = getattr(section, key)
            if key in _NOT_SETTINGS or value is None:
                continue
            if key in NESTED:
                items = value if isinstance(value, dict) else {k: getattr(value, k) for k in value.model_fields_set}
                for inner, item in items.items():
                    if item is not None:
                        self.put(level, f"{key}.{inner}", item, (*path, key, inner))
            elif key == "frozen":
                self.put(level, key, Freeze(value.reason, value.until), (*path, key))
            elif key == "drain":
                self.put(level, key, free_data(self.document, (*path, key), value, self.findings), (*path, key))
            else:
                self.put(level, key, tuple(value) if isinstance(value, list) else value, (*path, key))
        variables: dict[str, Any] = getattr(section, "vars", None) or {}
        for key, value in variables.items():
            at = (*path, "vars", key)
            data = free_data(self.document, at, value, self.findings)
            put_setting(level.variables, key, Setting(data, self.place(at), self.rank), self.findings)
        for index, entry in enumerate(getattr(section, "health", None) or []):
            level.health.setdefault(entry.check(), Setting(None, self.place((*path, "health", index)), self.rank))

    def put(self, level: Level, key: str, value: Any, path: tuple[Hashable, ...]) -> None:
        put_setting(level.settings, key, Setting(value, self.place(path), self.rank), self.findings)

    def place(self, path: tuple[Hashable, ...]) -> Place:
        return Place(self.document.source, *self.document.place(path, key=True))

    def problem(
        self, path: tuple[Hashable, ...], code: str, message: str, hint: str = "", *, key: bool = False
    ) -> None:
        self.findings.add(self.document.problem(path, code, message, hint, key=key))
