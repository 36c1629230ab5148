"""Discover: sweep networks for hosts, place what answers beside the inventory, draft what is new for review."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from patchctl.connect.known_hosts import KnownHosts, fingerprint, load_known_hosts
from patchctl.connect.sweep import sweep
from patchctl.discover.reconcile import ManagedHost, reconcile
from patchctl.discover.scopes import PORT_KINDS, Scope, make_scope
from patchctl.model.devices import Device, Sighting
from patchctl.model.errors import UsageError
from patchctl.model.hosts import Host, Inventory

NAME_LOOKUPS = 32
"""Name lookups at once: a resolver that does not answer must not stretch a sweep."""


class DiscoveryRequest(Struct, frozen=True):
    """What the user asked for; lists come from flags and from `discovery:` in patchctl.yaml."""

    nets: Sequence[str]
    allow: Sequence[str] = ()
    exclude: Sequence[str] = ()
    ports: Sequence[int] = (22, 5985, 5986)
    rate: float = 50.0
    names: bool = True
    """Ask the resolver for the names of what was found."""


def prepare_scope(request: DiscoveryRequest) -> Scope:
    """Return the targets. Names among the exclusions are resolved first; one that does not resolve is an error,
    because nobody could say what must not be touched.
    """
    excluded: list[str] = []
    for entry in request.exclude:
        excluded += [entry] if _is_numeric(entry) else resolve_exclusion(entry)
    return make_scope(
        request.nets, allow=request.allow, exclude=excluded, ports=request.ports, rate=request.rate
    )


def discover(
    request: DiscoveryRequest,
    inventory: Inventory,
    known_hosts: Sequence[Path],
    *,
    on_seen: Callable[[Sighting], None],
    stop: Callable[[], bool],
) -> tuple[Device, ...]:
    """Sweep and compare. `on_seen` hears of each address that answers; `stop` ends the sweep early."""
    scope = prepare_scope(request)
    known = load_known_hosts(known_hosts)
    ports = [(port, PORT_KINDS.get(port, "ssh")) for port in scope.ports]
    sightings = sweep(scope.addresses, ports, scope.rate, on_seen=on_seen, stop=stop)
    if request.names:
        sightings = tuple(_with_names(sightings))
    managed = _managed_hosts(inventory, known)
    # What was not asked because the sweep was stopped is not absent.
    swept = scope.addresses if not stop() else ()
    return reconcile(sightings, managed, swept, scope.ports)


def resolve_exclusion(name: str) -> list[str]:
    """Return the addresses of a name that must not be touched. Raise UsageError when it does not resolve."""
    addresses = _resolve(name)
    if not addresses:
        raise UsageError(
            "exclusion-unresolved",
            f"the excluded host {name!r} does not resolve, so it cannot be left alone for certain",
            "exclude its address instead",
        )
    return sorted(addresses)


def _managed_hosts(inventory: Inventory, known: KnownHosts) -> list[ManagedHost]:
    hosts = [h for h in inventory.hosts.values() if h.connection.transport != "local"]
    with ThreadPoolExecutor(NAME_LOOKUPS, thread_name_prefix="names") as pool:
        addresses = list(pool.map(lambda host: _resolve(_address_of(host)), hosts))
    return [_managed(host, found, known) for host, found in zip(hosts, addresses, strict=True)]


def _managed(host: Host, addresses: frozenset[str], known: KnownHosts) -> ManagedHost:
    connection = host.connection
    usual = 22 if connection.transport != "winrm" else 5985 if connection.winrm.get("scheme") == "http" else 5986
    port = connection.port or usual
    lines = (key for name in {_address_of(host), *addresses} for key in known.lookup(name, port) if not key.marker)
    keys = frozenset((key.blob.type, fingerprint(key.blob)) for key in lines)
    return ManagedHost(host.name, addresses, port, keys)


def _address_of(host: Host) -> str:
    return host.connection.address or host.name


def _with_names(sightings: Iterable[Sighting]) -> Iterable[Sighting]:
    sightings = list(sightings)
    with ThreadPoolExecutor(NAME_LOOKUPS, thread_name_prefix="names") as pool:
        names = pool.map(lambda s: _name_of(s.address), sightings)
        return [replace(s, name=name) for s, name in zip(sightings, names, strict=True)]


def _name_of(address: str) -> str:
    try:
        return socket.gethostbyaddr(address)[0]
    except OSError:
        return ""


def _is_numeric(text: str) -> bool:
    return text.replace("/", "").replace(".", "").isdigit() or ":" in text


def _resolve(name: str) -> frozenset[str]:
    try:
        return frozenset({str(ip_address(name))})
    except ValueError:
        pass
    try:
        return frozenset(str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        return frozenset()


def made_line(request: DiscoveryRequest) -> str:
    """Return the first line of a drafted inventory: when, and from what."""
    stamp = time.strftime("%Y-%m-%d %H:%M %Z")
    return f"Found by patchctl discover on {stamp} in {', '.join(request.nets)}"
