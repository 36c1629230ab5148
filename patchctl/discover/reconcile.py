"""Places what a sweep saw beside what the inventory says: managed, unmanaged, conflicting, stale, retired.

An address alone is weak evidence and a host key is strong but can be cloned with an image, so a contradiction
between them is never resolved by guessing: it is `conflicting`, with both sides named.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from patchctl.model.devices import (
    CONFLICTING,
    MANAGED,
    RETIRED,
    STALE,
    UNMANAGED,
    Device,
    Sighting,
)


class ManagedHost(Struct, frozen=True):
    """What the inventory and known_hosts say about one host, addresses resolved."""

    name: str
    addresses: frozenset[str]
    port: int
    keys: frozenset[tuple[str, str]] = frozenset()
    """(key type, SHA256 fingerprint) of the host keys accepted for it so far."""
    retired: bool = False


def reconcile(
    sightings: Iterable[Sighting], managed: Sequence[ManagedHost], swept: Iterable[str], ports: Sequence[int]
) -> tuple[Device, ...]:
    """Return one Device per sighting, and one per managed host that was swept and did not answer.

    `swept` are the addresses really asked: a host outside them is not absent, it was not looked at.
    """
    seen = sorted(sightings, key=lambda s: _address_order(s.address))
    by_address: dict[str, list[ManagedHost]] = defaultdict(list)
    by_key: dict[str, ManagedHost] = {}
    for host in managed:
        for address in host.addresses:
            by_address[address].append(host)
        for _, fingerprint in host.keys:
            by_key.setdefault(fingerprint, host)
    twins = _shared_keys(seen)
    devices = [_place(s, by_address.get(s.address, []), by_key, twins) for s in seen]
    answered = {(s.address, service.port) for s in seen for service in s.services}
    targets = set(swept)
    for host in managed:
        asked = host.addresses & targets
        if host.retired or not asked or host.port not in ports:
            continue
        if not any((address, host.port) in answered for address in asked):
            address = min(asked, key=_address_order)
            devices.append(
                Device(address, host.name, (), STALE, host.name, f"no answer on port {host.port} in this sweep")
            )
    return tuple(devices)


def _place(
    sighting: Sighting,
    here: Sequence[ManagedHost],
    by_key: Mapping[str, ManagedHost],
    twins: Mapping[str, Sequence[str]],
) -> Device:
    keys = {s.key_fingerprint for s in sighting.services if s.key_fingerprint}
    owners = {by_key[k].name for k in keys if k in by_key}

    def device(state: str, matched: str, reason: str) -> Device:
        return Device(sighting.address, sighting.name, sighting.services, state, matched, reason)

    ports = {s.port for s in sighting.services}
    exact = [h for h in here if h.port in ports] or list(here)
    # One address may carry several managed hosts on several ports; the key tells which one answered.
    shown = {(s.key_type, s.key_fingerprint) for s in sighting.services if s.key_fingerprint}
    host = next((h for h in exact if h.keys & shown), exact[0] if exact else None)
    if host is not None:
        if host.retired:
            return device(RETIRED, host.name, "retired, but it answers")
        # Only a key of a type that is known can contradict: a host has one key per type.
        comparable = {kind for kind, _ in host.keys} & {kind for kind, _ in shown}
        if comparable and not host.keys & shown:
            whose = f"the key of {', '.join(sorted(owners))}" if owners else "an unknown key"
            return device(CONFLICTING, host.name, f"address of {host.name}, but it shows {whose}")
        return device(MANAGED, host.name, "address and host key agree" if host.keys & shown else "address only")
    if owners:
        owner = min(owners)
        return device(CONFLICTING, owner, f"shows the host key of {owner} at another address: moved or cloned")
    shared = sorted({a for k in keys for a in twins.get(k, ()) if a != sighting.address}, key=_address_order)
    reason = f"same host key as {', '.join(shared[:3])}" if shared else "not in the inventory"
    return device(UNMANAGED, "", reason)


def _shared_keys(seen: Iterable[Sighting]) -> dict[str, list[str]]:
    where: dict[str, list[str]] = defaultdict(list)
    for sighting in seen:
        for service in sighting.services:
            if service.key_fingerprint:
                where[service.key_fingerprint].append(sighting.address)
    return where


def _address_order(address: str) -> tuple[int, int]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, int(parsed)
