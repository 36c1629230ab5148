"""What a host may be called, where it may be, and as whom it may be visited: nothing a shell or option could be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# The characters of limit patterns must not be in names, or a pattern could not tell them apart.
HOST_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_IPV6: Final = r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[\w.-]+)?"
"""With a zone, perhaps (RFC 4007)."""
ADDRESS: Final = re.compile(rf"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|{_IPV6}", re.ASCII)
"""Letters beyond ASCII look like others: such names are written in Punycode."""
USER: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f-][^\x00-\x1f\x7f-\x9f]*")
NAME_HINT: Final = "use letters, digits, '-', '_' and '.'"


def first_bad_name(names: Iterable[str]) -> str | None:
    """Return the first that is neither a host name nor (as Ansible allows) an IPv6 address; None if all are."""
    return next((name for name in names if not HOST_NAME.fullmatch(name) and not re.fullmatch(_IPV6, name)), None)
