"""What may happen to link, host and controller while an install runs; and that it runs once all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from patchctl.model.hosts import HealthCheck
from tests.hostjobs.rig import Rig, apt_runs, installs
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab


def begin(rig: Rig, host: LabHost, package: str, seconds: int = 6) -> None:
    """Start an install whose postinst takes some seconds, and wait until it is in there."""
    host.fault("offer", package)
    host.exec(f"echo {seconds} > /etc/lab-slow; echo {seconds} > /etc/lab-sshcut")
    rig.plan_for([host.name], packages=[package])
    assert rig.job("preflight", host.name).result == "ok"
    assert rig.job("stage", host.name).result == "ok"
    started = rig.job("start", host.name)
    assert started.result == "started", started
    host.lab.wait(lambda: host.root.joinpath(f"var/log/{package}.postinst").exists(), "the postinst runs")


def check_once(rig: Rig, host: LabHost, package: str) -> None:
    verified = rig.job("verify", host.name)
    assert verified.result == "ok", verified
    assert installs(host, package) == 1
    assert apt_runs(host) == 1
    assert len(host.exec(f"cat /var/log/{package}.postinst").splitlines()) == 1
    assert rig.job("cleanup", host.name).result == "ok"


def test_sshd_stopped_during_the_install(rig: Rig, host: LabHost) -> None:
    begin(rig, host, "lab-slow", seconds=4)
    host.fault("ssh-stop", "20")
    lost = rig.job("poll", host.name)
    assert lost.result == "unreachable"
    assert lost.error
    assert lost.error.status == "unreachable"
    done = rig.poll_until_over(host.name)
    assert (done.result, done.data["rc"]) == ("finished", 0)
    check_once(rig, host, "lab-slow")


def test_a_package_that_ends_every_ssh_session(rig: Rig, host: LabHost) -> None:
    begin(rig, host, "lab-sshcut", seconds=5)
    done = rig.poll_until_over(host.name)
    assert (done.result, done.data["rc"]) == ("finished", 0)
    check_once(rig, host, "lab-sshcut")


def test_everything_that_is_pending_sshd_and_systemd_included(rig: Rig, host: LabHost) -> None:
    rig.plan_for([host.name], health=(HealthCheck("no_new_failed_units"), HealthCheck("unit", "ssh.service")))
    packages = {change.package for change in rig.plan.hosts[host.name].changes}
    assert "openssh-server" in packages
    before = rig.job("preflight", host.name).data["health_before"]
    done = rig.install(host.name)
    assert done.data["rc"] == 0, done.data["log"]
    assert {change["package"] for change in done.data["changes"]} == packages
    verified = rig.job("verify", host.name, data={"health_before": before})
    assert verified.result == "ok", verified
    assert [row for row in host.upgradable() if row[0] in packages] == []
    assert [installs(host, package) for package in sorted(packages)] == [1] * len(packages)
    assert apt_runs(host) == 1
    assert rig.job("cleanup", host.name).result == "ok"


def test_the_link_cut_during_the_install(rig: Rig, host: LabHost) -> None:
    begin(rig, host, "lab-slow", seconds=4)
    host.cut()
    assert rig.job("poll", host.name).result == "unreachable"
    host.mend()
    assert rig.poll_until_over(host.name).data["rc"] == 0
    check_once(rig, host, "lab-slow")


def test_systemd_executes_itself_anew_during_the_install(rig: Rig, host: LabHost) -> None:
    begin(rig, host, "lab-slow", seconds=5)
    host.exec("systemctl daemon-reload; systemctl daemon-reexec; systemctl restart ssh.service")
    assert rig.job("poll", host.name).result == "running"
    assert rig.poll_until_over(host.name).data["rc"] == 0
    check_once(rig, host, "lab-slow")


def test_a_host_that_is_switched_off_cleanly_lets_the_install_end(rig: Rig, host: LabHost) -> None:
    begin(rig, host, "lab-slow", seconds=5)
    host.power_off(patience=60)
    host.start()
    done = rig.job("poll", host.name)
    assert (done.result, done.data["rc"]) == ("finished", 0), done
    check_once(rig, host, "lab-slow")


def test_the_plug_pulled_during_the_install(rig: Rig, host: LabHost) -> None:
    begin(rig, host, "lab-slow", seconds=600)
    before = host.boot_id()
    host.kill()
    assert rig.job("poll", host.name).result == "unreachable"
    host.start()
    interrupted = rig.job("poll", host.name)
    assert interrupted.result == "interrupted", interrupted
    assert interrupted.data["boot_id"] not in ("", before)
    assert interrupted.data["step"] == "install"
    again = rig.job("start", host.name)
    assert (again.result, again.data["was"]) == ("adopted", "interrupted")
    assert rig.job("cleanup", host.name).result == "ok"
    host.exec("echo 0 > /etc/lab-slow")
    preflight = rig.job("preflight", host.name, number=2)
    assert preflight.result in ("ok", "done"), preflight
    assert rig.job("stage", host.name, number=2).result == "ok"
    started = rig.job("start", host.name, number=2, adjustments=("dpkg-configure-a",))
    assert started.result == "started", started
    done = rig.poll_until_over(host.name, number=2)
    assert done.data["rc"] == 0, done
    assert rig.job("verify", host.name, number=2).result == "ok"


def test_two_controllers_race_for_one_host(
    lab: Lab, fresh_hosts: Callable[[int], list[LabHost]], tmp_path: Path
) -> None:
    (host,) = fresh_hosts(1)
    rigs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        rigs.append(Rig(tmp_path / name, [host], lab.known_hosts))
    for rig in rigs:
        rig.plan_for([host.name], packages=["lab-service"])
        assert rig.job("stage", host.name).result == "ok"
    with ThreadPoolExecutor(2) as pool:
        results = sorted(pool.map(lambda rig: rig.job("start", host.name).result, rigs))
    assert results == ["fenced", "started"]
    owner = next(rig for rig in rigs if rig.job("poll", host.name).result != "absent")
    assert owner.poll_until_over(host.name).data["rc"] == 0
    assert installs(host, "lab-service") == 1
    for rig in rigs:
        rig.close()


@pytest.mark.parametrize("point", ["start.host.before", "start.host.after"])
def test_a_controller_killed_around_the_start(rig: Rig, host: LabHost, lab: Lab, tmp_path: Path, point: str) -> None:
    rig.plan_for([host.name], packages=["lab-service"])
    assert rig.job("stage", host.name).result == "ok"
    child = os.fork()
    if child == 0:  # the controller: it has its own connections and dies at the point
        try:
            os.environ["PATCHCTL_FAILPOINT"] = point
            (tmp_path / "child").mkdir()
            other = Rig(tmp_path / "child", [host], lab.known_hosts)
            rig.connections = other.connections
            rig.use(rig.plan)
            rig.job("start", host.name)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    first = rig.job("poll", host.name).result
    assert first == ("absent" if point.endswith("before") else first)
    assert rig.job("start", host.name).result == ("started" if point.endswith("before") else "adopted")
    assert rig.poll_until_over(host.name).data["rc"] == 0
    assert installs(host, "lab-service") == 1
    assert apt_runs(host) == 1


def test_a_login_that_fails_says_so_and_breaks_nothing(rig: Rig, host: LabHost) -> None:
    rig.plan_for([host.name], packages=["lab-service"])
    host.fault("no-sudo")
    refused = rig.job("preflight", host.name)
    assert (refused.result, refused.error and refused.error.status) == ("unreachable", "privilege-failed")
    host.clear()
    host.fault("wrong-host-key")
    refused = rig.job("preflight", host.name)
    assert (refused.result, refused.error and refused.error.status) == ("unreachable", "host-key")
