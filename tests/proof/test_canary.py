"""Secrets of every scheme end up nowhere: not on the terminal, in the store, in reports, in notifications, in argv.

Each host has a sudo password of its own, had by another scheme, and a health check that prints it and fails
once the update is in.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from patchctl.model.redaction import MASK
from tests.proof.project import Project, Running

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

SECRETS = {"env": "c4nary-of-env-77", "file": "c4nary-of-file-77", "cmd": "c4nary-of-cmd-77"}
POLICY = """
policy: leaky
approve: [{package: hostname}]
rings: [{name: all}]
limits: {concurrency: 100%, errors: 100%, unreachable: 0, changed: 0, host_time: 10m}
refresh: never
health: [{command: "cat /etc/canary; dpkg-query -W hostname | grep -q lab1"}]
notify: {halted: [./hook], finished: [./hook]}
"""


def watch(running: Running) -> Iterator[str]:
    """Yield the command line of every process that the command starts, until it ends."""
    group = running.process.pid
    while running.process.poll() is None:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if os.getsid(int(entry.name)) == group or os.getpgid(int(entry.name)) == group:
                    yield (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (OSError, ProcessLookupError):
                continue  # it ended meanwhile
        time.sleep(0.05)  # between two looks, not for a result


def test_secrets_of_every_scheme_are_nowhere(fleet: Callable[[int], Project], tmp_path: Path) -> None:
    project = fleet(len(SECRETS))
    (tmp_path / "password").write_text(SECRETS["file"] + "\n")
    script = tmp_path / "password.py"
    script.write_text(f"print('{SECRETS['cmd'][:6]}' + '{SECRETS['cmd'][6:]}')\n")
    references = {"env": "env:CANARY", "file": f"file:{tmp_path}/password", "cmd": f"cmd:{sys.executable} {script}"}
    text = project.lab.inventory_yaml(project.hosts, user="opspw")
    for host, (scheme, secret) in zip(project.hosts, SECRETS.items(), strict=True):
        host.exec(f"echo opspw:{secret} | chpasswd; echo {secret} >/etc/canary")
        become = f'{{address: {host.address}, become: {{method: sudo, password: "{references[scheme]}"}}'
        text = text.replace(f"{{address: {host.address}", become)
    project.inventory(text=text)
    project.policy(POLICY)
    hook = project.folder / "hook"
    hook.write_text("#!/bin/sh\ncat >>hook.json\nenv >>hook.env\n")
    hook.chmod(0o755)
    seen, env = "", {"CANARY": SECRETS["env"], "PATCHCTL_TRACEBACK": "1"}
    commands = [
        ["scan", "-vv", "--refresh", "never"], ["updates", "-vv", "--refresh", "never", "-o", "json"],
        ["plan", "--policy", "leaky", "-vv"], ["apply", "--policy", "leaky", "--yes", "-vv"], ["rollout", "status"],
        ["history", project.hosts[0].name], ["report"], ["inventory", "show", project.hosts[0].name, "--origin"],
        ["status"], ["config", "show"],
    ]
    for words in commands:
        running = project.start(*words, env=env)
        arguments = "\n".join(watch(running))
        done = running.wait()
        assert done.code in (0, 3, 5, 6), done
        seen += arguments + done.out + done.err
    assert (project.folder / "hook.json").exists(), "the notification was sent"
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    whole = seen.encode() + b"".join(path.read_bytes() for path in files)
    assert whole.count(MASK.encode()) >= len(SECRETS), "the hosts did say their secrets"
    assert not [scheme for scheme, secret in SECRETS.items() if secret.encode() in whole]
