"""The same 25 simple checks in five languages: our baseline, sh, an Ansible playbook, and testinfra.

Each kind of check is written as its own users would write it, in the cheapest way the tool has. Five of them fail on a
lab host, so that a tool which looks at nothing does not win.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Simple:
    """One check: our check type's arguments, a sh condition, an Ansible task, and a Python expression for testinfra."""

    name: str
    ours: dict[str, Any]
    shell: str
    task: dict[str, Any]
    infra: str


def mode(path: str, owner: str, octal: str) -> Simple:
    task = {"ansible.builtin.stat": {"path": path, "get_checksum": False, "get_mime": False, "get_attributes": False}}
    good = f"found.stat.mode == '{octal}' and found.stat.pw_name == '{owner}'"
    return Simple(
        f"mode of {path}", {"file": {"path": path, "owner": owner, "mode": octal, "exact_mode": True}},
        f'[ "$(stat -c "%U 0%a" {path})" = "{owner} {octal}" ]', {**task, "changed_when": f"not ({good})"},
        f"host.file({path!r}).user == {owner!r} and host.file({path!r}).mode == 0o{octal}",
    )  # fmt: skip


def package(name: str) -> Simple:
    query = f"dpkg-query -W -f ${{db:Status-Status}} {name}"
    return Simple(
        f"package {name}", {"package": {"name": name}},
        f"[ \"$(dpkg-query -W -f '${{db:Status-Status}}' {name} 2>&1)\" = installed ]",
        _command(query, "found.stdout != 'installed'"), f"host.package({name!r}).is_installed",
    )  # fmt: skip


def sysctl(key: str, value: str) -> Simple:
    return Simple(
        f"sysctl {key}", {"sysctl": {"key": key, "equals": value, "persistent": False}},
        f'[ "$(sysctl -n {key})" = {value} ]', _command(f"sysctl -n {key}", f"found.stdout != '{value}'"),
        f"str(host.sysctl({key!r})) == {value!r}",
    )  # fmt: skip


def unit(name: str) -> Simple:
    task = {"ansible.builtin.systemd_service": {"name": name, "state": "started", "enabled": True}, "check_mode": True}
    return Simple(
        f"unit {name}", {"unit": {"name": name, "enabled": True, "active": True}},
        f"systemctl -q is-enabled {name} && systemctl -q is-active {name}", task,
        f"host.service({name!r}).is_enabled and host.service({name!r}).is_running",
    )  # fmt: skip


def shell_of(user: str, shell: str) -> Simple:
    return Simple(
        f"shell of {user}", {"user": {"name": user, "shells": [shell]}},
        f'[ "$(getent passwd {user} | cut -d: -f7)" = {shell} ]',
        _command(f"getent passwd {user}", f"not found.stdout.endswith(':{shell}')"),
        f"host.user({user!r}).shell == {shell!r}",
    )  # fmt: skip


def line(path: str, pattern: str) -> Simple:
    return Simple(
        f"{pattern} in {path}", {"file": {"path": path, "contains": pattern}},
        f"grep -Eq {shlex.quote(pattern)} {path}", _command(f"grep -Eq {shlex.quote(pattern)} {path}", "found.rc != 0"),
        f"host.file({path!r}).contains({pattern!r})",
    )  # fmt: skip


def _command(words: str, changed_when: str) -> dict[str, Any]:
    return {"ansible.builtin.command": words, "changed_when": changed_when, "failed_when": False}


CHECKS: tuple[Simple, ...] = (
    mode("/etc/passwd", "root", "0644"), mode("/etc/shadow", "root", "0640"), mode("/etc/group", "root", "0644"),
    mode("/etc/gshadow", "root", "0640"), mode("/etc/ssh/sshd_config", "root", "0600"), mode("/etc", "root", "0755"),
    mode("/etc/sudoers", "root", "0440"),
    package("openssh-server"), package("sudo"), package("auditd"), package("procps"), package("apt"),
    sysctl("kernel.randomize_va_space", "2"), sysctl("net.ipv4.ip_forward", "7"),
    sysctl("net.ipv4.tcp_syncookies", "1"), sysctl("fs.suid_dumpable", "9"), sysctl("kernel.pid_max", "4194304"),
    unit("ssh.service"), unit("systemd-journald.service"), unit("getty@tty1.service"),
    shell_of("root", "/bin/bash"), shell_of("daemon", "/usr/sbin/nologin"),
    line("/etc/login.defs", "^PASS_MAX_DAYS"), line("/etc/nsswitch.conf", "^passwd:"), line("/etc/passwd", "^root:"),
)  # fmt: skip
assert len(CHECKS) == 25


def our_baseline() -> str:
    """Return the baseline (JSON is YAML)."""
    rules = [{"id": f"c{n:02}", "title": one.name, "check": one.ours} for n, one in enumerate(CHECKS)]
    return json.dumps({"baseline": "simple", "title": "25 simple checks", "rules": rules}, indent=1)


def script() -> str:
    """Return what an administrator would write by hand: each check one line, its outcome one line of output."""
    return "".join(
        f"if {one.shell}; then echo {shlex.quote(f'ok   {one.name}')}; "
        f"else echo {shlex.quote(f'FAIL {one.name}')}; fi\n"
        for one in CHECKS
    )


def playbook(*, facts: bool) -> str:
    """Return the playbook: a check that fails shows as changed. `facts`: gathered first, as Ansible does by itself."""
    tasks = [{"name": one.name, "register": "found", **one.task} for one in CHECKS]
    return json.dumps([{"hosts": "all", "become": True, "gather_facts": facts, "tasks": tasks}], indent=1)


def infra_tests() -> str:
    """Return the file of tests for testinfra."""
    return "\n".join(f"def test_c{n:02}(host):\n    assert {one.infra}\n" for n, one in enumerate(CHECKS))


def failing(lines: Sequence[str]) -> int:
    """Return how many checks failed, by the script's output."""
    return sum(one.startswith("FAIL ") for one in lines)
