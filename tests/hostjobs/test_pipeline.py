"""Host jobs on real hosts: the whole way, and what may come between."""

from __future__ import annotations

import re

import pytest

from patchctl.model.hosts import HealthCheck
from patchctl.usecases.access import Fleet
from patchctl.usecases.takeover import take_over_hosts
from tests.hostjobs.rig import Rig, apt_runs, installs
from tests.lab import LabHost

pytestmark = pytest.mark.lab
PACKAGES = ("lab-service", "lab-conffile", "lab-dependency", "lab-extra")


def test_one_host_from_preflight_to_a_clean_end(rig: Rig, host: LabHost) -> None:
    name = host.name
    host.fault("edit-conffile")
    health = (
        HealthCheck("unit", "ssh.service"), HealthCheck("no_new_failed_units"), HealthCheck("tcp", str(host.port)),
        HealthCheck("command", "echo fine", "fine"),
    )
    rig.plan_for([name], packages=PACKAGES, health=health)
    preflight = rig.job("preflight", name)
    assert preflight.result == "ok", preflight
    assert [check["ok"] for check in preflight.data["health_before"]] == [True] * 4
    assert preflight.data["boot_id"] == host.boot_id()
    assert preflight.data["changed"] == []
    assert preflight.data["free_bytes"] > 1_000_000

    staged = rig.job("stage", name)
    assert staged.result == "ok", staged
    assert set(staged.data["have"]) == set(rig.plan.artefacts)
    assert staged.data["delivered"] == [], "the host's own sources gave them"
    assert all(rig.cache.has(sha) for sha in rig.plan.artefacts), "and the controller keeps a copy"

    started = rig.job("start", name)
    assert started.result == "started", started
    assert rig.job("start", name).result == "adopted"
    done = rig.poll_until_over(name)
    assert (done.result, done.data["rc"]) == ("finished", 0), done
    assert {(c["package"], c["to"]) for c in done.data["changes"]} == {
        (c.package, c.to_version) for c in rig.plan.hosts[name].changes}
    assert done.data["conffiles"] == ["/etc/lab-conffile.conf"]
    assert done.data["step"] == "after"
    assert 0 <= done.data["seconds"] < 120

    verified = rig.job("verify", name, data={"health_before": preflight.data["health_before"]})
    assert verified.result == "ok", verified
    assert (verified.data["pending"], verified.data["health_regressed"]) == ([], [])
    assert verified.data["reboot_required"] is False
    assert rig.store.load_snapshot(verified.data["snapshot"]).host == name

    cleaned = rig.job("cleanup", name)
    assert (cleaned.result, cleaned.data["residue"]) == ("ok", []), cleaned
    assert host.exec("find /var/lib/patchctl -mindepth 1").split() == ["/var/lib/patchctl/fence"]
    assert host.exec("systemctl list-units --all --plain --no-legend 'patchctl*'").strip() == ""
    assert rig.job("preflight", name).result == "done"
    assert [installs(host, package) for package in PACKAGES] == [1] * 4
    assert apt_runs(host) == 1


def test_reboot_is_proven_by_another_boot_id(rig: Rig, host: LabHost) -> None:
    rig.plan_for([host.name], packages=["lab-service"])
    before = host.boot_id()
    assert rig.job("boot", host.name, boot_id=before).result == "waiting"
    wrong = "00000000-0000-4000-8000-000000000000"
    assert rig.job("reboot", host.name, boot_id=wrong).result == "rebooted", "another boot than meant: nothing happens"
    asked = rig.job("reboot", host.name, boot_id=before)
    assert asked.result == "requested", asked
    host.lab.wait(lambda: rig.job("boot", host.name, boot_id=before).result == "rebooted", "it is back")
    assert host.boot_id() != before
    assert rig.job("reboot", host.name, boot_id=before).result == "rebooted", "repeated, it is a no-op"
    host.wait()


def test_the_owners_veto_and_a_foreign_fence_are_respected(rig: Rig, host: LabHost) -> None:
    rig.plan_for([host.name], packages=["lab-service"])
    assert rig.job("stage", host.name).result == "ok"
    host.fault("veto", "closing the books")
    preflight = rig.job("preflight", host.name)
    assert (preflight.result, "closing the books" in preflight.data["reason"]) == ("veto", True)
    refused = rig.job("start", host.name)
    assert (refused.result, refused.error and refused.error.code) == ("veto", "veto")
    host.clear()
    host.fault("fence", "11111111-2222-4333-8444-555555555555", "1", "7")
    fenced = rig.job("preflight", host.name)
    assert (fenced.result, fenced.error and fenced.error.code) == ("failed", "fenced")
    fenced = rig.job("start", host.name)
    assert fenced.result == "fenced"
    assert fenced.error
    assert "11111111-2222-4333-8444-555555555555" in fenced.error.message
    assert installs(host, "lab-service") == 0
    fleet = Fleet(rig.inventory, (rig.inventory.hosts[host.name],))
    (taken,) = take_over_hosts(fleet, rig.connections, rig.store, "ops@ctl", "old controller burnt", forks=1)
    assert (taken.failure, taken.before.split()[:3]) == (None, ["11111111-2222-4333-8444-555555555555", "1", "7"])
    kinds = [(r.event.kind, r.event.reason) for r in rig.store.records()][-2:]
    assert kinds == [("takeover-intended", "old controller burnt"), ("takeover-ended", "old controller burnt")]
    rig.token = 8
    assert rig.install(host.name).data["rc"] == 0


def test_a_host_that_changed_since_the_plan_says_what(rig: Rig, host: LabHost) -> None:
    rig.plan_for([host.name], packages=["lab-service", "lab-conffile"])
    host.exec("apt-get -qy install lab-service")
    changed = rig.job("preflight", host.name)
    assert changed.result == "changed"
    (line,) = changed.data["changed"]
    assert line.startswith("lab-service: planned 1.0, found 2.0")
    assert rig.job("preflight", host.name, number=2).result == "ok", "after an attempt of ours it is as planned"


def test_a_version_that_vanished_is_delivered_from_the_controller(rig: Rig, host: LabHost) -> None:
    rig.plan_for([host.name], packages=["lab-service"])
    (sha,) = rig.plan.artefacts
    assert rig.job("stage", host.name).result == "ok"
    assert rig.job("cleanup", host.name).result == "ok"
    host.lab.repository.stop()
    try:
        staged = rig.job("stage", host.name)
        assert (staged.result, staged.data["delivered"]) == ("ok", [sha]), staged
        assert rig.job("start", host.name).result == "started"
        assert rig.poll_until_over(host.name).data["rc"] == 0
        rig.cache.path(sha).unlink()
        assert rig.job("cleanup", host.name).result == "ok"
        gone = rig.job("stage", host.name)
        assert gone.result == "failed"
        assert gone.error
        assert gone.error.code.startswith("artefact-")
    finally:
        host.lab.repository.start(host.lab.slot.address(1), f"{host.lab.slot.cgroup}/repository")


def test_a_file_that_was_tampered_with_is_replaced_before_the_start(rig: Rig, host: LabHost) -> None:
    rig.plan_for([host.name], packages=["lab-service"])
    assert rig.job("stage", host.name).result == "ok"
    host.exec("for f in /var/lib/patchctl/stage/*/*.deb; do echo x >> $f; done")
    assert rig.job("start", host.name).result == "started"
    assert rig.poll_until_over(host.name).data["rc"] == 0


def test_no_room_is_found_before_anything_is_touched(rig: Rig, host: LabHost) -> None:
    rig.plan_for([host.name], packages=["lab-service"])
    host.fault("disk-full", "var")
    try:
        refused = rig.job("preflight", host.name)
        assert (refused.result, refused.error and refused.error.code) == ("failed", "disk-full"), refused
        assert refused.error
        assert "/var" in refused.error.message
        refused = rig.job("stage", host.name)
        assert refused.result == "failed", refused
    finally:
        host.clear()


def test_a_failing_package_is_a_finished_attempt_with_its_log(rig: Rig, host: LabHost) -> None:
    host.fault("offer", "lab-broken")
    rig.plan_for([host.name], packages=["lab-broken"])
    done = rig.install(host.name)
    assert (done.result, done.data["rc"]) == ("finished", 100)
    assert "lab-broken" in done.data["log"]
    verified = rig.job("verify", host.name)
    assert verified.result == "failed"
    assert verified.data["broken"]


def test_a_held_lock_names_its_holder(rig: Rig, host: LabHost) -> None:
    rig.plan_for([host.name], packages=["lab-service"])
    assert "lock_holder" not in rig.job("preflight", host.name).data
    host.fault("apt-lock", "unattended-upgr")
    preflight = rig.job("preflight", host.name)
    assert preflight.result == "ok", "the install waits for it"
    assert re.fullmatch(r"unattended-upgr\[[0-9]+\]", preflight.data["lock_holder"])
    assert rig.job("stage", host.name).result == "ok"
    assert rig.job("start", host.name).result == "started"
    host.lab.wait(lambda: "unattended-upgr[" in rig.job("poll", host.name).data["lock_holder"], "holder is named")
    assert rig.job("cleanup", host.name).result == "failed", "what still runs is not tidied away"
    host.clear()
    assert rig.poll_until_over(host.name).data["rc"] == 0
