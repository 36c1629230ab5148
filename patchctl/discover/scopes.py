"""Which addresses a sweep may touch: networks asked for, within what is allowed, without what is excluded."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from msgspec import Struct

from patchctl.model.errors import UsageError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_TARGETS = 65536
# A mere connect makes printers print and controllers stop: never swept, whatever the configuration says.
FORBIDDEN_PORTS = {
    102: "Siemens S7", 502: "Modbus", 789: "Red Lion", 1911: "Niagara Fox", 2404: "IEC 60870-5-104",
    4840: "OPC UA", 9100: "printer", 9600: "OMRON FINS", 20000: "DNP3", 44818: "EtherNet/IP", 47808: "BACnet",
}  # fmt: skip
PORT_KINDS = {22: "ssh", 5985: "winrm", 5986: "winrm"}


class Scope(Struct, frozen=True):
    """The sweep as it will be run: every target once, in order."""

    addresses: tuple[str, ...]
    ports: tuple[int, ...]
    rate: float
    """Connections per second over all targets."""
    excluded: int = 0
    """Addresses of the networks that are left alone."""

    @property
    def connections(self) -> int:
        return len(self.addresses) * len(self.ports)

    @property
    def seconds(self) -> float:
        """The time the connections alone take at this rate."""
        return self.connections / self.rate


def parse_network(text: str) -> Network:
    """Given "10.0.0.0/24" or one address, return the network. Raise UsageError with what is wrong."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        try:
            wider = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise UsageError("bad-network", f"{text!r} is no network: {error}", "write 192.0.2.0/24") from error
        raise UsageError("bad-network", f"{text} has host bits set", f"did you mean {wider}?") from error


def make_scope(
    nets: Sequence[str], *, allow: Sequence[str], exclude: Iterable[str], ports: Sequence[int], rate: float
) -> Scope:
    """Return the targets of a sweep.

    `allow` are the networks the configuration permits (empty: what is asked for is the permission); `exclude` are
    networks or addresses that must never be touched (names already resolved). Raise UsageError for a network
    outside the allowed ones, a forbidden port, or more than MAX_TARGETS addresses.
    """
    for port in ports:
        if port in FORBIDDEN_PORTS:
            raise UsageError(
                "forbidden-port", f"port {port} ({FORBIDDEN_PORTS[port]}) is never swept", "leave it out of --port"
            )
    networks = [parse_network(text) for text in nets]
    permitted = [parse_network(text) for text in allow]
    for network in networks:
        if permitted and not any(_contains(p, network) for p in permitted):
            raise UsageError(
                "outside-scope",
                f"{network} is not within the allowed networks ({', '.join(allow)})",
                "add it to discovery.allow in patchctl.yaml if it may be swept",
            )
    size = sum(network.num_addresses for network in networks)
    if size > MAX_TARGETS:
        raise UsageError(
            "scope-too-large", f"{size:,} addresses asked for, at most {MAX_TARGETS:,} at once", "sweep it in parts"
        )
    banned = [parse_network(text) for text in exclude]
    addresses: dict[str, None] = {}
    left_out = 0
    for network in networks:
        single = network.num_addresses == 1
        for address in network if single else network.hosts():
            if any(address in ban for ban in banned if ban.version == network.version):
                left_out += 1
            else:
                addresses[str(address)] = None
    return Scope(tuple(addresses), tuple(ports), rate, left_out)


def _contains(outer: Network, inner: Network) -> bool:
    if isinstance(outer, ipaddress.IPv4Network) and isinstance(inner, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(outer, ipaddress.IPv6Network) and isinstance(inner, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False
