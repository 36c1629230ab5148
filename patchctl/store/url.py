"""State URLs: sqlite:///PATH and postgresql://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE, taken apart."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

from patchctl.model.errors import StoreChoiceError

_HINT = "write sqlite:///PATH or postgresql://USER@HOST/DATABASE"
_FAMILY = re.compile(r"(\w+)(?:\+\w*)?://(.*)", re.DOTALL)
_SERVER = re.compile(
    r"""(?: (?P<user>[^:/?]*) (?: : (?P<password>[^@]*) )? @ )?
        (?: \[ (?P<ipv6>[^]/?]+) \] | (?P<host>[^/:?]+) )?
        (?: : (?P<port>[^/?]*) )?
        (?: / (?P<database>[^?]*) )?
        (?: \? (?P<options>.*) )?""",
    re.DOTALL | re.VERBOSE,
)


class StateUrl(Struct, frozen=True):
    """A state URL whose family is known; what follows the :// is not looked at yet, and may hold a password."""

    family: str
    """sqlite | postgresql"""
    rest: str


def parse_url(url: str) -> StateUrl:
    """Return which database a state URL means. Raise StoreChoiceError for none of ours.

    A driver (postgresql+psycopg://) may be named and is ignored: there is one for each.
    """
    found = _FAMILY.fullmatch(url)
    if found is None:
        raise StoreChoiceError("state-url", "the state URL is not valid", _HINT)
    family, rest = found.groups()
    if family not in ("sqlite", "postgresql"):
        raise StoreChoiceError("state-url", f"no store speaks {family!r}", _HINT)
    return StateUrl(family, rest)


def sqlite_path(url: str) -> Path:
    """Return the file of an SQLite state URL. Raise StoreChoiceError for any other URL.

    sqlite:///x is relative, sqlite:////x is not; %XX is decoded, so that a path may hold ? (%3F) and % (%25).
    """
    parsed = parse_url(url)
    if parsed.family != "sqlite":
        raise StoreChoiceError("state-url", "this store is not SQLite", "use the tools of the database server")
    path, options, _ = parsed.rest.partition("?")
    if path in ("", "/", "/:memory:"):
        raise StoreChoiceError("state-url", "a store in memory would forget everything", _HINT)
    if not path.startswith("/"):
        raise StoreChoiceError("state-url", "an SQLite URL names no host",
                               "three slashes and a relative path, or four and an absolute one")  # fmt: skip
    if options:
        raise StoreChoiceError("state-url", "an SQLite URL has no options", "write a ? of the path as %3F")
    name = unquote(path[1:], errors="surrogateescape")
    if "\0" in name:
        raise StoreChoiceError("state-url", "a path cannot hold %00", _HINT)
    return Path(name).expanduser().resolve()


def server_options(url: StateUrl) -> dict[str, str]:
    """Return the connection options of a PostgreSQL URL by libpq's names; what is not there is libpq's to choose.

    User, password, host and database are percent-decoded. Several servers: ?host=A:5432&host=B:5432. Raise
    StoreChoiceError, which never shows a part of the URL: it may be one of the password.
    """
    found = _SERVER.fullmatch(url.rest)
    if found is None:
        raise StoreChoiceError("state-url", "the state URL is not valid", _HINT)
    host = found["ipv6"] or found["host"] or ""
    if "@" in host:
        raise StoreChoiceError("state-url", "the state URL has two @", "write an @ of the user or password as %40")
    port = found["port"]
    if port is not None and not _is_port(port):
        raise StoreChoiceError("state-url", "the port in the state URL is not a number from 1 to 65535",
                               "write : and / of the user or password as %3A and %2F")  # fmt: skip
    named = {"user": found["user"], "password": found["password"], "host": host, "dbname": found["database"]}
    options = {key: unquote(value) for key, value in named.items() if value}
    if port:
        options["port"] = port
    given: dict[str, list[str]] = {}
    for key, value in parse_qsl(found["options"] or ""):
        given.setdefault(key, []).append(value)
    return {**options, **_merge(given)}


def _merge(given: dict[str, list[str]]) -> dict[str, str]:
    """Return options that may have been given several times (host and port only) as libpq wants them."""
    for key, values in given.items():
        if len(values) > 1 and key not in ("host", "port"):
            raise StoreChoiceError("state-url", f"the state URL gives {key} twice", "only host may be repeated")
    hosts = [_split_host(value) for value in given.get("host", ())]
    merged = {key: ",".join(values) for key, values in given.items()}
    if hosts:
        merged["host"] = ",".join(host for host, _ in hosts)
    if any(port for _, port in hosts):
        merged["port"] = ",".join(port for _, port in hosts)
    return merged


def _split_host(text: str) -> tuple[str, str]:
    host, _, port = text.rpartition(":")
    return (host, port) if ":" not in host and _is_port(port) else (text, "")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536
