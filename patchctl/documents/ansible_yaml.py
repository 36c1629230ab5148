"""Ansible's YAML inventories: groups with hosts, children and vars, nested to any depth."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from patchctl.documents.ansible_ini import set_group_variable, split_host
from patchctl.documents.draft import Draft, Place, Setting, put_setting
from patchctl.documents.fields import kind_of
from patchctl.documents.loader import Document, Section
from patchctl.documents.names import NAME_HINT, first_bad_name
from patchctl.documents.scalars import yaml11_data
from patchctl.documents.source import Findings, suggest

KEYS = ("hosts", "children", "vars")


class YamlReader:
    """Reads one YAML inventory of Ansible into the draft."""

    def __init__(self, document: Document, draft: Draft, rank: int, findings: Findings) -> None:
        self.document = document
        self.draft = draft
        self.rank = rank
        self.findings = findings

    def read(self) -> None:
        for name, body in self.document.tree.items():
            self.group(name, body, (name,))

    def group(self, name: str, body: Any, path: tuple[Hashable, ...]) -> None:
        if name not in ("all", "ungrouped"):
            self.draft.group(name)
        if body is None:
            return
        if not isinstance(body, Section):
            self.problem(path, "unexpected-type", f"expected a mapping, found {kind_of(body)}", "hosts, children, vars")
            return
        for key, value in body.items():
            at = (*path, key)
            if key not in KEYS:
                self.problem(at, "unknown-key", f"unknown key {key!r} in a group", suggest(key, KEYS), key=True)
                continue
            # Ansible lets a bare name stand for a mapping of that one name.
            content = {str(value): None} if isinstance(value, str) else value
            if content is None:
                continue
            if not isinstance(content, dict):
                self.problem(at, "unexpected-type", f"expected a mapping, found {kind_of(value)}",
                             f"write {key}: as a mapping, each name followed by ':'")
                continue
            for inner, item in content.items():
                if key == "hosts":
                    self.host(name, inner, item, (*at, inner))
                elif key == "children":
                    if name not in ("all", "ungrouped") and inner not in ("all", "ungrouped"):
                        self.draft.group(name).children.setdefault(inner, self.place((*at, inner)))
                    self.group(inner, item, (*at, inner))
                else:
                    set_group_variable(self.draft, name, inner, self.setting(item, (*at, inner)), self.findings)

    def host(self, group: str, written: str, body: Any, path: tuple[Hashable, ...]) -> None:
        try:
            names, port = split_host(written)
        except ValueError as error:
            self.problem(path, "invalid-range", str(error), key=True)
            return
        bad = first_bad_name(names)
        if bad is not None:
            self.problem(path, "invalid-name", f"not a host name: {bad!r}", NAME_HINT, key=True)
            return
        if body is not None and not isinstance(body, Section):
            self.problem(path, "unexpected-type", f"expected the host's variables, found {kind_of(body)}",
                         "write key: value pairs below the host")
            return
        settings = {key: self.setting(value, (*path, key)) for key, value in (body or {}).items()}
        if port is not None:
            settings.setdefault("ansible_port", Setting(port, self.place(path), self.rank, override=True))
        for name in names:
            layer = self.draft.host(name).inline.variables
            for key, setting in settings.items():
                put_setting(layer, key, setting, self.findings)
        if group not in ("all", "ungrouped"):
            self.draft.group(group).hosts.update(dict.fromkeys(names))

    def setting(self, value: Any, path: tuple[Hashable, ...]) -> Setting:
        return Setting(yaml11_data(value), self.place(path), self.rank, override=True)

    def place(self, path: tuple[Hashable, ...]) -> Place:
        return Place(self.document.source, *self.document.place(path, key=True))

    def problem(
        self, path: tuple[Hashable, ...], code: str, message: str, hint: str = "", *, key: bool = False
    ) -> None:
        self.findings.add(self.document.problem(path, code, message, hint, key=key))
