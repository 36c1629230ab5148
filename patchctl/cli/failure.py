"""Turns whatever escaped a command into a message for people, a document for programs, and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from patchctl.cli.interrupts import Terminated
from patchctl.model.errors import DocumentsError, PatchctlError
from patchctl.model.text import strip_control

_DOCUMENTS = ("json", "jsonl", "yaml")
"""Formats whose readers get a document when a command fails: an empty stdout is no JSON."""


def report_failure(error: BaseException, argv: Sequence[str] = ()) -> int:
    """Print what went wrong on stderr; return the exit code that goes with it.

    Where `argv` asks for JSON, JSON lines or YAML, and the command has written nothing yet, stdout gets the same as
    a document (schema patchctl/error/1).
    """
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    code, found = _tell(error)
    fmt = format_asked(argv)
    if fmt in _DOCUMENTS and not getattr(sys.stdout, "used", True):
        from patchctl.cli.output import Document, emit

        data = {**found, "exit_code": code, "summary": {"exit_code": code}}
        try:
            emit(Document("patchctl/error/1", data), fmt)
        except OSError:
            return code  # told on stderr already
    return code


def format_asked(argv: Sequence[str]) -> str:
    """Return what the arguments give to -o or --output ("" = nothing): a command line that is wrong has no context."""
    words = list(argv[: argv.index("--")] if "--" in argv else argv)
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if word in ("-o", "--output"):
            return following
        if word.startswith("--output="):
            return word.partition("=")[2]
        if word.startswith("-") and not word.startswith("--") and "o" in word:
            return word.partition("o")[2] or following
    return ""


def _tell(error: BaseException) -> tuple[int, dict[str, Any]]:
    """Print the message; return the exit code, and the `error` (code, message, hint) with the `problems` of files."""
    if isinstance(error, Terminated) or isinstance(error.__cause__, Terminated):  # click makes an Abort of it
        print("patchctl: stopped by a signal", file=sys.stderr)
        return 143, _errors("stopped", "stopped by a signal")
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        print("patchctl: stopped", file=sys.stderr)
        return 130, _errors("stopped", "stopped by the user")
    if isinstance(error, click.ClickException):
        error.show()
        return 2, _errors("usage", error.format_message())
    if isinstance(error, DocumentsError):
        from patchctl.report.problems import problem_data, render_text

        print(render_text(error.problems, ()), end="", file=sys.stderr)
        print(f"patchctl: {error.message}", file=sys.stderr)
        problems = [problem_data(problem) for problem in error.problems]
        return error.exit_code, {**_errors(error.code, error.message), "problems": problems}
    if isinstance(error, PatchctlError):
        print(strip_control(f"patchctl: error[{error.code}]: {error.message}"), file=sys.stderr)
        if error.hint:
            print(strip_control(f"  hint: {error.hint}"), file=sys.stderr)
        return error.exit_code, _errors(error.code, error.message, error.hint)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        message, hint = f"the output could not be written: {error.strerror}", (
            "free space where it goes, then ask again; what was done is recorded")
        print(f"patchctl: {message}\n  hint: {hint}", file=sys.stderr)
        return 1, _errors("not-written", message, hint)
    if isinstance(error, OSError) and error.filename is not None:
        message = strip_control(f"{os.fsdecode(error.filename)}: {error.strerror}")
        print(f"patchctl: error[file]: {message}", file=sys.stderr)
        print("  hint: check that it is there, and whose it is", file=sys.stderr)
        code = 1 if error.errno == errno.EROFS else 2
        return code, _errors("file", message, "check that it is there, and whose it is")
    message = f"{type(error).__name__}: {strip_control(str(error))}"
    print(f"patchctl: internal error: {message}", file=sys.stderr)
    if os.environ.get("PATCHCTL_TRACEBACK"):
        traceback.print_exception(error)
    else:
        print("  hint: set PATCHCTL_TRACEBACK=1 for the traceback and report it", file=sys.stderr)
    return 1, _errors("internal", message, "set PATCHCTL_TRACEBACK=1 for the traceback and report it")


def _errors(code: str, message: str, hint: str = "") -> dict[str, Any]:
    return {"error": {"code": code, "message": strip_control(message), "hint": strip_control(hint)}}
