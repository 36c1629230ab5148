"""Hosts, groups and sites as an inventory resolves them: frozen values, secrets only by reference."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

WINRM_SCHEMES = ("http", "https")
WINRM_CLIENTS = ("winrs", "psrp")
WINRM_AUTHS = ("ntlm", "basic", "credssp", "kerberos", "certificate")


class SecretRef(Struct, frozen=True):
    """Where a secret can be had; never the secret itself.

    Schemes: env:NAME, file:PATH, cmd:COMMAND LINE, prompt:LABEL, vault:INLINE ($ANSIBLE_VAULT text),
    vault-file:PATH#KEY (a variable of a vaulted YAML file), plain:VALUE (only as imported from elsewhere; warned).
    """

    scheme: str
    value: str
    origin: str = ""
    """file:line:col it was read from, for messages."""

    def __repr__(self) -> str:
        shown = self.value if self.scheme in ("env", "file", "prompt") else "…"
        return f"SecretRef({self.scheme}:{shown})"


class Become(Struct, frozen=True):
    """How to become root. method: none | sudo | su | doas."""

    method: str = "sudo"
    user: str = "root"
    password: SecretRef | None = None
    flags: tuple[str, ...] = ()


class Timeouts(Struct, frozen=True):
    """Deadlines in seconds: to a logged-in session, without a byte from the host, and for all of one exchange."""

    connect: float = 15.0
    silence: float = 120.0
    total: float = 900.0
    factor: float = 1.0
    """The site's timeout_factor, which the three have in them already: other deadlines are multiplied by it."""


class Connection(Struct, frozen=True):
    """How to reach a host. Empty or None means: take it from ssh_config, else the default."""

    transport: str = "ssh"
    """ssh | openssh | winrm | local | fake"""
    address: str = ""
    port: int | None = None
    user: str = ""
    password: SecretRef | None = None
    keys: tuple[str, ...] = ()
    key_passphrase: SecretRef | None = None
    jump: tuple[str, ...] = ()
    """Jump hosts in order, nearest first: [user@]host[:port], or the name of an inventory host."""
    become: Become = Become()
    timeouts: Timeouts = Timeouts()
    options: Mapping[str, str] = field(default_factory=dict)
    """Further ssh options in ssh_config's names and lower case (from `ssh_options:` or ansible_ssh_common_args)."""
    winrm: Mapping[str, str] = field(default_factory=dict)
    """For transport winrm: scheme, auth, client, ca, certificate, key, kerberos_host, delegation, if set."""


class HealthCheck(Struct, frozen=True):
    """One health check. kind: unit | no_new_failed_units | tcp | http | command; target in that kind's form."""

    kind: str
    target: str = ""
    expect: str = ""
    timeout: float = 10.0


class Freeze(Struct, frozen=True):
    """A host that must not be touched: reason and expiry (RFC 3339, or "" = until lifted) are always shown."""

    reason: str
    until: str = ""


class Site(Struct, frozen=True):
    name: str
    jump: tuple[str, ...] = ()
    forks: int | None = None
    timeout_factor: float = 1.0
    relays: tuple[str, ...] = ()
    bandwidth: str = ""


class Group(Struct, frozen=True):
    """A group with all its hosts, those of nested groups included."""

    name: str
    hosts: tuple[str, ...]
    children: tuple[str, ...] = ()
    max_down: int | None = None


class Host(Struct, frozen=True):
    name: str
    connection: Connection = Connection()
    groups: tuple[str, ...] = ()
    """Every group it is in, directly or through nesting, sorted."""
    site: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)
    """Opaque data of the user; never a template, never a shell word."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """variable or setting -> file:line:col (level), for `inventory show --origin`."""
    health: tuple[HealthCheck, ...] = ()
    reboot: str = ""
    """Per-host override of the policy: never | if_required | always, or "" for the policy's."""
    frozen: Freeze | None = None
    intermittent: float | None = None
    """Seconds this host may be away without counting as unreachable."""
    ignored: tuple[str, ...] = ()
    """What was found but not understood or not used, in words (e.g. templates outside connection variables)."""
    unresolved: str = ""
    """Why it is not known where or as whom to reach it, in words ("" = it is): such a host is never visited."""


def place_of_host(host: Host) -> tuple[object, ...] | None:
    """Return where a host is reached; hosts of one place are one machine. None: this machine itself, by no address."""
    link = host.connection
    if link.transport == "local":
        return None
    return (link.address or host.name).casefold().rstrip("."), link.port, link.transport, host.site, link.jump


class Inventory(Struct, frozen=True):
    hosts: Mapping[str, Host]
    groups: Mapping[str, Group]
    sites: Mapping[str, Site]
    sources: tuple[str, ...] = ()

    def members(self, group: str) -> tuple[str, ...]:
        """Host names of a group, or () if there is no such group."""
        found = self.groups.get(group)
        return found.hosts if found else ()
