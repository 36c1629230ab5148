"""Reads the documentation: pages, fenced blocks, links, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]))

_FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`(patchctl [^`]+)`")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block. `info` is what follows the backticks: a language, then words for the tests.

    console            commands after `$ ` run in a project made by `patchctl init`; they must exit 0
    console new        ... in an empty folder
    console lab        ... in a project of lab hosts, page after page in one project
    console no-run: R  not run, for the reason R; options are checked all the same
    yaml inventory | policy | settings   loaded by patchctl; policy-part: some keys of a policy
    yaml ... no-check: R                 not loaded, for the reason R
    """

    page: Path
    line: int
    info: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def language(self) -> str:
        return self.info.split(" ")[0]

    @property
    def words(self) -> list[str]:
        return re.sub(r"no-\w+:.*", "", self.info).split()[1:]

    @property
    def reason(self) -> str | None:
        """Why the block is not run or checked; None = it is."""
        found = re.search(r"\bno-(?:run|check):(.*)", self.info)
        return found[1].strip() if found else None

    @property
    def commands(self) -> list[str]:
        """The command lines, without comments behind them."""
        lines = [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]
        return [re.sub(r"\s{2,}# .*", "", line) for line in lines]


def read_blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for found in _FENCE.finditer(text):
        yield Block(page, text[: found.start()].count("\n") + 1, found[1].strip(), found[2])


def all_blocks() -> list[Block]:
    return [block for page in PAGES for block in read_blocks(page)]


def read_links(page: Path) -> Iterator[str]:
    yield from _LINK.findall(_FENCE.sub("", page.read_text("utf-8")))


def read_anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as GitHub makes them."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in _HEADING.findall(text)}


def read_invocations(page: Path) -> Iterator[list[str]]:
    """Yield the words of every patchctl command line on the page, in blocks and in the text."""
    for block in read_blocks(page):
        for command in block.commands if block.language == "console" else ():
            for part in re.split(r"&&|\||;", command):
                words = shlex.split(part)
                if words[:1] == ["patchctl"]:
                    yield words[1:]
    for text in _INLINE.findall(_FENCE.sub("", page.read_text("utf-8").replace("\\|", " "))):
        yield re.split(r"\s+", text)[1:]
