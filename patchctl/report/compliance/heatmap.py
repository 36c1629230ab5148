"""The heat map host x rule as shapes of an inline SVG that stays readable with hundreds of hosts.

Columns are the rules that do not hold everywhere, the worst first; rows are the hosts, the worst first, those whose row
would look the same joined into one. Rules that hold on every host are only counted. Pure geometry: no text is escaped
here, the template does that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from patchctl.model.assessment import ERROR, FAIL, UNKNOWN, Finding
from patchctl.report.compliance.values import BAD, GOOD, Compliance, severity_rank

WIDTH, LABEL, TOP = 1000, 250, 26
"""SVG units: the whole map, the host names beside it, the numbers above it."""
ROW = 13
WIDEST, NARROWEST = 24.0, 3.0
"""Units of a column."""
MAX_TITLES = 40_000
"""Cells that get a tooltip of their own; with more, only rows have one."""
NAMED = 40
"""Hosts named in a row's tooltip."""


class Column(Struct, frozen=True):
    """A rule that does not hold everywhere."""

    number: int
    baseline: str
    rule: str
    title: str
    severity: str
    failed: int
    untold: int
    """Hosts on which it could not be judged."""
    waived: int
    good: int

    @property
    def key(self) -> tuple[str, str]:
        return (self.baseline, self.rule)


class Shape(Struct, frozen=True):
    """A cell or a run of equal cells: its class, its path, its tooltip ("" = none)."""

    kind: str
    path: str
    title: str = ""


class Row(Struct, frozen=True):
    y: int
    label: str
    hosts: int
    title: str
    shapes: tuple[Shape, ...]


class HeatMap(Struct, frozen=True):
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    height: int
    width: float
    """Of one column."""
    marks: tuple[tuple[float, int], ...]
    """(x, number) of the columns that are numbered above the map."""
    everywhere: int
    """Rules that hold, or do not apply, on every host that was reached."""


def columns_of(report: Compliance) -> list[Column]:
    """Return the rules with a finding that is not compliant, the worst first."""
    tally: dict[tuple[str, str], list[int]] = {}
    for finding in report.findings:
        counts = tally.setdefault((finding.baseline, finding.rule), [0, 0, 0, 0])
        if finding.verdict in BAD and finding.waiver is not None:
            counts[2] += 1
        elif finding.verdict == FAIL:
            counts[0] += 1
        elif finding.verdict in (ERROR, UNKNOWN):
            counts[1] += 1
        elif finding.verdict in GOOD:
            counts[3] += 1
    order = sorted(
        (key for key, counts in tally.items() if any(counts[:3])),
        key=lambda k: (-severity_rank(report.rules[k].severity) * tally[k][0], -tally[k][0], -tally[k][1], k),
    )
    return [
        Column(number, key[0], key[1], report.rules[key].title, report.rules[key].severity, *tally[key])
        for number, key in enumerate(order, 1)
    ]


def draw(report: Compliance) -> HeatMap:
    """Return the heat map of a report."""
    columns = columns_of(report)
    width = round(min(WIDEST, max(NARROWEST, (WIDTH - LABEL - 8) / max(1, len(columns)))), 2)
    verdicts: dict[str, dict[tuple[str, str], Finding]] = {host.name: {} for host in report.hosts}
    for finding in report.findings:
        verdicts.setdefault(finding.host, {})[finding.baseline, finding.rule] = finding
    groups: dict[tuple[str, ...], list[str]] = {}
    for host, found in verdicts.items():
        groups.setdefault(tuple(_kind(found.get(c.key), found) for c in columns), []).append(host)
    ranked = sorted(groups.items(), key=lambda g: (-_badness(g[0]), -len(g[1]), g[1][0]))
    titled = sum(sum(k != "good" for k in kinds) for kinds in groups) <= MAX_TITLES
    rows = tuple(
        _row(TOP + number * ROW, kinds, hosts, columns, width, titled=titled)
        for number, (kinds, hosts) in enumerate(ranked)
    )
    step = 1 if width >= 12 else 5 if width >= 5 else 10
    marks = tuple(
        (round(LABEL + (c.number - 0.5) * width, 1), c.number) for c in columns if c.number == 1 or c.number % step == 0
    )
    return HeatMap(tuple(columns), rows, TOP + len(rows) * ROW + 2, width, marks, len(report.rules) - len(columns))


def _kind(finding: Finding | None, found: Mapping[tuple[str, str], Finding]) -> str:
    if finding is None:
        return "none" if found else "away"
    if finding.verdict in BAD and finding.waiver is not None:
        return "waived"
    if finding.verdict == FAIL:
        return "bad"
    if finding.verdict in (ERROR, UNKNOWN):
        return "untold"
    return "good" if finding.verdict in GOOD else "none"


def _badness(kinds: Sequence[str]) -> float:
    return sum({"away": 2.0, "bad": 1.0, "untold": 0.9, "waived": 0.1}.get(kind, 0.0) for kind in kinds)


SPANS = {"untold": (0.5, 1.0), "waived": (0.75, 1.0), "away": (0.35, 0.65)}
"""From where to where in its row a kind is drawn, as shares; others fill it: so it can be read without colour."""
WORDS = {"bad": "fails", "untold": "could not be judged", "waived": "is waived", "none": "does not apply",
         "away": "not reached", "good": "holds"}  # fmt: skip


def _row(
    y: int, kinds: Sequence[str], hosts: Sequence[str], columns: Sequence[Column], width: float, *, titled: bool
) -> Row:
    shapes: list[Shape] = []
    at = 0
    while at < len(kinds):
        kind, end = kinds[at], at + 1
        alone = titled and kind in ("bad", "untold", "waived")
        while end < len(kinds) and kinds[end] == kind and not alone:
            end += 1
        x, span = round(LABEL + at * width, 1), round((end - at) * width - 0.6, 1)
        title = f"{columns[at].number}: {columns[at].rule} {WORDS[kind]}" if alone else ""
        first, last = (round((ROW - 2) * share, 1) for share in SPANS.get(kind, (0.0, 1.0)))
        shapes.append(Shape(kind, f"M{x:g} {y + first:g}h{span:g}v{last - first:g}h{-span:g}z", title))
        at = end
    label = hosts[0] if len(hosts) == 1 else f"{hosts[0]} and {len(hosts) - 1} more"
    names = ", ".join(hosts[:NAMED]) + (f" and {len(hosts) - NAMED} more" if len(hosts) > NAMED else "")
    counts = [f"{kinds.count(k)} {WORDS[k]}" for k in ("bad", "untold", "waived", "away") if k in kinds]
    return Row(y, label, len(hosts), f"{names}: {', '.join(counts) or 'all hold'}", tuple(shapes))
