"""What single files cannot show: policies against the inventory, rings against each other's windows, tests. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from patchctl.connect.winrm_settings import place_of
from patchctl.documents.inventory_schema import TRANSPORTS
from patchctl.documents.policies import PolicyDocument
from patchctl.documents.policy_schema import ApprovalTest
from patchctl.documents.source import Findings
from patchctl.model.errors import Problem, UsageError
from patchctl.model.facts import Update
from patchctl.model.hosts import Inventory, place_of_host
from patchctl.model.localtime import instant, local_date, parse_date, parse_zone
from patchctl.model.policy import Policy, RingSpec
from patchctl.model.selection import select_hosts
from patchctl.patch.approvals import decide_approval
from patchctl.rollout.rings import assign_rings
from patchctl.rollout.windows import Window, parse_window, reach

Path = tuple[Hashable, ...]


class _Check(Struct, frozen=True):
    """One policy and what it is checked against."""

    policy: Policy
    found: PolicyDocument
    findings: Findings

    def problem(self, path: Path, code: str, message: str, hint: str = "") -> None:
        self.findings.add(self.found.document.problem(path, code, message, hint))

    def note(self, path: Path, code: str, message: str, hint: str = "") -> None:
        self.findings.note(self.found.document.problem(path, code, message, hint))


def check_policies(
    policies: Sequence[PolicyDocument], inventory: Inventory | None, now: float, findings: Findings
) -> None:
    """Check all policies; without an inventory only what needs none. `now` (Unix time) decides what is past."""
    _check_names(policies, findings)
    for found in policies:
        check = _Check(found.policy, found, findings)
        _check_windows(check)
        _check_ends(check, now)
        if inventory is not None and inventory.hosts:
            _check_patterns(check, inventory)
            _check_rings(check, inventory)
        _check_tests(check, found.tests, inventory)


def _check_names(policies: Sequence[PolicyDocument], findings: Findings) -> None:
    first: dict[str, PolicyDocument] = {}
    for found in policies:
        other = first.setdefault(found.policy.name, found)
        if other is not found:
            findings.add(found.document.problem(
                ("policy",), "duplicate-policy", f"the policy {found.policy.name!r} is also in {other.policy.source}",
                "give each policy its own name"))


def _check_windows(check: _Check) -> None:
    """Every window can be read, and the soak of one ring leaves a window of the next within reach."""
    policy = check.policy
    windows: list[tuple[RingSpec, Window | None]] = []
    for index, ring in enumerate(policy.rings):
        window = None
        if ring.window is not None:
            try:
                window = parse_window(ring.window.text)
            except ValueError as error:
                check.problem(("rings", index, "window"), "invalid-window", str(error))
        windows.append((ring, window))
    for index in range(1, len(windows)):
        (before, first), (ring, second) = windows[index - 1], windows[index]
        if first is None or second is None:
            continue
        found = reach(first, before.soak, second, policy.timezone, policy.blackout)
        path = ("rings", index, "window")
        if found.cycles and found.missed == found.cycles:
            check.problem(path, "unreachable-window",
                          f"ring {ring.name!r} can never start in its window: {found.example}",
                          f"move the window, or shorten the soak of {before.name!r}")
        elif found.missed:
            check.note(path, "window-sometimes-missed",
                       f"ring {ring.name!r} misses its window in {found.missed} of {found.cycles} cycles",
                       found.example)


def _check_ends(check: _Check, now: float) -> None:
    today = local_date(now, parse_zone(check.policy.timezone))
    for kind, rules in (("reject", check.policy.reject), ("approve", check.policy.approve)):
        for index, rule in enumerate(rules):
            if rule.until and parse_date(rule.until) < today:
                check.problem((kind, index, "until"), f"expired-{kind}", f"this entry ended on {rule.until}",
                              "remove it, or give it a later date and a reason that still holds")


def _check_patterns(check: _Check, inventory: Inventory) -> None:
    """Every limit pattern names groups and hosts that are there."""
    policy = check.policy
    patterns: list[tuple[Path, str]] = [(("hosts",), policy.hosts)]
    patterns += [(("rings", i, "hosts"), ring.hosts) for i, ring in enumerate(policy.rings)]
    patterns += [(("approve", i, "hosts"), rule.hosts) for i, rule in enumerate(policy.approve)]
    patterns += [(("reject", i, "hosts"), rule.hosts) for i, rule in enumerate(policy.reject)]
    for path, pattern in patterns:
        if not pattern:
            continue
        try:
            chosen = select_hosts(inventory, pattern)
        except UsageError as error:
            check.problem(path, error.code, error.message, error.hint)
            continue
        if not chosen:
            check.problem(path, "nothing-matched", f"the pattern {pattern!r} leaves no host")


def _check_rings(check: _Check, inventory: Inventory) -> None:
    """Ring names are unique, no ring is empty, no host is left without a ring."""
    policy = check.policy
    seen: dict[str, int] = {}
    for index, ring in enumerate(policy.rings):
        if seen.setdefault(ring.name, index) != index:
            check.problem(("rings", index, "name"), "duplicate-ring", f"there is a ring {ring.name!r} already")
    select = _selector(inventory)
    hosts = [inventory.hosts[name] for name in select(policy.hosts)]
    if not hosts or not policy.rings or len(seen) < len(policy.rings):
        return
    assigned = assign_rings(policy.name, policy.rings, hosts, (), select)
    for index, ring in enumerate(policy.rings):
        if assigned[ring.name]:
            continue
        if not ring.hosts:
            check.note(("rings", index), "empty-ring", f"ring {ring.name!r} has no host: earlier rings take them all",
                       "with more hosts it gets some")
        elif select(ring.hosts):
            check.problem(("rings", index, "hosts"), "empty-ring",
                          f"ring {ring.name!r} has no host: none of {ring.hosts!r} is among the policy's hosts and "
                          "left over by earlier rings", "change its hosts, or remove it")
    left = assigned.get("", ())
    if left:
        check.note(("rings",), "hosts-without-ring", f"{len(left)} of {len(hosts)} hosts are in no ring: {left[0]} …",
                   "add a last ring without hosts and size: it takes the rest")


def _selector(inventory: Inventory) -> Callable[[str], tuple[str, ...]]:
    """Return a selection to which an unknown name is simply nobody: that is reported on its own."""
    def select(pattern: str) -> tuple[str, ...]:
        try:
            return select_hosts(inventory, pattern)
        except UsageError:
            return ()

    return select


def _check_tests(check: _Check, tests: Iterable[ApprovalTest], inventory: Inventory | None) -> None:
    """Run the policy's own tests: what it says of an update on a day."""
    zone = parse_zone(check.policy.timezone)
    select = _selector(inventory) if inventory is not None else None
    for index, test in enumerate(tests):
        update = Update(test.update, "", "1", "2", security=test.security, severity=test.severity,
                        known_exploited=test.known_exploited, classifications=tuple(test.classification))
        now = instant(parse_date(test.date), 24 * 60, zone) - 1
        approval, reason = decide_approval(
            check.policy, test.host, update, instant(parse_date(test.released), 0, zone), now,
            lambda pattern, host: select is not None and host in select(pattern),
        )
        if approval != test.expect:
            check.problem(("tests", index, "expect"), "approval-test-failed",
                          f"{test.update} on {test.date} is {approval}, not {test.expect}", reason)


def check_inventory(inventory: Inventory, now: float, findings: Findings) -> None:
    """Note what is legal and probably not meant."""
    today = datetime.fromtimestamp(now, UTC).date().isoformat()
    for name, host in inventory.hosts.items():
        if host.frozen and host.frozen.until and host.frozen.until < today:
            findings.note(_host_note(host.origins.get("frozen", ""), "expired-freeze",
                                     f"host {name!r}: the freeze ended on {host.frozen.until}", "remove frozen:"))
        for secret in (host.connection.password, host.connection.key_passphrase, host.connection.become.password):
            if secret is not None and secret.scheme == "plain":
                findings.note(_host_note(secret.origin, "plain-secret", "a secret stands here in plain text",
                                         "encrypt it with ansible-vault, or give a reference in patchctl's form"))
        if host.connection.transport not in TRANSPORTS:
            findings.note(_host_note(host.origins.get("connection", ""), "unknown-connection",
                                     f"host {name!r} cannot be reached: no connection {host.connection.transport!r}",
                                     f"known: {', '.join(TRANSPORTS)}"))
    _check_winrm(inventory, findings)
    _check_ways(inventory, findings)
    for name in inventory.hosts:
        if name in inventory.groups:
            findings.note(_host_note("", "ambiguous-name", f"{name!r} is a host and a group",
                                     "patterns mean the group; rename one of the two"))


def _check_ways(inventory: Inventory, findings: Findings) -> None:
    """Find hosts that cannot be reached as it is written, and hosts that are one machine under several names."""
    unresolved: dict[tuple[str, str], list[str]] = {}
    machines: dict[tuple[object, ...], list[str]] = {}
    for name, host in inventory.hosts.items():
        if host.unresolved:
            message, _, origin = host.unresolved.rstrip(")").rpartition(" (")
            unresolved.setdefault((origin, message), []).append(name)
        way = [name]
        while (hop := next(iter(inventory.hosts[way[-1]].connection.jump), "")) in inventory.hosts:
            if hop in way:
                if hop == name:  # told once for each host in the circle, and not for those that lead into it
                    findings.add(_host_note(host.origins.get("jump", ""), "jump-loop",
                                            f"the jump hosts of {name!r} lead in a circle: {' > '.join([*way, hop])}",
                                            "correct jump:"))
                break
            way.append(hop)
        place = place_of_host(host)
        if place is not None:
            machines.setdefault(place, []).append(name)
    for (origin, message), names in unresolved.items():
        findings.note(_host_note(origin, "setting-unresolved", f"{_some(names)} will not be visited: {message}",
                                 "only plain names, inventory_hostname and default() are resolved"))
    for names in machines.values():
        if len(names) > 1:
            origin = inventory.hosts[names[1]].origins.get("address", "")
            findings.note(_host_note(origin, "same-address", f"{_some(names)} have the same address",
                                     "one machine under several names would be counted several times: keep one name"))


def _some(names: Sequence[str]) -> str:
    """Return `host 'a'`, or `hosts 'a', 'b' and 3 more`."""
    shown = ", ".join(repr(name) for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"host{'s' if len(names) > 1 else ''} {shown}{more}"


_WINRM_PLACES = {"winrm-jump": "jump", "winrm-auth-http": "winrm.auth", "winrm-certificate": "winrm.auth"}
"""Code -> the setting where it is noted; all others: where `connection` is set."""


def _check_winrm(inventory: Inventory, findings: Findings) -> None:
    """Note hosts whose settings cannot work over WinRM, once per place and reason."""
    hosts = [host for host in inventory.hosts.values() if host.connection.transport == "winrm"]
    found: dict[tuple[str, str], list[UsageError]] = {}
    for host in hosts:
        try:
            place_of(host)
        except UsageError as error:
            origin = host.origins.get(_WINRM_PLACES.get(error.code, ""), "") or host.origins.get("connection", "")
            found.setdefault((origin, error.code), []).append(error)
        for text in host.ignored:
            if text.startswith(("ansible_winrm_", "ansible_psrp_")):
                message, _, origin = text.rstrip(")").rpartition(" (")
                note = UsageError("winrm-ignored", f"{host.name}: {message}", "the setting is left out")
                found.setdefault((origin, "winrm-ignored"), []).append(note)
    for (origin, code), errors in found.items():
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        findings.note(_host_note(origin, code, f"{errors[0].message}{more}", errors[0].hint))


def _host_note(origin: str, code: str, message: str, hint: str) -> Problem:
    """Return a note at an origin written as FILE:LINE:COLUMN (LEVEL)."""
    file, line, column = (*origin.partition(" ")[0].rsplit(":", 2), "", "")[:3] if origin else ("inventory", "", "")
    return Problem(file, int(line or 0), int(column or 0), code, message, hint)
