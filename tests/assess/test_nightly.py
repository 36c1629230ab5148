"""The nightly run: nothing to say is said with nothing, and nothing new is ever lost, whatever became of the night."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.assess.test_assess import BAD, ELSEWHERE, GOOD
from tests.assess.test_waivers import BEFORE, LATER, waiver

NIGHT = ("assess", "--baseline", "small", "--quiet", "--fail-on", "new")


def flag_rule(flag: Path, name: str = "flag") -> dict[str, str]:
    """A rule that fails while the file is there."""
    return {"id": name, "command": f"test -e {flag}; echo $?", "expect": "1"}


def silent(project) -> bool:
    return bool(project.said == project.warned == "")


def test_unchanged_nights_say_nothing_and_a_change_is_told_once(project):
    flag = project.folder / "flag"
    project.baseline("small", GOOD, flag_rule(flag))
    for _ in range(3):
        assert project.run(*NIGHT) == 0
        assert silent(project)
    flag.touch()
    assert project.run(*NIGHT) == 3
    assert "FAIL    medium   flag" in project.said
    assert project.run(*NIGHT) == 0
    assert silent(project)
    flag.unlink()
    assert project.run(*NIGHT) == 0
    flag.touch()
    assert project.run(*NIGHT) == 3, "it was well in between"


def test_what_applies_to_nobody_exits_2_every_night(project):
    project.baseline("small", ELSEWHERE)
    for fail_on in ("any", "new", "never"):
        assert project.run("assess", "--baseline", "small", "--quiet", "--fail-on", fail_on) == 2
        assert "nothing in small applies to here, there" in project.warned


def test_a_host_that_is_away_is_told_once_and_brings_nothing_back_that_was_known(project):
    def fleet(there: str) -> None:
        hosts = {"here": {"connection": "local"}, "there": {"connection": there}}
        (project.folder / "inventories" / "hosts.yaml").write_text(json.dumps({"hosts": hosts}))

    flag = project.folder / "flag"
    project.baseline("small", BAD, flag_rule(flag))
    fleet("local")
    assert project.run(*NIGHT) == 3
    fleet("fake")
    assert project.run(*NIGHT) == 4
    assert "UNREACHABLE  there" in project.said
    assert project.run(*NIGHT) == 0, "it is still away: known"
    fleet("local")
    assert project.run(*NIGHT) == 0, "its finding was there when it was last seen"
    fleet("fake")
    assert project.run(*NIGHT) == 4, "away again: that is new"
    flag.touch()
    assert project.run(*NIGHT) == 3, "a new finding on the host that answers"
    fleet("local")
    assert project.run(*NIGHT) == 3, "what it brings back is new there"


def test_a_baseline_that_changed_tells_what_it_finds_now(project):
    project.baseline("small", GOOD)
    assert project.run(*NIGHT) == 0
    project.baseline("small", {**GOOD, "expect": "no"})
    assert project.run(*NIGHT) == 3
    assert project.run(*NIGHT) == 0
    project.baseline("small", {**GOOD, "expect": "no"}, BAD)
    assert project.run(*NIGHT) == 3


def test_a_waiver_that_ends_brings_its_finding_back_once(project):
    project.baseline("small", GOOD, BAD)
    project.waivers(waiver(until=LATER))
    assert project.run(*NIGHT) == 0
    project.waivers(waiver(until=BEFORE))
    assert project.run(*NIGHT) == 3
    assert "EXPIRED WAIVER  bad on all" in project.said
    assert project.run(*NIGHT) == 0, "now it is known"


# --- nights that go wrong. A baseline of our own kind: these runs are processes of their own


@pytest.fixture
def alone(tmp_path):
    """A project of its own whose two hosts are this machine, its flag, and patchctl as cron would start it."""
    flag = tmp_path / "flag"
    (tmp_path / "inventories").mkdir()
    (tmp_path / "baselines").mkdir()
    (tmp_path / "patchctl.yaml").write_text("{}\n")
    (tmp_path / "inventories" / "hosts.yaml").write_text("hosts: {here: {connection: local}}\n")
    check = {"command": {"run": f"test -e {flag}; echo $?", "equals": "1"}}
    rule = {"id": "flag", "title": "There is no flag", "check": check}
    (tmp_path / "baselines" / "small.yaml").write_text(json.dumps({"baseline": "small", "rules": [rule]}))
    return tmp_path


def night(folder: Path, **how) -> subprocess.Popen[str]:
    env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "80"}
    env.pop("PYTHONUNBUFFERED", None)  # cron sets none, and what is still in a buffer at the end is a case of its own
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    return subprocess.Popen([sys.executable, "-m", "patchctl", *NIGHT], cwd=folder, env=env, text=True,
                            stdin=subprocess.DEVNULL,
                            # As a shell starts it: tests that run in the background ignore SIGINT.
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **how)


def outcome(folder: Path, **how) -> tuple[int, str, str]:
    with night(folder, **how) as run:
        said, warned = run.communicate(timeout=240)
    return run.returncode, said, warned


def test_what_a_full_disk_kept_from_being_told_is_told_the_next_night(alone):
    assert outcome(alone) == (0, "", "")
    (alone / "flag").touch()
    with Path("/dev/full").open("w") as full:
        code, _, warned = outcome(alone, stdout=full)
    assert code == 1
    assert "the output could not be written: No space left on device" in warned
    assert "Traceback" not in warned
    assert outcome(alone)[0] == 3
    assert outcome(alone)[0] == 0


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_what_a_killed_night_found_is_told_the_next_night(alone, end):
    assert outcome(alone) == (0, "", "")
    (alone / "flag").touch()
    reader, writer = os.pipe()  # nobody reads: the run ends up waiting, its findings stored, to say what it found
    filled = fill(writer)
    with night(alone, stdout=writer) as run:
        os.close(writer)
        deadline = time.monotonic() + 240
        while not writing(run.pid):
            assert run.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        run.send_signal(end)
        os.close(reader)
        run.communicate(timeout=240)
    assert filled
    assert run.returncode != 0
    code, said, _ = outcome(alone)
    assert code == 3, "told at last"
    assert "flag" in said
    assert outcome(alone)[0] == 0


def fill(writer: int) -> int:
    """Fill a pipe to the brim; return how many bytes it took."""
    os.set_blocking(writer, False)
    total = 0
    try:
        while True:
            total += os.write(writer, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(writer, True)
    return total


def writing(pid: int) -> bool:
    """Say whether a thread of the process waits to write into a pipe."""
    return any(
        "pipe_w" in path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/wchan") if path.exists()
    )
