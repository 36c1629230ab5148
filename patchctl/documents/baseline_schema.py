"""The schema of baselines/*.yaml (docs/schemas/baseline.json comes from it). Checks are kept as they are for now."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from patchctl.documents.fields import Free, Name, Strict, Text, Texts, one_of

SEVERITIES = ("low", "medium", "high", "critical")


class RuleSection(Strict):
    """One rule: what must hold, how bad it is if not, and how it is checked."""

    id: Name
    title: Text
    severity: Annotated[str, one_of(*SEVERITIES)] = "medium"
    description: Text = ""
    rationale: Text = ""
    references: Texts = Field(default_factory=list)
    check: dict[str, Free] = Field(description="one check type and its arguments")
    fix: Text = ""


class BaselineFile(Strict):
    """A configuration baseline."""

    baseline: Name
    title: Text = ""
    description: Text = ""
    version: Text = ""
    hosts: Text = "all"
    rules: list[RuleSection] = Field(default_factory=list)
