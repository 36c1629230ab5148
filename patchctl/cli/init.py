"""patchctl init: a project folder to start from."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

import click

from patchctl.cli.options import output_option
from patchctl.cli.output import emit_done


@click.command("init")
@click.argument("folder", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--host", "hosts", multiple=True, metavar="NAME",
              help="A host for the first inventory, ranges too: web[01:50].example.com; may be repeated.")
@click.option("--user", metavar="NAME", help="User to log in as. [default: you]")
@output_option()
def command(folder: Path, hosts: tuple[str, ...], user: str | None, output: str) -> None:
    """Make a project folder with a first inventory and policies. What is there already is never changed."""
    from patchctl.usecases.project import make_project

    found = make_project(folder, hosts, user or getpass.getuser())
    for name in found.kept:
        print(f"kept {folder / name} as it is", file=sys.stderr)
    steps = ["patchctl trust --limit all", "patchctl scan", "patchctl plan --policy everything-now"]
    if not hosts and "inventories/hosts.yaml" in found.made:
        steps.insert(0, f"write your hosts into {folder / 'inventories/hosts.yaml'}")
    data = {"folder": str(folder), "made": list(found.made), "kept": list(found.kept), "next": steps}
    emit_done("patchctl/init/1", data, [f"made {folder / name}" for name in found.made], output)
    print(f"next: {'; '.join(steps)}", file=sys.stderr)
