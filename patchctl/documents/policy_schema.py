"""The schema of policies/*.yaml (docs/schemas/policy.json comes from it)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from patchctl.documents.fields import (
    Budget,
    Date,
    Duration,
    Filled,
    Flag,
    Free,
    Name,
    Pattern,
    Read,
    Shorthand,
    Strict,
    Text,
    Texts,
    Whole,
    fail,
    one_of,
    read_budget,
    read_date,
    read_list,
    read_text,
)
from patchctl.documents.health import HealthEntry
from patchctl.documents.inventory_schema import REBOOT_WORDS
from patchctl.model.localtime import parse_zone
from patchctl.model.policy import CLASSIFICATIONS, CONFIRM_RANGE
from patchctl.model.units import format_duration

SEVERITIES = ("low", "medium", "important", "critical")
UNINSTALL = (
    r'^(?:dism|"?[A-Za-z]:(?:\\[A-Za-z0-9][A-Za-z0-9 ._()-]*)+\.exe"?(?: [/A-Za-z0-9-][A-Za-z0-9=_.:/-]*)*)$'
)
"""What can stand in a batch file as it is: dism, or a program by its whole path with plain arguments."""
VERDICTS = ("approved", "pending", "rejected", "deferred")


def _read_timezone(value: Any) -> str:
    text = read_text(value)
    try:
        parse_zone(text)
    except ValueError as error:
        raise fail("unknown-timezone", str(error)) from error
    return text


def _read_rings(value: Any) -> Any:
    """Refuse an empty list: somebody who wrote it may mean "none", and would get everything at once."""
    if isinstance(value, list) and not value:
        raise fail("empty-value", "a list of rings names at least one", "leave rings out to patch all at once")
    return value


def _read_classifications(value: Any) -> Any:
    """Take one word for a list of one, and refuse an empty list: it would match everything."""
    if isinstance(value, list) and not value:
        raise fail("empty-value", "a list of classifications names at least one", "write one, or remove the key")
    return read_list(value)


def _read_blackout(value: Any) -> str:
    text = read_text(value)
    first, slash, last = text.partition("/")
    if not slash:
        raise fail("invalid-date-range", f"not a range of days: {text!r}", "write 2026-12-18/2027-01-04")
    if read_date(first) > read_date(last):
        raise fail("invalid-date-range", f"the range ends before it begins: {text!r}", "both days are included")
    return text


def _read_size(value: Any) -> str:
    text = read_text(value) if isinstance(value, str) else value
    return "rest" if text == "rest" else read_budget(text)


def _read_notify(value: Any) -> Any:
    """Let one text stand for its words: a command line, or mailto:ADDRESS."""
    if isinstance(value, str):
        import shlex

        try:
            value = shlex.split(read_text(value))
        except ValueError as error:
            raise fail("invalid-command", f"not a command line: {error}", "balance the quotes") from error
    if isinstance(value, list) and not (value and str(value[0]).strip()):
        raise fail("empty-value", "nobody would be told", "write a command or mailto:ADDRESS, or remove the key")
    return value


Timezone = Annotated[str, Read(_read_timezone, {"type": "string"})]
DayRange = Annotated[
    str, Read(_read_blackout, {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d/\d{4}-\d\d-\d\d$"}),
]
Size = Annotated[
    str, Read(_read_size, {"type": ["string", "integer"], "pattern": r"^(rest|\d+|\d+(\.\d+)?\s*%)$"}),
]
Words = Annotated[
    list[Text], Shorthand(_read_notify),
]

Classifications = Annotated[list[Annotated[str, one_of(*CLASSIFICATIONS)]], Shorthand(_read_classifications)]


CONDITIONS = frozenset({"package", "security", "known_exploited", "severity", "classification", "after", "hosts"})


class ApprovalSection(Strict):
    """One entry of approve or reject; everything that is set must hold."""

    package: Filled = ""
    security: Flag | None = None
    known_exploited: Flag | None = None
    severity: Annotated[str, one_of(*SEVERITIES)] = ""
    classification: Classifications = Field(default_factory=list)
    after: Duration = 0.0
    hosts: Pattern = ""
    reason: Text = ""
    until: Date = ""


class ApproveSection(ApprovalSection):
    """One entry of approve: it has a condition."""

    @model_validator(mode="after")
    def it_has_a_condition(self) -> ApproveSection:
        if not self.model_fields_set & CONDITIONS:
            raise fail("empty-value", "an entry without a condition would approve every update at once",
                       'write {package: "*"} if that is meant')
        return self


class RejectSection(ApprovalSection):
    """One entry of reject: it needs a reason, for whoever asks why an update is missing."""

    reason: Filled


class RemoveSection(Strict):
    """One entry of remove: packages that an approved update may replace or remove, and why."""

    package: Filled
    hosts: Pattern = ""
    reason: Filled


class RingSection(Strict):
    """One ring: which hosts, when, and what must happen before the next one."""

    name: Name
    hosts: Pattern = ""
    size: Size = ""
    window: Filled | None = None
    soak: Duration = 0.0
    approval: Annotated[str, one_of("operator", "second-person")] = ""


class LimitsSection(Strict):
    """Budgets; crossing one halts the rollout."""

    concurrency: Budget = "10%"
    errors: Budget = "0"
    unreachable: Budget = "5%"
    changed: Budget = "5%"
    host_time: Duration = 5400.0
    retries: Whole = 2
    confirm: Duration = 180.0

    @model_validator(mode="after")
    def time_to_log_in(self) -> LimitsSection:
        least, most = CONFIRM_RANGE
        if not least <= self.confirm <= most:
            raise fail("invalid-confirm", f"confirm: {format_duration(self.confirm)} is not between "
                       f"{format_duration(least)} and {format_duration(most)}",
                       "the time in which patchctl must log in anew after a fix of the way in; 3m suits most")
        if "confirm" in self.model_fields_set and self.confirm * 2 > self.host_time:
            raise fail("invalid-confirm", "confirm: is more than half of host_time, in which the fixes must fit too",
                       "raise host_time:, or lower confirm:")
        return self

    @model_validator(mode="after")
    def some_concurrency(self) -> LimitsSection:
        if re.fullmatch(r"0+(\.0+)?\s*%?", self.concurrency):
            raise fail("invalid-budget", "a concurrency of 0 never starts a host", "write at least 1")
        return self


def _read_file_uri(value: Any) -> str:
    text = read_text(value)
    name = r"[A-Za-z0-9][A-Za-z0-9._+~-]*\.(?:msi|msu|cab|exe)"
    if not re.fullmatch(rf"https?://[^\s/]+/(?:[^\s?#]*/)?{name}", text, re.IGNORECASE):
        raise fail("invalid-package-file", f"not the address of a Windows package: {text!r}",
                   "write https://SERVER/PATH/NAME.msi (or .msu, .cab, .exe)")
    return text


class PackageSection(Strict):
    """A file for Windows hosts on which an older version of the program is installed, or the update is missing."""

    package: Text
    version: Text = ""
    file: Annotated[str, Read(_read_file_uri, {"type": "string", "pattern": r"^https?://.+\.(msi|msu|cab|exe)$"})]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Whole
    security: Flag | None = None
    severity: Annotated[str, one_of(*SEVERITIES)] = ""
    uninstall: Annotated[str, Field(pattern=UNINSTALL)] = ""

    @model_validator(mode="after")
    def it_is_known_how_it_is_taken_off(self) -> PackageSection:
        kind = self.file.rpartition(".")[2].lower()
        if self.uninstall and (kind == "msi" or (self.uninstall == "dism") == (kind == "exe")):
            raise fail("uninstall-unfit", f"uninstall: {self.uninstall!r} does not fit a .{kind}",
                       "a program with arguments for .exe, dism for .msu and .cab, none for .msi")
        return self

    @model_validator(mode="after")
    def programs_have_versions(self) -> PackageSection:
        if not self.version and not re.fullmatch(r"KB\d+", self.package):
            raise fail("package-version-missing", f"{self.package} has no version", "write version: of the file")
        return self


def _each_package_once(entries: list[PackageSection]) -> list[PackageSection]:
    """Refuse two files of one program or update: both would be installed."""
    seen: set[str] = set()
    for entry in entries:
        name = entry.package.lower()
        if name in seen:
            raise fail("package-twice", f"packages: offers {entry.package} twice", "keep one file of it")
        seen.add(name)
    return entries


class NotifySection(Strict):
    """Whom to tell: a command, or mailto:ADDRESS."""

    halted: Words = Field(default_factory=list)
    finished: Words = Field(default_factory=list)


class ApprovalTest(Strict):
    """An update as it might come, and what this policy must say of it."""

    update: Text
    security: Flag | None = None
    known_exploited: Flag | None = None
    severity: Annotated[str, one_of(*SEVERITIES)] = ""
    classification: Classifications = Field(default_factory=list)
    host: Text = ""
    released: Date
    date: Date
    expect: Annotated[str, one_of(*VERDICTS)]


class PolicyFile(Strict):
    """A patch policy."""

    policy: Name
    title: Text = ""
    hosts: Pattern = "all"
    owner: Text = ""
    approve: list[ApproveSection] = Field(default_factory=list)
    reject: list[RejectSection] = Field(default_factory=list)
    remove: list[RemoveSection] = Field(default_factory=list)
    deadline: dict[Literal["low", "medium", "important", "critical", "default"], Duration] = Field(default_factory=dict)
    timezone: Timezone = "UTC"
    blackout: Annotated[list[DayRange], Shorthand(read_list)] = Field(default_factory=list)
    stage: Duration = 0.0
    rings: Annotated[list[RingSection], BeforeValidator(_read_rings)] = Field(default_factory=list, min_length=1)
    limits: LimitsSection = LimitsSection()
    bundle: Annotated[str, one_of("proven-in-previous-ring")] = ""
    refresh: Annotated[str, one_of("auto", "never", "always")] = "auto"
    reboot: Annotated[str, one_of(*REBOOT_WORDS)] = "if_required"
    on_failure: Annotated[str, one_of("halt", "continue", "rollback")] = "halt"
    packages: Annotated[list[PackageSection], AfterValidator(_each_package_once)] = Field(default_factory=list)
    health: list[HealthEntry] = Field(default_factory=list)
    notify: NotifySection = NotifySection()
    tests: list[ApprovalTest] = Field(default_factory=list)
    approvers: Texts | None = Field(default=None, description="accepted, without effect yet")
    drain: Free | None = Field(default=None, description="accepted, without effect yet")


WITHOUT_EFFECT = ("approvers", "drain", "bundle", "deadline", "stage")
"""Keys read and checked whose feature is not built yet; validate says so."""
FAILURE_NOTES = {
    "continue": ("'on_failure: continue' does what halt does: the rollout goes on until limits.errors is crossed",
                 "set limits.errors to what may fail"),
}
"""on_failure values that are accepted, and do not do what their name says: (message, hint)."""
