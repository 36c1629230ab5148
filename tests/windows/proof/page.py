"""The table of docs/howto/windows-proof.md: which parts were shown on Windows. From the registry, never by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from patchctl.platforms.windows.proven import PROVEN
from patchctl.usecases import windows_proof as wp

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "windows-proof.md"
BEGIN, END = "<!-- parts: python -m tests.windows.proof page -->\n", "<!-- end of parts -->\n"
_GROUPS = {
    "transport": "how a text comes to PowerShell", "collect": "the frame of a collection", "scan": "what `scan` asks",
    "resolve": "`plan`", "earlier": "the way back", "fingerprint": "versions before and after",
    "runner": "the host runner",
    "stage": "files to and from the host", "download": "files fetched by the host", "payload": "what an attempt runs",
    "repair": "what `remediate` runs",
    "check": "what `assess` asks, for each check type", "sca": "what Wazuh policies ask", "health": "health checks",
}  # fmt: skip


def page_text(before: str, proven: Mapping[str, Mapping[str, str]] = PROVEN) -> str:
    """Return the page with its table as it is now."""
    parts = wp.parts()
    missing = set(wp.never_run(list(parts), proven))
    lines = ["| Texts for | Shown on Windows | Never run on Windows |", "|---|---|---|"]
    for group, words in _GROUPS.items():
        mine = [name for name in parts if name.partition(".")[0] == group]
        shown = [f"`{name}` ({proven[name][wp.digest(parts[name])].partition('/')[0]})"
                 for name in mine if name not in missing]
        left = [f"`{name}`" for name in mine if name in missing]
        lines.append(f"| {words} | {', '.join(shown) or '-'} | {', '.join(left) or '-'} |")
    assert {name.partition(".")[0] for name in parts} == set(_GROUPS)
    head, _, rest = before.partition(BEGIN)
    return head + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + rest.partition(END)[2]
