"""Turns whatever escaped a command into a message for people and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback

import click

from patchctl.model.errors import DocumentsError, PatchctlError
from patchctl.model.text import strip_control


def report_failure(error: BaseException) -> int:
    """Print what went wrong on stderr; return the exit code that goes with it."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort):
        print("patchctl: stopped", file=sys.stderr)
        return 130
    if isinstance(error, click.ClickException):
        error.show()
        return 2
    if isinstance(error, DocumentsError):
        from patchctl.report.problems import render_text

        print(render_text(error.problems, ()), end="", file=sys.stderr)
        print(f"patchctl: {error.message}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, PatchctlError):
        print(strip_control(f"patchctl: error[{error.code}]: {error.message}"), file=sys.stderr)
        if error.hint:
            print(strip_control(f"  hint: {error.hint}"), file=sys.stderr)
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        return 0
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        print(f"patchctl: the output could not be written: {error.strerror}", file=sys.stderr)
        print("  hint: free space where it goes, then ask again; what was done is recorded", file=sys.stderr)
        return 1
    print(f"patchctl: internal error: {type(error).__name__}: {strip_control(str(error))}", file=sys.stderr)
    if os.environ.get("PATCHCTL_TRACEBACK"):
        traceback.print_exception(error)
    else:
        print("  hint: set PATCHCTL_TRACEBACK=1 for the traceback and report it", file=sys.stderr)
    return 1
