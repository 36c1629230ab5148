"""Judges one rule of a Wazuh SCA policy from a host's answers: found, not found, invalid, or that it cannot be told.

INVALID is Wazuh's word for "there was nothing to look at": a missing file, directory, key, value or program in a rule
that looks at contents. `not` turns found and not found around, never INVALID. In a rule that only asks whether a thing
exists, a missing thing is not found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from patchctl.assess.content.sca import questions, windows
from patchctl.assess.content.sca.answers import (
    ABSENT,
    BROKEN,
    LARGE,
    LATE,
    NOT_STARTED,
    OTHER,
    READ,
    REFUSED,
    STARTED,
    Answer,
    Answers,
    Key,
)
from patchctl.assess.content.sca.grammar import (
    FOUND,
    INVALID,
    NOT_FOUND,
    ODD,
    OSREGEX,
    PCRE2_V5,
    UNSEEN,
    GaveUpError,
    OddError,
    Result,
    Test,
    is_regex,
    match,
    search,
)
from patchctl.assess.content.sca.osregex import match_sregex
from patchctl.model.text import one_line

MAX_FILES = 400
"""Files of one directory rule whose contents are read."""

_UNTOLD = {
    REFUSED: "could not be read: permission denied",
    LARGE: f"more than {questions.TEXT_CAP // 1024} KiB were read and cut",
    BROKEN: "could not be read",
    LATE: f"did not end within {questions.COMMAND_SECONDS} seconds",
}


class Judge(Struct, frozen=True):
    """Judges tests of one policy: its dialect, its regular expressions, and what kind of host it is for."""

    dialect: int
    engine: str
    on_windows: bool

    def questions(self, test: Test) -> Iterator[Key]:
        """Yield what has to be asked of a host for a test in the first script."""
        if not test.kind or test.odd:
            return
        if test.kind == "c":
            if self.dialect == 5 or test.pattern is not None:
                yield self.command(test)
        elif test.kind == "p":
            yield ("p",)
        elif test.kind == "f":
            yield from (("e" if test.pattern is None else "f", target) for target in test.targets)
        else:
            yield from ((test.kind, target) for target in test.targets)

    def command(self, test: Test) -> Key:
        """Return the question of a command test."""
        text = test.targets[0]
        return ("c", text) if self.on_windows else ("c", *questions.split_command(text))

    def limits(self, test: Test) -> list[str]:
        """Return what of a test can never be answered for this kind of host."""
        if self.on_windows and test.kind in ("d", "p"):
            return [f"{test.kind}: rules are not interpreted on Windows"]
        if self.on_windows and test.kind == "r" and windows.split_key(test.targets[0]) is None:
            return [f"unknown registry hive: {one_line(test.targets[0], 60)}"]
        if not self.on_windows and test.kind == "r":
            return ["r: rules are not interpreted on Linux"]
        if test.kind == "c" and not self.command(test)[1:]:
            return ["there is no command"]
        return []

    def follow_up(self, test: Test, answers: Answers) -> Iterator[Key]:
        """Yield the files whose contents a directory test needs, now that their names are known."""
        if test.kind == "d" and test.pattern is not None and test.content is not None and not test.odd:
            for target in test.targets:
                answer = answers.found.get(("d", target))
                if answer is not None and answer.status == READ:
                    try:
                        paths, _ = self.named(test, target, answer)
                    except (OddError, GaveUpError):
                        continue  # judging says so
                    yield from (("f", path) for path in paths[:MAX_FILES])

    def judge(self, test: Test, answers: Answers) -> Result:
        """Return what a test came to, `not` included."""
        odd = [*test.odd, *self.limits(test)]
        if odd:
            return Result(ODD, odd[0])
        handlers: dict[str, Callable[[Test, Answers], Result]] = {
            "f": self.file, "d": self.directory, "p": self.process, "c": self.run, "r": self.registry,
        }  # fmt: skip
        result = handlers[test.kind](test, answers)
        if test.negated and result.state in (FOUND, NOT_FOUND):
            return Result(NOT_FOUND if result.state == FOUND else FOUND, result.reason, result.shown)
        return result

    def lines(self, pattern: str, lines: Sequence[str], *, command: bool = False) -> Result:
        """Judge lines of a file or command by a pattern."""
        if self.engine == PCRE2_V5 and not is_regex(pattern):
            if command:
                whole = "\n".join(lines).strip("\n")
                return Result(FOUND if whole == pattern else NOT_FOUND, shown=whole)
            return Result(FOUND if pattern in lines else NOT_FOUND)
        if self.engine == PCRE2_V5 and command:
            lines = "\n".join(lines).strip("\n").split("\n") if any(lines) else ()
        return match(pattern, lines, self.engine, last_line_counts=command)

    def file(self, test: Test, answers: Answers) -> Result:
        return _any_of(self.one_file(path, test.pattern, answers) for path in test.targets)

    def one_file(self, path: str, pattern: str | None, answers: Answers) -> Result:
        key = ("e" if pattern is None else "f", path)
        answer = answers.found.get(key)
        if answer is None:
            return Result(UNSEEN, f"{path}: {answers.reason(key)}")
        if pattern is None:
            if answer.status == OTHER and self.dialect == 4:
                return Result(INVALID, f"{path} is not a regular file")
            if answer.status in (READ, ABSENT, OTHER):
                return Result(FOUND if answer.status == READ else NOT_FOUND)
            return _untold(path, answer)
        if answer.status in (ABSENT, OTHER):
            return Result(INVALID, f"{path} {'does not exist' if answer.status == ABSENT else 'is no regular file'}")
        return self.lines(pattern, answer.lines) if answer.status == READ else _untold(path, answer)

    def directory(self, test: Test, answers: Answers) -> Result:
        return _any_of(self.one_directory(test, target, answers) for target in test.targets)

    def one_directory(self, test: Test, target: str, answers: Answers) -> Result:
        key = ("d", target)
        answer = answers.found.get(key)
        if answer is None:
            return Result(UNSEEN, f"{target}: {answers.reason(key)}")
        if answer.status in (ABSENT, OTHER):
            why = f"{target} {'does not exist' if answer.status == ABSENT else 'is no directory'}"
            missing = test.pattern is None and (answer.status == ABSENT or self.dialect == 5)
            return Result(NOT_FOUND if missing else INVALID, why)
        if answer.status != READ:
            return _untold(target, answer)
        if test.pattern is None:
            return Result(FOUND)
        try:
            paths, whole = self.named(test, target, answer)
        except OddError as odd:
            return Result(ODD, str(odd))
        except GaveUpError as error:
            return Result(UNSEEN, str(error))
        if test.content is None:
            result = Result(FOUND, shown=paths[0]) if paths else Result(NOT_FOUND)
        else:
            result = _any_of(self.one_file(path, test.content, answers) for path in paths[:MAX_FILES])
            whole = whole and len(paths) <= MAX_FILES
        if result.state in (NOT_FOUND, INVALID) and not whole:
            return Result(UNSEEN, f"{target}: not everything below it could be listed")
        return result

    def named(self, test: Test, target: str, answer: Answer) -> tuple[list[str], bool]:
        """Return the files below a directory whose names fit, and whether all of it could be listed.

        v5 passes over symbolic links, v4 looks at what they lead to. v4 takes `r:` for os_regex whatever the policy's
        regex_type, and any other name for a part of the file's name (sregex).
        """
        entries, whole = questions.read_tree(("d", target), answer)
        wanted = test.pattern or ""
        names = [path for kind, path in entries if kind == "f" or (kind == "l" and self.dialect == 4)]
        if self.dialect == 4:
            if wanted[:2].lower() == "r:":
                return [p for p in names if search(wanted[2:], _base(p), OSREGEX)], whole
            return [p for p in names if match_sregex(wanted, _base(p))], whole
        if is_regex(wanted, numeric=False):
            return [p for p in names if match(wanted, [_base(p)], self.engine).state == FOUND], whole
        return [p for p in names if _base(p) == wanted], whole

    def process(self, test: Test, answers: Answers) -> Result:
        answer = answers.found.get(("p",))
        if answer is None or answer.status != READ:
            why = answers.reason(("p",)) if answer is None else _UNTOLD.get(answer.status, "could not be read")
            return Result(UNSEEN, f"processes: {why}")
        wanted = test.targets[0]
        if self.dialect == 5:
            return Result(FOUND if wanted in answer.lines else NOT_FOUND)
        return match(wanted, answer.lines, self.engine)

    def run(self, test: Test, answers: Answers) -> Result:
        if self.dialect == 4 and test.pattern is None:
            return Result(FOUND, "Wazuh 4 does not run a command that has no pattern")
        key = self.command(test)
        answer = answers.found.get(key)
        if answer is None:
            return Result(UNSEEN, answers.reason(key))
        if answer.status == NOT_STARTED:
            return Result(INVALID, f"{one_line(' '.join(key[1:2]), 80)}: no such program could be started")
        if answer.status != STARTED:
            return _untold(" ".join(key[1:]), answer)
        if test.pattern is None:
            return Result(FOUND)
        return self.lines(test.pattern, answer.lines, command=True)

    def registry(self, test: Test, answers: Answers) -> Result:
        key = ("r", test.targets[0])
        answer = answers.found.get(key)
        if answer is None or answer.status != READ:
            return Result(UNSEEN, answers.reason(key) if answer is None else "could not be read")
        views = windows.read_views(answer)
        if not views:
            return Result(UNSEEN, "the host sent no view of it")
        # Wazuh 4 looks at the 64-bit view first, then at the 32-bit one; Wazuh 5 at the 64-bit view.
        results = [self.view(test, view) for view in (views[:2] if self.dialect == 4 else views[:1])]
        for state in (FOUND, ODD, UNSEEN, NOT_FOUND):
            for result in results:
                if result.state == state:
                    return result
        return results[0]

    def view(self, test: Test, view: windows.View) -> Result:
        name = test.targets[0]
        if view.state == REFUSED:
            return Result(UNSEEN, f"{name}: access denied")
        if view.state == BROKEN:
            return Result(UNSEEN, f"{name}: could not be read")
        if view.state == ABSENT:
            return Result(NOT_FOUND) if test.pattern is None else Result(INVALID, f"{name} does not exist")
        if test.pattern is None:
            return Result(FOUND)
        wanted = test.pattern
        if test.content is None:
            names = [n or "@" if self.dialect == 4 else n for n, _, _ in view.values]
            if self.dialect == 5:
                names = [*view.keys, *names]
                if is_regex(wanted, numeric=False):
                    hits = (match(wanted, [n], self.engine) for n in names if n)
                    return next((h for h in hits if h.state in (FOUND, ODD, UNSEEN)), Result(NOT_FOUND))
            return Result(FOUND if wanted.lower() in (n.lower() for n in names) else NOT_FOUND)
        for value, data_type, data in view.values:
            if (value or "@" if self.dialect == 4 else value).lower() == wanted.lower():
                return self.data(windows.render(data_type, data, self.dialect), test.content)
        return Result(INVALID, f"{name} has no value {one_line(wanted, 80)}")

    def data(self, text: str, pattern: str) -> Result:
        if self.engine == PCRE2_V5:
            if not is_regex(pattern):
                return Result(FOUND if text.lower() == pattern.lower() else NOT_FOUND, shown=text)
            result = match(pattern, text.split("\n") if text else (), self.engine)
            # Wazuh 5 takes a comparison that cannot be made for "not found" in the registry.
            return Result(NOT_FOUND, shown=text) if result.state == INVALID else result
        return match(pattern, [text], self.engine)


def _any_of(results: Iterator[Result]) -> Result:
    """One place of several: the first found counts, then what could not be told, then INVALID, then not found."""
    seen: dict[str, Result] = {}
    for result in results:
        if result.state == FOUND:
            return result
        seen.setdefault(result.state, result)
    return next((seen[s] for s in (UNSEEN, ODD, INVALID, NOT_FOUND) if s in seen), Result(NOT_FOUND))


def _untold(what: str, answer: Answer) -> Result:
    return Result(UNSEEN, f"{one_line(what, 120)}: {_UNTOLD.get(answer.status, 'could not be read')}")


def _base(path: str) -> str:
    return path.rpartition("/")[2]
