"""validate: all errors across files in one run, in every format, touching nothing but the files."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from patchctl.cli.main import main
from patchctl.documents.settings import load_settings
from patchctl.documents.source import Findings
from patchctl.model.errors import Problem
from patchctl.report import problems as renderers
from patchctl.usecases.validate import Validation, validate_project

NOW = 1_795_000_000.0  # 2026-11-18
INVENTORY = "groups:\n  canary: {hosts: [w1]}\n  web: {hosts: ['w[1:9]']}\n  other: {hosts: [o1]}\n"


TWO_RINGS = """\
policy: p
rings:
- {name: a, size: 1, window: 2nd tue 20:00 4h, soak: 24h}
- {name: b, window: 2nd tue 20:00 4h}
"""
FAILING_TEST = """\
policy: p
approve:
- {security: true, after: 3d}
tests:
- {update: u, security: true, released: 2026-11-01, date: 2026-11-02, expect: approved}
"""


def project(tmp_path: Path, policy: str = "", inventory: str = INVENTORY, **files: str) -> Validation:
    texts = {"inventories/i.yaml": inventory, **({"policies/p.yaml": policy} if policy else {}),
             **{name.replace("__", "/"): text for name, text in files.items()}}
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    findings = Findings()
    settings = load_settings({}, tmp_path, {"HOME": str(tmp_path)}, tmp_path / "none", findings)
    return validate_project(settings, (), tmp_path, NOW, findings.problems)


def codes(found: Validation) -> list[tuple[str, int]]:
    return [(p.code, p.line) for p in found.problems]


@pytest.mark.parametrize(("policy", "code", "line", "word"), [
    ("policy: p\nhosts: wbe\n", "nothing-matched", 2, "wbe"),
    ("policy: p\nhosts: web:!web\n", "nothing-matched", 2, "no host"),
    ("policy: p\nreject:\n- {package: x, hosts: k8s, reason: r}\n", "nothing-matched", 3, "k8s"),
    ("policy: p\nhosts: web\nrings:\n- {name: a, hosts: other}\n- {name: b}\n", "empty-ring", 4, "'a'"),
    ("policy: p\nrings:\n- {name: a}\n- {name: b, hosts: web}\n- {name: c, hosts: canary}\n", "empty-ring", 5, "'c'"),
    ("policy: p\nrings:\n- {name: a, size: 1}\n- {name: a}\n", "duplicate-ring", 4, "'a'"),
    ("policy: p\nrings:\n- {name: a, window: sometimes}\n", "invalid-window", 3, "sometimes"),
    (TWO_RINGS, "unreachable-window", 4, "'b'"),
    ("policy: p\nreject:\n- {package: x, reason: r, until: 2026-01-31}\n", "expired-reject", 3, "2026-01-31"),
    (FAILING_TEST, "approval-test-failed", 5, "deferred"),
])
def test_what_single_files_cannot_show(tmp_path: Path, policy: str, code: str, line: int, word: str) -> None:
    found = project(tmp_path, policy)
    assert codes(found) == [(code, line)]
    assert word in found.problems[0].message


@pytest.mark.parametrize("folder", ["policies", "baselines", "baselines/waivers"])
def test_a_folder_that_cannot_be_read_hides_no_other_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    real = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        """For this folder as for a user without rights to it: the tests may run as root, whom no mode keeps out."""
        if path == tmp_path / folder:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    found = project(tmp_path, inventory="groups:\n  web: {hosts: [w1], max_down: many}\n")
    assert {"unreadable-file", "unexpected-type"} == {p.code for p in found.problems}
    assert folder in next(p.file for p in found.problems if p.code == "unreadable-file")


def test_a_valid_project_has_no_problems(tmp_path: Path) -> None:
    found = project(tmp_path, (
        "policy: p\nhosts: web\nrings:\n- {name: a, hosts: canary, window: '2nd tue 20:00 4h', soak: 24h}\n"
        "- {name: b, window: '2nd tue +2d 20:00 4h'}\nreject:\n- {package: x, reason: r, until: 2026-11-18}\n"))
    assert found.ok
    assert (found.hosts, found.groups, found.policies) == (10, 3, 1)


def test_problems_of_all_files_come_together(tmp_path: Path) -> None:
    found = project(
        tmp_path, "policy: p\nhosts: wbe\nrebot: never\n", INVENTORY + "  bad: {usr: x}\n",
        **{"policies/q.yaml": "policy: p\n", "policies/broken.yaml": "a: [\n",
           "baselines/b.yaml": "baseline: b\nrules: []\n", "patchctl.yaml": "forks: 0\n"},
    )
    assert [(p.file, p.code) for p in found.problems] == [
        ("baselines/b.yaml", "no-rules"), ("inventories/i.yaml", "unknown-key"), ("patchctl.yaml", "invalid-value"),
        ("policies/broken.yaml", "yaml-syntax"), ("policies/p.yaml", "nothing-matched"),
        ("policies/p.yaml", "unknown-key"), ("policies/q.yaml", "duplicate-policy"),
    ]


def test_keys_without_effect_and_stale_freezes_are_notes(tmp_path: Path) -> None:
    found = project(tmp_path, "policy: p\nbundle: proven-in-previous-ring\n", (
        "groups: {g: {hosts: {h: {frozen: {reason: r, until: 2020-01-01}}, g: }}}\n"))
    assert found.ok
    assert {(n.code, n.line) for n in found.notes} == {
        ("without-effect", 2), ("expired-freeze", 1), ("ambiguous-name", 0)}


def test_commands_that_are_not_there_and_unknown_connections_are_notes(tmp_path: Path) -> None:
    found = project(tmp_path, "policy: p\nnotify: {halted: ./hooks/page, finished: 'mailto:a@example.com'}\n",
                    **{"inventories/hosts": "h ansible_connection=docker\n"})
    assert found.ok
    assert [(n.code, n.file, n.line) for n in found.notes] == [
        ("unknown-connection", "inventories/hosts", 1), ("missing-command", "policies/p.yaml", 2)]


def test_nothing_runs_and_nothing_is_decrypted(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = f"#!/bin/sh\ntouch {mark}\necho '{{}}'\n"
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "dynamic").write_text(script)
    (tmp_path / "inventories" / "dynamic").chmod(0o755)
    found = project(
        tmp_path, f"policy: p\nnotify: {{halted: touch {mark}}}\n",
        f"defaults: {{become: {{password: 'cmd:touch {mark}'}}, passphrase: 'cmd:touch {mark}'}}\n" + INVENTORY,
        **{"inventories/hosts": "[web]\nw1 ansible_password='{{ pw }}'\n",
           "inventories/group_vars/web": "$ANSIBLE_VAULT;1.1;AES256\nnot even hex\n",
           "patchctl.yaml": f"vault_password: cmd:touch {mark}\n"},
    )
    assert found.ok, found.problems
    assert "script-not-run" in {note.code for note in found.notes}
    assert not mark.exists()


def test_named_files_are_told_apart_by_their_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, "policy: p\nhosts: nope\n", **{"x/base.yaml": "baseline: b\n", "x/hosts": "[web]\nh1 oops\n"})
    monkeypatch.chdir(tmp_path)
    arguments = ["validate", "policies/p.yaml", "x/base.yaml", "-o", "json"]
    result = CliRunner().invoke(main, arguments, standalone_mode=False)
    assert result.return_value == 2
    found = json.loads(result.stdout)
    assert found["schema"] == "patchctl/validate/1"
    assert found["ok"] is False
    assert [(p["file"], p["code"]) for p in found["problems"]] == [
        ("policies/p.yaml", "nothing-matched"), ("x/base.yaml", "no-rules")]
    result = CliRunner().invoke(main, ["validate", "x/hosts", "-o", "csv"], standalone_mode=False)
    assert "x/hosts,2,4,invalid-line" in result.stdout


def test_quiet_says_nothing_when_all_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, "policy: p\n")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["validate", "-q"], standalone_mode=False)
    assert (result.return_value, result.output) == (0, "")


PROBLEMS = (
    Problem("a,b:c.yaml", 3, 7, "unknown-key", "unknown key '100%'\nnext", "did you mean 'x'?", "  usr: \x1b[31m1"),
    Problem("d.yaml", 0, 0, "missing-file", "no <such> & \"file\"", ""),
)
NOTES = (Problem("d.yaml", 2, 1, "without-effect", "no effect", ""),)


def test_text_shows_place_source_caret_and_hint() -> None:
    assert renderers.render_text(PROBLEMS[:1], NOTES[:1]) == (
        "a,b:c.yaml:3:7: error[unknown-key]: unknown key '100%'\nnext\n  3 |   usr: 1\n    |       ^\n"
        "  hint: did you mean 'x'?\nd.yaml:2:1: note[without-effect]: no effect\n")


def test_sarif_has_the_required_shape() -> None:
    data = json.loads(renderers.render_sarif(PROBLEMS, NOTES, "1.2"))
    run = data["runs"][0]
    assert (data["version"], run["tool"]["driver"]["name"]) == ("2.1.0", "patchctl")
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(ids)) == len(ids) == 3
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "note")
        assert result["message"]["text"]
        location = result["locations"][0]["physicalLocation"]
        assert urlsplit(location["artifactLocation"]["uri"]).scheme in ("", "file")
        region = location.get("region")
        assert region is None or (region["startLine"] >= 1 and region["startColumn"] >= 1)
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%2Cb%3Ac.yaml"
    odd = tuple(Problem(name, 1, 1, "c", "m") for name in ("my x/<a> é.yaml", "/srv/b.yaml"))
    spaced = renderers.render_sarif(odd, (), "1")
    assert [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
            for r in json.loads(spaced)["runs"][0]["results"]] == ["my%20x/%3Ca%3E%20%C3%A9.yaml", "file:///srv/b.yaml"]
    assert "region" not in run["results"][1]["locations"][0]["physicalLocation"]


def test_junit_counts_files_and_is_well_formed() -> None:
    root = ET.fromstring(renderers.render_junit(PROBLEMS, ["d.yaml", "ok.yaml"]))
    assert (root.get("tests"), root.get("failures")) == ("3", "2")
    failed = {case.get("name"): case.find("failure") for case in root}
    assert failed["ok.yaml"] is None
    failure = failed["d.yaml"]
    assert failure is not None
    assert failure.text is not None
    assert 'no <such> & "file"' in failure.text


def test_github_escapes_what_would_end_a_command() -> None:
    lines = renderers.render_github(PROBLEMS, NOTES).splitlines()
    assert lines[0] == ("::error file=a%2Cb%3Ac.yaml,line=3,col=7,title=unknown-key::"
                        "unknown key '100%25'%0Anext (did you mean 'x'?)")
    assert [line.partition(" ")[0] for line in lines] == ["::error", "::error", "::notice"]


def test_gitlab_fingerprints_are_stable_and_distinct() -> None:
    entries = json.loads(renderers.render_gitlab(PROBLEMS, NOTES))
    assert len({entry["fingerprint"] for entry in entries}) == 3
    moved = Problem("d.yaml", 9, 1, "without-effect", "no effect", "")
    assert json.loads(renderers.render_gitlab((moved,), ()))[0]["fingerprint"] == entries[2]["fingerprint"]
    assert all(entry["location"]["lines"]["begin"] >= 1 for entry in entries)


def test_a_path_that_is_not_there_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "monthly.yaml").write_text("policy: monthly\nhosts: all\nrings: [{name: a}]\n")
    findings = Findings()
    settings = load_settings({}, tmp_path, {"HOME": str(tmp_path)}, tmp_path / "none", findings)
    paths = [tmp_path / "montly.yaml", tmp_path / "monthly.yaml"]
    found = validate_project(settings, paths, tmp_path, NOW)
    (problem,) = found.problems
    assert (problem.code, problem.file, problem.hint) == ("missing-file", "montly.yaml", "did you mean 'monthly.yaml'?")
    assert found.policies == 1


@pytest.mark.parametrize("policy", [
    "policy: p\nhosts: ''\nrings: [{name: a}]\n", "policy: p\nhosts: ' '\nrings: [{name: a}]\n",
    "policy: p\nrings: [{name: a, hosts: ''}]\n", "policy: p\nrings: [{name: a}]\napprove: [{hosts: ''}]\n",
    "policy: p\nrings: [{name: a}]\nreject: [{package: x, reason: r, until: 2027-01-01, hosts: ''}]\n",
])
def test_a_policy_that_names_no_host_does_not_mean_all(tmp_path: Path, policy: str) -> None:
    assert [code for code, _ in codes(project(tmp_path, policy))] == ["empty-value"]
