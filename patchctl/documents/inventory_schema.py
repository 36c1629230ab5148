"""The schema of patchctl's own inventories (docs/schemas/inventory.json comes from it).

A file holds: `import` (other inventories, Ansible's too), `defaults`, `sites`, `groups`, `hosts`. Settings may stand on
every level and the more specific one wins: defaults < site < group (the deeper nested, the stronger; same depth: by
name) < host. `vars` merge key by key in the same order; `health` checks add up over all levels.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from patchctl.documents.fields import (
    Bandwidth,
    Date,
    Duration,
    Factor,
    Filled,
    Free,
    Name,
    Read,
    Secret,
    Shorthand,
    Strict,
    Text,
    Texts,
    Whole,
    fail,
    one_of,
    read_text,
    read_whole,
)
from patchctl.documents.health import HealthEntry
from patchctl.model.hosts import WINRM_AUTHS, WINRM_CLIENTS, WINRM_SCHEMES

TRANSPORTS = ("ssh", "openssh", "winrm", "local", "fake")
BECOME_METHODS = ("none", "sudo", "su", "doas")
REBOOT_WORDS = ("never", "if_required", "always")


def _read_port(value: Any) -> int:
    port = read_whole(value)
    if not 0 < port < 65536:
        raise fail("invalid-port", f"{port} is not a port", "ports go from 1 to 65535")
    return port


def _read_jump(value: Any) -> Any:
    if isinstance(value, str):
        text = read_text(value)
        return [] if text == "none" else [part.strip() for part in text.split(",")]
    return value


def _read_options(value: Any) -> Any:
    """Let ssh_options take flags and numbers as ssh_config writes them: `Compression: yes` is the word yes there."""
    if isinstance(value, dict):
        return {str(key).lower(): str(item) if isinstance(item, str) else item for key, item in value.items()}
    return value


Port = Annotated[
    int, Read(_read_port, {"type": "integer", "minimum": 1, "maximum": 65535})
]
Jump = Annotated[
    list[Filled], Read(_read_jump, {
        "description": "[user@]host[:port], nearest first; none = connect directly",
        "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    }),
]


class BecomeSection(Strict):
    """How to become root."""

    method: Annotated[str, one_of(*BECOME_METHODS)] | None = None
    user: Filled | None = None
    password: Secret | None = None
    flags: Texts | None = None


def _read_become(value: Any) -> Any:
    return {"method": value} if isinstance(value, str) else value


class TimeoutsSection(Strict):
    """Deadlines of a connection."""

    connect: Duration | None = None
    silence: Duration | None = None
    total: Duration | None = None


class WinrmSection(Strict):
    """How to log in over WinRM."""

    scheme: Annotated[str, one_of(*WINRM_SCHEMES)] | None = Field(
        default=None, description="left out: https, and http for port 5985")
    auth: Annotated[str, one_of(*WINRM_AUTHS)] | None = Field(
        default=None, description="left out: ntlm, and certificate where one is given")
    ca: Filled | None = Field(
        default=None, description="PEM file with whom to trust; left out: the system's authorities")
    certificate: Filled | None = Field(default=None, description="PEM file to log in with")
    key: Filled | None = Field(default=None, description="PEM file with the certificate's key")
    client: Annotated[str, one_of(*WINRM_CLIENTS)] | None = Field(
        default=None, description="winrs: the command shell (left out); psrp: a PowerShell runspace")
    kerberos_host: Filled | None = Field(
        default=None, description="name of the host in its realm; left out: the address")
    delegation: bool | None = Field(default=None, description="hand the host a ticket to act as the user elsewhere")


class FrozenSection(Strict):
    """Why a host must not be touched, and until when."""

    reason: Filled
    until: Date = ""


def _read_frozen(value: Any) -> Any:
    return {"reason": value} if isinstance(value, str) else value


class Settings(Strict):
    """What may be set on every level."""

    may_be_empty = frozenset({"vars"})

    user: Filled | None = None
    port: Port | None = None
    connection: Annotated[str, one_of(*TRANSPORTS)] | None = None
    jump: Jump | None = None
    password: Secret | None = None
    keys: Texts | None = None
    passphrase: Secret | None = None
    become: Annotated[BecomeSection, Shorthand(_read_become)] | None = None
    timeouts: TimeoutsSection | None = None
    ssh_options: Annotated[dict[str, str], Read(_read_options, {"type": "object"})] | None = None
    winrm: WinrmSection | None = None
    vars: dict[str, Free] | None = None
    health: list[HealthEntry] | None = None
    reboot: Annotated[str, one_of(*REBOOT_WORDS)] | None = None
    frozen: Annotated[FrozenSection, Shorthand(_read_frozen)] | None = None
    intermittent: Duration | None = None
    auth: Text | None = Field(default=None, description="accepted, without effect yet")
    updates: Text | None = Field(default=None, description="accepted, without effect yet")
    drain: Free | None = Field(default=None, description="accepted, without effect yet")


class SiteSection(Settings):
    """Where devices are: how to get there, and how much at once."""

    forks: Whole | None = None
    timeout_factor: Factor | None = None
    relays: Texts | None = Field(default=None, description="hosts that pass bundles on; patched last")
    bandwidth: Bandwidth | None = Field(default=None, description="accepted, without effect yet")


class HostSection(Settings):
    """One host's own settings."""

    address: Filled | None = None
    site: Name | None = None


def _form(value: Any) -> str:
    return "(list)" if isinstance(value, list) else "(mapping)"


Hosts = Annotated[
    Annotated[list[Text], Tag("(list)")] | Annotated[dict[str, HostSection | None], Tag("(mapping)")],
    Discriminator(_form),
]


class GroupSection(Settings):
    """Hosts that belong together; groups may hold groups."""

    may_be_empty = frozenset({"vars", "hosts", "groups"})

    site: Name | None = None
    hosts: Hosts | None = None
    groups: list[Name] | None = None
    max_down: Whole | None = Field(default=None, description="members that may be down at once, across all rollouts")
    relays: Texts | None = Field(default=None, description="hosts that pass bundles on; patched last")
    bandwidth: Bandwidth | None = Field(default=None, description="accepted, without effect yet")


class InventoryFile(Strict):
    """An inventory of patchctl."""

    may_be_empty = frozenset({"defaults", "sites", "groups", "hosts"})

    imports: Texts | None = Field(default=None, alias="import")
    defaults: Settings | None = None
    sites: dict[Name, SiteSection | None] | None = None
    groups: dict[Name, GroupSection | None] | None = None
    hosts: Hosts | None = None


NATIVE_KEYS = frozenset({"import", "defaults", "sites", "groups", "hosts"})
