"""What every command that visits hosts needs: the inventory, the hosts meant, and connections to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from patchctl.connect.connections import Connections
from patchctl.connect.contract import Transport
from patchctl.connect.credentials import Secrets
from patchctl.documents.inventories import load_inventory
from patchctl.documents.settings import Settings
from patchctl.model.errors import UsageError
from patchctl.model.hosts import Host, Inventory
from patchctl.model.redaction import Redactor
from patchctl.model.selection import select_hosts

SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")


class Fleet(Struct, frozen=True):
    """An inventory and those of its hosts that a command is about, in the inventory's order."""

    inventory: Inventory
    hosts: tuple[Host, ...]

    @property
    def site_forks(self) -> Mapping[str, int]:
        """Return the sites that limit how many of their hosts are visited at once."""
        return {name: site.forks for name, site in self.inventory.sites.items() if site.forks is not None}


def load_fleet(settings: Settings, limit: str | None) -> Fleet:
    """Load the inventory and select hosts. `limit`: a pattern, or @FILE with one pattern a line; None = all.

    Raise DocumentsError for an invalid inventory and UsageError when nothing matches or the file cannot be read.
    """
    inventory = load_inventory(settings.inventory)
    names = select_hosts(inventory, expand_limit(limit or ""))
    if not names:
        if not inventory.hosts:
            places = ", ".join(str(path) for path in settings.inventory)
            hint = "write hosts into it, or name another inventory with -i"
            raise UsageError("no-hosts", f"there is no host in the inventory ({places})", hint)
        raise UsageError("no-hosts", "no host matches", "see `patchctl inventory list`")
    return Fleet(inventory, tuple(inventory.hosts[name] for name in names))


def with_total(host: Host, total: float | None) -> Host:
    """Return the host with `total` seconds for all of one exchange (--timeout); None leaves its own."""
    if total is None:
        return host
    return replace(host, connection=replace(host.connection, timeouts=replace(host.connection.timeouts, total=total)))


def expand_limit(limit: str) -> str:
    """Return the pattern that @FILE stands for (one term a line, # starts a comment); others as they are."""
    if not limit.startswith("@"):
        return limit
    try:
        text = Path(limit[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("limit-file", f"cannot read {limit[1:]}: {error}", "name a text file") from error
    terms = [line.partition("#")[0].strip() for line in text.splitlines()]
    if not any(terms):
        raise UsageError("limit-file", f"{limit[1:]} names no host", "leave --limit out if all are meant")
    return ":".join(term for term in terms if term)


def known_hosts_files(project: Path) -> tuple[Path, ...]:
    """Return the files whose host keys count: the project's, the user's, the system's."""
    return (project, Path("~/.ssh/known_hosts").expanduser(), SYSTEM_KNOWN_HOSTS)


@contextmanager
def open_connections(
    settings: Settings,
    inventory: Inventory,
    prompt: Callable[[str], str] | None = None,
    transports: Mapping[str, Transport] | None = None,
    redactor: Redactor | None = None,
) -> Iterator[Connections]:
    """Give connections as the settings say; `prompt` asks a person for a secret (None = nobody is there).

    `redactor` learns every secret that is used: clean with it what is stored or shown (Store.redacting).
    """
    connections = Connections(
        inventory,
        known_hosts=known_hosts_files(settings.known_hosts),
        ssh_config=settings.ssh_config,
        secrets=Secrets(prompt, settings.vault_password, redactor),
        transports=transports,
    )
    try:
        yield connections
    finally:
        connections.close()
