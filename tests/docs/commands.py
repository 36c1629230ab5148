"""Writes docs/reference/commands.md from the command line itself.

    python3 -m tests.docs.commands          # rewrite the file; tests/docs/test_docs.py fails while it is not current
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from patchctl.cli.main import COMMANDS, main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "commands.md"
HEAD = """# Commands

Every command and option. This page is made from the program (`python3 -m tests.docs.commands`); do not edit it.
`patchctl COMMAND --help` says the same. Exit codes: [exit-codes.md](exit-codes.md); output: [output.md](output.md).

Where a rollout's ID may be left out, the latest is meant. A limit pattern is a list of groups, hosts, globs and
`~regular expressions` joined by `:` or `,`; `&x` keeps what is in x too, `!x` takes it away, `x[0:3]` picks by
position. `@FILE` alone reads terms from a file, one a line. An empty part is refused: it may be a variable that is
not set.
"""


def render() -> str:
    """Return the page."""
    context = click.Context(main, info_name="patchctl", **main.context_settings)
    parts = [HEAD]
    group = ""
    for name in main.list_commands(context):
        if COMMANDS[name][0] != group:
            group = COMMANDS[name][0]
            parts.append(f"\n## {group}\n")
        command = main.get_command(context, name)
        assert command is not None
        parts.extend(describe(command, click.Context(command, info_name=name, parent=context), f"patchctl {name}"))
    return "".join(parts)


def describe(command: click.Command, context: click.Context, words: str) -> list[str]:
    """Return the section of one command; of a group, those of its commands."""
    parts = [f"\n### `{words}`\n\n{prose(command)}\n"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            parts.extend(describe(inner, click.Context(inner, info_name=name, parent=context), f"{words} {name}"))
        return parts
    usage = " ".join(command.collect_usage_pieces(context))
    parts.append(f"\n    {words} {usage}\n")
    rows = [record for p in command.get_params(context) if (record := p.get_help_record(context)) is not None]
    if rows:
        parts.append("\n| Option | |\n|---|---|\n")
        parts.extend(f"| `{escape(flags)}` | {escape(text)} |\n" for flags, text in rows)
    return parts


def prose(command: click.Command) -> str:
    """Return the help text as paragraphs; what stands after \\b keeps its lines."""
    shown = []
    for paragraph in (command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            lines = paragraph.lstrip("\b\n").splitlines()
            shown.append("\n".join(f"    {line.strip()}" for line in lines))
        else:
            shown.append(re.sub(r"\s+", " ", paragraph).strip())
    return "\n\n".join(shown)


def escape(text: str) -> str:
    """Return text that stays within a cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
