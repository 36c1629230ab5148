"""What check types ask of Windows hosts, as PowerShell whose output is frames (frames.py), and their common judge.

Never run on Windows; every text is parsed by a PowerShell grammar (tests/windows). Functions of modules do not see the
$ErrorActionPreference of the script that calls them (learn.microsoft.com, "about_Preference_Variables"; CDXML modules
as NetSecurity, SmbShare, Defender are such): each of their calls says -ErrorAction itself, or a host that refuses would
look like one where nothing is set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from patchctl.assess.checks.contract import (
    Answer,
    Answers,
    Args,
    Batch,
    CheckType,
    Flaw,
    Question,
    Unreadable,
)
from patchctl.assess.matching import expectation_flaws, fits, wanted
from patchctl.model.assessment import Item
from patchctl.model.text import quote_powershell

# Tell-Frame QUESTION { lines } frames what the block gives; nothing = it is not there; what it throws = not readable.
_PRELUDE = r"""
$ErrorActionPreference = 'Stop'
function Tell-Frame([string]$question, [scriptblock]$block) {
  "@@ $question"
  try {
    $said = @(& $block)
    if ($said.Count -eq 0) { '@- not there' }
    foreach ($line in $said) { foreach ($part in ("$line" -split "`r?`n")) { "=$part" } }
  } catch [System.Management.Automation.ItemNotFoundException] { '@- not there' }
  catch { "@! $(("$_" -replace '\s+', ' ').Trim())" }
}
"""


def _script(body: str) -> Callable[[Sequence[str]], str]:
    def script(questions: Sequence[str]) -> str:
        asked = ", ".join(map(quote_powershell, questions))
        return f"{_PRELUDE}$asked = @({asked})\n{body}\n'@.'\n"

    return script


def each(block: str) -> Callable[[Sequence[str]], str]:
    """Return the script of a batch that answers each question $q by a block."""
    return _script(f"foreach ($q in $asked) {{ Tell-Frame $q {{ {block} }} }}")


def once(block: str) -> Callable[[Sequence[str]], str]:
    """Return the script of a batch whose only question is `all`."""
    return _script(f"Tell-Frame 'all' {{ {block} }}")


def powershell(name: str, script: Callable[[Sequence[str]], str]) -> Batch:
    return Batch(name, script, root=True, timeout=120, powershell=True)


# In the words of Linux' os-release, so that conditions are judged alike. Names as platforms/windows has them.
SYSTEM = powershell("windows-system", once(r"""
  $key = Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion'
  $version = $key.CurrentVersion
  if ($null -ne $key.CurrentMajorVersionNumber) {
    $version = "$($key.CurrentMajorVersionNumber).$($key.CurrentMinorVersionNumber)"
  }
  "ID=windows"; "VERSION_ID=$version.$($key.CurrentBuild).$($key.UBR)"
"""))  # fmt: skip


class WindowsValue(CheckType):
    """Base of check types that judge one value, without regard to upper and lower case, as Windows does."""

    shell = "powershell"

    def question(self, args: Args) -> Question:
        """Return what is asked."""
        raise NotImplementedError

    def value(self, args: Args, answer: Answer) -> str | None:
        """Return the value in the answer, None = not set. Raise Unreadable."""
        return None if answer.missing else "\n".join(answer.lines)

    def place(self, args: Args) -> str:
        """Return where the value stands, in words."""
        return self.question(args).text

    def flaws(self, args: Args) -> Iterable[Flaw]:
        yield from expectation_flaws(args)

    def questions(self, args: Args) -> Sequence[Question]:
        return [self.question(args)]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        asked = self.question(args)
        value = self.value(args, host.get(asked.batch, asked.text))
        shown = "not set" if value is None else value
        return [Item(self.place(args), wanted(args), shown, fits(args, value, ignore_case=True))]


def properties(answer: Answer) -> dict[str, str]:
    """Read `Name=value` lines; names in lower case. Raise Unreadable when there are none."""
    found = {name.strip().lower(): value.strip() for name, sep, value in (line.partition("=") for line in answer.lines)
             if sep}  # fmt: skip
    if not found:
        raise Unreadable("the answer holds no values")
    return found


class WindowsProperty(WindowsValue):
    """Base of check types that look at one property of one thing: the arguments `subject` and `property`.

    A property that the host does not tell is UNKNOWN, never "not set": it may be misspelt.
    """

    batch: Batch
    subject: str
    """Name of the argument that is asked for."""
    word: str
    """What the thing is called in messages."""
    may_be_empty: tuple[str, ...] = ()
    """Properties for which nothing at all is a value."""

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z0-9:_. -]+", args[self.subject]):
            yield Flaw(self.subject, f"{args[self.subject]!r} cannot be asked for")
        yield from super().flaws(args)

    def question(self, args: Args) -> Question:
        return Question(self.batch, args[self.subject])

    def place(self, args: Args) -> str:
        return f"{self.word} {args[self.subject]} {args['property']}"

    def value(self, args: Args, answer: Answer) -> str | None:
        if answer.missing:
            return None
        name = args["property"]
        found = properties(answer).get(name.lower())
        if found is None:
            raise Unreadable(f"{self.word} {args[self.subject]} tells no {name}: no such property, or it is misspelt")
        if found:
            return found
        if name not in self.may_be_empty:
            raise Unreadable(f"{self.word} {args[self.subject]} tells nothing for {name}")
        return None if args.get("absent") else found
