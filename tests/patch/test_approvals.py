"""Promises of approvals: first match decides, a standing reject beats every approve, unknown never approves."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from patchctl.model.facts import Update
from patchctl.model.policy import ApprovalRule, Policy
from patchctl.patch.approvals import decide_approval, describe_rule, judge_update

DAY = 86400.0
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC).timestamp()
OPENSSL = Update("openssl", "amd64", "3.0.1", "3.0.2", security=True, severity="important")


def in_hosts(pattern: str, host: str) -> bool:
    return host.startswith(pattern)


def decide(policy: Policy, update: Update = OPENSSL, now: float = NOW) -> tuple[str, str]:
    return decide_approval(policy, "web01", update, NOW - DAY, now, in_hosts)


MONTHLY = Policy(
    "monthly",
    timezone="Europe/Amsterdam",
    approve=(
        ApprovalRule(known_exploited=True),
        ApprovalRule(security=True, after=3 * DAY),
        ApprovalRule(after=7 * DAY),
    ),
    reject=(ApprovalRule(package="docker-ce*", hosts="k8s", reason="CHG-812", until="2027-01-31"),),
)


def test_security_update_waits_for_its_own_rule_and_says_when_it_is_due() -> None:
    assert decide(MONTHLY) == (
        "deferred",
        "approve[2] {security: true, after: 3d00h}: due 2026-11-24 11:00 CET",
    )
    assert decide(MONTHLY, now=NOW + 2 * DAY)[0] == "approved"


def test_first_match_decides_even_when_a_later_rule_would_be_due_earlier() -> None:
    policy = Policy("p", approve=(ApprovalRule(security=True, after=10 * DAY), ApprovalRule()))
    assert decide(policy)[0] == "deferred"
    assert decide(policy, replace(OPENSSL, security=False))[0] == "approved"


def test_unknown_facts_do_not_match_approve_rules() -> None:
    assert decide(MONTHLY, replace(OPENSSL, known_exploited=True))[0] == "approved"
    assert decide(MONTHLY, replace(OPENSSL, known_exploited=None))[0] == "deferred"
    policy = Policy("p", approve=(ApprovalRule(severity="low"), ApprovalRule(security=False)))
    assert decide(policy, replace(OPENSSL, severity="", security=None)) == ("pending", "no approve rule matches")


def test_unknown_facts_do_not_escape_reject_rules() -> None:
    policy = Policy("p", approve=(ApprovalRule(),), reject=(ApprovalRule(security=False, reason="only security"),))
    assert decide(policy, replace(OPENSSL, security=None))[0] == "rejected"
    assert decide(policy)[0] == "approved"


def test_reject_holds_on_its_last_day_and_only_for_its_hosts() -> None:
    docker = replace(OPENSSL, package="docker-ce-cli", known_exploited=True)
    last_second = datetime(2027, 1, 31, 22, 59, 59, tzinfo=UTC).timestamp()  # 23:59:59 in Amsterdam
    assert decide_approval(MONTHLY, "k8s-1", docker, NOW, last_second, in_hosts) == (
        "rejected",
        'reject[1] {package: "docker-ce*", hosts: "k8s", until: 2027-01-31}: until 2027-01-31: CHG-812',
    )
    assert decide_approval(MONTHLY, "k8s-1", docker, NOW, last_second + 1, in_hosts)[0] == "approved"
    assert decide_approval(MONTHLY, "web01", docker, NOW, NOW, in_hosts)[0] == "approved"


def test_what_the_host_holds_back_is_never_approved() -> None:
    policy = Policy("p", approve=(ApprovalRule(),))
    assert decide(policy, replace(OPENSSL, state="held")) == ("held", "held on the host")
    assert decide(policy, replace(OPENSSL, state="kept-back", reason="needs libfoo2"))[0] == "held"
    assert decide(policy, replace(OPENSSL, state="phased", reason="20%")) == (
        "phased",
        "phased: the publisher offers it to part of all hosts: 20%",
    )


def test_never_seen_before_counts_from_now() -> None:
    found = judge_update(MONTHLY, "web01", OPENSSL, None, NOW, in_hosts)
    assert (found.status, found.due, found.rule) == ("deferred", NOW + 3 * DAY, "approve[2]")


def test_a_policy_without_approve_rules_approves_nothing() -> None:
    assert decide(Policy("p")) == ("pending", "the policy has no approve rules")


def test_a_classification_is_any_of_those_named_and_an_unknown_one_is_never_good_news() -> None:
    rule = ApprovalRule(classifications=("security-updates", "critical-updates"))
    filed = [("definition-updates",), ("drivers", "critical-updates"), ()]
    updates = [replace(OPENSSL, classifications=one) for one in filed]
    approving, rejecting = Policy("p", approve=(rule,)), Policy("p", approve=(ApprovalRule(),), reject=(rule,))
    assert [decide(approving, update)[0] for update in updates] == ["pending", "approved", "pending"]
    assert [decide(rejecting, update)[0] for update in updates] == ["approved", "rejected", "rejected"]
    assert decide(approving, updates[1])[1] == "approve[1] {classification: [security-updates, critical-updates]}"


def test_rule_reads_as_written() -> None:
    assert describe_rule(ApprovalRule()) == "{}"
    rule = ApprovalRule(package="a*", security=True, severity="high", hosts="web:!db")
    assert describe_rule(rule) == '{package: "a*", security: true, severity: high, hosts: "web:!db"}'


rules = st.builds(
    ApprovalRule,
    package=st.sampled_from(["", "open*", "bash"]),
    security=st.sampled_from([None, True, False]),
    known_exploited=st.sampled_from([None, True, False]),
    severity=st.sampled_from(["", "low", "medium", "important", "critical"]),
    after=st.sampled_from([0.0, DAY, 7 * DAY]),
    hosts=st.sampled_from(["", "web", "db"]),
    until=st.sampled_from(["", "2026-11-21", "2026-11-22", "2027-01-01"]),
)
updates = st.builds(
    Update,
    package=st.sampled_from(["openssl", "bash"]),
    arch=st.just("amd64"),
    installed=st.just("1"),
    candidate=st.just("2"),
    security=st.sampled_from([None, True, False]),
    known_exploited=st.sampled_from([None, True, False]),
    severity=st.sampled_from(["", "low", "important", "HIGH", "made-up"]),
    state=st.sampled_from(["upgradable", "new", "held", "phased", "kept-back", "pinned"]),
)
policies = st.builds(
    Policy,
    name=st.just("p"),
    approve=st.lists(rules, max_size=4).map(tuple),
    reject=st.lists(rules, max_size=2).map(tuple),
)


@given(policies, updates, st.floats(0, 10 * DAY))
def test_approved_means_a_matching_due_rule_and_no_standing_reject(policy: Policy, update: Update, age: float) -> None:
    found = judge_update(policy, "web01", update, NOW - age, NOW, in_hosts)
    assert found.reason
    if found.status != "approved":
        return
    assert update.state in ("upgradable", "new")
    rule = policy.approve[int(found.rule[8:-1]) - 1]
    assert rule.after <= age + 1e-3
    assert rule.security in (None, update.security)
    assert rule.known_exploited in (None, update.known_exploited)
    assert judge_update(replace(policy, reject=()), "web01", update, NOW - age, NOW, in_hosts).status == "approved"


@given(policies, updates, st.floats(0, 10 * DAY))
def test_removing_every_reject_never_takes_an_approval_away(policy: Policy, update: Update, age: float) -> None:
    strict = judge_update(policy, "web01", update, NOW - age, NOW, in_hosts).status
    loose = judge_update(replace(policy, reject=()), "web01", update, NOW - age, NOW, in_hosts).status
    assert loose == "approved" or strict != "approved"


@given(policies, updates, st.floats(0, 10 * DAY))
def test_a_deferred_update_is_approved_when_due_if_nothing_expires(policy: Policy, update: Update, age: float) -> None:
    policy = replace(policy, reject=(), approve=tuple(replace(rule, until="") for rule in policy.approve))
    found = judge_update(policy, "web01", update, NOW - age, NOW, in_hosts)
    if found.status == "deferred":
        assert found.due is not None
        assert found.due > NOW
        assert judge_update(policy, "web01", update, NOW - age, found.due, in_hosts).status == "approved"
