"""firewall: packets that no rule names are dropped: nftables, iptables or ufw."""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.assess.asking.system import FIREWALL
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Question, Unreadable
from patchctl.assess.reading.firewall import Hook, read_iptables, read_nft
from patchctl.model.assessment import Item


class Firewall(CheckType):
    name = "firewall"
    summary = "Some firewall of the host (nftables, iptables, ufw) drops or rejects what no rule allows."
    arguments = (
        Argument("hook", "text", "which packets (default input)", choices=("input", "forward", "output")),
        Argument("default", "texts", "what becomes of those no rule names (default drop or reject)",
                 choices=("drop", "reject", "accept")),
    )
    example = "{hook: input, default: [drop, reject]}"

    def questions(self, args: Args) -> Sequence[Question]:
        return [Question(FIREWALL, name) for name in ("nft", "iptables", "ip6tables", "ufw")]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        hook, wanted = args.get("hook", "input"), args.get("default", ("drop", "reject"))
        chains: list[Hook] = []
        read, failed = 0, []
        for name in ("nft", "iptables", "ip6tables"):
            said = host.get(FIREWALL, name)
            if said.missing:
                continue
            if said.rc:
                failed.append(f"{name}: {said.text.strip()}")
                continue
            read += 1
            chains += read_nft(said.text) if name == "nft" else read_iptables(said.text, name.removesuffix("tables"))
        found = [c for c in chains if c.hook == hook]
        expected = f"{hook}: {' or '.join(wanted)} by default"
        good = [Item(c.where, expected, f"{c.default} by default", True) for c in found if c.default in wanted]
        if good:
            return good
        if failed or not read:
            raise Unreadable("; ".join(failed) or "no nft and no iptables to ask")
        return [Item(c.where, expected, f"{c.default} by default", False) for c in found] or \
            [Item("firewall", expected, f"no chain looks at {hook}", False)]


CHECK = Firewall()
