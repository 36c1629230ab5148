"""Options that many commands share. Order of values: flag > PATCHCTL_* > patchctl.yaml upwards > user > system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from patchctl.cli.output import FORMATS

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def output_option(*extra: str) -> Callable[[F], F]:
    """-o/--output with the common formats and, for some commands, further ones."""
    return click.option(
        "-o", "--output", "output", type=click.Choice([*FORMATS, *extra]), default="table", show_default=True,
        metavar="FORMAT", help=f"One of: {', '.join([*FORMATS, *extra])}.",
    )


def inventory_options(f: F) -> F:
    """-i/--inventory and --limit. Values left out come from the settings."""
    f = click.option("-i", "--inventory", "inventory", multiple=True, metavar="PATH", callback=refuse_empty,
                     help="Inventory file or folder; may be repeated. [default: inventories/]")(f)
    return click.option("--limit", metavar="PATTERN", callback=refuse_empty,
                        help="Only these hosts: web:&prod:!db[0:3], @file.")(f)


def refuse_empty(_context: click.Context, parameter: click.Parameter, value: T) -> T:
    """Refuse a blank value: with HOSTS or ID unset, --limit "$HOSTS" is not all, and "$ID" not the latest rollout."""
    for text in (value if isinstance(value, tuple) else (value,)):
        if isinstance(text, str) and not text.strip():
            raise click.BadParameter("it is empty: leave it out if that is meant", param=parameter)
    return value


def state_option(f: F) -> F:
    return click.option("--state", metavar="URL", callback=refuse_empty,
                        help="Store. [default: SQLite below the project folder]")(f)


def connection_options(f: F) -> F:
    f = click.option("--forks", type=click.IntRange(1, 2000), metavar="N", help="Hosts at once. [default: 50]")(f)
    return click.option("--timeout", metavar="S", type=click.FloatRange(1), help="Total seconds per visit.")(f)


def quiet_options(f: F) -> F:
    f = click.option("-q", "--quiet", is_flag=True, help="Print nothing when all is well.")(f)
    return click.option("-v", "--verbose", count=True, help="Say more on stderr; repeat for more.")(f)
