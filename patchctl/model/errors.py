"""The error tree. Every error carries a kebab-case code, a message and a hint: what went wrong, where, what to do.

    PatchctlError                 exit 1
    ├── UsageError                exit 2   wrong flags, nothing matched
    ├── DocumentsError            exit 2   invalid files; holds every Problem found
    ├── PlanStaleError            exit 10  policy, bundle or membership moved since the plan
    ├── LockedError               exit 11  another run holds the lock; names the holder
    ├── ConfirmationError         exit 7   window closed, approval or confirmation missing
    ├── CredentialsError          exit 12  a secret could not be resolved
    ├── TrustError                exit 13  audit chain, bundle signature, all hosts' keys
    ├── StoreError                exit 1   database missing, newer schema, disk full
    └── HostError                 exit 4   one host; becomes a HostFailure, stops nothing else
        ├── ConnectError                   name, tcp, banner, key exchange, timeout
        ├── HostKeyError                   unknown, changed or revoked host key
        ├── LoginError                     authentication failed
        ├── PrivilegeError                 sudo, su or doas refused
        └── HostTimeoutError               connect, silence or total deadline passed

A nonzero exit of a remote command is data, never an exception.
"""

from __future__ import annotations

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One finding in a user's file: where, what, and what to do. Lines and columns start at 1; 0 = unknown."""

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""
    source: str = ""
    """The source line itself, for the excerpt with the caret."""


class HostFailure(Struct, frozen=True):
    """Why one host gave no answer: the `error` object of the machine-readable output."""

    code: str
    message: str
    hint: str = ""
    status: str = "error"
    """Host status: unreachable | auth-failed | privilege-failed | host-key | timeout | error."""


class PatchctlError(Exception):
    """Base of all errors meant for people; `exit_code` is what the command returns."""

    exit_code = 1

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class UsageError(PatchctlError):
    exit_code = 2


class DocumentsError(PatchctlError):
    """One or more invalid files. `problems` lists all that were found, not only the first."""

    exit_code = 2

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        count = len(problems)
        super().__init__("invalid-documents", f"{count} problem{'s' if count != 1 else ''} found", "")
        self.problems = problems


class PlanStaleError(PatchctlError):
    exit_code = 10


class LockedError(PatchctlError):
    exit_code = 11


class ConfirmationError(PatchctlError):
    exit_code = 7


class CredentialsError(PatchctlError):
    exit_code = 12


class TrustError(PatchctlError):
    exit_code = 13


class StoreError(PatchctlError):
    exit_code = 1


class StoreChoiceError(StoreError):
    """The store that is named cannot be used as it is, which whoever named it can mend: URL, driver, schema."""

    exit_code = 2


class HostError(PatchctlError):
    """A failure of one host; carried as data (`failure`) past the edge of connect/."""

    exit_code = 4
    status = "error"

    @property
    def failure(self) -> HostFailure:
        return HostFailure(self.code, self.message, self.hint, self.status)


class ConnectError(HostError):
    status = "unreachable"


class HostKeyError(HostError):
    status = "host-key"


class LoginError(HostError):
    status = "auth-failed"


class PrivilegeError(HostError):
    status = "privilege-failed"


class HostTimeoutError(HostError):
    status = "timeout"
