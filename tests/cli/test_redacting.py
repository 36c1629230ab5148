"""A secret that was resolved is on no terminal: not in tables, JSON, progress, messages, tracebacks."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from patchctl.cli.failure import report_failure
from patchctl.cli.output import Column, Document, render
from patchctl.cli.progress import PlainLines
from patchctl.cli.redacting import CleanObserver, CleanStream, RunSecrets
from patchctl.model.errors import UsageError
from patchctl.model.redaction import MASK

SECRET = 'c4nary"\\pass phrase'


@pytest.fixture()
def secrets() -> RunSecrets:
    found = RunSecrets()
    found.redactor().add(SECRET)
    return found


@pytest.mark.parametrize("error", [RuntimeError(f"sudo said {SECRET}"), UsageError("x", SECRET, f"hint {SECRET}")])
def test_messages_and_tracebacks_are_clean(
    error: Exception, secrets: RunSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", CleanStream(written, secrets.clean))
    monkeypatch.setenv("PATCHCTL_TRACEBACK", "1")
    report_failure(error)
    assert MASK in written.getvalue()
    assert "c4nary" not in written.getvalue()


def test_data_are_cleaned_before_they_are_laid_out(secrets: RunSecrets) -> None:
    rows = [{"host": "web01", "what": f"{'word ' * 8}{SECRET} {'word ' * 8}"}]
    columns = (Column("host", "HOST"), Column("what", "WHAT", fit="wrap"))
    document = Document("patchctl/x/1", secrets.clean_all({"hosts": rows}), secrets.clean_all(rows), columns, "hosts")
    for fmt in ("table", "json", "csv", "yaml"):
        text = render(document, fmt, 60)
        assert "c4nary" not in text
        assert "phrase" not in text
    secrets.redactor().add("2026")
    year = Document("patchctl/x/1", secrets.clean_all({"at": 2026, "text": "in 2026"}))
    assert json.loads(render(year, "json")) == {"schema": "patchctl/x/1", "at": 2026, "text": f"in {MASK}"}


def test_progress_is_clean(secrets: RunSecrets) -> None:
    written = io.StringIO()
    observer = CleanObserver(PlainLines(written, steps=True), secrets.clean)
    observer.finished("web01", "failed", f"said {SECRET}")
    observer.note(SECRET)
    assert written.getvalue().count(MASK) == 2
    assert "c4nary" not in written.getvalue()


def test_a_stream_keeps_everything_else(secrets: RunSecrets, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file:
        stream = CleanStream(file, secrets.clean)
        assert stream.write(f"a {SECRET} b") == len(f"a {SECRET} b")
        assert (stream.fileno(), stream.isatty(), stream.encoding) == (file.fileno(), False, file.encoding)
    assert (tmp_path / "out").read_text() == f"a {MASK} b"
