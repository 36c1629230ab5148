"""Turns whatever escaped a command into a message for people and an exit code."""

from __future__ import annotations

import os
import sys
import traceback

import click

from patchctl.model.errors import DocumentsError, PatchctlError, Problem
from patchctl.model.text import strip_control


def format_problem(problem: Problem) -> str:
    """Return file:line:col, code and message, the source line with a caret, and the hint."""
    where = f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file
    lines = [f"{where}: error[{problem.code}]: {problem.message}"]
    if problem.source:
        number = str(problem.line)
        lines.append(f"  {number} | {problem.source}")
        lines.append(f"  {' ' * len(number)} | {' ' * max(0, problem.column - 1)}^")
    if problem.hint:
        lines.append(f"  hint: {problem.hint}")
    return strip_control("\n".join(lines))


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
        for problem in error.problems:
            print(format_problem(problem), file=sys.stderr)
        print(f"patchctl: {error.message}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, PatchctlError):
        print(strip_control(f"patchctl: error[{error.code}]: {error.message}"), file=sys.stderr)
        if error.hint:
            print(strip_control(f"  hint: {error.hint}"), file=sys.stderr)
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        return 0
    print(f"patchctl: internal error: {type(error).__name__}: {strip_control(str(error))}", file=sys.stderr)
    if os.environ.get("PATCHCTL_TRACEBACK"):
        traceback.print_exception(error)
    else:
        print("  hint: set PATCHCTL_TRACEBACK=1 for the traceback and report it", file=sys.stderr)
    return 1
