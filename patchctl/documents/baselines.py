"""Reads baselines/*.yaml and the recorded cases beside them into values of model/native.py.

What checks mean is not known here: assess/native/ binds them, and its faults come back by their paths.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from patchctl.documents.baseline_schema import BaselineFile, CasesFile, RuleSection, TestSection
from patchctl.documents.check import check_document
from patchctl.documents.loader import Document, load_document
from patchctl.documents.scalars import free_data
from patchctl.documents.source import Findings, suggest
from patchctl.model.errors import DocumentsError
from patchctl.model.native import SCHEMA, NativeBaseline, NativeRule, Parameter, Repairing, RuleTest

CASES = "tests"
"""The folder beside baselines with their recorded cases, one file of the same name each."""
_VERDICTS = {"pass": "PASS", "fail": "FAIL", "unknown": "UNKNOWN", "not-applicable": "NOT_APPLICABLE"}
Path_ = tuple[Hashable, ...]


class BaselineDocument(Struct, frozen=True):
    """A baseline and the document it was read from, for the places of problems."""

    native: NativeBaseline
    document: Document


def load_baseline(path: Path) -> BaselineDocument:
    """Given the path of a baseline file, return the baseline. Raise DocumentsError with every problem in it."""
    findings = Findings()
    found = read_baseline(path, str(path), findings)
    if found is None or findings.problems:
        raise DocumentsError(findings.sorted())
    return found


def read_baseline(path: Path, name: str, findings: Findings, *, tests: bool = True) -> BaselineDocument | None:
    """Like load_baseline, but problems go to `findings`; `name` is how messages call the file.

    Without `tests` the rules' tests are left out: an assessment needs none of them.
    """
    document = load_document(path, name, findings)
    content = check_document(document, BaselineFile, findings) if document else None
    if document is None or content is None:
        return None
    cases = _read_cases(path, name, findings) if tests else {}
    used: set[str] = set()
    rules: list[NativeRule] = []
    seen: set[str] = set()
    for index, rule in enumerate(content.rules):
        if rule.id in seen:
            findings.add(document.problem(("rules", index, "id"), "duplicate-rule",
                                          f"a rule {rule.id!r} is there already",
                                          "rule ids are unique within a baseline"))
        made = _rule(document, ("rules", index), rule, cases if tests else None, used, findings)
        rules.append(made)
        seen.add(rule.id)
    if not rules:
        findings.add(document.problem(("rules",), "no-rules", "the baseline has no rules", "add some under rules:",
                                      key=True))
    for case in sorted(cases.keys() - used):
        findings.add(document.problem((), "unused-case", f"{CASES}/{path.name}: no rule has the case {case!r}",
                                      "cases are called RULE.pass, RULE.fail or RULE.pass.WHAT"))
    native = NativeBaseline(
        SCHEMA, content.baseline, content.title, content.description, content.version, content.hosts,
        _free(document, ("when",), content.when, findings),
        tuple(Parameter(key, p.default, p.description) for key, p in content.parameters.items()),
        tuple(rules),
    )
    return BaselineDocument(native, document)


def _rule(document: Document, path: Path_, rule: RuleSection, cases: Mapping[str, Any] | None, used: set[str],
          findings: Findings) -> NativeRule:
    repair = rule.remediation
    if repair is not None and repair.declarative == bool(repair.script):
        findings.add(document.problem((*path, "remediation"), "invalid-value",
                                      "a remediation is either declarative or a script",
                                      "write remediation: declarative, or {script: ...}"))
    tests: list[RuleTest] = []
    if cases is not None:
        tests = [_test(document, (*path, "tests", at), test, cases, used, findings)
                 for at, test in enumerate(rule.tests)]
        for name in cases:
            rest = name.removeprefix(f"{rule.id}.") if name.startswith(f"{rule.id}.") else ""
            expect = _VERDICTS.get(rest.split(".")[0])
            if expect and name not in used:
                used.add(name)
                tests.append(RuleTest(expect, cases[name], name))
    return NativeRule(
        rule.id, rule.title, rule.severity, rule.description, rule.rationale,
        tuple((system, number) for system, numbers in rule.references.items() for number in numbers), rule.group,
        _free(document, (*path, "when"), rule.when, findings), _free(document, (*path, "check"), rule.check, findings),
        Repairing(repair.declarative, repair.script, tuple(repair.files), repair.disruption, repair.reboot)
        if repair else None,
        tuple(tests),
    )


def _test(document: Document, path: Path_, test: TestSection, cases: Mapping[str, Any], used: set[str],
          findings: Findings) -> RuleTest:
    host: Any = {}
    if bool(test.case) == bool(test.host):
        findings.add(document.problem(path, "empty-test", "a test has a case, or evidence under host:, not both",
                                      "write host: {read: {/etc/issue: text}}"))
    elif test.case and test.case not in cases:
        findings.add(document.problem((*path, "case"), "unknown-case", f"no case {test.case!r}",
                                      suggest(test.case, cases) or f"cases stand in {CASES}/ beside the baseline"))
    elif test.case:
        used.add(test.case)
        host = cases[test.case]
    else:
        host = _evidence(document, (*path, "host"), test.host, findings)
    return RuleTest(test.expect, host, test.name or test.case, dict(test.parameters))


def _read_cases(path: Path, name: str, findings: Findings) -> dict[str, Any]:
    """Return the recorded cases beside a baseline; {} where there is no such file."""
    file = path.parent / CASES / path.name
    if not file.is_file():
        return {}
    document = load_document(file, str(Path(name).parent / CASES / path.name), findings)
    content = check_document(document, CasesFile, findings) if document else None
    if document is None or content is None:
        return {}
    return {case: _evidence(document, ("cases", case), host, findings) for case, host in content.cases.items()}


def _evidence(document: Document, path: Path_, host: Any, findings: Findings) -> dict[str, dict[str, str | None]]:
    """Return batch -> question -> text, all of it text as written."""
    found: dict[str, dict[str, str | None]] = {}
    for batch, answers in host.items():
        if not isinstance(answers, dict):
            findings.add(document.problem((*path, batch), "unexpected-type", "expected questions and their answers"))
            continue
        found[batch] = {}
        for question, text in answers.items():
            if text is not None and not isinstance(text, str):
                findings.add(document.problem((*path, batch, question), "unexpected-type",
                                              "expected the text that the host answered"))
                continue
            found[batch][question] = None if text is None else str(text)
    return found


def _free(document: Document, path: Path_, value: Any, findings: Findings) -> Any:
    return None if value is None else free_data(document, path, value, findings)
