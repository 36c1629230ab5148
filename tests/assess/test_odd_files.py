"""What lies in the way of a check: pipes, devices, links to nowhere, huge and binary files, commands that hang.

The batches' own scripts run here, in the shells at hand: one odd file must not take the answers about others with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from patchctl.assess.asking.files import FILE_CAP, LEADS_NOWHERE, READ, STAT, SUM_CAP
from patchctl.assess.asking.frames import read_frames
from patchctl.assess.asking.system import PROCESSES
from patchctl.assess.checks.command import COMMANDS
from patchctl.assess.checks.contract import Answer, Batch, Question, Unreadable
from patchctl.assess.checks.file import File
from patchctl.assess.checks.value import Value
from patchctl.assess.native.answers import SnapshotAnswers, probes_of
from patchctl.model.evidence import OK, UNKNOWN, Evidence, Snapshot

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small").write_text("a = 1\nb\n")
    (tmp_path / "with space").write_text("x")
    (tmp_path / "strange\nname").write_text("x")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 40)
    with (tmp_path / "huge").open("wb") as huge:  # one line, and a hole
        huge.truncate(SUM_CAP + 1)
        huge.seek(0, os.SEEK_END)
        huge.write(b"needle")
    (tmp_path / "long").write_text("line = of text\n" * (FILE_CAP // 10))
    os.mkfifo(tmp_path / "pipe")
    for name, target in (("link", "small"), ("nowhere", "nothing"), ("loop", "loop"), ("to-huge", "huge"),
                         ("masked", "/dev/null")):  # fmt: skip
        (tmp_path / name).symlink_to(target)
    return tmp_path


def ask(shell: str, batch: Batch, *questions: str) -> Mapping[str, Answer | str]:
    """Run a batch's script as a host would; one that hangs is a failure."""
    command = [shell, "sh"] if shell == "busybox" else [shell]
    done = subprocess.run([*command, "-c", batch.script(sorted(questions))], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=240, check=False)  # fmt: skip
    return read_frames(done.stdout.decode(errors="replace"))


def said(found: Answer | str) -> str:
    return found if isinstance(found, str) else "missing" if found.missing else found.text


@pytest.mark.parametrize("shell", SHELLS)
def test_odd_files_are_told_and_the_others_are_read(shell: str, folder: Path) -> None:
    names = ["small", "with space", "huge", "to-huge", "long", "pipe", "link", "masked", "nowhere", "loop", "none/x"]
    found = ask(shell, READ, *(f"{folder}/{name}" for name in names), str(folder), "/dev/zero", f"{folder}/*")
    answers = {name: said(found[f"{folder}/{name}"]) for name in names}
    too_large, no_file = f"larger than {FILE_CAP} bytes", "not a regular file"
    assert answers == {
        "small": "a = 1\nb\n", "with space": "x\n", "link": "a = 1\nb\n", "huge": too_large, "to-huge": too_large,
        "long": too_large, "pipe": no_file, "nowhere": "missing", "loop": "missing", "none/x": "missing",
        "masked": "",
    }  # fmt: skip
    assert said(found[str(folder)]) == "missing"
    assert said(found["/dev/zero"]) == no_file
    listed = said(found[f"glob:{folder}/*"]).splitlines()
    assert f"{folder}/binary" in listed
    assert not any("strange" in line for line in listed), "a name with a newline is nobody's"


@pytest.mark.parametrize("shell", SHELLS)
def test_hashes_and_modes_of_odd_files(shell: str, folder: Path) -> None:
    names = ["small", "huge", "pipe", "nowhere"]
    found = ask(shell, STAT, *(f"sha256:{folder}/{name}" for name in names), f"sha256:{folder}", "sha256:/dev/zero",
                *(f"{folder}/{name}" for name in names), f"acl:{folder}/pipe")  # fmt: skip
    sums = {name: said(found[f"sha256:{folder}/{name}"]) for name in names}
    assert sums["small"] == f"{_sha256(folder / 'small')}\n"
    assert (sums["huge"], sums["nowhere"]) == (f"larger than {SUM_CAP} bytes", "missing")
    assert sums["pipe"] == said(found["sha256:/dev/zero"]) == "not a regular file"
    assert said(found[f"sha256:{folder}"]) == "a directory"
    assert said(found[f"{folder}/pipe"]).startswith("1"), "the type of a pipe in st_mode"
    assert said(found[f"{folder}/nowhere"]) == "missing"
    link = found[f"{folder}/nowhere"]
    assert isinstance(link, Answer)
    assert link.text.strip() == LEADS_NOWHERE


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


class Says:
    """Implements Answers: the same answer to everything."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def get(self, batch: Batch, text: str = "all") -> Answer:
        return self.answer


def test_a_link_that_leads_nowhere_is_there_all_the_same() -> None:
    link = Says(Answer(LEADS_NOWHERE, missing=True))
    for state, good in (("absent", False), ("present", False), ("optional", True)):
        (item,) = File().judge({"path": "/etc/hosts.equiv", "state": state}, link)
        assert (item.ok, item.actual) == (good, LEADS_NOWHERE)


def test_entities_of_xml_are_not_followed_and_not_taken_for_text() -> None:
    text = '<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/shadow">]><l><v>&x;</v><w>1</w></l>'
    with pytest.raises(Unreadable, match="entities"):
        Value().judge({"path": "/x", "format": "xml", "at": ("/l/v",), "equals": "1"}, Says(Answer(text)))
    plain = '<!DOCTYPE l PUBLIC "-//X" "x.dtd"><l><w>1</w></l>'
    (item,) = Value().judge({"path": "/x", "format": "xml", "at": ("/l/w",), "equals": "1"}, Says(Answer(plain)))
    assert item.ok


def test_a_command_that_hangs_leaves_the_others_their_answers() -> None:
    probes = {p.command: p.id for p in probes_of([Question(COMMANDS, "echo hello"), Question(COMMANDS, "sleep 1000")])}
    assert len(probes) == 2
    hangs = next(i for c, i in probes.items() if "sleep" in c)
    said_hello = next(i for c, i in probes.items() if "hello" in c)
    evidence = {
        hangs: Evidence(hangs, UNKNOWN, reason="timed out after 2m00s"),
        said_hello: Evidence(said_hello, OK, "@@ echo hello\n=hello\n@= 0\n@.\n", 0),
    }  # fmt: skip
    answers = SnapshotAnswers(Snapshot("h", 0.0, evidence))
    assert answers.get(COMMANDS, "echo hello").text == "hello\n"
    with pytest.raises(Unreadable, match="sleep 1000: timed out"):
        answers.get(COMMANDS, "sleep 1000")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts /proc anew and takes another user: needs root")
def test_hidden_processes_are_not_known_to_be_away() -> None:
    """hidepid=2 of proc(5): whoever is not root sees its own processes only."""
    script = PROCESSES.script(["all"])
    enter = ('mount -t proc -o hidepid=2 proc /proc && '
             'exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "$1"')  # fmt: skip
    hidden = ["unshare", "--mount", "--fork", "sh", "-c", enter, "sh", script]
    done = subprocess.run(hidden, capture_output=True, text=True, timeout=120, check=False)
    found = read_frames(done.stdout)["all"]
    assert isinstance(found, str), done.stderr
    assert "hidepid" in found
    assert isinstance(ask("dash" if "dash" in SHELLS else "bash", PROCESSES, "all")["all"], Answer)
