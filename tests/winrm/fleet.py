r"""N Windows hosts behind WinRM for a whole patch cycle by the real command line, alone or beside lab hosts.

    with windows_fleet(tmp_path / "windows", 5) as fleet:            # win1 .. win5 on 127.0.61.x; 2 s a host
        fleet.write_inventory(project.folder / "inventories/windows.yaml")   # group `windows`; a file of its own
        project.policy(POLICY + fleet.offers())                      # `packages:`, which end up as pending updates
        ...                                                          # approve: [{package: "demo-*"}]
        fleet.installed("win1")   # {"demo-tool": "2.0.0"}: from the `Uninstall` keys, by Wine's reg.exe
        fleet.runs("win1")        # ["demo-tool 1.0.0", "demo-tool 2.0.0"]: written by the packages themselves
        fleet.assert_quiet()      # no shell left open, no script that was not known

Each host is a WinRM peer (real HTTP or HTTPS, NTLM, encrypted messages) whose PowerShell is answered by the model
(tests/windows/model.py) and whose registry, command lines and msiexec are Wine's, with a disk of its own. Every host
has demo-tool 1.0.0; version 2.0.0 is what the policy offers, fetched by the controller from a web server that is part
of the fleet. Odd hosts speak HTTPS (the test's authority), even ones HTTP. `fleet.hosts["win1"].model.offers` takes
Windows updates (tests/windows/model.py: Offer), `.peer.inject(...)` faults. All but the controller is this process.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchctl.platforms.windows.read import _programs
from tests.windows.model import WindowsHost
from tests.windows.products import installer_runs, make_msi
from tests.windows.wine import Disk
from tests.winrm.peers import ADMIN, PASSWORD, Peer, peers
from tests.winrm.powershell import Answer

OLD, NEW = "1.0.0", "2.0.0"


@dataclass(frozen=True)
class FleetHost:
    """One host: what answers on the network, and the Windows behind it."""

    name: str
    peer: Peer
    model: WindowsHost
    tls: bool


class WindowsFleet:
    """See the top of this file."""

    product = "demo-tool"

    def __init__(self, folder: Path, hosts: list[FleetHost], package: Path, url: str) -> None:
        self.folder, self.package, self.url = folder, package, url
        self.hosts = {host.name: host for host in hosts}
        self.password_file = folder / "password"
        self.password_file.write_text(PASSWORD)
        self.password_file.chmod(0o600)

    def inventory_yaml(self) -> str:
        """Return an inventory of these hosts alone, all in the group `windows`."""
        some = next(iter(self.hosts.values()))
        lines = ["groups:", "  windows:", "    connection: winrm", f"    user: {ADMIN}",
                 f"    password: 'file:{self.password_file}'", f"    winrm: {{ca: {some.peer.authority.file}}}",
                 "    timeouts: {connect: 10s, silence: 2m, total: 5m}", f"    hosts: [{', '.join(self.hosts)}]",
                 "hosts:"]
        for host in self.hosts.values():
            port, scheme = (host.peer.tls_port, "https") if host.tls else (host.peer.port, "http")
            lines.append(f"  {host.name}: {{address: {host.peer.address}, port: {port}, winrm: {{scheme: {scheme}}}}}")
        return "\n".join(lines) + "\n"

    def write_inventory(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.inventory_yaml())

    def offers(self) -> str:
        """Return the `packages:` part of a policy that offers the new version."""
        data = self.package.read_bytes()
        return (f"packages:\n  - package: {self.product}\n    version: {NEW}\n"
                f"    file: {self.url}/{self.package.name}\n"
                f"    sha256: {hashlib.sha256(data).hexdigest()}\n    size: {len(data)}\n")

    def installed(self, name: str) -> dict[str, str]:
        """Return product -> version as Windows Installer has them in the host's registry."""
        return {found.name: found.version for found in _programs(self.hosts[name].model.programs())}

    def runs(self, name: str) -> list[str]:
        """Return every run of an installer on the host, as the packages themselves logged it."""
        return installer_runs(self.hosts[name].model.disk)

    def assert_quiet(self) -> None:
        """No peer has a shell open, had a script it did not know, or a trouble."""
        for name, host in self.hosts.items():
            assert (host.peer.shells, host.peer.unknown, host.peer.troubles) == ((), [], []), name


@contextmanager
def windows_fleet(folder: Path, count: int, *, slot: int = 61, prefix: str = "win") -> Iterator[WindowsFleet]:
    """Start hosts PREFIX1 .. PREFIXn on 127.0.SLOT.x; stop them and delete their disks at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    products = {version: make_msi(folder / "msi", WindowsFleet.product, version) for version in (OLD, NEW)}
    with ExitStack() as stack:
        start = stack.enter_context(peers(folder, slot))
        url = stack.enter_context(_served(folder / "msi", f"127.0.{slot}.254"))
        hosts = []
        for number in range(1, count + 1):
            own = folder / f"{prefix}{number}"
            own.mkdir()
            disk = Disk(own)
            stack.callback(disk.close)
            model = WindowsHost(disk)
            model.install_msi(products[OLD])
            (peer,) = start(1, disk=disk)
            peer.powershell(functools.partial(answer, model))
            hosts.append(FleetHost(f"{prefix}{number}", peer, model, tls=number % 2 == 1))
        yield WindowsFleet(folder, hosts, products[NEW], url)


def answer(model: WindowsHost, script: str, data: bytes) -> Answer | None:
    found = model.answer(script, data)
    return None if found is None else Answer(found[0], rc=found[1])


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing goes to stderr."""


@contextmanager
def _served(folder: Path, address: str) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer((address, 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
