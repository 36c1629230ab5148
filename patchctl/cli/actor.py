"""Who gives the command, as it is recorded: user@machine, with the person behind sudo."""

from __future__ import annotations

import getpass
import os
import socket


def current_actor() -> str:
    """Return user@machine; through sudo: the person first, as in `jane as root@ctl`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid{os.getuid()}"
    person = os.environ.get("SUDO_USER", "")
    who = f"{person} as {user}" if person and person != user else user
    return f"{who}@{socket.gethostname()}"
