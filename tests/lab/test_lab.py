"""The lab keeps what its README says: real boots, visible faults, separate runs, and nothing left after a crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from patchctl.documents.inventories import load_inventory
from tests.lab import Lab, LabError, LabHost, slots
from tests.lab.faults import FAULTS
from tests.lab.kernel import cgroup_processes, cgroup_roots, mounts_named
from tests.lab.packages import OFFERS

pytestmark = pytest.mark.lab
Boot = Callable[[int], list[LabHost]]


@pytest.fixture()
def host(module_hosts: Boot) -> LabHost:
    """A host that several tests share; each clears its faults."""
    return module_hosts(1)[0]


def test_boots_real_debian_with_updates_pending(lab: Lab, module_hosts: Boot) -> None:
    one, two = module_hosts(2)
    assert one.ssh("id -un") == "ops\n"
    assert one.ssh("sudo -n id -un") == "root\n"
    assert one.exec("ps -o comm= -p 1") == "systemd\n"
    assert one.exec("systemctl --failed --no-legend") == ""
    assert one.exec("cat /etc/machine-id") != two.exec("cat /etc/machine-id")
    assert one.host_key() != two.host_key()
    pending = one.upgradable()
    assert pending == two.upgradable()
    security = one.exec("apt list --upgradable 2>/dev/null | grep -c /oldstable-security || true")
    assert int(security) >= 5
    assert len(pending) - int(security) >= 8
    assert ("lab-service", "all", "1.0", "2.0") in pending


def test_every_way_to_become_root_is_there(host: LabHost) -> None:
    with pytest.raises(LabError, match="password"):
        host.ssh("sudo -n true", user="opspw")
    assert host.ssh("echo labpw | sudo -S -p '' id -un", user="opspw") == "root\n"
    assert host.ssh("doas id -un") == "root\n"
    assert host.ssh("echo $shell", user="opscsh") == "/bin/tcsh\n"
    with pytest.raises(LabError):
        host.ssh("sudo -n true", user="guest")


def test_all_updates_install_and_nothing_stays_pending(fresh_hosts: Boot) -> None:
    [one] = fresh_hosts(1)
    one.exec("DEBIAN_FRONTEND=noninteractive apt-get -qy -o Dpkg::Options::=--force-confold dist-upgrade", timeout=300)
    assert one.upgradable() == []
    assert one.exec("dpkg --audit") == ""
    assert one.exec("cat /etc/lab-conffile.conf") == "answer = 2\nnew = yes\n"
    assert one.exec("dpkg-query -W -f '${Version}' lab-extra") == "2.0"
    assert len(one.exec("cat /var/log/lab-service.postinst").splitlines()) == 1
    assert one.ssh("true") == ""


def test_reboot_changes_the_boot_id(host: LabHost) -> None:
    before, machine = host.boot_id(), host.exec("cat /etc/machine-id")
    host.reboot()
    assert host.boot_id() != before
    assert host.exec("cat /etc/machine-id") == machine


def test_a_pulled_plug_keeps_the_disk(host: LabHost) -> None:
    before = host.boot_id()
    host.exec("echo kept > /var/lib/lab-kept; sync")
    host.kill()
    assert not host.running()
    assert not answers(host)
    host.start()
    assert host.boot_id() != before
    assert host.exec("cat /var/lib/lab-kept") == "kept\n"
    host.power_off()
    assert not host.running()
    host.start()
    assert host.ssh("true") == ""


def answers(host: LabHost) -> bool:
    try:
        with socket.create_connection((host.address, host.port), 1) as connection:
            connection.settimeout(1)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def test_a_cut_link_is_silent_and_concerns_one_host(module_hosts: Boot) -> None:
    one, two = module_hosts(2)
    one.cut()
    assert not answers(one)
    assert answers(two)
    one.mend()
    assert answers(one)


def test_a_frozen_host_accepts_and_says_nothing(host: LabHost) -> None:
    host.freeze()
    with socket.create_connection((host.address, host.port), 2) as connection:
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    host.thaw()
    assert answers(host)


APT = "DEBIAN_FRONTEND=noninteractive apt-get -qy -o DPkg::Lock::Timeout=0"
VISIBLE: dict[str, tuple[tuple[str, ...], str, str]] = {  # fault -> arguments, command, what its output must contain
    "apt-lock": (("aptd",), f"{APT} install lab-service 2>&1; cat /proc/$(pgrep -x aptd)/comm", "aptd"),
    "chatty": ((), "su - ops -c true", "welcome"),
    "disk-full": (("var",), "echo x > /var/full 2>&1; df --output=pcent /var", "100%"),
    "dpkg-interrupted": ((), "dpkg --audit", "lab-half"),
    "edit-conffile": ((), "dpkg --verify lab-conffile", "/etc/lab-conffile.conf"),
    "faillock": ((), "su opspw -c 'yes no | sudo -S true' 2>/dev/null; faillock --user opspw",
                 " V"),
    "fence": (("s-1", "2", "3"), "cat /var/lib/patchctl/fence", "s-1 2 3"),
    "hold": (("openssl",), "apt-mark showhold", "openssl"),
    "no-sudo": ((), "su ops -c 'sudo -n true' 2>&1", "password is required"),
    "no-space-tmp": ((), "echo x 2>&1 > /tmp/x || df --output=pcent /tmp", "100%"),
    "noexec": ((), "printf '#!/bin/sh\n' > /tmp/x; chmod +x /tmp/x; /tmp/x 2>&1", "Permission denied"),
    "offer": (("lab-slow",), "apt list --upgradable 2>/dev/null", "lab-slow"),
    "pin": (("openssl",), "apt-cache policy openssl", "1001"),
    "repo-down": ((), "apt-get update -o Acquire::Retries=0 2>&1", "Connection refused"),
    "slow": (("50",), "true", ""),
    "ssh-stop": (("30",), "systemctl is-active ssh", "inactive"),
    "stale-lists": (("9",), "find /var/lib/apt/lists -name '*Packages*' -mtime +8", "Packages"),
    "time-skew": (("172800",), "true", ""),
    "veto": (("change freeze",), "cat /etc/patchctl/hold", "change freeze"),
    "wrong-host-key": ((), "true", ""),
}


def test_every_fault_is_tested() -> None:
    assert set(VISIBLE) == set(FAULTS)


@pytest.mark.parametrize("name", list(VISIBLE))
def test_a_fault_is_visible_and_clear_ends_it(host: LabHost, name: str) -> None:
    arguments, command, wanted = VISIBLE[name]
    pending = host.upgradable()
    host.fault(name, *arguments)
    try:
        assert wanted in host.exec(command, check=False)
        if name == "wrong-host-key":
            with pytest.raises(LabError, match=r"verification failed|IDENTIFICATION"):
                host.ssh("true")
        if name == "time-skew":
            skewed, real = host.ssh("date +%s"), host.exec("date +%s")
            assert 170000 < int(skewed) - int(real) < 175000
    finally:
        host.clear()
    assert host.ssh("sudo -n true") == ""
    assert host.upgradable() == pending
    assert host.exec("dpkg --audit") == ""
    assert host.exec("grep -c lab-full /proc/mounts", check=False).strip() == "0"
    host.exec("apt-get -qq update -o APT::Update::Error-Mode=any && apt-get -sy upgrade | grep -q ^Inst")


def test_the_slow_fault_holds_the_host_back(host: LabHost) -> None:
    def throttled() -> int:
        stats = [root / host.cgroup / "cpu.stat" for root in cgroup_roots()]
        lines = [line.split() for stat in stats if stat.exists() for line in stat.read_text().splitlines()]
        return sum(int(value) for name, value in lines if name == "nr_throttled")

    before = throttled()
    host.fault("slow", "5")
    host.ssh("python3 -c 'sum(range(3_000_000))'")
    host.clear()
    assert throttled() > before


@pytest.mark.parametrize("package", [tiny.name for tiny in OFFERS])
def test_an_offer_does_what_it_is_for(fresh_hosts: Boot, package: str) -> None:
    [host] = fresh_hosts(1)
    host.fault("offer", package)
    host.exec("echo 1 | tee /etc/lab-slow > /etc/lab-sshcut")
    words = f"{APT} install {package}" if package != "lab-phased" else f"{APT} -s upgrade"
    said = host.exec(f"echo n | {words} 2>&1; echo rc $?", timeout=120)
    installed = host.exec(f"dpkg-query -W -f '${{Status}} ${{Version}}' {package}")
    failing = {"lab-broken", "lab-half", "lab-prompt"}
    assert ("rc 0" in said) == (package not in failing), said
    assert installed.endswith("1.0" if package == "lab-phased" else "2.0")
    assert ("install ok installed" in installed) == (package not in failing)
    if package == "lab-reboot":
        assert host.exec("cat /run/reboot-required.pkgs") == "lab-reboot\n"
    if package == "lab-removes":
        assert "lab-victim" not in host.exec("dpkg-query -W -f '${Package} ${Status}\n' | grep ' installed'")
    if package == "lab-service-fails":
        assert "lab-service-fails" in host.exec("systemctl --failed --no-legend")
    if package == "lab-sshcut":
        host.lab.wait(lambda: answers(host), "sshd comes back", 20)


def test_the_repository_can_be_down_and_lose_a_version(fresh_hosts: Boot, lab: Lab) -> None:
    [host] = fresh_hosts(1)
    lab.repository.stop()
    assert "refused" in host.exec("apt-get update -o Acquire::Retries=0 2>&1", check=False)
    lab.repository.start()
    host.exec("apt-get -qq update -o APT::Update::Error-Mode=any")
    name = "lab-conffile_2.0_all.deb"
    kept = (lab.repository.folder / "lab/pool" / name).read_bytes()
    try:
        assert lab.repository.withdraw("lab-conffile_2.0*", unlist=False) == [name]
        assert "404" in host.exec(f"{APT} -o Acquire::Retries=0 install lab-conffile 2>&1", check=False)
        lab.repository.index("lab")
        host.exec("apt-get -qq update")
        assert not any(row[0] == "lab-conffile" for row in host.upgradable())
    finally:
        again = lab.folder / name
        again.write_bytes(kept)
        lab.repository.publish(again)
    host.exec("apt-get -qq update")
    assert any(row[0] == "lab-conffile" for row in host.upgradable())
    assert f"404 /lab/pool/{name}" in lab.repository.requests()


def test_inventories_name_every_host(lab: Lab, module_hosts: Boot, tmp_path: Path) -> None:
    hosts = module_hosts(2)
    (tmp_path / "lab.yaml").write_text(lab.inventory_yaml(hosts, user="opspw", sites={"ams": hosts[:1]}))
    read = load_inventory([tmp_path / "lab.yaml"])
    assert set(read.hosts) == {host.name for host in hosts}
    first = read.hosts[hosts[0].name]
    assert (first.connection.address, first.connection.user, first.site) == (hosts[0].address, "opspw", "ams")
    assert first.connection.keys == (str(lab.key),)


CRASH = """
import time
from tests.lab import Lab
lab = Lab.session()
lab.up(1)
lab.cut(*lab.hosts)
print(lab.slot.number, lab.folder, flush=True)
time.sleep(600)
"""


def test_a_killed_run_leaves_nothing_that_stops_the_next() -> None:
    owner = subprocess.Popen([sys.executable, "-c", CRASH], stdout=subprocess.PIPE, text=True,
                             cwd=Path(__file__).parents[2])
    assert owner.stdout
    number, _, folder = owner.stdout.readline().strip().partition(" ")
    group, source = f"patchctl-lab/{number}", f"patchctl-lab-{number}"
    try:
        assert slots.take(int(number)) is None, "a living run's slot cannot be taken"
        assert cgroup_processes(group)
        assert mounts_named(source)
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait(30)
    assert cgroup_processes(group), "its host outlives the killed owner"
    with Lab.session() as following:
        assert following.up(1)[0].ssh("true") == ""
        if following.slot.number != int(number):
            assert not cgroup_processes(group)
            assert not mounts_named(source)
            assert not Path(folder).exists()
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        assert f"patchctl_lab_{number}\n" not in tables
    assert not cgroup_processes(following.slot.cgroup)
    assert not mounts_named(following.slot.name)
    assert not following.folder.exists()
