"""patchctl updates: what is pending where, and whether a policy approves it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from patchctl.cli.options import connection_options, inventory_options, output_option, quiet_options, state_option
from patchctl.cli.output import Column, Document, emit
from patchctl.cli.scan import describe_check, read_before
from patchctl.cli.visiting import exit_code, fleet_of, prompt_for_secret, scan_options, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from patchctl.documents.settings import Settings
    from patchctl.model.policy import Policy

COLUMNS = (
    Column("host", "HOST"),
    Column("package", "PACKAGE"),
    Column("installed", "INSTALLED", wide=True),  # with both versions a row would not fit 80 columns
    Column("candidate", "CANDIDATE"),
    Column("kind", "SEC"),
    Column("approval", "APPROVAL"),
    Column("arch", "ARCH", wide=True),
    Column("origin", "ORIGIN", wide=True),
    Column("severity", "SEVERITY", wide=True),
    Column("first_seen", "FIRST SEEN", wide=True),
    Column("reason", "REASON", wide=True),
)


@click.command("updates")
@click.option("--policy", metavar="NAME|FILE", help="Show what this policy approves, and why.")
@click.option("--security", is_flag=True, help="Security updates only.")
@scan_options
@inventory_options
@connection_options
@state_option
@output_option()
@quiet_options
def command(
    policy: str | None, security: bool, refresh: str, from_snapshot: bool, check: bool, fail_on: str,
    inventory: tuple[str, ...], limit: str | None, forks: int | None, timeout: float | None, state: str | None,
    output: str, quiet: bool, verbose: int,
) -> int:  # fmt: skip
    """List pending updates host by host.

    Asks the hosts just that, unless --from-snapshot (and, for --fail-on new, takes a whole snapshot to compare with
    the next time). Lists what the package manager itself would upgrade, with what is held, phased, pinned or kept
    back and why. A host whose list cannot be trusted is UNKNOWN, never "nothing pending".
    """
    settings = settings_of({"inventory": inventory, "forks": forks, "timeout": timeout, "state": state})
    fleet = fleet_of(settings, limit)
    if check:
        emit(describe_check(fleet, "updates-check"), output)
        return 0
    from patchctl.cli.progress import make_observer
    from patchctl.cli.redacting import run_secrets
    from patchctl.store.database import open_store
    from patchctl.usecases.access import open_connections
    from patchctl.usecases.clock import SystemClock
    from patchctl.usecases.scan import scan_hosts
    from patchctl.usecases.updates import describe_host, describe_missing, list_updates, read_latest

    rules = _load_policy(policy, settings)
    clock = SystemClock()
    names = [host.name for host in fleet.hosts]
    with open_store(settings.state, writable=not from_snapshot) as store:
        before = read_before(store, names) if fail_on == "new" else {}
        if from_snapshot:
            scanned = {one.host: one for one in read_latest(store, names, clock.now())}
        else:
            redactor = run_secrets().redactor()
            with open_connections(settings, fleet.inventory, prompt_for_secret(), redactor=redactor) as connections:
                scanned = {one.host: one for one in scan_hosts(
                    fleet, connections, refresh=refresh, forks=settings.forks, clock=clock,
                    observer=make_observer(quiet, verbose), store=store.redacting(redactor.clean),
                    pending_only=fail_on != "new",
                )}  # fmt: skip
        seen = store.first_seen()
    now = clock.now()
    updates = [
        item
        for name in names
        if name in scanned
        for item in list_updates(scanned[name], seen, rules, fleet.inventory, now)
        if not security or item["security"] is not False
    ]
    hosts = [describe_host(scanned[name]) if name in scanned else describe_missing(name) for name in names]
    code = exit_code(hosts, fail_on, before)
    if not quiet or code:
        emit(_document(updates, hosts), output)
    return code


def _load_policy(name: str | None, settings: Settings) -> Policy | None:
    if name is None:
        return None
    from patchctl.usecases.plan import find_policy  # pydantic and the planner cost time, and are seldom wanted here

    return find_policy(name, settings)


def _document(updates: Sequence[Mapping[str, Any]], hosts: Sequence[Mapping[str, Any]]) -> Document:
    summary = {
        "hosts": len(hosts),
        "unknown": sum(h["pending"] is None for h in hosts),
        "updates": len(updates),
        "security": sum(u["security"] is True for u in updates),
        "security_unknown": sum(u["security"] is None for u in updates),
        "approval": dict(Counter(u["approval"] for u in updates)),
    }
    data = {"updates": list(updates), "hosts": list(hosts), "summary": summary}
    rows = [{**u, "kind": u["security"], "severity": u["severity"] or ""} for u in updates]
    return Document("patchctl/updates/1", data, rows, COLUMNS, "updates", tuple(_footer(hosts, summary)))


def _footer(hosts: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> list[str]:
    approvals = ", ".join(f"{count} {name}" for name, count in sorted(summary["approval"].items()))
    known = summary["hosts"] - summary["unknown"]
    lines = ["", f"{summary['updates']} updates, {summary['security']} of them security, on {known} hosts"]
    if approvals:
        lines[-1] += f": {approvals}"
    if summary["unknown"]:
        lines.append(f"UNKNOWN on {summary['unknown']} hosts:")
        for item in hosts:
            if item["pending"] is None:
                error = item["error"] or {"message": "unknown", "hint": None}
                hint = f" ({error['hint']})" if error["hint"] else ""
                lines.append(f"  {item['host']}  {item['status']}  {error['message']}{hint}")
    return lines
