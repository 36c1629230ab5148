"""patchctl validate: all problems of all files in one run, for people, editors and CI."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from patchctl.cli.options import refuse_empty
from patchctl.cli.output import FORMATS, Column, Document, emit

CI_FORMATS = ("sarif", "junit", "github", "gitlab")


@click.command("validate")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("-i", "--inventory", "inventory", multiple=True, metavar="PATH", callback=refuse_empty,
              help="Inventory that policies are checked against; may be repeated. [default: inventories/]")
@click.option("-o", "--output", "output", default="text", show_default=True, metavar="FORMAT",
              type=click.Choice(["text", *FORMATS, *CI_FORMATS]),
              help=f"One of: {', '.join(['text', *FORMATS, *CI_FORMATS])}.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing when all is well, and no notes.")
def command(paths: tuple[Path, ...], inventory: tuple[str, ...], output: str, quiet: bool) -> int:
    """Check inventories, policies and baselines without touching anything.

    Without PATHS the whole project: patchctl.yaml, the inventories, policies/ and baselines/. Exit code 0, or 2 if
    anything is wrong. Nothing is decrypted, no script or secret command runs, no host is asked.
    """
    from patchctl import __version__
    from patchctl.documents.settings import load_settings
    from patchctl.documents.source import Findings
    from patchctl.report import problems as renderers
    from patchctl.usecases.validate import validate_project

    cwd = Path.cwd()
    findings = Findings()
    settings = load_settings({"inventory": inventory}, cwd, os.environ, problems=findings)
    found = validate_project(settings, paths, cwd, time.time(), findings.problems)
    notes = () if quiet else found.notes
    if output == "sarif":
        sys.stdout.write(renderers.render_sarif(found.problems, notes, __version__))
    elif output == "junit":
        sys.stdout.write(renderers.render_junit(found.problems, found.files))
    elif output == "github":
        sys.stdout.write(renderers.render_github(found.problems, notes))
    elif output == "gitlab":
        sys.stdout.write(renderers.render_gitlab(found.problems, notes))
    elif output == "text":
        sys.stdout.write(renderers.render_text(found.problems, notes))
    summary = {"files": len(found.files), "problems": len(found.problems), "notes": len(found.notes),
               "hosts": found.hosts, "groups": found.groups, "policies": found.policies, "baselines": found.baselines}
    if output in FORMATS:
        rows = [renderers.problem_data(problem) for problem in found.problems]
        emit(Document(
            "patchctl/validate/1",
            {"ok": found.ok, "problems": rows, "notes": [renderers.problem_data(note) for note in found.notes],
             "summary": summary},
            rows,
            [Column("file", "FILE"), Column("line", "LINE", right=True), Column("column", "COL", right=True),
             Column("code", "CODE"), Column("message", "MESSAGE"), Column("hint", "HINT", wide=True)],
            "problems",
        ), output)
    if not (quiet and found.ok):
        print(_summary_line(summary, found.ok), file=sys.stderr)
    return 0 if found.ok else 2


def _summary_line(summary: dict[str, int], ok: bool) -> str:
    counted = [f"{summary['hosts']} hosts", f"{summary['policies']} policies", f"{summary['baselines']} baselines"]
    verdict = "all valid" if ok else f"{summary['problems']} problem{'s' if summary['problems'] != 1 else ''}"
    return f"{verdict}: {summary['files']} files, {', '.join(counted)}"
