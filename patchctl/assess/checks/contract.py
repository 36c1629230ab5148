"""What a check type is: one module of this folder with a module-level `CHECK`; registry.py finds it.

    arguments -> questions -> (one shared probe per batch) -> answers -> items, each ok, not ok, or not to be told

A check type asks *questions*, each of a *batch*: all questions of a batch, of all rules, become one probe, because each
probe costs the host processes. A question is looked up by its text, not by the probe that carried it, so that a
snapshot can be judged by a baseline that asked for less, or for the same things in another rule.

Missing or unreadable answers raise Unreadable, which makes the verdict UNKNOWN; "it is not there" is an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from msgspec import Struct

from patchctl.model.assessment import Item, Remediation

Args = Mapping[str, Any]
"""Arguments of one check, read by its Arguments: str, int, bool or tuple of str. Those left out are not in it."""


class GaveUpError(Exception):
    """A pattern takes more steps on a text than PCRE2 makes: the rule's mistake, in words for who wrote it."""


class Unreadable(Exception):  # noqa: N818 - not an error: the verdict is UNKNOWN, and this is why
    """It cannot be told from what was collected; the message says why."""


class NotApplicable(Exception):  # noqa: N818 - not an error: the verdict is NOT_APPLICABLE, and this is why
    """The question makes no sense on this host; the message says why."""


class Argument(Struct, frozen=True):
    """One argument of a check type. kind: text | texts | whole | flag | mode | pattern | path | glob."""

    name: str
    kind: str
    help: str
    required: bool = False
    choices: tuple[str, ...] = ()


class Flaw(Struct, frozen=True):
    """Something wrong with the arguments of a check. `argument` "" = the check as a whole."""

    argument: str
    message: str
    hint: str = ""
    code: str = "invalid-argument"


class Batch(Struct, frozen=True):
    """A kind of question that one probe answers for all who ask; frames.py tells how its script answers."""

    name: str
    """Part of the probe's id: [a-z0-9-]+."""
    script: Callable[[Sequence[str]], str]
    """Given the questions (sorted, each once), return the text that prints their answers as frames."""
    root: bool = False
    when: str = ""
    timeout: float = 60.0
    cap: int = 4 * 1024 * 1024
    volatile: bool = False
    powershell: bool = False
    """The script is PowerShell, not sh."""
    apart: bool = False
    """Each question is a probe of its own: one that hangs must not take the answers of the others with it."""


class Question(Struct, frozen=True):
    batch: Batch
    text: str = "all"
    """One line without control characters; "all" where a batch answers one thing only."""


class Answer(Struct, frozen=True):
    """What a question came to. `missing`: it is not there, `text` then says so in words of the host or ours."""

    text: str = ""
    rc: int | None = None
    missing: bool = False

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")[:-1] if self.text.endswith("\n") else self.text.split("\n") if self.text else []


class Answers(Protocol):
    """What a host answered."""

    def get(self, batch: Batch, text: str = "all") -> Answer:
        """Return the answer. Raise Unreadable where there is none, with the reason."""
        ...


class CheckType:
    """Base of all check types; see docs/reference/checks.md for what each takes."""

    name: ClassVar[str]
    summary: ClassVar[str]
    """One sentence: what it checks."""
    arguments: ClassVar[tuple[Argument, ...]]
    example: ClassVar[str]
    """Arguments as a YAML flow mapping, as in a rule."""
    shell: ClassVar[str] = "sh"
    repairs: ClassVar[bool] = False
    """Some arguments of it have a repair()."""

    def flaws(self, args: Args) -> Iterable[Flaw]:
        """Return what is wrong between arguments that are each well formed."""
        return ()

    def questions(self, args: Args) -> Sequence[Question]:
        """Return what to ask the host."""
        raise NotImplementedError

    def more(self, args: Args, host: Answers) -> Sequence[Question]:
        """Return questions that follow from answers (files that a file includes). Unreadable may be raised."""
        return ()

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        """Return at least one item. Raise Unreadable or NotApplicable with the reason."""
        raise NotImplementedError

    def repair(self, args: Args) -> Remediation | None:
        """Return an idempotent script (sh run with -eu as root) after which judge() gives ok, or None."""
        return None
