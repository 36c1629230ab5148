"""OVAL's tables, datatypes, functions and patterns, and how questions are put to a host and read back."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.assess.content.xccdf.oval import prefixes, truth, yamlpath
from patchctl.assess.content.xccdf.oval.compare import compare
from patchctl.assess.content.xccdf.oval.facts import Ask, Unreadable
from patchctl.assess.content.xccdf.oval.functions import FUNCTIONS, glob_regex
from patchctl.assess.content.xccdf.oval.registry import all_sources, all_types
from patchctl.collect.parse import parse_output
from patchctl.collect.script import compile_script
from patchctl.model.errors import DocumentsError

T, F, U, E, N, A = "true", "false", "unknown", "error", "not evaluated", "not applicable"


@pytest.mark.parametrize(("results", "check", "expected"), [
    ([T, T], "all", T), ([T, F], "all", F), ([F, E], "all", F), ([T, E], "all", E), ([T, U], "all", U),
    ([T, N], "all", N), ([A, A], "all", A), ([T, A], "all", T), ([], "all", U),
    ([T, E], "at least one", T), ([F, F], "at least one", F), ([F, E], "at least one", E), ([F, U], "at least one", U),
    ([F, F], "none satisfy", T), ([F, T], "none satisfy", F), ([F, E], "none satisfy", E),
    ([T, F], "only one", T), ([T, T], "only one", F), ([F, F], "only one", F), ([T, E], "only one", E),
])
def test_check_tables(results: list[str], check: str, expected: str) -> None:
    assert truth.by_check(results, check) == expected


@pytest.mark.parametrize(("results", "operator", "expected"), [
    ([T, F], "AND", F), ([T, U], "AND", U), ([F, E], "AND", F), ([T, F], "OR", T), ([F, U], "OR", U), ([F, F], "OR", F),
    ([T, T], "XOR", F), ([T, F], "XOR", T), ([T, U], "XOR", U), ([T, F], "ONE", T), ([T, T], "ONE", F),
])
def test_operator_tables(results: list[str], operator: str, expected: str) -> None:
    assert truth.by_operator(results, operator) == expected


@given(st.lists(st.sampled_from([T, F, U, E, N, A]), min_size=1, max_size=6))
def test_unknown_never_makes_true_of_what_a_false_would_deny(results: list[str]) -> None:
    if truth.by_operator(results, "AND") == T:
        assert not {F, U, E, N} & set(results)
    if truth.by_operator(results, "OR") == F:
        assert not {T, U, E, N} & set(results)


@pytest.mark.parametrize(("existence", "exists", "errors", "expected"), [
    ("all_exist", 1, 0, T), ("all_exist", 0, 0, F), ("all_exist", 2, 1, E), ("any_exist", 0, 0, T),
    ("any_exist", 0, 1, E), ("at_least_one_exists", 1, 1, T), ("at_least_one_exists", 0, 0, F),
    ("none_exist", 0, 0, T), ("none_exist", 1, 0, F), ("none_exist", 0, 1, E), ("only_one_exists", 1, 0, T),
    ("only_one_exists", 2, 1, F), ("only_one_exists", 0, 0, F), ("only_one_exists", 1, 1, E),
])
def test_existence_tables(existence: str, exists: int, errors: int, expected: str) -> None:
    assert truth.by_existence(existence, exists, errors) == expected


@pytest.mark.parametrize(("datatype", "operation", "found", "wanted", "expected"), [
    ("string", "equals", "a", "a", T), ("string", "case insensitive equals", "Yes", "yEs", T),
    ("string", "pattern match", "abc", "^a[[:alpha:]]c$", T), ("string", "pattern match", "x", "(", E),
    ("string", "pattern match", "on\n", r"on\z", F), ("string", "greater than", "b", "a", E),
    ("int", "equals", "007", "7", T), ("int", "less than or equal", "90", "90", T), ("int", "equals", "", "7", E),
    ("int", "equals", "7 ", "7", E), ("int", "bitwise and", "7", "5", T), ("int", "bitwise and", "2", "5", F),
    ("boolean", "equals", "1", "true", T), ("boolean", "equals", "0", "false", T),
    ("boolean", "less than", "0", "1", E),
    ("float", "equals", "1.50", "1.5", T), ("version", "greater than", "1.10", "1.9.9", T),
    ("version", "equals", "1.0", "1", T), ("evr_string", "less than", "0:1.0-1", "0:1.0-2", T),
    ("evr_string", "greater than", "1:1-1", "0:9-9", T), ("evr_string", "greater than", "1.0-1", "1.0", T),
    ("debian_evr_string", "less than", "1.0~rc1", "1.0", T), ("ipv4_address", "subset of", "10.1.2.3", "10.0.0.0/8", T),
    ("ipv6_address", "equals", "::1", "0:0:0:0:0:0:0:1", T), ("ipv4_address", "equals", "nonsense", "10.0.0.1", E),
    ("binary", "equals", "AF", "af", T), ("ios_version", "equals", "1", "1", E),
])
def test_datatypes(datatype: str, operation: str, found: str, wanted: str, expected: str) -> None:
    assert compare(datatype, operation, found, wanted) == expected


@pytest.mark.parametrize(("name", "parts", "attributes", "expected"), [
    ("concat", [["a", "b"], ["-"], ["1", "2"]], {}, ["a-1", "b-1", "a-2", "b-2"]),
    ("concat", [["a"], []], {}, ["a"]), ("count", [["a", "b"], ["a"]], {}, ["3"]),
    ("unique", [["a", "b"], ["a"]], {}, ["a", "b"]), ("split", [["a,b"]], {"delimiter": ","}, ["a", "b"]),
    ("substring", [["0640"]], {"substring_start": "2", "substring_length": "1"}, ["6"]),
    ("regex_capture", [["umask 027", "none"]], {"pattern": r"umask\s+(\d+)"}, ["027", ""]),
    ("escape_regex", [["/a.b+c"]], {}, [r"/a\.b\+c"]), ("begin", [["a", "^b"]], {"character": "^"}, ["^a", "^b"]),
    ("end", [["a"]], {"character": "$"}, ["a$"]),
    ("arithmetic", [["6"], ["7"]], {"arithmetic_operation": "multiply"}, ["42"]),
    ("arithmetic", [["6"], ["7", "8"]], {"arithmetic_operation": "add"}, ["13", "14"]),
    ("glob_to_regex", [["/etc/*.conf"]], {}, [r"^/etc/(?=[^.])[^/]*\.conf$"]),
    ("time_difference", [["100"]], {"format_2": "seconds_since_epoch"}, ["900"]),
    ("time_difference", [["20260102"], ["20260101"]], {}, ["86400"]),
])
def test_functions(name: str, parts: list[list[str]], attributes: Mapping[str, str], expected: list[str]) -> None:
    assert FUNCTIONS[name](parts, attributes, 1000.0) == expected


def test_glob_with_a_class_and_an_open_bracket() -> None:
    assert glob_regex("/a/[!b]?x") == "^/a/[^b][^/]x$"
    with pytest.raises(ValueError, match="no ']'"):
        glob_regex("/a/[b")


@pytest.mark.parametrize(("pattern", "expected"), [
    (r"^/etc/issue\.net$", [("/etc/issue.net", True)]),
    (r"^/etc/rsyslog\.(conf|d/.+\.conf)$", [("/etc/rsyslog.", False)]),
    (r"^\/(|s)bin|^\/usr\/libexec", [("/bin", False), ("/sbin", False), ("/usr/libexec", False)]),
    (r"^/s?bin$", [("/bin", True), ("/sbin", True)]), (r"^.*$", [("/", False)]), (r"a|^/b", [("/", False)]),
    (r"^/etc/cron\.(daily|hourly)$", [("/etc/cron.daily", True), ("/etc/cron.hourly", True)]),
    (r"/etc/a|/etc/b.*", [("/etc/a", False), ("/etc/b", False)]),
])
def test_places_of_patterns(pattern: str, expected: list[tuple[str, bool]]) -> None:
    assert [(p.prefix, p.closed) for p in prefixes.places(pattern)] == expected


def test_that_every_match_lies_in_a_place_of_its_pattern() -> None:
    pieces = ["/etc", "/a", "b?", "(c|d)", "[xy]", ".*", r"\.d", "(|s)bin", "e+"]
    samples = ["/etc", "/etc/a", "/etcb", "/etc/ac", "/etc/ad.d", "/etcbin", "/etcsbin", "/etce", "/etc/aee", "/etcx"]
    from patchctl.assess.content.xccdf.oval.patterns import found
    for parts in itertools.product(pieces, repeat=2):
        pattern = "^/etc" + "".join(parts)
        for sample in samples:
            if found(pattern, sample):
                assert any(sample.startswith(p.prefix) for p in prefixes.places(pattern)), (pattern, sample)
                assert sample.endswith(prefixes.suffix(pattern))


@pytest.mark.parametrize(("path", "expected"), [
    (".a.b", [[("#", "true")]]), (".list[:]", [[("#", "x"), ("#", "2")]]), (".list[1]", [[("#", "2")]]),
    (".maps[:].name", [[("#", "m"), ("#", "n")]]), ('.a["b"]', [[("#", "true")]]), (".none", []),
    (".maps[:]['name','Kind']", [[("name", "m"), ("^kind", "K")], [("name", "n")]]),
])
def test_yaml_paths(path: str, expected: list[list[tuple[str, str]]]) -> None:
    text = "a: {b: true}\nlist: [x, 2]\nmaps:\n- {name: m, Kind: K}\n- {name: n}\n"
    assert [list(r) for r in yamlpath.records(text, yamlpath.parse(path))] == expected


def test_that_yaml_bombs_are_nodes_only() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{n}: &{n} [{','.join(['*' + p] * 9)}]\n" for p, n in itertools.pairwise("abcdefghi"))
    assert yamlpath.records(bomb, yamlpath.parse(".a[0]")) == ((("#", "x"),),)


# --- questions put to this machine as to a host


def answers(asks: list[Ask], *, user: str = "") -> dict[Ask, Any]:
    """Ask this machine through the project's own script and reader; as `user` with setpriv if given."""
    found: dict[Ask, Any] = {}
    for name in sorted({a[0] for a in asks}):
        source = all_sources()[name]
        probes = source.probes([a for a in asks if a[0] == name])
        nonce = "0123456789abcdef"
        words = ["sh"] if not user else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "sh"]
        done = subprocess.run(words, input=compile_script(probes, nonce).encode(), capture_output=True, check=False,
                              timeout=60, env={"PATH": os.environ["PATH"]})
        snapshot = parse_output(
            done.stdout, probes, nonce, host="h", taken_at=0.0, as_root=not user, seconds=0, lost="")
        for probe in probes:
            output = snapshot.output(probe.id)
            assert output is not None or user, snapshot.reason(probe.id)
            if output is not None:
                source.read(output, found)
    return found


def test_contents_come_back_as_they_are(tmp_path: Path) -> None:
    texts = {"plain": "a\nb\n", "bare": "a\nb", "empty": "", "blank": "\n\n", "marks": "+x\n$1\n-y\n?z\n.\n",
             "tab": "\t\n", "name with 'quotes' $x *": "q\n", ".hidden": "h\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("/nonexistent/x")
    (tmp_path / "link").symlink_to("plain")
    asks: list[Ask] = [("content", "file", f"{tmp_path}/{n}") for n in [*texts, "folder", "dangling", "link", "gone"]]
    asks += [("content", "dir", str(tmp_path), ""), ("content", "dir", str(tmp_path), "are"),
             ("content", "list", f"{tmp_path}/", "n"), ("content", "dir", f"{tmp_path}/gone", "")]
    found = answers(asks)
    for name, text in texts.items():
        assert found["content", "file", f"{tmp_path}/{name}"] == text
    assert found["content", "file", f"{tmp_path}/link"] == "a\nb\n"
    assert [found["content", "file", f"{tmp_path}/{n}"] for n in ("folder", "dangling", "gone")] == [None] * 3
    assert found["content", "dir", str(tmp_path), ""].keys() == {f"{tmp_path}/{n}" for n in [*texts, "link"]}
    assert found["content", "dir", str(tmp_path), "are"] == {f"{tmp_path}/bare": "a\nb"}
    assert found["content", "list", f"{tmp_path}/", "n"].keys() == {f"{tmp_path}/plain", f"{tmp_path}/.hidden"}
    assert found["content", "dir", f"{tmp_path}/gone", ""] == {}


def test_a_file_name_with_a_newline_cannot_speak_for_others(tmp_path: Path) -> None:
    (tmp_path / "x\n+etc").write_text("lie\n")
    (tmp_path / "x\n=a\t0\tff\t777\t0\t0\t0\t0\t0\tb").write_text("lie\n")
    (tmp_path / "good").write_text("g\n")
    base = str(tmp_path)
    found = answers([("content", "dir", base, ""), ("content", "list", f"{base}/", ""), ("metadata", "dir", base),
                     ("metadata", "list", f"{base}/"), ("walk", base, "f", "-1", "local", "*", "")])
    for ask in found:
        if ask[1] in ("dir", "list"):
            assert isinstance(found[ask], Unreadable), ask
    assert ("content", "file", "etc") not in found
    entries, complete = found["walk", base, "f", "-1", "local", "*", ""]
    assert [s.path for s in entries] == [f"{base}/good"]
    assert not complete


def test_hashes_are_reduced_on_the_host(tmp_path: Path) -> None:
    hashed = "$6$rounds=5000$saltSALT$0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567"
    (tmp_path / "shadow").write_text(
        f"root:{hashed}:19000:0:99999:7:::\nold:abJnggxhB/yWI:1::::::\nno:!:1::::::\nx:*:1::::::\n")
    (tmp_path / "other").write_text(f"password {hashed}\nPATH=$PATH:$HOME/bin\ncost $1 $2\n")
    (tmp_path / "grub").write_text("password_pbkdf2 root grub.pbkdf2.sha512.10000.ABCDEF0123.FEDCBA9876\n")
    found = answers([("content", "file", f"{tmp_path}/{n}") for n in ("shadow", "other", "grub")])
    shadow, other, grub = (found["content", "file", f"{tmp_path}/{n}"] for n in ("shadow", "other", "grub"))
    lines = shadow.splitlines()
    assert lines[0].startswith("root:$6$xxxxxx=xxxx$xxxxxxxx$xxxx")
    assert len(lines[0]) == len(f"root:{hashed}:19000:0:99999:7:::")
    assert lines[1].split(":")[1] == "x" * 13
    assert [line.split(":")[1] for line in lines[2:]] == ["!", "*"]
    assert "saltSALT" not in other
    assert other.endswith("PATH=$PATH:$HOME/bin\ncost $1 $2\n")
    assert grub == "password_pbkdf2 root grub.pbkdf2.sha512.10000.0000000000.0000000000\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: becomes another user")
def test_what_another_user_may_not_read_is_not_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent != Path("/tmp") and parent.is_relative_to("/tmp"):
            parent.chmod(0o755)
    (tmp_path / "secret").write_text("s\n")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed/inside").write_text("i\n")
    (tmp_path / "closed").chmod(0o700)
    base = str(tmp_path)
    asks: list[Ask] = [
        ("content", "file", f"{base}/secret"), ("content", "file", f"{base}/closed/inside"),
        ("content", "dir", f"{base}/closed", ""), ("content", "list", f"{base}/", ""),
        ("metadata", "stat", f"{base}/closed/inside"), ("metadata", "stat", f"{base}/gone"),
        ("metadata", "dir", f"{base}/closed"), ("metadata", "list", f"{base}/"),
        ("metadata", "real", f"{base}/closed/x"),
        ("walk", base, "f", "-1", "local", "*", ""), ("shadow", "all"),
    ]
    found = answers(asks, user="65534")
    assert found.get(("metadata", "stat", f"{base}/gone"), "missing") is None
    for ask in asks[:5] + asks[6:9]:
        assert isinstance(found[ask], Unreadable), ask
    assert found[asks[9]][1] is False
    assert ("shadow", "all") not in found


def test_walks_return_matches_only(tmp_path: Path) -> None:
    for name, mode in (("a", 0o644), ("b", 0o666), ("sub/c", 0o666), ("sub/deep/d", 0o666)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(mode)
    base = str(tmp_path)
    wide: Ask = ("walk", base, "f", "-1", "local", "*", "\\( -perm -0002 \\)")
    flat: Ask = ("walk", base, "f", "0", "local", "*", "\\( -perm -0002 \\)")
    folders: Ask = ("walk", base, "d", "1", "all", "*", "")
    found = answers([wide, flat, folders])
    assert {s.path for s in found[wide][0]} == {f"{base}/b", f"{base}/sub/c", f"{base}/sub/deep/d"}
    assert {s.path for s in found[folders][0]} == {base, f"{base}/sub"}


def test_that_each_type_and_source_says_its_name() -> None:
    assert {"textfilecontent54", "file", "rpminfo", "yamlfilecontent", "process58"} <= set(all_types())
    assert len(all_types()) == 23
    assert all(name == one.name for name, one in all_types().items())
    assert all(name == one.name for name, one in all_sources().items())


@pytest.mark.parametrize(("data", "code"), [
    (b"<a", "xml-syntax"), (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "xml-doctype"), (b"<a/>", "scap-unknown-root"),
    (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "xml-doctype"),
])
def test_bad_content_is_refused_with_its_place(data: bytes, code: str) -> None:
    from patchctl.assess.content.xccdf import KIND
    with pytest.raises(DocumentsError) as caught:
        KIND.profiles(data, "file.xml")
    assert caught.value.problems[0].code == code
    assert caught.value.problems[0].file == "file.xml"
