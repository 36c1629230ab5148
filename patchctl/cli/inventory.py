"""patchctl inventory: list hosts, show one host's settings with their origins, draw the groups."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING

import click

from patchctl.cli.options import inventory_options, output_option, refuse_empty
from patchctl.cli.output import Column, Document, emit
from patchctl.model.errors import UsageError
from patchctl.model.text import strip_control

if TYPE_CHECKING:
    from patchctl.usecases.access import Fleet


@click.group("inventory")
def command() -> None:
    """List hosts, show one host's settings and where each of them comes from."""


def _load(inventory: tuple[str, ...], limit: str | None) -> Fleet:
    from patchctl.cli.visiting import settings_of
    from patchctl.usecases.access import load_fleet

    return load_fleet(settings_of({"inventory": inventory}), limit)


@command.command("list")
@inventory_options
@output_option()
def list_hosts(inventory: tuple[str, ...], limit: str | None, output: str) -> None:
    """List the hosts that the inventory, or a limit pattern, gives."""
    from patchctl.usecases.inventory import host_data

    rows = [host_data(host) for host in _load(inventory, limit).hosts]
    columns = [
        Column("host", "HOST"), Column("address", "ADDRESS"), Column("site", "SITE"),
        Column("groups", "GROUPS", fit="wrap"), Column("state", "STATE"), Column("transport", "TRANSPORT", wide=True),
        Column("user", "USER", wide=True), Column("port", "PORT", wide=True, right=True),
        Column("become", "BECOME", wide=True), Column("jump", "JUMP", wide=True),
    ]
    shown = [{**row, "port": row["port"] or "", "state": "frozen" if row["frozen"] else ""} for row in rows]
    count = f"{len(rows)} host{'s' if len(rows) != 1 else ''}"
    emit(Document("patchctl/inventory/1", {"hosts": rows, "summary": {"hosts": len(rows)}}, shown, columns, "hosts",
                  (count,)), output)


@command.command("show")
@click.argument("host")
@click.option("--origin", is_flag=True, help="Also where each value comes from, and what was ignored.")
@click.option("-i", "--inventory", "inventory", multiple=True, metavar="PATH", callback=refuse_empty,
              help="Inventory file or folder.")
@output_option()
def show_host(host: str, origin: bool, inventory: tuple[str, ...], output: str) -> None:
    """Show all settings and variables of one host. Secrets are shown as references, never resolved."""
    from patchctl.usecases.inventory import explain_host, host_data

    known = _load(inventory, None).inventory.hosts
    if host not in known:
        near = difflib.get_close_matches(host, known, n=1)
        raise UsageError("unknown-host", f"there is no host {host!r}",
                         f"did you mean {near[0]!r}?" if near else "see patchctl inventory list")
    found = known[host]
    rows = explain_host(found)
    columns = [Column("key", "KEY"), Column("value", "VALUE", fit="wrap")]
    columns += [Column("origin", "ORIGIN")] if origin else []
    ignored = [f"ignored: {text}" for text in found.ignored] if origin else []
    data = {"host": {**host_data(found), "settings": rows, "ignored": list(found.ignored)}}
    emit(Document("patchctl/inventory-host/1", data, rows, columns, footer=ignored), output)


@command.command("graph")
@inventory_options
@output_option()
def show_graph(inventory: tuple[str, ...], limit: str | None, output: str) -> None:
    """Draw groups, what is nested in them, and their hosts."""
    from patchctl.usecases.inventory import draw_graph, group_data

    fleet = _load(inventory, limit)
    shown = {host.name for host in fleet.hosts}
    if output in ("table", "wide"):
        sys.stdout.write(strip_control(draw_graph(fleet.inventory, shown)))
        return
    rows = group_data(fleet.inventory, shown)
    columns = [Column("group", "GROUP"), Column("children", "CHILDREN"), Column("hosts", "HOSTS")]
    emit(Document("patchctl/inventory-graph/1", {"groups": rows}, rows, columns, "groups"), output)
