"""Opens sessions to the hosts of an inventory by whatever transport each one has."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from patchctl.connect.context import Context
from patchctl.connect.contract import SecretResolver, Session, Transport
from patchctl.connect.endpoint import Endpoint
from patchctl.connect.known_hosts import KnownHosts, load_known_hosts
from patchctl.connect.registry import transport_factory
from patchctl.connect.resolve import Resolver, refuse_unresolved
from patchctl.model.hosts import Host, Inventory


class Connections:
    """One per run; thread-safe. Reads known_hosts and ssh_config once, shares jump hosts' connections."""

    def __init__(
        self,
        inventory: Inventory,
        *,
        known_hosts: Sequence[Path],
        ssh_config: Path | None,
        secrets: SecretResolver,
        transports: Mapping[str, Transport] | None = None,
    ) -> None:
        """`transports` puts ready-made ones in place of those by name (a fake, a stand-in for a test)."""
        self._files = tuple(str(path) for path in known_hosts)
        self._lock = threading.Lock()
        self._known: dict[tuple[str, ...], KnownHosts] = {}
        self._transports: dict[str, Transport] = dict(transports or {})
        self._context = Context(
            endpoint=Resolver(inventory, ssh_config).endpoint,
            known_hosts=self.known_hosts,
            secrets=secrets,
            ssh_config=str(ssh_config) if ssh_config is not None else "",
            known_hosts_files=self._files,
        )

    def open(self, host: Host) -> Session:
        """Return a session that is logged in. Raise HostError, or CredentialsError when a secret cannot be had."""
        refuse_unresolved(host)
        return self.transport(host.connection.transport).open(host)

    def endpoint(self, host: Host) -> Endpoint:
        """Return where a host is reached and as whom, jump hosts included. Raise UsageError."""
        return self._context.endpoint(host)

    def transport(self, name: str) -> Transport:
        """Return the transport of that name. Raise UsageError for a name that none has."""
        with self._lock:
            if name not in self._transports:
                self._transports[name] = transport_factory(name)(self._context)
            return self._transports[name]

    def close(self) -> None:
        """Close what the transports share (connections to jump hosts)."""
        with self._lock:
            transports = list(self._transports.values())
        for transport in transports:
            close = getattr(transport, "close", None)
            if close is not None:
                close()

    def known_hosts(self, endpoint: Endpoint) -> KnownHosts:
        """Return the host keys that count for an endpoint; each set of files is read once."""
        files = tuple(dict.fromkeys((*self._files, *endpoint.known_hosts)))
        with self._lock:
            if files not in self._known:
                self._known[files] = load_known_hosts([Path(name).expanduser() for name in files])
            return self._known[files]
