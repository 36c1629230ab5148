"""The runner's promises one by one, on every shell that is installed here."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from patchctl.collect.runner import (
    Cleanup,
    Look,
    Poll,
    Reboot,
    Start,
    Takeover,
    compare_packages,
    staging_directory,
)
from tests.runner.machine import ATTEMPT, Machine, available_shells

SECOND = "2026-11-monthly.0a1b2c3d.2"


@pytest.fixture(params=available_shells())
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, request.param)


def test_an_attempt_runs_once_and_reports_its_result_log_and_changes(machine: Machine) -> None:
    packages = machine.root / "packages"
    packages.write_text("libc6:amd64 2.36-9\nold:all 1\n")
    payload = (
        f"echo 'patchctl: step install'; echo out; echo err >&2\n"
        f"printf 'libc6:amd64 2.36-10\\nnew:all 3\\n' > {packages}; umask; pwd; cat; exit 7"
    )
    started = machine.start(payload)
    assert started.state == "started"
    assert started.get("unit") == f"patchctl-{ATTEMPT}.service"
    done = machine.wait()
    assert done.state == "finished"
    assert done.get("result").split()[0] == "7"
    assert done.all("log")[:4] == ("patchctl: step install", "out", "err", "0022")
    assert "/" in done.all("log"), "works in /, with nothing on its standard input"
    assert done.all("mark") == ("patchctl: step install",)
    assert compare_packages(done.all("before"), done.all("after")) == [
        {"package": "libc6", "arch": "amd64", "from": "2.36-9", "to": "2.36-10"},
        {"package": "new", "arch": "all", "from": "", "to": "3"},
        {"package": "old", "arch": "all", "from": "1", "to": ""},
    ]
    assert machine.base.stat().st_mode & 0o777 == 0o700
    assert (machine.base / "runs" / ATTEMPT).stat().st_mode & 0o777 == 0o700


def test_a_claimed_attempt_is_adopted_never_started_again(machine: Machine) -> None:
    payload = machine.counting("one", "0.3")
    assert machine.start(payload).state == "started"
    again = machine.start(payload)
    assert (again.state, again.get("was")) == ("adopted", "running")
    assert machine.wait().state == "finished"
    again = machine.start(payload)
    assert (again.state, again.get("was")) == ("adopted", "finished")
    assert machine.runs() == ["one"]


def test_a_start_that_comes_after_the_clean_up_of_its_attempt_runs_nothing(machine: Machine) -> None:
    for attempt in (ATTEMPT, SECOND):
        machine.start(machine.counting(attempt), attempt)
        machine.wait(attempt)
        machine.clean(attempt)
        late = machine.start(machine.counting(attempt), attempt)
        assert (late.state, late.get("was")) == ("adopted", "interrupted")
    late = machine.start(machine.counting(ATTEMPT))
    assert (late.state, late.get("was")) == ("adopted", "interrupted"), "an earlier attempt of the same rollout"
    assert machine.runs() == [ATTEMPT, SECOND]


def test_another_attempt_on_a_busy_host_is_refused_by_name(machine: Machine) -> None:
    machine.start(machine.counting("one", "0.5"))
    refused = machine.start(machine.counting("two"), SECOND)
    assert (refused.state, refused.get("code"), refused.get("holder")) == ("failed", "busy", ATTEMPT)
    assert not (machine.base / "runs" / SECOND).exists(), "a refused attempt is not used up"
    machine.wait()
    assert machine.start(machine.counting("two"), SECOND).state == "started"
    machine.wait(SECOND)
    assert machine.runs() == ["one", "two"]


def test_the_owners_veto_stops_starts_and_reboots_and_names_its_reason(machine: Machine) -> None:
    hold = machine.root / "etc/patchctl/hold"
    hold.parent.mkdir(parents=True)
    hold.write_text("month-end closing, ask Ann\x1b[2J\n")
    assert "month-end closing, ask Ann" in machine.ask(Look()).get("veto")
    refused = machine.start(machine.counting("one"))
    assert (refused.state, machine.runs()) == ("veto", [])
    assert refused.get("reason") == f"{hold}: month-end closing, ask Ann"
    boot = machine.ask(Look()).boot_id
    refused = machine.ask(Reboot(boot))
    assert (refused.state, refused.get("code")) == ("failed", "veto")
    hold.unlink()
    hold.mkdir()
    assert machine.start(machine.counting("one")).state == "veto", "whatever it is, its existence counts"


def test_the_fence_keeps_foreign_stores_other_epochs_and_late_tokens_out(machine: Machine) -> None:
    ours = machine.controller(epoch=2, token=5)
    assert machine.start("true", controller=ours).state == "started"
    machine.wait()
    assert (machine.base / "fence").read_text().split()[:3] == ["store-a", "2", "5"]
    foreign = machine.start("true", SECOND, machine.controller("store-b", 9, 99))
    assert foreign.state == "fenced"
    assert "me@store-a" in foreign.get("reason")
    assert machine.start("true", SECOND, machine.controller(epoch=2, token=4)).state == "fenced"
    assert machine.start("true", SECOND, machine.controller(epoch=1, token=9)).state == "fenced"
    restored = machine.controller(epoch=3, token=9)
    refused = machine.start("true", SECOND, restored)
    assert refused.state == "fenced"
    assert "takeover" in refused.get("reason")
    for request in (Cleanup(ATTEMPT), Reboot(machine.ask(Look()).boot_id)):
        assert machine.ask(request, machine.controller("store-b")).state == "failed"
    assert machine.ask(Takeover(), restored).state == "taken"
    assert machine.start("true", SECOND, restored).state == "started"
    assert machine.start("true", SECOND, ours).state == "fenced", "the old epoch is out for good"
    assert machine.ask(Takeover(), ours).state == "failed"


def test_a_takeover_never_lowers_the_token_that_the_host_has_seen(machine: Machine) -> None:
    assert machine.start("true", controller=machine.controller(epoch=1, token=9)).state == "started"
    machine.wait()
    assert machine.ask(Takeover(), machine.controller(epoch=2, token=3)).state == "taken"
    assert (machine.base / "fence").read_text().split()[1:3] == ["2", "9"]
    late = machine.start("true", SECOND, machine.controller(epoch=2, token=8))
    assert late.state == "fenced", "a request of before the takeover, still under way"


def test_a_takeover_by_another_store_names_whose_host_it_was(machine: Machine) -> None:
    machine.start("true")
    machine.wait()
    taken = machine.ask(Takeover(), machine.controller("store-b", 1, 3))
    assert taken.state == "taken"
    assert taken.get("fence").split()[:4] == ["store-a", "1", "1", "me@store-a"]
    same_name = machine.start("true", controller=machine.controller("store-b", 1, 3))
    assert (same_name.state, same_name.get("code")) == ("failed", "foreign-attempt")
    assert machine.ask(Poll(ATTEMPT), machine.controller("store-b", 1, 3)).get("foreign") == "store-a"


def test_a_fence_nobody_can_read_refuses(machine: Machine) -> None:
    machine.base.mkdir(parents=True)
    (machine.base / "fence").write_text("garbage\n")
    assert machine.start("true").state == "fenced"


def test_staged_files_are_checked_before_the_attempt_is_claimed(machine: Machine) -> None:
    directory = Path(staging_directory("r1", str(machine.root)))
    directory.mkdir(parents=True)
    (directory / "a_1.deb").write_bytes(b"good")
    (directory / "b_1.deb").write_bytes(b"bad")
    good = "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c"
    request = Start(ATTEMPT, machine.counting("one"), "true", str(directory), [(good, "a_1.deb"), (good, "b_1.deb")])
    refused = machine.ask(request)
    assert (refused.state, refused.get("code"), refused.all("missing")) == ("failed", "staging-missing", (good,))
    assert machine.ask(Poll(ATTEMPT)).state == "absent"
    (directory / "b_1.deb").write_bytes(b"good")
    assert machine.ask(request).state == "started"
    assert machine.wait().state == "finished"
    assert machine.ask(Cleanup(ATTEMPT, str(directory))).all("residue") == ()
    assert [path.name for path in machine.base.iterdir()] == ["fence"]


def test_clean_up_removes_all_but_the_fence_and_what_still_runs(machine: Machine) -> None:
    machine.start("true")
    machine.wait()
    machine.start(machine.counting("two", "0.5"), SECOND, machine.controller(token=2))
    refused = machine.ask(Cleanup(SECOND), machine.controller(token=2))
    assert (refused.state, refused.get("holder")) == ("failed", SECOND)
    machine.wait(SECOND)
    (machine.base / "stray").write_text("")
    left = machine.ask(Cleanup(SECOND), machine.controller(token=2))
    assert left.all("residue") == (f"{machine.base}/stray",)
    (machine.base / "stray").unlink()
    assert machine.ask(Cleanup(SECOND), machine.controller(token=2)).all("residue") == ()
    assert [path.name for path in machine.base.iterdir()] == ["fence"]
    assert machine.ask(Poll(SECOND)).state == "interrupted", "a spool that was there and is lost is not `absent`"
    assert machine.ask(Poll("2026-11-monthly.0a1b2c3d.3")).state == "absent"


def test_an_attempt_of_an_earlier_boot_is_interrupted(machine: Machine) -> None:
    machine.start("sleep 30")
    begun = machine.base / "runs" / ATTEMPT / "begun"
    deadline = time.monotonic() + 60
    while not begun.is_symlink():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    boot, pid, start = str(begun.readlink()).split(":")
    try:
        begun.unlink()
        begun.symlink_to(f"00000000-0000-0000-0000-000000000000:{pid}:{start}")
        reply = machine.ask(Poll(ATTEMPT))
        assert reply.state == "interrupted"
        assert "restarted" in reply.get("reason")
        begun.unlink()
        begun.symlink_to(f"{boot}:{pid}:{int(start) + 1}")
        assert machine.ask(Poll(ATTEMPT)).state == "interrupted", "the number was given to another process"
    finally:
        os.killpg(int(pid), signal.SIGKILL)


def test_a_killed_runner_counts_as_running_while_its_payload_works(machine: Machine) -> None:
    fifo = machine.root / "gate"
    os.mkfifo(fifo)
    machine.start(f"cat {fifo}")
    begun = machine.base / "runs" / ATTEMPT / "begun"
    gate = os.open(fifo, os.O_WRONLY)  # waits until the payload reads
    pid = int(str(begun.readlink()).split(":")[1])
    os.kill(pid, signal.SIGKILL)
    reply = machine.ask(Poll(ATTEMPT))
    assert (reply.state, reply.get("reason")) == ("running", "its runner died, but processes of it still work")
    assert machine.start("true", SECOND, machine.controller(token=2)).get("code") == "busy"
    os.close(gate)
    deadline = time.monotonic() + 60
    while machine.ask(Poll(ATTEMPT)).state == "running":
        assert time.monotonic() < deadline
    assert machine.ask(Poll(ATTEMPT)).state == "interrupted"


def test_the_log_is_bounded_and_keeps_its_start_and_its_end(machine: Machine) -> None:
    machine.start("echo first; i=0; while [ $i -lt 6 ]; do head -c 1000000 /dev/zero | tr '\\0' 'x'; echo; "
                  "i=$((i + 1)); done; echo last")
    done = machine.wait()
    assert done.get("result").split()[0] == "0"
    spool = machine.base / "runs" / ATTEMPT
    assert sum(path.stat().st_size for path in spool.glob("log.*")) <= 3 * 1024 * 1024
    assert (spool / "log.first").read_text().startswith("first\n")
    assert machine.ask(Poll(ATTEMPT, tail=100)).all("log")[-1] == "last"


def test_a_daemon_that_holds_the_output_open_does_not_hold_the_attempt(machine: Machine) -> None:
    machine.start(f"setsid sleep 60 & echo $! > {machine.root}/daemon; exit 4")
    try:
        assert machine.wait().get("result").split()[0] == "4"
    finally:
        os.kill(int((machine.root / "daemon").read_text()), signal.SIGKILL)


def test_a_reboot_request_is_bound_to_the_boot_id(machine: Machine) -> None:
    machine.stub("systemctl", f"echo \"$@\" >> {machine.root}/systemctl")
    other = "00000000-0000-4000-8000-000000000000"
    assert machine.ask(Reboot(other)).state == "rebooted"
    machine.start(machine.counting("one", "0.5"))
    boot = machine.ask(Look()).boot_id
    assert machine.ask(Reboot(boot)).get("holder") == ATTEMPT
    machine.wait()
    assert machine.ask(Reboot(boot)).state == "requested"
    deadline = time.monotonic() + 60
    while not (machine.root / "systemctl").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (machine.root / "systemctl").read_text() == "reboot\n"


def test_systemd_run_gets_a_unit_that_outlives_what_it_upgrades(machine: Machine) -> None:
    (machine.root / "run/systemd/system").mkdir(parents=True)
    machine.stub("systemd-run", f"""[ "$1" = --help ] && {{ echo --collect; exit; }}
printf '%s\\n' "$@" > {machine.root}/words; while [ "$1" != -- ]; do shift; done; shift; setsid "$@" &""")
    assert machine.start(machine.counting("one")).get("detached") == "systemd"
    assert machine.wait().state == "finished"
    words = (machine.root / "words").read_text().split("\n")
    assert f"--unit=patchctl-{ATTEMPT}.service" in words
    assert {"--collect", "KillMode=process", "StandardInput=null"} <= set(words)
    assert machine.runs() == ["one"]


def test_where_neither_way_of_detaching_works_nothing_runs_and_the_attempt_is_called_off(machine: Machine) -> None:
    (machine.root / "run/systemd/system").mkdir(parents=True)
    machine.stub("systemd-run", "[ \"$1\" = --help ] || { echo 'Failed: unit already loaded' >&2; exit 1; }")
    refused = machine.start(machine.counting("one"))
    assert (refused.state, refused.get("code")) == ("failed", "cannot-detach")
    assert "already loaded" in refused.get("reason")
    assert machine.ask(Poll(ATTEMPT)).state == "interrupted"
    assert machine.runs() == []


def test_without_room_for_the_spool_the_attempt_is_not_used_up(machine: Machine) -> None:
    machine.stub("fallocate", "exit 1")
    machine.stub("dd", "exit 1")
    refused = machine.start(machine.counting("one"))
    assert (refused.state, refused.get("code")) == ("failed", "spool-full")
    assert machine.ask(Poll(ATTEMPT)).state == "absent"
