"""Makes a project folder: settings, a first inventory, policies, schemas for the editor. Never overwrites anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from msgspec import Struct

from patchctl.documents.ranges import expand_range
from patchctl.documents.schemas import write_schemas
from patchctl.model.errors import UsageError

EXAMPLE_HOSTS = ("host1.example.com", "host2.example.com")
FOLDERS = ("inventories", "policies", "baselines")
IGNORED = "/.patchctl/\n/reports/\n"


class ProjectFiles(Struct, frozen=True):
    """What was made, and what was there before and is unchanged."""

    made: tuple[str, ...]
    kept: tuple[str, ...]


def make_project(folder: Path, hosts: Sequence[str] = (), user: str = "root") -> ProjectFiles:
    """Make what is missing of a project in `folder`. Hosts may be ranges; without any the inventory has examples.

    Raise UsageError for a bad range, or when hosts are given and there is an inventory already.
    """
    texts = {
        "patchctl.yaml": starter_text("patchctl.yaml"),
        "inventories/hosts.yaml": _inventory(hosts or EXAMPLE_HOSTS, user),
        "policies/everything-now.yaml": starter_text("everything-now.yaml"),
        "policies/monthly.yaml": starter_text("monthly.yaml"),
        ".gitignore": IGNORED,
    }
    # An inventory under another name is one too: a second one with example hosts would be a surprise.
    if any((folder / "inventories").glob("*")):
        if hosts:
            raise UsageError("inventory-exists", "there is an inventory already", "add the hosts to it by hand")
        del texts["inventories/hosts.yaml"]
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    made: list[str] = []
    kept: list[str] = []
    for name, text in texts.items():
        try:
            with (folder / name).open("x", encoding="utf-8") as stream:
                stream.write(text)
        except FileExistsError:
            kept.append(name)
        else:
            made.append(name)
    # Generated, ignored by git, and of this version: written anew each time.
    write_schemas(folder / ".patchctl" / "schemas")
    return ProjectFiles(tuple(made), tuple(kept))


def starter_text(name: str) -> str:
    """Return one of the files that a new project starts from."""
    return resources.files("patchctl.documents").joinpath("starter", name).read_text(encoding="utf-8")


def _inventory(hosts: Sequence[str], user: str) -> str:
    try:
        first = expand_range(hosts[0])[0]
        for host in hosts:
            expand_range(host)
    except ValueError as error:
        raise UsageError("invalid-range", str(error), "write web[01:50].example.com") from error
    listed = ", ".join(json.dumps(host) for host in hosts)
    text = starter_text("hosts.yaml").replace("@USER@", json.dumps(user)).replace("@FIRST@", json.dumps(first))
    return text.replace("@HOSTS@", listed)
