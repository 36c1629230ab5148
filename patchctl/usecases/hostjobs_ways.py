"""What a host job is done with in each language that a host's transport may end in: one entry a shell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType

from msgspec import Struct

from patchctl.collect import fixing, fixing_windows, runner, runner_windows
from patchctl.collect.runner import Controller, Request
from patchctl.deliver import send, send_windows


class Way(Struct, frozen=True):
    """How one shell is spoken to. The modules of an entry have the same functions as those of the others."""

    render: Callable[[Request, Controller, str], str]
    """The runner's text for a request, of who asks, with a nonce."""
    staging_directory: Callable[[str], str]
    """Where a rollout's files are put on the host."""
    sending: ModuleType
    """Brings files there: list_staged, send_artefacts, read_back, drop_staged."""
    fixing: ModuleType
    """Repairs: render_payload, render_listing, render_answer, backup_folder."""


WAYS: Mapping[str, Way] = {
    "sh": Way(runner.render, runner.staging_directory, send, fixing),
    "powershell": Way(runner_windows.render, runner_windows.staging_directory, send_windows, fixing_windows),
}
"""By the shell's name, as usecases.scan.shell_of gives it."""
