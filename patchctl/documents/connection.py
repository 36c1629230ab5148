"""Merged settings -> a Connection, and secret references from their text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from patchctl.documents.loader import Vaulted
from patchctl.model.hosts import Become, Connection, SecretRef, Timeouts

OPTION_PREFIX = "ssh_options."
WINRM_PREFIX = "winrm."


class SettingError(Exception):
    """A setting that cannot be used, in words."""


def secret_ref(value: Any, origin: str) -> SecretRef:
    """Given a reference as written (`env:NAME`, inline vault text), return it as a value; nothing is resolved."""
    if isinstance(value, SecretRef):
        return value
    if isinstance(value, Vaulted):
        return SecretRef("vault", str(value), origin)
    scheme, _, rest = str(value).partition(":")
    return SecretRef(scheme, rest.strip(), origin)


def build_connection(settings: Mapping[str, Any], place_of: Callable[[str], str], factor: float = 1.0) -> Connection:
    """Given merged settings, return the connection.

    `place_of` tells where a setting was written (file:line:column); `factor` stretches the timeouts.
    """
    defaults_become, defaults_timeouts = Become(), Timeouts()

    def secret(key: str) -> SecretRef | None:
        return secret_ref(settings[key], place_of(key)) if settings.get(key) is not None else None

    become = Become(
        method=settings.get("become.method", defaults_become.method),
        user=settings.get("become.user", defaults_become.user),
        password=secret("become.password"),
        flags=tuple(settings.get("become.flags", ())),
    )
    timeouts = Timeouts(
        connect=settings.get("timeouts.connect", defaults_timeouts.connect) * factor,
        silence=settings.get("timeouts.silence", defaults_timeouts.silence) * factor,
        total=settings.get("timeouts.total", defaults_timeouts.total) * factor,
        factor=factor,
    )
    transport = settings.get("connection", "ssh")
    winrm = {k[len(WINRM_PREFIX) :]: str(value) for k, value in settings.items() if k.startswith(WINRM_PREFIX)}
    options = {k[len(OPTION_PREFIX) :]: str(value) for k, value in settings.items() if k.startswith(OPTION_PREFIX)}
    return Connection(
        transport=transport, address=settings.get("address", ""), port=settings.get("port"),
        user=settings.get("user", ""), password=secret("password"), keys=tuple(settings.get("keys", ())),
        key_passphrase=secret("passphrase"), jump=tuple(settings.get("jump", ())), become=become, timeouts=timeouts,
        options=options, winrm=winrm if transport == "winrm" else {},
    )
