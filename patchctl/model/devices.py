"""Sighting and Device: what a sweep saw on the network, and what it means beside the inventory."""

from __future__ import annotations

from msgspec import Struct

MANAGED, UNMANAGED, STALE, CONFLICTING, RETIRED = "managed", "unmanaged", "stale", "conflicting", "retired"


class Service(Struct, frozen=True):
    """One service that answered with a banner of its own. kind: ssh | winrm."""

    port: int
    kind: str
    banner: str = ""
    key_type: str = ""
    key_fingerprint: str = ""
    """SHA256:... of the SSH host key: evidence of identity, never trusted for login."""


class Sighting(Struct, frozen=True):
    """One address as one source saw it once."""

    address: str
    services: tuple[Service, ...]
    seen_at: float
    source: str = "sweep"
    name: str = ""
    """A name hint (reverse DNS); never trusted."""


class Device(Struct, frozen=True):
    """A sighting placed beside the inventory."""

    address: str
    name: str
    services: tuple[Service, ...]
    state: str
    matched: str = ""
    """Inventory host it belongs to, "" if none."""
    reason: str = ""
    """Why it is in this state, with the evidence."""
