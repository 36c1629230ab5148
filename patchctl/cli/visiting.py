"""What the commands that visit hosts share: settings from flags, asking a person, the exit code of what was found."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from patchctl.documents.settings import Settings
    from patchctl.usecases.access import Fleet

F = TypeVar("F", bound=Callable[..., Any])


def scan_options(f: F) -> F:
    """--refresh, --from-snapshot, --check and --fail-on of the commands that look at hosts."""
    f = click.option(
        "--refresh", type=click.Choice(["auto", "never", "always"]), default="auto", show_default=True,
        help="Package lists: fetch fresh ones when they are old, never, always. Kept apart from the host's own.",
    )(f)
    f = click.option("--from-snapshot", is_flag=True, help="Use the latest stored snapshots; touch no host.")(f)
    f = click.option("--check", is_flag=True, help="Tell which hosts would be visited; touch none.")(f)
    return click.option(
        "--fail-on", type=click.Choice(["any", "new", "never"]), default="never", show_default=True,
        help="Exit 3 for pending updates and 4 for hosts not reached: always, only if new since last time, never.",
    )(f)


def settings_of(flags: Mapping[str, object]) -> Settings:
    """Return the settings that these flags, the environment and the files give."""
    from patchctl.documents.settings import load_settings

    return load_settings(flags, Path.cwd(), os.environ)


def fleet_of(settings: Settings, limit: str | None) -> Fleet:
    """Return the hosts meant, each with --timeout as its total deadline where one was given."""
    from patchctl.usecases.access import Fleet, load_fleet, with_total

    fleet = load_fleet(settings, limit)
    return Fleet(fleet.inventory, tuple(with_total(host, settings.timeout) for host in fleet.hosts))


def prompt_for_secret() -> Callable[[str], str] | None:
    """Return what asks a person for a secret, or None where nobody sits at the terminal."""
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        return None
    return lambda label: str(click.prompt(label, hide_input=True, err=True))


def exit_code(items: Sequence[Mapping[str, Any]], fail_on: str, known_before: Mapping[str, tuple[bool, int]]) -> int:
    """Return 13, 12, 4, 3 or 0 for what was found.

    `items` are hosts with status and pending. `known_before`: host -> (was known, updates pending) the last time,
    for --fail-on new. A host that was reached but whose pending updates are unknown counts as one that was not.
    A run that got root on no host, where it was asked for, is never a success, whatever --fail-on says.
    """
    statuses = [item["status"] for item in items]
    if all(s == "host-key" for s in statuses):
        return 13
    if not any(s in ("ok", "partial") for s in statuses):
        return 12 if all(s == "auth-failed" for s in statuses) else 4
    if fail_on == "never":
        return 0
    away = {item["host"] for item in items if not is_known(item)}
    pending = {item["host"]: item["pending"] or 0 for item in items}
    if fail_on == "new":
        away = {host for host in away if known_before.get(host, (True, 0))[0]}
        pending = {host: n for host, n in pending.items() if n > known_before.get(host, (True, 0))[1]}
    return 4 if away else 3 if any(pending.values()) else 0


def is_known(item: Mapping[str, Any]) -> bool:
    """Say whether it is known what is pending on a host."""
    return item["status"] in ("ok", "partial") and item["pending"] is not None
