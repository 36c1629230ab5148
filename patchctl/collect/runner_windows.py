"""The host runner's protocol on Windows: the same requests and replies as collect/runner.py, as PowerShell. Pure."""

from __future__ import annotations

from patchctl.collect import runner_windows_bodies as bodies
from patchctl.collect.runner import (
    ATTEMPT_NAME,
    BASE,
    BOOT_ID,
    NONCE,
    SHA256,
    WORD,
    Cleanup,
    Controller,
    Look,
    Poll,
    Reboot,
    Request,
    Start,
    check_name,
)
from patchctl.collect.runner_windows_functions import FUNCTIONS
from patchctl.model.errors import UsageError
from patchctl.model.text import quote_powershell

STAGE = r"C:\ProgramData\patchctl\stage"
"""Where staged files are. ProgramData is where Windows puts it on every host that was not moved by hand; Start refuses
to claim an attempt whose files are not there."""
GRACE = 360
"""Seconds the task scheduler may take to begin: several minutes after a boot are reported."""


def staging_directory(rollout: str) -> str:
    """Return where a rollout's files are put on a Windows host."""
    check_name("rollout", rollout, ATTEMPT_NAME)
    return f"{STAGE}\\{rollout}"


def render(request: Request, controller: Controller, nonce: str) -> str:
    """Given a request, who asks, and a fresh hexadecimal nonce, return the PowerShell script. Raise UsageError."""
    check_name("nonce", nonce, NONCE)
    check_name("store id", controller.store_id, WORD)
    check_name("controller's name", controller.name, WORD)
    lines = [f"$Request = {quote_powershell(type(request).__name__)}"]
    values = {"Nonce": nonce, "Store": controller.store_id, "Name": controller.name}
    own, body = _body(request)
    lines += [f"${name} = {quote_powershell(value)}" for name, value in {**values, **own}.items()]
    numbers = {"Epoch": controller.epoch, "Token": controller.token, "Grace": max(controller.grace, GRACE)}
    if isinstance(request, Poll):
        numbers["Tail"] = request.tail
    lines += [f"${name} = [long]{int(value)}" for name, value in numbers.items()]
    lists = {}
    if isinstance(request, Look):
        lists["Paths"] = [path for path in request.paths if path in ("/", BASE)]  # there is no /boot
    if isinstance(request, Start):
        lists["FileList"] = [f"{check_name('hash', sha, SHA256)} {_file(name)}" for sha, name in request.files]
    lines += [f"${name} = @({', '.join(map(quote_powershell, items))})" for name, items in lists.items()]
    # One block, called on its last line: a script cut short by a lost link does nothing at all.
    return "& {\n" + "\n".join(lines) + f"\n{FUNCTIONS}{body}}}\n"


def _body(request: Request) -> tuple[dict[str, str], str]:
    if isinstance(request, Look):
        return {}, bodies.LOOK
    if isinstance(request, Start):
        check_name("attempt", request.attempt, ATTEMPT_NAME)
        return {
            "Attempt": request.attempt, "Files": request.directory, "Payload": request.payload,
            "List": request.inventory, "Run": bodies.RUN,
        }, bodies.START  # fmt: skip
    if isinstance(request, Poll):
        return {"Attempt": check_name("attempt", request.attempt, ATTEMPT_NAME)}, bodies.POLL
    if isinstance(request, Reboot):
        return {"Expected": check_name("boot id", request.boot_id, BOOT_ID)}, bodies.REBOOT
    if isinstance(request, Cleanup):
        if request.directory and not request.directory.startswith(f"{STAGE}\\"):
            raise UsageError("invalid-name", f"{request.directory!r} is no staging directory")
        attempt = check_name("attempt", request.attempt, ATTEMPT_NAME)
        return {"Attempt": attempt, "Files": request.directory}, bodies.CLEANUP
    return {}, bodies.TAKEOVER


def _file(name: str) -> str:
    if not name or any(character in name for character in '\\/:*?"<>|\n\r'):
        raise UsageError("invalid-name", f"{name!r} cannot be a file on a Windows host", "")
    return name
