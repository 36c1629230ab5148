"""Health checks as written in inventories and policies: one kind per entry, as in `- {http: "https://:443/ping"}`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import model_validator

from patchctl.documents.fields import Duration, Filled, Flag, Read, Strict, Word, fail
from patchctl.model.hosts import HealthCheck

KINDS = ("unit", "no_new_failed_units", "tcp", "http", "command")
DEFAULT_TIMEOUT = 10.0


def _read_port(value: Any) -> str:
    text = str(value) if isinstance(value, (str, int)) else ""
    port = text.rpartition(":")[2]
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise fail("invalid-port", f"not a TCP port: {text!r}", "write 443 or host:443")
    return text


_PORT_SCHEMA = {"type": ["integer", "string"], "examples": [443, "localhost:5432"]}
Port = Annotated[str, Read(_read_port, _PORT_SCHEMA)]


class HealthEntry(Strict):
    """One health check; exactly one of the kinds."""

    unit: Filled | None = None
    no_new_failed_units: Flag | None = None
    tcp: Port | None = None
    http: Filled | None = None
    command: Filled | None = None
    expect: Word = ""
    timeout: Duration = DEFAULT_TIMEOUT

    @model_validator(mode="after")
    def one_kind(self) -> HealthEntry:
        named = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(named) != 1:
            found = f"found {' and '.join(named)}" if named else "found none"
            raise fail("invalid-health", f"a health check has exactly one kind, {found}", f"one of {', '.join(KINDS)}")
        return self

    def check(self) -> HealthCheck:
        """Return the check as a value of the model."""
        kind = next(k for k in KINDS if getattr(self, k) is not None)
        target = "" if kind == "no_new_failed_units" else str(getattr(self, kind))
        return HealthCheck(kind, target, self.expect, self.timeout)
