"""Each construct of OVAL on this machine, by our engine and by oscap: verdicts and the values of variables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from patchctl.assess.content.xccdf.oval.facts import NotCollectedError
from tests.scap import cases_hosts, content, here, synthetic

pytestmark = pytest.mark.timeout(900)

EXPLAINED = (
    (r"function substring behind|broken variable .*|external without a value|object of a .*|.* no date .*", "no value",
     "a variable that cannot be computed has no value: we do not know, oscap looks at an item without one"),
    (r"several .* none satisfy.*", "not interpreted", "everything on a host but what is named: not searched for"),
    (r"(text text \(\(|xml bad|xml a /r\[|yaml bad|yaml a \.list\[-1\]|yaml a \.\.name).*", "no value",
     "a pattern, path or file that cannot be read gives a variable no value; see the first line"),
    (r"time .*", "", "oscap 1.3.7 counts months and the turn of the year wrongly, and mixes two formats up"),
    (r"evr_string '1\.0-1' .*", "", "the specification: no epoch is epoch 0; oscap puts it below 0"),
    (r"text (odd|nul) .*", "", "oscap reads a file up to its first NUL, and none that is not UTF-8"),
    (r"text text \^\$?( .*)?", "", "oscap reports an empty match that is not at its starting point twice"),
    (r"yaml a \.(alias\.k|list\[0:2\]|top\.\*).*", "", "oscap follows no alias, takes no slice, and takes `.*`"),
    (r"partition .* mount_options", "", "oscap takes the flag of relatime for that of bind"),
    (r"function glob.*", "", "oscap loses the bracket of a second [!x], and quotes a backslash by one too few"),
)
"""Pattern of the case's name, what must be true of our side, why the two differ (how-scap-is-evaluated.md)."""


@dataclass(frozen=True)
class Difference:
    case: str
    ours: object
    theirs: object
    judged: bool
    """Whether we say pass or fail."""

    def explained(self) -> bool:
        kinds = [kind for pattern, kind, _ in EXPLAINED if re.fullmatch(pattern, self.case)]
        return any(not kind or not self.judged for kind in kinds)


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[Difference]]:
    if reason := content.why_no_content():
        pytest.skip(f"oscap left out: {reason}")
    content.folder()
    folder, work = Path(tmp_path_factory.mktemp("looked-at")), Path(tmp_path_factory.mktemp("oscap"))
    oval = cases_hosts.all_cases(folder)
    xccdf, document = synthetic.each_case(oval), oval.xml()
    theirs = here.oscap(work, xccdf, {"oval.xml": document})
    baseline, judge = here.ours(xccdf, {"oval.xml": document})
    names = {definition.rpartition(":")[2]: name for name, definition in oval.cases.items()}
    assert len(baseline.rules) == len(theirs.verdicts) == len(oval.cases)
    found: list[Difference] = []
    for rule in baseline.rules:
        number = rule.id.removeprefix("xccdf_t_rule_")
        verdict, _ = judge.verdict(rule)
        if [verdict] != theirs.verdicts[number]:
            found.append(Difference(names[number], verdict, theirs.verdicts[number], verdict in ("PASS", "FAIL")))
    variables = judge.evaluator(baseline.checks[baseline.rules[0].id].key)
    looked_at = oval.variable_cases()
    for variable, values in theirs.values.items():
        try:
            mine = sorted(variables.variable(variable).values)
        except NotCollectedError:
            mine = []
        if mine != sorted(values):
            found.append(Difference(looked_at[variable], mine, sorted(values), bool(mine)))
    return len(oval.cases) + len(theirs.values), found


def test_that_every_construct_comes_out_as_in_oscap(differences: tuple[int, list[Difference]]) -> None:
    compared, found = differences
    print(compared, "compared,", len(found), "explained differences")
    assert compared > 3000
    unexplained = [d for d in found if not d.explained()]
    assert not unexplained, "\n".join(map(str, unexplained))


def test_that_no_explanation_is_out_of_date(differences: tuple[int, list[Difference]]) -> None:
    for pattern, _, why in EXPLAINED:
        assert any(re.fullmatch(pattern, d.case) for d in differences[1]), why
