"""The script gives the same evidence on every shell, whatever its probes do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from patchctl.collect.script import compile_script
from patchctl.model.evidence import NOT_APPLICABLE, OK, UNKNOWN, Probe
from tests.collect.shells import NONCE, SHELLS, ask, read, run_script

PROBES = (
    Probe("t.lines", "echo one; echo two"),
    Probe("t.partial", "printf 'one\\ntwo'"),
    Probe("t.empty", "true"),
    Probe("t.newlines", "printf '\\n\\n'"),
    Probe("t.rc", "echo x; exit 3"),
    Probe("t.nul", "printf 'a\\000b\\nc'"),
    Probe("t.bytes", "printf '\\377\\303\\244'"),
    Probe("t.syntax", "if ; fi ("),
    Probe("t.missing", "no-such-program-at-all"),
    Probe("t.quotes", "printf '%s\\n' \"it's\" '$HOME' \"`echo tick`\" '\\\\n'"),
    Probe("t.swallow", "cat; read -r x; echo \"[$x]\""),
    Probe("t.guard-no", "echo never", when="false"),
    Probe("t.guard-yes", "echo yes", when="true"),
    Probe("t.guard-broken", "echo never", when="if ("),
    Probe("t.exec", "exec 1>&-; exit 4"),
    Probe("t.lookalike", f"echo '{NONCE}x'; echo 'fedcba9876543210>t.lookalike 0 0 0 0 .'"),
    Probe("t.exact", "printf 0123456789", cap=10),
    Probe("t.over", "printf 01234567890", cap=10),
    Probe("t.flood", "yes", cap=1000, timeout=20),
    Probe("t.one-line-flood", "tr '\\000' x </dev/zero", cap=1000, timeout=20),
    Probe("t.settings", "set -eu; trap 'echo bye' EXIT; N=x; false; echo not here"),
    Probe("t.after", "echo last"),
)
EXPECTED = {
    "t.lines": (OK, "one\ntwo\n", 0),
    "t.partial": (OK, "one\ntwo", 0),
    "t.empty": (OK, "", 0),
    "t.newlines": (OK, "\n\n", 0),
    "t.rc": (OK, "x\n", 3),
    "t.nul": (OK, "a\ufffdb\nc", 0),
    "t.bytes": (OK, "\ufffd\u00e4", 0),
    "t.missing": (OK, "", 127),
    "t.quotes": (OK, "it's\n$HOME\ntick\n\\\\n\n", 0),
    "t.swallow": (OK, "[]\n", 0),
    "t.guard-no": (NOT_APPLICABLE, "", None),
    "t.guard-yes": (OK, "yes\n", 0),
    "t.guard-broken": (NOT_APPLICABLE, "", None),
    "t.exec": (OK, "", 4),
    "t.lookalike": (OK, f"{NONCE}x\nfedcba9876543210>t.lookalike 0 0 0 0 .\n", 0),
    "t.exact": (OK, "0123456789", 0),
    "t.over": (UNKNOWN, "", None),
    "t.settings": (OK, "bye\n", 1),
    "t.after": (OK, "last\n", 0),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gives_the_same_evidence(shell: list[str]) -> None:
    snapshot = ask(shell, PROBES)
    assert snapshot.complete
    found = {name: (e.status, e.output, e.rc) for name, e in snapshot.evidence.items() if name in EXPECTED}
    assert found == EXPECTED
    assert snapshot.evidence["t.syntax"].status == OK  # its exit code says what happened
    assert snapshot.evidence["t.syntax"].rc == 2
    for name in ("t.over", "t.flood", "t.one-line-flood"):
        assert snapshot.evidence[name].truncated, name
        assert snapshot.evidence[name].status == UNKNOWN


@pytest.mark.parametrize("shell", SHELLS)
def test_a_deadline_kills_the_probe_with_all_it_started(shell: list[str], tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    note = f"echo $$ >>{pids}; exec sleep 300"
    probes = (
        Probe("t.slow", f"sh -c '{note}' & sh -c '{note}'; echo not here", timeout=1),
        # An orphan of init that ignores SIGTERM is found by the mark in its environment.
        Probe("t.orphan", f"( ( trap '' TERM; sh -c '{note}' & ) & ) ; sleep 300", timeout=1),
        Probe("t.leak", f"sh -c '{note}' & echo here", timeout=1),
        Probe("t.left", f"sh -c '{note}' >/dev/null & echo here"),
        Probe("t.after", "echo still works"),
    )
    snapshot = ask(shell, probes)
    assert snapshot.complete
    for name in ("t.slow", "t.orphan", "t.leak"):
        assert snapshot.evidence[name].reason == "timed out after 1s"
        assert snapshot.evidence[name].status == UNKNOWN
    assert snapshot.evidence["t.left"].output == "here\n"
    assert snapshot.evidence["t.after"].output == "still works\n"
    alive = {int(pid) for pid in pids.read_text().split()}
    assert len(alive) == 5
    deadline = time.monotonic() + 20  # a SIGKILL that was sent still has to be acted on
    while alive and time.monotonic() < deadline:
        alive = {pid for pid in alive if _alive(pid)}
        time.sleep(0.05)
    assert not alive, "processes of a probe live on"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_what_needs_root_is_unknown_without_it(shell: list[str]) -> None:
    probes = (Probe("t.root", "id -u", root=True), Probe("t.any", "id -u"))
    snapshot = ask(shell, probes, user=65534)
    assert snapshot.evidence["t.root"].status == UNKNOWN
    assert snapshot.evidence["t.root"].reason == "needs root"
    assert snapshot.evidence["t.any"].output == "65534\n"
    assert ask(shell, probes).evidence["t.root"].output == "0\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_chatter_around_and_leftover_output_change_nothing(shell: list[str]) -> None:
    probes = (
        Probe("t.first", "(sleep 0.2; echo LATE; echo LATE) 2>/dev/null & echo first"),
        Probe("t.second", "sleep 0.5; echo second"),
    )
    chatty = "printf 'Welcome! no newline here'; (sleep 0.3; echo background chatter; printf more) &\n"
    output = run_script(shell, compile_script(probes, NONCE), before=chatty)
    snapshot = read(b"motd\n" + output + b"logout", probes)
    assert snapshot.evidence["t.second"].output == "second\n"
    # What a child printed after the exit code was told cannot be told from the probe's own text: unknown, not ok.
    assert snapshot.evidence["t.first"].status == UNKNOWN


@pytest.mark.parametrize("shell", SHELLS)
def test_it_needs_neither_timeout_nor_setsid_nor_a_writable_tmp(shell: list[str], tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "awk", "sleep", "head", "cat", "grep", "id", "tr", "sed"):
        (tools / name).symlink_to(str(shutil.which(name)))
    probes = (Probe("t.slow", "sleep 60", timeout=1), Probe("t.tools", "command -v timeout setsid; echo fine"))
    script = compile_script(probes, NONCE).replace(
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH", f"PATH={tools}"
    )
    assert f"PATH={tools}" in script
    real = [str(shutil.which(shell[0])), *shell[1:]]
    output = run_script(real, script, env={"PATH": str(tools), "TMPDIR": "/nonexistent"})
    snapshot = read(output, probes)
    assert snapshot.evidence["t.slow"].reason == "timed out after 1s"
    assert snapshot.evidence["t.tools"].output == "fine\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("poor", ["awk", "head", "awk head"])
@pytest.mark.skipif(not shutil.which("busybox"), reason="no busybox here")
def test_tools_that_stop_at_nul_or_cannot_count_bytes_change_no_evidence(
    shell: list[str], poor: str, tmp_path: Path
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    wrappers = {"awk": 'exec busybox awk "$@"', "head": 'case $1 in -c) echo "bad option" >&2; exit 1;; esac'}
    for name in poor.split():
        (tools / name).write_text(f"#!/bin/sh\n{wrappers[name]}\n")
        (tools / name).chmod(0o755)
    probes = (
        Probe("t.count", f"echo x >>{tmp_path}/asked; echo fine"),
        Probe("t.nul", "printf 'a\\000b\\nc'"),
        Probe("t.exact", "printf 0123456789", cap=10),
        Probe("t.over", "printf 01234567890", cap=10),
        Probe("t.after", f"echo x >>{tmp_path}/asked; echo last"),
    )
    script = compile_script(probes, NONCE).replace("PATH=/usr/local/sbin", f"PATH={tools}:/usr/local/sbin")
    real = [str(shutil.which(shell[0])), *shell[1:]]
    found = read(run_script(real, script), probes).evidence
    assert [found[p.id].output for p in probes if p.id != "t.over"] == ["fine\n", "a\ufffdb\nc", "0123456789", "last\n"]
    assert found["t.over"].truncated
    assert (tmp_path / "asked").read_text() == "x\nx\n", "asked once, unless it is tidy"
    probes = (replace(probes[0], tidy=True), *probes[1:])
    script = compile_script(probes, NONCE).replace("PATH=/usr/local/sbin", f"PATH={tools}:/usr/local/sbin")
    assert read(run_script(real, script), probes).evidence == {**found, "t.count": found["t.count"]}


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_left_behind_is_looked_for_unless_all_probes_are_tidy(shell: list[str], tmp_path: Path) -> None:
    left = f"sh -c 'echo $$ >>{tmp_path}/pids; exec sleep 300' >/dev/null 2>&1 &"
    tidy, other = Probe("t.tidy", f"{left} echo one", tidy=True), Probe("t.other", "echo two")
    for probes in ((tidy,), (tidy, other), (tidy, replace(other, when="true"))):
        assert [e.output for e in ask(shell, probes).evidence.values()] == ["one\n", "two\n"][: len(probes)]
    first, *others = ((tmp_path / "pids").read_text()).split()
    assert _alive(int(first)), "nobody looked, which is what tidy promises not to need"
    os.kill(int(first), signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(_alive(int(pid)) for pid in others) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(others) == 2
    assert not any(_alive(int(pid)) for pid in others)


@pytest.mark.parametrize("shell", SHELLS)
def test_guards_of_builtins_take_no_process_and_say_the_same(shell: list[str]) -> None:
    there, gone = "command -v sh", "command -v no-such-program"
    guards = {
        there: True, gone: False, f"{there} && {gone}": False, f"{there} && {{ {gone} || {there}; }}": True,
        f"! {{ {there} && {gone}; }}": True, f"! {there}": False,
        "[ -r /proc/self/maps ]": True, "[ -d /run/no-such-folder ]": False,
    }  # fmt: skip
    probes = [Probe(f"t.g{i}", "echo yes", when=guard) for i, guard in enumerate(guards)]
    script = compile_script(probes, NONCE)
    assert script.count("\npc_know ") == len(guards)
    found = read(run_script(shell, script), probes).evidence
    assert [e.status == OK for e in found.values()] == list(guards.values())
    for guard in ("command -v sh; exit", "[ -r /etc/passwd ]", "command -v sh && sleep 9", "command -v $(reboot)"):
        assert "\npc_know " not in compile_script([Probe("t.g", "true", when=guard)], NONCE)


def test_the_end_does_not_wait_for_a_guard(tmp_path: Path) -> None:
    """Fast probes with long deadlines leave no sleeping guard behind that would hold the connection open."""
    started = time.monotonic()
    snapshot = ask(["sh"], [Probe(f"t.p{i}", "true", timeout=50) for i in range(20)])
    assert snapshot.complete
    assert time.monotonic() - started < 45  # far below a single guard's sleep
    sleeping = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "sleep 50" not in sleeping.splitlines()


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="nonce"):
        compile_script([], "short")
    with pytest.raises(ValueError, match="not a probe id"):
        compile_script([Probe("a b", "true")], NONCE)
    with pytest.raises(ValueError, match="two probes"):
        compile_script([Probe("a", "true"), Probe("a", "true")], NONCE)
    with pytest.raises(ValueError, match="NUL"):
        compile_script([Probe("a", "echo \0")], NONCE)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
