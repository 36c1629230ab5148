"""Remediation where it gets hard: locked out, no room, files that cannot be written or were changed, reboots, steering.

What takes long (a host waits three minutes for a login) runs with PATCHCTL_SOAK=1.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab import LabHost
from tests.proof.project import PATIENCE, Project, assert_clean
from tests.proof.test_remediate import BASELINE, REMEDIATE, house, runs, verdicts

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3000)]


def rule(name: str, check: str, remediation: str = "declarative", severity: str = "high") -> str:
    return f"""
  - id: {name}
    title: {name}
    severity: {severity}
    check: {check}
    remediation: {remediation}
    tests: [{{expect: UNKNOWN, host: {{}}}}]
"""


def baseline(*rules: str) -> str:
    return "baseline: house\nrules:" + "".join(rules)


SLOW = rule("slow", "{file: {path: /etc/house.mark}}",
            '{script: "echo run >>/var/log/house.runs; sleep 8; echo made >/etc/house.mark", files: [/etc/house.mark]}')
KEYS_OFF = rule("no-keys", '{sshd: {option: PubkeyAuthentication, equals: "no"}}')
"""Nobody can log in any more: the lab's users have keys only."""
BANNER = rule("banner", "{file: {path: /etc/house.banner, line: Keep out}}")


def only(project: Project) -> Any:
    (entry,) = project.status()["hosts"]
    return entry


def banner(host: LabHost) -> str:
    return host.exec("cat /etc/house.banner")


# --- files


@pytest.fixture()
def immutable(fleet: Callable[[int], Project]) -> Iterator[Project]:
    project = house(fleet(1), baseline(BANNER, rule("motd", '{file: {path: /etc/house.motd, mode: "0644"}}')))
    path = project.hosts[0].root / "etc/house.banner"
    subprocess.run(["chattr", "+i", str(path)], check=True)
    yield project
    subprocess.run(["chattr", "-i", str(path)], check=False)


def test_an_immutable_file_fails_its_fix_and_no_other(immutable: Project) -> None:
    done = immutable.run(*REMEDIATE, "--yes").expect(5, 6)
    entry = only(immutable)
    assert (entry["state"], verdicts(entry)) == ("failed", {"banner": "FAIL", "motd": "PASS"}), done
    assert entry["diagnosis"]["signature"] == "fix-failed", entry
    host = immutable.hosts[0]
    assert "Operation not permitted" in entry["diagnosis"]["message"], entry
    assert banner(host) == "hello\n"
    assert host.exec("ls -A /etc | grep patchctl || true") == "", "no file is left beside it"
    assert_clean(host)


@pytest.mark.soak
def test_a_link_stays_a_link_and_is_restored_as_one(fleet: Callable[[int], Project]) -> None:
    project = house(fleet(1), baseline(BANNER))
    (host,) = project.hosts
    host.exec("mkdir /srv/texts; mv /etc/house.banner /srv/texts/; ln -s /srv/texts/house.banner /etc/house.banner")
    project.run(*REMEDIATE, "--yes").expect(0)
    entry = only(project)
    assert verdicts(entry) == {"banner": "PASS"}
    assert host.exec("readlink /etc/house.banner; cat /srv/texts/house.banner") == \
        "/srv/texts/house.banner\nhello\nKeep out\n"
    host.exec(f"sh {entry['backup']}/restore")
    assert host.exec("readlink /etc/house.banner; cat /srv/texts/house.banner") == "/srv/texts/house.banner\nhello\n"


def test_a_file_that_somebody_changed_since_the_plan_is_left_alone(fleet: Callable[[int], Project]) -> None:
    project = house(fleet(1), baseline(BANNER))
    (host,) = project.hosts
    project.run(*REMEDIATE, "--out", "plan.json").expect(0)
    host.exec("printf 'hello\\nNo entry\\n' >/etc/house.banner")  # it still lacks the line: the finding is the same
    done = project.run("apply", "plan.json", "--yes").expect(3, 6)
    entry = only(project)
    assert entry["state"] == "skipped", (entry, done)
    assert "would not change what the plan shows" in entry["message"], entry
    assert banner(host) == "hello\nNo entry\n"
    again = project.run(*REMEDIATE, "--yes").expect(0)
    assert banner(host) == "hello\nNo entry\nKeep out\n", again


@pytest.mark.soak
@pytest.mark.parametrize("kilobytes", [4, 64])
def test_without_room_for_a_backup_nothing_is_changed(fleet: Callable[[int], Project], kilobytes: int) -> None:
    project = house(fleet(1), baseline(BANNER))
    (host,) = project.hosts
    host.exec("yes hello | head -c 200000 >/etc/house.banner; echo >>/etc/house.banner")
    before = host.exec("sha256sum /etc/house.banner")
    host.exec("mkdir -p /var/backups/patchctl; "
              f"mount -t tmpfs -o size={kilobytes}k,nr_inodes=64 none /var/backups/patchctl")
    done = project.run(*REMEDIATE, "--yes").expect(5, 6)
    entry = only(project)
    assert entry["state"] == "failed", (entry, done)
    assert verdicts(entry) == {"banner": "FAIL"}
    told = entry["diagnosis"]["message"]
    assert "No space" in told or "no room" in told, entry
    assert host.exec("sha256sum /etc/house.banner") == before
    host.exec("umount /var/backups/patchctl")
    assert_clean(host)


# --- the way in


def test_settings_that_sshd_refuses_are_taken_back_before_they_count(fleet: Callable[[int], Project]) -> None:
    project = house(fleet(1), baseline(rule("tries", "{sshd: {option: MaxAuthTries, equals: many}}")))
    (host,) = project.hosts
    before = host.exec("cat /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*; stat -c %a /etc/ssh/sshd_config")
    done = project.run(*REMEDIATE, "--yes").expect(5, 6)
    entry = only(project)
    assert (entry["state"], entry["diagnosis"]["signature"]) == ("failed", "fix-failed"), (entry, done)
    assert host.exec("cat /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*; stat -c %a /etc/ssh/sshd_config") == before
    host.exec("sshd -t")
    assert host.ssh("echo in").strip() == "in"
    assert_clean(host)


@pytest.mark.soak
def test_who_locks_himself_out_is_let_in_again(fleet: Callable[[int], Project]) -> None:
    project = house(fleet(1), baseline(BANNER, KEYS_OFF))
    project.policy("policy: fixes\nrings: [{name: all}]\nlimits: {host_time: 20m, confirm: 1m}\n")
    (host,) = project.hosts
    done = project.run(*REMEDIATE, "--yes", patience=1200).expect(5, 6, 4)
    project.lab.wait(lambda: "yes" in host.exec("sshd -T | grep -i ^pubkeyauthentication"), "it is taken back", 400)
    project.run("rollout", "resume")
    entry = only(project)
    assert (entry["state"], entry["diagnosis"]["signature"]) == ("failed", "fix-not-confirmed"), (entry, done)
    assert entry["attempts"] == 1, "what locked us out is not tried again by itself"
    assert "could not log in" in entry["message"], entry
    assert verdicts(entry) == {"banner": "PASS", "no-keys": "FAIL"}
    assert host.ssh("echo in").strip() == "in"
    assert_clean(host)


@pytest.mark.soak
def test_the_host_takes_it_back_by_itself_when_the_controller_is_gone(fleet: Callable[[int], Project]) -> None:
    script = ("echo 'DenyUsers ops' >/etc/ssh/sshd_config.d/00-deny.conf; systemctl reload ssh")
    project = house(fleet(1), baseline(rule(
        "deny", "{file: {path: /etc/ssh/sshd_config.d/00-deny.conf}}",
        f'{{script: "{script}"}}')))  # it does not even say which file it makes
    (host,) = project.hosts
    running = project.start(*REMEDIATE, "--yes", "-v")
    deny = host.root / "etc/ssh/sshd_config.d/00-deny.conf"
    project.lab.wait(lambda: deny.exists() or running.process.poll() is not None, "the fix runs", PATIENCE)
    running.send(signal.SIGKILL)
    running.wait()
    project.lab.wait(lambda: not deny.exists(), "the host takes it back", 400)
    project.run("rollout", "resume").expect(5, 6)
    entry = only(project)
    assert (entry["state"], entry["diagnosis"]["signature"]) == ("failed", "fix-not-confirmed"), entry
    assert entry["attempts"] == 2, "nobody had tried to log in after the first; the second locked us out"
    assert "could not log in" in entry["message"], entry
    assert host.ssh("echo in").strip() == "in"
    assert_clean(host)


# --- reboots and steering


@pytest.mark.soak
def test_a_fix_that_counts_after_a_reboot_is_proven_by_another_boot(fleet: Callable[[int], Project]) -> None:
    project = house(fleet(1), baseline(rule(
        "old", "{file: {path: /run/house.old, state: absent}}",
        '{script: "echo run >>/var/log/house.runs", reboot: true}')))
    project.policy("policy: fixes\nrings: [{name: all}]\nlimits: {host_time: 10m}\nreboot: if_required\n")
    (host,) = project.hosts
    host.exec("touch /run/house.old")
    before = host.boot_id()
    done = project.run(*REMEDIATE, "--yes").expect(0)
    entry = only(project)
    assert (entry["state"], verdicts(entry), runs(host)) == ("succeeded", {"old": "PASS"}, 1), (entry, done)
    assert host.boot_id() != before
    assert entry["reboot"]["done"] == 1, entry
    # Where the policy allows none, it waits for one, and is no success until it came.
    project.policy("policy: fixes\nrings: [{name: all}]\nlimits: {host_time: 10m}\nreboot: never\n")
    host.exec("touch /run/house.old")
    before = host.boot_id()
    done = project.run(*REMEDIATE, "--yes")
    entry = only(project)
    assert entry["state"] == "reboot-pending", (entry, done)
    assert verdicts(entry) == {"old": "FAIL"} and host.boot_id() == before


@pytest.mark.soak
def test_steered_like_any_rollout(fleet: Callable[[int], Project]) -> None:
    project = house(fleet(2), baseline(SLOW))
    begun = project.run(*REMEDIATE, "--yes", "--detach").expect(0)
    rollout = project.status()["rollout"]
    assert f"patchctl rollout watch {rollout}" in begun.out
    project.lab.wait(lambda: sum(map(runs, project.hosts)) == 1, "the canary is at it", PATIENCE)
    project.run("rollout", "pause", rollout, "--reason", "look first").expect(0)
    paused = project.wait_status(lambda s: s["state"] == "paused" and s["summary"].get("succeeded") == 1, "paused")
    assert sorted(entry["state"] for entry in paused["hosts"]) == ["pending", "succeeded"]
    project.run("rollout", "tick").expect(0, 7)
    assert sum(map(runs, project.hosts)) == 1, "a paused rollout is left alone by ticks"
    project.run("rollout", "resume", rollout).expect(0)
    assert {entry["state"] for entry in project.status()["hosts"]} == {"succeeded"}
    assert [runs(host) for host in project.hosts] == [1, 1]
    for host in project.hosts:
        assert_clean(host)
    project.audit()


@pytest.mark.soak
def test_aborted_in_the_middle_what_runs_is_finished_and_nothing_else_begun(fleet: Callable[[int], Project]) -> None:
    project = house(fleet(2), baseline(SLOW))
    project.run(*REMEDIATE, "--yes", "--detach").expect(0)
    project.lab.wait(lambda: sum(map(runs, project.hosts)) == 1, "the canary is at it", PATIENCE)
    project.run("rollout", "abort", "--reason", "wrong baseline", "--yes").expect(0, 3, 6)
    found = project.wait_status(lambda s: s["state"] == "aborted", "it is aborted")
    assert sum(map(runs, project.hosts)) == 1
    assert sum(entry["attempts"] for entry in found["hosts"]) == 1, found
    project.audit()


@pytest.mark.soak
def test_ticks_carry_on_what_a_killed_controller_began(fleet: Callable[[int], Project]) -> None:
    project = house(fleet(2), BASELINE)
    project.run(*REMEDIATE, "--yes", env={"PATCHCTL_FAILPOINT": "start.host.after"})
    for _ in range(30):
        project.run("rollout", "tick")
        if project.status()["state"] == "completed":
            break
    assert {entry["state"] for entry in project.status()["hosts"]} == {"succeeded"}, project.status()
    assert [runs(host) for host in project.hosts] == [1, 1]
