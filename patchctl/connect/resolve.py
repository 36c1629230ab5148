"""Completes a host's connection settings: the inventory's first, then ssh_config, then ssh's defaults."""

from __future__ import annotations

import getpass
import re
import threading
from pathlib import Path

from msgspec.structs import replace

from patchctl.connect.endpoint import Endpoint
from patchctl.connect.paramiko_login import agent_socket
from patchctl.connect.ssh_settings import SshSettings, load_ssh_settings
from patchctl.model.errors import UsageError
from patchctl.model.hosts import Connection, Host, Inventory

_JUMP = re.compile(r"(?:(?P<user>[^@]+)@)?(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d+))?")
_DEFAULT_KEYS = ("id_rsa", "id_ecdsa", "id_ed25519")
_LONGEST_CHAIN = 8


class Resolver:
    """Turns hosts into endpoints. Thread-safe."""

    def __init__(self, inventory: Inventory, ssh_config: Path | None) -> None:
        self._inventory = inventory
        self._settings = load_ssh_settings(ssh_config)
        self._user = getpass.getuser()
        self._lock = threading.Lock()
        self._jumps: dict[tuple[str, ...], Endpoint] = {}

    def endpoint(self, host: Host) -> Endpoint:
        """Return where and as whom to log in. Raise UsageError for settings that cannot work."""
        return self._endpoint(host, ())

    def _endpoint(self, host: Host, through: tuple[str, ...]) -> Endpoint:
        refuse_unresolved(host)
        connection = host.connection
        written = connection.address or host.name
        found = self._settings.lookup(written, connection.user, connection.options)
        return self._complete(host.name, written, connection, found, self._chain(host, found, through))

    def _complete(
        self, name: str, written: str, connection: Connection, found: SshSettings, jumps: tuple[Endpoint, ...]
    ) -> Endpoint:
        if found.revoked_host_keys and connection.transport != "openssh":
            raise UsageError(
                "revoked-host-keys", f"{name}: ssh_config sets RevokedHostKeys, which only ssh itself can read",
                "mark the keys @revoked in known_hosts, or set connection: openssh for this host",
            )
        explicit = bool(connection.keys)
        by_password = connection.password is not None and not explicit
        keys = connection.keys or (() if by_password else found.identity_files or _default_keys())
        agent = found.identity_agent
        if agent == "SSH_AUTH_SOCK" or not agent:
            agent = agent_socket()
        # What the inventory names is what is used: an agent is asked only where it names nothing, or names a .pub file.
        wants_agent = not by_password and (not explicit or any(_needs_agent(Path(key).expanduser()) for key in keys))
        return Endpoint(
            name=name,
            address=found.host_name or written,
            port=connection.port or found.port or 22,
            user=connection.user or found.user or self._user,
            keys=tuple(str(Path(key).expanduser()) for key in keys),
            explicit_keys=explicit,
            certificates=tuple(str(Path(file).expanduser()) for file in found.certificate_files),
            passphrase=connection.key_passphrase,
            password=connection.password,
            agent="" if agent == "none" or not wants_agent else agent,
            agent_only_listed=explicit or found.identities_only,
            host_key_alias=found.host_key_alias,
            known_hosts=found.known_hosts_files,
            timeouts=connection.timeouts,
            bind_address=found.bind_address,
            family=found.address_family or "any",
            jumps=jumps,
        )

    def _chain(self, host: Host, found: SshSettings, through: tuple[str, ...]) -> tuple[Endpoint, ...]:
        if host.name in through or len(through) >= _LONGEST_CHAIN:
            raise UsageError(
                "jump-loop", f"the jump hosts of {through[0]} lead in a circle: {' -> '.join((*through, host.name))}",
                "correct jump: in the inventory or ProxyJump in ssh_config",
            )
        written = host.connection.jump
        if not written and host.site in self._inventory.sites:
            written = self._inventory.sites[host.site].jump
        if not written:
            if host.connection.transport == "openssh":
                return ()  # ssh reads ProxyJump and ProxyCommand from its configuration itself
            if found.proxy_command:
                raise UsageError(
                    "proxy-command", f"{host.name}: ssh_config sets ProxyCommand, which paramiko does not run here",
                    "use ProxyJump, or connection: openssh for this host",
                )
            written = found.proxy_jump
        written = tuple(word for word in written if word != "none")
        if host.name in written:  # a jump host may stand in the site it leads into
            return ()
        chain: tuple[Endpoint, ...] = ()
        for index, word in enumerate(written):
            hop = self._hop(word, (*through, host.name), host)
            # The first hop may have jump hosts of its own; the following ones are reached through the one before.
            chain = (*hop.jumps, replace(hop, jumps=())) if index == 0 else (*chain, replace(hop, jumps=()))
        return chain

    def _hop(self, word: str, through: tuple[str, ...], host: Host) -> Endpoint:
        managed = self._inventory.hosts.get(word)
        if managed is not None:
            return self._endpoint(managed, through)
        parts = _JUMP.fullmatch(word.removeprefix("ssh://").rstrip("/"))
        if parts is None:
            raise UsageError(
                "jump-form", f"{host.name}: not a jump host: {word!r}", "write [user@]host[:port] or an inventory host")
        name = parts["v6"] or parts["host"]
        managed = self._inventory.hosts.get(name)
        base = managed if managed is not None else Host(name, Connection(timeouts=host.connection.timeouts))
        connection = replace(
            base.connection, user=parts["user"] or base.connection.user,
            port=int(parts["port"]) if parts["port"] else base.connection.port,
        )
        return self._endpoint(replace(base, connection=connection), through)


def refuse_unresolved(host: Host) -> None:
    """Raise UsageError for a host of which it is not known where it is: the next best might be another machine."""
    if host.unresolved:
        raise UsageError("setting-unresolved", f"{host.name}: not visited: {host.unresolved}",
                         "correct it in the inventory, or set it there in patchctl's own form")


def _needs_agent(key: Path) -> bool:
    return key.suffix == ".pub" or not key.exists()


def _default_keys() -> tuple[str, ...]:
    folder = Path("~/.ssh").expanduser()
    return tuple(str(folder / name) for name in _DEFAULT_KEYS if (folder / name).exists())
