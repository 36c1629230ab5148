"""patchctl report compliance: write what an assessment came to as files, and print where they are."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from patchctl.cli.options import output_option, quiet_options, refuse_empty, state_option
from patchctl.cli.output import Column, Document, emit

COLUMNS = (Column("format", "FORMAT"), Column("path", "FILE"), Column("sha256", "SHA256"))


@click.command("compliance")
@click.argument("run", required=False, callback=refuse_empty)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Folder to write below. [default: reports/ of the project]")
@click.option("--format", "formats", default="html,json", show_default=True, metavar="LIST",
              help="Which formats to write: arf, csv, html, json, junit, ocsf, sarif, xccdf.")
@click.option("--stdout", is_flag=True, help="Write the one file of the one format to standard output instead.")
@state_option
@output_option()
@quiet_options
def command(
    run: str | None, out: Path | None, formats: str, stdout: bool, state: str | None, output: str, quiet: bool,
    verbose: int,
) -> None:  # fmt: skip
    """Write compliance reports of the assessment RUN (default: the latest).

    For people: one HTML page with scores, worst rules, a heat map, waivers and evidence. For machines: XCCDF and ARF,
    SARIF, JUnit, OCSF, JSON, CSV. What could not be judged is shown as unknown in each.
    """
    from patchctl.cli.visiting import settings_of
    from patchctl.model.errors import UsageError
    from patchctl.report.compliance.registry import format_named
    from patchctl.store.database import open_store
    from patchctl.usecases.compliance import find_run, read_compliance, write_compliance

    wanted = [format_named(name) for name in dict.fromkeys(w.strip() for w in formats.split(",")) if name]
    if not wanted:
        raise UsageError("report-format", "no report format is given", "write --format html,json")
    settings = settings_of({"state": state})
    with open_store(settings.state, writable=False) as store:
        report = read_compliance(store, find_run(store, run), settings.baselines, time.time())
    if stdout:
        files = [file for made in wanted for file in made.render(report)]
        if len(files) != 1:
            raise UsageError("several-files", f"{len(files)} files do not fit into one stream", "use --out DIR")
        sys.stdout.write(files[0].data.decode())
        return
    written = write_compliance(report, wanted, out or settings.reports)
    rows = [{"format": f.format, "path": str(f.path), "sha256": f.sha256} for f in written]
    notes = [f"{b.name}: {b.note}" for b in report.baselines if b.note]
    if not quiet:
        data = {"run": report.run, "files": rows, "notes": notes}
        footer = (f"assessment {report.run}", *notes)
        emit(Document("patchctl/compliance-files/1", data, rows, COLUMNS, "files", footer), output)
