"""patchctl baseline: what baselines there are, what they hold, what a rule reads and why it came out so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from patchctl.cli.options import output_option, state_option
from patchctl.cli.output import Column, Document, emit
from patchctl.cli.visiting import settings_of
from patchctl.model.errors import UsageError
from patchctl.model.text import one_line

if TYPE_CHECKING:
    from patchctl.assess.contract import Baseline

TAILORING = click.option("--tailoring", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                         help="Tailoring file that changes the profile (SCAP).")


@click.group("baseline")
def command() -> None:
    """List baselines, show their rules, explain a verdict, run their own tests. No host is touched."""


def _load(reference: str, tailoring: Path | None = None) -> Baseline:
    from patchctl.usecases.baselines import load_baselines

    return load_baselines([reference], settings_of({}).baselines, tailoring=tailoring)[0]


@command.command("list")
@output_option()
def list_(output: str) -> None:
    """List the baselines of this project, and those that come with patchctl."""
    from patchctl.usecases.baselines import list_contents

    rows = []
    for content in list_contents(settings_of({}).baselines):
        profiles = content.kind.profiles(content.data, str(content.path))
        named = [p for p in profiles if p.id]
        title = profiles[0].title if profiles and not named else f"{len(named)} profiles"
        rules = profiles[0].rules if profiles and not named else None
        rows.append({"baseline": content.name, "kind": content.kind.name, "title": one_line(title), "rules": rules,
                     "profiles": len(named), "file": str(content.path)})  # fmt: skip
    shown = [{**row, "rules": "" if row["rules"] is None else row["rules"]} for row in rows]
    columns = (Column("baseline", "BASELINE"), Column("kind", "KIND"), Column("rules", "RULES", right=True),
               Column("title", "TITLE", fit="cut"), Column("file", "FILE", wide=True))  # fmt: skip
    footer = () if rows else ("there are no baselines in baselines/",)
    emit(Document("patchctl/baseline-list/1", {"baselines": rows}, shown, columns, "baselines", footer), output)


@command.command("profiles")
@click.argument("reference", metavar="NAME|FILE")
@output_option()
def profiles(reference: str, output: str) -> None:
    """List the profiles that a file offers; name one as FILE#PROFILE, or by the end of its id."""
    from patchctl.usecases.baselines import find_content

    content = find_content(reference, settings_of({}).baselines)
    found = content.kind.profiles(content.data, str(content.path))
    rows = [{"profile": p.id, "title": one_line(p.title), "rules": p.rules} for p in found]
    columns = (Column("profile", "PROFILE"), Column("rules", "RULES", right=True), Column("title", "TITLE", fit="cut"))
    emit(Document("patchctl/baseline-profiles/1", {"profiles": rows}, rows, columns, "profiles"), output)


@command.command("show")
@click.argument("reference", metavar="NAME|FILE[#PROFILE]")
@TAILORING
@output_option()
def show(reference: str, tailoring: Path | None, output: str) -> None:
    """Show the rules of a baseline."""
    import sys

    from patchctl.model.codec import to_data
    from patchctl.usecases.baselines import content_warnings

    baseline = _load(reference, tailoring)
    for text in content_warnings([baseline]):
        print(f"patchctl: warning: {text}", file=sys.stderr)
    data = {
        "baseline": baseline.name, "title": baseline.title, "kind": baseline.kind, "digest": baseline.digest,
        "shell": baseline.shell, "source": baseline.source, "rules": [to_data(rule) for rule in baseline.rules],
    }  # fmt: skip
    rows = [
        {"rule": r.id, "severity": r.severity, "fix": "yes" if r.remediation else "", "title": r.title,
         "group": " / ".join(r.groups), "limits": "; ".join(r.limits)}
        for r in baseline.rules
    ]  # fmt: skip
    columns = (Column("rule", "RULE"), Column("severity", "SEVERITY"), Column("fix", "FIX"),
               Column("title", "TITLE", fit="cut"), Column("group", "GROUP", wide=True),
               Column("limits", "NOT INTERPRETED", wide=True))  # fmt: skip
    footer = ("", f"{len(rows)} rules, {sum(bool(r['fix']) for r in rows)} with a remediation")
    emit(Document("patchctl/baseline-show/1", data, rows, columns, "rules", footer), output)


@command.command("explain")
@click.argument("rule", metavar="RULE")
@click.option("--baseline", "reference", required=True, metavar="NAME|FILE[#PROFILE]")
@click.option("--host", metavar="HOST", help="Also why it came out so there, from the latest recorded snapshot.")
@click.option("--from-snapshot", "recorded", default="latest", show_default=True, metavar="DATE|RUN|TAG",
              help="Which snapshot of the host.")
@TAILORING
@state_option
@output_option()
def explain(
    rule: str, reference: str, host: str | None, recorded: str, tailoring: Path | None, state: str | None, output: str
) -> None:
    """Tell what RULE reads and, with --host, why it came out so."""
    import difflib

    from patchctl.model.text import strip_control
    from patchctl.store.database import open_store
    from patchctl.usecases.replay import recorded_snapshots

    baseline = _load(reference, tailoring)
    ids = [one.id for one in baseline.rules]
    if rule not in ids:
        near = [i for i in ids if i.endswith(rule)]
        if len(near) != 1:
            short = {i.rpartition("_rule_")[2]: i for i in ids}  # what XCCDF ids differ in
            close = near or difflib.get_close_matches(rule, [*short, *ids], n=1)
            hint = f"did you mean {close[0]}?" if close else "see: patchctl baseline show"
            raise UsageError("no-rule", f"{baseline.name} has no rule {rule!r}", hint)
        rule = near[0]
    snapshot = None
    if host is not None:
        with open_store(settings_of({"state": state}).state, writable=False) as store:
            snapshot = recorded_snapshots(store.assessments, [host], recorded).get(host)
        if snapshot is None:
            raise UsageError("no-snapshot", f"there is no such snapshot of {host}", "assess it once: patchctl assess")
    lines = [strip_control(line) for line in baseline.explain(rule, snapshot)]
    data = {
        "baseline": baseline.name, "rule": rule, "host": host,
        "taken_at": None if snapshot is None else snapshot.taken_at, "lines": lines,
    }  # fmt: skip
    rows = [{"line": line} for line in lines]
    emit(Document("patchctl/baseline-explain/1", data, [] if output in ("table", "wide") else rows,
                  (Column("line", "LINE"),), "", lines), output)  # fmt: skip


@command.command("test")
@click.argument("reference", metavar="NAME|FILE")
@output_option()
def test(reference: str, output: str) -> int:
    """Run the baseline's own passing and failing cases, offline. Exits 3 when one comes out otherwise."""
    from patchctl.usecases.baseline_cases import run_cases
    from patchctl.usecases.baselines import find_content
    from patchctl.usecases.content import is_native

    path = find_content(reference, settings_of({}).baselines).path
    if not is_native(path):
        raise UsageError("no-tests", f"{path} brings no cases", "only baselines of our own do")
    results, untested = run_cases(path)
    rows = [
        {"rule": r.rule, "case": one_line(r.case), "expected": r.expected, "verdict": r.verdict, "why": one_line(r.why)}
        for r in results
    ]  # fmt: skip
    wrong = [row for row in rows if row["verdict"] != row["expected"]]
    columns = (Column("rule", "RULE"), Column("case", "CASE", fit="cut"), Column("expected", "EXPECTED"),
               Column("verdict", "VERDICT"), Column("why", "WHY", wide=True))  # fmt: skip
    footer = (f"{len(rows)} cases, {len(wrong)} come out otherwise; {len(untested)} rules have none",)
    data = {"cases": rows, "untested": untested, "summary": {"cases": len(rows), "wrong": len(wrong)}}
    shown = wrong if output == "table" else rows
    emit(Document("patchctl/baseline-test/1", data, shown, columns, "cases", footer), output)
    return 3 if wrong else 0
