"""Each difference between Wazuh 4 and 5 that is pinned, and what INVALID, `not` and conditions make of it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from patchctl.assess.content.sca.baseline import combine
from patchctl.assess.content.sca.grammar import FOUND, INVALID, NOT_FOUND, ODD, UNSEEN, parse_test
from patchctl.model.assessment import FAIL, NOT_APPLICABLE, NOT_CHECKED, PASS, UNKNOWN
from tests.assess.sca.ask import answer_here, policy, say, verdict

COMMAND = ("c", "cmd")


def judged(dialect: int, rule: str, lines: list[str], *, word: str = "0", condition: str = "all") -> str:
    made = policy(dialect, rule, condition=condition)
    return verdict(made, say(made, {COMMAND: (word, lines), ("f", "/f"): ("read0", lines)}))


@pytest.mark.parametrize(
    ("rule", "lines", "four", "five"),
    [
        # 1: a lone negated expression
        ("f:/f -> !r:bad", ["good", "bad"], PASS, FAIL),
        ("f:/f -> !r:bad", ["bad", "bad"], FAIL, FAIL),
        ("c:cmd -> !r:bad", ["good", "bad"], PASS, FAIL),
        ("f:/f -> !r:bad && r:o", ["good", "bad"], PASS, PASS),
        # 2: operators of comparisons
        (r"f:/f -> n:(\d+) compare => 5", ["7"], FAIL, NOT_CHECKED),
        (r"f:/f -> n:(\d+) compare => 5", ["5"], PASS, NOT_CHECKED),
        (r"f:/f -> n:(\d+) compare >= 5", ["7"], PASS, PASS),
        (r"f:/f -> n:(\d+) compare >=5", ["7"], PASS, NOT_CHECKED),
        # 3: literals
        ("f:/f -> Linux", ["x", "linux"], PASS, FAIL),
        ("f:/f -> linux", ["x", "linux"], PASS, PASS),
        ("c:cmd -> linux", ["x", "linux"], PASS, FAIL),
        ("c:cmd -> linux", ["linux"], PASS, PASS),
        ("f:/f -> a && r:b", ["a && r:b"], FAIL, PASS),
        # 6: a command without a pattern
        ("c:cmd", ["anything"], PASS, PASS),
        ("not c:cmd", ["anything"], FAIL, FAIL),
        # 7: an exclamation mark before the type
        ("!f:/f -> r:good", ["good"], PASS, PASS),
        # v4 needs an engine of its own
        (r"f:/f -> r:a\.+z", ["a--z"], PASS, FAIL),
        ("f:/f -> r:[ab]", ["a"], FAIL, PASS),
        # the same in both
        ("f:/f -> r:a && r:b", ["a", "b"], FAIL, FAIL),
        ("f:/f -> r:a && r:b", ["ab"], PASS, PASS),
        ("f:/f -> r:UPPER", ["upper"], PASS, PASS),
        ("f:/f -> r:^$|x", [], FAIL, FAIL),
        ("f:/f -> !r:x", [], FAIL, FAIL),
        ("c:cmd -> !r:x", [], FAIL, FAIL),
        ("not f:/f -> r:good", ["good"], FAIL, FAIL),
        ("not f:/f -> r:good", ["bad"], PASS, PASS),
    ],
)  # fmt: skip
def test_what_the_dialects_make_of_a_rule(rule: str, lines: list[str], four: str, five: str) -> None:
    assert (judged(4, rule, lines), judged(5, rule, lines)) == (four, five)


def test_wazuh_4_passes_a_command_without_pattern_unexecuted() -> None:
    four, five = policy(4, "c:cmd"), policy(5, "c:cmd")
    assert not four.probes()
    assert verdict(four, say(four, {})) == PASS
    assert verdict(five, say(five, {COMMAND: ("none", [])})) == NOT_APPLICABLE


def test_lists_of_files_are_split_by_wazuh_4_only() -> None:
    assert parse_test("f:/a,/b -> r:x", 4, ()).targets == ("/a", "/b")
    assert parse_test("f:/a,/b -> r:x", 5, ()).targets == ("/a,/b",)
    made = policy(4, "f:/a,/b -> r:x")
    assert verdict(made, say(made, {("f", "/a"): ("absent", []), ("f", "/b"): ("read0", ["x"])})) == PASS
    assert verdict(made, say(made, {("f", "/a"): ("absent", []), ("f", "/b"): ("read0", ["y"])})) == NOT_APPLICABLE


def test_processes_are_patterns_in_wazuh_4_and_names_in_wazuh_5() -> None:
    running = {("p",): ("read0", ["systemd", "sshd"])}
    for rule, four, five in (("p:sshd", PASS, PASS), ("p:SSHD", PASS, FAIL), ("p:r:^ssh", PASS, FAIL)):
        for dialect, wanted in ((4, four), (5, five)):
            made = policy(dialect, rule)
            assert verdict(made, say(made, running)) == wanted, (dialect, rule)


def test_variables_reach_the_whole_file_in_wazuh_5_and_targets_in_wazuh_4() -> None:
    values = (("$a", "/x"), ("$ab", "/y"))
    assert parse_test("f:$ab/$a -> r:$a", 5, values).pattern == "r:/x"
    four = parse_test("f:$ab/$a -> r:$a", 4, values)
    assert (four.targets, four.pattern) == (("/y//x",), "r:$a")


@pytest.mark.parametrize("dialect", [4, 5])
def test_invalid_is_never_turned_around(dialect: int) -> None:
    for rule, negated in product(("f:/f -> r:x", "d:/f -> r:x", "c:cmd -> r:x"), ("", "not ")):
        made = policy(dialect, negated + rule)
        missing: dict[tuple[str, str], tuple[str, list[str]]] = {
            ("f", "/f"): ("absent", []), ("d", "/f"): ("absent", []), COMMAND: ("none", [])}
        assert verdict(made, say(made, missing)) == NOT_APPLICABLE, rule
    for rule, wanted in (("f:/f", FAIL), ("not f:/f", PASS), ("d:/f", FAIL), ("not d:/f", PASS)):
        made = policy(dialect, rule)
        assert verdict(made, say(made, {("e", "/f"): ("absent", []), ("d", "/f"): ("absent", [])})) == wanted, rule


@pytest.mark.parametrize("dialect", [4, 5])
def test_what_could_not_be_seen_is_unknown_with_its_reason(dialect: int) -> None:
    for rule, key in (("f:/f -> r:x", ("f", "/f")), ("not f:/f", ("e", "/f")), ("c:cmd -> r:x", COMMAND)):
        for word in ("refused", "cut", "strange"):
            made = policy(dialect, rule)
            (finding,) = made.evaluate(say(made, {key: (word, [])}))
            assert finding.verdict == UNKNOWN
            assert finding.reason, word
        (finding,) = made.evaluate(say(made, {}))
        assert finding.verdict == UNKNOWN
        assert "the host sent no answer to it" in finding.reason
        (finding,) = made.evaluate(say(policy(5, "f:/other"), {}))
        assert finding.verdict == UNKNOWN
        assert "not collected" in finding.reason
    late = policy(dialect, "c:cmd -> r:x")
    assert "30 seconds" in late.evaluate(say(late, {COMMAND: ("124", [])}))[0].reason


def test_conditions_by_every_mix_of_states() -> None:
    """A deciding state wins; else what could not be told wins over INVALID."""
    for states in product((FOUND, NOT_FOUND, INVALID, UNSEEN, ODD), repeat=3):
        doubts = ((UNSEEN, UNKNOWN), (ODD, NOT_CHECKED), (INVALID, NOT_APPLICABLE))
        doubt = next((verdict for state, verdict in doubts if state in states), "")
        assert combine("all", states) == (FAIL if NOT_FOUND in states else doubt or PASS)
        assert combine("any", states) == (PASS if FOUND in states else doubt or FAIL)
        assert combine("none", states) == (FAIL if FOUND in states else doubt or PASS)


def test_unmet_requirements_make_every_check_not_applicable() -> None:
    needs = "requirements:\n  title: R\n  description: D\n  condition: all\n  rules: ['f:/need -> r:yes']\n"
    made = policy(4, "f:/f", more=needs)
    there: dict[tuple[str, str], tuple[str, list[str]]] = {("e", "/f"): ("file", [])}
    assert verdict(made, say(made, {**there, ("f", "/need"): ("read0", ["yes"])})) == PASS
    assert verdict(made, say(made, {**there, ("f", "/need"): ("read0", ["no"])})) == NOT_APPLICABLE
    assert verdict(made, say(made, {**there, ("f", "/need"): ("absent", [])})) == NOT_APPLICABLE
    assert verdict(made, say(made, there)) == UNKNOWN


@pytest.mark.parametrize("dialect", [4, 5])
def test_directories(dialect: int, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.conf").write_text("yes\n")
    (tmp_path / "b.txt").write_text("no\n")
    (tmp_path / "link.conf").symlink_to(tmp_path / "b.txt")
    cases = [
        (f"d:{tmp_path}", PASS, PASS),
        (f"d:{tmp_path} -> r:^a", PASS, PASS),
        (f"d:{tmp_path} -> a.conf", PASS, PASS),
        (f"d:{tmp_path} -> conf", PASS, FAIL),          # part of a name in 4, the name in 5
        (f"d:{tmp_path} -> r:^link", PASS, FAIL),       # symbolic links
        (f"d:{tmp_path} -> r:conf -> r:^no", PASS, FAIL),
        (f"d:{tmp_path} -> r:conf -> r:^yes", PASS, PASS),
        (f"not d:{tmp_path} -> r:conf -> r:^yes", FAIL, FAIL),
        (f"d:{tmp_path} -> r:^zz -> r:^yes", FAIL, FAIL),
        (f"d:{tmp_path}/b.txt", NOT_APPLICABLE, FAIL),
        (f"d:{tmp_path}/none -> r:x", NOT_APPLICABLE, NOT_APPLICABLE),
    ]  # fmt: skip
    for rule, four, five in cases:
        made = policy(dialect, rule)
        assert verdict(made, answer_here(made)) == (four if dialect == 4 else five), rule


@pytest.mark.parametrize("dialect", [4, 5])
def test_a_line_on_which_an_expression_gives_up_is_unknown_not_unchecked(dialect: int) -> None:
    """A host that sends such a line must not get a failing rule out of the score."""
    rule = r"f:/f -> r:^(a|a?)+$"
    made = policy(dialect, rule, extra="    regex_type: pcre2\n")
    (finding,) = made.evaluate(say(made, {("f", "/f"): ("read0", ["a" * 40 + "b"])}))
    assert finding.verdict == UNKNOWN
    assert "limit" in finding.reason
