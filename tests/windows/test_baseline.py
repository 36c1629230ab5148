"""baselines/windows-server.yaml and its check types: each rule passes and fails, each text is PowerShell."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from patchctl.assess.asking.frames import read_frames
from patchctl.assess.asking.windows import SYSTEM
from patchctl.assess.checks.contract import Answer, CheckType, Unreadable
from patchctl.assess.checks.registry import all_checks
from patchctl.assess.checks.windows_policy import KNOWN, section_of
from patchctl.assess.native.conditions import read_conditions
from patchctl.assess.native.tree import Fault
from patchctl.collect.fixing_windows import BATCH
from patchctl.model.assessment import FAIL, NOT_APPLICABLE, PASS, UNKNOWN
from patchctl.model.errors import DocumentsError
from patchctl.usecases.baseline_cases import run_cases
from patchctl.usecases.baselines import load_baseline
from tests.windows.test_texts import errors, unset_variables

BASELINE = Path(__file__).parents[2] / "baselines" / "windows-server.yaml"
CHECKS = [pytest.param(check, id=name) for name, check in all_checks().items() if name.startswith("windows_")]


def test_every_rule_has_a_passing_and_a_failing_case() -> None:
    results, without = run_cases(BASELINE)
    assert without == []
    assert [r for r in results if not r.right] == []
    cases = Counter((r.rule, r.expected) for r in results)
    rules = {r.rule for r in results}
    assert len(rules) >= 60
    assert all(cases[rule, verdict] for rule in rules for verdict in (PASS, FAIL))


def example(check: CheckType) -> dict[str, Any]:
    """Return the example's arguments as a baseline's reader would hand them over."""
    kinds = {a.name: a.kind for a in check.arguments}
    found = yaml.load(check.example, yaml.BaseLoader)
    return {name: value == "true" if kinds[name] == "flag" else int(value) if kinds[name] == "whole" else value
            for name, value in found.items()}  # fmt: skip


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_types_example_is_right_and_its_text_is_powershell(check: CheckType) -> None:
    args = example(check)
    assert list(check.flaws(args)) == []
    assert check.shell == "powershell"
    for question in check.questions(args):
        assert question.batch.powershell
        assert list(errors(question.batch.script([question.text, "it's"]))) == []
        assert "'it''s'" in question.batch.script([question.text, "it's"])


@pytest.mark.parametrize("check", [p for p in CHECKS if p.values[0].repairs])  # type: ignore[union-attr]  # they are
def test_a_repair_is_batch_lines_or_powershell_and_tells_what_it_sets(check: CheckType) -> None:
    args = example(check)
    repair = check.repair(args)
    assert repair is not None
    (place, value), = repair.sets
    assert (place, bool(value)) == (check.place(args), True)  # type: ignore[attr-defined]  # all are WindowsValue
    if not repair.script.startswith(BATCH):
        assert list(errors(repair.script)) == []
        assert unset_variables(repair.script) <= {"folder"}, "the folder is what the payload gives it"
        assert "restore.ps1" in repair.script.partition("# change")[0], "what takes it back is written before"


MISSPELT = [
    ("windows_account", {"rid": "501", "property": "Disabeld"}, "Disabled"),
    ("windows_feature", {"feature": "SMB1Protocol", "property": "State"}, "InstallState"),
    ("windows_firewall", {"profile": "Publik", "property": "Enabled"}, "Public"),
    ("windows_firewall", {"profile": "Public", "property": "LogBlock"}, "LogBlocked"),
    ("windows_group", {"sid": "S-1-5-32-544", "property": "Member"}, "Members"),
    ("windows_share", {"share": "Public", "property": "Encrypt"}, "EncryptData"),
    ("windows_volume", {"drive": "C:", "property": "Protection"}, "ProtectionStatus"),
    ("windows_defender", {"source": "State", "property": "X"}, "Status"),
    ("windows_policy", {"setting": "MinPasswordLength"}, "MinimumPasswordLength"),
    ("windows_policy", {"setting": "SeTcbPriviledge", "absent": True}, "SeTcbPrivilege"),
]


@pytest.mark.parametrize(("name", "args", "right"), MISSPELT)
def test_what_is_misspelt_is_an_error_of_the_file(name: str, args: dict[str, Any], right: str, tmp_path: Path) -> None:
    """Not "not set", which would pass where something shall be absent and fail everywhere else."""
    wanted = args if "absent" in args else {**args, "equals": "True"}
    rule = {"id": "one", "title": "One", "severity": "low", "check": {name: wanted}}
    file = tmp_path / "house.yaml"
    file.write_text(yaml.safe_dump({"baseline": "house", "version": "1", "title": "House", "rules": [rule]}))
    with pytest.raises(DocumentsError) as caught:
        load_baseline(str(file), tmp_path, write=False)
    (problem,) = caught.value.problems
    assert right in problem.message + problem.hint, problem


@pytest.mark.parametrize("absent", [True, False])
@pytest.mark.parametrize(("name", "args", "said"), [
    ("windows_defender", {"source": "Preference", "property": "MAPSReport"}, "MAPSReporting=2"),
    ("windows_firewall", {"profile": "Public", "property": "Enabled"}, "Enabled="),
    ("windows_account", {"rid": "501", "property": "Disabled"}, "Name=Guest"),
    ("windows_feature", {"feature": "SMB1Protocol", "property": "InstallState"}, "InstallState=4"),
    ("windows_policy", {"setting": "SeTcbPrivilege"}, "Unicode=yes\nMinimumPasswordLength=8"),
    ("windows_policy", {"setting": "LockoutDuration"}, "Unicode=yes\nSeBackupPrivilege=*S-1-5-32-544"),
])
def test_what_the_host_does_not_tell_is_unknown(name: str, args: dict[str, Any], said: str, absent: bool) -> None:
    check = all_checks()[name]
    with pytest.raises(Unreadable):
        check.judge({**args, **({"absent": True} if absent else {"not_equals": "1"})}, Hosts(Answer(said + "\n")))


def test_nothing_is_a_value_where_windows_has_none() -> None:
    for name, args, said in (
        ("windows_defender", {"source": "Preference", "property": "ExclusionPath"}, "ExclusionPath="),
        ("windows_group", {"sid": "S-1-5-32-555", "property": "Members"}, "Members="),
    ):
        check = all_checks()[name]
        for expected in ({"absent": True}, {"lacks": "S-1-1-0"}):
            assert [i.ok for i in check.judge({**args, **expected}, Hosts(Answer(f"{said}\n")))] == [True]


def test_a_feature_that_windows_does_not_know_is_off_and_said_to_be_unknown() -> None:
    args = {"feature": "SMB1Protocoll", "property": "InstallState", "not_equals": "1"}
    (item,) = all_checks()["windows_feature"].judge(args, Hosts(Answer("InstallState=3\nKnown=no\n")))
    assert (item.ok, item.actual) == (True, "3 (this Windows has no feature of that name)")


@pytest.mark.parametrize(("name", "args", "head", "shown"), [
    ("windows_group", {"sid": "S-1-5-32-544", "property": "Members", "lacks": "(^|,)(S-1-1-0|S-1-5-11)(,|$)"},
     "'S-1-5-32-544 without', 'S-1-1-0,S-1-5-11'", "without S-1-1-0, S-1-5-11"),
    ("windows_group", {"sid": "S-1-5-32-555", "property": "Members", "equals": ""}, "'S-1-5-32-555 only', ''",
     "nobody"),
    ("windows_group", {"sid": "S-1-5-32-544", "property": "Members", "lacks": "S-1-.*"}, "", ""),
    ("windows_group", {"sid": "S-1-5-32-544", "property": "Count", "max": 2}, "", ""),
    ("windows_defender", {"source": "Status", "property": "RealTimeProtectionEnabled", "equals": "True"},
     "'DisableRealtimeMonitoring', 'False'", "True"),
    ("windows_defender", {"source": "Status", "property": "AntivirusSignatureAge", "max": 7}, "", ""),
    ("windows_feature", {"feature": "X", "property": "InstallState", "equals": "1"}, "", ""),
    ("windows_feature", {"feature": "X", "property": "InstallState", "equals": "3"}, "'X', 'off'", "3"),
    ("windows_share", {"share": "Public", "property": "EncryptData", "equals": "True"}, "'Public', 'True'", "True"),
    ("windows_share", {"share": "Public", "property": "Path", "equals": "C:\\x"}, "", ""),
    ("windows_volume", {"drive": "C:", "property": "VolumeStatus", "equals": "FullyEncrypted"}, "", ""),
])
def test_what_a_repair_does_and_what_is_left_to_people(name: str, args: dict[str, Any], head: str, shown: str) -> None:
    found = all_checks()[name].repair(args)
    if not head:
        assert found is None
        return
    assert found is not None
    assert found.script.startswith(f"$what, $value = {head}\n")
    assert [value for _, value in found.sets] == [shown]


def test_an_export_of_a_real_server_is_read() -> None:
    """secedit's own words, from a public source that captured/README.md names."""
    captured = (Path(__file__).parent / "captured" / "secedit-server-2022.inf").read_text()
    sections = dict(re.findall(r"^\[(.*)\]\n((?:[^\[\n].*\n)*)", captured, re.MULTILINE))
    settings = {
        line.partition(" = ")[0]: name for name, lines in sections.items()
        if name not in ("Unicode", "Registry Values", "Version") for line in lines.splitlines()}
    assert len(settings) > 55
    assert {name: section_of(name) for name in settings} == settings
    assert set(settings) <= KNOWN
    said = "\n".join(re.sub(r"\s*=\s*", "=", line) for line in captured.splitlines()
                     if re.match(r"[^\[;].*=", line))  # as the text of windows_policy.py does
    check = all_checks()["windows_policy"]
    for setting, expected in (
        ("MinimumPasswordLength", "7"), ("NewAdministratorName", "Administrator"), ("MaxClockSkew", "5"),
        ("SeBackupPrivilege", "S-1-5-32-544,S-1-5-32-549,S-1-5-32-551"), ("AuditSystemEvents", "0"),
    ):
        (item,) = check.judge({"setting": setting, "equals": expected}, Hosts(Answer(said)))
        assert item.ok, item
    for setting in ("SeTcbPrivilege", "LockoutDuration"):
        assert check.judge({"setting": setting, "absent": True}, Hosts(Answer(said)))[0].ok
    repair = check.repair({"setting": "NewGuestName", "equals": "Nobody"})
    assert repair is not None
    assert repair.script.startswith("$what, $value = 'NewGuestName', '\"Nobody\"'\n")
    kerberos = check.repair({"setting": "MaxClockSkew", "max": 5})
    assert kerberos is not None
    assert "[Kerberos Policy]" in kerberos.script


def test_audit_settings_of_single_users_are_not_the_systems() -> None:
    said = ("Machine Name,Policy Target,Subcategory,Subcategory GUID,Inclusion Setting,Exclusion Setting,"
            "Setting Value\n"
            "PC,S-1-5-21-1-2-3-1001,Logon,{0CCE9215-69AE-11D9-BED3-505054503030},Success,,1\n"
            "PC,System,Logon,{0CCE9215-69AE-11D9-BED3-505054503030},Success and Failure,,3\n")
    args = {"guid": "0CCE9215-69AE-11D9-BED3-505054503030", "equals": "success and failure"}
    assert [i.ok for i in all_checks()["windows_audit"].judge(args, Hosts(Answer(said)))] == [True]


class Hosts:
    """One answer for everything; None = nothing came."""

    def __init__(self, answer: Answer | None) -> None:
        self.answer = answer

    def get(self, batch: object, text: str = "all") -> Answer:
        if self.answer is None:
            raise Unreadable("cut off here")
        return self.answer


@pytest.mark.parametrize("check", CHECKS)
def test_what_cannot_be_read_is_never_a_pass(check: CheckType) -> None:
    args = example(check)
    with pytest.raises(Unreadable):
        check.judge(args, Hosts(None))
    try:
        items = check.judge(args, Hosts(Answer("garbage without any value\n")))
    except Unreadable:
        return
    assert all(item.ok is not True for item in items), UNKNOWN


def test_frames_of_powershell_are_read_with_their_reasons() -> None:
    text = "@@ a!b\n=5\n@@ a!c\n@- not there\n@@ a!d\n@! Requested registry access is not allowed.\n@.\n"
    found = read_frames(text)
    assert found["a!b"] == Answer("5\n", None)
    assert found["a!c"] == Answer("not there", None, missing=True)
    assert found["a!d"] == "Requested registry access is not allowed."


def test_when_of_a_windows_baseline_asks_windows_hosts() -> None:
    """Never /etc/os-release by sh: that would be sent to PowerShell."""
    found = load_baseline(str(BASELINE), BASELINE.parent, write=False)
    assert found.shell == "powershell"
    assert {p.id.split(".")[1].partition("-")[0] for p in found.probes()} == {"windows"}
    assert list(errors(SYSTEM.script(["all"]))) == []
    conditions = read_conditions({"family": ["windows"], "version": ">= 10.0.20348"}, {}, (), [], "powershell")
    assert conditions is not None
    for said, verdict in (
        ("ID=windows\nVERSION_ID=10.0.20348.2031", PASS), ("ID=windows\nVERSION_ID=10.0.17763.1", NOT_APPLICABLE),
        ("VERSION_ID=", UNKNOWN),
    ):
        assert conditions.judge(Hosts(Answer(said)))[0] == verdict, said
    assert conditions.judge(Hosts(None))[0] == UNKNOWN


def test_a_windows_baseline_cannot_ask_for_containers() -> None:
    faults: list[Fault] = []
    assert read_conditions({"container": True}, {}, ("when",), faults, "powershell") is None
    assert [(f.path, f.code) for f in faults] == [(("when", "container"), "invalid-condition")]
