"""patchctl config: the settings in effect and where each one comes from."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from patchctl.cli.options import output_option
from patchctl.cli.output import Column, Document, emit

_URL_PASSWORD = re.compile(r"(://[^/@:]*:).*@")
"""A password in the URL of a database (RFC 3986, section 3.2.1, warns of it): accepted, never shown."""


@click.group("config")
def command() -> None:
    """Show settings: flag > PATCHCTL_* > patchctl.yaml upwards > ~/.config/patchctl > /etc/patchctl."""


@command.command("show")
@click.option("--origin", is_flag=True, help="Also where each value comes from.")
@output_option()
def show(origin: bool, output: str) -> None:
    """Show every setting in effect."""
    from patchctl.documents.settings import KEYS, load_settings
    from patchctl.model.codec import to_data
    from patchctl.model.hosts import SecretRef

    settings = load_settings({}, Path.cwd(), os.environ)
    rows: list[dict[str, object]] = [{"key": "project", "value": str(settings.project), "origin": ""}]
    for key in KEYS:
        value = getattr(settings, key)
        if isinstance(value, SecretRef):
            shown: object = repr(value).removeprefix("SecretRef(").removesuffix(")")
        elif isinstance(value, tuple):
            shown = [str(item) for item in value]
        elif key == "state":
            shown = _URL_PASSWORD.sub(r"\1***@", str(value))
        else:
            shown = str(value) if isinstance(value, Path) else to_data(value)
        rows.append({"key": key, "value": shown, "origin": settings.origins.get(key, "default")})
    columns = [Column("key", "KEY"), Column("value", "VALUE")] + ([Column("origin", "ORIGIN")] if origin else [])
    display = [{**row, "value": _shown(row["value"])} for row in rows]
    emit(Document("patchctl/config/1", {"settings": rows}, display, columns, "settings"), output)


def _shown(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, dict):
        return "; ".join(f"{key}: {', '.join(item)}" for key, item in value.items() if item)
    return value
