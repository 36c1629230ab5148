"""Reads `nft list ruleset` and `iptables-save`: what becomes of packets that no rule names.

nft(8), iptables-save(8). A text that is no ruleset, or was cut, raises ValueError: it must not pass for an empty one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct, field

IPV4, IPV6 = "ip", "ip6"
_FAMILIES = {"ip": (IPV4,), "ip6": (IPV6,), "inet": (IPV4, IPV6)}
"""Families of nft's tables whose packets are a host's; bridge, arp and netdev filter something else."""
_VERDICT = re.compile(r"(accept|drop|return|queue|reject|jump|goto)\b ?(\S*).*")


class Hook(Struct, frozen=True):
    """A base chain of a filter."""

    where: str
    families: tuple[str, ...]
    """Of ip and ip6: whose packets it sees."""
    hook: str
    default: str
    """Accept, drop, reject or queue: its policy, or what rules decide that name no packets in particular."""


class _Chain(Struct):
    hook: str = ""
    policy: str = ""
    rules: list[tuple[str, str]] = field(default_factory=list)
    """(verdict, chain to go on in) of the rules that concern every packet, in order; ("some return", "") where some
    packets leave the chain."""


def _decide(chain: _Chain, chains: Mapping[str, _Chain], depth: int = 0) -> str:
    """Return what a chain decides for a packet that no rule names, or "" if that is left to whoever called it."""
    left = False
    for verdict, target in chain.rules:
        if verdict == "some return":
            left = depth > 0
            continue
        if verdict == "return":
            return ""
        found = verdict
        if verdict in ("jump", "goto"):
            found = _decide(chains[target], chains, depth + 1) if target in chains and depth < 16 else ""
        if found == "accept" or (found and not left):
            return found
        if verdict == "goto":
            return ""
    return ""


def _hooks(name: str, families: tuple[str, ...], chains: Mapping[str, _Chain]) -> list[Hook]:
    return [Hook(f"{name} {at}", families, chain.hook, _decide(chain, chains) or chain.policy)
            for at, chain in chains.items() if chain.hook]


def read_nft(text: str) -> list[Hook]:
    """Return the filter chains of a ruleset that hang on a hook."""
    found: list[Hook] = []
    opened: list[str] = []
    chains: dict[str, _Chain] = {}
    chain = _Chain()
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.endswith("{"):
            if not opened and not re.fullmatch(r"table \S+ \S+ \{", line):
                raise ValueError(f"nft: no table: {line}")
            opened.append(line.removesuffix("{").strip())
            if len(opened) == 1:
                chains = {}
            elif line.startswith("chain "):
                chain = chains[line.split()[1]] = _Chain()
        elif line == "}" and opened:
            if len(opened) == 1:
                family, name = opened[0].split()[1:3]
                found += _hooks(f"{family} {name}", _FAMILIES.get(family, ()), chains)
            opened.pop()
        elif not opened:
            raise ValueError(f"nft: no ruleset: {line}")
        elif len(opened) == 2 and opened[1].startswith("chain "):
            _add_line(chain, line)
    if opened:
        raise ValueError("nft: the ruleset was cut off")
    return [hook for hook in found if hook.families]


def _add_line(chain: _Chain, line: str) -> None:
    if base := re.match(r"type (\w+) hook (\w+) .*?;(?: policy (\w+);)?", line):
        chain.hook, chain.policy = (base[2], base[3] or "accept") if base[1] == "filter" else ("", "")
    elif rule := _VERDICT.fullmatch(_bare(line)):
        chain.rules.append((rule[1], rule[2]))
    elif re.search(r"\breturn\b", line):
        chain.rules.append(("some return", ""))


def _bare(rule: str) -> str:
    """Return an nft rule without what concerns every packet and decides nothing: comment, counter, log."""
    rule = re.sub(r' comment "[^"]*"$', "", rule)
    return re.sub(r'^(?:(?:counter(?: packets \d+ bytes \d+| name "[^"]*")?'
                  r'|log(?: prefix "[^"]*"| (?:level|group|flags|snaplen|queue-threshold) \S+)*|meta nftrace set 1)'
                  r"(?: |$))*", "", rule)


def read_iptables(text: str, family: str = IPV4) -> list[Hook]:
    """Return the built-in chains of each filter table of iptables-save output: nft's and the legacy one may both be."""
    found: list[Hook] = []
    chains: dict[str, _Chain] = {}
    table = ""
    for raw in text.splitlines():
        line = re.sub(r"^\[\d+:\d+\] ", "", raw.strip())
        if not line or line.startswith("#"):
            continue
        if line.startswith("*") and not table:
            table, chains = line[1:].strip(), {}
        elif line == "COMMIT" and table:
            found += _hooks(f"{family}tables", (family,), chains)
            table = ""
        elif table and (head := re.match(r":(\S+) (\S+)", line)):
            if table == "filter":
                hook = head[1].lower() if head[1] in ("INPUT", "FORWARD", "OUTPUT") else ""
                chains[head[1]] = _Chain(hook, head[2].lower())
        elif table and (rule := re.match(r"-A (\S+) ?(.*)", line)):
            if table == "filter" and rule[1] in chains and (step := _step(rule[2])):
                chains[rule[1]].rules.append(step)
        else:
            raise ValueError(f"iptables-save: no rules: {line}")
    if table:
        raise ValueError("iptables-save: the rules were cut off")
    return found


def _step(rule: str) -> tuple[str, str] | None:
    """Return what a rule does with every packet, or None where it does nothing, or only with some."""
    rule = re.sub(r'-m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+) ?', "", rule)
    found = re.fullmatch(r"-([jg]) (\S+)(?: --.*)?", rule)
    if found is None and rule.endswith("-j RETURN"):
        return "some return", ""
    if found is None or found[2] in ("LOG", "NFLOG", "MARK", "CONNMARK", "TRACE", "AUDIT"):
        return None
    if found[2] in ("ACCEPT", "DROP", "REJECT", "RETURN", "QUEUE", "NFQUEUE"):
        return found[2].lower().removeprefix("nf"), ""
    return ("goto" if found[1] == "g" else "jump"), found[2]
