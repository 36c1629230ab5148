"""Renders one document in the format asked for. Data go to stdout, everything else to stderr."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from patchctl.cli.streams import is_utf8
from patchctl.model import text
from patchctl.model.text import escape_control, strip_control

FORMATS = ("table", "wide", "json", "jsonl", "yaml", "csv", "markdown")


class Column(Struct, frozen=True):
    """One column of a table. `key` is a key of the row; `wide` columns show only with -o wide, csv and markdown."""

    key: str
    title: str
    wide: bool = False
    right: bool = False
    fit: str = ""
    """How free text gives way on a terminal that is too narrow: cut | wrap; "" = never (names, versions)."""
    brief: str = ""
    """Key of the row to show instead in a plain table; "" = `key` there too."""


class Document(Struct, frozen=True):
    """What a command has to say: a schema name, the JSON data, and how its rows look as a table."""

    schema: str
    data: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]] = ()
    columns: Sequence[Column] = ()
    list_key: str = ""
    """Key of `data` whose items become the lines of jsonl ("" = the whole document on one line)."""
    footer: Sequence[str] = field(default=())
    """Summary lines below a table."""


NARROWEST = 20
"""Characters that a column keeps when it gives way."""


def render(document: Document, fmt: str, width: int = 0) -> str:
    """Return the document as text in one of FORMATS, ending in a newline unless empty.

    `width`: columns of the terminal it is for; 0 = a file or pipe, where nothing is cut or wrapped.
    """
    whole = {"schema": document.schema, **document.data}
    if fmt == "json":
        return escape_control(json.dumps(whole, indent=2, ensure_ascii=False)) + "\n"
    if fmt == "jsonl":
        items = document.data.get(document.list_key) if document.list_key else [whole]
        kind = document.list_key.rstrip("s") or "document"
        lines = [{"type": kind, "schema": document.schema, **item} for item in items or []]
        lines.append({"type": "summary", "schema": document.schema, **document.data.get("summary", {})})
        return "".join(escape_control(json.dumps(line, ensure_ascii=False)) + "\n" for line in lines)
    if fmt == "yaml":
        import yaml

        return yaml.safe_dump(json.loads(json.dumps(whole)), sort_keys=False, allow_unicode=True)
    if fmt == "csv":
        return _csv(document)
    columns = [c for c in document.columns if fmt != "table" or not c.wide]
    keys = [(fmt == "table" and c.brief) or c.key for c in columns]
    body = [[_cell(row.get(key), markdown=fmt == "markdown") for key in keys] for row in document.rows]
    if fmt == "table" and width:
        _fit(body, columns, width)
    shown = []
    if body:
        shown = _markdown(body, columns) if fmt == "markdown" else _plain(body, columns)
    if fmt != "markdown":
        footer = [strip_control(line) for line in document.footer]
        shown += [part for line in footer for part in _wrap_line(line, width)] if width else footer
    return "\n".join(shown) + "\n" if shown else ""


def emit(document: Document, fmt: str, *, to_stderr: bool = False) -> None:
    """Write the document to stdout (or stderr: for people, beside a result), as wide as the terminal if it is one."""
    stream = sys.stderr if to_stderr else sys.stdout
    width = shutil.get_terminal_size().columns if stream.isatty() else 0
    write = getattr(stream, "write_cleaned", stream.write)
    shown = render(_without_secrets(document), fmt, width)
    write(_escape(shown) if fmt in ("json", "jsonl") and not is_utf8(stream) else shown)
    stream.flush()


def emit_done(schema: str, data: Mapping[str, Any], sentences: Sequence[str], fmt: str) -> None:
    """Write what a command did: sentences for people, one document for programs, one row for spreadsheets."""
    row = {key: value for key, value in data.items() if not isinstance(value, Mapping)}
    rows = [] if fmt in ("table", "wide") else [row]
    emit(Document(schema, data, rows, [Column(key, key.upper()) for key in row], "", sentences), fmt)


def _escape(text: str) -> str:
    """Return JSON with everything beyond ASCII escaped (RFC 8259, section 7): such characters stand in strings only."""
    return "".join(char if char < "\x80" else json.dumps(char)[1:-1] for char in text)


def _without_secrets(document: Document) -> Document:
    """Mask the secrets of this run before texts are laid out: a wrapped or cut secret is not recognised any more."""
    from patchctl.cli.redacting import run_secrets

    clean = run_secrets().clean_all
    return replace(
        document, data=clean(document.data), rows=clean(document.rows), footer=clean(document.footer)
    )


def _markdown(body: list[list[str]], columns: Sequence[Column]) -> list[str]:
    from tabulate import tabulate

    titles, sides = [c.title for c in columns], ["right" if c.right else "left" for c in columns]
    return tabulate(body, titles, "github", disable_numparse=True, colalign=sides).splitlines()


def _plain(body: list[list[str]], columns: Sequence[Column]) -> list[str]:
    """Lay rows out under their titles, two spaces apart; a cell may have several lines."""
    rows = [[cell.split("\n") for cell in row] for row in ([c.title for c in columns], *body)]
    widths = [max(len(line) for row in rows for line in row[at]) for at in range(len(columns))]
    lines = []
    for row in rows:
        for number in range(max(map(len, row))):
            parts = [cell[number] if number < len(cell) else "" for cell in row]
            padded = (
                part.rjust(width) if c.right else part.ljust(width)
                for part, width, c in zip(parts, widths, columns, strict=True)
            )
            lines.append("  ".join(padded).rstrip())
    return lines


def _fit(body: list[list[str]], columns: Sequence[Column], width: int) -> None:
    """Narrow the columns that may give way, the last one first, until a row fits into `width` or none is left."""
    widths = [max([len(c.title), *(len(row[at]) for row in body)]) for at, c in enumerate(columns)]
    for at in reversed(range(len(columns))):
        excess = sum(widths) + 2 * (len(columns) - 1) - width
        if excess <= 0 or not columns[at].fit or widths[at] <= NARROWEST:
            continue
        widths[at] = room = max(NARROWEST, widths[at] - excess)
        for row in body:
            if len(row[at]) > room and columns[at].fit == "cut":
                row[at] = row[at][: room - 1] + "…"
            elif len(row[at]) > room:
                row[at] = textwrap.fill(row[at], room, break_on_hyphens=False)


def _wrap_line(line: str, width: int) -> list[str]:
    """Wrap a line of prose; one that holds a command stays whole, so that it can be copied."""
    if len(line) <= width or "patchctl " in line:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _cell(value: object, *, markdown: bool = False) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(v) for v in value)
    flat = " ".join(strip_control(str(value)).split())
    return flat.replace("|", "\\|") if markdown else flat


def _csv(document: Document) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([c.key for c in document.columns])
    for row in document.rows:
        writer.writerow([csv_cell(row.get(c.key)) for c in document.columns])
    return out.getvalue()


def csv_cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula. None (unknown) stays the word unknown."""
    return text.csv_cell(_cell(value))
