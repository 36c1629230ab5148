"""Transport "local": commands run on this machine, by the same protocol as over ssh."""

from __future__ import annotations

import getpass
import os

from patchctl.connect.context import Context
from patchctl.connect.contract import Command, Result
from patchctl.connect.conversation import Shell, converse
from patchctl.connect.pipe import Pipe
from patchctl.connect.subprocess_pipe import ProcessPipe
from patchctl.connect.terminal_pipe import TerminalPipe
from patchctl.model.errors import PrivilegeError
from patchctl.model.hosts import Host


class LocalTransport:
    """Runs scripts with /bin/sh on the controller itself."""

    name = "local"

    def __init__(self, context: Context) -> None:
        self._context = context

    def open(self, host: Host) -> LocalSession:
        return LocalSession(host, self._context)


class LocalSession:
    """Commands on this machine; nothing is held open between them."""

    def __init__(self, host: Host, context: Context) -> None:
        self.host = host
        self._context = context
        self._terminal = False

    def run(self, command: Command) -> Result:
        """Run one command. Raise PrivilegeError when root was asked for and refused."""
        if command.become:
            self._context.refusals.check_become(self.host.name)
        where, user = f"{self.host.name} (this machine)", getpass.getuser()
        shell = Shell(self.host, where, _start, self._context.secrets, user, self._terminal)
        try:
            outcome = converse(shell, command)
        except PrivilegeError as error:
            self._context.refusals.note_become(self.host.name, error)
            raise
        self._terminal = self._terminal or outcome.terminal
        if outcome.stray:
            converse(shell, Command(outcome.stray, become=command.become, timeout=10.0, silence=10.0, cap=4096))
        return outcome.result

    def close(self) -> None:
        """Nothing is open."""


def _start(line: str, *, terminal: bool) -> Pipe:
    argv = ["/bin/sh", "-c", line]
    env = {**os.environ, "USER": getpass.getuser(), "LOGNAME": getpass.getuser()}
    return TerminalPipe(argv, env) if terminal else ProcessPipe(argv, env)


TRANSPORT = LocalTransport
