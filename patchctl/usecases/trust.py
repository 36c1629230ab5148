"""Accepts host keys, many at once: look (no credential is sent to a host whose key is new), show, confirm, write.

Keys come from the hosts themselves (first use), from another known_hosts file, or from a certificate authority.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from patchctl.connect.connections import Connections
from patchctl.connect.endpoint import Endpoint
from patchctl.connect.fanout import visit
from patchctl.connect.host_certificates import KeyBlob, check_certificate, is_certificate
from patchctl.connect.known_hosts import (
    CHANGED,
    KNOWN,
    REVOKED,
    KnownHosts,
    KnownKey,
    encode_key,
    fingerprint,
    load_known_hosts,
    lookup_name,
    parse_known_hosts,
)
from patchctl.connect.probe import fetch_key
from patchctl.connect.winrm_certificate import shown_certificate
from patchctl.connect.winrm_pin import pin_of, show_digest
from patchctl.connect.winrm_settings import place_of
from patchctl.model.errors import HostFailure, UsageError
from patchctl.model.hosts import Host
from patchctl.usecases.atomic import write_atomically

NEW = "new"
REPLACED = "replaced"
_SSH = ("ssh", "openssh")
_ASKED = ("ssh", "openssh", "winrm")

Record = Callable[[str, Mapping[str, Any], str], object]
"""record(kind, data, reason): writes the confirmation into the audit trail."""


class HostKey(Struct, frozen=True):
    """A key that a host showed or a file names for it."""

    host: str
    name: str
    """As known_hosts writes it: host, or [host]:port."""
    key: KeyBlob
    state: str
    """new | known | changed | revoked | replaced"""
    before: tuple[KnownKey, ...] = ()
    """The keys known until now, when it has changed."""
    authority: bool = False

    @property
    def fingerprint(self) -> str:
        return show_key(self.key)


class Survey(Struct, frozen=True):
    """What was found: keys in the order of the hosts, and the hosts that gave none."""

    keys: tuple[HostKey, ...]
    failures: tuple[tuple[str, HostFailure], ...]

    def to_accept(self) -> tuple[HostKey, ...]:
        return tuple(key for key in self.keys if key.state in (NEW, REPLACED))


def survey_hosts(
    hosts: Sequence[Host],
    connections: Connections,
    forks: int,
    *,
    site_forks: Mapping[str, int],
    replace: Sequence[str] = (),
    on_done: Callable[[Host], None] | None = None,
) -> Survey:
    """Ask each host for its key, through its jump hosts, or for its certificate (winrm).

    Logs in at no host but the jump hosts already trusted.
    """

    def look(host: Host) -> HostKey:
        endpoint = _endpoint_of(host, connections)
        known = connections.known_hosts(endpoint)
        if host.connection.transport == "winrm":
            blob = pin_of(shown_certificate(endpoint.address, endpoint.port, endpoint.timeouts.connect))
        else:
            blob = fetch_key(connections, endpoint, known)
        return _judge(host, endpoint, blob, known, replace)

    asked = [host for host in hosts if host.connection.transport in _ASKED]
    found: dict[str, HostKey | HostFailure] = {
        host.name: HostFailure("not-ssh", f"{host.name}: transport {host.connection.transport} has no ssh host key")
        for host in hosts if host.connection.transport not in _ASKED
    }
    for host, outcome in visit(asked, look, forks, site_forks=site_forks):
        found[host.name] = outcome
        if on_done is not None:
            on_done(host)
    keys = [found[host.name] for host in hosts]
    return Survey(
        tuple(key for key in keys if isinstance(key, HostKey)),
        tuple((host.name, key) for host, key in zip(hosts, keys, strict=True) if isinstance(key, HostFailure)),
    )


def survey_file(
    hosts: Sequence[Host], connections: Connections, file: Path, replace: Sequence[str] = ()
) -> Survey:
    """Take the hosts' keys from another known_hosts file; no host is touched. Raise UsageError for a bad file."""
    if not file.exists():
        raise UsageError("file-missing", f"{file}: no such file", "name a known_hosts file")
    source = load_known_hosts([file])
    keys: list[HostKey] = []
    failures = []
    for host in hosts:
        endpoint = _endpoint_of(host, connections)
        lines = [key for key in source.lookup(endpoint.known_as, endpoint.port) if not key.marker]
        known = connections.known_hosts(endpoint)
        keys += [_judge(host, endpoint, line.blob, known, replace) for line in lines]
        if not lines:
            failures.append((host.name, HostFailure(
                "not-in-file", f"{host.name}: {file} has no key for {_name(endpoint)}", "scan it instead")))
    return Survey(tuple(keys), tuple(failures))


def survey_authority(hosts: Sequence[Host], connections: Connections, file: Path) -> Survey:
    """Trust an authority's public key for these hosts: certificates it signs for them are accepted."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("file-missing", f"{file} cannot be read: {error}", "name the authority's .pub file") from error
    found = [key for line in text.splitlines() for key in parse_known_hosts(f"* {line}", str(file))]
    if not found or is_certificate(found[0].blob):
        raise UsageError("authority-form", f"{file}: not a public key", "name the authority's .pub file")
    keys = []
    failures = []
    for host in hosts:
        if host.connection.transport not in _SSH:
            failures.append((host.name, HostFailure(
                "not-ssh", f"{host.name}: transport {host.connection.transport} knows no ssh authority",
                "for WinRM set winrm: {ca: FILE}")))
            continue
        endpoint = connections.endpoint(host)
        for authority in found:
            lines = connections.known_hosts(endpoint).lookup(endpoint.known_as, endpoint.port)
            known = any(k.marker == "@cert-authority" and k.blob.data == authority.blob.data for k in lines)
            keys.append(HostKey(
                host.name, _name(endpoint), authority.blob, KNOWN if known else NEW, authority=True))
    return Survey(tuple(keys), tuple(failures))


def accept_keys(survey: Survey, file: Path, record: Record, reason: str) -> int:
    """Record the confirmation, then write the new and replaced keys to the project's known_hosts; return how many.

    The file is replaced as a whole. Raise UsageError if an old key stands in a line that names other hosts too.
    """
    accepted = survey.to_accept()
    if not accepted:
        return 0
    text = file.read_text("utf-8", errors="surrogateescape") if file.exists() else ""
    text = _without_old(text, file, accepted)
    if text and not text.endswith("\n"):
        text += "\n"
    lines = dict.fromkeys(_line(key) for key in accepted)
    record("trust.accepted", {
        "file": str(file),
        "keys": [
            {"host": key.host, "name": key.name, "type": key.key.type, "fingerprint": key.fingerprint,
             "state": key.state, "authority": key.authority,
             "before": [show_key(old.blob) for old in key.before]}
            for key in accepted
        ],
    }, reason)  # fmt: skip
    write_atomically(file, (text + "".join(lines)).encode("utf-8", errors="surrogateescape"), 0o644)
    return len(accepted)


def still_known(survey: Survey, file: Path) -> tuple[str, ...]:
    """Return file:line of replaced keys that stand in other files than the project's: they stay valid there."""
    return tuple(dict.fromkeys(
        f"{old.file}:{old.line}" for key in survey.keys if key.state == REPLACED for old in key.before
        if old.file != str(file)
    ))


def _judge(
    host: Host, endpoint: Endpoint, blob: KeyBlob, known: KnownHosts, replace: Sequence[str]
) -> HostKey:
    verdict = known.check(endpoint.known_as, endpoint.port, blob, time.time())
    state = verdict.status if verdict.status in (KNOWN, CHANGED, REVOKED) else NEW
    if state == CHANGED and host.name in replace:
        state = REPLACED
    before = tuple(key for key in verdict.known if not key.marker) if state in (CHANGED, REPLACED) else ()
    return HostKey(host.name, _name(endpoint), plain_key(blob), state, before)


def _endpoint_of(host: Host, connections: Connections) -> Endpoint:
    """Return where a host shows its key or certificate. Raise UsageError."""
    if host.connection.transport != "winrm":
        return connections.endpoint(host)
    place = place_of(host)
    if not place.tls:
        raise UsageError("winrm-no-certificate", f"{host.name}: there is no certificate over plain HTTP",
                         "nothing is to be trusted there: leave this host out")
    return Endpoint(place.name, place.address, place.port, place.user, timeouts=place.timeouts)


def show_key(blob: KeyBlob) -> str:
    """Return a key's fingerprint as ssh-keygen -l prints it, or the SHA-256 of a pinned certificate."""
    return show_digest(blob) or fingerprint(blob)


def plain_key(blob: KeyBlob) -> KeyBlob:
    """Return the key itself, also when the host showed a certificate: that expires, its key is what to keep."""
    return check_certificate(blob, "", 0.0).key if is_certificate(blob) else blob


def _name(endpoint: Endpoint) -> str:
    return lookup_name(endpoint.known_as, endpoint.port)


def _line(key: HostKey) -> str:
    marker = "@cert-authority " if key.authority else ""
    return f"{marker}{key.name} {encode_key(key.key)}\n"


def _without_old(text: str, file: Path, accepted: Sequence[HostKey]) -> str:
    replaced = {key.name for key in accepted if key.state == REPLACED}
    gone: set[int] = set()
    for known in parse_known_hosts(text, str(file)):
        for name in replaced:
            if known.marker or not known.matches(name):
                continue
            if known.patterns.lower() != name and not known.patterns.startswith("|"):
                raise UsageError(
                    "known-hosts-shared-line", f"{file}:{known.line}: names other hosts beside {name}",
                    "remove the old key by hand, then run trust again",
                )
            gone.add(known.line)
    return "\n".join(line for number, line in enumerate(text.split("\n"), 1) if number not in gone)
