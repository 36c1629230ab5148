"""Reads inventories: files and folders, patchctl's own form and Ansible's, with everything they import."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from patchctl.documents.ansible_ini import IniReader
from patchctl.documents.ansible_script import read_script
from patchctl.documents.ansible_variables import VAULT_HEADER, read_variable_folders
from patchctl.documents.ansible_yaml import YamlReader
from patchctl.documents.draft import Draft, Place
from patchctl.documents.inventory_schema import NATIVE_KEYS
from patchctl.documents.loader import Document, Section, parse_document, read_source
from patchctl.documents.native import NativeReader
from patchctl.documents.resolve import resolve_inventory
from patchctl.documents.source import Findings, Source, suggest
from patchctl.model.errors import DocumentsError
from patchctl.model.hosts import Inventory

YAML_ENDINGS: Final = (".yaml", ".yml", ".json")
VARIABLE_FOLDERS: Final = ("group_vars", "host_vars")
# As in ansible.cfg's default for inventory folders, and what editors leave behind.
SKIPPED_ENDINGS: Final = ("~", ".orig", ".bak", ".ini.swp", ".swp", ".cfg", ".retry", ".pyc", ".pyo", ".md", ".txt")


def load_inventory(paths: Sequence[Path], base: Path | None = None) -> Inventory:
    """Given inventory files or folders, return the inventory they make together; executable ones are run.

    Raise DocumentsError with every problem of every file. `base` is the folder that names in messages are relative to
    (default: the current one).
    """
    findings = Findings()
    inventory = read_inventory(paths, findings, run_scripts=True, base=base)
    if findings.problems:
        raise DocumentsError(findings.sorted())
    return inventory


def read_inventory(
    paths: Sequence[Path], findings: Findings, *, run_scripts: bool, base: Path | None = None
) -> Inventory:
    """Like load_inventory, but problems go to `findings`, and scripts run only if that is asked for."""
    return InventoryReader(findings, run_scripts=run_scripts, base=base or Path.cwd()).read(paths)


class InventoryReader:
    """Goes through files, folders and imports; each file is read once, at the highest rank it is named with."""

    def __init__(self, findings: Findings, *, run_scripts: bool, base: Path) -> None:
        self.draft = Draft()
        self.findings = findings
        self.run_scripts = run_scripts
        self.base = base
        self.seen: set[Path] = set()

    def read(self, paths: Sequence[Path]) -> Inventory:
        """Read files and folders, and return what they make together; problems are in `findings`."""
        for path in paths:
            self.read_source(path, 0, None)
        return resolve_inventory(self.draft, self.findings)

    def read_source(self, path: Path, rank: int, named_at: Place | None) -> None:
        """Read a file or folder with the variable folders beside it; `named_at` is the import that names it."""
        if not path.exists():
            self.missing(path, named_at)
            return
        ansible = self.read_path(path, rank)
        if ansible:
            folder = path if path.is_dir() else path.parent
            read_variable_folders(folder, self.draft, rank, self.name, self.findings)

    def read_path(self, path: Path, rank: int) -> bool:
        """Read a file, or all in a folder; say whether anything in it is Ansible's."""
        real = path.resolve()
        if real in self.seen:
            return False
        self.seen.add(real)
        if path.is_dir():
            kinds = [self.read_path(entry, rank) for entry in self.files_of(path) if self.is_readable_kind(entry)]
            return any(kinds)
        return self.read_file(path, rank)

    def files_of(self, folder: Path) -> list[Path]:
        try:
            return inventory_files(folder)
        except OSError as error:
            self.findings.add(Source(self.name(folder)).problem(
                0, 0, "unreadable-file", f"cannot be read: {error.strerror}"))
            return []

    def is_readable_kind(self, entry: Path) -> bool:
        """Say whether what a folder holds is a file or folder. A link that leads nowhere would lose hosts silently."""
        if entry.is_file() or entry.is_dir():
            return True
        what = "a link that leads nowhere" if entry.is_symlink() else "neither a file nor a folder"
        self.findings.add(Source(self.name(entry)).problem(
            0, 0, "unreadable-file", what, "remove it, or put the file there"))
        return False

    def missing(self, path: Path, named_at: Place | None) -> None:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        if named_at is None:
            self.findings.add(Source(self.name(path)).problem(
                0, 0, "missing-file", "no such inventory", "name one with -i, or make a first one with patchctl init"))
        else:
            self.findings.add(named_at.source.problem(
                named_at.line, named_at.column, "missing-file", f"no such file or folder: {self.name(path)}",
                suggest(path.name, siblings)))

    def read_file(self, path: Path, rank: int) -> bool:
        """Read one file; say whether it is Ansible's."""
        name = self.name(path)
        if is_script(path):
            if self.run_scripts:
                self.draft.sources.append(name)
                read_script(path, name, self.draft, rank, self.findings)
            else:
                self.findings.note(Source(name).problem(0, 0, "script-not-run", "an inventory script, not run here"))
            return True
        source = read_source(path, name, self.findings)
        if source is None:
            return False
        self.draft.sources.append(name)
        if source.text.startswith(VAULT_HEADER):
            self.findings.add(source.problem(1, 1, "vaulted-inventory", "an inventory encrypted as a whole",
                                             "keep hosts in plain text and encrypt variables only"))
            return False
        if path.suffix not in YAML_ENDINGS:
            IniReader(source, self.draft, rank, self.findings).read()
            return True
        document = parse_document(source, self.findings)
        if document is None:
            return False
        if not is_native(document):
            YamlReader(document, self.draft, rank, self.findings).read()
            return True
        for written, place in NativeReader(document, self.draft, rank, self.findings).read():
            self.read_source(path.parent / Path(written).expanduser(), rank - 1, place)
        return False

    def name(self, path: Path) -> str:
        """Return a path as people know it: relative to the base folder where it lies below."""
        absolute = Path(os.path.abspath(path))  # noqa: PTH100 - links are kept as the user wrote them
        return str(absolute.relative_to(self.base)) if absolute.is_relative_to(self.base) else str(absolute)


def inventory_files(folder: Path) -> list[Path]:
    """Return what an inventory folder holds, by name: no hidden files, variable folders or leftovers."""
    return sorted(
        entry for entry in folder.iterdir()
        if not entry.name.startswith(".") and entry.name not in VARIABLE_FOLDERS
        and not entry.name.endswith(SKIPPED_ENDINGS)
    )


def is_script(path: Path) -> bool:
    """Say whether a file is an inventory script: executable, and it begins like a program.

    The x bit alone says little: on some file systems every file has it.
    """
    if not path.stat().st_mode & stat.S_IXUSR or path.suffix in (*YAML_ENDINGS, ".ini"):
        return False
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError:
        return False
    return start.startswith(b"#!") or start == b"\x7fELF"


def is_native(document: Document) -> bool:
    """Say whether a YAML inventory is patchctl's own: Ansible's has groups on top, each with hosts, children, vars."""
    tree = document.tree
    if not isinstance(tree, Section) or not tree:
        return True
    if "all" in tree or "ungrouped" in tree:
        return False
    if any(key in NATIVE_KEYS for key in tree):
        return True
    sections = [value for value in tree.values() if value is not None]
    known = {"hosts", "children", "vars"}
    return not sections or not all(isinstance(value, Section) and value and set(value) <= known for value in sections)
