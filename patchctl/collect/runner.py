"""The host runner's protocol: a request value in, a POSIX sh script out; the script's output in, a Reply out. Pure.

A request is rendered with a nonce that only this exchange knows. Every line of the answer that counts begins with
it, so that banners, profile scripts and the payload's own output can say what they like. An answer without its
`end` line is incomplete: whatever was asked for may or may not have happened, and has to be asked again.

    Look      veto, fence, boot id, attempts on the host, free space     changes nothing
    Start     check veto and fence, claim the attempt, launch it         at most once per attempt, ever
    Poll      how the attempt is doing, the end of its log, its result   may call off what never began
    Reboot    restart the host, bound to the boot id it has now
    Cleanup   remove the attempt's spool and staged files, say what is left
    Takeover  give the host to this store and epoch
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from patchctl.collect import runner_bodies, runner_functions, runner_unit
from patchctl.model.errors import UsageError
from patchctl.model.text import decode, quote_sh, strip_control

BASE = "/var/lib/patchctl"
"""Where everything lives on a host, below Controller.root."""
LOG_TAIL = 65536
"""Bytes of the log that Poll asks for, unless told otherwise."""
ATTEMPT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,179}")
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}")
NONCE = re.compile(r"[0-9a-f]{16,64}")
SHA256 = re.compile(r"[0-9a-f]{64}")
BOOT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{8}T\d{6}\.\d{6}Z")
"""Linux: the kernel's random boot_id. Windows: when its first process was started."""


class Controller(Struct, frozen=True):
    """Who asks. Hosts refuse another store, another epoch, and tokens lower than the highest they have seen."""

    store_id: str
    epoch: int
    token: int
    name: str = "patchctl"
    """user@controller: what the host tells others when it refuses them."""
    root: str = ""
    """Prefix of every path on the host; "" but in tests."""
    shell: str = "/bin/sh"
    grace: int = 30
    """Seconds a launched runner whose starter died may take to begin, before its attempt can be called off."""


class Look(Struct, frozen=True):
    paths: Sequence[str] = ("/", "/boot", BASE)
    """Where free space is asked for; of a path that does not exist yet, its nearest parent."""


class Start(Struct, frozen=True):
    attempt: str
    payload: str
    """sh text whose exit status is the attempt's result."""
    inventory: str = "true"
    """sh text that lists what the payload may change; run before and after it."""
    directory: str = ""
    """Where the staged files are."""
    files: Sequence[tuple[str, str]] = ()
    """(sha256, name) of staged files; the attempt is not claimed unless all are there and whole."""


class Poll(Struct, frozen=True):
    attempt: str
    tail: int = LOG_TAIL


class Reboot(Struct, frozen=True):
    boot_id: str
    """The boot id the host must still have; with another one it was restarted already."""


class Cleanup(Struct, frozen=True):
    attempt: str
    directory: str = ""
    """Staging directory to remove as well."""


class Takeover(Struct, frozen=True):
    pass


Request = Look | Start | Poll | Reboot | Cleanup | Takeover


class Reply(Struct, frozen=True):
    """What a host answered: for every key its lines in order. Text in it is stripped of control characters."""

    complete: bool
    lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, key: str) -> str:
        """Return the last line under the key, or "" when there is none."""
        found = self.lines.get(key, ())
        return found[-1] if found else ""

    def all(self, key: str) -> tuple[str, ...]:
        return self.lines.get(key, ())

    @property
    def state(self) -> str:
        """The answer in one word: started, adopted, veto, fenced, failed, running, finished, interrupted ..."""
        return self.get("state") if self.complete else ""

    @property
    def boot_id(self) -> str:
        """The host's boot id, or "" if what came is not one (an error text is not a boot id)."""
        text = self.get("boot")
        return text if BOOT_ID.fullmatch(text) else ""


def staging_directory(rollout: str, root: str = "") -> str:
    """Return where a rollout's files are put on a host: one place for all attempts, so that a retry finds them."""
    check_name("rollout", rollout, ATTEMPT_NAME)
    return f"{root}{BASE}/stage/{rollout}"


def render(request: Request, controller: Controller, nonce: str) -> str:
    """Given a request, who asks, and a fresh hexadecimal nonce, return the sh script.

    Raise UsageError for names that could not be names of files or units.
    """
    check_name("nonce", nonce, NONCE)
    check_name("store id", controller.store_id, WORD)
    check_name("controller's name", controller.name, WORD)
    values = {
        "NONCE": nonce, "ROOT": controller.root, "STORE": controller.store_id, "NAME": controller.name,
        "EPOCH": str(int(controller.epoch)), "TOKEN": str(int(controller.token)), "SHELL_USED": controller.shell,
        "GRACE": str(int(controller.grace)),
    }
    own, body = _body(request, controller, nonce)
    assigned = "\n".join(f"{name}={quote_sh(value)}" for name, value in {**values, **own}.items())
    # One function, called on the last line: a script cut short by a lost link does nothing at all.
    return f"patchctl_main() {{\n{assigned}\n{runner_functions.FUNCTIONS}{body}}}\npatchctl_main </dev/null\n"


def _body(request: Request, controller: Controller, nonce: str) -> tuple[dict[str, str], str]:
    if isinstance(request, Look):
        paths = [check_name("path", controller.root + p, re.compile(r"/[\w./-]*")) for p in request.paths]
        return {"PATHS": " ".join(paths)}, runner_bodies.LOOK
    if isinstance(request, Start):
        check_name("attempt", request.attempt, ATTEMPT_NAME)
        return {"ATTEMPT": request.attempt, "FILES": request.directory}, _start_body(request, controller, nonce)
    if isinstance(request, Poll):
        check_name("attempt", request.attempt, ATTEMPT_NAME)
        return {"ATTEMPT": request.attempt, "TAIL": str(int(request.tail))}, runner_bodies.POLL
    if isinstance(request, Reboot):
        check_name("boot id", request.boot_id, BOOT_ID)
        return {"EXPECTED": request.boot_id}, runner_bodies.REBOOT
    if isinstance(request, Cleanup):
        check_name("attempt", request.attempt, ATTEMPT_NAME)
        if request.directory and not request.directory.startswith(f"{controller.root}{BASE}/stage/"):
            raise UsageError("invalid-name", f"{request.directory!r} is no staging directory")
        return {"ATTEMPT": request.attempt, "FILES": request.directory}, runner_bodies.CLEANUP
    return {}, runner_bodies.TAKEOVER


def _start_body(request: Start, controller: Controller, nonce: str) -> str:
    runner = runner_unit.RUN
    spool = f"{controller.root}{BASE}/runs/{request.attempt}"
    for mark, text in (("@SPOOL@", quote_sh(spool)), ("@ATTEMPT@", request.attempt), ("@SHELL@", controller.shell)):
        runner = runner.replace(mark, text)
    files = "\n".join(f"{check_name('sha256', sha, re.compile('[0-9a-f]{64}'))} {check_name('file name', name, _FILE)}"
                      for sha, name in request.files)
    # The nonce makes the end of each text unguessable; all is put in by one pass, so that no text is searched twice.
    parts = {
        "@SUMS@": f"SUMS-{nonce}", "@PAYLOAD@": f"PAYLOAD-{nonce}", "@LIST@": f"LIST-{nonce}", "@RUN@": f"RUN-{nonce}",
        "@FILELIST@": files, "@PAYLOADTEXT@": _document(request.payload), "@LISTTEXT@": _document(request.inventory),
        "@RUNTEXT@": _document(runner),
    }
    return re.sub("|".join(parts), lambda found: parts[found.group()], runner_bodies.START)


_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~:%-]{0,250}")


def _document(text: str) -> str:
    if "\0" in text:
        raise UsageError("invalid-script", "a shell script cannot hold a NUL byte")
    return text.rstrip("\n")


def check_name(what: str, text: str, pattern: re.Pattern[str]) -> str:
    """Return the text. Raise UsageError unless the whole of it matches."""
    if not pattern.fullmatch(text):
        message = f"{what} {text!r} cannot be used on a host"
        raise UsageError("invalid-name", message, f"it must match {pattern.pattern}")
    return text


def parse_reply(output: bytes, nonce: str) -> Reply:
    """Given all that came back, return the reply. Lines without the nonce at their start are not ours: ignored."""
    mark = f"{nonce} "
    lines: dict[str, list[str]] = {}
    complete = False
    for line in decode(output).split("\n"):
        if complete or not line.startswith(mark):
            continue
        key, _, value = line[len(mark):].partition(" ")
        if key == "end":
            complete = True
        else:
            lines.setdefault(key, []).append(strip_control(value).rstrip("\r"))
    return Reply(complete, {key: tuple(values) for key, values in lines.items()})


def read_packages(lines: Sequence[str]) -> dict[tuple[str, str], str]:
    """Given `package:arch version` lines, return {(package, arch): version}; lines of another form are dropped."""
    found: dict[tuple[str, str], str] = {}
    for line in lines:
        name, _, version = line.strip().partition(" ")
        package, colon, arch = name.rpartition(":")
        if colon and package and version:
            found[package, arch] = version.strip()
    return found


def compare_packages(before: Sequence[str], after: Sequence[str]) -> list[dict[str, str]]:
    """Given two package lists, return what differs: {package, arch, from, to}, "" for absent, sorted by name."""
    old, new = read_packages(before), read_packages(after)
    return [
        {"package": key[0], "arch": key[1], "from": old.get(key, ""), "to": new.get(key, "")}
        for key in sorted(old.keys() | new.keys()) if old.get(key, "") != new.get(key, "")
    ]
