"""A strict reader of ssh_config(5): Host, Match, Include, tokens, quotes, comments; the first value wins.

What it does not understand raises NotUnderstoodError, so that the caller asks the system's ssh instead. It never
guesses: a Match criterion taken as matched would hand one host's user or key to every host.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from patchctl.connect.ssh_config_words import IGNORED, LISTS, RAW, SINGLE

_DEPTH = 16
_MATCH_WITH_ARGUMENT = ("host", "originalhost", "user", "localuser")


class NotUnderstoodError(Exception):
    """A line whose meaning this reader does not know; `ssh -G` has to say."""


class Directive(Struct, frozen=True):
    """One line: keyword in lower case, its words, and for Host and Match what they open."""

    keyword: str
    words: tuple[str, ...]
    where: str
    included: tuple[ConfigFile, ...] = ()


class ConfigFile(Struct, frozen=True):
    """A parsed file. Reading happens once; evaluating it for a host touches no file."""

    path: str
    lines: tuple[Directive, ...] = ()


class Person(Struct, frozen=True):
    """Who runs ssh: for tokens, `Match localuser` and ~."""

    user: str
    home: str


class _Values(Struct):
    """What has been set so far, in the order of the files."""

    single: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)

    def take(self, line: Directive) -> None:
        key, words = line.keyword, line.words
        if key in SINGLE:
            if len(words) != 1:
                raise NotUnderstoodError(f"{line.where}: {key} takes one value")
            if key != "proxyjump" or "proxycommand" not in self.single:
                self.single.setdefault(key, words[0])
        elif key == "proxycommand":  # of ProxyJump and ProxyCommand, the one that comes first counts
            if "proxyjump" not in self.single:
                self.single.setdefault(key, words[0])
        elif key in ("identityfile", "certificatefile"):  # these add up; all other lists are set once
            if len(words) != 1:
                raise NotUnderstoodError(f"{line.where}: {key} takes one value")
            found = self.lists.setdefault(key, [])
            if words[0] not in found:
                found.append(words[0])
        elif key in LISTS:
            self.lists.setdefault(key, list(words))


def parse_file(path: Path, base: Path, depth: int = 0) -> ConfigFile:
    """Read a file and what it includes (relative to `base`). Raise NotUnderstoodError; a missing file is empty."""
    if depth > _DEPTH:
        raise NotUnderstoodError(f"{path}: includes nest deeper than {_DEPTH}")
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ConfigFile(str(path))
    except OSError as error:
        raise NotUnderstoodError(f"{path}: {error.strerror}") from error
    lines = []
    unknown_allowed: list[str] = []
    for number, raw in enumerate(text.split("\n"), 1):
        where = f"{path}:{number}"
        found = _split_keyword(raw, where)
        if found is None:
            continue
        keyword, rest = found
        if not rest:
            raise NotUnderstoodError(f"{where}: {keyword} without a value")
        words = (rest,) if keyword in RAW else tuple(split_words(rest, where))
        if keyword == "ignoreunknown":
            unknown_allowed += words[0].lower().split(",") if words else []
            continue
        if keyword == "include":
            lines.append(Directive(keyword, words, where, tuple(_included(words, base, depth, where))))
            continue
        if keyword not in SINGLE and keyword not in LISTS and keyword not in RAW and keyword not in IGNORED \
                and keyword not in ("host", "match"):
            if any(match_pattern(keyword, pattern) for pattern in unknown_allowed):
                continue
            raise NotUnderstoodError(f"{where}: unknown keyword {keyword}")
        if not words or "" in words:
            raise NotUnderstoodError(f"{where}: {keyword} without a value")
        lines.append(Directive(keyword, words, where))
    return ConfigFile(str(path), tuple(lines))


def _split_keyword(raw: str, where: str) -> tuple[str, str] | None:
    line = raw.rstrip(" \t\r\n\f").lstrip(" \t\r\f")
    if not line or line.startswith("#"):
        return None
    if line.startswith('"'):
        raise NotUnderstoodError(f"{where}: a quoted keyword")
    match = re.match(r"([^ \t=]+)[ \t]*=?[ \t]*(.*)", line, re.DOTALL)
    if match is None:
        raise NotUnderstoodError(f"{where}: no keyword")
    return match[1].lower(), match[2]


def split_words(text: str, where: str) -> Iterator[str]:
    """Split like OpenSSH's argv_split: both kinds of quotes, backslashes, a # that begins a word ends the line."""
    index, size = 0, len(text)
    while index < size:
        if text[index] in " \t":
            index += 1
            continue
        if text[index] == "#":
            return
        word, quote = "", ""
        while index < size:
            char, following = text[index], text[index + 1:index + 2]
            if char == "\\" and (following in ("'", '"', "\\") or (not quote and following == " ")) and following:
                word += following
                index += 1
            elif not quote and char in " \t":
                break
            elif not quote and char in "'\"":
                quote = char
            elif quote and char == quote:
                quote = ""
            else:
                word += char
            index += 1
        if quote:
            raise NotUnderstoodError(f"{where}: a quote is not closed")
        yield word


def _included(words: Sequence[str], base: Path, depth: int, where: str) -> Iterator[ConfigFile]:
    for word in words:
        if "$" in word or "%" in word or (word.startswith("~") and not word.startswith("~/")):
            raise NotUnderstoodError(f"{where}: tokens in Include")
        pattern = os.path.expanduser(word) if word.startswith("~/") else word  # noqa: PTH111 - a pattern, not a path
        if not pattern.startswith("/"):
            pattern = str(base / pattern)
        for name in sorted(glob.glob(pattern)):  # noqa: PTH207 - absolute patterns
            yield parse_file(Path(name), base, depth + 1)


def match_pattern(text: str, pattern: str) -> bool:
    """OpenSSH's match_pattern: * and ? only, case counts."""
    translated = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(translated, text, re.DOTALL) is not None


def match_list(text: str, patterns: str, *, lower: bool) -> bool:
    """OpenSSH's match_pattern_list: comma separated; a negated pattern that matches decides against."""
    found = False
    for item in patterns.split(","):
        negated = item.startswith("!")
        pattern = item[1:] if negated else item
        if match_pattern(text, pattern.lower() if lower else pattern):
            if negated:
                return False
            found = True
    return found


def evaluate(
    files: Sequence[ConfigFile], host: str, person: Person, preset: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the values that hold for a host: single ones and lists. `preset` are those of the command line.

    Raise NotUnderstoodError where only ssh itself can say.
    """
    values = _Values(dict(preset))
    for file in files:
        _walk(file, host, person, values, active=True)
    if values.single.get("canonicalizehostname", "no").lower() != "no":
        raise NotUnderstoodError("CanonicalizeHostname is set")
    return values.single, values.lists


def _walk(file: ConfigFile, host: str, person: Person, values: _Values, *, active: bool) -> None:
    enclosing = active
    for line in file.lines:
        if line.keyword == "host":
            active = enclosing and _host_matches(line.words, host)
        elif line.keyword == "match":
            active = _match_holds(line, host, person, values, active=enclosing)
        elif line.keyword == "include":
            for included in line.included:
                _walk(included, host, person, values, active=active)
        elif active:
            values.take(line)


def _host_matches(patterns: Sequence[str], host: str) -> bool:
    found = False
    for item in patterns:
        negated = item.startswith("!")
        if match_pattern(host, item[1:] if negated else item):
            if negated:
                return False
            found = True
    return found


def _match_holds(line: Directive, host: str, person: Person, values: _Values, *, active: bool) -> bool:
    words = list(split_words(line.words[0].replace("=", " "), line.where))
    if words and words[0].lower() == "all" and len(words) == 1:
        return active
    holds = True
    index = 0
    while index < len(words):
        word = words[index].lower()
        negated = word.startswith("!")
        criterion = word[1:] if negated else word
        if criterion not in _MATCH_WITH_ARGUMENT or index + 1 >= len(words):
            raise NotUnderstoodError(f"{line.where}: Match {words[index]}")
        if _criterion(criterion, words[index + 1], host, person, values) == negated:
            holds = False
        index += 2
    if not words:
        raise NotUnderstoodError(f"{line.where}: Match without a criterion")
    return active and holds


def _criterion(criterion: str, patterns: str, host: str, person: Person, values: _Values) -> bool:
    if criterion == "user":
        return match_list(values.single.get("user", person.user), patterns, lower=False)
    if criterion == "localuser":
        return match_list(person.user, patterns, lower=False)
    name = host
    if criterion == "host" and "hostname" in values.single:
        name = values.single["hostname"].replace("%%", "\0").replace("%h", host).replace("\0", "%")
    return match_list(name.lower(), patterns, lower=True)
