"""Reads the values and lists at the head of this project's PowerShell texts, for the model."""

from __future__ import annotations

import re

from patchctl.collect.runner_windows_functions import FUNCTIONS

LITERAL = r"'((?:[^']|'')*)'"


def read_values(script: str) -> dict[str, str]:
    """Return the values at the script's head: $Name = 'text' (over several lines) and $Name = [long]N."""
    head = script.partition(FUNCTIONS)[0] if FUNCTIONS in script else script[:20000]
    found = {name: text.replace("''", "'") for name, text in re.findall(rf"^\$(\w+) = {LITERAL}$", head, re.MULTILINE)}
    found |= dict(re.findall(r"^\$(\w+) = \[long\](\d+)$", head, re.MULTILINE))
    return found


def read_items(script: str, name: str) -> list[str]:
    """Return the texts of $Name = @('one', 'two')."""
    found = re.search(rf"^\${name} = @\((.*)\)$", script, re.MULTILINE)
    assert found, name
    return [text.replace("''", "'") for text in re.findall(LITERAL, found[1])]


def read_calls(script: str) -> list[tuple[str, str, str]]:
    """Return (probe, guard, command) of each probe that a collection asks."""
    pattern = rf"^Invoke-Probe {LITERAL} \d+ \$(?:true|false) {LITERAL} {LITERAL}\n"
    return re.findall(pattern, script, re.MULTILINE)
