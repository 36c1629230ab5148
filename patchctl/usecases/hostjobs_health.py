"""Health checks of one host: unit, no_new_failed_units and command on it; tcp and http from where it is reached.

That is the controller, or the last jump host before it, through which the connection is then made.

A check gives {kind, target, ok, detail}; ok is None when it could not be made, which is never good news.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from patchctl.connect.contract import Reach
from patchctl.model.errors import HostError
from patchctl.model.evidence import OK, Evidence, Probe
from patchctl.model.hosts import HealthCheck, Host
from patchctl.model.text import one_line, quote_powershell, quote_sh

_BODY = 65536
# Services that shall run and ended with an error; 1077: never started since the boot (its trigger has not come).
_STOPPED_SERVICES = (
    "Get-CimInstance Win32_Service -Filter \"StartMode='Auto' and State<>'Running'\" | "
    "Where-Object { @(0, 1077) -notcontains $_.ExitCode } | ForEach-Object { $_.Name + '.service' }"
)
_FAILED_UNITS = "systemctl list-units --state=failed --all --plain --no-legend --no-pager"


def health_probes(checks: Sequence[HealthCheck], shell: str = "sh") -> tuple[Probe, ...]:
    """Return the probes for those checks that are made on the host, named by the check's position.

    `shell`: sh | powershell, the language of the host and of `command` checks.
    """
    return tuple(
        Probe(f"health.{number}", _command(check, shell), root=True, timeout=check.timeout, cap=_BODY)
        for number, check in enumerate(checks) if check.kind in ("unit", "no_new_failed_units", "command")
    )


def _command(check: HealthCheck, shell: str) -> str:
    if shell == "powershell":
        if check.kind == "unit":
            return f"if ((Get-Service -Name {quote_powershell(check.target)}).Status -eq 'Running') {{ 'active' }}"
        return _STOPPED_SERVICES if check.kind == "no_new_failed_units" else check.target
    if check.kind == "unit":
        return f"systemctl is-active -- {quote_sh(check.target)}"
    return _FAILED_UNITS if check.kind == "no_new_failed_units" else check.target


def check_health(
    host: Host, checks: Sequence[HealthCheck], evidence: Mapping[str, Evidence],
    before: Sequence[Mapping[str, Any]] | None = None, reach: Reach | None = None,
) -> list[dict[str, Any]]:
    """Return the outcome of every check in its order: from the evidence of health_probes, and by asking its ports.

    `before` holds the outcomes before the change (None = this is before): units that failed then are not new.
    `reach`: from where the host's ports are reached; None = from here, at the address in the inventory.
    """
    outcomes = []
    for number, check in enumerate(checks):
        known = _units_before(before)
        judge = _BY_NETWORK.get(check.kind)
        more: dict[str, Any] = {}
        if judge is not None:
            ok, detail = _ask_port(judge, host, check, reach or direct_reach(host))
        else:
            found = evidence.get(f"health.{number}")
            ok, detail, more = _judge(check, found, known)
        outcomes.append({"kind": check.kind, "target": check.target, "ok": ok, "detail": one_line(detail), **more})
    return outcomes


def _units_before(before: Sequence[Mapping[str, Any]] | None) -> set[str] | None:
    """Return the units that failed before, None when this is before or nobody looked then."""
    found = [check for check in before or () if check.get("kind") == "no_new_failed_units" and "units" in check]
    return {str(unit) for unit in found[0]["units"]} if found else None


def _judge(
    check: HealthCheck, found: Evidence | None, before: set[str] | None
) -> tuple[bool | None, str, dict[str, Any]]:
    if found is None or found.status != OK:
        return None, (found.reason if found else "not asked") or "no answer", {}
    output = found.output.strip()
    if check.kind == "unit":
        wanted = check.expect or "active"
        return output == wanted, output or f"exit status {found.rc}", {}
    if check.kind == "no_new_failed_units":
        if found.rc != 0:
            return None, f"systemctl: exit status {found.rc}", {}
        units = sorted(re.findall(r"^[●*]?\s*(\S+\.\S+)", found.output, re.MULTILINE))
        new = units if before is None else [unit for unit in units if unit not in before]
        ok = before is None or not new
        return ok, ("failed: " + ", ".join(new)) if new else "", {"units": units}
    ok = found.rc == 0 and (not check.expect or check.expect in found.output)
    last = output.splitlines()[-1] if output else ""
    return ok, "" if ok else f"exit status {found.rc}: {last}", {}


def direct_reach(host: Host) -> Reach:
    """Return how a host is reached whose transport says nothing about it: from here, unless jump hosts are between."""
    address = host.connection.address or host.name
    if host.connection.jump:
        return Reach(address, host.connection.jump[-1])
    return Reach(address, "", lambda *place: socket.create_connection(place[:2], place[2]))


Dial = Callable[[str, int], socket.socket]
"""Connect to an address ("" = the host's own) and port. Raises OSError or HostError."""


def _ask_port(judge: _Judge, host: Host, check: HealthCheck, reach: Reach) -> tuple[bool | None, str]:
    """Make a check over the network. What stands between us and the host never makes the host unhealthy."""
    way = f"from {reach.via}" if reach.via else ""
    dial, seconds = reach.dial, check.timeout * host.connection.timeouts.factor
    if dial is None:
        return None, f"not checked: {reach.via} is between, and this transport cannot look through it"

    def connect(address: str, port: int) -> socket.socket:
        raw = dial(address or reach.address, port, seconds)
        raw.settimeout(seconds)
        return raw

    try:
        ok, detail = judge(host, check, connect)
    except HostError as error:
        ok, detail = (False if error.code in _NO_ANSWER else None), error.message
    except (OSError, http.client.HTTPException, ValueError) as error:
        ok, detail = False, str(getattr(error, "strerror", "") or error) or type(error).__name__
    return ok, "; ".join(part for part in (detail, way) if part)


_NO_ANSWER = frozenset({"tcp-refused", "tcp-timeout", "jump-unreachable"})
"""Error codes of a connection through a jump host that tell of the port, not of the jump host."""


def _check_tcp(host: Host, check: HealthCheck, connect: Dial) -> tuple[bool | None, str]:
    name, _, port = check.target.rpartition(":")
    if not port.isdigit():
        return None, f"{check.target!r} names no port"
    connect(name.strip("[]"), int(port)).close()
    return True, ""


def _check_http(host: Host, check: HealthCheck, connect: Dial) -> tuple[bool | None, str]:
    """GET an address; without a host name in it (https://:443/ping) the host's own is meant. Redirects are not
    followed. Well means 2xx or 3xx, or `expect`: a status code, or text the body must hold. Certificates are verified
    against the name in the address, else the host's name.
    """
    place = urlsplit(check.target)
    name = place.hostname or host.name
    secure = place.scheme == "https"
    path = (place.path or "/") + (f"?{place.query}" if place.query else "")
    port = place.port or (443 if secure else 80)
    with connect(place.hostname or "", port) as raw:
        link = ssl.create_default_context().wrap_socket(raw, server_hostname=name) if secure else raw
        with link:
            connection = http.client.HTTPConnection(name, port)
            connection.sock = link
            connection.request("GET", path, headers={"User-Agent": "patchctl", "Connection": "close"})
            answer = connection.getresponse()
            body = answer.read(_BODY).decode("utf-8", "replace")
    if check.expect.isdigit():
        return answer.status == int(check.expect), f"HTTP {answer.status}"
    ok = 200 <= answer.status < 400 and check.expect in body
    return ok, f"HTTP {answer.status}" + ("" if check.expect in body else ", without the expected text")


_Judge = Callable[[Host, HealthCheck, Dial], tuple[bool | None, str]]
_BY_NETWORK: dict[str, _Judge] = {"tcp": _check_tcp, "http": _check_http}
