"""What sudo, su and doas say (in the C locale) when they refuse, and what that means. Pure.

Texts from sudo 1.8-1.9 and sudo-rs, util-linux and shadow su, OpenDoas 6.8, Linux-PAM's pam_faillock and pam_unix.
"""

from __future__ import annotations

import re
from typing import Literal, overload

from msgspec import Struct

from patchctl.model.errors import PrivilegeError
from patchctl.model.text import one_line


class _Refusal(Struct, frozen=True):
    pattern: re.Pattern[str]
    code: str
    """Without the method's prefix: password-wrong, denied ..."""
    message: str
    hint: str


def _refusal(pattern: str, code: str, message: str, hint: str) -> _Refusal:
    return _Refusal(re.compile(pattern, re.IGNORECASE | re.MULTILINE), code, message, hint)


# The first match wins: a locked account also says "incorrect password".
_REFUSALS = (
    _refusal(
        r"account is locked|account locked|account (?:has been )?temporarily locked|too many authentication failures",
        "locked", "the account is locked after failed passwords (pam_faillock)",
        "unlock it with: faillock --user USER --reset; then correct the password's source",
    ),
    _refusal(
        r"password (?:has )?expired|account (?:has )?expired|account validation failure|password change required|"
        r"required to change your password|new password:",
        "password-expired", "the password or the account has expired", "set a new password on the host",
    ),
    _refusal(
        r"is not in the sudoers|is not allowed to (?:execute|run)|may not run sudo|i'm sorry .* i'm afraid i can't do|"
        r"^doas: operation not permitted|permission denied \(?.*wheel|su: permission denied",
        "denied", "the login user may not become root this way",
        "allow it in the host's sudoers or doas.conf, or set another user or become method",
    ),
    _refusal(
        r"a password is required|no tty present and no askpass|a terminal is required to read the password|"
        r"interactive authentication is required|doas: authentication required",
        "password-missing", "a password is asked for and none is configured",
        "set become: {password: ...}, or allow NOPASSWD for this user",
    ),
    _refusal(
        r"sorry, try again|incorrect password attempt|authentication failure|doas: authentication failed|"
        r"incorrect authentication attempt|su: authentication failure|maximum \d+ incorrect",
        "password-wrong", "the password was refused; it was sent once and is not tried again in this run",
        "correct the become password's source; if it is right, the account may be locked: faillock --user USER",
    ),
    _refusal(
        r"(?:env|exec).*(?:sudo|su|doas)\W.*(?:no such file|not found|permission denied)|(?:sudo|su|doas): not found",
        "missing", "not installed, or not executable for this user",
        "set become: {method: sudo | su | doas | none} to what the host has",
    ),
    _refusal(
        r"effective uid is not 0|must be owned by uid 0|nosuid|no new privileges|must be setuid root",
        "broken", "cannot work on this host", "check its file mode and the mount options of its file system",
    ),
    _refusal(
        r"parse error|syntax error|no valid sudoers|unable to (?:open|stat|read) .*sudoers|doas is not enabled",
        "broken", "its configuration is broken or missing on the host", "check it with visudo -c (doas -C)",
    ),
    _refusal(
        r"unknown user|user .* does not exist|does not exist or the user entry", "user-unknown",
        "the become user does not exist on the host", "set become: {user: root}",
    ),
)


# What the dynamic loader and the shells say on the way (ld.so(8): a preload that cannot be had is ignored; glibc's
# symbol versions; locales): every program that is started says it again, and it means nothing for who asks for root.
_NOISE = re.compile(
    r"^(?:ERROR: ld\.so: object .* cannot be preloaded .*: ignored\.?|\S+: \S+: no version information available "
    r"\(required by .*\)|\S*sh: (?:line \d+: )?warning: setlocale: .*|perl: warning: .*)\r?$\n?", re.MULTILINE)


def drop_noise(said: str) -> str:
    """Return what was said without the lines of loader and shells; all of it when nothing else was said."""
    own = _NOISE.sub("", said)
    return own if own.strip() else said


@overload
def explain_refusal(
    method: str, said: str, where: str, *, sent: bool, status: int | None, final: Literal[True] = True
) -> PrivilegeError: ...


@overload
def explain_refusal(
    method: str, said: str, where: str, *, sent: bool, status: int | None, final: Literal[False]
) -> PrivilegeError | None: ...


def explain_refusal(
    method: str, said: str, where: str, *, sent: bool, status: int | None, final: bool = True
) -> PrivilegeError | None:
    """Given what `method` (sudo, su, doas) printed, return the error it means.

    sent: whether a password was sent. final: the command has ended; otherwise None when nothing is recognised.
    """
    said = drop_noise(said)
    for refusal in _REFUSALS:
        match = refusal.pattern.search(said)
        if match is None:
            continue
        code = refusal.code
        if code == "password-wrong" and not sent:
            code, found = "password-missing", _by_code("password-missing")
        else:
            found = refusal
        start = said.rfind("\n", 0, match.start()) + 1
        shown = one_line(said[start:].partition("\n")[0][-400:], 200)
        return PrivilegeError(
            f"{method}-{code}", f"{where}: {method}: {found.message}" + (f" ({shown})" if shown else ""), found.hint
        )
    if not final:
        return None
    shown = one_line(said[-600:], 300) or "it said nothing"
    exited = f", exit {status}" if status is not None else ""
    return PrivilegeError(
        f"{method}-failed", f"{where}: {method} did not start the root shell{exited}: {shown}",
        f"try it by hand as the login user: {method} ... /bin/sh -c id",
    )


def _by_code(code: str) -> _Refusal:
    return next(refusal for refusal in _REFUSALS if refusal.code == code)
