"""YAML paths as OpenSCAP's yaml-filter reads them: .key.other[0], ["key"], ['a','b'], [:] for every element."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml
from msgspec import Struct

MAX_BYTES = 4 * 1024 * 1024
MAX_NODES = 200_000
_KEY = re.compile(r"[^.\[\]'\"\s]+")
_STEP = re.compile(r"\[\s*(?:(?P<all>:)|(?P<from>\d*)\s*:\s*(?P<to>\d*)|(?P<indexes>\d+(?:\s*,\s*\d+)*)|"
                   r"(?P<keys>(?:'[^']*'|\"[^\"]*\")(?:\s*,\s*(?:'[^']*'|\"[^\"]*\"))*))\s*\]")

Record = tuple[tuple[str, str], ...]


class YamlPathError(ValueError):
    """A path that is not understood, or a document it cannot be applied to; says why."""


class Step(Struct, frozen=True):
    """One step: a key, several keys, or elements of a sequence."""

    keys: tuple[str, ...] = ()
    indexes: tuple[int, ...] = ()
    span: tuple[int, int | None] | None = None
    several: bool = False
    """Keys in brackets that keep the mapping: the values come as one record."""


def parse(path: str) -> tuple[Step, ...]:
    """Return the steps of a path. Raise YamlPathError."""
    steps: list[Step] = []
    at = 0
    while at < len(path):
        if path[at] == "[":
            match = _STEP.match(path, at)
            if match is None:
                raise YamlPathError(f"{path!r} is not understood at {path[at:]!r}")
            steps.append(_bracket(match))
            at = match.end()
            continue
        if path[at] == ".":
            at += 1
            if at == len(path):
                break
            if path[at] == "[":
                continue
        key = _KEY.match(path, at)
        if key is None:
            raise YamlPathError(f"{path!r} is not understood at {path[at:]!r}")
        steps.append(Step(keys=(key[0],)))
        at = key.end()
    return tuple(steps)


def _bracket(match: re.Match[str]) -> Step:
    if match["all"]:
        return Step(span=(0, None))
    if match["indexes"]:
        return Step(indexes=tuple(int(i) for i in match["indexes"].split(",")))
    if match["keys"]:
        keys = tuple(k.strip()[1:-1] for k in re.findall(r"'[^']*'|\"[^\"]*\"", match["keys"]))
        return Step(keys=keys, several=len(keys) > 1)
    return Step(span=(int(match["from"] or 0), int(match["to"]) if match["to"] else None))


def records(text: str, steps: Sequence[Step]) -> tuple[Record, ...]:
    """Return what the steps find as records: scalars as a record with the field "#", mappings with their own keys.

    Raise YamlPathError or yaml.YAMLError. Nodes are composed, not constructed: no tags, no objects, no aliases' growth.
    """
    if len(text) > MAX_BYTES:
        raise YamlPathError("the document is too large")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return ()
    nodes = [root]
    spread = False
    for step in steps:
        nodes = [found for node in nodes for found in _take(node, step)]
        spread = spread or step.span is not None or len(step.indexes) > 1
        if len(nodes) > MAX_NODES:
            raise YamlPathError("too many values")
    return _records(nodes, spread=spread)


def _take(node: yaml.Node, step: Step) -> list[yaml.Node]:
    if step.keys:
        if not isinstance(node, yaml.MappingNode):
            return []
        pairs = [(k, v) for k, v in node.value if isinstance(k, yaml.ScalarNode) and k.value in step.keys]
        if step.several:
            return [yaml.MappingNode(node.tag, pairs)] if pairs else []
        return [v for _, v in pairs]
    if not isinstance(node, yaml.SequenceNode):
        return []
    if step.span is not None:
        return list(node.value[step.span[0] : step.span[1]])
    return [node.value[i] for i in step.indexes if i < len(node.value)]


def _records(nodes: Sequence[yaml.Node], *, spread: bool) -> tuple[Record, ...]:
    found: list[Record] = []
    loose: list[tuple[str, str]] = []
    for node in nodes:
        if isinstance(node, yaml.ScalarNode):
            loose.append(("#", scalar(node)))
        elif isinstance(node, yaml.MappingNode):
            record = _mapping(node)
            if record:
                found.append(record)
        elif spread and any(isinstance(n, yaml.ScalarNode) for n in node.value):
            found.append(tuple(("#", scalar(n)) for n in node.value if isinstance(n, yaml.ScalarNode)))
        else:
            for inner in node.value:
                if isinstance(inner, yaml.ScalarNode):
                    loose.append(("#", scalar(inner)))
                elif isinstance(inner, yaml.MappingNode):
                    found.append(_mapping(inner))
                else:
                    raise YamlPathError("the path leads to sequences in sequences")
    return (*found, *((tuple(loose),) if loose else ()))


def _mapping(node: yaml.MappingNode) -> Record:
    fields: list[tuple[str, str]] = []
    for key, value in node.value:
        name = re.sub(r"[A-Z^]", lambda m: "^" + m[0].lower() if m[0] != "^" else "^^", str(key.value))
        if isinstance(value, yaml.ScalarNode):
            fields.append((name, scalar(value)))
        elif isinstance(value, yaml.SequenceNode) and all(isinstance(v, yaml.ScalarNode) for v in value.value):
            fields.extend((name, scalar(v)) for v in value.value)
        else:
            raise YamlPathError("the path leads to mappings in mappings")
    return tuple(fields)


def scalar(node: yaml.ScalarNode) -> str:
    """Return a scalar's canonical text: plain booleans, numbers and nulls by their meaning, all else as written."""
    text = str(node.value)
    if node.style is not None:
        return text
    if re.fullmatch(r"true|True|TRUE", text):
        return "true"
    if re.fullmatch(r"false|False|FALSE", text):
        return "false"
    if re.fullmatch(r"[+-]?[0-9]+", text):
        return str(int(text))
    if re.fullmatch(r"0o[0-7]+|0x[0-9a-fA-F]+", text):
        return str(int(text, 0))
    if re.fullmatch(r"[+-]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][+-]?[0-9]+)?", text):
        return f"{float(text):f}"
    if re.fullmatch(r"null|Null|NULL|~|", text):
        return "(null)"
    return text
