"""Types of the schemas: text, flags, counts, durations ... each with its reading rule, its error and its JSON Schema.

Validation and the JSON Schemas for editors come from these same types, so they cannot drift apart. Every error is a
PydanticCustomError whose context may hold a `hint`; check.py turns it into a Problem with a place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from patchctl.documents.loader import Items, Plain, Section, Vaulted
from patchctl.documents.scalars import FALSE_WORDS, TRUE_WORDS, is_ambiguous
from patchctl.documents.source import suggest
from patchctl.model.units import check_budget, parse_duration

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_BANDWIDTH = re.compile(r"\d+(\.\d+)?\s*[kMG]?B/s")
SECRET_SCHEMES = ("env", "file", "cmd", "prompt", "vault-file")


class Strict(BaseModel):
    """Base of all schemas: unknown keys are errors, so is a key with nothing behind it; values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=False)
    may_be_empty: ClassVar[frozenset[str]] = frozenset()
    """Keys behind which nothing may stand: lists and mappings of which every entry is commented out."""

    @field_validator("*", mode="before")
    @classmethod
    def something_is_written(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `window:` with nothing behind it: it would mean any time, and was hardly meant so."""
        if value is None and info.field_name not in cls.may_be_empty:
            raise fail("empty-value", "a value is missing", "write one, or remove the key")
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler.resolve_ref_schema(handler(schema))
        made["properties"] = {key: value if key in cls.may_be_empty else _without_nothing(value)
                              for key, value in made.get("properties", {}).items()}
        return made


def _without_nothing(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a key that may be left out, and not be null."""
    branches = [branch for branch in schema.get("anyOf", ()) if branch != {"type": "null"}]
    if len(branches) == len(schema.get("anyOf", ())):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**branches[0], **rest} if len(branches) == 1 else {**rest, "anyOf": branches}


def fail(code: str, message: str, hint: str = "") -> PydanticCustomError:
    """Return the error a validator raises; the message may hold anything, it is not a template."""
    return PydanticCustomError(code, "{message}", {"message": message, "hint": hint})


def kind_of(value: object) -> str:
    """Return the word for people: text, a list, a mapping, nothing."""
    if value is None:
        return "nothing"
    if isinstance(value, (Section, dict)):
        return "a mapping"
    if isinstance(value, (Items, list, tuple)):
        return "a list"
    return "a vaulted value" if isinstance(value, Vaulted) else f"{str(value)!r}"


def read_text(value: Any) -> str:
    """Return a scalar as written; an unquoted yes/no/true/false where text is wanted is ambiguous."""
    if isinstance(value, Plain):
        word = value.lower()
        if is_ambiguous(value) or word in ("true", "false"):
            raise fail("ambiguous-value", f"unquoted {value} is a yes/no value to YAML, and text is wanted here",
                       f'write "{value}" in quotes')
        return str(value)
    if isinstance(value, str) and not isinstance(value, Vaulted):
        return value
    if value is None:
        raise fail("empty-value", "a value is missing", "write one, or remove the key")
    raise fail("unexpected-type", f"expected text, found {kind_of(value)}")


def read_filled(value: Any) -> str:
    """Return a text in which something stands. A blank one would count as not set, and was hardly meant so."""
    text = read_text(value)
    if not text.strip():
        raise fail("empty-value", "the text is empty", "write one, or remove the key")
    return text


def read_pattern(value: Any) -> str:
    """Return a limit pattern. A blank one would mean every host, and was hardly meant so."""
    text = read_text(value)
    if not text.strip():
        raise fail("empty-value", "this names no host", "write all if every host is meant")
    return text


def read_flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    if isinstance(value, Plain) and word in ("true", "false"):
        return word == "true"
    if word in TRUE_WORDS or word in FALSE_WORDS:
        raise fail("ambiguous-value", f"{value} is not a plain true or false",
                   f"write {'true' if word in TRUE_WORDS else 'false'}")
    raise fail("unexpected-type", f"expected true or false, found {kind_of(value)}")


def read_whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = value if isinstance(value, str) else ""
    if re.fullmatch(r"0|[1-9][0-9]{0,11}", text):
        return int(text)
    if re.fullmatch(r"0[0-9]+", text):
        raise fail("ambiguous-value", f"{text} is octal to some YAML readers", f"write {text.lstrip('0') or '0'}")
    raise fail("unexpected-type", f"expected a whole number, found {kind_of(value)}")


def read_factor(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) and float(value) > 0:
        return float(value)
    raise fail("unexpected-type", f"expected a number above 0, found {kind_of(value)}")


def read_duration(value: Any) -> float:
    """Return seconds. A bare number is refused: nobody knows its unit."""
    text = read_text(value)
    try:
        return parse_duration(text)
    except ValueError as error:
        hint = f"write {text}s, {text}m or {text}h" if text.isdigit() else "write 30s, 90m, 4h, 2d or 1w"
        raise fail("invalid-duration", f"not a duration: {text!r}", hint) from error


def read_budget(value: Any) -> str:
    text = read_text(value) if not isinstance(value, int) or isinstance(value, bool) else str(value)
    try:
        check_budget(text)
    except ValueError as error:
        raise fail("invalid-budget", f"not a count or percentage: {text!r}", "write 3 or 5%") from error
    if text.endswith("%") and float(text.rstrip("% ")) > 100:
        raise fail("invalid-budget", f"more than everything: {text}", "write at most 100%")
    return text


def read_date(value: Any) -> str:
    text = read_text(value)
    try:
        return date.fromisoformat(text).isoformat() if len(text) == 10 else _no_date(text)
    except ValueError as error:
        raise fail("invalid-date", f"not a date: {text!r}", "write YYYY-MM-DD, e.g. 2027-01-31") from error


def _no_date(text: str) -> str:
    raise ValueError(text)


def read_name(value: Any) -> str:
    text = read_text(value)
    if not _NAME.fullmatch(text):
        raise fail("invalid-name", f"not a name: {text!r}", "use letters, digits, '-', '_' and '.', and no spaces")
    return text


def read_secret(value: Any) -> str:
    """Return a reference to a secret (or Vaulted text); a secret itself is refused and never repeated."""
    if isinstance(value, Vaulted):
        return value
    text = read_text(value)
    scheme, colon, rest = text.partition(":")
    if colon and scheme in SECRET_SCHEMES and rest.strip():
        return text
    raise fail("plain-secret", "a secret does not belong into this file: give a reference to it",
               "env:NAME, file:PATH, cmd:COMMAND, prompt:LABEL, vault-file:PATH#KEY, or an inline !vault value")


def read_bandwidth(value: Any) -> str:
    text = read_text(value)
    if not _BANDWIDTH.fullmatch(text):
        raise fail("invalid-bandwidth", f"not a rate: {text!r}", "write 500kB/s or 2MB/s")
    return text


def read_list(value: Any) -> Any:
    """Let one scalar stand for a list of one."""
    return [value] if isinstance(value, str) else value


class Read:
    """Annotation of a field: how it is read, and how the JSON Schema describes it."""

    def __init__(self, read: Callable[[Any], Any], schema: dict[str, Any]) -> None:
        self.read = read
        self.schema = schema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema)


class Shorthand(Read):
    """Annotation of a section or list for which a single text may stand."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        super().__init__(read, {})

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


def one_of(*words: str) -> Read:
    """Accept exactly these words, quoted or not (never and always are no YAML booleans)."""

    def read(value: Any) -> str:
        text = str(value) if isinstance(value, str) else ""
        if text not in words:
            raise fail("unknown-value", f"{kind_of(value)} is not one of: {', '.join(words)}", suggest(text, words))
        return text

    return Read(read, {"type": "string", "enum": list(words)})


_DURATION_SCHEMA = {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?[smhdw])+$", "examples": ["30s", "90m", "2d"]}
_BUDGET_SCHEMA = {"type": ["string", "integer"], "pattern": r"^[0-9]+$|^[0-9]+(\.[0-9]+)?\s*%$", "examples": ["5%", 3]}

Text = Annotated[str, Read(read_text, {"type": "string"})]
Filled = Annotated[str, Read(read_filled, {"type": "string", "minLength": 1})]
Pattern = Annotated[str, Read(read_pattern, {"type": "string", "minLength": 1})]
Word = Annotated[str, Read(read_text, {"type": ["string", "number"]})]
Flag = Annotated[bool, Read(read_flag, {"type": "boolean"})]
Whole = Annotated[int, Read(read_whole, {"type": "integer", "minimum": 0})]
Factor = Annotated[float, Read(read_factor, {"type": "number", "exclusiveMinimum": 0})]
Duration = Annotated[float, Read(read_duration, _DURATION_SCHEMA)]
Budget = Annotated[str, Read(read_budget, _BUDGET_SCHEMA)]
Date = Annotated[str, Read(read_date, {"type": "string", "format": "date"})]
Name = Annotated[str, Read(read_name, {"type": "string", "pattern": f"^{_NAME.pattern}$"})]
Secret = Annotated[Any, Read(read_secret, {"type": "string", "pattern": f"^({'|'.join(SECRET_SCHEMES)}):.+"})]
Bandwidth = Annotated[str, Read(read_bandwidth, {"type": "string", "pattern": f"^{_BANDWIDTH.pattern}$"})]
Texts = Annotated[list[Filled], Shorthand(read_list)]
Free = Annotated[Any, Read(lambda value: value, {})]
"""Kept as read; whoever uses it decides what it means."""
