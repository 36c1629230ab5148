"""zypper's exit codes, each provoked for real on one SUSE host: what patchctl takes them for rests on these.

What the install then makes of each is in tests/platforms/test_zypper_exits.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import Lab, LabHost
from tests.lab.rpm_repository import Advisory, Rpm, RpmRepository

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[LabHost]:
    [host] = lab.up(names=["exits"], dress="leap")
    wardrobe = lab.wardrobe("leap")
    stack = RpmRepository(wardrobe.served(lab) / "stack", wardrobe.home)
    package = Rpm("lab-plain", "2.5", "1.el9")
    stack.add(package)
    stack.index([Advisory("SUSE-2026-1", "recommended", (package,), reboot=True)])
    notices = stack.folder / "updateinfo.xml"
    notices.write_text(notices.read_text().replace("reboot_suggested", "restart_suggested"))
    stack.index()
    host.exec('printf "[stack]\\nname=stack\\nbaseurl=%s/stack\\nenabled=1\\ngpgcheck=1\\nrepo_gpgcheck=1\\n" "$1" '
              "> /root/stack.repo", wardrobe.url(lab))
    host.exec("mkdir /root/none; cp -r /etc/zypp/repos.d /root/down; "
              "sed -i '0,/^baseurl=http:..[^/]*/s//baseurl=http:\\/\\/127.0.0.1:9/' /root/down/lab.repo")
    for name in ("lab-broken", "lab-broken-post"):
        host.fault("offer", name)
    host.exec("zypper -n refresh")
    yield host
    lab.down(host)


def code(host: LabHost, words: str, before: str = "") -> int:
    """Return how zypper ended."""
    said = host.exec(f"{before} zypper -n {words} </dev/null >/root/said 2>&1; echo $?", check=False)
    return int(said.splitlines()[-1])


@pytest.mark.parametrize(("words", "wanted"), [
    ("refresh", 0), ("--no-refresh list-updates", 0), ("--no-refresh list-patches", 0), ("needs-rebooting", 0),
    ("nothing-of-that-name", 2), ("install", 3), ("--no-refresh install --from nobody lab-native", 3),
    ("--reposd-dir /root/down refresh", 4), ("--reposd-dir /root/none --cache-dir /root/c1 refresh", 6),
    ("--no-refresh patch-check", 101), ("--no-refresh patch --dry-run --with-interactive", 102),
    ("--no-refresh install nothing-of-that-name", 104),
    ("--reposd-dir /root/down --cache-dir /root/c2 install --dry-run lab-native", 106),
    ("--no-refresh install lab-broken", 8), ("--no-refresh install lab-broken-post", 107),
])
def test_zypper_ends_with(host: LabHost, words: str, wanted: int) -> None:
    assert code(host, words) == wanted, host.exec("tail -n 5 /root/said")


def test_5_without_the_right_to(host: LabHost) -> None:
    said = host.exec("su ops -c 'zypper -n --no-refresh install lab-native' >/dev/null 2>&1; echo $?", check=False)
    assert said == "5\n"


def test_7_while_another_program_holds_the_lock(host: LabHost) -> None:
    host.fault("lock")
    try:
        assert code(host, "--no-refresh list-updates") == 7
        assert "locked by the application with pid" in host.exec("cat /root/said")
    finally:
        host.exec("systemctl stop lab-zypp-lock; rm -f /run/zypp.pid; rm -rf /run/lab-faults")


@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_105_on_a_signal(host: LabHost, name: str) -> None:
    # While packages are put in place it is 8, or zypper crashes: then the install is judged by what is there. Before it
    # listens to signals it just dies of them, so it is given longer until it does.
    ends: list[int] = []
    while 105 not in ends and len(ends) < 30:
        ends.append(code(host, "refresh --force", f"timeout --preserve-status -s {name} {0.05 * (len(ends) + 1):.2f}"))
    assert ends[-1] == 105, ends


def test_103_when_the_package_manager_itself_is_patched_then_102_then_100(host: LabHost) -> None:
    host.exec("cp /root/stack.repo /etc/zypp/repos.d/; zypper -n refresh")
    assert code(host, "--no-refresh patch") == 103
    assert "Run this command once more" in host.exec("cat /root/said")
    assert host.exec("rpm -q --qf '%{VERSION}' lab-plain") == "2.5"
    assert code(host, "--no-refresh patch --with-interactive --category security") == 102
    assert "requires a reboot" in host.exec("cat /root/said")
    assert code(host, "needs-rebooting") == 0, "zypper has forgotten it: why our install leaves /run/reboot-needed"
    assert code(host, "--no-refresh patch-check") == 100
    host.exec(": > /run/reboot-needed")
    assert code(host, "needs-rebooting") == 102
