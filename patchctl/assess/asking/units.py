"""The batch about systemd units: one `systemctl show` for all of them."""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.assess.asking.frames import END, PRELUDE, words
from patchctl.assess.checks.contract import Answer, Answers, Batch, NotApplicable, Unreadable

_SHOW = r"""
if command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then
  { systemctl show --no-pager -p "$pc_props" -- "$@" 2>/dev/null; echo "@= $?"; } | awk -v list="$*" '
    BEGIN { n = split(list, names, " "); i = 1; print "@@ " names[1] }
    /^$/ { if (i < n) print "@@ " names[++i]; next }
    /^@= / { rc = substr($0, 4); next }
    { print "=" $0; seen = 1 }
    END { if (!seen || rc != 0) print "@! systemctl show said " (seen ? "not all" : "nothing") " (exit code " rc ")" }'
else
  for pc_u in "$@"; do printf '@@ %s\n@- no systemd runs here\n' "$pc_u"; done
fi
"""
PROPERTIES = ("Id", "Names", "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath")


def _script(questions: Sequence[str]) -> str:
    """Questions: UNIT, or UNIT PROPERTY (whose property all units are then asked for)."""
    units = sorted({q.split(" ")[0] for q in questions})
    extra = sorted({q.split(" ")[1] for q in questions if " " in q} - set(PROPERTIES))
    return f"{PRELUDE}pc_props={','.join((*PROPERTIES, *extra))}\nset -- {words(units)}\n{_SHOW}{END}"


UNITS = Batch("unit", _script, timeout=60)


def unit_properties(host: Answers, unit: str) -> dict[str, str]:
    """Return the properties of a unit: LoadState and ActiveState, and UnitFileState of one that is there.

    Raise Unreadable, or NotApplicable where no systemd runs.
    """
    answer: Answer = host.get(UNITS, unit)
    if answer.missing:
        raise NotApplicable(answer.text)
    found = {key: value for key, sep, value in (line.partition("=") for line in answer.lines) if sep}
    needed = ("LoadState", "ActiveState", "UnitFileState")[: 2 if found.get("LoadState") == "not-found" else 3]
    if lacking := [name for name in needed if name not in found]:
        raise Unreadable(f"{unit}: systemctl show tells no {lacking[0]}")
    if unit not in found.get("Names", unit).split():
        raise Unreadable(f"{unit}: systemctl show told of {found['Names']}")
    return found
