"""Writes docs/reference/checks.md from the check types: `python3 -m tests.docs.checks`."""

from __future__ import annotations

from patchctl.assess.checks.contract import Argument, CheckType
from patchctl.assess.checks.registry import all_checks
from patchctl.assess.matching import EXPECTATIONS
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "reference" / "checks.md"
HEAD = """# Check types

What a rule of a baseline can check. How rules are written: [write your own rule](../howto/write-a-rule.md). This page
is made from the program (`python3 -m tests.docs.checks`).

A check that can *repair* gives a rule its remediation by `remediation: declarative`. What could not be read is UNKNOWN,
never FAIL; what makes no sense on a host (no such kernel setting, no SSH server) is NOT_APPLICABLE.

Content is read of regular files up to 512 KiB; of pipes, devices and larger files it is UNKNOWN. A link to /dev/null
counts as an empty file, as sysctl.d(5) and systemd take it. A link that leads nowhere is there: it is not `absent`.

**Expectations** on one value, several must all hold:

"""


def render() -> str:
    """Return the page."""
    parts = [HEAD, _table(EXPECTATIONS)]
    parts += [_section(check) for check in all_checks().values()]
    return "".join(parts)


def _section(check: CheckType) -> str:
    where = "" if check.shell == "sh" else " Windows."
    own = [a for a in check.arguments if a not in EXPECTATIONS]
    also = " And expectations." if len(own) != len(check.arguments) else ""
    repairs = " It can repair." if check.repairs else ""
    example = f"`check: {{{check.name}: {check.example}}}`"
    return f"\n## {check.name}\n\n{check.summary}{where}{repairs}{also}\n\n{example}\n\n{_table(own)}"


def _table(arguments: tuple[Argument, ...] | list[Argument]) -> str:
    rows = "".join(f"| `{a.name}`{' (needed)' if a.required else ''} | {a.kind}{_choices(a)} | {_plain(a.help)} |\n"
                   for a in arguments)
    return f"| Argument | Kind | Means |\n|---|---|---|\n{rows}"


def _choices(argument: Argument) -> str:
    return f": {', '.join(argument.choices)}" if argument.choices else ""


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
