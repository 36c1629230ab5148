"""report, audit, status, history and state, as a user calls them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest

from patchctl.cli.failure import report_failure
from patchctl.cli.main import main
from patchctl.model.errors import HostFailure
from patchctl.model.evidence import Evidence, Snapshot
from patchctl.model.rollout import Event
from patchctl.store.database import open_store
from tests.report.sample import Story, make_plan, tell


@pytest.fixture
def project(tmp_path):
    """A project folder with one finished and one waiting rollout."""
    with open_store(f"sqlite:///{tmp_path}/.patchctl/state.db") as store:
        done = tell(["web01", "web02", "web03"], failed=["web03"])
        store.save_plan(done.plan)
        store.journal.append(done.events)
        waiting = Story(make_plan(["web01", "web02"], rollout="2026-12-monthly"))
        waiting.say("ring-opened", {"ring": "canary"})
        waiting.succeed("web01")
        waiting.say("ring-finished", {"ring": "canary"})
        store.save_plan(waiting.plan)
        store.journal.append(waiting.events)
        now = time.time()
        ok = {"p": Evidence("p", "ok", "x")}
        store.save_snapshot(Snapshot("web01", now - 3600, ok))
        store.save_snapshot(Snapshot("web02", now - 9 * 86400, ok))
        store.save_snapshot(Snapshot("web03", now - 60, {}, HostFailure("tcp-timeout", "no answer")))
        store.record("jane@ctl", "trust", {"hosts": ["web01", "web02"]}, "first contact, CHG-1")
    return tmp_path


def patchctl(project, *argv, code=0):
    """Run a command as cli/main.py does, but in this process: a new one for each would take most of the time."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.chdir(project), contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            returned = main.main(list(argv), standalone_mode=False)
        except Exception as error:  # noqa: BLE001 - this is what the program's own last handler does
            returned = report_failure(error)
    found = returned if isinstance(returned, int) else 0
    assert found == code, (found, out.getvalue(), errors.getvalue())
    assert "internal error" not in errors.getvalue()
    return SimpleNamespace(stdout=out.getvalue(), stderr=errors.getvalue())


def names_in(folder):
    return sorted(file.name for file in folder.iterdir())


def times_in(folder):
    return sorted((file.name, file.stat().st_mtime_ns) for file in folder.iterdir())


def tamper(project, statement):
    db = sqlite3.connect(project / ".patchctl" / "state.db")
    db.execute(statement)
    db.commit()
    db.close()


def test_report_writes_three_whole_files_and_says_where(project):
    done = patchctl(project, "report", "2026-11-monthly", "-o", "json")
    data = json.loads(done.stdout)
    assert data["schema"] == "patchctl/report-files/1"
    for file in data["files"]:
        path = Path(file["path"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    # No temporary file is left.
    assert names_in(project / "reports" / "2026-11-monthly") == ["changes.csv", "index.html", "report.json"]
    with open_store(f"sqlite:///{project}/.patchctl/state.db", writable=False) as store:
        last = store.records()[-1]
    assert (last.number, last.event.kind) == (data["audit"], "report-written")
    assert {f["sha256"] for f in last.event.data["files"]} == {f["sha256"] for f in data["files"]}


def test_report_takes_the_latest_rollout_and_some_formats(project):
    done = patchctl(project, "report", "--format", "csv", "--out", "elsewhere")
    assert "2026-12-monthly" in done.stdout
    assert names_in(project / "elsewhere" / "2026-12-monthly") == ["changes.csv"]
    assert "no report format 'pdf'" in patchctl(project, "report", "--format", "pdf", code=2).stderr
    assert "no rollout 'x'" in patchctl(project, "report", "x", code=2).stderr


def test_a_report_that_cannot_be_written_says_so_and_records_nothing(project):
    (project / "reports").write_text("in the way")
    assert "reports" in patchctl(project, "report", code=1).stderr
    with open_store(f"sqlite:///{project}/.patchctl/state.db", writable=False) as store:
        assert store.records()[-1].event.kind == "trust"


def test_a_kill_while_writing_leaves_the_old_report_whole(project):
    patchctl(project, "report", "2026-11-monthly")
    before = (project / "reports" / "2026-11-monthly" / "report.json").read_bytes()
    environment = {**os.environ, "PATCHCTL_FAILPOINT": "report.write.before"}
    killed = subprocess.run(
        [sys.executable, "-c", "from patchctl.cli.main import run; run()", "report", "2026-11-monthly"],
        cwd=project, env=environment, check=False, timeout=120,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert (project / "reports" / "2026-11-monthly" / "report.json").read_bytes() == before
    patchctl(project, "audit", "verify")


def test_an_intact_chain_exits_0_and_a_broken_one_13_naming_the_record(project):
    assert "intact" in patchctl(project, "audit", "verify").stdout
    assert patchctl(project, "audit", "verify", "-q").stdout == ""
    tamper(project, "update audit set record = replace(record, 'CHG-4711', 'CHG-4712')")
    data = json.loads(patchctl(project, "audit", "verify", "-o", "json", code=13).stdout)
    assert not data["ok"]
    assert data["problems"][0]["code"] == "edited"
    assert str(data["problems"][0]["number"]) in data["problems"][0]["message"]


def test_a_chain_cut_with_its_own_head_reset_is_found_by_the_head_beside_the_reports(project):
    patchctl(project, "report", "2026-11-monthly")
    with open_store(f"sqlite:///{project}/.patchctl/state.db") as store:
        end = store.records()[-3]
    tamper(project, f"delete from audit where number > {end.number}")
    tamper(project, f"update chain set number = {end.number}, hash = '{end.hash}'")
    out = patchctl(project, "audit", "verify", code=13).stdout
    assert f"{end.number + 1} to {end.number + 2} were cut off" in out
    done = patchctl(project, "report", "2026-11-monthly", code=13)
    assert "does not verify" in done.stderr
    assert "BROKEN" in (project / "reports" / "2026-11-monthly" / "index.html").read_text()
    assert "cut off" in patchctl(project, "audit", "verify", code=13).stdout  # the proof was not overwritten


def test_the_head_printed_in_a_report_can_be_checked_against(project):
    patchctl(project, "report", "2026-11-monthly")
    page = (project / "reports" / "2026-11-monthly" / "index.html").read_text()
    head = page.partition("audit verify --head ")[2].partition("<")[0]
    patchctl(project, "audit", "verify", "--head", head)
    wrong = head[:-1] + ("0" if head[-1] != "0" else "1")
    assert "rewritten" in patchctl(project, "audit", "verify", "--head", wrong, code=13).stdout
    assert "neither" in patchctl(project, "audit", "verify", "--head", "nonsense", code=2).stderr


def test_verify_check_writes_nothing(project):
    patchctl(project, "audit", "verify", "--check")
    assert not (project / "reports").exists()
    patchctl(project, "audit", "verify", "--keep", "copy.json")
    assert (project / "copy.json").read_bytes() == (project / "reports" / "audit-head.json").read_bytes()


def test_status_shows_open_rollouts_what_they_wait_for_and_who_is_unseen(project):
    before = times_in(project / ".patchctl")
    data = json.loads(patchctl(project, "status", "-o", "json").stdout)
    assert [(r["rollout"], r["state"]) for r in data["rollouts"]] == [("2026-12-monthly", "running")]
    assert data["rollouts"][0]["summary"]["succeeded"] == 1
    [wait] = data["waiting"]
    assert (wait["rollout"], wait["ring"]) == ("2026-12-monthly", "rest")
    assert wait["for"] in ("soak", "approval")
    assert (data["last"]["rollout"], data["last"]["result"]) == ("2026-11-monthly", "COMPLETED, NOT CLEAN")
    assert [(u["host"], u["last_seen"] is None) for u in data["unseen"]] == [("web03", True), ("web02", False)]
    text = patchctl(project, "status").stdout
    assert "not reached for 9d" in text
    assert "patchctl rollout approve 2026-12-monthly" in text
    assert times_in(project / ".patchctl") == before


def test_status_names_who_holds_a_lock(project):
    url = f"sqlite:///{project}/.patchctl/state.db"
    with open_store(url) as store, store.lock("rollout 2026-12-monthly", "patchctl apply"):
        data = json.loads(patchctl(project, "status", "-o", "json").stdout)
        said = patchctl(project, "status").stdout
    assert f"pid {os.getpid()}" in data["locks"][0]["holder"]
    assert data["rollouts"][0]["held_by"] == [data["locks"][0]["holder"]]
    assert "no process is at it" not in said


def test_status_says_that_nobody_carries_a_running_rollout_on(project):
    """A terminal that was closed, a killed controller: "running" alone would let people wait for ever."""
    said = patchctl(project, "status").stdout
    assert "no process is at it" in said and "patchctl rollout resume 2026-12-monthly" in said


def test_status_of_an_empty_project_is_no_error_and_makes_nothing(tmp_path):
    data = json.loads(patchctl(tmp_path, "status", "-o", "json").stdout)
    assert data["rollouts"] == []
    assert names_in(tmp_path) == []


def test_history_tells_changes_decisions_and_trust_of_one_host(project):
    data = json.loads(patchctl(project, "history", "web01", "--since", "900w", "-o", "json").stdout)
    kinds = [e["kind"] for e in data["history"]]
    assert {"snapshot", "job-ended", "host-settled", "trust"} <= set(kinds)
    changed = [c for e in data["history"] for c in e["changes"] if c["package"] == "openssl"]
    assert changed[0] == {"package": "openssl", "from": "3.0.15-1~deb12u1", "to": "3.0.17-1~deb12u3"}
    assert [e["at"] for e in data["history"]] == sorted(e["at"] for e in data["history"])
    text = patchctl(project, "history", "web01", "--since", "900w").stdout
    assert "openssl 3.0.15-1~deb12u1 -> 3.0.17-1~deb12u3" in text
    assert "did you mean web01" in patchctl(project, "history", "web1", code=2).stderr


def test_prune_keeps_latest_snapshots_and_proofs_and_the_chain(project):
    url = f"sqlite:///{project}/.patchctl/state.db"
    now = time.time()
    with open_store(url) as store:
        for days in (400, 300, 200):
            store.save_snapshot(Snapshot("web01", now - days * 86400, {"p": Evidence("p", "ok", f"old {days}")}))
        proof = store.save_snapshot(Snapshot("web01", now - 250 * 86400, {"p": Evidence("p", "ok", "proof")}))
        data = {"job": "j", "kind": "verify", "result": "ok", "data": {"snapshot": proof}}
        store.journal.append([Event("old", 1, now - 250 * 86400, "patchctl", "job-ended", "web01", data)])
    assert "3 snapshots" in patchctl(project, "state", "prune", "--check").stdout
    assert "deleted 3 snapshots" in patchctl(project, "state", "prune", "--compact").stdout
    with open_store(url) as store:
        assert store.load_snapshot(proof).output("p") == "proof"
        assert store.latest_snapshots(["web02"])["web02"].output("p") == "x"  # old, but the latest
        assert [r.event.kind for r in store.records()][-1] == "store-pruned"
        assert store.verify_chain().ok
    patchctl(project, "state", "prune", "--proofs", "100d")
    with open_store(url) as store:
        assert len(store.visits("web01")) == 1


def test_a_backup_restores_with_a_higher_epoch(project):
    state = project / ".patchctl" / "state.db"
    patchctl(project, "state", "backup", "b/copy.db")
    assert stat.S_IMODE((project / "b" / "copy.db").stat().st_mode) == 0o600
    assert "never overwritten" in patchctl(project, "state", "backup", "b/copy.db", code=1).stderr
    refused = patchctl(project, "state", "restore", "b/copy.db", "--reason", "test", code=2)
    assert "move it away" in refused.stderr
    with open_store(f"sqlite:///{state}") as store:
        identity, epoch = store.store_id, store.epoch
    state.rename(project / "lost.db")
    assert "chain intact" in patchctl(project, "state", "restore", "b/copy.db", "--reason", "disk died").stdout
    with open_store(f"sqlite:///{state}") as store:
        assert (store.store_id, store.epoch) == (identity, epoch + 1)
        assert store.records()[-1].event.reason == "disk died"
        assert store.latest_rollout() == "2026-12-monthly"


def test_state_upgrade_and_size_and_unlock(project):
    assert "up to date" in patchctl(project, "state", "upgrade").stdout
    data = json.loads(patchctl(project, "state", "size", "-o", "json").stdout)
    assert data["rows"]["plans"] == 2
    assert data["total_bytes"] > 10_000
    assert "nobody holds" in patchctl(project, "state", "unlock", "apply", "--reason", "x", code=2).stderr


@pytest.mark.parametrize(
    ("schema", "argv"),
    [
        ("report-files", ("report", "2026-11-monthly")), ("audit", ("audit", "verify")), ("status", ("status",)),
        ("history", ("history", "web01", "--since", "900w")),
    ],
)  # fmt: skip
def test_json_output_keeps_to_its_schema(project, schema, argv):
    data = json.loads(patchctl(project, *argv, "-o", "json").stdout)
    check_schema(schema, data)


def test_the_json_report_keeps_to_its_schema(project):
    patchctl(project, "report", "2026-11-monthly")
    data = json.loads((project / "reports" / "2026-11-monthly" / "report.json").read_bytes())
    check_schema("report", data)
    del data["hosts"][0]["state"]
    with pytest.raises(jsonschema.ValidationError):
        check_schema("report", data)


def check_schema(name, data):
    schema = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / f"{name}.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema, cls=jsonschema.Draft202012Validator)
