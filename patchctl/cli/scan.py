"""patchctl scan: what state every host is in, as far as it can be known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from patchctl.cli.options import connection_options, inventory_options, output_option, quiet_options, state_option
from patchctl.cli.output import Column, Document, emit
from patchctl.cli.visiting import exit_code, fleet_of, is_known, prompt_for_secret, scan_options, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from patchctl.usecases.access import Fleet

COLUMNS = (
    Column("host", "HOST"),
    Column("status", "STATUS"),
    Column("os", "OS"),
    Column("pending", "PENDING", right=True),
    Column("security", "SECURITY", right=True),
    Column("reboot_required", "REBOOT"),
    Column("age", "LISTS", right=True),
    Column("kernel", "KERNEL", wide=True),
    Column("packages", "PACKAGES", wide=True, right=True),
    Column("restarts", "RESTART", wide=True),
    Column("broken", "BROKEN", wide=True),
    Column("seconds", "SECONDS", wide=True, right=True),
    Column("why", "WHY", wide=True),
)
PLACEHOLDER_NONCE = "0" * 32
SHOWN = 20
CLOCK_TOLERANCE = 300.0
"""Seconds by which a host's clock may be wrong: Kerberos and certificates bear five minutes (RFC 4120, 1.6)."""


@click.command("scan")
@click.option("--print-script", "script_of", is_flag=False, flag_value="", default=None, metavar="[HOST]",
              help="Print exactly what would run on a host (the nonce is new each time); touch none.")
@scan_options
@inventory_options
@connection_options
@state_option
@output_option()
@quiet_options
def command(
    script_of: str | None, refresh: str, from_snapshot: bool, check: bool, fail_on: str, inventory: tuple[str, ...],
    limit: str | None, forks: int | None, timeout: float | None, state: str | None, output: str, quiet: bool,
    verbose: int,
) -> int:  # fmt: skip
    """Collect the state of hosts into snapshots.

    One connection, one script and one privilege escalation per host; nothing on the host is changed. What could not
    be read is unknown, with the reason, and never counts as zero.
    """
    if script_of is not None:
        _print_script(script_of, refresh, inventory)
        return 0
    settings = settings_of({"inventory": inventory, "forks": forks, "timeout": timeout, "state": state})
    fleet = fleet_of(settings, limit)
    if check:
        emit(describe_check(fleet, "scan-check"), output)
        return 0
    from patchctl.cli.progress import make_observer
    from patchctl.cli.redacting import run_secrets
    from patchctl.store.database import open_store
    from patchctl.usecases.access import open_connections
    from patchctl.usecases.clock import SystemClock
    from patchctl.usecases.scan import describe_host, scan_hosts
    from patchctl.usecases.updates import describe_missing, read_latest

    names = [host.name for host in fleet.hosts]
    with open_store(settings.state, writable=not from_snapshot) as store:
        before = read_before(store, names) if fail_on == "new" else {}
        if from_snapshot:
            found = {one.host: describe_host(one) for one in read_latest(store, names, SystemClock().now())}
        else:
            redactor = run_secrets().redactor()
            with open_connections(settings, fleet.inventory, prompt_for_secret(), redactor=redactor) as connections:
                found = {one.host: describe_host(one) for one in scan_hosts(
                    fleet, connections, refresh=refresh, forks=settings.forks, clock=SystemClock(),
                    observer=make_observer(quiet, verbose), store=store.redacting(redactor.clean),
                )}  # fmt: skip
    items = [found.get(name) or {**describe_missing(name), "security": None, "reboot_required": None} for name in names]
    document = _document(items)
    code = exit_code(items, fail_on, before)
    if not quiet or code:
        emit(document, output)
    return code


def read_before(store: Any, names: Sequence[str]) -> dict[str, tuple[bool, int]]:
    """Return host -> (was it known what is pending, how many updates) from the latest snapshots."""
    from patchctl.usecases.updates import describe_host, read_latest

    found = {}
    for one in read_latest(store, names):
        item = describe_host(one)
        found[one.host] = (is_known(item), item["pending"] or 0)
    return found


def describe_check(fleet: Fleet, name: str) -> Document:
    """Return which hosts would be visited and how."""
    rows = [
        {"host": h.name, "transport": h.connection.transport, "site": h.site or None,
         "become": h.connection.become.method}
        for h in fleet.hosts
    ]  # fmt: skip
    columns = [Column("host", "HOST"), Column("transport", "BY"), Column("site", "SITE"), Column("become", "BECOME")]
    shown = [{**row, "site": row["site"] or ""} for row in rows]
    footer = (f"{len(rows)} hosts would be visited; none was",)
    return Document(f"patchctl/{name}/1", {"hosts": rows}, shown, columns, "hosts", footer)


def _print_script(name: str, refresh: str, inventory: tuple[str, ...]) -> None:
    from patchctl.usecases.scan import compile_probes, scan_probes, shell_of

    shell = "sh"
    if name:
        fleet = fleet_of(settings_of({"inventory": inventory}), name)
        shell = shell_of(fleet.hosts[0])
    click.echo(compile_probes(shell, scan_probes(shell, refresh), PLACEHOLDER_NONCE), nl=False)


def _document(items: Sequence[Mapping[str, Any]]) -> Document:
    from patchctl.usecases.scan import summarise

    summary = summarise(items)
    return Document(
        "patchctl/scan/1", {"hosts": list(items), "summary": summary}, [_row(item) for item in items], COLUMNS, "hosts",
        tuple(_footer(items, summary)),
    )  # fmt: skip


def _list_oddities(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return lines on what makes no host unknown and should not go unseen: held, half-installed, a wrong clock."""
    from patchctl.model.units import format_duration

    held = [item for item in items if item.get("held_back")]
    found = []
    if held:
        count = sum(item["held_back"] for item in held)
        found.append(f"{count} more held back on {len(held)} hosts; why: patchctl updates")
    for item in items:
        if item.get("broken"):
            found.append(f"BROKEN  {item['host']}  {'; '.join(item['broken'][:5])}")
        skew = item.get("clock_skew")
        if skew is not None and abs(skew) > CLOCK_TOLERANCE:
            found.append(f"CLOCK  {item['host']}  {format_duration(abs(skew))} {'ahead' if skew > 0 else 'behind'}")
    more = len(found) - SHOWN
    return found if more <= 0 else [*found[:SHOWN], f"... and {more} more of these: -o json shows them all"]


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    from patchctl.model.units import format_duration

    os = item.get("os") or {}
    age = item["metadata_age"]
    error = item["error"] or {}
    return {
        **item,
        "os": " ".join(x for x in (os.get("id"), os.get("version")) if x) or None,
        "age": None if age is None else format_duration(age),
        "why": error.get("message") or "; ".join(item.get("reasons") or ()),
    }


def _footer(items: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> list[str]:
    """Return the summary, then why hosts are not ok or must be rebooted."""
    states = ", ".join(f"{count} {status}" for status, count in summary["status"].items())
    lines = ["", f"{summary['hosts']} hosts: {states}"]
    if summary["pending"] is not None:
        security = summary["security"]
        lines.append(
            f"{summary['pending']} updates pending, {'unknown' if security is None else security} of them security"
        )
    if summary["unknown"]:
        lines.append(f"Pending updates UNKNOWN on {summary['unknown']} hosts")
    if summary["reboot_required"]:
        lines.append(f"Reboot needed on {summary['reboot_required']} hosts")
    lines += _list_oddities(items)
    troubled = [item for item in items if item["error"]]
    for item in troubled[:SHOWN]:
        error = item["error"]
        lines.append(f"{item['status'].upper()}  {item['host']}  {error['message']}")
        if error["hint"]:
            lines.append(f"    hint: {error['hint']}")
    if len(troubled) > SHOWN:
        lines.append(f"... and {len(troubled) - SHOWN} more: -o wide shows them all")
    return lines
