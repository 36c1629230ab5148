"""known_hosts is read as OpenSSH reads it: compared with ssh-keygen -F, and with what a real ssh client accepts."""

from __future__ import annotations

import base64
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchctl.connect.host_certificates import KeyBlob
from patchctl.connect.known_hosts import (
    CHANGED,
    INVALID,
    KNOWN,
    REVOKED,
    UNKNOWN,
    KnownHosts,
    fingerprint,
    load_known_hosts,
    parse_known_hosts,
)
from patchctl.model.errors import UsageError
from tests.connect.server import Sshd, keygen, public, start_sshd

NAMES = ["web1", "web2", "WEB1", "web1.ex.com", "10.0.0.1", "[web1]:2222", "[web1.ex.com]:2222", "[10.0.0.1]:22"]
# ssh asks in lower case; ssh-keygen -F takes [..]:22 literally, and ssh never looks such a name up
LOOKED_UP = [name for name in NAMES if name.islower() and name != "[10.0.0.1]:22"] + ["10.0.0.1"]
PATTERNS = [*NAMES, "*", "web*", "web?", "*.ex.com", "[web*]:2222", "[*]:*", "!web1", "!*.ex.com", "!WEB2"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("known")
    return [keygen(folder / f"k{n}", kind) for n, kind in enumerate(("ed25519", "ed25519", "ecdsa"))]


def blob(path: Path) -> KeyBlob:
    return parse_known_hosts(f"x {public(path)}")[0].blob


def split(name: str) -> tuple[str, int]:
    if name.startswith("["):
        host, _, port = name[1:].partition("]:")
        return host, int(port)
    return name, 22


lines = st.lists(st.tuples(
    st.sampled_from(["", "", "", "@cert-authority ", "@revoked ", "@unknown "]),
    st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3).map(",".join),
    st.integers(0, 2), st.sampled_from([" ", "\t", "  "]), st.sampled_from(["", " comment here"]),
), max_size=6)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=lines, hashed=st.booleans(), name=st.sampled_from(LOOKED_UP))
def test_finds_the_lines_that_ssh_keygen_finds(
    tmp_path: Path, keys: list[Path], lines: list[tuple[str, str, int, str, str]], hashed: bool, name: str
) -> None:
    path = tmp_path / "known"
    text = "# head\n\n" + "".join(
        f"{marker}{hosts}{gap}{public(keys[key])}{comment}\n" for marker, hosts, key, gap, comment in lines)
    path.write_text(text)
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], capture_output=True, check=False)
    found = load_known_hosts([path]).lookup(*split(name))
    oracle = subprocess.run(["ssh-keygen", "-F", name, "-f", path], capture_output=True, text=True, check=False).stdout
    # ssh-keygen matches certificate authorities and revoked lines by the same patterns, and prints each line it found
    expected = [line for line in oracle.splitlines() if not line.startswith("#")]
    wanted = {word for line in expected for word in line.split() if word.startswith("AAAA")}
    assert {base64.b64encode(key.blob.data).decode() for key in found} == wanted


def test_fingerprints_are_ssh_keygens(keys: list[Path]) -> None:
    for key in keys:
        shown = subprocess.run(["ssh-keygen", "-lf", f"{key}.pub"], capture_output=True, text=True, check=True).stdout
        assert fingerprint(blob(key)) == shown.split()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    running = start_sshd(tmp_path_factory.mktemp("sshd"), address="127.0.0.200")
    yield running
    running.stop()


def ssh_verdict(server: Sshd, known: Path) -> str:
    """What a real ssh client does: known (gets as far as the login), unknown, changed or revoked."""
    done = subprocess.run(
        ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o",
         f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=none", "-o", "IdentitiesOnly=yes",
         "-o", "IdentityFile=none", "-o", "KexAlgorithms=curve25519-sha256",
         "-p", str(server.port), f"nobody@{server.address}", "true"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    said = done.stderr
    if "Permission denied" in said:
        return KNOWN
    return REVOKED if "REVOKED" in said else CHANGED if "HAS CHANGED" in said else UNKNOWN


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(
    st.sampled_from(["", "", "@revoked ", "@cert-authority "]),
    st.sampled_from(["{a}", "[{a}]:{p}", "[{a}]:1", "*", "127.0.*", "[127.0.0.2??]:*", "*,!{a}", "*,![{a}]:{p}",
                     "*,!{a},![{a}]:{p}", "other"]),
    st.sampled_from(["right", "right", "wrong"]),
), max_size=4))
def test_accepts_and_refuses_what_a_real_ssh_client_does(
    tmp_path: Path, keys: list[Path], server: Sshd, lines: list[tuple[str, str, str]]
) -> None:
    path = tmp_path / "known"
    path.write_text("".join(
        f"{marker}{hosts.format(a=server.address, p=server.port)} "
        f"{public(server.host_key if which == 'right' else keys[0])}\n" for marker, hosts, which in lines))
    verdict = load_known_hosts([path]).check(server.address, server.port, blob(server.host_key), time.time())
    theirs = ssh_verdict(server, path)
    assert (verdict.status == KNOWN) == (theirs == KNOWN)
    if theirs in (CHANGED, REVOKED):  # where ssh says "unknown" our word may be a stronger one
        assert verdict.status == theirs


def test_prefers_the_algorithms_of_the_known_keys(keys: list[Path]) -> None:
    def algorithms(text: str) -> tuple[str, ...]:
        return KnownHosts(parse_known_hosts(text)).algorithms("web1", 22)

    assert algorithms("") == ()
    assert algorithms(f"web1 {public(keys[2])}\n") == ("ecdsa-sha2-nistp256",)
    assert algorithms(f"web1 {public(keys[2])}\nweb1 {public(keys[0])}\nweb2 {public(keys[1])}\n") == (
        "ssh-ed25519", "ecdsa-sha2-nistp256")
    assert algorithms(f"@cert-authority * {public(keys[0])}\n")[0] == "ssh-ed25519-cert-v01@openssh.com"


def test_a_revoked_line_without_a_key_is_an_error_and_other_broken_lines_are_left_out(keys: list[Path]) -> None:
    with pytest.raises(UsageError, match=r"file:2") as caught:
        parse_known_hosts("web1 ssh-ed25519 AAAA\n@revoked * ssh-ed25519 garbage\n", "file")
    assert caught.value.code == "known-hosts-revoked"
    broken = "web1\nweb1 ssh-rsa\nweb1 ssh-ed25519 ????\n@what web1 " + public(keys[0]) + "\nweb1 2048 37 12345\n"
    assert parse_known_hosts(broken) == []


def test_files_that_do_not_exist_are_empty_and_unreadable_ones_are_errors(tmp_path: Path) -> None:
    assert len(load_known_hosts([tmp_path / "none"])) == 0
    with pytest.raises(UsageError) as caught:
        load_known_hosts([tmp_path])
    assert caught.value.code == "known-hosts-unreadable"


def test_one_line_of_another_file_format_does_not_hide_the_rest(keys: list[Path]) -> None:
    text = f"@cert-authority *.ex.com {public(keys[0])}\n*.ex.com {public(keys[1])}\n"
    known = KnownHosts(parse_known_hosts(text))
    assert known.check("a.ex.com", 22, blob(keys[1]), 0.0).status == KNOWN
    assert known.check("a.ex.org", 22, blob(keys[1]), 0.0).status == UNKNOWN
    assert known.check("A.EX.COM", 22, blob(keys[2]), 0.0).status == CHANGED


def signed(folder: Path, authority: Path, *how: str) -> KeyBlob:
    """Return the certificate of a new host key that `authority` signed with these options of ssh-keygen."""
    key = keygen(folder / f"host{len(list(folder.iterdir()))}")
    subprocess.run(
        ["ssh-keygen", "-q", "-s", str(authority), "-I", "x", *how, f"{key}.pub"], check=True, stdin=subprocess.DEVNULL)
    kind, data = Path(f"{key}-cert.pub").read_text().split()[:2]
    return KeyBlob(kind, base64.b64decode(data))


@pytest.mark.parametrize(("how", "status"), [
    (["-h", "-n", "web1"], KNOWN), (["-h"], KNOWN), (["-h", "-n", "web2"], INVALID), (["-n", "web1"], INVALID),
    (["-h", "-n", "web1", "-V", "20200101:20210101"], INVALID),
    (["-h", "-n", "web1", "-V", "20980101:20990101"], INVALID),
])
def test_a_host_certificate_counts_for_its_names_and_its_time_only(
    tmp_path: Path, keys: list[Path], how: list[str], status: str
) -> None:
    known = KnownHosts(parse_known_hosts(f"@cert-authority web1 {public(keys[0])}\n"))
    assert known.check("web1", 22, signed(tmp_path, keys[0], *how), time.time()).status == status


def test_a_certificate_is_worth_what_its_authority_is(tmp_path: Path, keys: list[Path]) -> None:
    shown = signed(tmp_path, keys[0], "-h", "-n", "web1")
    authority, other = f"@cert-authority web1 {public(keys[0])}\n", f"@cert-authority web1 {public(keys[1])}\n"
    for lines, status in (
        (authority, KNOWN), (other, UNKNOWN), ("", UNKNOWN), (f"web1 {public(keys[2])}\n{other}", CHANGED),
        (f"{authority}@revoked * {public(keys[0])}\n", REVOKED),
        (f"{authority}@revoked * {public(tmp_path / 'host0')}\n", REVOKED),
    ):
        found = KnownHosts(parse_known_hosts(lines)).check("web1", 22, shown, time.time())
        assert found.status == status, lines
