"""The schema of baselines/*.yaml (docs/schemas/baseline.json comes from it).

Checks and conditions are free trees here: the check types of assess/checks/ know what belongs into them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from patchctl.documents.fields import Flag, Free, Name, Read, Shorthand, Strict, Text, Texts, Word, fail, one_of
from patchctl.documents.loader import Section

SEVERITIES = ("info", "low", "medium", "high", "critical")
VERDICTS = ("PASS", "FAIL", "UNKNOWN", "NOT_APPLICABLE")


def _read_default(value: Any) -> Any:
    """Let a single value stand for {default: value}."""
    return _section("default", value) if isinstance(value, (str, int, float, bool)) else value


def _read_remediation(value: Any) -> Any:
    """Let the word `declarative` stand for {declarative: true}."""
    if not isinstance(value, str):
        return value
    if value != "declarative":
        raise fail("unknown-value", f"{value!r} is no remediation", "write declarative, or {script: ...}")
    return _section("declarative", True)


def _section(key: str, value: Any) -> dict[str, Any]:
    return {key: value}


def _read_tree(value: Any) -> Any:
    """A check: a mapping, or a list of them."""
    if not isinstance(value, (Section, list, dict)):
        raise fail("unexpected-type", "a check is a mapping of its type and arguments",
                   'write check: {file: {path: /etc/passwd, mode: "0644"}}')
    return value


def _read_conditions(value: Any) -> Any:
    if not isinstance(value, Section):
        raise fail("unexpected-type", "conditions are a mapping", 'write when: {os: debian, version: ">= 12"}')
    return value


_TREE = {"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]}
Check = Annotated[Any, Read(_read_tree, _TREE)]
When = Annotated[Any, Read(_read_conditions, {"type": "object"})]


class ParameterSection(Strict):
    """A value that rules use as ${name}."""

    default: Word
    description: Text = ""


class RemediationSection(Strict):
    """How a finding is repaired: `declarative` (by the check types), or a script of your own."""

    declarative: Flag = False
    script: Text = Field("", description="sh text, run as root with -eu; done twice it changes nothing more")
    files: Texts = Field(default_factory=list, description="files it may change: copied aside before it runs")
    disruption: Text = Field("", description="what it interrupts, in words")
    reboot: Flag = Field(False, description="the change counts only after a reboot")


class TestSection(Strict):
    """A recorded case and the verdict it must lead to."""

    __test__ = False  # no test for pytest to collect

    expect: Annotated[str, one_of(*VERDICTS)]
    name: Text = ""
    host: dict[str, Free] = Field(default_factory=dict, description="batch -> question -> what the host answered")
    case: Text = Field("", description="name of a case in tests/NAME.yaml beside the baseline")
    parameters: dict[str, Word] = Field(default_factory=dict)


class RuleSection(Strict):
    """One rule: what must hold, how bad it is if not, how it is checked, and how it is repaired."""

    id: Name
    title: Text
    severity: Annotated[str, one_of(*SEVERITIES)] = "medium"
    description: Text = ""
    rationale: Text = ""
    references: dict[str, Texts] = Field(
        default_factory=dict, description="system -> identifiers: {cis: [5.2.7], pci: [2.2.6]}")
    group: Text = ""
    when: When = Field(None, description="os, family, version, container, check")
    check: Check = Field(description="one check type and its arguments, or all, any, not")
    remediation: Annotated[RemediationSection | None, Shorthand(_read_remediation)] = None
    tests: list[TestSection] = Field(default_factory=list)


class BaselineFile(Strict):
    """A configuration baseline."""

    baseline: Name
    title: Text = ""
    description: Text = ""
    version: Text = ""
    hosts: Text = "all"
    when: When = Field(None, description="os, family, version, container, check: of all rules")
    parameters: dict[str, Annotated[ParameterSection, Shorthand(_read_default)]] = Field(default_factory=dict)
    rules: list[RuleSection] = Field(default_factory=list)


class CasesFile(Strict):
    """Recorded evidence of a baseline's rules: tests/NAME.yaml beside it."""

    cases: dict[str, dict[str, Free]] = Field(description="case -> batch -> question -> what the host answered")
