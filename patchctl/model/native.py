"""NativeBaseline: a baseline of our own YAML as plain values, between the reader of documents and the assessment.

Its JSON (`to_json` of model/codec.py) is what assess/content/native.py compiles; it starts with HEAD. Checks stay plain
trees of mappings, lists and scalars: the check types give them meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from patchctl.model.codec import to_json

SCHEMA = "patchctl/native-baseline/1"
HEAD = b'{"schema":"patchctl/native-baseline/1"'


class Parameter(Struct, frozen=True):
    """A value that rules use as ${name}."""

    name: str
    default: str
    description: str = ""


class Repairing(Struct, frozen=True):
    """What a rule says about its remediation: by its check types, or by a script of its own."""

    declarative: bool = False
    script: str = ""
    files: tuple[str, ...] = ()
    disruption: str = ""
    reboot: bool = False


class RuleTest(Struct, frozen=True):
    """Evidence and the verdict it must lead to. `host`: batch -> question -> text (None = it is not there)."""

    expect: str
    host: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    name: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


class NativeRule(Struct, frozen=True):
    id: str
    title: str
    severity: str = "medium"
    description: str = ""
    rationale: str = ""
    references: tuple[tuple[str, str], ...] = ()
    group: str = ""
    when: Any = None
    check: Any = None
    remediation: Repairing | None = None
    tests: tuple[RuleTest, ...] = ()


class NativeBaseline(Struct, frozen=True):
    schema: str
    name: str
    title: str = ""
    description: str = ""
    version: str = ""
    hosts: str = "all"
    when: Any = None
    parameters: tuple[Parameter, ...] = ()
    rules: tuple[NativeRule, ...] = ()

    def to_bytes(self) -> bytes:
        """Return its JSON: the content that the native kind compiles."""
        return to_json(self)
