"""Tables: as wide as the terminal on one, whole in a pipe; machine formats never change with the width."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.cli.output import FORMATS, Column, Document, render

COLUMNS = (Column("host", "HOST"), Column("what", "WHAT", fit="wrap", brief="brief"), Column("more", "MORE", wide=True))
LONG = "openssl 3.0.20-1~deb12u2 -> 3.0.22-1~deb12u2, " * 4


def document(what: str, fit: str = "wrap", footer: tuple[str, ...] = ()) -> Document:
    columns = (COLUMNS[0], Column("what", "WHAT", fit=fit), COLUMNS[2])
    rows = [{"host": "web01", "what": what, "more": ""}]
    return Document("patchctl/x/1", {"hosts": []}, rows, columns, "hosts", footer)


@given(st.text(alphabet="ab -.", max_size=300), st.integers(40, 200), st.sampled_from(["cut", "wrap"]))
def test_a_table_is_never_wider_than_its_terminal(what: str, width: int, fit: str) -> None:
    shown = render(document(what, fit, (what,)), "table", width)
    unbroken = max((len(word) for word in what.split()), default=0)
    assert all(len(line) <= max(width, unbroken + 4) for line in shown.splitlines())


def test_wrapping_loses_nothing_and_cutting_says_so() -> None:
    wrapped = render(document(LONG), "table", 80)
    assert " ".join(wrapped.split()[2:]).replace("web01 ", "") == LONG.strip()
    cut = render(document(LONG, "cut"), "table", 80).splitlines()
    assert [len(cut), cut[1][-1]] == [2, "…"]
    assert LONG.strip() in render(document(LONG, "cut"), "table"), "a pipe gets everything"


@pytest.mark.parametrize("fmt", [f for f in FORMATS if f != "table"])
def test_other_formats_do_not_know_the_terminal(fmt: str) -> None:
    assert render(document(LONG, "cut"), fmt, 80) == render(document(LONG, "cut"), fmt)


def test_lines_that_hold_a_command_stay_whole() -> None:
    command = "Next: patchctl apply " + "plan-" * 30
    assert command in render(document("x", footer=(command,)), "table", 80).splitlines()
    prose = render(document("x", footer=("word " * 40,)), "table", 80).splitlines()
    assert all(len(line) <= 80 for line in prose)
    assert prose[-1].startswith("    word")


def test_a_brief_form_is_for_plain_tables_only() -> None:
    row: dict[str, Any] = {"host": "web02", "what": LONG, "brief": "as web01", "more": ""}
    found = Document("patchctl/x/1", {}, [row], COLUMNS, "hosts")
    assert "as web01" in render(found, "table")
    assert "as web01" not in render(found, "wide")
    assert next(csv.DictReader(io.StringIO(render(found, "csv"))))["what"] == LONG.strip()


@pytest.mark.parametrize("fmt", ["table", "wide", "csv", "markdown", "json", "jsonl", "yaml"])
def test_no_format_passes_on_what_moves_a_terminal(fmt: str) -> None:
    hostile = "web\x1b]0;evil\x07\x1b[2J\u202e\x9b31m"
    row = {"host": hostile}
    shown = render(Document("patchctl/x/1", {"hosts": [row]}, [row], [Column("host", "HOST")], "hosts", [hostile]), fmt)
    moving = "\x1b\x07\x9b" + ("" if fmt == "yaml" else "\u202e")  # PyYAML takes that one for printable
    assert not [char for char in shown if char in moving]
    if fmt == "json":
        assert json.loads(shown)["hosts"] == [row], "escaped, not changed"
