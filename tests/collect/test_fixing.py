"""The texts that repair a host, run for real by the shells at hand; and what a preview says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.assess.checks.registry import all_checks
from patchctl.assess.native.compiled import bind
from patchctl.assess.repairing import ENSURE_LINE, PUT, REMOVE_LINES, SET_KEY
from patchctl.collect.fixing import (
    KEPT,
    PREVIEW_LINES,
    SIGNATURES,
    change_mode,
    preview_probe,
    read_preview,
    read_previews,
    render_payload,
)
from patchctl.documents.baselines import load_baseline
from patchctl.model.plan import Fix
from patchctl.rollout.diagnose import diagnose

ROOT = Path(__file__).resolve().parents[2]
SHELLS = [s for s in ("dash", "bash", "busybox") if shutil.which(s)]
NONCE = "0123456789abcdef"


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """A shell that is called sh in PATH, as on the hosts where it is /bin/sh."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sh").symlink_to(str(shutil.which(request.param)))
    return [str(folder / "sh")]


def fix(name: str, script: str, *, kind: str = "declarative", files: tuple[str, ...] = (), access: bool = False) -> Fix:
    return Fix(f"b/{name}", "b", name, name, "high", kind, script, files, access=access)


def carry_out(shell: list[str], tmp: Path, fixes: list[Fix], attempt: str = "a.1", wait: int = 1) -> tuple[int, str]:
    env = {"PATH": f"{Path(shell[0]).parent}:{os.environ['PATH']}", "LC_ALL": "C"}
    text = render_payload(fixes, attempt, NONCE, wait, str(tmp / "backups"))
    done = subprocess.run(shell, input=text, capture_output=True, text=True, timeout=60, env=env, check=False)
    return done.returncode, done.stdout + done.stderr


def test_what_is_changed_is_put_aside_and_restore_takes_it_back(shell: list[str], tmp_path: Path) -> None:
    old, new, moded = tmp_path / "old file", tmp_path / "new", tmp_path / "mode"
    old.write_text("one\n")
    old.chmod(0o640)
    moded.write_text("x")
    moded.chmod(0o666)
    fixes = [
        fix("line", f"{ENSURE_LINE}pc_ensure_line '{old}' two\npc_ensure_line {new} three\nchmod 0600 {new}\n"),
        fix("mode", f'for f in {moded}; do if [ -e "$f" ]; then chmod g-wx,o-wx,u-s,g-s,-t "$f"; fi; done\n'),
        fix("gone", f"rm -f -- '{old}'\n"),
    ]
    code, said = carry_out(shell, tmp_path, fixes)
    assert code == 0, said
    assert not old.exists() and new.read_text() == "three\n" and moded.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "backups/a.1/results").read_text() == "".join(f"b/{n}:fix applied\n" for n in
                                                                      ("line", "mode", "gone"))
    assert (tmp_path / "backups/a.1").stat().st_mode & 0o777 == 0o700
    subprocess.run([*shell, str(tmp_path / "backups/a.1/restore")], check=True)
    assert old.read_text() == "one\n" and old.stat().st_mode & 0o777 == 0o640
    assert not new.exists() and moded.stat().st_mode & 0o777 == 0o666


def test_a_fix_that_fails_is_taken_back_and_the_others_go_on(shell: list[str], tmp_path: Path) -> None:
    one, two, own = tmp_path / "one", tmp_path / "two", tmp_path / "own"
    one.write_text("1\n")
    own.write_text("mine\n")
    fixes = [
        fix("bad", f"{SET_KEY}pc_set_key {one} '^a' 'a b'\nfalse\necho never >{two}\n"),
        fix("good", f"{ENSURE_LINE}pc_ensure_line {two} two\n"),
        fix("script", f"echo theirs >{own}\nexit 3\n", kind="script", files=(str(own),)),
    ]
    code, said = carry_out(shell, tmp_path, fixes)
    assert code == 1
    assert one.read_text() == "1\n" and two.read_text() == "two\n" and own.read_text() == "mine\n"
    assert "patchctl: fix-failed b/bad exit status 1" in said
    assert "patchctl: fix-failed b/script exit status 3" in said
    assert (tmp_path / "backups/a.1/results").read_text().split() == [
        "b/bad:fix", "failed", "b/good:fix", "applied", "b/script:fix", "failed"]
    found = diagnose("poll", None, {"log": said, "rc": 1}, SIGNATURES)
    assert (found.cls, found.signature, found.transient) == ("fix", "fix-failed", False) and "b/bad" in found.message


def test_a_file_that_cannot_be_put_aside_is_not_changed(shell: list[str], tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("1\n")
    broken = tmp_path / "bin" / "cp"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    if SHELLS.index(Path(shell[0]).readlink().name) == SHELLS.index("busybox"):
        pytest.skip("busybox runs its own cp")
    code, said = carry_out(shell, tmp_path, [fix("x", f"{PUT}echo 2 | pc_put {target}\n")])
    assert code == 1 and "fix-failed b/x" in said
    assert target.read_text() == "1\n"


def test_the_way_in_is_taken_back_unless_somebody_comes(shell: list[str], tmp_path: Path) -> None:
    door, other = tmp_path / "door", tmp_path / "other"
    fixes = [
        fix("door", f"{ENSURE_LINE}pc_ensure_line {door} shut\n", access=True),
        fix("other", f"{ENSURE_LINE}pc_ensure_line {other} x\n"),
    ]
    code, said = carry_out(shell, tmp_path, fixes)
    assert code == 1 and not door.exists() and other.exists(), said
    assert said.index("2: b/other") < said.index("2: b/door"), "doors come last"
    found = diagnose("poll", None, {"log": said, "rc": 1}, SIGNATURES)
    assert (found.cls, found.signature, found.transient) == ("access", "fix-not-confirmed", False)
    assert (tmp_path / "backups/a.1/results").read_text().splitlines()[-1] == "b/door:fix taken-back"

    def come() -> None:
        asking = tmp_path / "backups/a.2/asking"
        while not asking.exists():
            time.sleep(0.01)  # until it asks
        (tmp_path / "backups/a.2/answered").touch()

    visitor = threading.Thread(target=come)
    visitor.start()
    code, said = carry_out(shell, tmp_path, fixes, "a.2", wait=50)
    visitor.join()
    assert code == 0 and door.read_text() == "shut\n", said
    assert not (tmp_path / "backups/a.2/asking").exists()


def test_only_the_last_attempts_are_kept_and_none_starts_twice(shell: list[str], tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        assert carry_out(shell, tmp_path, [fix("x", "true\n")], f"a.{number}")[0] == 0
        os.utime(tmp_path / f"backups/a.{number}", (number, number))
    left = sorted(path.name for path in (tmp_path / "backups").iterdir())
    assert len(left) == KEPT and f"a.{KEPT + 2}" in left
    code, said = carry_out(shell, tmp_path, [fix("x", f"touch {tmp_path}/twice\n")], f"a.{KEPT + 2}")
    assert code == 1 and "no-backup" in said and not (tmp_path / "twice").exists()


def preview(shell: list[str], script: str) -> tuple[str, ...]:
    env = {"PATH": f"{Path(shell[0]).parent}:{os.environ['PATH']}"}
    done = subprocess.run([*shell, "-c", preview_probe([fix("x", script)]).command], capture_output=True, text=True,
                          timeout=60, env=env, check=False)
    assert done.returncode == 0, done.stderr
    (told,) = read_previews(done.stdout, 1)
    assert told is not None, done.stdout
    return told


def test_a_preview_tells_from_what_to_what_and_writes_nothing(shell: list[str], tmp_path: Path) -> None:
    old, moded = tmp_path / "old", tmp_path / "moded"
    old.write_text("a 1\nb 2\n")
    moded.write_text("x")
    moded.chmod(0o666)
    before = sorted((p, p.stat().st_mtime_ns, p.stat().st_mode) for p in tmp_path.rglob("*"))
    lines = preview(shell, f"{SET_KEY}{ENSURE_LINE}{REMOVE_LINES}"
                           f"pc_set_key {old} '^a ' 'a 7'\nmkdir -p {tmp_path}/d\npc_ensure_line {tmp_path}/d/new x\n"
                           f"pc_remove_line {old} none\nchmod g-wx,o-wx,u-s,g-s,-t {moded}\nchmod 0666 {moded}\n"
                           f"rm -f -- {old}\n")
    assert sorted((p, p.stat().st_mtime_ns, p.stat().st_mode) for p in tmp_path.rglob("*")) == before
    assert "-a 1" in lines and "+a 7" in lines and "+x" in lines
    assert f"--- {tmp_path}/d/new (new)" in lines
    assert f"mode 0666 -> 0644  {moded}" in lines and f"removed  {old}" in lines
    assert sum(line.startswith("mode") for line in lines) == 1, "what stays as it is is not told"
    assert lines.count(f"--- {old}") == 1, "nor files in which nothing changes"


@pytest.mark.parametrize("command", [
    "ln -s a {t}/b", "mv {t}/old {t}/b", "cp {t}/old {t}/b", "tee {t}/b", "dd of={t}/b if=/dev/null",
    "install {t}/old {t}/b", "find {t} -delete", "find {t} -exec rm -rf -- {{}} +",
    "sed -i s/a/b/ {t}/old", "/nonexistent/rm {t}/old",
    "truncate -s 0 {t}/old", "python3 -c 'open(\"{t}/b\",\"w\")'",
])
def test_a_preview_cannot_run_what_changes_something(command: str, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("a\n")
    text = preview_probe([fix("x", command.format(t=tmp_path) + " || true\n")]).command
    subprocess.run(["sh", "-c", text], capture_output=True, timeout=60, check=False)
    assert [p.name for p in tmp_path.iterdir()] == ["old"] and (tmp_path / "old").read_text() == "a\n"


def test_a_preview_that_breaks_off_is_not_told(tmp_path: Path) -> None:
    fixes = [fix("a", "chmod 0600 /etc/passwd\n"), fix("b", "ln -s a b\n"), fix("c", "true\n")]
    done = subprocess.run(["sh", "-c", preview_probe(fixes).command], capture_output=True, text=True, check=False)
    told = read_previews(done.stdout, 3)
    assert told[0] and told[1] is None and told[2] == ()
    assert read_previews("", 2) == [None, None], "no answer is no promise"
    assert read_previews(done.stdout.replace("done\t0\t0", ""), 3)[0] is None, "nor is one that was cut"


def declarative_scripts() -> list[tuple[str, str]]:
    found = []
    for path in sorted((ROOT / "baselines").glob("*.yaml")):
        bound, _, _ = bind(load_baseline(path).native)
        found += [(f"{path.stem}/{b.rule.id}", b.rule.remediation.script) for b in bound
                  if b.rule.remediation is not None and b.rule.remediation.kind == "declarative"]
    return found


@pytest.mark.parametrize("name, script", declarative_scripts(), ids=lambda v: v if "/" in v and len(v) < 80 else "")
def test_declarative_scripts_write_by_functions_only(name: str, script: str) -> None:
    body = re.sub(r"^pc_\w+\(\) \{$.*?^\}$", "", script, flags=re.M | re.S)
    body = re.sub(r"'[^']*'", "''", body)
    writes = [w for w in re.findall(r"(?<![<&\d])>+\s*([^\s;|)]+)", body) if w not in ("/dev/null", "&2")]
    assert not writes, (name, writes)
    assert not re.search(r"(?m)(^|[;|&({]\s*)/[a-z]", body), f"{name}: a command by its path escapes the preview"


def test_every_check_that_repairs_has_a_script_here() -> None:
    assert len(declarative_scripts()) > 100
    assert {name for name, check in all_checks().items() if check.repairs}


@given(st.lists(st.tuples(st.sampled_from(["u", "g", "o", "a", "ug"]), st.sampled_from("+-"),
                          st.text("rwx", min_size=1, max_size=3)), min_size=1, max_size=4), st.integers(0, 0o7777))
@settings(max_examples=40, deadline=None)
def test_modes_change_as_chmod_changes_them(words: list[tuple[str, str, str]], mode: int) -> None:
    text = ",".join("".join(word) for word in words)
    script = f"f=$(mktemp); /bin/chmod {mode:o} $f; /bin/chmod {text} $f; stat -c %a $f; rm -f $f"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert change_mode(text, mode) == int(done.stdout, 8)


def test_hostile_and_long_previews_are_safe() -> None:
    output = "file\t/etc/x\t/etc/x\n" + "line\t+\x1b]0;evil\x07\u202ebad\n" * (PREVIEW_LINES + 10) + "what\tever\n"
    lines = read_preview(output)
    assert len(lines) == PREVIEW_LINES + 1 and lines[-1].endswith("lines more")
    assert not any(c in "".join(lines) for c in "\x1b\x07\u202e")
    assert read_preview("file\t/etc/x\t/etc/x\n") == ()
    assert change_mode("u=rwx", 0) is None
