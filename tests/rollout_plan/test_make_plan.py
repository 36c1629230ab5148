"""Promises of `patchctl plan`: from hosts or stored snapshots to a plan file, with the documented exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from patchctl.cli.output import render
from patchctl.cli.plan import command, describe_plan, pick_exit_code
from patchctl.cli.progress import FailuresOnly
from patchctl.connect.contract import Command
from patchctl.connect.fake import FakeTransport
from patchctl.model.errors import ConnectError, HostError, HostFailure, UsageError
from patchctl.model.hosts import Connection, Host, Inventory
from patchctl.model.plan import Plan
from patchctl.model.policy import ApprovalRule, Policy, RingSpec
from patchctl.platforms.registry import platform_named
from patchctl.store.database import Store, open_store
from patchctl.usecases.plan import PlanRequest, load_plan_file, make_plan, make_surveyor, write_plan_file
from tests.rollout_plan.answers import answer_script
from tests.rollout_plan.synthesis import Pending, make_snapshot, packages_output, pending_output

NOW = 1_795_000_000.0
OPENSSL = Pending("openssl", "3.0.1", "3.0.2", security=True)
LIBSSL = Pending("libssl3", "3.0.1", "3.0.2", security=False)
BASH = Pending("bash", "5.2-1", "5.2-2")
ALL = (OPENSSL, LIBSSL, BASH)
EVERYTHING = Policy("everything", approve=(ApprovalRule(),), rings=(RingSpec("canary", size="1"), RingSpec("rest")))
SECURITY = replace(EVERYTHING, name="security", approve=(ApprovalRule(security=True),))


class FixedClock:
    def now(self) -> float:
        return NOW


def inventory(count: int = 4) -> Inventory:
    hosts = [Host(f"web{i}", Connection(transport="fake")) for i in range(count)]
    return Inventory({host.name: host for host in hosts}, {}, {})


class FakeFleet:
    """Hosts with the same updates pending. `resolved`: what each answers for a partial approval."""

    def __init__(self, resolved: tuple[Pending, ...] = (), away: tuple[str, ...] = ()) -> None:
        self.resolved = resolved
        self.away = away
        self.asked: list[tuple[str, str]] = []

    def answer(self, host: Host, sent: Command) -> bytes | HostError:
        if host.name in self.away:
            return ConnectError("tcp-refused", f"{host.name}: connection refused")
        snapshot = make_snapshot(host.name, pending_output(ALL), packages_output(ALL, 5), taken_at=NOW)
        outputs = {name: found.output for name, found in snapshot.evidence.items()}
        outputs["apt.resolve"] = pending_output(self.resolved)
        kind = next((word for word in ("resolve", "earlier") if f"pc_probe apt.{word} " in sent.script), "scan")
        self.asked.append((host.name, kind))
        return answer_script(sent.script, outputs)

    def transport(self) -> FakeTransport:
        return FakeTransport(self.answer)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/state.db") as opened:
        yield opened


def plan_with(policy: Policy, store: Store, fleet: FakeFleet | None, count: int = 4, *, save: bool = True) -> Plan:
    request = PlanRequest(policy, inventory(count), "ops@ctl", from_snapshots=fleet is None)
    transport = fleet.transport() if fleet else None
    return make_plan(request, store, transport, FixedClock(), FailuresOnly(sys.stderr), save=save)


def test_all_approved_takes_one_visit_and_one_for_the_way_back_and_stores_the_snapshots(store: Store) -> None:
    fleet = FakeFleet()
    plan = plan_with(EVERYTHING, store, fleet)
    assert sorted(fleet.asked) == sorted((f"web{i}", kind) for i in range(4) for kind in ("scan", "earlier"))
    assert {tuple(c.package for c in host.changes) for host in plan.hosts.values()} == {("bash", "libssl3", "openssl")}
    assert plan.artefacts[OPENSSL.sha256].filename == "openssl_3.0.2_amd64.deb"
    assert sorted(store.latest_snapshots()) == sorted(plan.hosts)
    assert store.rollouts() == [], "a plan that nobody starts is not a rollout"


def test_partial_approval_takes_one_further_visit_to_those_hosts(store: Store) -> None:
    fleet = FakeFleet(resolved=(OPENSSL, LIBSSL))
    plan = plan_with(SECURITY, store, fleet)
    assert sorted(fleet.asked) == sorted((f"web{i}", kind) for i in range(4) for kind in ("scan", "resolve", "earlier"))
    changes = plan.hosts["web0"].changes
    assert [(c.package, c.pulled, c.sha256) for c in changes] == [
        ("libssl3", True, LIBSSL.sha256), ("openssl", False, OPENSSL.sha256),
    ]  # fmt: skip
    assert [(p, v) for p, v, _ in plan.hosts["web0"].not_approved] == [("bash", "5.2-2"), ("libssl3", "3.0.2")]


def test_hosts_that_are_away_are_in_the_plan_with_their_reason(store: Store) -> None:
    plan = plan_with(EVERYTHING, store, FakeFleet(away=("web2",)))
    host = plan.hosts["web2"]
    assert (host.skip_state, host.skip) == ("unreachable", "tcp-refused: web2: connection refused")
    assert sum(len(wave) for ring in plan.rings for wave in ring.waves) == 3
    assert (pick_exit_code(plan), pick_exit_code(plan, fail_on="any"), pick_exit_code(plan, detailed=True)) == (0, 4, 3)


def test_a_plan_for_which_no_host_could_be_looked_at_is_never_a_success(store: Store) -> None:
    plan = plan_with(EVERYTHING, store, FakeFleet(away=("web0", "web1", "web2", "web3")))
    assert pick_exit_code(plan) == 4
    refused = {"host-key": 13, "auth-failed": 12}
    for status, code in refused.items():
        failure = HostFailure("x", "refused", "", status)
        hosts = {name: replace(host, failure=failure) for name, host in plan.hosts.items()}
        assert pick_exit_code(replace(plan, hosts=hosts)) == code


def test_from_snapshots_equals_the_plan_from_the_hosts_and_touches_none(store: Store) -> None:
    looked = plan_with(EVERYTHING, store, FakeFleet(away=("web3",)))
    hosts = {name: replace(host, undo=None) for name, host in looked.hosts.items()}
    assert plan_with(EVERYTHING, store, None) == replace(looked, hosts=hosts), "but for the way back: nobody was asked"


def test_from_snapshots_blocks_what_only_the_host_could_tell(store: Store) -> None:
    plan_with(SECURITY, store, FakeFleet(resolved=(OPENSSL,)))
    plan = plan_with(SECURITY, store, None, count=5)
    assert plan.hosts["web0"].skip_state == "blocked"
    assert "the host was not asked" in plan.hosts["web0"].skip
    assert "never scanned" in plan.hosts["web4"].skip


def test_check_leaves_nothing_behind(store: Store) -> None:
    plan_with(EVERYTHING, store, FakeFleet(), save=False)
    assert store.latest_snapshots() == {}
    assert store.first_seen() == {}


def test_rollout_ids_count_up_from_those_that_were_started(store: Store) -> None:
    first = plan_with(EVERYTHING, store, FakeFleet())
    store.save_plan(first)
    assert first.rollout == "2026-11-everything"
    assert plan_with(EVERYTHING, store, None).rollout == "2026-11-everything-2"


def test_a_snapshot_that_has_aged_makes_pending_unknown() -> None:
    snapshot = make_snapshot("web0", pending_output(ALL), packages_output(ALL, 5), taken_at=NOW, age=20 * 3600)
    assert make_surveyor(NOW + 3600)(snapshot).facts.updates is not None  # type: ignore[union-attr]
    aged = make_surveyor(NOW + 5 * 3600)(snapshot).facts
    assert aged.updates is None  # type: ignore[union-attr]
    assert "25h" in aged.why_unknown("updates") or "1d01h" in aged.why_unknown("updates")  # type: ignore[union-attr]


def test_reading_many_snapshots_gives_what_reading_each_gives() -> None:
    survey = make_surveyor(NOW)
    for index in range(12):
        pending = ALL[: index % 3 + 1]
        snapshot = make_snapshot(
            f"web{index}", pending_output(pending), packages_output(ALL, 5 + index % 2), taken_at=NOW - 60 * index
        )
        assert survey(snapshot).facts == platform_named("apt").read(snapshot)


def test_plan_file_is_read_back_exactly_and_other_files_are_refused(store: Store, tmp_path: Path) -> None:
    plan = plan_with(EVERYTHING, store, FakeFleet())
    path = tmp_path / "plan.json"
    write_plan_file(path, plan)
    assert load_plan_file(path) == plan
    path.write_text(json.dumps({"hosts": []}))
    with pytest.raises(UsageError, match="not a plan file"):
        load_plan_file(path)
    write_plan_file(path, replace(plan, schema="patchctl/plan/9"))
    with pytest.raises(UsageError, match="patchctl/plan/9"):
        load_plan_file(path)
    with pytest.raises(UsageError, match="cannot read"):
        load_plan_file(tmp_path / "absent.json")


def test_documents_show_changes_extras_reboot_and_what_waits(store: Store) -> None:
    plan = plan_with(SECURITY, store, FakeFleet(resolved=(OPENSSL, LIBSSL), away=("web1",)))
    document = describe_plan(plan, "plan.json")
    assert document.data["state"] == "planned"
    assert {ring["name"] for ring in document.data["rings"]} == {"canary", "rest"}
    hosts = {item["host"]: item for item in document.data["hosts"]}
    assert hosts["web0"]["changes"][0]["pulled"] is True
    assert hosts["web1"]["state"] == "unreachable"
    assert hosts["web1"]["error"]["code"] == "tcp-refused"
    rows = {row["host"]: row for row in document.rows}
    assert (rows["web0"]["updates"], rows["web0"]["extras"], rows["web0"]["reboot"]) == (1, 1, "no")
    assert rows["web0"]["what"] == "+libssl3 3.0.1 -> 3.0.2, openssl 3.0.1 -> 3.0.2"
    assert rows["web1"]["what"] == "unreachable: tcp-refused: web1: connection refused"
    text = "\n".join(document.footer)
    assert "changes on 3 of 4 hosts, 6 package changes (3 pulled in" in text
    assert "NOT APPROVED  6 updates on 3 hosts (pending 6)" in text
    assert "LEFT ALONE    1 host (unreachable 1)" in text
    assert "Next: patchctl apply plan.json" in text


@pytest.mark.parametrize(("days", "state"), [(13, "skipped"), (15, "unreachable")])
def test_a_host_that_may_be_away_is_not_unreachable_while_it_may(store: Store, days: int, state: str) -> None:
    seen = make_snapshot("web1", pending_output(ALL), packages_output(ALL, 5), taken_at=NOW - days * 86400)
    store.save_snapshot(seen)
    known = inventory(4)
    hosts = {name: replace(host, intermittent=14 * 86400.0) for name, host in known.hosts.items()}
    request = PlanRequest(EVERYTHING, replace(known, hosts=hosts), "ops@ctl")
    fleet = FakeFleet(away=("web1", "web2")).transport()
    plan = make_plan(request, store, fleet, FixedClock(), FailuresOnly(sys.stderr))
    assert plan.hosts["web1"].skip_state == state
    assert "connection refused" in plan.hosts["web1"].skip
    assert plan.hosts["web2"].skip_state == "unreachable", "never seen, so nobody knows how long it is away"
    assert plan.hosts["web0"].away_until == NOW + 14 * 86400
    assert pick_exit_code(plan, fail_on="any") == 4


def test_identical_hosts_are_told_once_in_a_plain_table(store: Store) -> None:
    document = describe_plan(plan_with(EVERYTHING, store, FakeFleet(away=("web1",))))
    brief = {row["host"]: row["brief"] for row in document.rows}
    first, *others = [host for host in brief if host != "web1"]
    assert {brief[host] for host in others} == {f"as {first}"}
    assert "openssl" in brief[first]
    assert brief["web1"].startswith("unreachable: ")
    assert "  web1: tcp-refused: web1: connection refused" in document.footer, "the reason is never cut"


def test_nothing_to_do_is_one_line(store: Store) -> None:
    plan = plan_with(EVERYTHING, store, FakeFleet())
    idle = {name: replace(host, changes=(), metadata_age=24.0) for name, host in plan.hosts.items()}
    document = describe_plan(replace(plan, hosts=idle))
    assert render(document, "table") == "Nothing to change on 4 hosts; lists 24s old\n"
    assert len(json.loads(render(document, "json"))["hosts"]) == 4


# -- the command itself

PROJECT = {
    "inventories/hosts.yaml": "groups:\n  web:\n    hosts: [web0, web1]\n",
    "policies/now.yaml": 'policy: now\nhosts: web\napprove:\n  - {package: "*"}\nrings:\n  - {name: all, size: rest}\n',
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in PROJECT.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_command_plans_from_stored_snapshots(project: Path) -> None:
    import time

    (project / ".patchctl").mkdir(mode=0o700)
    with open_store(f"sqlite:///{project}/.patchctl/state.db") as store:
        for name in ("web0", "web1"):
            texts = pending_output(ALL), packages_output(ALL, 5)
            store.save_snapshot(make_snapshot(name, *texts, taken_at=time.time()))
    ran = run("--policy", "now", "--from-snapshots", "--out", "plan.json", "--detailed-exitcode", "-o", "json")
    assert ran.exit_code == 3, ran.output
    assert json.loads(ran.stdout)["schema"] == "patchctl/plan/1"
    assert len(load_plan_file(project / "plan.json").hosts) == 2
    again = run("--policy", "policies/now.yaml", "--from-snapshots", "--check", "--out", "other.json")
    assert again.exit_code == 0, again.output
    assert not (project / "other.json").exists()
    assert "changes on 2 of 2 hosts" in again.stdout


def test_command_explains_an_unknown_policy(project: Path) -> None:
    ran = run("--policy", "monthly", "--from-snapshots")
    assert isinstance(ran.exception, UsageError)
    assert "policies there: now" in ran.exception.hint


def run(*arguments: str):  # type: ignore[no-untyped-def]
    from click.testing import Result

    result: Result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if isinstance(result.return_value, int):
        result.exit_code = result.return_value
    return result
