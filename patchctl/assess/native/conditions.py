"""Conditions under which a rule applies (`when:`): operating system, version, family, container, or any check."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from patchctl.assess.asking.files import READ
from patchctl.assess.asking.frames import END, PRELUDE
from patchctl.assess.asking.windows import SYSTEM
from patchctl.assess.checks.contract import Answers, Batch, Question, Unreadable
from patchctl.assess.native.arguments import suggestion
from patchctl.assess.native.tree import Fault, Node, Path, judge, more_of, questions_of, read_tree
from patchctl.model.assessment import FAIL, NOT_APPLICABLE, PASS, UNKNOWN

KEYS = ("os", "family", "version", "container", "check")
OS_RELEASE = "/etc/os-release"
_VERSION = re.compile(r"(>=|<=|>|<|==?)?\s*([0-9]+(?:\.[0-9]+)*)")


def _virtual(questions: Sequence[str]) -> str:
    return (
        f"{PRELUDE}printf '@@ all\\n'\n"
        "if command -v systemd-detect-virt >/dev/null 2>&1; then echo \"=$(systemd-detect-virt -c)\"\n"
        "elif [ -e /.dockerenv ] || [ -e /run/.containerenv ]; then echo =container\n"
        f"else echo '@! no systemd-detect-virt to tell a container by'; fi\n{END}"
    )


CONTAINER = Batch("container", _virtual, timeout=10)


class Conditions(Struct, frozen=True):
    """All must hold. Empty = no condition of that kind."""

    os: tuple[str, ...] = ()
    family: tuple[str, ...] = ()
    version: tuple[tuple[str, tuple[int, ...]], ...] = ()
    container: bool | None = None
    check: Node | None = None
    shell: str = "sh"
    """The language of the hosts that are asked: sh | powershell."""

    def questions(self) -> list[Question]:
        found = [self._system] if self.os or self.family or self.version else []
        if self.container is not None:
            found.append(Question(CONTAINER))
        return found + (questions_of(self.check) if self.check else [])

    def more(self, host: Answers) -> list[Question]:
        return more_of(self.check, host) if self.check else []

    def judge(self, host: Answers) -> tuple[str, str]:
        """Return (PASS | NOT_APPLICABLE | UNKNOWN | ERROR, reason)."""
        try:
            if refused := self._refused(host):
                return NOT_APPLICABLE, refused
        except Unreadable as why:
            return UNKNOWN, f"whether it applies: {why}"
        if self.check is None:
            return PASS, ""
        outcome = judge(self.check, host)
        if outcome.verdict == FAIL:
            item = next((i for i in outcome.items if i.ok is False), None)
            return NOT_APPLICABLE, f"{item.source}: {item.actual}" if item else "its condition does not hold"
        return outcome.verdict, outcome.reason

    @property
    def _system(self) -> Question:
        return Question(SYSTEM) if self.shell == "powershell" else Question(READ, OS_RELEASE)

    def _refused(self, host: Answers) -> str:
        if self.os or self.family or self.version:
            asked = self._system
            fields = _os_fields(host.get(asked.batch, asked.text).text)
            name, version = fields.get("ID", ""), fields.get("VERSION_ID", "")
            if not name:
                raise Unreadable("the host names no system")
            if self.os and name not in self.os:
                return f"the system is {name}, not {' or '.join(self.os)}"
            if self.family and not {name, *fields.get("ID_LIKE", "").split()} & set(self.family):
                return f"the system is {name}, not of the family {' or '.join(self.family)}"
            actual = tuple(int(n) for n in re.findall(r"\d+", version))
            if self.version and not actual:
                raise Unreadable("the host tells no version of its system")
            if not all(_compare(actual, how, want) for how, want in self.version):
                return f"{name} {version} is of another version"
        if self.container is not None:
            told = host.get(CONTAINER).text.strip()
            if not re.fullmatch(r"[a-z0-9-]+", told):
                raise Unreadable("systemd-detect-virt told nothing")
            inside = told != "none"
            if inside != self.container:
                return "the host is a container" if inside else "the host is no container"
        return ""


def read_conditions(
    data: Any, parameters: Mapping[str, str], path: Path, faults: list[Fault], shell: str = "sh"
) -> Conditions | None:
    """Given the plain data of `when:`, return Conditions; what is wrong goes to `faults`.

    `shell`: the language of the checks they stand beside.
    """
    if not isinstance(data, Mapping):
        faults.append(Fault(path, "invalid-condition", "when: takes a mapping", f"known: {', '.join(KEYS)}"))
        return None
    before = len(faults)
    faults += [Fault((*path, key), "unknown-condition", f"no condition {str(key)!r}", suggestion(str(key), KEYS),
                     key=True) for key in data if key not in KEYS]
    version: list[tuple[str, tuple[int, ...]]] = []
    for part in str(data.get("version", "")).split(",") if "version" in data else ():
        found = _VERSION.fullmatch(part.strip())
        if found is None:
            faults.append(Fault((*path, "version"), "invalid-condition", f"not a version condition: {part.strip()!r}",
                                'write version: ">= 12" or ">= 22.04, < 26"'))
        else:
            version.append((found[1] or "==", tuple(int(n) for n in found[2].split("."))))
    container = data.get("container")
    if container not in (None, True, False):
        faults.append(Fault((*path, "container"), "invalid-condition", "container is true or false"))
    if container is not None and shell != "sh":
        faults.append(Fault((*path, "container"), "invalid-condition", "only Linux hosts tell of containers",
                            "leave it out for Windows", key=True))
    check = read_tree(data["check"], parameters, (*path, "check"), faults) if "check" in data else None
    if len(faults) > before:
        return None
    return Conditions(_texts(data.get("os")), _texts(data.get("family")), tuple(version), container, check, shell)


def _texts(value: Any) -> tuple[str, ...]:
    return () if value is None else tuple(map(str, value)) if isinstance(value, (list, tuple)) else (str(value),)


def _os_fields(text: str) -> dict[str, str]:
    return {key: value.strip().strip("'\"") for key, sep, value in
            (line.partition("=") for line in text.splitlines()) if sep}


def _compare(actual: tuple[int, ...], how: str, want: tuple[int, ...]) -> bool:
    if how in ("=", "=="):
        return actual[: len(want)] == want
    size = max(len(actual), len(want))
    one, two = (v + (0,) * (size - len(v)) for v in (actual, want))
    return {">=": one >= two, "<=": one <= two, ">": one > two, "<": one < two}[how]
