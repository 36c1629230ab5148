"""Renders one document in the format asked for. Data go to stdout, everything else to stderr."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from patchctl.model import text
from patchctl.model.text import strip_control

FORMATS = ("table", "wide", "json", "jsonl", "yaml", "csv", "markdown")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. `key` is a key of the row; `wide` columns show only with -o wide, csv and markdown."""

    key: str
    title: str
    wide: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """What a command has to say: a schema name, the JSON data, and how its rows look as a table."""

    schema: str
    data: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]] = ()
    columns: Sequence[Column] = ()
    list_key: str = ""
    """Key of `data` whose items become the lines of jsonl ("" = the whole document on one line)."""
    footer: Sequence[str] = field(default=())
    """Summary lines below a table."""


def render(document: Document, fmt: str) -> str:
    """Return the document as text in one of FORMATS, ending in a newline unless empty."""
    whole = {"schema": document.schema, **document.data}
    if fmt == "json":
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    if fmt == "jsonl":
        items = document.data.get(document.list_key) if document.list_key else [whole]
        kind = document.list_key.rstrip("s") or "document"
        lines = [{"type": kind, "schema": document.schema, **item} for item in items or []]
        lines.append({"type": "summary", "schema": document.schema, **document.data.get("summary", {})})
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    if fmt == "yaml":
        import yaml

        return yaml.safe_dump(json.loads(json.dumps(whole)), sort_keys=False, allow_unicode=True)
    if fmt == "csv":
        return _csv(document)
    columns = [c for c in document.columns if fmt != "table" or not c.wide]
    from tabulate import tabulate

    style = "github" if fmt == "markdown" else "plain"
    body = [[_cell(row.get(c.key), markdown=fmt == "markdown") for c in columns] for row in document.rows]
    table = tabulate(
        body,
        headers=[c.title for c in columns],
        tablefmt=style,
        disable_numparse=True,
        colalign=[("right" if c.right else "left") for c in columns] if body else None,
    )
    shown = [line.rstrip() for line in table.splitlines()] if body else []
    if fmt != "markdown":
        shown += [strip_control(line) for line in document.footer]
    return "\n".join(shown) + "\n" if shown else ""


def emit(document: Document, fmt: str) -> None:
    """Write the document to stdout."""
    sys.stdout.write(render(document, fmt))
    sys.stdout.flush()


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
