"""Where a SUSE host's earlier versions are: reading what was found, and the text that asks."""

from __future__ import annotations

import subprocess

from patchctl.model.plan import Change
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.zypper import PLATFORM
from patchctl.platforms.zypper.earlier import CACHED, LISTED

CHANGES = (Change("bash", "x86_64", "4.4-150400.25.22", "4.4-150400.27.1"), Change("dbus", "noarch", "1:1-1", "1:2-1"),
           Change("new", "noarch", "", "2-1"))
OUTPUT = f"""@@ repos
<repo alias="main" enabled="1">
<url>http://m.example/main/</url>
</repo>
@@ files
bash|4.4-150400.25.22|x86_64|{'a' * 64}|100|x86_64/bash-4.4-150400.25.22.x86_64.rpm|main
@@ cached
bash|4.4-150400.25.22|x86_64|{'b' * 64}|100|bash-4.4-150400.25.22.x86_64.rpm|
dbus|1:1-1|noarch|{'c' * 64}|100|dbus-1-1.noarch.rpm|
new|2-1|noarch|{'d' * 64}|100|new-2-1.noarch.rpm|
dbus|1:1-1|noarch|{'c' * 64}|100|../../etc/dbus-1-1.noarch.rpm|
"""


def test_a_repository_counts_before_the_cache() -> None:
    found = PLATFORM.read_earlier(CHANGES, OUTPUT)
    assert [(a.package, a.version, a.sha256[0], a.uri, a.origin) for a in found] == [
        ("bash", "4.4-150400.25.22", "a", "http://m.example/main/x86_64/bash-4.4-150400.25.22.x86_64.rpm", LISTED),
        ("dbus", "1:1-1", "c", "", CACHED),
    ]


def test_the_texts_are_sh_and_no_name_gets_out_of_its_quotes() -> None:
    strange = Change("x'; touch /x; '", "noarch", "1", "2")
    text = PLATFORM.earlier_probe((*CHANGES, strange)).command
    subprocess.run(["sh", "-n"], input=text, text=True, check=True, timeout=20)
    assert "touch /x; '|" not in text.replace("'\"'\"'", "")
    assert PLATFORM.earlier_probe(CHANGES[2:]).command == "true"
    gone = PLATFORM.install_script(InstallRequest((), (), ("lab-extra",), "/x"))
    subprocess.run(["sh", "-n"], input=gone, text=True, check=True, timeout=20)
    assert "set -- \"$@\" '!lab-extra'" in gone
