"""Checks inventories, policies, baselines and settings, each by itself and against each other. Reads files only.

No network, no vault, no inventory script, no secret command: what needs one of them is noted, never run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct, field

from patchctl.documents.baselines import read_baseline
from patchctl.documents.check import check_document
from patchctl.documents.inventories import YAML_ENDINGS, InventoryReader
from patchctl.documents.loader import Section, parse_document, read_source
from patchctl.documents.policies import PolicyDocument, read_policy
from patchctl.documents.settings import FILE_NAME, Settings
from patchctl.documents.settings_schema import SettingsFile
from patchctl.documents.source import Findings, Source, suggest
from patchctl.documents.waivers import read_waivers, waiver_files
from patchctl.model.errors import Problem
from patchctl.model.hosts import Inventory
from patchctl.usecases.content import check_baseline
from patchctl.usecases.crosschecks import check_inventory, check_policies
from patchctl.usecases.other_baselines import check_other
from patchctl.usecases.waivers import check_waivers


class Validation(Struct, frozen=True):
    """What a run found. `notes` make nothing invalid."""

    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    files: tuple[str, ...]
    hosts: int = 0
    groups: int = 0
    policies: int = 0
    baselines: int = 0

    @property
    def ok(self) -> bool:
        return not self.problems


class _Plan(Struct):
    """The paths by what they hold."""

    inventories: list[Path] = field(default_factory=list)
    policies: list[Path] = field(default_factory=list)
    baselines: list[Path] = field(default_factory=list)
    settings: list[Path] = field(default_factory=list)
    waivers: list[Path] = field(default_factory=list)


def validate_project(
    settings: Settings, paths: Sequence[Path], base: Path, now: float, earlier: Sequence[Problem] = ()
) -> Validation:
    """Check the paths, or the whole project if there are none.

    Policies are checked against the inventories among the paths, or the project's where none is. `base` is the folder
    that file names are relative to; `now` (Unix time) decides what has expired; `earlier` is what was wrong with
    settings files when they were loaded.
    """
    findings = Findings()
    for problem in earlier:
        if Path(problem.file) != settings.project / FILE_NAME:  # that one is checked below, under its short name
            findings.add(problem)
    reader = InventoryReader(findings, run_scripts=False, base=base)
    plan = _sort_paths(_those_there(paths, reader), reader) if paths else _whole_project(settings, reader)
    if not plan.inventories and (plan.policies or plan.waivers):
        plan.inventories = [path for path in settings.inventory if path.exists()]
    files = [reader.name(path) for path in (*plan.settings, *plan.policies, *plan.baselines, *plan.waivers)]
    for path in plan.settings:
        source = read_source(path, reader.name(path), findings)
        document = parse_document(source, findings) if source else None
        if document:
            check_document(document, SettingsFile, findings)
    inventory = _inventory(reader, plan.inventories) if plan.inventories else None
    policies: list[PolicyDocument] = []
    for path in plan.policies:
        policy = read_policy(path, reader.name(path), findings)
        if policy:
            policies.append(policy)
    check_policies(policies, inventory, now, findings)
    for found in policies:
        _check_commands(found, settings.project, findings)
    for path in plan.baselines:
        if check_other(path, reader.name(path), findings):
            continue
        baseline = read_baseline(path, reader.name(path), findings)
        if baseline is not None:
            check_baseline(baseline, findings)
    for path in plan.waivers:
        check_waivers(read_waivers(path, reader.name(path), settings.max_waiver, findings), inventory, now, findings)
    if inventory is not None:
        check_inventory(inventory, now, findings)
        files += inventory.sources
    return Validation(
        findings.sorted(), findings.sorted_notes(), tuple(files),
        len(inventory.hosts) if inventory else 0, len(inventory.groups) if inventory else 0,
        len(plan.policies), len(plan.baselines),
    )


def _those_there(paths: Sequence[Path], reader: InventoryReader) -> list[Path]:
    """Return the paths that exist; the others become Problems, with the name that was perhaps meant."""
    for path in paths:
        if not path.exists():
            siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            reader.findings.add(Source(reader.name(path)).problem(
                0, 0, "missing-file", "no such file or folder", suggest(path.name, siblings)))
    return [path for path in paths if path.exists()]


def _inventory(reader: InventoryReader, paths: Sequence[Path]) -> Inventory:
    inventory = reader.read(paths)
    scripts = any(note.code == "script-not-run" for note in reader.findings.notes)
    if not inventory.hosts and not scripts and not reader.findings.problems:
        reader.findings.add(Source(reader.name(paths[0])).problem(
            0, 0, "no-hosts", "the inventory has no hosts", "add some under groups: or hosts:"))
    return inventory


def _check_commands(found: PolicyDocument, project: Path, findings: Findings) -> None:
    """Note a command of notify that is not there: a halt at night must reach somebody. Nothing is run."""
    notify = found.policy.notify
    for key, command in (("halted", notify.halted), ("finished", notify.finished)):
        is_path = bool(command) and "/" in command[0] and not command[0].startswith("mailto:")
        if is_path and not (project / command[0]).is_file():
            findings.note(found.document.problem(("notify", key), "missing-command", f"{command[0]} is not there",
                                                 "paths are relative to the project folder"))


def _whole_project(settings: Settings, reader: InventoryReader) -> _Plan:
    plan = _Plan(inventories=list(settings.inventory))
    plan.policies = _listed(yaml_files, settings.policies, reader)
    plan.baselines = _listed(yaml_files, settings.baselines, reader)
    plan.waivers = _listed(waiver_files, settings.baselines, reader)
    own = settings.project / FILE_NAME
    plan.settings = [own] if own.is_file() else []
    return plan


def yaml_files(folder: Path) -> list[Path]:
    """Return the YAML files of a folder by name; folders in it (decisions, tests) hold other things."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file()
                  and not path.name.startswith("."))


def _listed(files_of: Callable[[Path], list[Path]], folder: Path, reader: InventoryReader) -> list[Path]:
    """Return the files of a folder; one that may not be read becomes a Problem, and the rest is still checked."""
    try:
        return files_of(folder)
    except OSError as error:
        where = Path(error.filename or folder)
        reader.findings.add(Source(reader.name(where)).problem(
            0, 0, "unreadable-file", f"cannot be read: {error.strerror}", "give yourself the right to read it"))
        return []


def _sort_paths(paths: Sequence[Path], reader: InventoryReader) -> _Plan:
    """Tell the kinds apart by their content, so that any file can be named."""
    plan = _Plan()
    for path in paths:
        if path.is_dir() and path.name in ("policies", "baselines"):
            for file in _listed(yaml_files, path, reader):
                _place(file, plan)
        elif path.is_dir() and any((path / name).exists() for name in (FILE_NAME, "policies", "inventories")):
            _add_project(path, plan, reader)
        elif path.is_dir():
            plan.inventories.append(path)
        else:
            _place(path, plan)
    return plan


def _add_project(folder: Path, plan: _Plan, reader: InventoryReader) -> None:
    """Add everything of a project folder, by the usual names."""
    plan.settings += [path for path in [folder / FILE_NAME] if path.is_file()]
    plan.inventories += [path for path in [folder / "inventories"] if path.is_dir()]
    plan.policies += _listed(yaml_files, folder / "policies", reader)
    plan.baselines += _listed(yaml_files, folder / "baselines", reader)
    plan.waivers += _listed(waiver_files, folder / "baselines", reader)


def _place(path: Path, plan: _Plan) -> None:
    """Put one file where its first keys say it belongs; what cannot be read is told later, by its own reader."""
    if path.name == FILE_NAME:
        plan.settings.append(path)
        return
    kind = _kind_of(path) if path.suffix in YAML_ENDINGS else "inventory"
    if kind == "policy" or (kind == "unknown" and path.parent.name == "policies"):
        plan.policies.append(path)
    elif kind == "baseline" or (kind == "unknown" and path.parent.name == "baselines"):
        plan.baselines.append(path)
    elif kind == "waivers" or (kind == "unknown" and path.parent.name == "waivers"):
        plan.waivers.append(path)
    else:
        plan.inventories.append(path)


def _kind_of(path: Path) -> str:
    quiet = Findings()
    source = read_source(path, str(path), quiet)
    document = parse_document(source, quiet) if source else None
    if document is None or not isinstance(document.tree, Section):
        return "unknown"
    if isinstance(document.tree.get("policy"), Section):  # ours is a name; Wazuh SCA has a mapping there
        return "baseline"
    return next((key for key in ("policy", "baseline", "waivers") if key in document.tree), "inventory")
