"""firewall: packets that no rule names are dropped, by IPv4 and IPv6: nftables, iptables, ufw or firewalld."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from patchctl.assess.asking.files import READ
from patchctl.assess.asking.frames import said_by
from patchctl.assess.asking.system import FIREWALL
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Question, Unreadable
from patchctl.assess.reading.firewall import IPV4, IPV6, Hook, read_iptables, read_nft
from patchctl.model.assessment import Item

ADDRESSES = "/proc/net/if_inet6"
"""The host's IPv6 addresses; not there where the kernel has no IPv6."""
_READERS: dict[str, tuple[Callable[[str], list[Hook]], tuple[str, ...]]] = {
    "nft": (read_nft, (IPV4, IPV6)),
    "iptables": (lambda text: read_iptables(text, IPV4), (IPV4,)),
    "ip6tables": (lambda text: read_iptables(text, IPV6), (IPV6,)),
}


class Firewall(CheckType):
    name = "firewall"
    summary = ("The host's firewall (nftables, iptables, ufw, firewalld) drops or rejects what no rule allows, by IPv4 "
               "and, where the host has it, IPv6.")
    arguments = (
        Argument("hook", "text", "which packets (default input)", choices=("input", "forward", "output")),
        Argument("default", "texts", "what becomes of those no rule names (default drop or reject)",
                 choices=("drop", "reject", "accept")),
    )
    example = "{hook: input, default: [drop, reject]}"

    def questions(self, args: Args) -> Sequence[Question]:
        return [*(Question(FIREWALL, name) for name in _READERS), Question(READ, ADDRESSES)]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        hook = args.get("hook", "input")
        chains: list[Hook] = []
        failed: dict[str, list[str]] = {IPV4: [], IPV6: []}
        told: set[str] = set()
        for name, (read, families) in _READERS.items():
            try:
                said = said_by(host, FIREWALL, name)
                if said.missing:
                    continue
                chains += [chain for chain in read(said.text) if chain.hook == hook]
                told.update(families)
            except (Unreadable, ValueError) as why:
                for family in families:
                    failed[family].append(str(why))
        items = self._family(args, IPV4, chains, IPV4 in told, failed[IPV4])
        try:
            return items + self._ipv6(args, host, chains, IPV6 in told, failed[IPV6])
        except Unreadable:
            if any(item.ok is False for item in items):
                return items  # it is open, whatever IPv6 comes to
            raise

    def _ipv6(self, args: Args, host: Answers, chains: Sequence[Hook], told: bool, failed: Sequence[str]) -> list[Item]:
        """Judge IPv6; no items where the host has none. Whether it has is asked only where that matters."""
        try:
            items = self._family(args, IPV6, chains, told, failed)
        except Unreadable:
            if _has_ipv6(host):
                raise
            return []
        return items if all(item.ok for item in items) or _has_ipv6(host) else []

    def _family(self, args: Args, family: str, chains: Sequence[Hook], told: bool, failed: Sequence[str]) -> list[Item]:
        """Judge one family: a packet is lost where one of its chains drops it; without any chain it is accepted."""
        hook, wanted = args.get("hook", "input"), args.get("default", ("drop", "reject"))
        expected = f"{hook}: {' or '.join(wanted)} by default"
        found = [c for c in chains if family in c.families]
        stops = [c for c in found if c.default in ("drop", "reject")]
        if not stops and (failed or not told):
            raise Unreadable("; ".join(failed) or f"no program to ask about {_CALLED[family]}")
        items = [Item(f"{_CALLED[family]} {c.where}", expected, f"{c.default} by default", c.default in wanted)
                 for c in stops or found]
        good = [item for item in items if item.ok]
        return good or items or [Item(_CALLED[family], expected, f"no chain looks at {hook}", "accept" in wanted)]


_CALLED = {IPV4: "IPv4", IPV6: "IPv6"}


def _has_ipv6(host: Answers) -> bool:
    """Say whether the host has an IPv6 address that others could reach. Raise Unreadable."""
    said = host.get(READ, ADDRESSES)
    return not said.missing and any(line.split()[-1] != "lo" for line in said.lines if line.split())


CHECK = Firewall()
