"""How a script becomes root: a state machine without I/O that all transports share.

    exec line ──> "login" line ──> [our prompt ──> password, once] ──> "ready" line ──> script

The exec line must survive any login shell (sh, bash, csh, tcsh, fish): its words are single-quoted and hold none of
the characters that one of them treats specially inside quotes. It says that the login shell works, empties the
environment and starts the escalation with the inner shell; in a /bin/sh of its own, except for sudo, which needs to be
told nothing of the login user. The inner shell says which user it is and then reads the script up to a marker, so that
a script cut off on the way is never run.

Every line of ours carries a nonce: banners, motd and chatty profiles cannot imitate it. The password is sent only
after a prompt that carries the nonce (sudo), or directly after our nonce line and in the form of a password prompt (su
and doas cannot be told a prompt). A second prompt means that the password was wrong: it is never sent twice, because
pam_faillock counts; and the sudo that asks again is killed, because it would count the end of its input as well.
"""

from __future__ import annotations

import re
from typing import NoReturn

from msgspec import Struct

from patchctl.connect.privilege_words import explain_refusal
from patchctl.model.errors import ConnectError, HostTimeoutError, LoginError, PrivilegeError
from patchctl.model.hosts import Become
from patchctl.model.text import decode, one_line

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CHATTER_LIMIT = 4 * 1024 * 1024
"""Bytes a login may print before the ready line."""

_TAIL = 64 * 1024
# csh expands ! even inside single quotes, fish reads \ there, and no shell can hold ' or a newline in csh's.
_UNSAFE = re.compile(r"['!\\\n\r\0]")
_FEW = ("env", "-i", f"PATH={PATH}", "LC_ALL=C", "TERM=dumb")
_ENVIRONMENT = f'env -i "PATH={PATH}" "HOME=$HOME" "USER=$USER" "LOGNAME=$LOGNAME" LC_ALL=C TERM=dumb "$@"'
_EXPIRED = re.compile(r"(?i)password has expired|password change required|account (?:has )?expired")
_ANY_PROMPT = re.compile(rb"(?i)(?:pass(?:word|phrase|code)|passwor[td]|kennwort|mot de passe)[^\n]{0,80}: ?$")


class Ascent(Struct, frozen=True):
    """What to start on the host: as whom, by which means, on a terminal or not."""

    nonce: str
    become: Become | None = None
    """None or method "none": stay the login user."""
    has_password: bool = False
    terminal: bool = False
    streaming: bool = False
    """More input follows the script (uploads): the inner shell must not read past the marker."""

    @property
    def method(self) -> str:
        return self.become.method if self.become is not None else "none"

    @property
    def prompt(self) -> str:
        return f"[patchctl {self.nonce} password]"

    @property
    def marker(self) -> str:
        return f"#patchctl:{self.nonce}:end"


def quote_login(word: str) -> str:
    """Quote one word for whatever login shell there is. Raise ValueError if some shell would change it."""
    if _UNSAFE.search(word):
        raise ValueError(f"cannot be passed safely through every login shell: {word!r}")
    return f"'{word}'"


def exec_line(ascent: Ascent) -> str:
    """Return the command line for the remote login shell."""
    login = f"echo patchctl:{ascent.nonce}:login"
    if ascent.method == "sudo" and not ascent.terminal:
        words = [*_FEW, *_escalation(ascent), "/bin/sh", "-c", _inner(ascent)]
        return f"{login}; exec " + " ".join(quote_login(word) for word in words)
    outer = f"{login}; exec {_ENVIRONMENT}"
    if ascent.terminal:
        outer = "stty raw -echo; " + outer
    words = [outer, "patchctl", *_escalation(ascent), "/bin/sh", "-c", _inner(ascent)]
    if ascent.method == "su":  # su takes the command as one word and runs the shell itself
        words = [*words[:-3], "-c", words[-1]]
    return "exec /bin/sh -c " + " ".join(quote_login(word) for word in words)


def script_input(ascent: Ascent, script: str) -> bytes:
    """Return what to send after the ready line: the script and the marker that says it is whole."""
    if ascent.marker in script:
        raise ValueError("the script holds its own end marker")
    return f"{script.rstrip()}\n{ascent.marker}\n".encode()


def end_asking(ascent: Ascent) -> str:
    """Return a script for the login user that kills the sudo of this ascent: it has his real user id while it asks."""
    return (
        "for p in /proc/[0-9]*; do c=; read -r c <$p/comm && [ \"$c\" = sudo ] || continue; "
        f"grep -q {ascent.nonce} $p/cmdline && kill -9 ${{p#/proc/}}; done 2>/dev/null"
    )


def _escalation(ascent: Ascent) -> list[str]:
    become = ascent.become
    if become is None or become.method == "none":
        return []
    flags = [flag for flag in become.flags if flag not in ("-H", "-S", "-n", "-k")]
    if become.method == "sudo":
        asking = ["-S", "-p", ascent.prompt] if ascent.has_password else ["-n"]
        return ["sudo", "-H", *asking, *flags, "-u", become.user, "--"]
    if become.method == "su":
        return ["su", *flags, "-s", "/bin/sh", become.user]
    if become.method == "doas":
        return ["doas", *([] if ascent.has_password else ["-n"]), *flags, "-u", become.user, "--"]
    raise PrivilegeError("become-unknown", f"unknown become method {become.method!r}", "use sudo, su, doas or none")


def _inner(ascent: Ascent) -> str:
    ready = f"patchctl:{ascent.nonce}:ready"
    # Every process costs the host: it asks id only where there is no Linux /proc. The script finds the answer in the
    # variable and need not ask again.
    hello = (
        'cd /; umask 022; patchctl_uid=; while read -r k l u s; do case $k in Uid:) patchctl_uid=$u; break;; esac; '
        'done 2>/dev/null </proc/$$/status; case $patchctl_uid in "") patchctl_uid=$(id -u);; esac; '
        f'echo "{ready}:$patchctl_uid:$$"; '
    )
    if not ascent.terminal:
        hello += f"echo {ready} >&2; "
    if not ascent.streaming:
        return hello + (
            f's=$(sed "/{ascent.marker}/q"); case $s in *"{ascent.marker}") eval "$s" </dev/null;; *) exit 97;; esac'
        )
    # `read` takes no byte beyond its line from a pipe (POSIX), so the rest of the input is left to the script.
    return hello + (
        'n=$(echo; echo _); n=${n%_}; s=; while IFS= read -r l; do '
        f'case $l in "{ascent.marker}") eval "$s"; exit;; esac; s=$s$l$n; done; exit 97'
    )


class Step(Struct, frozen=True):
    """What the transport has to do next: send the password, or go on with the script."""

    kind: str
    """password | ready | terminal (start again on a terminal; nothing was sent yet)"""
    uid: str = ""
    pid: str = ""
    rest: bytes = b""
    """Bytes of stdout behind the ready line: they are the script's."""


class Escalation:
    """Reads what the host prints from the start of the exec line to the ready line. Holds state, does no I/O."""

    def __init__(self, ascent: Ascent, where: str) -> None:
        self._ascent = ascent
        self._where = where
        self._out = b""
        self._err = b""
        self._seen = 0
        self._sent = False
        self._logged_in = False
        nonce = ascent.nonce.encode()
        self._login = b"patchctl:" + nonce + b":login"
        self._ready = re.compile(b"patchctl:" + nonce + rb":ready:(\d+):(\d+)\r?\n")

    @property
    def logged_in(self) -> bool:
        """Whether the login shell started ours."""
        return self._logged_in

    def feed(self, stdout: bytes, stderr: bytes) -> Step | None:
        """Take what arrived; return what to do, or None to wait for more. Raise HostError when refused."""
        self._seen += len(stdout) + len(stderr)
        self._out, self._err = self._out + stdout, self._err + stderr
        if not self._logged_in and self._login in self._out:
            self._logged_in = True
            self._out = self._out.split(self._login, 1)[1].lstrip(b"\r\n")
        ready = self._ready.search(self._out)
        if ready is not None:
            return Step("ready", ready[1].decode(), ready[2].decode(), self._out[ready.end():])
        self._out, self._err = self._out[-_TAIL:], self._err[-_TAIL:]
        if self._seen > CHATTER_LIMIT:
            raise ConnectError(
                "output-too-large", f"{self._where}: more than {CHATTER_LIMIT // 2**20} MB before the shell was ready",
                "look at the start files of the login shell",
            )
        if self._ascent.method == "none" or not self._logged_in:
            return None
        if not self._ascent.terminal and self._needs_terminal():
            return Step("terminal")
        self._check_refusal()
        return self._answer_prompt()

    def end(self, status: int | None) -> NoReturn:
        """The command ended without a ready line: raise the HostError that says why."""
        said = one_line(decode(self._said())[-600:])
        if not self.logged_in and _EXPIRED.search(said):
            raise LoginError(
                "password-expired", f"{self._where}: the login user's password or account has expired: {said}",
                "renew it on the host (chage, passwd)",
            )
        if not self.logged_in:
            raise LoginError(
                "login-shell",
                f"{self._where}: the login shell does not run commands"
                + (f" (exit {status})" if status is not None else "") + (f": {said}" if said else ""),
                "give the login user a working shell (not nologin, no forced command)",
            )
        if self._ascent.method == "none":
            raise LoginError("login-shell", f"{self._where}: /bin/sh did not start: {said}", "")
        raise explain_refusal(self._ascent.method, decode(self._said()), self._where, sent=self._sent, status=status)

    def stalled(self, seconds: float) -> NoReturn:
        """No ready line within the deadline: raise the HostError that says where it hangs."""
        said = one_line(decode(self._said())[-300:])
        shown = f"; it last said: {said}" if said else ""
        if not self._seen:
            raise HostTimeoutError(
                "silence-timeout", f"{self._where}: logged in, but no answer to a command within {seconds:g} s",
                "the host may hang: look at its load, its memory and the file system of the home folder",
            )
        if not self.logged_in:
            raise LoginError(
                "login-shell", f"{self._where}: the login shell gave no answer within {seconds:g} s{shown}",
                "look at the start files of the login shell",
            )
        method = self._ascent.method
        raise PrivilegeError(
            f"{method}-timeout", f"{self._where}: {method} gave no answer within {seconds:g} s{shown}",
            "a prompt other than the password's cannot be answered (one-time codes, lecture with a question)",
        )

    def _said(self) -> bytes:
        """What was said since the login line (before it: everything), our own prompts left out."""
        out = self._out + b"\n" if self._out else b""
        return (out + self._err).replace(self._ascent.prompt.encode(), b"")

    def _needs_terminal(self) -> bool:
        said = self._out + self._err
        return any(word in said for word in (
            b"you must have a tty to run sudo", b"must be run from a terminal", b"doas: a tty is required",
        ))

    def _check_refusal(self) -> None:
        error = explain_refusal(
            self._ascent.method, decode(self._said()), self._where, sent=self._sent, status=None, final=False
        )
        if error is not None:
            raise error

    def _answer_prompt(self) -> Step | None:
        prompts = self._prompts()
        if not prompts:
            return None
        if self._sent and prompts > 1:
            raise explain_refusal(self._ascent.method, "Sorry, try again.", self._where, sent=True, status=None)
        if self._sent:
            return None
        if not self._ascent.has_password:
            raise explain_refusal(
                self._ascent.method, "a password is required", self._where, sent=False, status=None)
        self._sent = True
        return Step("password")

    def _prompts(self) -> int:
        if self._ascent.method == "sudo":
            wanted = self._ascent.prompt.encode()
            return self._out.count(wanted) + self._err.count(wanted)
        if not self.logged_in:
            return 0
        # su and doas cannot be told a prompt: only an unfinished line after our nonce line that asks for a password
        # counts. They exit after one wrong password, so there is no second prompt to tell apart.
        return 1 if _ANY_PROMPT.search(self._said().rstrip(b"\r\n")) else 0
