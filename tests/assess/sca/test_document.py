"""Policy files: what is read of them, and that every error names its place."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.assess.content.registry import all_kinds, kind_of
from patchctl.assess.content.sca import KIND
from patchctl.assess.content.sca.document import read_policy
from patchctl.assess.contract import Request
from patchctl.model.errors import DocumentsError, UsageError
from tests.assess.sca.ask import POLICIES, load, policy

GOOD = "policy:\n  id: p\n  name: P\nchecks:\n  - id: 1\n    title: T\n    condition: all\n    rules: ['f:/x']\n"


def test_the_kind_is_found_and_recognises_its_files() -> None:
    assert KIND in all_kinds()
    for path in POLICIES.iterdir():
        assert kind_of(str(path), path.read_bytes()) is KIND
    assert not KIND.recognises("x.yml", b"baseline: x\ntitle: policy: none\n")
    assert not KIND.recognises("x.xml", b"policy:\n")


def test_what_a_policy_tells() -> None:
    made = load((POLICIES / "lab-v4.yml").read_text())
    assert (made.kind, made.dialect, made.shell, made.title) == ("sca", 4, "sh", "Lab policy, Wazuh 4")
    first = made.rules[0]
    assert (first.id, first.title) == ("1001", "sshd_config is there")
    assert first.references == (("cis", "5.1.1"), ("pci_dss", "2.2.4"), ("pci_dss", "2.2.5"))
    assert [r.id for r in made.rules if r.limits] == ["1012"]
    assert "compares" in made.rules[-1].limits[0]
    five = load((POLICIES / "lab-v5.yml").read_text())
    assert five.dialect == 5
    assert five.rules[0].references == (("pci_dss", "2.2.4"), ("mitre.technique.id", "T1036"))
    windows = load((POLICIES / "windows-v4.yml").read_text())
    assert windows.shell == "powershell"
    assert all(p.command.count("Read-Key") or p.command.count("Invoke-Sca") for p in windows.probes())


def test_the_digest_changes_with_content_and_variables_only() -> None:
    text = (POLICIES / "lab-v4.yml").read_text()
    assert load(text).digest == load(text).digest
    assert load(text).digest != load(text + "# more\n").digest
    changed = load(text, sshd_file="/etc/ssh/other")
    assert changed.digest != load(text).digest
    assert ("e", "/etc/ssh/other") in changed.batches[1].keys
    assert pickle.loads(pickle.dumps(changed)) == changed


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("", "not-a-policy", 1, 1),
        ("- a\n", "not-a-policy", 1, 1),
        ("policy: x\nchecks: []\n", "not-a-policy", 1, 1),
        ("policy:\n  id: p\n", "not-a-policy", 1, 1),
        ("policy:\n  id: p\nchecks:\n  a: b\n", "not-a-policy", 4, 3),
        ("policy:\n  id: p\nchecks: []\n", "no-rules", 3, 9),
        (GOOD.replace("  id: p\n", ""), "missing-key", 2, 3),
        (GOOD.replace("all", "some"), "invalid-check", 7, 16),
        (GOOD.replace("    condition: all\n", ""), "invalid-check", 5, 5),
        (GOOD.replace("['f:/x']", "[]"), "no-rules", 7 + 1, 12),
        (GOOD.replace("['f:/x']", "[{f: /x}]"), "invalid-check", 8, 13),
        (GOOD.replace("title: T", "title: [T]"), "unexpected-type", 6, 12),
        (GOOD.replace("- id: 1\n", "- nid: 1\n"), "missing-key", 5, 5),
        (GOOD + "  - id: 2\n    name: N\n    condition: all\n    rules: ['f:/y']\n", "mixed-dialects", 9, 5),
        (GOOD + "variables:\n  x: y\n", "invalid-name", 10, 6),
        (GOOD + "variables: [a]\n", "unexpected-type", 9, 12),
        (GOOD.replace("T\n", "'T\n"), "yaml-syntax", 8, 14),
        ("policy:\n\t- x\n", "yaml-syntax", 2, 1),
        ("policy: *nothing\n", "unknown-alias", 1, 9),
        ("policy: " + "[" * 50, "too-large", 1, 28),
        ("policy:\n  ? [a]\n  : b\n", "unexpected-type", 2, 5),
    ],
)  # fmt: skip
def test_errors_name_their_place(text: str, code: str, line: int, column: int) -> None:
    with pytest.raises(DocumentsError) as error:
        read_policy(text.encode(), "p.yml")
    found = error.value.problems[-1] if code in ("missing-key",) else error.value.problems[0]
    assert (found.file, found.code, found.line, found.column) == ("p.yml", code, line, column)


def test_bytes_that_are_no_text_are_named() -> None:
    with pytest.raises(DocumentsError) as error:
        read_policy(b"policy:\n  id: \xff\n", "p.yml")
    (found,) = error.value.problems
    assert (found.code, found.line, found.column) == ("not-utf8", 2, 7)


def test_odd_constructs_are_read_and_told() -> None:
    again = "  - id: 1\n    title: V\n    condition: any required\n    rules: ['f:/x', 'z:/y']\n"
    twice = GOOD.replace("    title: T\n", "    title: T\n    title: U\n") + again
    first, second = load(twice).rules
    assert (first.title, second.title, second.id) == ("T", "V", "1-2")
    assert any("title is set twice" in text for text in first.limits)
    assert any("id 1 is used more than once" in text for text in second.limits)
    assert any("z:/y" in text for text in second.limits)
    assert load("a: &x [1]\nb: *x\n" + GOOD).rules


def test_unknown_variables_profiles_and_tailoring_are_refused() -> None:
    with pytest.raises(DocumentsError) as error:
        load(GOOD, nothing="x")
    assert error.value.problems[0].code == "unknown-parameter"
    for request in (Request("p", profile="cis"), Request("p", tailoring=b"<x/>")):
        with pytest.raises(UsageError):
            KIND.compile(GOOD.encode(), "p.yml", request)
    assert [p.rules for p in KIND.profiles(GOOD.encode(), "p.yml")] == [1]


def test_explain_tells_what_is_read() -> None:
    made = policy(5, "f:/f -> r:x", r"f:/f -> n:(\d) compare =< 1")
    text = "\n".join(made.explain("1"))
    assert "f:/f -> r:x" in text
    assert "not interpreted" in text
    with pytest.raises(KeyError):
        made.explain("2")


@given(st.text(alphabet="policyhecksrunda:-[]{}&*!|>'\"\n #?,", max_size=120))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        read_policy(text.encode(), "p.yml")
    except DocumentsError as error:
        assert error.problems
