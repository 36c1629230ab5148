"""Frozen values to plain JSON data and back, by their type annotations (msgspec does the work)."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from patchctl.model.errors import UsageError

T = TypeVar("T")


def to_data(value: object) -> Any:
    """Given a value of model/, return dicts, lists and scalars ready for JSON or YAML."""
    return msgspec.to_builtins(value, str_keys=True)


def to_json(value: object, *, indent: int = 0) -> bytes:
    """Given a value of model/, return UTF-8 JSON with keys in declaration order."""
    data = msgspec.json.encode(value)
    return msgspec.json.format(data, indent=indent) if indent else data


def canonical_json(value: object) -> bytes:
    """Return JSON with sorted keys and no spaces: the form that is hashed."""
    return msgspec.json.encode(msgspec.to_builtins(value, str_keys=True), order="sorted")


def from_data(cls: type[T], data: object) -> T:
    """Given plain data, return a value of `cls`. Raise UsageError naming the place that does not fit."""
    try:
        return msgspec.convert(data, type=cls, str_keys=True)
    except msgspec.ValidationError as error:
        raise UsageError("invalid-data", str(error), "the file was not written by this version of patchctl") from error


def from_json(cls: type[T], text: bytes | str) -> T:
    """Given JSON text, return a value of `cls`. Raise UsageError naming the place that does not fit."""
    try:
        return msgspec.json.decode(text, type=cls)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise UsageError("invalid-data", str(error), "the file was not written by this version of patchctl") from error
