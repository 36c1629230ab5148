"""What an install makes of each way in which zypper ends (zypper(8), EXIT CODES): a zypper that only ends so."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.zypper import PLATFORM
from patchctl.rollout.diagnose import diagnose

CODES = [
    (0, 0, ""), (1, 1, "zypper-failed"), (2, 2, "zypper-failed"), (3, 3, "zypper-failed"), (4, 4, "zypper-failed"),
    (5, 5, "zypper-failed"), (6, 6, "zypper-failed"), (7, 7, "zypper-failed"), (8, 8, "zypper-failed"), (100, 0, ""),
    (101, 0, ""), (102, 0, ""), (103, 0, ""), (104, 104, "zypper-failed"), (105, 105, "zypper-failed"),
    (106, 106, "zypper-failed"), (107, 107, "zypper-failed"), (139, 139, "zypper-failed"),
]
"""(how zypper ends, how the install ends, what it is diagnosed as where zypper said nothing)."""


def install(tmp_path: Path, ends: int, said: str = "") -> tuple[int, str]:
    for name, text in (
        ("zypper", f"case \"$*\" in *--dry-run*) exit 0 ;; esac\nprintf '%s' \"$SAID\"\nexit {ends}\n"),
        ("rpm", "exit 0\n"),
    ):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "x-2-1.noarch.rpm").write_bytes(b"x")
    digest = hashlib.sha256(b"x").hexdigest()
    file = Artefact("x", "2-1", "noarch", digest, 1, "x-2-1.noarch.rpm", "")
    change = Change("x", "noarch", "1-1", "2-1", sha256=digest)
    text = PLATFORM.install_script(InstallRequest((change,), (file,), (), str(spool)))
    env = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "SAID": said}
    done = subprocess.run(["sh", "-c", text], env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


@pytest.mark.parametrize(("ends", "wanted", "name"), CODES)
def test_each_exit_code(tmp_path: Path, ends: int, wanted: int, name: str) -> None:
    rc, out = install(tmp_path, ends)
    assert rc == wanted, out
    assert f"patchctl: zypper-exit {ends}\n" in out
    if name:
        found = diagnose("poll", None, {"log": out, "rc": rc}, PLATFORM.signatures)
        assert (found.signature, found.cls) == (name, "package-manager")
        assert re.search(rf"\b{ends}\b", found.message), found
        assert found.transient == (ends in (7, 105, 139)), "what has ended it may be gone the next time"


def test_zypper_that_gives_up_or_passes_over_a_script_is_no_success(tmp_path: Path) -> None:
    question = "Choose from above solutions by number or cancel [1/2/c/d/?] (c): c\n"
    (tmp_path / "a").mkdir()
    assert install(tmp_path / "a", 0, question)[0] == 4
    (tmp_path / "b").mkdir()
    rc, out = install(tmp_path / "b", 0, "warning: %post(x-2-1.noarch) scriptlet failed, exit status 1\n")
    assert rc == 107
    found = diagnose("poll", None, {"log": out, "rc": rc}, PLATFORM.signatures)
    assert (found.signature, found.cls) == ("maintainer-script-failed", "patch")
