"""patchctl plan: what a policy would change, host by host, in which ring and wave, and what it leaves alone and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patchctl.cli.options import connection_options, inventory_options, output_option, quiet_options, state_option
from patchctl.cli.output import Column, Document, emit

if TYPE_CHECKING:
    from patchctl.documents.settings import Settings
    from patchctl.model.plan import HostPlan, Plan
    from patchctl.usecases.plan import PlanRequest

COLUMNS = (
    Column("host", "HOST"),
    Column("ring", "RING"),
    Column("wave", "WAVE", right=True),
    Column("updates", "UPDATES", right=True),
    Column("extras", "EXTRA", right=True),
    Column("security", "SECURITY", wide=True, right=True),
    Column("reboot", "REBOOT"),
    Column("rollback", "ROLLBACK", wide=True),
    Column("download", "DOWNLOAD", wide=True, right=True),
    Column("what", "WHAT", fit="cut", brief="brief"),
    Column("everything", "ALL CHANGES", wide=True),
)
SHOWN_CHANGES = 3
SHOWN_LINES = 20


@click.command("plan")
@click.option("--policy", required=True, metavar="NAME|FILE", help="Policy: a file, or a name below policies/.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write the plan for `patchctl apply FILE`.")
@click.option("--from-snapshots", "--from-snapshot", is_flag=True,
              help="Touch no host: plan from the latest stored snapshots.")
@click.option("--refresh", type=click.Choice(["auto", "never", "always"]),
              help="Package lists. [default: the policy's]")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 3 if the plan changes anything.")
@click.option("--fail-on", type=click.Choice(["any", "never"]), default="never", show_default=True,
              help="any: exit 3 for changes, 4 for hosts not reached.")
@click.option("--check", is_flag=True, help="Store nothing, write no plan file.")
@inventory_options
@state_option
@connection_options
@output_option()
@quiet_options
def command(
    policy: str, out: Path | None, from_snapshots: bool, refresh: str | None, detailed_exitcode: bool, fail_on: str,
    check: bool, inventory: tuple[str, ...], limit: str | None, state: str | None, forks: int | None,
    timeout: float | None, output: str, quiet: bool, verbose: int,
) -> int:  # fmt: skip
    """Work out exactly what a policy would change, without changing anything.

    Looks at the hosts (read only), decides which updates are approved, asks what they pull in, and puts the hosts
    into rings and waves. What is not known is never "nothing to do": such hosts are listed as blocked, with why.
    """
    from patchctl.cli.actor import current_actor
    from patchctl.cli.visiting import settings_of
    from patchctl.documents.inventories import load_inventory
    from patchctl.usecases.access import expand_limit
    from patchctl.usecases.controller import known_artefacts
    from patchctl.usecases.plan import PlanRequest, controller_names, find_policy, write_plan_file

    settings = settings_of({"inventory": inventory, "state": state, "forks": forks, "timeout": timeout})
    request = PlanRequest(
        policy=find_policy(policy, settings), inventory=load_inventory(settings.inventory), actor=current_actor(),
        limit=expand_limit(limit or ""), refresh=refresh or "", from_snapshots=from_snapshots, forks=settings.forks,
        timeout=settings.timeout, controllers=controller_names(), kept=known_artefacts(settings),
    )  # fmt: skip
    plan = _make(request, settings, save=not check, quiet=quiet, verbose=verbose)
    if out is not None and not check:
        write_plan_file(out, plan)
    changing = any(host.changes for host in plan.hosts.values())
    if not quiet or changing or any(host.skip for host in plan.hosts.values()):
        emit(describe_plan(plan, str(out) if out is not None and not check else ""), output)
    return pick_exit_code(plan, detailed=detailed_exitcode, fail_on=fail_on)


def _make(request: PlanRequest, settings: Settings, *, save: bool, quiet: bool, verbose: int) -> Plan:
    from patchctl.cli.progress import make_observer
    from patchctl.cli.redacting import run_secrets
    from patchctl.cli.visiting import prompt_for_secret
    from patchctl.store.database import open_store
    from patchctl.usecases.access import open_connections
    from patchctl.usecases.clock import SystemClock
    from patchctl.usecases.plan import make_plan

    observer, clock = make_observer(quiet, verbose), SystemClock()
    with open_store(settings.state, writable=save) as store:
        if request.from_snapshots:
            return make_plan(request, store, None, clock, observer, save=save)
        redactor = run_secrets().redactor()
        with open_connections(settings, request.inventory, prompt_for_secret(), redactor=redactor) as connections:
            return make_plan(request, store.redacting(redactor.clean), connections, clock, observer, save=save)


def pick_exit_code(plan: Plan, *, detailed: bool = False, fail_on: str = "never") -> int:
    """Return 13, 12 or 4 when no host could be looked at (by what refused it), else 4 or 3 as asked for, else 0."""
    hosts = plan.hosts.values()
    failures = [host.failure.status for host in hosts if host.failure is not None]
    if len(failures) == len(hosts):
        return {frozenset({"host-key"}): 13, frozenset({"auth-failed"}): 12}.get(frozenset(failures), 4)
    if fail_on == "any" and failures:
        return 4
    return 3 if (detailed or fail_on == "any") and any(host.changes for host in hosts) else 0


def describe_plan(plan: Plan, out: str = "") -> Document:
    """Return the plan as a document: `rollout status` JSON of a rollout not begun, with what only planning knows."""
    from patchctl.rollout.journal import initial, to_document

    data = to_document(initial(plan))
    never_run = _never_run(plan)
    for item in data["hosts"]:
        item.update(_describe_host(plan.hosts[item["host"]]))
        if item["host"] in never_run:
            item["never_run_on_windows"] = never_run[item["host"]]
    data["not_approved"] = _count_refused(plan)
    data["next_due"] = plan.next_due
    data["notes"] = list(plan.notes)
    data["summary"] = {**data["summary"], **_summarise(plan)}
    idle = not any(host.changes or host.skip for host in plan.hosts.values())
    rows = [] if idle else _mark_repeats([_row(plan, item) for item in _in_order(plan)])
    footer = [_nothing(plan), *_refused(plan), *_notes(plan)] if idle else _footer(plan, out)
    return Document("patchctl/plan/1", data, rows, COLUMNS, list_key="hosts", footer=footer)


def _mark_repeats(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let each row say "as HOST" in a plain table where an earlier host has the very same several changes."""
    first: dict[str, str] = {}
    for row in rows:
        known = first.setdefault(row["everything"], row["host"]) if row["everything"] else row["host"]
        row["brief"] = row["what"] if known == row["host"] or ", " not in row["everything"] else f"as {known}"
    return rows


def _nothing(plan: Plan) -> str:
    """Say in one line that no host changes, and how old the oldest knowledge behind that is."""
    from patchctl.model.units import format_duration

    ages = [host.metadata_age for host in plan.hosts.values() if host.metadata_age is not None]
    lists = f"; lists {format_duration(max(ages))} old" if ages else ""
    due = [host.host for host in plan.hosts.values() if host.reboot_expected]
    reboots = f"; reboot needed on {', '.join(due[:5])}{' …' if len(due) > 5 else ''}" if due else ""
    return f"Nothing to change on {_count(len(plan.hosts), 'host')}{lists}{reboots}"


def _describe_host(host: HostPlan) -> dict[str, Any]:
    from patchctl.model.codec import to_data

    return {
        "platform": host.platform,
        "changes": [
            {
                "package": c.package, "from": c.from_version, "to": c.to_version, "arch": c.arch, "pulled": c.pulled,
                "origin": c.origin, "security": c.security, "sha256": c.sha256, "reason": c.reason,
            }
            for c in host.changes
        ],
        "removals": list(host.removals),
        "not_approved": [{"package": p, "candidate": v, "reason": why} for p, v, why in host.not_approved],
        "reason": host.skip,
        "error": to_data(host.failure) if host.failure is not None else None,
        "late": host.late,
        "download_bytes": host.download_bytes,
        "notes": list(host.notes),
    }


def _in_order(plan: Plan) -> list[HostPlan]:
    """Return the hosts as the rollout takes them: by ring and wave, those without a wave after each ring."""
    rank = {ring.name: index for index, ring in enumerate(plan.rings)}
    place = {name: i for i, name in enumerate(n for ring in plan.rings for wave in ring.waves for n in wave)}
    last = len(plan.hosts)
    return sorted(plan.hosts.values(), key=lambda h: (rank.get(h.ring, len(rank)), place.get(h.host, last), h.host))


def _row(plan: Plan, host: HostPlan) -> dict[str, Any]:
    from patchctl.model.units import format_bytes

    texts = [f"{name} removed" for name in host.removals]  # never among the "and 17 more"
    texts += [_change_text(c.package, c.from_version, c.to_version, pulled=c.pulled) for c in host.changes]
    shown = max(SHOWN_CHANGES, len(host.removals))
    more = f" and {len(texts) - shown} more" if len(texts) > shown else ""
    known = not host.skip
    what = f"{host.skip_state}: {host.skip}" if host.skip else ", ".join(texts[:shown]) + more
    return {
        "host": host.host,
        "ring": host.ring or "-",
        "wave": host.wave or "-",
        "updates": sum(not c.pulled for c in host.changes) if known else "-",
        "extras": sum(c.pulled for c in host.changes) if known else "-",
        "security": sum(c.security is True for c in host.changes) if known else "-",
        "reboot": _reboot_text(host),
        "rollback": _rollback_text(host),
        "download": format_bytes(host.download_bytes) if known else "-",
        "what": what or "nothing to do",
        "everything": ", ".join(texts),
    }


def _change_text(package: str, old: str, new: str, *, pulled: bool) -> str:
    return f"{'+' if pulled else ''}{package} {old + ' -> ' if old else ''}{new}"


def _reboot_text(host: HostPlan) -> str:
    if host.skip:
        return "-"
    if host.reboot_expected is None:
        return "unknown"
    if not host.reboot_expected:
        return "no"
    return "due, not done" if host.reboot == "never" else "yes"


def _rollback_text(host: HostPlan) -> str:
    if host.skip or not host.changes:
        return "-"
    return "unknown" if host.undo is None else "no" if host.undo.why_not else "yes"


def _ways_back(plan: Plan) -> list[str]:
    """Say on how many hosts the earlier versions can be restored, and which hosts cannot be taken back and why."""
    hosts = [host for host in plan.hosts.values() if host.changes and not host.skip and host.undo is not None]
    if not hosts:
        return []
    sources = Counter(change.origin for host in hosts if host.undo for change in host.undo.changes)
    lost = [host for host in hosts if host.undo and host.undo.why_not]
    come = f" (earlier versions: {_join(sources)})" if sources else ""
    lines = [f"ROLLBACK      possible on {len(hosts) - len(lost):,} of {_count(len(hosts), 'host')}{come}"]
    lines += [f"  {host.host} cannot be rolled back: {host.undo.why_not}" for host in lost[:SHOWN_LINES] if host.undo]
    return lines


def _count_refused(plan: Plan) -> dict[str, Any]:
    """Return how many updates are left alone, on how many hosts, by the word their reason begins with."""
    words: Counter[str] = Counter()
    for host in plan.hosts.values():
        words.update(why.partition(":")[0] for _, _, why in host.not_approved)
    hosts = sum(bool(host.not_approved) for host in plan.hosts.values())
    return {"updates": words.total(), "hosts": hosts, "by_approval": dict(sorted(words.items()))}


def _summarise(plan: Plan) -> dict[str, Any]:
    acting = [host for host in plan.hosts.values() if not host.skip]
    return {
        "changing": sum(bool(host.changes) for host in acting),
        "changes": sum(len(host.changes) for host in acting),
        "pulled": sum(c.pulled for host in acting for c in host.changes),
        "reboots": sum(host.reboot_expected is True and host.reboot != "never" for host in acting),
        "reboots_unknown": sum(host.reboot_expected is None for host in acting),
        "download_bytes": sum(host.download_bytes for host in acting),
        "artefacts": len(plan.artefacts),
        "artefact_bytes": sum(artefact.size for artefact in plan.artefacts.values()),
        "concurrency": plan.concurrency,
    }


def _footer(plan: Plan, out: str) -> Sequence[str]:
    from patchctl.model.units import format_bytes, format_duration

    s = _summarise(plan)
    unknown = f", {s['reboots_unknown']} unknown" if s["reboots_unknown"] else ""
    lines = [
        "",
        (
            f"Rollout {plan.rollout}: changes on {s['changing']} of {_count(len(plan.hosts), 'host')}, "
            f"{_count(s['changes'], 'package change')} ({s['pulled']} pulled in, marked +), "
            f"{_count(s['reboots'], 'reboot')} expected{unknown}, {format_bytes(s['artefact_bytes'])} to fetch once"
        ),
    ]
    for ring in plan.rings:
        size = sum(len(wave) for wave in ring.waves)
        parts = [f"{_count(size, 'host')} in {_count(len(ring.waves), 'wave')} of at most {plan.concurrency}"]
        parts += [f"window {ring.windows} {plan.timezone}"] if ring.windows else []
        parts += [f"soak {format_duration(ring.soak)}"] if ring.soak else []
        parts += [f"approval: {ring.approval}"] if ring.approval else []
        lines.append(f"Ring {ring.name}: {', '.join(parts)}")
    lines += _ways_back(plan)
    lines += [f"REMOVED       {host.host}: {', '.join(host.removals)}" for host in plan.hosts.values() if host.removals]
    lines += _refused(plan)
    left = [host for host in plan.hosts.values() if host.skip]
    if left:
        lines.append(f"LEFT ALONE    {_count(len(left), 'host')} ({_join(Counter(h.skip_state for h in left))})")
        lines += [f"  {host.host}: {host.skip}" for host in left[:SHOWN_LINES]]
    lines += _notes(plan)
    if out:
        lines.append(f"Next: patchctl apply {out}")
    return lines


def _refused(plan: Plan) -> list[str]:
    from patchctl.model.localtime import format_instant, parse_zone

    refused = _count_refused(plan)
    if not refused["updates"]:
        return []
    due = f", next due {format_instant(plan.next_due, parse_zone(plan.timezone))}" if plan.next_due else ""
    counts = f"{_count(refused['updates'], 'update')} on {_count(refused['hosts'], 'host')}"
    return [f"NOT APPROVED  {counts} ({_join(refused['by_approval'])}){due}"]


def _never_run(plan: Plan) -> dict[str, list[str]]:
    """Return, for the Windows hosts of the plan, the steps they go through that nobody has run on Windows."""
    if not any(host.platform == "windows" for host in plan.hosts.values()):
        return {}
    from patchctl.usecases.windows_proof import never_run_of_plan

    return never_run_of_plan(plan)


def never_run_note(plan: Plan) -> list[str]:
    """Return a line on those steps, or nothing."""
    if not any(host.platform == "windows" for host in plan.hosts.values()):
        return []
    from patchctl.usecases.windows_proof import describe_never_run

    return describe_never_run(plan)


def _notes(plan: Plan) -> list[str]:
    own = [f"Note: {host.host}: {note}" for host in plan.hosts.values() for note in host.notes]
    return [*(f"Note: {note}" for note in [*plan.notes, *never_run_note(plan)]), *own[:SHOWN_LINES]]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _join(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{word} {count}" for word, count in counts.items())
