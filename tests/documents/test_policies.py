"""Policies: every key of the form is read, every mistake has its place; settings come from the strongest source."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchctl.documents.policies import load_policy, read_policy
from patchctl.documents.settings import load_settings
from patchctl.documents.source import Findings
from patchctl.model.errors import DocumentsError, UsageError
from patchctl.model.hosts import HealthCheck, SecretRef
from patchctl.model.policy import ApprovalRule, Limits, Notify, RingSpec, WindowSpec

FULL = """\
policy: monthly
hosts: prod
owner: unix@example.com
approve:
  - {known_exploited: true}
  - {security: true, after: 3d, severity: important}
reject:
  - {package: "docker-ce*", hosts: k8s, reason: CHG-812, until: 2027-01-31}
deadline: {critical: 14d, default: 30d}
timezone: Europe/Amsterdam
blackout: 2026-12-18/2027-01-04
stage: 48h
rings:
  - {name: canary, hosts: canary, window: "2nd tue +1d 20:00 4h", soak: 24h}
  - {name: early, size: 10%}
  - {name: one, size: 1, approval: operator}
  - {name: rest, size: rest}
limits: {concurrency: 10%, errors: 2, unreachable: 5%, changed: 2%, host_time: 90m, retries: 0}
reboot: never
on_failure: continue
refresh: always
health: [{no_new_failed_units: true}]
notify: {halted: ./hooks/page --now "on call", finished: ["mailto:a@example.com"]}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    return path


def test_every_key_reaches_the_policy(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, FULL))
    assert policy.approve == (ApprovalRule(known_exploited=True),
                              ApprovalRule(security=True, after=259200.0, severity="important"))
    assert policy.reject == (ApprovalRule(package="docker-ce*", hosts="k8s", reason="CHG-812", until="2027-01-31"),)
    assert policy.rings == (
        RingSpec("canary", "canary", "", WindowSpec("2nd tue +1d 20:00 4h"), 86400.0), RingSpec("early", size="10%"),
        RingSpec("one", size="1", approval="operator"), RingSpec("rest", size="rest"))
    assert policy.limits == Limits("10%", "2", "5%", "2%", 5400.0, 0)
    assert policy.notify == Notify(("./hooks/page", "--now", "on call"), ("mailto:a@example.com",))
    assert policy.health == (HealthCheck("no_new_failed_units"),)
    assert (policy.reboot, policy.on_failure, policy.refresh, policy.stage) == ("never", "continue", "always", 172800.0)
    assert (policy.timezone, policy.blackout) == ("Europe/Amsterdam", ("2026-12-18/2027-01-04",))
    assert dict(policy.deadline) == {"critical": 1209600.0, "default": 2592000.0}


def test_the_digest_changes_with_any_byte_of_the_file(tmp_path: Path) -> None:
    first = load_policy(write(tmp_path, FULL)).digest
    assert load_policy(write(tmp_path, FULL)).digest == first
    assert load_policy(write(tmp_path, FULL + "# x\n")).digest != first


@pytest.mark.parametrize(("old", "new", "code", "line", "hint"), [
    ("policy: monthly", "plicy: monthly", "missing-key", 1, ""),
    ("policy: monthly", "plicy: monthly", "unknown-key", 1, "policy"),
    ("reboot: never", "reboot: nevr", "unknown-value", 19, "never"),
    ("reboot: never", "reboot: no", "unknown-value", 19, "never"),
    ("Amsterdam", "Amsterdm", "unknown-timezone", 10, ""),
    ("2027-01-31", "2027-02-31", "invalid-date", 8, "YYYY"),
    ("2026-12-18/2027", "2028-12-18/2027", "invalid-date-range", 11, "included"),
    ("soak: 24h", "soak: 24", "invalid-duration", 14, "24h"),
    ("errors: 2", "errors: 2 hosts", "invalid-budget", 18, "5%"),
    ("errors: 2", "errors: 200%", "invalid-budget", 18, "100%"),
    ("concurrency: 10%", "concurrency: 0", "invalid-budget", 18, "1"),
    ("errors: 2", "confirm: 29s", "invalid-confirm", 18, "3m"),
    ("errors: 2", "confirm: 61m", "invalid-confirm", 18, "3m"),
    ("errors: 2", "confirm: 46m", "invalid-confirm", 18, "lower confirm:"),
    ("security: true", "security: yes", "ambiguous-value", 6, "true"),
    (", reason: CHG-812", "", "missing-key", 8, ""),
    ("severity: important", "severity: importent", "unknown-value", 6, "important"),
    ("name: early", "name: no", "ambiguous-value", 15, '"no"'),
    ("name: early", "nmae: early", "unknown-key", 15, "name"),
    ("critical: 14d", "urgent: 14d", "invalid-value", 9, ""),
    ("size: 10%", "size: 1.5", "invalid-budget", 15, "5%"),
    ('"on call"', '"on call', "invalid-command", 23, "quotes"),
])
def test_mistakes_have_code_line_and_hint(
    tmp_path: Path, old: str, new: str, code: str, line: int, hint: str
) -> None:
    assert old in FULL
    with pytest.raises(DocumentsError) as caught:
        load_policy(write(tmp_path, FULL.replace(old, new, 1)))
    found = [p for p in caught.value.problems if p.code == code]
    assert [p.line for p in found] == [line], caught.value.problems
    assert hint in found[0].hint


def test_an_empty_list_of_rings_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(DocumentsError) as caught:
        load_policy(write(tmp_path, "policy: p\nrings: []\n"))
    assert [(p.code, p.line) for p in caught.value.problems] == [("empty-value", 2)]
    assert "leave rings out" in caught.value.problems[0].hint


@pytest.mark.parametrize(("old", "new", "code"), [
    ("policy: monthly", "policy: [monthly]", "unexpected-type"),
    ("name: early", "name: no", "ambiguous-value"),
])
def test_a_wrong_value_is_not_told_as_missing_too(tmp_path: Path, old: str, new: str, code: str) -> None:
    assert old in FULL
    with pytest.raises(DocumentsError) as caught:
        load_policy(write(tmp_path, FULL.replace(old, new, 1)))
    assert [p.code for p in caught.value.problems] == [code]


def test_settings_come_from_the_strongest_source(tmp_path: Path) -> None:
    home, system, project = tmp_path / "home", tmp_path / "etc", tmp_path / "project"
    for folder, text in (
        (system, "forks: 1\nreports: sys\nsmtp: sys\nstate: sys.db\n"),
        (home / ".config" / "patchctl", "forks: 2\nreports: mine\nstate: mine.db\n"),
        (project, "forks: 3\nstate: ours.db\ninventory: [inv, more]\ntimeout: 5m\nvault_password: file:pw\n"),
    ):
        folder.mkdir(parents=True)
        (folder / "patchctl.yaml").write_text(text)
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    env = {"HOME": str(home), "PATCHCTL_FORKS": "4", "PATCHCTL_INVENTORY": "x:y"}
    found = load_settings({"forks": 5, "state": None, "inventory": ()}, deep, env, system)
    assert (found.forks, found.timeout, found.smtp) == (5, 300.0, "sys")
    assert found.project == project
    assert found.state == f"sqlite:///{project}/ours.db"
    assert found.reports == home / ".config" / "patchctl" / "mine"
    assert found.inventory == (deep / "x", deep / "y")
    assert found.known_hosts == project / ".patchctl" / "known_hosts"
    assert found.vault_password == SecretRef("file", str(project / "pw"), f"{project}/patchctl.yaml:5:1")
    assert {key: found.origins[key] for key in ("forks", "inventory", "state", "smtp", "baselines")} == {
        "forks": "--forks", "inventory": "PATCHCTL_INVENTORY", "state": f"{project}/patchctl.yaml:2:1",
        "smtp": f"{system}/patchctl.yaml:3:1", "baselines": "default"}


def test_without_any_file_the_current_folder_is_the_project(tmp_path: Path) -> None:
    found = load_settings({}, tmp_path, {"HOME": str(tmp_path)}, tmp_path / "none")
    assert found.project == tmp_path
    assert found.state == f"sqlite:///{tmp_path}/.patchctl/state.db"
    assert set(found.origins.values()) == {"default"}


def test_settings_that_others_can_write_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "patchctl.yaml"
    path.write_text("forks: 1\n")
    path.chmod(0o666)
    with pytest.raises(UsageError) as caught:
        load_settings({}, tmp_path, {}, tmp_path / "none")
    assert caught.value.code == "unsafe-settings"


@pytest.mark.parametrize(("variable", "value"), [
    ("PATCHCTL_FORKS", "many"), ("PATCHCTL_FORKS", "0"), ("PATCHCTL_TIMEOUT", "5m"), ("PATCHCTL_TIMEOUT", "inf")])
def test_wrong_variables_are_named(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(UsageError, match=variable):
        load_settings({}, tmp_path, {variable: value}, tmp_path / "none")


def test_all_problems_of_all_settings_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "patchctl.yaml").write_text("forks: 0\nfroks: 1\n")
    system = tmp_path / "etc"
    system.mkdir()
    (system / "patchctl.yaml").write_text("state: [a]\n")
    with pytest.raises(DocumentsError) as caught:
        load_settings({}, tmp_path, {"HOME": "/nowhere"}, system)
    assert sorted(p.code for p in caught.value.problems) == ["invalid-value", "unexpected-type", "unknown-key"]


@pytest.mark.parametrize(("word", "said"), [("continue", "does what halt does")])
def test_what_on_failure_does_not_do_is_told(tmp_path: Path, word: str, said: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(f"policy: p\non_failure: {word}\n")
    findings = Findings()
    assert read_policy(file, "p.yaml", findings) is not None
    assert [(note.code, note.line) for note in findings.notes] == [("without-effect", 2)]
    assert said in findings.notes[0].message
    assert not findings.problems


ONE = "policy: p\nhosts: all\napprove: [{after: 7d}]\nrings: [{name: all}]\n"


@pytest.mark.parametrize("value", ["", '""', '" "', "null", "~"])
@pytest.mark.parametrize(("old", "new"), [
    ("{name: all}", "{name: all, window: VALUE}"),  # would mean: at any time
    ("{after: 7d}", "{package: VALUE}"),  # would mean: every update, at once
    ("{after: 7d}", "{security: VALUE}"),
    ("{after: 7d}", "{known_exploited: VALUE}"),
    ("{name: all}]\n", "{name: all}]\nreject: [{package: VALUE, reason: x}]\n"),
    ("{name: all}]\n", "{name: all}]\nreject: [{package: x, reason: VALUE}]\n"),
    ("{name: all}]\n", "{name: all}]\nremove: [{package: VALUE, reason: x}]\n"),
    ("{name: all}]\n", "{name: all}]\nhealth: [{unit: VALUE}]\n"),
    ("{name: all}]\n", "{name: all}]\nhealth: [{command: VALUE}]\n"),
    ("{name: all}]\n", "{name: all}]\nnotify: {halted: VALUE}\n"),  # nobody would be told
])
def test_a_key_with_nothing_behind_it_never_means_everything(
    tmp_path: Path, old: str, new: str, value: str
) -> None:
    good = "true" if "security" in new or "exploited" in new else "sun 02:00 4h" if "window" in new else "x"
    assert load_policy(write(tmp_path, ONE.replace(old, new.replace("VALUE", good))))
    with pytest.raises(DocumentsError) as caught:
        load_policy(write(tmp_path, ONE.replace(old, new.replace("VALUE", value))))
    assert {p.code for p in caught.value.problems} <= {"empty-value", "unexpected-type"}


@pytest.mark.parametrize("entry", ["{}", "{reason: later}", "{until: 2036-12-31}"])
def test_an_approval_without_a_condition_is_refused(tmp_path: Path, entry: str) -> None:
    with pytest.raises(DocumentsError) as caught:
        load_policy(write(tmp_path, ONE.replace("{after: 7d}", entry)))
    assert [p.code for p in caught.value.problems] == ["empty-value"]
    assert "every update" in caught.value.problems[0].message
