"""What on this machine is the lab's own: found by control group and by mount name, never by process name.

Each host has control groups of its own, so that the systemds of the hosts do not share one tree; and whatever a
crashed run left behind is found there again, with no record of process ids that could have gone stale.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tests.lab.programs import LabError, run


def cgroup_roots() -> list[Path]:
    """Return the hierarchies a host is put into: the unified one, and on older machines systemd's and the cpu's."""
    roots = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        point = Path(fields.split()[4])
        named = set(options.split(",")) & {"cpu", "cpuacct", "name=systemd"}
        if (kind == "cgroup2" or (kind == "cgroup" and named)) and os.access(point, os.W_OK):
            roots.append(point)
    return roots


def make_cgroup(name: str) -> list[Path]:
    """Make a group in every hierarchy and return its folders."""
    made = []
    for root in cgroup_roots():
        folder = root
        for part in Path(name).parts:
            if (control := folder / "cgroup.subtree_control").exists():
                for controller in ("cpu", "memory", "pids"):
                    try:  # so that `slow` has its cpu.max; absent where the old hierarchy owns the controller
                        control.write_text(f"+{controller}")
                    except OSError:
                        continue
            folder = folder / part
            folder.mkdir(exist_ok=True)
        made.append(folder)
    return made


def cgroup_processes(name: str) -> set[int]:
    """Return the process ids in a group of ours and below it."""
    found: set[int] = set()
    for root in cgroup_roots():
        for folder, _, _ in os.walk(root / name):
            try:
                found |= {int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()}
            except OSError:
                continue  # the group went away, or is one that cannot hold processes
    return found - {0, os.getpid()}


def remove_cgroup(name: str) -> None:
    """Remove an empty group of ours in every hierarchy."""
    for root in cgroup_roots():
        for folder, _, _ in os.walk(root / name, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                continue  # a dying process still holds it: the next cleaning takes it


def mounts_named(source: str) -> list[Path]:
    """Return mount points of overlays whose source carries our name, innermost first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, name, _ = rest.split(" ", 2)
        if kind == "overlay" and (name == source or name.startswith(f"{source}-")):
            found.append(Path(fields.split()[4].encode().decode("unicode_escape")))
    return found[::-1]


def mount_overlay(source: str, lower: Sequence[Path], folder: Path) -> Path:
    """Mount folder/root from folder/upper over the lower layers; the source name makes it findable later."""
    for part in ("upper", "work", "root"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    try:
        run("mount", "-t", "overlay", source, "-o", options, folder / "root", timeout=30)
    except LabError as error:
        hint = "set PATCHCTL_LAB_DIR to a folder on a real file system (ext4, xfs, btrfs)"
        raise LabError(f"cannot mount an overlay below {folder}: {hint}. {error}") from error
    return folder / "root"
