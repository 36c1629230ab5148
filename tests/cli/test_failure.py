"""Commands that fail: a document for programs, one exit code for both, and streams in any state."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from patchctl.cli.failure import format_asked
from patchctl.cli.output import _escape

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "schemas" / "error.json").read_text())
PROGRAM = [sys.executable, "-c", "from patchctl.cli.main import run; run()"]


def patchctl(folder, *argv, **how):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), **how.pop("env", {})}
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    return subprocess.run([*PROGRAM, *argv], cwd=folder, env=environment, check=False, **how)


@pytest.mark.parametrize(("argv", "code"), [
    (["scan", "-o", "json"], "invalid-documents"),
    (["scan", "-qojson", "--limt", "x"], "usage"),
    (["rollout", "status", "--output=json"], "no-rollout"),
    (["audit", "verify", "-o", "json"], "no-store"),
])
def test_a_failure_is_a_document_too(tmp_path, argv, code):
    done = patchctl(tmp_path, *argv)
    found = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    assert (found["error"]["code"], found["exit_code"], done.returncode) == (code, 2, 2)
    assert found["error"]["message"].encode() in done.stderr
    if code == "invalid-documents":
        assert found["problems"][0]["code"] == "missing-file"
    assert list(tmp_path.iterdir()) == []


def test_yaml_and_json_lines_too_but_tables_and_csv_stay_empty(tmp_path):
    assert yaml.safe_load(patchctl(tmp_path, "scan", "-o", "yaml").stdout)["exit_code"] == 2
    lines = [json.loads(line) for line in patchctl(tmp_path, "scan", "-o", "jsonl").stdout.splitlines()]
    assert [line["schema"] for line in lines] == ["patchctl/error/1"] * 2
    assert patchctl(tmp_path, "scan", "-o", "csv").stdout == patchctl(tmp_path, "scan").stdout == b""


def test_what_was_said_to_be_kept_and_is_gone_is_a_matter_of_trust(tmp_path):
    done = patchctl(tmp_path, "audit", "verify", "--head", f"5:{'0' * 64}", "-o", "json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (13, "audit-missing")


@pytest.mark.parametrize(("argv", "expected"), [
    ([], ""), (["-o", "json"], "json"), (["-ojson"], "json"), (["-qo", "csv"], "csv"), (["--output=yaml"], "yaml"),
    (["--out", "json"], ""), (["--", "-o", "json"], ""), (["-o"], ""),
])
def test_the_format_is_read_from_any_command_line(argv, expected):
    assert format_asked(["scan", *argv]) == expected


def test_closed_streams_are_no_reason_to_fail_and_nothing_is_opened_in_their_place(tmp_path):
    for number in (0, 1, 2):
        line = f'exec "$@" {number}{"<" if number == 0 else ">"}&-'
        shell = ["sh", "-c", line, "sh", *PROGRAM, "state", "prune"]
        done = subprocess.run(shell, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
                              capture_output=True)
        assert (number, done.returncode) == (number, 0), done.stderr
    assert (tmp_path / ".patchctl" / "state.db").read_bytes().startswith(b"SQLite format 3\0")


@pytest.mark.parametrize(("argv", "code"), [
    (["validate"], 2), (["scan", "-o", "json"], 2), (["audit", "verify", "-o", "json"], 2), (["inventory", "list"], 0),
    (["inventory", "list", "-o", "jsonl"], 0), (["--help"], 0), (["updates", "--from-snapshot", "-o", "json"], 4),
])
def test_a_reader_that_has_seen_enough_changes_no_exit_code(tmp_path, argv, code):
    """Neither a bad end made good (0) nor a good one bad: the work is done, whoever reads of it."""
    if code != 2:
        (tmp_path / "inventories").mkdir()
        (tmp_path / "inventories" / "i.yaml").write_text(
            "hosts: {" + ", ".join(f"web{number:04}: {{vars: {{x: y}}}}" for number in range(3000)) + "}\n")
    if argv == ["validate"]:
        (tmp_path / "inventories").mkdir()
        (tmp_path / "inventories" / "i.yaml").write_text("hots: {}\n")
    assert patchctl(tmp_path, *argv).returncode == code
    for stream in ("stdout", "stderr"):
        read, write = os.pipe()
        os.close(read)
        try:
            done = patchctl(tmp_path, *argv, **{stream: write})
        finally:
            os.close(write)
        assert done.returncode == code, (stream, done.stderr)
        assert b"Traceback" not in (done.stderr or b"") + (done.stdout or b"")


def test_a_terminal_that_is_not_utf8_gets_what_it_can_show(tmp_path):
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "i.yaml").write_text("hosts: {a: {vars: {x: 'Köln — ☃ 😀'}}}\n")
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    table = patchctl(tmp_path, "inventory", "show", "a", env=environment)
    assert (table.returncode, table.stderr) == (0, b"")
    found = patchctl(tmp_path, "inventory", "show", "a", "-o", "json", env=environment).stdout
    assert found.isascii() and "Köln — ☃ 😀" in json.dumps(json.loads(found), ensure_ascii=False)
    assert json.loads(_escape(json.dumps("a\"\\\n\x7f😀", ensure_ascii=False))) == "a\"\\\n\x7f😀"


def test_a_password_in_a_state_url_is_not_shown(tmp_path):
    environment = {"PATCHCTL_STATE": "postgresql://ops:hunter2@127.0.0.1:1/p"}
    for argv in (["config", "show"], ["config", "show", "-o", "json"], ["status"], ["status", "-o", "json"]):
        done = patchctl(tmp_path, *argv, env=environment)
        assert b"hunter2" not in done.stdout + done.stderr
    assert b"postgresql://ops:***@127.0.0.1:1/p" in patchctl(tmp_path, "config", "show", env=environment).stdout


@pytest.mark.parametrize(("number", "ignored", "code"), [
    (signal.SIGINT, False, 130), (signal.SIGTERM, False, 143), (signal.SIGHUP, False, 143), (signal.SIGHUP, True, 4),
])
def test_a_signal_ends_a_visit_with_its_code_unless_nohup_says_otherwise(tmp_path, number, ignored, code):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never says it is an ssh server
        (tmp_path / "inventories").mkdir()
        host = f"{{address: 127.0.0.1, port: {silent.getsockname()[1]}, timeouts: {{connect: 5s}}}}"
        (tmp_path / "inventories" / "i.yaml").write_text(f"hosts: {{a: {host}}}\n")
        running = subprocess.Popen(
            [*PROGRAM, "scan", "-o", "json"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
            preexec_fn=lambda: signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL))
        with silent.accept()[0]:
            running.send_signal(number)
            out, errors = running.communicate(timeout=60)
    found = json.loads(out)
    assert running.returncode == code, errors
    if not ignored:
        assert (found["error"]["code"], found["exit_code"]) == ("stopped", code)


@pytest.mark.parametrize("argv", [
    ["scan", "--limit", ""], ["apply", "--policy", "p", "--limit", " ", "--yes"], ["rollback", "--host", "", "--yes"],
    ["rollback", "", "--yes"], ["rollout", "abort", "", "--yes"], ["rollout", "resume", " "], ["report", "rollout", ""],
    ["scan", "--limit", "@none.txt"], ["plan", "--policy", "p", "--limit", "@none.txt"],
    ["remediate", "--baseline", "ssh-server", "--limit", "@none.txt"], ["scan", "-i", ""], ["scan", "--state", ""],
    ["rollout", "resume", "-i", ""], ["inventory", "show", "a", "-i", " "], ["status", "--state", ""],
    ["state", "unlock", "x", "--reason", " "], ["state", "takeover", "--reason", "", "--yes"],
    ["snapshot", "tag", "golden", "--reason", ""],
])
def test_an_unset_variable_never_means_every_host_or_the_latest_rollout(tmp_path, argv):
    (tmp_path / "none.txt").write_text("# nothing failed\n\n")
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "i.yaml").write_text("hosts: {a: {address: 127.0.0.1, port: 1}}\n")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text("policy: p\nhosts: all\nrings: [{name: r}]\n")
    done = patchctl(tmp_path, *argv)
    assert done.returncode == 2 and (b"it is empty" in done.stderr or b"names no host" in done.stderr), done


def test_a_store_that_an_empty_variable_names_is_no_other_store(tmp_path):
    (tmp_path / "patchctl.yaml").write_text("state: postgresql://db.example.com/patchctl\n")
    done = patchctl(tmp_path, "config", "show", env={"PATCHCTL_STATE": ""})
    assert done.returncode == 2 and b"PATCHCTL_STATE is empty" in done.stderr, done


def test_updates_finds_a_policy_by_its_name_as_plan_does(tmp_path):
    assert patchctl(tmp_path, "init", "p", "--host", "a").returncode == 0
    scanned = patchctl(tmp_path / "p", "updates", "--from-snapshot", "--policy", "everything-now")
    assert b"no-policy" not in scanned.stderr and b"unreadable" not in scanned.stderr, scanned
    mistyped = patchctl(tmp_path / "p", "updates", "--from-snapshot", "--policy", "everything-nwo")
    assert mistyped.returncode == 2 and b"no-policy" in mistyped.stderr and b"monthly" in mistyped.stderr, mistyped


def test_nothing_is_made_that_everybody_may_write(tmp_path):
    assert patchctl(tmp_path, "init", "p", umask=0).returncode == 0
    for path in (tmp_path / "p", *(tmp_path / "p").rglob("*")):
        assert not path.stat().st_mode & 0o002, path
    assert patchctl(tmp_path / "p", "config", "show").returncode == 0
