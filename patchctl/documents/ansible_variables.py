"""Ansible's group_vars and host_vars beside an inventory: files and folders, plain or encrypted as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from patchctl.documents.draft import Draft, Level, Place, Setting, put_setting
from patchctl.documents.loader import Section, parse_document, read_source
from patchctl.documents.scalars import yaml11_data
from patchctl.documents.source import Findings, Source, suggest

# Tried in this order; only the first that exists for a name is read, as Ansible does.
ENDINGS: Final = ("", ".yml", ".yaml", ".json")
VAULT_HEADER: Final = "$ANSIBLE_VAULT;"


def read_variable_folders(
    base: Path, draft: Draft, rank: int, name_of: Callable[[Path], str], findings: Findings
) -> None:
    """Read group_vars/ and host_vars/ in `base` for the groups and hosts that the draft knows by now."""
    reader = _VariableReader(rank, name_of, findings)
    groups = base / "group_vars"
    if groups.is_dir():
        reader.read_folder(groups, {
            "all": draft.everyone.files, "ungrouped": draft.ungrouped.files,
            **{name: group.files for name, group in draft.groups.items()},
        }, "group")
    hosts = base / "host_vars"
    if hosts.is_dir():
        reader.read_folder(hosts, {name: entry.files for name, entry in draft.hosts.items()}, "host")


class _VariableReader:
    def __init__(self, rank: int, name_of: Callable[[Path], str], findings: Findings) -> None:
        self.rank = rank
        self.name_of = name_of
        self.findings = findings

    def read_folder(self, folder: Path, levels: dict[str, Level], kind: str) -> None:
        entries = {entry.name: entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")}
        used: set[str] = set()
        # Only names with a file can have one: a stat for each of 5,000 hosts would cost more than the listing.
        stems = {name.removesuffix(end) for name in entries for end in ENDINGS if name.endswith(end)}
        for name in sorted(stems & levels.keys()):
            ending = next(end for end in ENDINGS if name + end in entries)
            used.add(name + ending)
            for path in variable_files(entries[name + ending]):
                self.read_file(path, levels[name])
        for name in entries:
            stem = next((name.removesuffix(end) for end in ENDINGS[1:] if name.endswith(end)), name)
            if name not in used and stem not in levels and not name.endswith("~"):
                self.findings.note(Source(self.name_of(entries[name])).problem(
                    0, 0, "unused-variables", f"there is no {kind} {stem!r}", suggest(stem, levels)))

    def read_file(self, path: Path, level: Level) -> None:
        source = read_source(path, self.name_of(path), self.findings)
        if source is None:
            return
        if source.text.startswith(VAULT_HEADER):
            level.vaulted.append(str(path.resolve()))
            return
        document = parse_document(source, self.findings)
        if document is None or document.tree is None:
            return
        if not isinstance(document.tree, Section):
            self.findings.add(document.problem((), "unexpected-type", "expected variables as a mapping"))
            return
        for key, value in document.tree.items():
            place = Place(source, *document.place((key,), key=True))
            setting = Setting(yaml11_data(value), place, self.rank, override=True)
            put_setting(level.variables, key, setting, self.findings)


def variable_files(path: Path) -> Iterator[Path]:
    """Return the files of a name: itself, or all in its folder and the folders below, by name."""
    if not path.is_dir():
        yield path
        return
    for entry in sorted(os.scandir(path), key=lambda e: e.name):
        if entry.name.startswith(".") or entry.name.endswith("~"):
            continue
        ending = Path(entry.name).suffix
        if entry.is_dir() and not ending:
            yield from variable_files(Path(entry.path))
        elif entry.is_file() and ending in ENDINGS:
            yield Path(entry.path)
