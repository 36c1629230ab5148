"""The batch about systemd units: one `systemctl show` for all of them."""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.assess.asking.frames import END, PRELUDE, words
from patchctl.assess.checks.contract import Answer, Answers, Batch, NotApplicable

_SHOW = r"""
if command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then
  systemctl show --no-pager -p "$pc_props" -- "$@" 2>/dev/null | awk -v list="$*" '
    BEGIN { n = split(list, names, " "); i = 1; print "@@ " names[1] }
    /^$/ { if (i < n) print "@@ " names[++i]; next }
    { print "=" $0; seen = 1 }
    END { if (!seen) print "@! systemctl show said nothing" }'
else
  for pc_u in "$@"; do printf '@@ %s\n@- no systemd runs here\n' "$pc_u"; done
fi
"""
PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath")


def _script(questions: Sequence[str]) -> str:
    """Questions: UNIT, or UNIT PROPERTY (whose property all units are then asked for)."""
    units = sorted({q.split(" ")[0] for q in questions})
    extra = sorted({q.split(" ")[1] for q in questions if " " in q} - set(PROPERTIES))
    return f"{PRELUDE}pc_props={','.join((*PROPERTIES, *extra))}\nset -- {words(units)}\n{_SHOW}{END}"


UNITS = Batch("unit", _script, timeout=60)


def unit_properties(host: Answers, unit: str) -> dict[str, str]:
    """Return the properties of a unit. Raise Unreadable, or NotApplicable where no systemd runs."""
    answer: Answer = host.get(UNITS, unit)
    if answer.missing:
        raise NotApplicable(answer.text)
    return {key: value for key, sep, value in (line.partition("=") for line in answer.lines) if sep}
