"""The schema of baselines/waivers/*.yaml (docs/schemas/waivers.json comes from it)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from patchctl.documents.fields import Date, Filled, Pattern, Read, Strict, Text, fail, read_text
from patchctl.model.localtime import parse_zone

_LOCAL = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?) ([A-Za-z_]+(?:/[A-Za-z0-9_+-]+)*)")
_HINT = 'write "2027-01-31 18:00 Europe/Amsterdam" or 2027-01-31T18:00:00+01:00'


def read_moment(value: Any) -> str:
    """Return a moment as RFC 3339 with its offset: `DATE TIME ZONE`, or RFC 3339. One without a zone is refused."""
    text = read_text(value)
    local = _LOCAL.fullmatch(text)
    try:
        if local is not None:
            return datetime.fromisoformat(local[1]).replace(tzinfo=parse_zone(local[2])).isoformat()
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise fail("invalid-moment", f"not a moment: {text!r}: {error}", _HINT) from error
    if moment.tzinfo is None:
        raise fail("no-timezone", f"{text!r} says no time zone: whose clock ends the waiver?", _HINT)
    return moment.isoformat()


Moment = Annotated[str, Read(read_moment, {"type": "string"})]


class WaiverSection(Strict):
    """A finding that is accepted for a time."""

    rule: Filled = Field(description="id of the rule")
    baseline: Text = Field(default="", description="only of this baseline; left out = of any")
    hosts: Pattern = Field(description="a pattern as for --limit; write all for all")
    reason: Filled = Field(description="why, for whoever asks later")
    approver: Filled = Field(description="who accepted it")
    granted: Date = Field(description="day it was granted")
    until: Moment = Field(description="moment, with time zone, from which the finding is back")


class WaiverFile(Strict):
    """Findings that are accepted for a time."""

    waivers: list[WaiverSection]
