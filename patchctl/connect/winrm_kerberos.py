"""Gets the Kerberos ticket for a WinRM service before anything is said to it: so each failure has words of its own.

MIT's library asks the KDC with time-outs of its own, which nothing cuts; so it is asked in a thread that is left alone
when it takes too long. The ticket lands in the user's cache (KRB5CCNAME), where the login itself then finds it.
"""

from __future__ import annotations

import threading
from typing import Any

from patchctl.connect.winrm_settings import Place
from patchctl.model.errors import LoginError
from patchctl.model.text import one_line

_NO_CREDENTIALS = 458752
"""GSS_S_NO_CRED (RFC 2744, 3.9.1)."""
# Minor codes: MIT's krb5.h (KRB5_ERROR_TABLE_BASE -1765328384 and what stands above it).
_EXPIRED, _UNKNOWN, _SKEW, _UNREACHABLE = -1765328352, -1765328377, -1765328347, -1765328228


def get_ticket(place: Place, seconds: float) -> None:
    """Have a ticket for the place in the cache. Raise LoginError: without one, nothing was sent to the host."""
    failed: list[BaseException] = []

    def act() -> None:
        try:
            _ask(place)
        except BaseException as error:  # noqa: BLE001 - it is carried to the caller's thread, whatever it is
            failed.append(error)

    worker = threading.Thread(target=act, name="kerberos", daemon=True)
    worker.start()
    worker.join(max(0.05, seconds))
    if worker.is_alive():
        raise LoginError("kerberos-late", f"{place.where}: no ticket within {seconds:g} s",
                         "does the KDC of this realm answer? (kvno HTTP/NAME asks it)")
    if failed:
        raise _translated(failed[0], place) from failed[0]


def _ask(place: Place) -> None:
    import kerberos  # the extra patchctl[kerberos]

    client: Any = kerberos
    flags = client.GSS_C_MUTUAL_FLAG | client.GSS_C_SEQUENCE_FLAG
    _, context = client.authGSSClientInit(f"HTTP@{place.service}", gssflags=flags, principal=place.user or None)
    client.authGSSClientStep(context, "")


def _translated(error: BaseException, place: Place) -> BaseException:
    parts = [part for part in error.args if isinstance(part, tuple) and len(part) == 2]
    if len(parts) != 2:
        return error
    major, (said, minor) = parts[0][1], parts[1]
    words = one_line(str(said), 300)
    user, service = place.user or "USER@REALM", f"HTTP/{place.service}"
    name = "address the host by the name its account in the realm has, or set winrm: {kerberos_host: NAME}"
    hints: dict[int, tuple[str, str]] = {
        _EXPIRED: ("kerberos-expired", f"run kinit {user}"),
        _UNKNOWN: ("kerberos-service", name),
        _SKEW: ("kerberos-clock", "set the clocks right, here and at the KDC: at most 5 minutes apart"),
        _UNREACHABLE: ("kerberos-unreachable", "is the realm's KDC right in krb5.conf, and up?"),
    }
    code, hint = hints.get(minor, ("kerberos-failed", f"try: kvno {service}"))
    if major == _NO_CREDENTIALS and code == "kerberos-failed":
        code, hint = "kerberos-no-ticket", f"run kinit {user}, or set KRB5CCNAME or KRB5_CLIENT_KTNAME"
    return LoginError(code, f"{place.where}: no Kerberos ticket for {service}: {words}", hint)
