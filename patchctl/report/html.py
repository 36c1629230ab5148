"""The report as one self-contained HTML page: no script, no network, nothing outside the file.

Everything that comes from hosts, users or files goes through Jinja's autoescape as text. The page's
Content-Security-Policy allows only its own style sheet, named by hash, so that even a slip could load or run nothing.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from patchctl import __version__
from patchctl.model.localtime import parse_zone
from patchctl.model.text import one_line, strip_control
from patchctl.model.units import format_duration
from patchctl.report.digest import RolloutDigest
from patchctl.report.summary import explain_host, format_span, group_trouble, next_commands
from patchctl.report.views import STATE_TONE, group_changes, read_timeline, sum_packages

_BAR = 1000
"""Width of the drawn bar in SVG units."""


class Seal(Struct, frozen=True):
    """What ties the report to the audit chain at the moment it was written."""

    store_id: str
    epoch: int
    number: int
    hash: str
    verified: bool | None
    """Whether the chain was verified for this report; None = not tried."""
    problems: tuple[str, ...] = ()


def render_html(digest: RolloutDigest, seal: Seal, generated_at: float) -> str:
    """Return the page. Times are shown in the policy's time zone and, at the top, in UTC."""
    zone = parse_zone(digest.plan.timezone)
    environment = Environment(
        loader=PackageLoader("patchctl.report", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_clean,
    )  # fmt: skip
    style, _, _ = environment.loader.get_source(environment, "report.css")  # type: ignore[union-attr]  # set above
    environment.filters.update(
        time=lambda at: "—" if at is None else datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S"),
        utc=lambda at: "—" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        duration=format_duration,
        number=lambda n: f"{n:,}",
        tone=lambda state: STATE_TONE.get(state, "calm"),
        line=one_line,
        explain=explain_host,
    )
    changes = group_changes(digest.hosts)
    timeline, omitted = read_timeline(digest)
    return environment.get_template("rollout.html.j2").render(
        digest=digest, seal=seal, generated_at=generated_at, version=__version__, zone=digest.plan.timezone,
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        span=format_span(digest.started_at, digest.ended_at, zone),
        tone={"COMPLETED": "good", "RUNNING": "calm", "PLANNED": "calm"}.get(digest.title, "bad"),
        bar=_draw_bar(digest), trouble=group_trouble(digest.hosts), next_commands=next_commands(digest),
        packages=sum_packages(digest.hosts), change_sets=changes,
        set_of={host: one.number for one in changes for host in one.hosts},
        row_of={host.host: index for index, host in enumerate(digest.hosts, 1)},
        alone=[host for host in digest.hosts if host.plan.skip],
        failed=[host for host in digest.hosts if host.failures],
        conffiles=[host for host in digest.hosts if host.conffiles],
        transactions=[host for host in digest.hosts if host.transactions],
        timeline=timeline, omitted=omitted,
    )  # fmt: skip


def _clean(value: object) -> object:
    """Strip control characters from every text that is shown; autoescape does the rest."""
    return strip_control(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _draw_bar(digest: RolloutDigest) -> list[tuple[str, int, float, float, str]]:
    """Return (state, hosts, x, width, tone) for a bar over all hosts; a state with few hosts still gets a sliver."""
    if not digest.total:
        return []
    sliver = 6.0
    free = _BAR - sliver * len(digest.counts)
    parts, x = [], 0.0
    for state, count in digest.counts:
        width = sliver + free * count / digest.total
        parts.append((state, count, round(x, 1), round(width, 1), STATE_TONE.get(state, "calm")))
        x += width
    return parts
