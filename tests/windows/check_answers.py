"""What the model tells checks of baselines: registry values from Wine's registry, all else from the test's settings.

A question that a test has set nothing for is answered as not readable: then the verdict has to be UNKNOWN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import yaml

from patchctl.assess.asking.windows import SYSTEM
from patchctl.assess.checks.contract import Batch
from patchctl.assess.checks.registry import all_checks
from tests.windows.wine import Disk
from tests.windows.words import read_items

_VALUE = re.compile(r"^    (?P<name>.*?)    (?P<type>REG_\w+)    (?P<data>.*)$", re.MULTILINE)


@cache
def batches() -> dict[str, Batch]:
    """Return what Windows checks ask, by the names of their batches."""
    found = {SYSTEM.name: SYSTEM}
    for name, check in all_checks().items():
        if name.startswith("windows_"):
            for question in check.questions(yaml.load(check.example, yaml.BaseLoader)):
                found[question.batch.name] = question.batch
    return found


def answer_checks(disk: Disk, settings: Mapping[str, Mapping[str, str]], probe: str, command: str) -> str:
    """Return the frames that a batch's PowerShell prints. A text that is not that batch's own is an error."""
    name = probe.split(".")[1]
    questions = read_items(command, "asked")
    assert command == batches()[name].script(questions), f"{name} is not asked as its check type says"
    known = _registry(disk, questions) if name == "windows-registry" else settings.get(name, {})
    lines = []
    for question in questions:
        lines.append(f"@@ {question}")
        if question in known:
            lines += [f"={line}" for line in known[question].split("\n")] if known[question] else ["@- not there"]
        else:
            lines.append("@! the model was told nothing of it")
    return "\n".join([*lines, "@."])


def _registry(disk: Disk, questions: list[str]) -> dict[str, str]:
    """Ask reg.exe for all values in one batch file; "" = not there."""
    script = ["@echo off"]
    for number, question in enumerate(questions):
        key, _, value = question.partition("!")
        script += [f"echo @@{number}", f'reg query "{key}" /v "{value}"']
    disk.path(r"C:\ask.bat").write_bytes("\r\n".join([*script, ""]).encode("cp437"))
    said = disk.run("cmd", "/d", "/c", r"C:\ask.bat")[1]
    found = dict.fromkeys(questions, "")
    for part in said.split("@@")[1:]:
        place, _, text = part.partition("\n")
        match = _VALUE.search(text)
        if match is not None:
            data = match["data"]
            found[questions[int(place)]] = str(int(data, 16)) if match["type"] == "REG_DWORD" else data
    return found
