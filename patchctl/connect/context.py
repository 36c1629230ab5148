"""What every transport is given: the inventory, host keys, ssh_config, secrets. Shared by all threads."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, field

from patchctl.connect.contract import SecretResolver
from patchctl.connect.endpoint import Endpoint
from patchctl.connect.known_hosts import KnownHosts
from patchctl.connect.refusals import Refusals
from patchctl.model.hosts import Host


class Context(Struct, frozen=True):
    endpoint: Callable[[Host], Endpoint]
    """Completes a host's connection settings. Raises UsageError for settings that cannot work."""
    known_hosts: Callable[[Endpoint], KnownHosts]
    """The host keys known for connections to that endpoint."""
    secrets: SecretResolver
    ssh_config: str = ""
    """Path of the ssh_config to use instead of the user's and the system's ("" = those)."""
    known_hosts_files: tuple[str, ...] = ()
    refusals: Refusals = field(default_factory=Refusals)
