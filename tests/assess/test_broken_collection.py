"""Failed collection is never a result: whatever breaks while a host is asked, no verdict turns into another.

Allowed is only what it would have been, or UNKNOWN. First over the recorded cases, answer by answer; then with a host's
own tools broken one by one while the real probes run. PATCHCTL_SOAK=1 breaks each tool in every way.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from patchctl.assess.checks.contract import CheckType
from patchctl.assess.checks.registry import all_checks
from patchctl.assess.native.answers import CaseAnswers, SnapshotAnswers, probe_of, probes_of, read_case
from patchctl.assess.native.tree import Leaf, Outcome, judge, more_of, questions_of
from patchctl.collect.parse import parse_output
from patchctl.collect.script import compile_script
from patchctl.model.assessment import ERROR, FAIL, NOT_APPLICABLE, PASS, UNKNOWN
from patchctl.model.evidence import NOT_APPLICABLE as GUARDED
from patchctl.model.evidence import OK, Evidence, Probe, Snapshot
from patchctl.model.evidence import UNKNOWN as LOST
from tests.assess.guarded import GuardedLab
from tests.assess.native_lab import NONCE
from tests.assess.test_checks import CHECKS, arguments, cases
from tests.lab import LabHost, why_not

GARBAGE = "\x1b[31mfatal: \x7fELF cannot open: Input/output error\n"
KERNEL = ("/proc/self/mounts", "/sys/fs/selinux/enforce")
"""Files that have a form which garbage lacks. Others may hold anything: what they hold is what they say."""
MAY_BE_EMPTY = ("profiles",)


def told(check: CheckType, case: Mapping[str, Any], host: Mapping[str, Mapping[str, str | None]]) -> Outcome:
    return judge(Leaf(check.name, arguments(check, case["args"])), CaseAnswers(host))


def spoilt(host: Mapping[str, Mapping[str, str | None]]) -> Iterator[tuple[str, dict[str, Mapping[str, str | None]]]]:
    """Yield a case's evidence with one answer broken, for each answer and each way."""
    for batch, answers in host.items():
        for question, text in answers.items():
            ways: dict[str, str | None] = {"unreadable": "! Permission denied", "late": "! timeout after 60 s"}
            if batch in ("firewall", "listen", "sshd", "audit"):
                ways |= {"denied": "Operation not permitted\n---\nexit 1\n", "garbage": GARBAGE,
                         "killed": f"{(text or '')[:9]}---\nexit 137\n"}
                if text and batch != "listen":
                    ways["half"] = text[: len(text) // 2] if batch == "firewall" else "\n"
            if (batch in ("apparmor", "accounts", "unit") or question in KERNEL) and text is not None:
                ways["garbage"] = GARBAGE
                if question not in MAY_BE_EMPTY:
                    ways["empty"] = ""
            for way, broken in ways.items():
                yield f"{batch} {question} {way}", {**host, batch: {**answers, question: broken}}
            if batch not in ("command",):
                gone = {q: t for q, t in answers.items() if q != question}
                yield f"{batch} {question} not collected", {**host, batch: gone}


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.name)
def test_no_broken_answer_turns_a_verdict(check: CheckType) -> None:
    broken = 0
    for number, case in enumerate(cases(check.name)):
        right = case["expect"]
        for what, host in spoilt(case["host"]):
            found = told(check, case, host).verdict
            allowed = {right, UNKNOWN}
            if right == NOT_APPLICABLE:
                allowed |= {FAIL}  # where it turned out to be there after all
            assert found in allowed, f"{check.name} {number}, {what}: {right} became {found}"
            broken += found == UNKNOWN != right
    assert broken, "some answers decide"


def framed(answers: Mapping[str, str | None]) -> str:
    """Return what the script of a batch prints for a case's answers."""
    parts = []
    for question, text in answers.items():
        parts.append(f"@@ {question}\n")
        if text is not None and text.startswith("!"):
            parts.append(f"@! {text[1:].strip()}\n")
            continue
        answer = read_case(text)
        parts.append(f"@- {answer.text}\n" if answer.missing else "".join(f"={line}\n" for line in answer.lines))
        parts.append(f"@= {answer.rc}\n" if answer.rc is not None else "")
    return "".join((*parts, "@.\n"))


def snapshots(host: Mapping[str, Mapping[str, str | None]], leaf: Leaf) -> Iterator[tuple[str, Snapshot]]:
    """Yield a case as a snapshot, whole at first, then with each probe lost, cut or late."""
    asked = [*questions_of(leaf), *more_of(leaf, CaseAnswers(host))]
    probes = {q.batch.name: probe_of(q.batch, [q.text]).id for q in asked}
    whole = {probes[batch]: Evidence(probes[batch], OK, framed(answers)) for batch, answers in host.items()
             if batch in probes}
    yield "whole", Snapshot("h", 0.0, whole)
    for probe, evidence in whole.items():
        lines = evidence.output.splitlines(keepends=True)
        step = max(1, len(lines) // 40)
        yield from ((f"{probe} cut after {at} lines", Snapshot("h", 0.0, {
            **whole, probe: replace(evidence, output="".join(lines[:at]))})) for at in range(0, len(lines), step))
        ways = {
            "truncated": replace(evidence, truncated=True), "garbage": replace(evidence, output=GARBAGE * 3),
            "late": Evidence(probe, LOST, reason="timeout after 60 s"),
            "no root": Evidence(probe, LOST, reason="needs root"),
            "guarded": Evidence(probe, GUARDED, reason="its condition failed"),
            "late with output": replace(evidence, status=LOST, reason="the connection was lost"),
        }
        for way, spoilt_ in ways.items():
            yield f"{probe} {way}", Snapshot("h", 0.0, {**whole, probe: spoilt_})
        yield f"{probe} not there", Snapshot("h", 0.0, {k: v for k, v in whole.items() if k != probe})


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.name)
def test_no_broken_probe_turns_a_verdict(check: CheckType) -> None:
    for number, case in enumerate(cases(check.name)):
        if check.name == "command" and len(case["host"].get("command", {})) > 1:
            continue  # each of its questions is a probe of its own
        leaf = Leaf(check.name, arguments(check, case["args"]))
        for what, snapshot in snapshots(case["host"], leaf):
            found = judge(leaf, SnapshotAnswers(snapshot))
            assert found.verdict in (case["expect"], UNKNOWN), f"{check.name} {number}, {what}: {found}"
            if what == "whole":
                assert found.verdict == case["expect"], f"{check.name} {number}: {found}"
            elif found.verdict == UNKNOWN:
                assert found.reason


@pytest.mark.parametrize("check", [c for c in all_checks().values() if c.shell != "sh"], ids=lambda c: c.name)
def test_no_windows_check_makes_a_verdict_of_a_probe_that_failed(check: CheckType) -> None:
    leaf = Leaf(check.name, arguments(check, yaml.load(check.example, yaml.BaseLoader)))
    for question in questions_of(leaf):
        probe = probe_of(question.batch, [question.text]).id
        head = f"@@ {question.text}\n"
        for output in ("", GARBAGE, head, f"{head}=", f"{head}=StartMode=Disabled\n", f"{head}@- not there\n",
                       f"{head}@! Access is denied.\n@.\n"):
            for evidence in (Evidence(probe, OK, output), Evidence(probe, LOST, output, reason="timeout after 120 s"),
                             Evidence(probe, OK, f"{output}@.\n", truncated=True)):
                found = judge(leaf, SnapshotAnswers(Snapshot("h", 0.0, {probe: evidence})))
                assert found.verdict == UNKNOWN, (output, evidence, found)


# --- real probes on a real host, whose tools fail

RULES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("file", {"path": "/etc/passwd", "owner": ("root",), "mode": "0644"}),
    ("file", {"path": "/opt/odd/open", "mode": "0600"}),
    ("file", {"path": "/opt/odd/acl", "acl": "none"}),
    ("file", {"path": "/opt/odd/plain", "acl": "none"}),
    ("file", {"path": "/opt/odd/plain", "sha256": "8d777f385d3dfec8815d20f7496026dc0a0ac5d4b3f0e4a4d1b8ee1c1d9c6a5e"}),
    ("file", {"path": "/opt/odd/plain", "lacks": "secret"}),
    ("file", {"path": "/opt/odd/plain", "contains": "secret"}),
    ("file", {"path": "/opt/odd/*", "lacks": "secret"}),
    ("file", {"path": "/opt/odd/plain", "state": "absent"}),
    ("file", {"path": "/opt/odd/nothing", "state": "absent"}),
    ("walk", {"find": "suid"}),
    ("walk", {"find": "world-writable-file"}),
    ("walk", {"find": "suid", "allow": ("*",)}),
    ("walk", {"find": "unowned"}),
    ("process", {"name": "systemd", "running": True}),
    ("process", {"name": "telnetd", "running": False}),
    ("process", {"name": "dbus-daemon", "running": False}),
    ("package", {"name": "sudo"}),
    ("package", {"name": "sudo", "state": "absent"}),
    ("package", {"name": "telnetd", "state": "absent"}),
    ("unit", {"name": "ssh.service", "active": True}),
    ("unit", {"name": "ssh.service", "stopped": True}),
    ("unit", {"name": "nothere.service", "stopped": True}),
    ("unit", {"name": "auditd.service", "masked": True}),
    ("user", {"only_root": True}),
    ("user", {"unique": "uid"}),
    ("user", {"unique": "gid"}),
    ("user", {"users": "password", "max_days": 365}),
    ("user", {"users": "all", "password": "not-empty"}),
    ("user", {"name": "ops", "state": "absent"}),
    ("group", {"name": "shadow", "empty": True}),
    ("group", {"name": "odd", "empty": True}),
    ("sudoers", {"no_rule": "NOPASSWD"}),
    ("sudoers", {"defaults": "use_pty", "set": True}),
    ("pam", {"service": "common-auth", "type": "auth", "module": "pam_unix", "without": "^nullok"}),
    ("pam", {"service": "common-auth", "type": "auth", "module": "pam_rhosts", "present": False}),
    ("cron", {"job": "/tmp/", "present": False}),
    ("environment", {"name": "LD_PRELOAD", "absent": True}),
    ("config", {"path": "/etc/login.defs", "separator": "space", "key": "PASS_MAX_DAYS", "max": 365}),
    ("config", {"path": "/etc/login.defs", "separator": "space", "key": "ENV_SUPATH", "absent": True}),
    ("sysctl", {"key": "net.ipv4.ip_forward", "equals": "0", "persistent": False}),
    ("sysctl", {"key": "kernel.ostype", "equals": "Linux", "persistent": False}),
    ("mount", {"path": "/tmp", "options": ("nosuid",), "fstab": False}),
    ("mount", {"path": "/tmp", "lacks": ("nosuid",), "fstab": False}),
    ("mount", {"path": "/home", "separate": True}),
    ("module", {"name": "dccp", "loadable": False}),
    ("module", {"name": "odd", "loadable": False}),
    ("sshd", {"option": "X11Forwarding", "equals": "no"}),
    ("sshd", {"option": "PermitEmptyPasswords", "equals": "no"}),
    ("sshd", {"option": "NoSuchOption", "absent": True}),
    ("listen", {"protocol": "tcp", "port": 22}),
    ("listen", {"protocol": "tcp", "port": 1}),
    ("firewall", {"hook": "input"}),
    ("firewall", {"hook": "output"}),
    ("audit", {"rule": "-w /etc/sudoers -p wa"}),
    ("apparmor", {}),
    ("selinux", {"mode": "enforcing"}),
    ("grub", {"parameter": "audit=1", "running": False}),
    ("certificate", {"path": "/opt/odd/*.crt", "days": 30}),
    ("value", {"path": "/opt/odd/a.json", "format": "json", "at": ("icc",), "equals": "false"}),
    ("command", {"run": "umask", "matches": "^0?0[0-7]7$"}),
)
LEAVES = {at: Leaf(name, args) for at, (name, args) in enumerate(RULES)}
PREPARE = """
mkdir -p /opt/odd; cd /opt/odd
echo plain >plain; echo secret >open; cp plain acl; chmod 666 open; chmod 644 acl plain; chown 4711 acl
echo '{"icc": false}' >a.json; setfacl -m u:ops:rw acl
openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out a.crt -days 10 -subj /CN=odd 2>/dev/null
useradd -o -u 0 -M toor; useradd -M empty; sed -i 's/^empty:[^:]*:/empty::/' /etc/shadow
cat >nft <<'E'
table inet filter {
  chain input { type filter hook input priority filter; policy drop
  }
}
E
groupadd odd; usermod -aG odd ops; groupadd -o -g 0 wheel; usermod -aG shadow guest
echo '* * * * * root /tmp/x' >/etc/cron.d/odd; echo LD_PRELOAD=/x >>/etc/environment
echo 'X11Forwarding yes' >/etc/ssh/sshd_config.d/0.conf
m=/lib/modules/$(uname -r); mkdir -p /etc/modprobe.d "$m"; : >>"$m/modules.builtin"
printf 'install odd /bin/false\\nblacklist odd\\n' >/etc/modprobe.d/odd.conf
mkdir -p /boot/grub; echo 'GRUB_CMDLINE_LINUX="audit=1"' >/etc/default/grub
printf 'menuentry x {\\n linux /vmlinuz ro audit=1\\n}\\n' >/boot/grub/grub.cfg
"""
WAYS = {
    "fails": 'echo "{tool}: Input/output error" >&2; return 1',
    "killed": 'command {tool} "$@" | command head -c 60; return 137',
    "says nothing": "return 0",
    "not there": 'echo "{tool}: not found" >&2; return 127',
}
REPORTERS = ("nft", "iptables-save", "ip6tables-save", "ss", "systemctl", "dpkg-query", "stat", "find", "sha256sum")
"""Programs that say what is so. That awk, sort or sed give garbage and exit code 0 is no fault that happens."""
FILTERS = ("awk", "sed", "sort", "tr", "ls", "getfacl", "grep", "uname")


@pytest.fixture(scope="module")
def host() -> Iterator[LabHost]:
    if reason := why_not():
        pytest.skip(f"lab test left out: {reason}")
    with GuardedLab.session() as lab:
        one, = lab.up(1)
        one.exec(f"set -eu{PREPARE}")
        yield one


def ask(host: LabHost, probes: tuple[Probe, ...]) -> Snapshot:
    """Run probes as the tool does, in a network of the host's own with a firewall."""
    words = host.exec_argv("exec unshare -n sh -c 'ip link set lo up; nft -f /opt/odd/nft; exec sh -s'")
    script = compile_script(probes, NONCE).encode()
    done = subprocess.run(words, input=script, capture_output=True, timeout=300, check=False)
    return parse_output(done.stdout, probes, NONCE, host="h", taken_at=time.time(), as_root=True, seconds=0.0, lost="")


def visit(host: LabHost, stub: str, only: str) -> dict[int, str]:
    """Return rule -> verdict, of the rules that ask by a probe which names the broken tool."""
    leaves = {at: leaf for at, leaf in LEAVES.items()
              if any(re.search(only, p.command) for p in probes_of(questions_of(leaf)))}
    evidence: dict[str, Evidence] = {}
    probes = probes_of(q for leaf in leaves.values() for q in questions_of(leaf))
    while probes:
        broken = tuple(replace(p, command=f"{stub}\n{p.command}") for p in probes)
        evidence |= ask(host, broken).evidence
        answers = SnapshotAnswers(Snapshot("h", 0.0, evidence))
        more = [q for leaf in leaves.values() for q in more_of(leaf, answers)]
        probes = tuple(p for p in probes_of(q for q in more if not answers.has(q)) if p.id not in evidence)
    return {at: judge(leaf, SnapshotAnswers(Snapshot("h", 0.0, evidence))).verdict for at, leaf in leaves.items()}


@pytest.fixture(scope="module")
def right(host: LabHost) -> dict[int, str]:
    found = visit(host, "", ".")
    verdicts = {RULES[at][0]: verdict for at, verdict in found.items()}
    assert len(found) == len(RULES)
    assert [RULES[at] for at, v in found.items() if v in (UNKNOWN, ERROR)] == [
        ("audit", {"rule": "-w /etc/sudoers -p wa"})], "audit rules belong to the machine, not to its containers"
    assert verdicts["firewall"] in (PASS, FAIL)
    return found


def breakages() -> list[tuple[str, str]]:
    found = [(tool, way) for tool in (*FILTERS, *REPORTERS) for way in WAYS
             if (tool, way) != ("nft", "says nothing")]  # that is how it tells of a host without rules
    found += [(tool, "garbage") for tool in REPORTERS]
    return found if os.environ.get("PATCHCTL_SOAK") else [one for one in found if one[1] == "killed"]


@pytest.mark.lab
@pytest.mark.parametrize(("tool", "way"), breakages(), ids=lambda part: part.replace(" ", "-"))
def test_a_tool_of_the_host_that_fails_turns_no_verdict(
    host: LabHost, right: Mapping[int, str], tool: str, way: str
) -> None:
    body = WAYS.get(way, "printf '%s' " + "'" + GARBAGE + "'").format(tool=tool)
    name = tool.replace("-", "_")
    stub = f"{name}_() {{ {body}; }}\n" if "-" in tool else f"{tool}() {{ {body}; }}\n"
    if "-" in tool:  # dash has no functions with a dash in their name
        stub += f"alias {tool}={name}_\n"
    found = visit(host, stub, rf"\b{re.escape(tool)}\b")
    assert found, "no probe uses it"
    wrong = {f"{RULES[at]}": f"{right[at]} became {verdict}" for at, verdict in found.items()
             if verdict not in (right[at], UNKNOWN)}
    assert not wrong
