"""Reads `nft list ruleset` and `iptables-save`: what becomes of incoming packets that no rule names."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hook:
    """A base chain: where, its policy, and its rules."""

    where: str
    hook: str
    policy: str
    rules: tuple[str, ...]

    @property
    def default(self) -> str:
        """Return drop, reject or accept: the policy, or a last rule that decides for all packets."""
        last = self.rules[-1] if self.rules else ""
        if re.fullmatch(r"(counter( packets \d+ bytes \d+)? )?(drop|reject( with .*)?)", last):
            return "reject" if "reject" in last else "drop"
        return self.policy


def read_nft(text: str) -> list[Hook]:
    """Return the filter chains of a ruleset that hang on a hook."""
    found: list[Hook] = []
    table = chain = hook = policy = ""
    rules: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if header := re.fullmatch(r"table (\S+ \S+) \{", line):
            table = header[1]
        elif header := re.fullmatch(r"chain (\S+) \{", line):
            chain, hook, policy, rules = header[1], "", "", []
        elif base := re.match(r"type filter hook (\w+) priority [^;]+;(?: policy (\w+);)?", line):
            hook, policy = base[1], base[2] or "accept"
        elif line == "}":
            if chain and hook:
                found.append(Hook(f"{table} {chain}", hook, policy, tuple(rules)))
            chain = hook = ""
        elif chain and hook and line:
            rules.append(line)
    return found


def read_iptables(text: str, family: str = "ip") -> list[Hook]:
    """Return the built-in chains of the filter table of iptables-save output."""
    policies: dict[str, str] = {}
    rules: dict[str, list[str]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif table == "filter" and (chain := re.match(r":(INPUT|FORWARD|OUTPUT) (\w+)", line)):
            policies[chain[1]] = chain[2].lower()
        elif table == "filter" and (rule := re.match(r"-A (\S+) ?(.*)", line)):
            target = re.fullmatch(r"-j (DROP|REJECT.*)", rule[2])
            text_ = ("reject" if target[1].startswith("REJECT") else "drop") if target else rule[2]
            rules.setdefault(rule[1], []).append(text_)
    return [Hook(f"{family}tables {name}", name.lower(), policy, tuple(rules.get(name, ())))
            for name, policy in policies.items()]
