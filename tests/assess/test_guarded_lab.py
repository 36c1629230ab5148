"""Firewalls, audit rules, GRUB, SELinux and AppArmor on hosts that really have them, in a good and in a bad state.

Each firewall stands in a network of the host's own. Audit rules are the machine's: they are tried only where it has
none, and taken away again. GRUB's menu is made by GRUB itself, on a disk of its own.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from patchctl.assess.checks.registry import all_checks
from patchctl.assess.native.answers import SnapshotAnswers, probes_of
from patchctl.assess.native.tree import Leaf, Outcome, judge, more_of, questions_of
from patchctl.collect.parse import parse_output
from patchctl.collect.script import compile_script
from patchctl.model.assessment import FAIL, NOT_APPLICABLE, PASS, UNKNOWN
from patchctl.model.evidence import Evidence, Snapshot
from tests.assess.guarded import GuardedLab
from tests.assess.native_lab import NONCE
from tests.lab import LabHost, why_not

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
IPV6 = ("ip link add d0 type veth peer name d1; ip link set d0 up; ip link set d1 up\n"
        "ip -6 addr add 2001:db8::1/64 dev d0 nodad\n")
"""An address by which others could reach the host."""


@pytest.fixture(scope="module")
def host() -> Iterator[LabHost]:
    if reason := why_not():
        pytest.skip(f"lab test left out: {reason}")
    with GuardedLab.session() as lab:
        yield lab.up(1)[0]


def ask(words: Sequence[str], name: str, args: dict[str, Any], before: str = "") -> Outcome:
    """Return what a check comes to where `words` start a shell that reads its script; `before` is run there first."""
    leaf = Leaf(name, args)
    evidence: dict[str, Evidence] = {}
    probes = probes_of(questions_of(leaf))
    while probes:
        script = f"{before}\n{compile_script(probes, NONCE)}".encode()
        done = subprocess.run([*words], input=script, capture_output=True, timeout=300, check=False)
        evidence |= parse_output(done.stdout, probes, NONCE, host="h", taken_at=time.time(), as_root=True, seconds=0.0,
                                 lost="").evidence
        answers = SnapshotAnswers(Snapshot("h", 0.0, evidence))
        probes = tuple(p for p in probes_of(q for q in more_of(leaf, answers) if not answers.has(q))
                       if p.id not in evidence)
    return judge(leaf, SnapshotAnswers(Snapshot("h", 0.0, evidence)))


def nft(policy: str, *rules: str) -> str:
    body = "\n".join(("ct state established,related accept", "iif lo accept", "tcp dport 22 accept", *rules))
    return ("nft -f - <<'E'\ntable inet filter {\n chain input { type filter hook input priority filter\n"
            f"  policy {policy}\n{body}\n }}\n}}\nE\n")


UFW = "ufw --force reset >/dev/null; ufw default {} incoming >/dev/null; ufw --force enable >/dev/null\n"
FIREWALLD = """sed -i 's/^DefaultZone=.*/DefaultZone={}/' /etc/firewalld/firewalld.conf
timeout 200 firewalld --nofork --nopid >/dev/null 2>&1 & fwd=$!
trap 'kill $fwd; wait $fwd' EXIT
for i in $(seq 100); do firewall-cmd --state >/dev/null 2>&1 </dev/null && break; sleep 0.3; done
"""
"""It speaks over the host's own message bus, and ends with the shell that started it."""
CHAIN = """iptables -N A; iptables -A A -j ACCEPT; iptables -A INPUT -j A
iptables -P INPUT DROP; ip6tables -P INPUT DROP"""
FIREWALLS = {
    "none": ("", FAIL, "no chain looks at input"),
    "nft-drop": (nft("drop"), PASS, "drop by default"),
    "nft-accept": (nft("accept"), FAIL, "accept by default"),
    "nft-last-rule": (nft("accept", 'counter reject with icmpx admin-prohibited comment "others"'), PASS, "reject by"),
    "nft-all-let-in": (nft("drop", "counter accept"), FAIL, "accept by default"),
    "iptables-forgets-ipv6": ("iptables -P INPUT DROP", FAIL, "no chain looks at input"),
    "both-iptables": ("iptables -P INPUT DROP; ip6tables -P INPUT DROP", PASS, "drop by default"),
    "iptables-chain-lets-in": (CHAIN, FAIL, "accept by default"),
    "legacy": ("iptables-legacy -P INPUT DROP; ip6tables-legacy -P INPUT DROP", PASS, "drop by default"),
    "legacy-beside-nft": ("iptables -A INPUT -j ACCEPT; ip6tables -P INPUT DROP; iptables-legacy -P INPUT DROP",
                          PASS, "drop by default"),
    "legacy-forgets-ipv6": ("iptables-legacy -P INPUT DROP", FAIL, "no chain looks at input"),
    "firewalld": (FIREWALLD.format("public"), PASS, "reject by default"),
    "firewalld-trusted": (FIREWALLD.format("trusted"), FAIL, "accept by default"),
    "ufw": (UFW.format("deny"), PASS, "drop by default"),
    "ufw-allows": (UFW.format("allow"), FAIL, "accept by default"),
}


@pytest.mark.parametrize("name", FIREWALLS)
def test_firewalls(host: LabHost, name: str) -> None:
    setup, expected, shown = FIREWALLS[name]
    found = ask(host.exec_argv("exec unshare -n sh -s"), "firewall", {}, f"ip link set lo up\n{IPV6}{setup}\n")
    assert found.verdict == expected, found
    assert any(shown in item.actual for item in found.items), found


def test_a_firewall_is_unknown_to_who_may_not_look(host: LabHost) -> None:
    words = host.exec_argv("exec unshare -n setpriv --bounding-set=-net_admin,-sys_admin --inh-caps=-all sh -s")
    found = ask(words, "firewall", {})
    assert found.verdict == UNKNOWN, found
    assert "not permitted" in found.reason.lower() or "denied" in found.reason.lower(), found


def test_audit_rules_of_the_kernel(host: LabHost) -> None:
    """The host's auditctl in the machine's own process namespace: the kernel speaks to no other (audit_netlink_ok)."""
    assert ask(host.exec_argv("exec sh -s"), "audit", {"rule": "-w /etc/sudoers -p wa"}).verdict == UNKNOWN
    words = ["chroot", str(host.root), "sh", "-s"]

    def run(script: str) -> str:
        done = subprocess.run(words, input=script, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    if run("auditctl -l").strip() != "No rules" or "enabled 0" not in run("auditctl -s"):
        pytest.skip("this machine's kernel has audit rules of its own, or cannot be asked: they are left alone")
    watch = {"rule": "-w /etc/patchctl-lab/ -p wa"}
    calls = {"rule": "-a always,exit -F arch=b64 -S unlinkat,rename -F dir=/etc/patchctl-lab -F auid!=unset"}
    (host.root / "etc/patchctl-lab").mkdir()
    (host.root / "etc/audit/rules.d/audit.rules").write_text("-D\n")  # as Debian's begins; what it sets besides stays
    try:
        for args in (watch, calls):
            found = ask(words, "audit", args)
            assert (found.verdict, [i.ok for i in found.items]) == (FAIL, [False, False]), found
            repair = all_checks()["audit"].repair(args)
            assert repair is not None
            run(f"set -eu\n{repair.script}")
            off = ask(words, "audit", args)
            assert off.verdict == FAIL and off.items[-1].actual == "enabled 0", off
            run("auditctl -e 1")
            found = ask(words, "audit", args)
            assert found.verdict == PASS, (found, run("auditctl -l; cat /etc/audit/rules.d/*"))
            run("auditctl -e 0")
        run("rm /etc/audit/rules.d/50-patchctl.rules")
        run("auditctl -e 1")
        found = ask(words, "audit", watch)
        assert [(i.source, i.ok) for i in found.items] == [
            ("/etc/audit/rules.d", False), ("auditctl -l", True), ("auditctl -s", True)], found
    finally:
        run("auditctl -D; auditctl -e 0")
    assert run("auditctl -l").strip() == "No rules"


def test_selinux_and_apparmor_where_the_kernel_has_neither(host: LabHost) -> None:
    words = host.exec_argv("exec sh -s")
    said = host.exec("sestatus; getenforce; aa-status 2>&1 || true")
    if "disabled" not in said or "not present" not in said:
        pytest.skip("this machine's kernel has SELinux or AppArmor")
    for mode in ("enforcing", "permissive"):  # Debian's file says permissive, and it is off
        found = ask(words, "selinux", {"mode": mode})
        assert (found.verdict, found.items[0].actual) == (FAIL, "off"), found
    assert found.items[1].ok, "the file alone is as wanted"
    assert ask(words, "apparmor", {}).verdict == FAIL
    (host.root / "etc/selinux/config").rename(host.root / "etc/selinux/config.old")
    assert ask(words, "selinux", {"mode": "enforcing"}).verdict == NOT_APPLICABLE
    (host.root / "etc/selinux/config.old").rename(host.root / "etc/selinux/config")


# --- GRUB, on a disk of its own: grub-probe finds none below a container's root

DISK = 17
"""Number of the loop device: grub-mkconfig refuses those of one digit."""


@contextlib.contextmanager
def grub_disk(host: LabHost, folder: Path) -> Iterator[list[str]]:
    """Yield words that start a shell on a small ext4 disk with GRUB's programs and one kernel's files."""
    image, at, device = folder / "disk", folder / "at", f"/dev/loop{DISK}"
    at.mkdir()
    subprocess.run(["truncate", "-s", "64M", str(image)], check=True)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    if not Path(device).exists():
        subprocess.run(["mknod", device, "b", "7", str(DISK)], check=True)
    mounted = [at]
    subprocess.run(["losetup", device, str(image)], check=True)
    try:
        subprocess.run(["mount", device, str(at)], check=True)
        for part in ("usr", "etc", "var", "dev", "proc"):
            (at / part).mkdir()
            source = Path("/") / part if part in ("dev", "proc") else host.root / part
            subprocess.run(["mount", "--bind", str(source), str(at / part)], check=True)
            mounted.append(at / part)
        for part in ("bin", "sbin", "lib", "lib64"):
            subprocess.run(["cp", "-a", str(host.root / part), str(at)], check=True)
        (at / "boot/grub").mkdir(parents=True)
        (at / "tmp").mkdir()
        for name in ("vmlinuz", "initrd.img", "config"):
            (at / f"boot/{name}-6.1.0-30-amd64").write_text("x\n")
        yield ["chroot", str(at), "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-s"]
    finally:
        for path in reversed(mounted):
            subprocess.run(["umount", str(path)], check=False)
        subprocess.run(["losetup", "-d", device], check=True)


@pytest.mark.skipif(not Path("/dev/loop-control").exists(), reason="this machine has no loop devices")
def test_grub_repairs_its_menu_and_tells_a_password(host: LabHost, tmp_path: Path) -> None:
    parameter, password = {"parameter": "audit=1", "running": False}, {"password": True}
    bare = ask(host.exec_argv("exec sh -s"), "grub", parameter)
    assert bare.verdict == NOT_APPLICABLE, bare
    with grub_disk(host, tmp_path) as words:
        def run(script: str) -> None:
            done = subprocess.run(words, input=f"set -eu\n{script}", capture_output=True, text=True, timeout=120,
                                  check=False)
            assert done.returncode == 0, done.stdout + done.stderr

        run("cp /usr/share/grub/default/grub /etc/default/grub; update-grub; chmod 644 /boot/grub/grub.cfg")
        found = ask(words, "grub", parameter)
        assert [(i.source, i.actual, i.ok) for i in found.items] == [
            ("/etc/default/grub", "quiet", False), ("/boot/grub/grub.cfg", "0 of 2 entries are so", False)], found
        assert ask(words, "grub", password).verdict == FAIL
        repair = all_checks()["grub"].repair(parameter)
        assert repair is not None
        run(repair.script)
        found = ask(words, "grub", parameter)
        assert found.verdict == PASS and found.items[1].actual == "2 of 2 entries are so", found
        quiet = ask(words, "grub", {"parameter": "quiet", "running": False})
        assert quiet.verdict == PASS, "the entry to recover by lacks it, and does not count"
        now = ask(words, "grub", {"parameter": "audit=1"})
        assert now.verdict == FAIL and now.items[0].source == "/proc/cmdline", "the kernel that runs has it not yet"
        run("printf 'set superusers=\"root\"\\npassword_pbkdf2 root %s\\n' "
            "\"$(printf 'pw\\npw\\n' | grub-mkpasswd-pbkdf2 | grep -o 'grub.pbkdf2.*')\" >>/etc/grub.d/40_custom; "
            "update-grub")
        assert ask(words, "grub", password).verdict == PASS
        run("rm /boot/grub/grub.cfg")
        assert ask(words, "grub", password).verdict in (FAIL, UNKNOWN)
        run("rm /etc/default/grub")
