"""Scan and updates over fake hosts: what is asked, what is kept, what is said, and with which exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from patchctl.cli import scan as scan_cli
from patchctl.cli import updates as updates_cli
from patchctl.cli.output import render
from patchctl.cli.visiting import exit_code
from patchctl.connect.contract import Command, Result
from patchctl.connect.fake import FakeTransport
from patchctl.model.errors import ConnectError, HostError, PrivilegeError
from patchctl.model.evidence import OK, Snapshot
from patchctl.model.facts import Update
from patchctl.model.hosts import Become, Connection, Host, Inventory
from patchctl.model.policy import ApprovalRule, Policy
from patchctl.platforms import read_facts
from patchctl.usecases.access import Fleet, expand_limit
from patchctl.usecases.scan import ScannedHost, collect_snapshot, describe_host, scan_hosts, scan_probes, summarise
from patchctl.usecases.updates import list_updates, read_latest
from tests.platforms.cases import Case, load_case

APT = load_case("apt", "held-pinned-kept-back")
WINDOWS = load_case("windows", "one-cumulative-update")
DNF = load_case("dnf", "held-and-excluded")


class StoppedClock:
    def now(self) -> float:
        return APT.snapshot.taken_at


class Silent:
    """An observer that remembers how hosts ended."""

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}

    def started(self, title: str, total: int) -> None: ...

    def step(self, host: str, step: str) -> None: ...

    def finished(self, host: str, state: str, message: str = "") -> None:
        self.ends[host] = state

    def note(self, message: str) -> None: ...

    def ended(self) -> None: ...


@dataclass
class Memory:
    """A store in memory."""

    snapshots: list[Snapshot] = field(default_factory=list)
    seen: dict[tuple[str, str], float] = field(default_factory=dict)

    def save_snapshots(self, snapshots: Sequence[Snapshot]) -> list[str]:
        self.snapshots += snapshots
        return [s.host for s in snapshots]

    def note_updates(self, host: str, updates: Sequence[Update], at: float) -> None:
        for update in updates:
            self.seen.setdefault((update.package, update.candidate), at)

    def first_seen(self) -> dict[tuple[str, str], float]:
        return dict(self.seen)


def replay(case: Case, command: Command, *, as_root: bool = True) -> Result:
    """Answer a script as the case's host did, in the records that the script would have printed."""
    script = command.script
    match = re.search(r"^(?:N=|\$N = ')([0-9a-f]{32})", script, re.MULTILINE)
    assert match, "no nonce in the script"
    nonce = match[1]
    asked = re.findall(r"^(?:pc_probe |Invoke-Probe ')([a-z0-9._-]+)", script, re.MULTILINE)
    lines = [f"{nonce}#BEGIN 1 {'root' if as_root else 'user'} ."]
    for name in asked:
        lines.append(f"{nonce}+{name} .")
        evidence = case.snapshot.evidence.get(name)
        if evidence is None or evidence.status != OK:
            lines.append(f"{nonce}>{name} na 0 0 0 .")
            continue
        parts = evidence.output.split("\n")
        lines += [f"{nonce}={name} {part}" for part in parts]
        lines.append(f"{nonce}>{name} {evidence.rc} {len(evidence.output.encode()) + 1} {len(parts)} 0 .")
    lines.append(f"{nonce}#END {len(asked)} .\n")
    return Result(0, ("welcome\n" + "\n".join(lines)).encode(), b"", 0.5, as_root=as_root)


def fake_host(name: str, **connection: Any) -> Host:
    return Host(name, Connection(transport="fake", **connection))


def fleet(*hosts: Host) -> Fleet:
    return Fleet(Inventory({h.name: h for h in hosts}, {}, {}), hosts)


class Fakes:
    """Connections whose hosts are cases or errors."""

    def __init__(self, **answers: Case | HostError) -> None:
        self.answers = answers
        self.transport = FakeTransport(self._answer)

    def _answer(self, host: Host, command: Command) -> Result | HostError:
        found = self.answers[host.name]
        return found if isinstance(found, HostError) else replay(found, command)

    def open(self, host: Host) -> Any:
        return self.transport.open(host)


def scan(fakes: Fakes, *hosts: Host, store: Memory | None = None) -> dict[str, ScannedHost]:
    observer = Silent()
    found = {
        one.host: one
        for one in scan_hosts(
            fleet(*hosts), fakes, refresh="never", forks=4, clock=StoppedClock(), observer=observer, store=store
        )
    }
    assert set(observer.ends) == {h.name for h in hosts}
    return found


def test_debian_and_windows_answer_one_script_each() -> None:
    hosts = (fake_host("deb"), fake_host("win", options={"shell": "powershell"}), fake_host("rpm"))
    fakes = Fakes(deb=APT, win=WINDOWS, rpm=DNF)
    found = scan(fakes, *hosts)
    assert len(fakes.transport.sent) == 3
    items = {name: describe_host(one) for name, one in found.items()}
    assert items["deb"]["status"] == "ok"
    assert (items["deb"]["pending"], items["deb"]["security"], items["deb"]["held_back"]) == (10, 10, 8)
    assert items["win"]["os"]["family"] == "windows"
    assert (items["win"]["pending"], items["win"]["security"]) == (2, 1)
    assert (items["rpm"]["pending"], items["rpm"]["security"]) == (5, None)  # one comes from where nothing says so
    assert items["rpm"]["reboot_required"] is False


def test_one_probe_is_asked_once_however_many_platforms_share_it() -> None:
    probes = scan_probes("sh", "auto")
    assert len({p.id for p in probes}) == len(probes)
    assert {p.id.partition(".")[0] for p in probes} == {"linux", "apt", "dnf", "zypper", "pacman", "apk"}
    assert {p.id.partition(".")[0] for p in scan_probes("powershell", "auto")} == {"windows"}


def test_refused_privilege_falls_back_and_is_told() -> None:
    host = fake_host("deb")
    scripts: list[bool] = []

    def answer(_: Host, command: Command) -> Result | HostError:
        scripts.append(command.become)
        if command.become:
            return PrivilegeError("sudo-password", "sudo refused the password", "check become.password")
        return replay(APT, command, as_root=False)

    snapshot = collect_snapshot(FakeTransport(answer).open(host), "never", StoppedClock())
    assert scripts == [True, False]
    item = describe_host(ScannedHost(snapshot, read_facts(snapshot)))
    assert item["status"] == "privilege-failed"
    assert item["error"]["code"] == "sudo-password"
    assert item["pending"] == 10


def test_no_become_is_not_asked_for() -> None:
    host = fake_host("deb", become=Become("none"))
    fakes = Fakes(deb=APT)
    collect_snapshot(fakes.open(host), "never", StoppedClock())
    assert [sent.command.become for sent in fakes.transport.sent] == [False]


def test_a_host_that_says_nothing_has_failed() -> None:
    host = fake_host("deb")
    mute = FakeTransport(lambda h, c: Result(None, b"motd only\n", b"sh: not found\n", 3.0, lost="silence for 60 s"))
    snapshot = collect_snapshot(mute.open(host), "never", StoppedClock())
    assert snapshot.failure is not None
    assert snapshot.failure.status == "timeout"
    assert not snapshot.complete


def test_failures_are_results_and_everything_is_stored() -> None:
    store = Memory()
    gone = ConnectError("tcp-timeout", "no answer from 10.0.0.9:22", "is it up?")
    found = scan(Fakes(deb=APT, gone=gone), fake_host("deb"), fake_host("gone"), store=store)
    items = [describe_host(one) for one in found.values()]
    by_host = {item["host"]: item for item in items}
    assert by_host["gone"]["status"] == "unreachable"
    for key in ("pending", "security", "packages", "reboot_required", "metadata_age", "held"):
        assert by_host["gone"][key] is None, key
    assert sorted(s.host for s in store.snapshots) == ["deb", "gone"]
    assert store.seen["openssl", "3.0.22-1~deb12u2"] == APT.snapshot.taken_at
    summary = summarise(items)
    assert (summary["pending"], summary["unknown"]) == (10, 1)
    shown = render(scan_cli._document(items), "table")
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert re.search(r"gone\s+unreachable\s+unknown\s+unknown\s+unknown", shown)
    assert "hint: is it up?" in shown
    assert "Pending updates UNKNOWN on 1 hosts" in shown
    json.loads(render(scan_cli._document(items), "json"))


def test_updates_list_what_is_held_too_and_ask_the_policy() -> None:
    one = scan(Fakes(deb=APT), fake_host("deb"))["deb"]
    inventory = fleet(fake_host("deb")).inventory
    plain = {u["package"]: u for u in list_updates(one, {}, None, inventory, 0.0)}
    assert len(plain) == 18
    assert plain["libssl3"]["approval"] == "pending"
    assert plain["openssl"]["approval"] == "held"
    assert plain["tzdata"]["approval"] == "held"
    assert plain["apt"]["reason"].endswith("libapt-pkg6.0 is held")
    assert plain["libssl3"]["first_seen"] is None
    policy = Policy("p", approve=(ApprovalRule(package="libssl*", security=True),))
    seen = {("libssl3", "3.0.22-1~deb12u2"): 1_700_000_000.0}
    judged = {u["package"]: u for u in list_updates(one, seen, policy, inventory, 1_800_000_000.0)}
    assert judged["libssl3"]["approval"] == "approved"
    assert judged["libssl3"]["first_seen"] == "2023-11-14T22:13:20+00:00"
    assert judged["libexpat1"]["approval"] == "pending"
    assert judged["openssl"]["approval"] == "held"


def test_an_unknown_list_is_never_an_empty_one() -> None:
    old = load_case("apt", "lists-nine-days-old")
    from patchctl.usecases.updates import describe_host as describe_for_updates

    one = scan(Fakes(deb=old), fake_host("deb"))["deb"]
    hosts = [describe_for_updates(one)]
    assert hosts[0]["pending"] is None
    shown = render(updates_cli._document([], hosts), "table")
    assert "UNKNOWN on 1 hosts" in shown
    assert "9d00h old" in shown


@pytest.mark.parametrize(
    ("statuses", "pending", "fail_on", "before", "code"),
    [
        (["ok"], [3], "never", {}, 0), (["ok"], [3], "any", {}, 3), (["ok"], [0], "any", {}, 0),
        (["ok", "unreachable"], [3, None], "never", {}, 0), (["ok", "unreachable"], [3, None], "any", {}, 4),
        (["ok", "host-key"], [0, None], "any", {}, 4), (["unreachable"], [None], "never", {}, 4),
        (["host-key", "host-key"], [None, None], "never", {}, 13), (["auth-failed"], [None], "never", {}, 12),
        (["privilege-failed"] * 2, [None, None], "never", {}, 4),
        (["privilege-failed", "ok"], [None, 0], "never", {}, 0),
        (["ok"], [3], "new", {"h0": (True, 3)}, 0), (["ok"], [4], "new", {"h0": (True, 3)}, 3),
        (["ok", "unreachable"], [0, None], "new", {"h1": (False, 0)}, 0),
        (["ok", "unreachable"], [0, None], "new", {"h1": (True, 0)}, 4),
        (["partial"], [None], "any", {}, 4), (["partial"], [None], "never", {}, 0),
        (["partial"], [None], "new", {"h0": (True, 3)}, 4), (["partial"], [None], "new", {"h0": (False, 0)}, 0),
    ],
)  # fmt: skip
def test_exit_codes(
    statuses: list[str], pending: list[int | None], fail_on: str, before: dict[str, tuple[bool, int]], code: int
) -> None:
    items = [
        {"host": f"h{i}", "status": s, "pending": p} for i, (s, p) in enumerate(zip(statuses, pending, strict=True))
    ]
    assert exit_code(items, fail_on, before) == code


@pytest.mark.parametrize(("later", "pending"), [(-3600.0, True), (0.0, True), (4e4, True), (864e3, False)])
def test_what_old_snapshots_say_is_worth_less_every_day(later: float, pending: bool) -> None:
    class Stored:
        def iterate_latest(self, hosts: Sequence[str] | None, *, reached: bool) -> Any:
            return iter([APT.snapshot])

    (then,) = read_latest(Stored(), ["h"])
    (now,) = read_latest(Stored(), ["h"], APT.snapshot.taken_at + later)
    assert then.facts.updates and then.facts.metadata_age is not None and now.facts.metadata_age is not None
    assert now.facts.metadata_age == then.facts.metadata_age + max(0.0, later)
    item = describe_host(now)
    assert (item["pending"] is not None, item["status"]) == (pending, "ok" if pending else "partial")
    if not pending:
        assert "10d" in item["error"]["message"] and item["security"] is None
        assert list_updates(now, {}, None, Inventory({}, {}, {}), APT.snapshot.taken_at + later) == []
        assert exit_code([item], "any", {}) == 4


def test_a_limit_file_holds_patterns(tmp_path: Any) -> None:
    path = tmp_path / "hosts.txt"
    path.write_text("# the first two\nweb1\n\nweb2  # canary\n")
    assert expand_limit(f"@{path}") == "web1:web2"
    assert expand_limit("web:&prod") == "web:&prod"


def test_a_table_tells_what_else_is_odd_on_a_host() -> None:
    item = {**describe_host(ScannedHost(APT.snapshot, read_facts(APT.snapshot))), "host": "h1"}
    plain = "\n".join(scan_cli._document([{**item, "held_back": 0, "broken": [], "clock_skew": 20.0}]).footer)
    assert not re.search("BROKEN|CLOCK|held", plain)
    odd = {**item, "held_back": 3, "broken": ["lab-half (half-configured)"], "clock_skew": -93600.0}
    told = "\n".join(scan_cli._document([odd, {**odd, "host": "h2", "broken": [], "clock_skew": None}]).footer)
    assert "6 more held back on 2 hosts" in told and "BROKEN  h1  lab-half (half-configured)" in told
    assert "CLOCK  h1  26h00m behind" in told and "CLOCK  h2" not in told
    many = scan_cli._document([{**odd, "host": f"h{n}"} for n in range(100)]).footer
    assert len(many) < 30 and any("more of these" in line for line in many)
