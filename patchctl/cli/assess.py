"""patchctl assess: how far every host is what its baselines ask for, and what could not be told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patchctl.cli.options import connection_options, inventory_options, output_option, quiet_options, state_option
from patchctl.cli.output import Column, Document, emit
from patchctl.cli.visiting import fleet_of, prompt_for_secret, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from patchctl.assess.contract import Baseline
    from patchctl.documents.settings import Settings
    from patchctl.model.ports import Observer
    from patchctl.store.database import Store
    from patchctl.usecases.access import Fleet
    from patchctl.usecases.assess import AssessmentOrder, AssessmentResult

CI_FORMATS = ("sarif", "junit")
"""Written as `report compliance` writes them, every finding of this run."""
SCORES = (
    Column("host", "HOST"),
    Column("baseline", "BASELINE", fit="cut"),
    Column("score", "SCORE", right=True),
    Column("pass", "PASS", right=True),
    Column("fail", "FAIL", right=True),
    Column("error", "ERR", right=True),
    Column("unknown", "UNKN", right=True),
    Column("not_applicable", "N/A", right=True),
    Column("waived", "WAIVED", right=True),
)
RESULTS = (
    Column("host", "HOST"),
    Column("baseline", "BASELINE"),
    Column("rule", "RULE"),
    Column("severity", "SEVERITY"),
    Column("verdict", "VERDICT"),
    Column("title", "TITLE"),
    Column("expected", "EXPECTED"),
    Column("actual", "ACTUAL"),
    Column("reason", "WHY"),
    Column("waived_until", "WAIVED UNTIL"),
)


@click.command("assess")
@click.option("--baseline", "references", multiple=True, metavar="NAME|FILE[#PROFILE]",
              help="What to judge by: a name below baselines/, a file, with #PROFILE where it has some; repeatable.")
@click.option("--tailoring", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Tailoring file that changes the profile (SCAP).")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Replace a parameter's value; repeatable.")
@click.option("--model", type=click.Choice(["default", "flat", "flat-unweighted", "absolute"]), default="default",
              show_default=True, help="How scores are computed (XCCDF 1.2, section 7.3).")
@click.option("--from-snapshot", "recorded", is_flag=False, flag_value="latest", default=None, metavar="[DATE|RUN|TAG]",
              help="Judge recorded snapshots: the latest, those of a day, a run or a tag; touch no host.")
@click.option("--what-if", "instead", metavar="NAME|FILE[#PROFILE]",
              help="Say which hosts would newly fail or pass by this baseline instead; recorded snapshots, no host.")
@click.option("--check", is_flag=True, help="Tell which hosts would be visited and what would be asked; touch none.")
@click.option("--fail-on", type=click.Choice(["any", "new", "never"]), default="any", show_default=True,
              help="Exit 3 for findings and 4 for hosts not reached: always, only if new since last time, never.")
@inventory_options
@connection_options
@state_option
@output_option(*CI_FORMATS)
@quiet_options
def command(
    references: tuple[str, ...], tailoring: Path | None, values: tuple[str, ...], model: str, recorded: str | None,
    instead: str | None, check: bool, fail_on: str, inventory: tuple[str, ...], limit: str | None, forks: int | None,
    timeout: float | None, state: str | None, output: str, quiet: bool, verbose: int,
) -> int:  # fmt: skip
    """Judge hosts by baselines; nothing on a host is changed.

    Exits 0 only when every rule that applies holds on every host. What could not be read is UNKNOWN, with the reason,
    and counts as a finding; a waived finding is shown and counts no more until the waiver ends.
    """
    if not references:
        raise click.UsageError("name what to judge by: --baseline NAME, a file, or FILE#PROFILE; "
                               "patchctl baseline list shows what there is")  # fmt: skip
    if output in CI_FORMATS and (check or instead is not None):
        raise click.UsageError(f"-o {output} is for findings: leave --check and --what-if away, or write -o json")
    from patchctl.cli.progress import make_observer
    from patchctl.store.database import open_store
    from patchctl.usecases.assess import exit_code, known_before
    from patchctl.usecases.baselines import load_baselines

    settings = settings_of({"inventory": inventory, "forks": forks, "timeout": timeout, "state": state})
    baselines = load_baselines(
        references, settings.baselines, tailoring=tailoring, parameters=read_parameters(values), write=not check
    )
    fleet = fleet_of(settings, limit)
    if check:
        emit(_describe_check(fleet, baselines), output)
        return 0
    if instead is not None:
        from patchctl.cli.what_if import tell_what_if

        return tell_what_if(settings, fleet, baselines, instead, recorded or "latest", model, output, quiet=quiet)
    order = _order(fleet, baselines, references, model, settings)
    with open_store(settings.state, writable=recorded is None) as store:
        names = [baseline.name for baseline in baselines]
        known = known_before(store.assessments, names) if fail_on == "new" else (set(), set())
        observer = make_observer(quiet, verbose)
        result = _replay(order, store, recorded, observer) if recorded else _visit(order, settings, store, observer)
        code = exit_code(result, fail_on, known)
        if not quiet or code:
            _warn(result, baselines)
            if output in CI_FORMATS:
                _emit_report(result, baselines, output)
            else:
                emit(describe_result(result, fleet, output), output)
        if not recorded:  # only now: what a full disk or a kill kept from being told is told the next time
            store.assessments.mark_told(result.run.run)
    return code


def _emit_report(result: AssessmentResult, baselines: Sequence[Baseline], output: str) -> None:
    """Write the run in one of CI_FORMATS. Secrets are masked text by text: masked later, XML and JSON might break."""
    import time

    from patchctl.cli.redacting import run_secrets
    from patchctl.report.compliance.registry import format_named
    from patchctl.usecases.compliance import compliance_of

    report = compliance_of(result, baselines, time.time(), run_secrets().clean)
    write = getattr(sys.stdout, "write_cleaned", sys.stdout.write)
    for file in format_named(output).render(report):
        write(file.data.decode())
    sys.stdout.flush()


def _order(
    fleet: Fleet, baselines: Sequence[Baseline], references: Sequence[str], model: str, settings: Settings
) -> AssessmentOrder:
    from patchctl.cli.actor import current_actor
    from patchctl.documents.waivers import load_waivers
    from patchctl.usecases.assess import AssessmentOrder
    from patchctl.usecases.waivers import waiver_members

    waivers = load_waivers(settings.baselines, settings.max_waiver)
    members = waiver_members(waivers, fleet.inventory)
    return AssessmentOrder(fleet, baselines, references, waivers, members, model, current_actor())


def _visit(order: AssessmentOrder, settings: Settings, store: Store, observer: Observer) -> AssessmentResult:
    from patchctl.cli.redacting import run_secrets
    from patchctl.usecases.access import open_connections
    from patchctl.usecases.assess import assess_hosts
    from patchctl.usecases.clock import SystemClock

    redactor = run_secrets().redactor()
    with open_connections(settings, order.fleet.inventory, prompt_for_secret(), redactor=redactor) as connections:
        return assess_hosts(
            order, connections, forks=settings.forks, clock=SystemClock(), observer=observer,
            store=store.redacting(redactor.clean),
        )  # fmt: skip


def _replay(order: AssessmentOrder, store: Store, recorded: str, observer: Observer) -> AssessmentResult:
    import time

    from patchctl.usecases.assess import assess_recorded
    from patchctl.usecases.replay import recorded_snapshots

    found = recorded_snapshots(store.assessments, [host.name for host in order.fleet.hosts], recorded)
    return assess_recorded(order, found, time.time(), observer)


def read_parameters(values: Sequence[str]) -> dict[str, str]:
    """Read NAME=VALUE words."""
    found = {}
    for text in values:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--set {text}: write NAME=VALUE")
        found[name] = value
    return found


WARNINGS = 5
"""Warnings about content that are told; `baseline show` tells all."""


def _warn(result: AssessmentResult, baselines: Sequence[Baseline]) -> None:
    """Say on stderr what is amiss in the content, and which hosts a baseline does not concern at all.

    Those are not compliant, they are not judged.
    """
    from patchctl.usecases.baselines import content_warnings

    amiss = content_warnings(baselines)
    for text in amiss[:WARNINGS]:
        print(f"patchctl: warning: {text}", file=sys.stderr)
    if len(amiss) > WARNINGS:
        print(f"patchctl: warning: {len(amiss) - WARNINGS} more about the content: patchctl baseline show NAME",
              file=sys.stderr)
    foreign: dict[str, list[str]] = {}
    for one in result.hosts:
        for baseline in one.foreign:
            foreign.setdefault(baseline, []).append(one.host)
    for baseline, hosts in foreign.items():
        shown = ", ".join(hosts[:5]) + (f" and {len(hosts) - 5} more" if len(hosts) > 5 else "")
        print(f"patchctl: warning: nothing in {baseline} applies to {shown}: not judged by it", file=sys.stderr)


def describe_result(result: AssessmentResult, fleet: Fleet, output: str) -> Document:
    """Return the document: a table shows scores, then failures; the other formats every finding."""
    from patchctl.report.assessment import (
        describe_finding,
        describe_score,
        describe_waiver,
        finding_lines,
        rank,
        waiver_lines,
    )

    results = sorted((describe_finding(f) for one in result.hosts for f in one.findings), key=rank)
    waived: dict[tuple[str, str], int] = {}
    for item in results:
        if item["waiver"]:
            key = (item["host"], item["baseline"])
            waived[key] = waived.get(key, 0) + 1
    scores = [
        describe_score(score, waived.get((one.host, score.baseline), 0)) for one in result.hosts for score in one.scores
    ]
    waivers = [
        {**describe_waiver(use.waiver), "state": use.state, "findings": use.findings} for use in result.waivers
    ]
    data: dict[str, Any] = {
        "results": results,
        "scores": scores,
        "hosts": [_describe_host(one, result) for one in result.hosts],
        "groups": _group_scores(result, fleet, waived),
        "waivers": waivers,
        "baselines": [
            {"name": b.name, "title": b.title, "kind": b.kind, "digest": b.digest} for b in result.run.baselines
        ],
        "summary": _summary(result, results),
    }
    if output == "table":
        rows = [{**s, "score": "n/a" if s["score"] is None else f"{s['score']:.1f}"} for s in scores]
        if len(result.run.baselines) == 1:
            columns = tuple(c for c in SCORES if c.key != "baseline")
        else:
            columns = SCORES
        footer = [*_host_lines(data["hosts"]), "", *finding_lines(results), *waiver_lines(waivers), *_totals(data)]
        return Document("patchctl/assess/1", data, rows, columns, "results", footer)
    shown = [{**r, "waived_until": (r["waiver"] or {}).get("until", "")} for r in results]
    return Document("patchctl/assess/1", data, shown, RESULTS, "results", _totals(data) if output == "wide" else ())


def _describe_host(one: Any, result: AssessmentResult) -> dict[str, Any]:
    snapshot = one.snapshot
    return {
        "host": one.host, "status": one.status, "error": one.error, "taken_at": snapshot.taken_at or None,
        "seconds": round(snapshot.seconds, 2), "round_trips": snapshot.round_trips if snapshot.evidence else 0,
        "snapshot": result.snapshots.get(one.host), "not_concerned": list(one.foreign),
    }  # fmt: skip


def _group_scores(
    result: AssessmentResult, fleet: Fleet, waived: Mapping[tuple[str, str], int]
) -> list[dict[str, Any]]:
    """Return the score of each group and of all hosts of this run (`all`), by baseline."""
    from patchctl.assess.score import combine
    from patchctl.report.assessment import describe_score

    found = []
    scores = {(s.host, s.baseline): s for one in result.hosts for s in one.scores}
    present = {one.host for one in result.hosts}
    groups = {"all": present, **{name: present & set(g.hosts) for name, g in fleet.inventory.groups.items()}}
    for name, hosts in groups.items():
        for baseline in result.run.baselines:
            mine = [scores[host, baseline.name] for host in sorted(hosts) if (host, baseline.name) in scores]
            if mine:
                number = sum(waived.get((host, baseline.name), 0) for host in hosts)
                item = describe_score(combine(name, mine), number, "group")
                found.append({**item, "hosts": len(mine), "scored": sum(s.score is not None for s in mine)})
    return found


def _summary(result: AssessmentResult, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    verdicts: dict[str, int] = {}
    for item in results:
        verdicts[item["verdict"]] = verdicts.get(item["verdict"], 0) + 1
    statuses: dict[str, int] = {}
    for one in result.hosts:
        statuses[one.status] = statuses.get(one.status, 0) + 1
    return {
        "run": result.run.run, "hosts": len(result.hosts), "status": statuses, "verdicts": verdicts,
        "waived": sum(item["waiver"] is not None for item in results),
        "round_trips": max((one.snapshot.round_trips for one in result.hosts if one.snapshot.evidence), default=0),
    }  # fmt: skip


def _host_lines(hosts: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for host in hosts:
        if host["error"]:
            lines.append(f"{host['status'].upper()}  {host['host']}  {host['error']['message']}")
            if host["error"]["hint"]:
                lines.append(f"    hint: {host['error']['hint']}")
    return ["", *lines] if lines else []


def _totals(data: Mapping[str, Any]) -> list[str]:
    """Return what the fleet came to, in one line for each baseline."""
    summary = data["summary"]
    states = ", ".join(f"{count} {status}" for status, count in summary["status"].items())
    lines = ["", f"{summary['hosts']} hosts: {states}; round trips {summary['round_trips']}; run {summary['run']}"]
    for item in data["groups"]:
        if item["group"] == "all":
            score = "n/a: nothing applied" if item["score"] is None else f"{item['score']:.1f}"
            bad = item["fail"] + item["error"] + item["unknown"]
            lines.append(f"{item['baseline']}: score {score}, {bad} findings, {item['waived']} of them waived")
    return lines


def _describe_check(fleet: Fleet, baselines: Sequence[Baseline]) -> Document:
    """Return which hosts would be visited, and how many probes their first script would hold."""
    from patchctl.usecases.assess import assessment_probes
    from patchctl.usecases.scan import shell_of

    counts = {shell: len(assessment_probes(shell, baselines)) for shell in {shell_of(h) for h in fleet.hosts}}
    rows = [
        {"host": h.name, "transport": h.connection.transport, "site": h.site or None,
         "become": h.connection.become.method, "probes": counts[shell_of(h)]}
        for h in fleet.hosts
    ]  # fmt: skip
    columns = (Column("host", "HOST"), Column("transport", "BY"), Column("site", "SITE"), Column("become", "BECOME"),
               Column("probes", "PROBES", right=True))  # fmt: skip
    shown = [{**row, "site": row["site"] or ""} for row in rows]
    rules = sum(len(b.rules) for b in baselines)
    footer = (f"{len(rows)} hosts would be visited, {rules} rules judged; none was",)
    return Document("patchctl/assess-check/1", {"hosts": rows}, shown, columns, "hosts", footer)
