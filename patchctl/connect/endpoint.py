"""Where and as whom to log in: a host's connection settings completed by ssh_config and defaults. Pure values."""

from __future__ import annotations

from msgspec import Struct

from patchctl.model.hosts import SecretRef, Timeouts


class Endpoint(Struct, frozen=True):
    """One ssh server with the credentials for it. Equal endpoints may share one connection (jump hosts)."""

    name: str
    """The host's name in the inventory, or the jump host as written: for messages."""
    address: str
    port: int
    user: str
    keys: tuple[str, ...] = ()
    """Private key files, in order; missing files are an error only when they are explicit."""
    explicit_keys: bool = False
    certificates: tuple[str, ...] = ()
    passphrase: SecretRef | None = None
    password: SecretRef | None = None
    agent: str = ""
    """Path of the agent's socket; "" = do not ask an agent."""
    agent_only_listed: bool = False
    """Use only those agent keys that `keys` names (IdentitiesOnly)."""
    host_key_alias: str = ""
    known_hosts: tuple[str, ...] = ()
    timeouts: Timeouts = Timeouts()
    bind_address: str = ""
    family: str = "any"
    """any | inet | inet6"""
    jumps: tuple[Endpoint, ...] = ()
    """Nearest to the controller first."""

    @property
    def where(self) -> str:
        """Return the name with address and port for messages: web01 (10.0.0.1:22)."""
        place = f"{self.address}:{self.port}" if ":" not in self.address else f"[{self.address}]:{self.port}"
        return place if self.name in (self.address, place) else f"{self.name} ({place})"

    @property
    def known_as(self) -> str:
        """Return the name under which known_hosts has this host."""
        return self.host_key_alias or self.address
