"""Takes secrets out of texts by their value: as they are, and in the encodings in which they travel. Pure."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

MASK = "********"
_SHORTEST = 4
"""Shorter secrets are not masked: they would blot out half of any text."""


def disguises(secret: str) -> tuple[str, ...]:
    """Return the forms in which a secret may show up in a text, longest first.

    As it is, in UTF-8 and UTF-16LE base64 (at every offset, as PowerShell's -EncodedCommand wraps it), quoted for URLs,
    in JSON, and as Python's repr shows it.
    """
    forms = {
        secret,
        urllib.parse.quote(secret), urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret),
        json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1],
    }
    for raw in (secret.encode("utf-8", "surrogateescape"), secret.encode("utf-16-le", "surrogatepass")):
        forms.update(_base64_cores(raw))
    return tuple(sorted((form for form in forms if len(form) >= _SHORTEST), key=lambda form: (-len(form), form)))


def _base64_cores(raw: bytes) -> set[str]:
    """The characters of base64 that depend on `raw` alone, for each of the three offsets it can have."""
    cores = {base64.b64encode(raw).decode(), base64.b64encode(raw).decode().rstrip("=")}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        start = (0, 2, 3)[offset]
        whole = (offset + len(raw)) // 3 * 4
        core = encoded[start:whole]
        if len(core) >= 8:  # shorter cores are likely to occur by chance
            cores.add(core)
    return cores


class Redactor:
    """Knows the secrets of a run. `clean` masks them in a text; adding is safe while other threads clean."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Redactor({len(self._forms)} forms)"

    @property
    def knows_any(self) -> bool:
        """Whether there is anything to mask."""
        return bool(self._forms)

    def add(self, secret: str) -> None:
        """Mask this secret from now on. Multi-line secrets are masked line by line as well."""
        parts = [secret, *secret.splitlines()]
        forms = {form for part in parts if len(part) >= _SHORTEST for form in disguises(part)}
        merged = forms.union(self._forms)
        self._forms = tuple(sorted(merged, key=lambda form: (-len(form), form)))

    def clean(self, text: str) -> str:
        """Return the text with every form of every known secret replaced by MASK."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text


def clean_values(value: Any, clean: Callable[[str], str]) -> Any:
    """Return JSON data with `clean` applied to every text in it; keys and everything else stay as they are."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {key: clean_values(item, clean) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean_values(item, clean) for item in value]
    return value
