"""The loader: every oddity of YAML is a Problem with its place, nothing is reinterpreted, no input takes it down."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.documents import loader
from patchctl.documents.loader import Document, Plain, Section, Vaulted, load_document, parse_document
from patchctl.documents.source import Findings, Source, mask_secrets
from patchctl.model.errors import Problem


def parse(text: str) -> tuple[Document | None, list[Problem]]:
    findings = Findings()
    return parse_document(Source("f.yaml", text), findings), findings.problems


def only_problem(text: str) -> Problem:
    document, problems = parse(text)
    assert document is None
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize("word", [
    "22:22", "1.10", "007", "010", "no", "NO", "on", "yes", "2026-11-01", "1e3", "0x1F", "1_000", ".inf", "=", "true",
])
def test_plain_scalars_stay_what_was_written(word: str) -> None:
    document, _ = parse(f"a: {word}\n")
    assert document is not None
    assert document.tree == {"a": word}
    assert type(document.tree["a"]) is Plain


def test_quoted_scalars_are_text_and_vaulted_ones_are_kept_apart() -> None:
    vaulted = "d: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  00\n"
    document, _ = parse(f"a: 'no'\nb: \"1.10\"\nc: |\n  x\n{vaulted}e: !!str 5\nf:\n")
    assert document is not None
    tree = document.tree
    assert [type(tree[k]) for k in "abcdef"] == [str, str, str, Vaulted, str, type(None)]


@pytest.mark.parametrize(("text", "code", "line", "column"), [
    ("a: 1\nb: 2\na: 3\n", "duplicate-key", 3, 1),
    ("x: {a: 1, a: 2}\n", "duplicate-key", 1, 11),
    ("a: [1\nb: 2\n", "yaml-syntax", 2, 2),
    ("a: b: c\n", "yaml-syntax", 1, 5),
    ("\tx: 1\n", "yaml-syntax", 1, 1),
    ("a: 1\n---\nb: 2\n", "several-documents", 2, 1),
    ("a: !python/object:os.system ls\n", "unknown-tag", 1, 4),
    ("a: !!int 3\n", "unknown-tag", 1, 4),
    ("a: *nowhere\n", "unknown-alias", 1, 4),
    ("a: &x [*x]\n", "recursive-alias", 1, 8),
    ("{a: 1}: 2\n", "unexpected-type", 1, 1),
    ("a: 1\n<<: 5\n", "unexpected-type", 2, 5),
    ("a: x\x00y\n", "yaml-syntax", 1, 5),
])
def test_oddities_are_problems_with_their_place(text: str, code: str, line: int, column: int) -> None:
    problem = only_problem(text)
    assert (problem.code, problem.line, problem.column) == (code, line, column)


def test_all_duplicates_of_a_file_are_told_at_once() -> None:
    _, problems = parse("a: 1\na: 2\nb: {c: 1, c: 2}\n")
    assert [p.line for p in problems] == [2, 3]


def test_merge_keys_fill_in_and_never_override() -> None:
    document, problems = parse("b: &b {x: 1, y: 2}\nc:\n  <<: *b\n  x: 3\nd:\n  <<: [{y: 7}, *b]\n")
    assert not problems
    assert document is not None
    assert document.tree["c"] == {"x": "3", "y": "2"}
    assert document.tree["d"] == {"y": "7", "x": "1"}


BOMBS = {
    "brackets": "[" * 100_000,
    "braces": "{a: " * 100_000,
    "dashes": "- " * 100_000,
    "question marks": "? " * 100_000,
    "indents": "".join(f"{' ' * i}a:\n" for i in range(3000)),
    "laughs": "a: &a [" + "x," * 9 + "x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(15)),
    "merge laughs": "a0: &a0 {k: v}\n" + "".join(
        f"a{i + 1}: &a{i + 1} {{<<: [{','.join([f'*a{i}'] * 20)}], k{i}: [{','.join([f'*a{i}'] * 20)}]}}\n"
        for i in range(12)),
    "anchors on keys": "? &a [" + "x," * 50 + "]\n: " + "[" + ",".join(["*a"] * 200_000) + "]",
    "one long line": "a: " + "x" * 5_000_000,
    "flow keys": "{" + ",".join(f"k{i}: " for i in range(200_000)) + "}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_in_a_problem_or_a_tree_within_bounds(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    document, problems = parse(BOMBS[name])
    assert (document is None) == bool(problems)
    assert name in ("one long line", "flow keys") or problems
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300 * 1024, f"{grown} KiB"


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "MAX_BYTES", 1000)
    path = tmp_path / "big.yaml"
    path.write_text("a: " + "x" * 1000)
    findings = Findings()
    assert load_document(path, "big.yaml", findings) is None
    assert [p.code for p in findings.problems] == ["too-large"]


def test_bytes_that_are_no_text_are_found_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: 1\nb: \xff\xfe\n")
    findings = Findings()
    assert load_document(path, "x.yaml", findings) is None
    assert [(p.code, p.line, p.column) for p in findings.problems] == [("not-utf8", 2, 4)]
    assert load_document(tmp_path / "none.yaml", "none.yaml", findings) is None
    assert findings.problems[-1].code == "unreadable-file"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300) | st.text(alphabet="ab:-[]{}&*!|>'\"#%@ \n\t,?<~0", max_size=80))
def test_any_text_gives_a_tree_or_a_problem_and_never_an_exception(text: str) -> None:
    document, problems = parse(text)
    assert (document is None) == bool(problems)
    for problem in problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert "\x1b" not in problem.source


DATA = st.recursive(
    st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=8), DATA, max_size=5))
def test_what_pyyaml_writes_is_read_back_equal_with_true_places(data: dict[str, Any]) -> None:
    text = yaml.safe_dump(data, default_style='"', allow_unicode=True, width=10_000)
    document, problems = parse(text)
    assert not problems
    assert document is not None
    if data:
        assert document.tree == data
        _check_places(document, document.tree, ())


def _check_places(document: Document, node: Any, path: tuple[Any, ...]) -> None:
    for step in node if isinstance(node, Section) else range(len(node)):
        line, column = document.place((*path, step))
        value = node[step]
        found = document.source.text.split("\n")[line - 1][column - 1]
        assert found in ('"' if isinstance(value, str) else '[{-"&?' if value else "[{"), (line, column, found)
        if isinstance(value, (dict, list)):
            _check_places(document, value, (*path, step))


@pytest.mark.parametrize("line", [
    "password: hunter2", "  become: {password: hunter2, user: x}", "ansible_become_pass = hunter2",
    "api_token: 'hunter2'",
    '- {name: a, passphrase: "hunter2"}', "host1 ansible_password=hunter2 x=1", "SECRET: hunter2, with comma",
])
def test_excerpts_never_show_a_secret(line: str) -> None:
    masked = mask_secrets(line)
    assert "hunter2" not in masked
    assert len(masked) == len(line)


@pytest.mark.parametrize("line", ["password: env:PATCH_SUDO", "become: {password: \"file:/run/x\"}", "keys: [a, b]"])
def test_excerpts_show_references(line: str) -> None:
    assert mask_secrets(line) == line


def test_places_in_long_lines_stay_true() -> None:
    text = "a: {" + ", ".join(f"k{n}: 1" for n in range(100)) + ", k1: 2, k99: 3}\n"
    _, problems = parse(text)
    assert [p.column for p in problems] == [text.index("k1: 2") + 1, text.index("k99: 3") + 1]
    assert all(p.source == "" for p in problems)
