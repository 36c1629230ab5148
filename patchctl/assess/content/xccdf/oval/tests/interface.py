"""interface (OVAL unix schema): network interfaces that have an address, and their flags."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted

_FLAGS = ("UP", "BROADCAST", "DEBUG", "LOOPBACK", "POINTOPOINT", "NOTRAILERS", "RUNNING", "NOARP", "PROMISC",
          "ALLMULTI", "MASTER", "SLAVE", "MULTICAST", "PORTSEL", "AUTOMEDIA", "DYNAMIC")
"""Bits 0 to 15 of an interface's flags, netdevice(7)."""


class _Interface:
    name = "interface"
    not_told = ("type", "hardware_addr", "broadcast_addr", "netmask")

    def limits(self, found: Object) -> list[str]:
        return []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each address; where addresses cannot be listed, one for each interface."""
        name = wanted.entity("name")
        if name is None:
            raise ObjectError("interface names no interface")
        addresses, flags = facts.one("host", "interfaces")
        of: dict[str, tuple[str, ...]] = {}
        for line in flags:
            device, _, bits = line.partition("\t")
            of[device] = _words(bits)
        pairs = [(w[1].partition("@")[0], w[3]) for w in (line.split() for line in addresses)
                 if len(w) > 3 and w[2] in ("inet", "inet6")]
        found: list[OvalItem] = []
        for device, address in pairs or [(d, "") for d in of]:
            if name.matches(device) and device in of:
                plain = address if ":" in address else address.partition("/")[0]
                entities: dict[str, tuple[str, ...]] = {"name": (device,), "inet_addr": (plain,)}
                if of[device]:
                    entities["flag"] = of[device]
                found.append(OvalItem(entities))
        return collected(found)


def _words(bits: str) -> tuple[str, ...]:
    try:
        number = int(bits, 16)
    except ValueError:
        return ()
    return tuple(word for position, word in enumerate(_FLAGS) if number >> position & 1)


TYPE = _Interface()
