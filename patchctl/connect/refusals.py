"""Remembers refused passwords for a run: one that was wrong is never sent to that host again, because hosts count.

pam_faillock counts every wrong password (and, where the sudo that asks again cannot be killed, that second prompt too):
a few visits with the same one would lock the account.
"""

from __future__ import annotations

from patchctl.model.errors import HostError, LoginError, PrivilegeError


class Refusals:
    """What was refused, by host name. Shared by all threads of a run; a dict's single operations are atomic."""

    def __init__(self) -> None:
        self._become: dict[str, PrivilegeError] = {}
        self._login: dict[str, LoginError] = {}

    def note_become(self, host: str, error: PrivilegeError) -> None:
        if error.code.endswith(("-password-wrong", "-locked")):
            self._become[host] = error

    def note_login(self, place: str, error: LoginError) -> None:
        self._login[place] = error

    def check_become(self, host: str) -> None:
        """Raise the earlier refusal of this host, if there was one."""
        _raise(self._become.get(host))

    def check_login(self, place: str) -> None:
        """Raise the earlier refusal of a login password there, if there was one."""
        _raise(self._login.get(place))


def _raise(error: HostError | None) -> None:
    if error is not None:
        raise type(error)(error.code, error.message, error.hint)
