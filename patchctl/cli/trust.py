"""patchctl trust: show host keys and accept them, many at once, with one recorded confirmation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patchctl.cli.options import connection_options, inventory_options, output_option, quiet_options, state_option
from patchctl.cli.output import Column, Document, emit
from patchctl.cli.redacting import run_secrets
from patchctl.cli.visiting import fleet_of, prompt_for_secret, settings_of

if TYPE_CHECKING:
    from patchctl.documents.settings import Settings
    from patchctl.usecases.access import Fleet
    from patchctl.usecases.trust import HostKey, Survey

COLUMNS = (
    Column("host", "HOST"),
    Column("name", "KNOWN AS"),
    Column("type", "TYPE"),
    Column("fingerprint", "FINGERPRINT"),
    Column("state", "STATE"),
    Column("before", "BEFORE", wide=True),
)


@click.command("trust")
@click.option("--from", "source", type=click.Choice(["scan", "first-use", "known_hosts", "ca"]), default="scan",
              show_default=True, help="scan (or first-use): ask the hosts. known_hosts, ca: take keys from FILE.")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--replace", multiple=True, metavar="HOST", help="Accept this host's changed key; may be repeated.")
@click.option("--check", is_flag=True, help="Show only; write nothing.")
@click.option("--yes", is_flag=True, help="Accept without asking.")
@click.option("--reason", default="", metavar="TEXT", help="Recorded with the confirmation.")
@inventory_options
@connection_options
@state_option
@output_option()
@quiet_options
def command(
    source: str, file: Path | None, replace: tuple[str, ...], check: bool, yes: bool, reason: str,
    inventory: tuple[str, ...], limit: str | None, forks: int | None, timeout: float | None, state: str | None,
    output: str, quiet: bool, verbose: int,
) -> int:  # fmt: skip
    """Show the hosts' ssh keys, or certificates (WinRM), and accept those that are new.

    No credential is sent to a host that is not trusted yet. Compare the fingerprints with those you have from
    elsewhere (console, cloud API) before you say yes. Changed keys are accepted only for hosts named with --replace.
    """
    from patchctl.usecases.trust import accept_keys, still_known

    settings = settings_of({"inventory": inventory, "forks": forks, "timeout": timeout, "state": state})
    fleet = fleet_of(settings, limit)
    _check_words(source, file, replace, fleet)
    survey = _survey(settings, fleet, source, file, replace)
    if not (quiet and not survey.to_accept() and _exit_code(survey) == 0):
        emit(_describe(survey), output)
    if check:
        return _exit_code(survey) or (3 if survey.to_accept() else 0)
    if survey.to_accept():
        _confirm(survey, settings.known_hosts, yes=yes)
        written = accept_keys(survey, settings.known_hosts, _recorder(settings), reason or "accepted by hand")
        if not quiet:
            print(f"{written} keys written to {settings.known_hosts}", file=sys.stderr)
        for place in still_known(survey, settings.known_hosts):
            print(f"patchctl: the old key stays valid in {place}: remove that line", file=sys.stderr)
    return _exit_code(survey)


def _check_words(source: str, file: Path | None, replace: tuple[str, ...], fleet: Fleet) -> None:
    if source in ("known_hosts", "ca") and file is None:
        raise click.UsageError(f"--from {source} needs a file: patchctl trust --from {source} FILE")
    if source in ("scan", "first-use") and file is not None:
        raise click.UsageError(f"a file is for --from known_hosts or --from ca, not for --from {source}")
    missing = set(replace) - {host.name for host in fleet.hosts}
    if missing:
        raise click.UsageError(f"--replace names hosts that are not meant here: {', '.join(sorted(missing))}")


def _survey(settings: Settings, fleet: Fleet, source: str, file: Path | None, replace: tuple[str, ...]) -> Survey:
    from patchctl.usecases.access import open_connections
    from patchctl.usecases.trust import survey_authority, survey_file, survey_hosts

    with open_connections(
            settings, fleet.inventory, prompt_for_secret(), redactor=run_secrets().redactor()
        ) as connections:
        if source == "known_hosts":
            assert file is not None
            return survey_file(fleet.hosts, connections, file, replace)
        if source == "ca":
            assert file is not None
            return survey_authority(fleet.hosts, connections, file)
        return survey_hosts(fleet.hosts, connections, settings.forks, site_forks=fleet.site_forks, replace=replace)


def _describe(survey: Survey) -> Document:
    from patchctl.connect.known_hosts import CHANGED, KNOWN, REVOKED
    from patchctl.usecases.trust import NEW, REPLACED

    rows: list[dict[str, Any]] = [_row(key) for key in survey.keys]
    counts = {word: sum(key.state == word for key in survey.keys) for word in (NEW, KNOWN, CHANGED, REPLACED, REVOKED)}
    summary = {**counts, "failed": len(survey.failures)}
    footer = [", ".join(f"{count} {word}" for word, count in summary.items() if count) or "no keys"]
    footer += [f"{host}: {failure.message}" for host, failure in survey.failures]
    for key in survey.keys:
        if key.state == CHANGED:
            footer.append(f"{key.host}: the key has CHANGED. If that is right: --replace {key.host}")
    hosts: list[dict[str, Any]] = [
        {"host": name, "status": failure.status,
         "error": {"code": failure.code, "message": failure.message, "hint": failure.hint}}
        for name, failure in survey.failures
    ]  # fmt: skip
    hosts += [{"host": name, "status": "ok", "error": None} for name in dict.fromkeys(k.host for k in survey.keys)]
    shown = [{**row, "state": "CHANGED" if row["state"] == CHANGED else row["state"]} for row in rows]
    return Document(
        "patchctl/trust/1", {"keys": rows, "hosts": hosts, "summary": summary}, shown, COLUMNS, "keys", footer)


def _row(key: HostKey) -> dict[str, Any]:
    from patchctl.usecases.trust import show_key

    return {
        "host": key.host, "name": key.name, "type": ("authority " if key.authority else "") + key.key.type,
        "fingerprint": key.fingerprint, "state": key.state,
        "before": [show_key(old.blob) for old in key.before],
    }  # fmt: skip


def _confirm(survey: Survey, file: Path, *, yes: bool) -> None:
    """Ask once for all. Raise ConfirmationError where nobody can be asked, or the answer is no."""
    from patchctl.model.errors import ConfirmationError

    if yes:
        return
    accepted = survey.to_accept()
    hosts = len({key.host for key in accepted})
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfirmationError(
            "confirmation-missing", f"{len(accepted)} keys of {hosts} hosts wait for a confirmation",
            "compare the fingerprints and run it again with --yes",
        )
    if not click.confirm(f"Trust these {len(accepted)} keys of {hosts} hosts and write them to {file}?", err=True):
        raise ConfirmationError("confirmation-refused", "nothing was written", "")


def _recorder(settings: Settings) -> Any:
    from patchctl.cli.actor import current_actor
    from patchctl.store.database import open_store

    def record(kind: str, data: dict[str, Any], reason: str) -> None:
        store = open_store(settings.state)
        try:
            store.record(current_actor(), kind, data, reason)
        finally:
            store.close()

    return record


def _exit_code(survey: Survey) -> int:
    """13 when every host's key is wrong, 4 when some host gave no good key, else 0."""
    from patchctl.connect.known_hosts import CHANGED, REVOKED

    bad = [key for key in survey.keys if key.state in (CHANGED, REVOKED)]
    if bad and len(bad) == len(survey.keys) and not survey.failures:
        return 13
    return 4 if bad or survey.failures else 0
