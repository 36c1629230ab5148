"""The schema of patchctl.yaml (docs/schemas/settings.json comes from it)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from patchctl.documents.fields import Duration, Filled, Read, Secret, Strict, Texts, fail, read_whole


def _read_forks(value: Any) -> int:
    number = read_whole(value)
    if not 0 < number <= 2000:
        raise fail("invalid-value", f"{number} hosts at once is out of range", "write a number from 1 to 2000")
    return number


Forks = Annotated[
    int, Read(_read_forks, {"type": "integer", "minimum": 1, "maximum": 2000})
]


class DiscoverySection(Strict):
    """What `patchctl discover` may sweep."""

    allow: Texts | None = Field(default=None, description="networks that may be swept; others are refused")
    exclude: Texts | None = Field(default=None, description="networks, addresses and names that are never touched")


class SettingsFile(Strict):
    """Settings of a project, a user or a system."""

    inventory: Texts | None = Field(default=None, description="files and folders")
    state: Filled | None = Field(default=None, description="store URL, or the path of a SQLite file")
    forks: Forks | None = Field(default=None, description="hosts at once")
    timeout: Duration | None = Field(default=None, description="total time of one visit")
    known_hosts: Filled | None = None
    ssh_config: Filled | None = None
    reports: Filled | None = Field(default=None, description="folder of reports")
    policies: Filled | None = None
    baselines: Filled | None = None
    max_waiver: Duration | None = Field(default=None, description="how long a waiver may last at most; 365d")
    smtp: Filled | None = Field(default=None, description="mail server, host[:port]")
    vault_password: Secret | None = Field(default=None, description="where the Ansible Vault password can be had")
    discovery: DiscoverySection | None = None
