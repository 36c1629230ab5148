"""What unquoted scalars mean: free data strictly, Ansible's files as YAML 1.1 (because Ansible reads them so)."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from patchctl.documents.loader import Document, Items, Plain, Section, Vaulted
from patchctl.documents.source import Findings

TRUE_WORDS = frozenset({"true", "yes", "on", "y"})
FALSE_WORDS = frozenset({"false", "no", "off", "n"})
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_YAML11 = yaml.SafeLoader.yaml_implicit_resolvers
_YAML11_VALUES = yaml.constructor.SafeConstructor()


def is_ambiguous(text: str) -> bool:
    """Say whether the YAML readers in use disagree on the word: yes, no, on, off."""
    return text.lower() in ("yes", "no", "on", "off")


def plain_value(text: str) -> Any:
    """Given an unquoted scalar of free data, return bool, int, float or the text itself.

    A number is one only if writing it back gives the same text, so that 1.10, 007, 1e3 and 22:22 stay text.
    """
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _WHOLE.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and repr(float(text)) == text:
        return float(text)
    return str(text)


def yaml11_value(text: str) -> Any:
    """Given an unquoted scalar, return what YAML 1.1 makes of it (yes -> True, 1.10 -> 1.1); dates stay text."""
    for tag, pattern in _YAML11.get(text[:1], []):
        if pattern.match(text):
            node = yaml.ScalarNode(tag, text)
            if tag.endswith(":bool"):
                return text.lower() in ("yes", "true", "on")
            if tag.endswith(":int"):
                return _YAML11_VALUES.construct_yaml_int(node)
            if tag.endswith(":float"):
                return _YAML11_VALUES.construct_yaml_float(node)
    return str(text)


def free_data(document: Document, path: tuple[Hashable, ...], value: Any, findings: Findings) -> Any:
    """Return free data (vars) as plain Python values; an unquoted yes/no/on/off is a Problem, never a guess."""
    if isinstance(value, Section):
        return {key: free_data(document, (*path, key), item, findings) for key, item in value.items()}
    if isinstance(value, Items):
        return [free_data(document, (*path, index), item, findings) for index, item in enumerate(value)]
    if isinstance(value, Vaulted):
        return value
    if isinstance(value, Plain):
        if is_ambiguous(value):
            findings.add(document.problem(
                path, "ambiguous-value", f"unquoted {value} is true or false to some YAML readers and text to others",
                f'write true or false, or "{value}" in quotes',
            ))
        return plain_value(value)
    return value


def yaml11_data(value: Any) -> Any:
    """Return a tree as plain Python values the way Ansible reads it."""
    if isinstance(value, Section):
        return {key: yaml11_data(item) for key, item in value.items()}
    if isinstance(value, Items):
        return [yaml11_data(item) for item in value]
    return yaml11_value(value) if isinstance(value, Plain) else value
