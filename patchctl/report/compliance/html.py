"""The report as one self-contained HTML page, for a manager and for an auditor: no script, no network.

Everything that comes from hosts, users or files goes through Jinja's autoescape as text. The page's
Content-Security-Policy allows only its own style sheet, named by hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from patchctl.model.assessment import ERROR, FAIL, NOT_CHECKED, UNKNOWN, Finding, Waiver
from patchctl.model.text import one_line, strip_control
from patchctl.report.compliance.heatmap import LABEL, TOP, WIDTH, Column, columns_of, draw
from patchctl.report.compliance.values import BAD, Compliance, ReportFile, Trend, is_open, utc

MAX_EVIDENCE = 120
"""Rules whose evidence is laid out; the JSON report has all of it."""
WORST = 15
"""Rules shown at once; the others fold out."""
MAX_ANSWERS = 12
"""Different answers shown of one rule."""
MAX_NAMES = 12
"""Hosts named in one line."""
_SIGNS = {None: "?", True: "✓", False: "✗"}


class Answer(Struct, frozen=True):
    """Hosts that answered a rule in the same way."""

    verdict: str
    hosts: tuple[str, ...]
    lines: tuple[str, ...]
    reason: str


class Curve(Struct, frozen=True):
    """A baseline's scores over time, in units of the drawing."""

    baseline: str
    path: str
    points: tuple[tuple[float, float, str], ...]
    """(x, y, tooltip)"""
    tone: int


class _Html:
    name = "html"
    title = "one page for people: scores, worst rules, heat map, waivers, evidence"

    def render(self, report: Compliance) -> Sequence[ReportFile]:
        return [ReportFile("compliance.html", render(report).encode("utf-8", "replace"))]


FORMAT = _Html()


def render(report: Compliance) -> str:
    """Return the page."""
    environment = Environment(
        loader=PackageLoader("patchctl.report", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_clean,
    )  # fmt: skip
    style = "".join(
        environment.loader.get_source(environment, name)[0]  # type: ignore[union-attr]  # set above
        for name in ("report.css", "compliance.css")
    )
    environment.filters.update(
        utc=lambda at: utc(at).replace("T", " ").replace("Z", " UTC") or "—",
        line=one_line,
        score=lambda s: "no score" if s is None else f"{s:.1f}",
        tone=lambda s: "calm" if s is None else "good" if s >= 90 else "warn" if s >= 70 else "bad",
        names=name_hosts,
    )
    judged = [h for h in report.hosts if any((h.name, b.name) in report.by_pair for b in report.baselines)]
    columns = columns_of(report)
    return environment.get_template("compliance.html.j2").render(
        report=report, style=Markup(style),  # noqa: S704 - our own files
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        heat=draw(report), label=LABEL, width=WIDTH, top=TOP, columns=columns,
        failed=sum(f.verdict == FAIL and is_open(f) for f in report.findings),
        untold=sum(f.verdict in (ERROR, UNKNOWN) and is_open(f) for f in report.findings),
        waived=sum(f.verdict in BAD and f.waiver is not None for f in report.findings),
        judged=judged, away=[h for h in report.hosts if h not in judged],
        hosts=_host_rows(report), curves=draw_trends(report.trends), waivers=_waivers(report),
        reasons=_reasons(report), unchecked=sum(f.verdict == NOT_CHECKED for f in report.findings),
        evidence=_evidence(report, columns[:MAX_EVIDENCE]), more=max(0, len(columns) - MAX_EVIDENCE), worst=WORST,
    )  # fmt: skip


def _clean(value: object) -> object:
    """Strip control characters from every text that is shown; autoescape does the rest."""
    return strip_control(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def name_hosts(hosts: Sequence[str]) -> str:
    """Return some names and how many more there are."""
    shown = ", ".join(hosts[:MAX_NAMES])
    return f"{shown} and {len(hosts) - MAX_NAMES} more" if len(hosts) > MAX_NAMES else shown


def _host_rows(report: Compliance) -> list[dict[str, object]]:
    """Return a row for each host and baseline, the worst score first, hosts without one before all."""
    rows: list[dict[str, object]] = []
    for host in report.hosts:
        for baseline in report.baselines:
            found = report.by_pair.get((host.name, baseline.name), ())
            score = report.score_of.get((host.name, baseline.name))
            counts = {v: sum(f.verdict == v for f in found) for v in ("PASS", "FAIL", "ERROR", "UNKNOWN",
                                                                        "NOT_APPLICABLE")}  # fmt: skip
            rows.append({
                "host": host, "baseline": baseline.name, "score": score.score if score else None, "counts": counts,
                "waived": sum(f.waiver is not None and f.verdict in BAD for f in found), "judged": bool(found),
            })  # fmt: skip
    return sorted(rows, key=lambda r: (r["judged"], r["score"] is not None, r["score"] or 0.0))


def _waivers(report: Compliance) -> list[tuple[Waiver, str, int, tuple[str, ...]]]:
    """Return (waiver, rule, findings, hosts), the one that ends first at the top."""
    groups: dict[tuple[str, Waiver], list[str]] = {}
    for finding in report.findings:
        if finding.waiver is not None:
            groups.setdefault((finding.rule, finding.waiver), []).append(finding.host)
    found = [(waiver, rule, len(hosts), tuple(sorted(set(hosts)))) for (rule, waiver), hosts in groups.items()]
    return sorted(found, key=lambda g: (g[0].until, g[1]))


def _reasons(report: Compliance) -> list[tuple[str, str, int, tuple[str, ...]]]:
    """Return (verdict, reason, findings, hosts) of what could not be judged, the most frequent first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for finding in report.findings:
        if finding.verdict in (ERROR, UNKNOWN, NOT_CHECKED):
            groups.setdefault((finding.verdict, one_line(finding.reason) or "no reason given"), []).append(finding.host)
    found = [(v, reason, len(hosts), tuple(sorted(set(hosts)))) for (v, reason), hosts in groups.items()]
    return sorted(found, key=lambda g: (-g[2], g[0], g[1]))[:60]


def _evidence(report: Compliance, columns: Sequence[Column]) -> list[tuple[Column, list[Answer]]]:
    """Return how hosts answered each rule where it does not hold."""
    found: dict[tuple[str, str], list[Finding]] = {column.key: [] for column in columns}
    for finding in report.findings:
        key = (finding.baseline, finding.rule)
        if finding.verdict in BAD and key in found:
            found[key].append(finding)
    return [(column, _answers(found[column.key])) for column in columns]


def _answers(findings: Sequence[Finding]) -> list[Answer]:
    """Join equal answers."""
    groups: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for finding in findings:
        groups.setdefault((finding.verdict, _lines(finding), one_line(finding.reason)), []).append(finding.host)
    ranked = sorted(groups.items(), key=lambda g: (-len(g[1]), g[0]))[:MAX_ANSWERS]
    return [Answer(verdict, tuple(hosts), lines, reason) for (verdict, lines, reason), hosts in ranked]


def _lines(finding: Finding) -> tuple[str, ...]:
    if not finding.items:
        return (one_line(f"expected {finding.expected}, found {finding.actual}"),) if finding.expected else ()
    return tuple(
        one_line(f"{_SIGNS[i.ok]} {i.source}: expected {i.expected or 'it'}, found {i.actual}")
        for i in finding.items[:8]
    )


def draw_trends(trends: Sequence[Trend]) -> list[Curve]:
    """Return a curve for each baseline with two runs or more; a run without a score leaves a gap."""
    names = list(dict.fromkeys(t.baseline for t in trends))
    times = [t.at for t in trends]
    if not trends or max(times) == min(times):
        return []
    curves = []
    for tone, name in enumerate(names):
        points, path, pen = [], "", "M"
        for trend in (t for t in trends if t.baseline == name):
            x = round(40 + 940 * (trend.at - min(times)) / (max(times) - min(times)), 1)
            if trend.score is None:
                pen = "M"
                continue
            y = round(10 + 150 * (1 - trend.score / 100), 1)
            path, pen = f"{path}{pen}{x:g} {y:g}", "L"
            points.append((x, y, f"{utc(trend.at)[:10]}: {trend.score:.1f} on {trend.hosts} hosts"))
        if points:
            curves.append(Curve(name, path, tuple(points), tone % 6))
    return curves
