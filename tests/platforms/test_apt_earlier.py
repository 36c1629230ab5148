"""Where a Debian host's earlier versions are: reading what apt 2.6 prints, and the text that asks."""

from __future__ import annotations

import subprocess

from patchctl.model.plan import Change
from patchctl.platforms.apt import PLATFORM
from patchctl.platforms.apt.earlier import CACHED, LISTED
from patchctl.platforms.contract import InstallRequest

CHANGES = (
    Change("openssl", "amd64", "1:3.0.11-1~deb12u2", "1:3.0.15-1~deb12u1"), Change("tzdata", "all", "2024a", "2025b"),
    Change("vim", "amd64", "2:9.0", "2:9.1"), Change("helper", "all", "", "2.0"),
)
OUTPUT = f"""@@ targets
present x|Debian|bookworm|12.8|y
@@ earlier
E: a line that is no file
'http://mirror.example/o.deb' openssl_1%3a3.0.11-1~deb12u2_amd64.deb 1430460 SHA256:{'a' * 64}
@@ cached
'cache' openssl_1%3a3.0.11-1~deb12u2_amd64.deb 1430460 SHA256:{'b' * 64}
'cache' tzdata_2024a_all.deb 300000 SHA256:{'c' * 64}
'cache' helper_2.0_all.deb 300000 SHA256:{'d' * 64}
"""


def test_a_repository_counts_before_the_cache_and_what_is_in_neither_is_not_there() -> None:
    found = PLATFORM.read_earlier(CHANGES, OUTPUT)
    assert [(a.package, a.version, a.sha256[0], a.uri, a.origin) for a in found] == [
        ("openssl", "1:3.0.11-1~deb12u2", "a", "http://mirror.example/o.deb", LISTED),
        ("tzdata", "2024a", "c", "", CACHED),
    ]


def test_a_file_of_another_architecture_is_no_earlier_version() -> None:
    foreign = Change("openssl", "i386", "1:3.0.11-1~deb12u2", "1:3.0.15-1~deb12u1")
    assert PLATFORM.read_earlier([foreign], OUTPUT) == ()
    since_for_all = Change("openssl", "all", "1:3.0.11-1~deb12u2", "1:3.0.15-1~deb12u1")
    assert [a.arch for a in PLATFORM.read_earlier([since_for_all], OUTPUT)] == ["amd64"]


def test_the_text_is_sh_and_no_name_gets_out_of_its_quotes() -> None:
    strange = Change("@WORDS@'; touch /x; '", "amd64", "1 @FILES@", "2")
    text = PLATFORM.earlier_probe((*CHANGES, strange)).command
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert "pc_word openssl :amd64 '1:3.0.11-1~deb12u2'" in text
    assert text.count("@FILES@") == text.count("1 @FILES@")
    assert PLATFORM.earlier_probe(CHANGES[3:]).command == "true"


def test_only_planned_removals_that_are_there_are_asked_of_apt() -> None:
    text = PLATFORM.install_script(InstallRequest((), (), ("helper",), "/x"))
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert '"$@"' in text
    assert "--no-remove" not in text
