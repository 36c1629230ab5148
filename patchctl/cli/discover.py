"""patchctl discover: which hosts are on the network, and which of them nobody manages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patchctl.cli.options import inventory_options, output_option, quiet_options
from patchctl.cli.output import Column, Document, emit

if TYPE_CHECKING:
    from patchctl.discover.scopes import Scope
    from patchctl.model.devices import Device

COLUMNS = (
    Column("address", "ADDRESS"),
    Column("state", "STATE"),
    Column("matched", "HOST"),
    Column("services", "SERVICES"),
    Column("name", "NAME", wide=True),
    Column("fingerprint", "KEY FINGERPRINT", wide=True),
    Column("reason", "WHY"),
)


@click.command("discover")
@click.option("--net", "nets", multiple=True, required=True, metavar="CIDR", help="Network to sweep; may be repeated.")
@click.option("--exclude", multiple=True, metavar="CIDR|HOST", help="Never touched, beside those of patchctl.yaml.")
@click.option("--port", "ports", type=click.IntRange(1, 65535), multiple=True, metavar="N",
              help="Port to ask. [default: 22, 5985, 5986]")
@click.option("--rate", type=click.FloatRange(1, 5000), default=50.0, show_default=True, metavar="N",
              help="Connections per second.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write what is new as an inventory file for review; never overwrites.")
@click.option("--no-names", is_flag=True, help="Do not ask the resolver for names.")
@click.option("--check", is_flag=True, help="Tell targets and duration; send nothing.")
@inventory_options
@output_option()
@quiet_options
def command(
    nets: tuple[str, ...], exclude: tuple[str, ...], ports: tuple[int, ...], rate: float, out: Path | None,
    no_names: bool, check: bool, inventory: tuple[str, ...], limit: str | None, output: str, quiet: bool, verbose: int,
) -> int:  # fmt: skip
    """Sweep networks for SSH and WinRM and compare with the inventory.

    Sends no credentials and trusts nothing it sees: host keys are shown as evidence only. Excluded addresses are
    never touched, whatever network they are in. Ctrl-C ends the sweep and shows what answered so far.
    """
    from patchctl.cli.interrupts import catch_signals
    from patchctl.cli.progress import make_observer
    from patchctl.cli.visiting import settings_of
    from patchctl.discover.draft import draft_inventory
    from patchctl.documents.inventories import load_inventory
    from patchctl.usecases.access import known_hosts_files
    from patchctl.usecases.atomic import write_atomically
    from patchctl.usecases.discover import DiscoveryRequest, discover, made_line, prepare_scope

    settings = settings_of({"inventory": inventory})
    request = DiscoveryRequest(
        nets=nets, allow=settings.discovery.allow, exclude=(*settings.discovery.exclude, *exclude),
        ports=ports or (22, 5985, 5986), rate=rate, names=not no_names,
    )
    scope = prepare_scope(request)
    if check:
        emit(_describe(scope), output)
        return 0
    if out is not None and out.exists():
        raise click.UsageError(f"{out} exists already; name a new file with --out")
    known = load_inventory(settings.inventory)
    observer = make_observer(quiet, verbose)
    observer.started("discover", len(scope.addresses))
    try:
        with catch_signals() as interrupt:
            devices = discover(
                request, known, known_hosts_files(settings.known_hosts),
                on_seen=lambda s: observer.finished(s.address, "ok", ", ".join(x.kind for x in s.services)),
                stop=interrupt.requested,
            )
    finally:
        observer.ended()
    whole = not interrupt.requested()
    if limit:
        from patchctl.model.selection import select_hosts

        chosen = set(select_hosts(known, limit))
        devices = tuple(d for d in devices if d.matched in chosen)
    if not (quiet and whole and all(d.state == "managed" for d in devices)):
        emit(_document(devices, whole=whole), output)
    if out is not None:
        write_atomically(out, draft_inventory(devices, made_line(request)).encode(), mode=0o644)
        print(f"wrote {out}: review it, then move the hosts into your inventory", file=sys.stderr)
    return interrupt.exit_code


def _describe(scope: Scope) -> Document:
    data: dict[str, Any] = {
        "targets": len(scope.addresses), "ports": list(scope.ports), "connections": scope.connections,
        "excluded": scope.excluded, "rate": scope.rate, "seconds": round(scope.seconds, 1),
        "first": scope.addresses[0] if scope.addresses else None,
        "last": scope.addresses[-1] if scope.addresses else None,
    }  # fmt: skip
    told = (
        f"{len(scope.addresses)} addresses x {len(scope.ports)} ports at {scope.rate:g}/s: "
        f"at most {scope.seconds + 5:.0f} s; {scope.excluded} excluded; nothing was sent"
    )
    columns = [Column("first", "FIRST"), Column("last", "LAST"), Column("targets", "TARGETS", right=True)]
    return Document("patchctl/discover-check/1", data, [data], columns, footer=(told,))


def _document(devices: tuple[Device, ...], *, whole: bool) -> Document:
    from patchctl.model.codec import to_data

    items = [{**to_data(d), "matched": d.matched or None} for d in devices]
    counts: dict[str, int] = {}
    for device in devices:
        counts[device.state] = counts.get(device.state, 0) + 1
    rows = [
        {
            "address": d.address, "state": d.state, "matched": d.matched, "name": d.name, "reason": d.reason,
            "services": " ".join(f"{s.kind}:{s.port}" for s in d.services),
            "fingerprint": " ".join(s.key_fingerprint for s in d.services if s.key_fingerprint),
        }
        for d in devices
    ]  # fmt: skip
    footer = ["  ".join(f"{state} {count}" for state, count in sorted(counts.items())) or "nothing answered"]
    if not whole:
        footer.append("STOPPED before the end: addresses that are not listed may not have been asked")
    data = {"devices": items, "summary": counts, "complete": whole}
    return Document("patchctl/discover/1", data, rows, COLUMNS, list_key="devices", footer=footer)
