"""A second, independent and much smaller SCA interpreter: asks a host directly, one question at a time.

It shares no code with patchctl: own splitting, own matching (a plain backtracking matcher for os_regex, Python's re for
PCRE2), own conditions. Used to check verdicts on real hosts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Run = Callable[[list[str]], tuple[int, bytes]]
"""Runs words on the host: exit code and stdout with stderr."""

YES, NO, INVALID = "yes", "no", "invalid"
CLASSES: dict[str, Callable[[str], bool]] = {
    "d": lambda c: c in "0123456789", "w": lambda c: c.isascii() and (c.isalnum() or c in "-@_"),
    "s": lambda c: c == " ", "t": lambda c: c == "\t", ".": lambda _: True,
    "p": lambda c: c in "()*+,-.:;<=>?[]!\"'#$%&|{}",
}  # fmt: skip
CLASSES |= {up: (lambda c, low=low: not CLASSES[low](c)) for up, low in (("D", "d"), ("W", "w"), ("S", "s"))}  # type: ignore[misc]


def osregex(pattern: str, text: str) -> list[str] | None:
    """Return the captured groups, or None when nothing matches."""
    for part in re.split(r"(?<!\\)\|", pattern):
        begin, end = part.startswith("^"), part.endswith("$") and not part.endswith("\\$")
        body = part[begin : len(part) - end]
        if body:
            for start in range(1 if begin else len(text) + 1):
                groups = step(body, 0, text, start, end, [])
                if groups is not None:
                    return [text[a:b] for a, b in zip(groups[::2], groups[1::2], strict=False)]
    return None


def step(body: str, at: int, text: str, pos: int, end: bool, marks: list[int]) -> list[int] | None:
    while at < len(body) and body[at] in "()":
        marks, at = [*marks, pos], at + 1
    if at == len(body):
        return marks if not end or pos == len(text) else None
    if body[at] == "\\" and body[at + 1] in CLASSES:
        fits = CLASSES[body[at + 1]]
        more = body[at + 2 : at + 3]
        if more in ("+", "*"):
            reach = pos
            while reach < len(text) and fits(text[reach]):
                reach += 1
            for stop in range(reach, pos + (more == "+") - 1, -1):
                if (found := step(body, at + 3, text, stop, end, marks)) is not None:
                    return found
            return None
        return step(body, at + 2, text, pos + 1, end, marks) if pos < len(text) and fits(text[pos]) else None
    char, width = (body[at + 1], 2) if body[at] == "\\" else (body[at], 1)
    if pos < len(text) and text[pos].lower() == char.lower():
        return step(body, at + width, text, pos + 1, end, marks)
    return None


class Oracle:
    def __init__(self, dialect: int, run: Run, variables: dict[str, str]) -> None:
        self.dialect, self.run, self.variables = dialect, run, variables

    def check(self, condition: str, rules: list[str]) -> str:
        results = [self.rule(rule) for rule in rules]
        if condition.startswith("all"):
            return "FAIL" if NO in results else "NOT_APPLICABLE" if INVALID in results else "PASS"
        if YES in results:
            return "PASS" if condition.startswith("any") else "FAIL"
        if INVALID in results:
            return "NOT_APPLICABLE"
        return "FAIL" if condition.startswith("any") else "PASS"

    def rule(self, rule: str) -> str:
        negated = rule.startswith("not ")
        rule = rule.removeprefix("not ").strip()
        for name in sorted(self.variables, key=len, reverse=True):
            rule = rule.replace(name, self.variables[name])
        kind, _, rest = rule.partition(":")
        parts = rest.split(" -> ")
        result = getattr(self, f"rule_{kind.lstrip('!')}")(parts)
        if result == INVALID:
            return INVALID
        return {YES: NO, NO: YES}[result] if negated else str(result)

    def rule_f(self, parts: list[str]) -> str:
        names = parts[0].split(",") if self.dialect == 4 else parts[:1]
        found = [self.one_file(name, " -> ".join(parts[1:])) for name in names]
        return YES if YES in found else INVALID if INVALID in found else NO

    def one_file(self, name: str, pattern: str) -> str:
        if not pattern:
            if self.run(["test", "-f", name])[0] == 0:
                return YES
            return INVALID if self.dialect == 4 and self.run(["test", "-e", name])[0] == 0 else NO
        if self.run(["test", "-f", name])[0]:
            return INVALID
        return self.content(self.run(["cat", name])[1].decode("utf-8", "replace").splitlines(), pattern)

    def rule_d(self, parts: list[str]) -> str:
        if self.run(["test", "-d", parts[0]])[0]:
            return NO if len(parts) == 1 else INVALID
        if len(parts) == 1:
            return YES
        kinds = ["(", "-type", "f", "-o", "-type", "l", ")"] if self.dialect == 4 else ["-type", "f"]
        names = self.run(["find", "-H", parts[0].rstrip("/"), *kinds])[1].decode().splitlines()
        hits = [n for n in names if self.named(parts[1], n.rsplit("/", 1)[-1])]
        if len(parts) == 2:
            return YES if hits else NO
        found = [self.one_file(name, " -> ".join(parts[2:])) for name in hits]
        return YES if YES in found else INVALID if INVALID in found else NO

    def named(self, pattern: str, name: str) -> bool:
        if self.dialect == 5:
            return self.content([name], pattern) == YES if re.match("!?r:", pattern) else pattern == name
        if pattern.startswith("r:"):
            return osregex(pattern[2:], name) is not None
        return (pattern.lstrip("!").lower() in name.lower()) != pattern.startswith("!")

    def rule_p(self, parts: list[str]) -> str:
        names = self.run(["ps", "-A", "-o", "comm="])[1].decode().splitlines()
        return (YES if parts[0] in names else NO) if self.dialect == 5 else self.content(names, parts[0])

    def rule_c(self, parts: list[str]) -> str:
        pattern = " -> ".join(parts[1:])
        if not pattern and self.dialect == 4:
            return YES
        found = re.findall(r'(?:"(?:\\.|[^"\\])*"|\\.|[^ "\\])+', parts[0])
        words = [re.sub(r'\\(.)|"', lambda m: m.group(1) or "", word) for word in found]
        if self.run(["sh", "-c", 'command -v "$1"', "sh", words[0]])[0]:
            return INVALID
        output = self.run(words)[1].decode("utf-8", "replace")
        if not pattern:
            return YES
        if self.dialect == 5 and not re.match("!?[rn]:", pattern):
            return YES if output.strip("\n") == pattern else NO
        return self.content((output.strip("\n") if self.dialect == 5 else output).splitlines(), pattern)

    def content(self, lines: list[str], pattern: str) -> str:
        terms = pattern.split(" && ")
        if self.dialect == 5:
            if not re.match("!?[rn]:", pattern):
                return YES if pattern in lines else NO
            if len(terms) == 1 and terms[0].startswith("!"):
                return YES if lines and all(self.term(terms[0][1:], line) == NO for line in lines) else NO
        for line in lines:
            if all((self.term(t.lstrip("!"), line) == YES) != t.startswith("!") for t in terms):
                return YES
        return NO

    def term(self, term: str, line: str) -> str:
        if term.startswith("r:"):
            return YES if self.search(term[2:], line) is not None else NO
        if term.startswith("n:"):
            expression, _, compare = term[2:].partition(" compare ")
            groups = self.search(expression, line)
            if groups is None:
                return NO
            operator, number = re.search(r"([=<>!]+)\s*(\d+)", compare).groups()  # type: ignore[union-attr]
            if operator.startswith("="):
                operator = "=="
            return YES if eval(f"{int(groups[0])} {operator} {int(number)}") else NO  # two integers and an operator
        same = term == line if self.dialect == 5 else term.lower() == line.lower()
        return YES if same else NO

    def search(self, pattern: str, line: str) -> list[Any] | None:
        if self.dialect == 4:
            return osregex(pattern, line)
        found = re.search(pattern, line, re.I | re.M)
        return None if found is None else list(found.groups() or [found.group()])
