"""patchctl report: write what a rollout did, or what an assessment came to, as files, and print where they are."""

from __future__ import annotations

import time
from pathlib import Path

import click

from patchctl.cli.options import output_option, quiet_options, refuse_empty, state_option
from patchctl.cli.output import Column, Document, emit
from patchctl.cli.report_compliance import command as compliance

COLUMNS = (Column("format", "FORMAT"), Column("path", "FILE"), Column("sha256", "SHA256"))


class _RolloutByDefault(click.Group):
    """A group in which `report [ROLLOUT]` means `report rollout [ROLLOUT]`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["rollout", *args]
        return super().parse_args(ctx, args)


@click.group("report", cls=_RolloutByDefault)
def command() -> None:
    """Write reports as files: of a rollout (`report rollout`, or just `report`), or of an assessment."""


@command.command("rollout")
@click.argument("rollout", required=False, callback=refuse_empty)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Folder to write below. [default: reports/ of the project]")
@click.option("--format", "formats", default="html,json,csv", show_default=True, metavar="LIST",
              help="Which files to write.")
@state_option
@output_option()
@quiet_options
def rollout_report(
    rollout: str | None, out: Path | None, formats: str, state: str | None, output: str, quiet: bool, verbose: int
) -> None:
    """Write the report of ROLLOUT (default: the latest) as HTML, JSON and CSV.

    Exits 13 when the audit chain does not verify; the report is written all the same and says so.
    """
    from patchctl.cli.actor import current_actor
    from patchctl.cli.visiting import settings_of
    from patchctl.model.errors import TrustError, UsageError
    from patchctl.store.database import open_store
    from patchctl.usecases.report import FORMATS, write_report

    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown or not wanted:
        bad = unknown[0] if unknown else ""
        raise UsageError("report-format", f"there is no report format {bad!r}", f"one of: {', '.join(FORMATS)}")
    settings = settings_of({"state": state})
    with open_store(settings.state) as store:
        name = rollout or store.latest_rollout()
        if name is None:
            raise UsageError("no-rollout", "there is no rollout yet", "make one with: patchctl apply --policy FILE")
        written = write_report(store, name, out or settings.reports, time.time(), current_actor(), wanted)
    rows = [{"format": f.format, "path": str(f.path), "sha256": f.sha256} for f in written.files]
    data = {"rollout": written.rollout, "audit": written.audit, "files": rows, "problems": list(written.problems)}
    if not quiet:
        footer = (f"rollout {written.rollout}, recorded as audit #{written.audit}",)
        emit(Document("patchctl/report-files/1", data, rows, COLUMNS, "files", footer), output)
    if written.problems:
        message = f"the audit chain does not verify: {written.problems[0]}"
        raise TrustError("audit-chain", message, "see all of it with: patchctl audit verify")


command.add_command(compliance)
