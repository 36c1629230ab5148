"""Checks on a host that has busybox only (Alpine): what its tools can tell is judged, what they cannot is UNKNOWN."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.apk_repository import ARCH
from tests.lab.dresses.alpine import HASHES
from tests.proof.project import Project

pytestmark = [
    pytest.mark.lab, pytest.mark.timeout(600),
    pytest.mark.skipif(ARCH not in HASHES, reason=f"no image of Alpine is known for {ARCH}"),
]

PREPARE = """
mkdir -p /opt/odd; cd /opt/odd
echo plain >plain; printf 'bad\\377 secret\\n' >latin; printf 'x\\n' >"$(printf 'new\\nline')"
ln -s loop loop; ln -s . self
echo '{"icc": false}' >a.json; chmod 4755 plain; echo '* * * * * root /tmp/x' >/etc/crontab
"""
RULES = {
    "passwd": ('{file: {path: /etc/passwd, owner: root, group: root, mode: "0644"}}', "PASS"),
    "no-acl": ("{file: {path: /etc/passwd, acl: none}}", "PASS"),
    "content": ('{file: {path: /etc/os-release, contains: "^ID=alpine"}}', "PASS"),
    "plain": ("{file: {path: /opt/odd/plain, lacks: secret}}", "PASS"),
    "latin": ("{file: {path: /opt/odd/latin, lacks: secret}}", "FAIL"),
    "everything": ("{file: {path: /opt/odd/*, lacks: other}}", "UNKNOWN"),  # folders are among it
    "loop": ("{file: {path: /opt/odd/loop, state: absent}}", "FAIL"),
    "hash": (f'{{file: {{path: /opt/odd/plain, sha256: "{0:064}"}}}}', "FAIL"),
    "json": ("{value: {path: /opt/odd/a.json, format: json, at: [icc], equals: 'false'}}", "PASS"),
    "kernel": ("{sysctl: {key: kernel.ostype, equals: Linux, persistent: false}}", "PASS"),
    "ssh": ('{sshd: {option: PermitEmptyPasswords, equals: "no"}}', "PASS"),
    "root": ("{user: {only_root: true}}", "PASS"),
    "group": ("{group: {name: shadow, empty: true}}", "PASS"),
    "runs": ("{process: {name: sshd, running: true}}", "PASS"),
    "rests": ("{process: {name: telnetd, running: false}}", "PASS"),
    "sudo": ("{sudoers: {no_rule: NOPASSWD}}", "FAIL"),
    "cron": ("{cron: {job: /tmp/, present: false}}", "FAIL"),
    "package": ("{package: {name: busybox}}", "PASS"),
    "command": ('{command: {run: "echo yes", equals: "yes"}}', "PASS"),
    # Alpine has neither: GNU find, ss, a firewall's programs, systemd.
    "walk": ("{walk: {find: suid}}", "UNKNOWN"),
    "listen": ("{listen: {protocol: tcp, port: 23}}", "UNKNOWN"),
    "firewall": ("{firewall: {hook: input}}", "UNKNOWN"),
    "unit": ("{unit: {name: ssh.service, active: true}}", "NOT_APPLICABLE"),
}


def test_what_busybox_can_tell_is_judged_and_the_rest_is_unknown(lab: Lab, tmp_path: Path) -> None:
    hosts = lab.up(1, dress="alpine")
    project = Project(tmp_path / "project", lab, hosts)
    try:
        hosts[0].exec(PREPARE)
        rules = "".join(f"  - {{id: {name}, title: T, severity: low, check: {check}}}\n"
                        for name, (check, _) in RULES.items())
        (project.folder / "baselines").mkdir(exist_ok=True)
        (project.folder / "baselines" / "odd.yaml").write_text(f"baseline: odd\ntitle: T\nrules:\n{rules}")
        found = project.run("assess", "--baseline", "odd", "-o", "json").json()
    finally:
        project.close()
        lab.down(*hosts)
    assert {r["rule"]: r["verdict"] for r in found["results"]} == {name: wanted for name, (_, wanted) in RULES.items()}
    assert all(r["reason"] for r in found["results"] if r["verdict"] in ("UNKNOWN", "NOT_APPLICABLE"))
