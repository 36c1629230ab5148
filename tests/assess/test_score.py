"""The four XCCDF scoring models: what counts, what earns, and that unknown is never good news."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.assess.score import BAD, EARNED, IGNORED, MODELS, combine, compute_score
from patchctl.model.assessment import VERDICTS, Rule, Score

ids = [f"r{n}" for n in range(6)]
rules = st.lists(
    st.builds(
        Rule, id=st.sampled_from(ids), title=st.just(""), weight=st.sampled_from([0.0, 0.5, 1.0, 3.0, 10.0]),
        groups=st.sampled_from([(), ("a",), ("a", "b"), ("c",)]), group_weights=st.sampled_from([(), (2.0, 3.0)]),
    ),
    unique_by=lambda rule: rule.id,
)  # fmt: skip
verdicts = st.fixed_dictionaries({i: st.sampled_from(VERDICTS) for i in ids})


def test_every_verdict_either_counts_or_does_not():
    assert set(VERDICTS) == IGNORED | EARNED | BAD
    assert not IGNORED & EARNED and not IGNORED & BAD and not EARNED & BAD


@settings(deadline=None)
@given(rules, verdicts, st.sampled_from(MODELS))
def test_a_score_lies_between_0_and_100_and_nothing_counted_is_none(rules, verdicts, model):
    score = compute_score(rules, verdicts, model)
    counted = [r for r in rules if verdicts[r.id] not in IGNORED]
    assert score is None or -1e-9 <= score <= 100 + 1e-9
    if not sum(r.weight for r in counted):
        assert score is None, "nothing that weighs anything was judged"
    elif all(verdicts[r.id] in EARNED for r in counted):
        assert score == pytest.approx(100.0)
    elif all(verdicts[r.id] in BAD for r in counted):
        assert score == 0.0
    else:
        assert score is not None


@settings(deadline=None)
@given(rules, verdicts, st.sampled_from(MODELS), st.sampled_from(sorted(BAD)), st.sampled_from(ids))
def test_what_is_not_known_never_scores_better_than_a_pass(rules, verdicts, model, bad, rule):
    good = compute_score(rules, {**verdicts, rule: "PASS"}, model)
    worse = compute_score(rules, {**verdicts, rule: bad}, model)
    assert (good is None) == (worse is None)
    assert good is None or worse <= good + 1e-9


@settings(deadline=None)
@given(rules, verdicts, st.sampled_from(MODELS))
def test_a_rule_without_verdict_counts_as_unknown(rules, verdicts, model):
    whole = {**verdicts, "r0": "UNKNOWN"}
    assert compute_score(rules, whole, model) == compute_score(
        rules, {k: v for k, v in whole.items() if k != "r0"}, model
    )


def test_the_models_by_hand():
    """XCCDF 1.2 section 7.3.2: two rules of weight 1 and 3 in a group of weight 2, one of weight 1 beside it."""
    rules = [
        Rule("a", "", weight=1.0, groups=("g",), group_weights=(2.0,)),
        Rule("b", "", weight=3.0, groups=("g",), group_weights=(2.0,)), Rule("c", ""),
    ]  # fmt: skip
    verdicts = {"a": "PASS", "b": "FAIL", "c": "PASS"}
    found = {model: compute_score(rules, verdicts, model) for model in MODELS}
    assert found == {
        "default": pytest.approx((2 * 25 + 1 * 100) / 3), "flat": pytest.approx(40.0),
        "flat-unweighted": pytest.approx(200 / 3), "absolute": 0.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="no scoring model"):
        compute_score(rules, verdicts, "nice")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("verdict", ["PASS", "FAIL", "UNKNOWN"])
def test_rules_of_no_weight_give_no_score(model, verdict):
    weightless = [Rule("a", "", weight=0.0), Rule("b", "", weight=0.0, groups=("g",))]
    assert compute_score(weightless, {"a": verdict, "b": "PASS"}, model) is None


def test_unweighted_means_that_every_weight_but_0_is_1():
    """XCCDF 1.2 section 7.3.2, the flat unweighted model: items with weights of 0 do not contribute."""
    rules = [Rule("a", "", weight=7.0), Rule("b", "", weight=0.5), Rule("c", "", weight=0.0)]
    assert compute_score(rules, {"a": "PASS", "b": "FAIL", "c": "FAIL"}, "flat-unweighted") == 50.0
    assert compute_score(rules, {"a": "PASS", "b": "PASS", "c": "FAIL"}, "flat-unweighted") == 100.0


def test_hosts_without_a_score_do_not_make_a_fleet_better():
    found = combine("all", [Score("a", "x", {"PASS": 1}, 100.0), Score("b", "x", {}, None), Score("c", "x", {}, 0.0)])
    assert found.score == 50.0
    assert combine("all", [Score("b", "x", {}, None)]).score is None
