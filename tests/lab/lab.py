"""The lab as tests use it: `Lab.session()` takes a free slot, `up(n)` boots fresh hosts, `close()` leaves nothing."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab import slots
from tests.lab.base import Base, Say, get_base
from tests.lab.dress import Wardrobe
from tests.lab.hosts import LabHost
from tests.lab.machine import lab_folder, ssh_port
from tests.lab.programs import LabError, run

FIRST = 11
"""The last part of the first host's address; below it live the repository server and whatever a test adds."""


class Lab:
    """Hosts, their repository and their files, in one slot."""

    def __init__(self, slot: slots.Slot, base: Base, say: Say = lambda text: None) -> None:
        self.say = say
        self._wardrobes: dict[str, Wardrobe] = {}
        self.slot = slot
        self.base = base
        self.folder = lab_folder() / f"slot-{slot.number}"
        self.key = base.key
        self.known_hosts = self.folder / "known_hosts"
        self.port = ssh_port()
        self.repository = base.repository
        self._hosts: dict[str, LabHost] = {}

    @classmethod
    def session(cls, say: Say = lambda text: None) -> Self:
        """Return an empty lab in a slot of its own; for as long as this process lives, at most."""
        base = get_base(say)
        lab = cls(slots.take_session(), base, say)
        lab._begin()
        return lab

    @classmethod
    def at(cls, number: int, say: Say = lambda text: None) -> Lab:
        """Return the lab in that slot with the hosts it has; they stay when this process ends (the command line)."""
        slot = slots.take(number)
        if slot is None:
            raise LabError(f"lab slot {number} is in use by process {slots.holder(number)}")
        lab = cls(slot, get_base(say), say)
        if lab._state_file.exists():
            lab._load()
        else:
            slot.clear()
            lab._begin()
        return lab

    def _begin(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.slot.use(self.folder)
        self.repository = self.base.repository.copy_to(self.folder / "repository")
        self.save()

    # --- state of the command line's lab, which outlives its process

    @property
    def _state_file(self) -> Path:
        return self.folder / "hosts.json"

    def save(self) -> None:
        state = {"base": str(self.base.folder), "port": self.port,
                 "hosts": [{"name": host.name, "number": host.number, "lower": [str(layer) for layer in host.lower],
                            "keep_lists": host.keep_lists, "dress": host.dress} for host in self._hosts.values()]}
        part = self._state_file.with_suffix(".part")
        part.write_text(json.dumps(state, indent=1))
        part.replace(self._state_file)
        self.known_hosts.write_text("".join(host.known_hosts_line() for host in self._hosts.values()))

    def _load(self) -> None:
        state = json.loads(self._state_file.read_text())
        self.port = state["port"]
        self.repository = type(self.base.repository)(self.folder / "repository", Path(state["base"]) / "gnupg")
        self.repository.address, self.repository.group = self.slot.address(1), f"{self.slot.cgroup}/repository"
        for one in state["hosts"]:
            lower = [Path(layer) for layer in one["lower"]]
            self._hosts[one["name"]] = LabHost(self, one["name"], one["number"], lower, keep_lists=one["keep_lists"],
                                               dress=one.get("dress", ""))

    # --- hosts

    @property
    def hosts(self) -> list[LabHost]:
        return list(self._hosts.values())

    def host(self, name: str) -> LabHost:
        if name not in self._hosts:
            raise LabError(f"no host {name}; there are: {', '.join(self._hosts) or 'none'}")
        return self._hosts[name]

    def wardrobe(self, dress: str) -> Wardrobe:
        """Return the layer and repository of a dress (tests/lab/dress.py), made when first asked for."""
        if dress not in self._wardrobes:
            self._wardrobes[dress] = Wardrobe(dress, self.base, self.say)
            self._wardrobes[dress].serve(self)
        return self._wardrobes[dress]

    def up(self, count: int = 1, *, names: Sequence[str] = (), live: bool = False, dress: str = "") -> list[LabHost]:
        """Boot fresh hosts and wait until each answers ssh and has finished booting.

        names: instead of h11, h12, ... live: sources are the machine's own mirror, not the frozen repository.
        dress: a file of tests/lab/dresses/; "" = Debian, as they are.
        """
        self.repository.start(self.slot.address(1), f"{self.slot.cgroup}/repository")
        lower = self._lower(live=live, dress=dress)
        taken = {host.number for host in self.hosts}
        numbers = [number for number in range(FIRST, 255) if number not in taken][: len(names) or count]
        if len(numbers) < (len(names) or count):
            raise LabError(f"a lab holds {255 - FIRST} hosts")
        fresh = []
        for number, name in zip(numbers, names or [f"h{number}" for number in numbers], strict=True):
            if name in self._hosts:
                raise LabError(f"host {name} is there already")
            fresh.append(LabHost(self, name, number, lower, keep_lists=live or bool(dress), dress=dress))
        self._hosts |= {host.name: host for host in fresh}
        try:
            self._each(fresh, LabHost.create)
            self.save()
            for host in fresh:
                host.boot()
            patience = 120 + 4 * len(fresh)
            self._each(fresh, lambda host: host.wait(patience))
        except BaseException:
            self.down(*fresh)
            raise
        return fresh

    def _lower(self, *, live: bool, dress: str) -> list[Path]:
        if dress:
            return self.wardrobe(dress).lower(self)
        return self.base.lower(self.base.live_lists() if live else self.base.frozen_lists(self.slot.address(1)))

    def down(self, *hosts: LabHost) -> None:
        """Switch hosts off and delete them; without names all of them."""
        gone = list(hosts or self.hosts)
        self._each(gone, LabHost.destroy)
        for host in gone:
            self._hosts.pop(host.name, None)
        if self.folder.is_dir():
            self.save()

    def close(self) -> None:
        """Leave nothing: hosts, server, mounts, control groups, files, the slot."""
        self._hosts.clear()
        self.slot.clear()
        self.slot.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    @staticmethod
    def _each(hosts: Iterable[LabHost], act: Callable[[LabHost], object]) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(act, hosts))

    # --- what patchctl needs to reach them

    def inventory_yaml(self, hosts: Iterable[LabHost] | None = None, user: str = "ops",
                       sites: Mapping[str, Sequence[LabHost]] | None = None, extra: str = "") -> str:
        """Return an inventory in patchctl's YAML: all hosts in group `lab`; a group and a site for each of sites."""
        chosen = self.hosts if hosts is None else list(hosts)
        lines = ["defaults:", f"  user: {user}", f"  port: {self.port}", f"  keys: [{self.key}]"]
        if sites:
            lines += ["sites:", *(f"  {site}: {{}}" for site in sites)]
        lines += ["hosts:", *(f"  {host.name}: {{address: {host.address}}}" for host in chosen)]
        lines += ["groups:", f"  lab: {{hosts: [{', '.join(host.name for host in chosen)}]}}"]
        for site, members in (sites or {}).items():
            lines.append(f"  {site}: {{site: {site}, hosts: [{', '.join(host.name for host in members)}]}}")
        return "\n".join(lines) + "\n" + extra

    def inventory_ini(self, hosts: Iterable[LabHost] | None = None, user: str = "ops") -> str:
        """Return the same in Ansible's INI form."""
        chosen = self.hosts if hosts is None else list(hosts)
        lines = ["[lab]", *(f"{h.name} ansible_host={h.address} ansible_port={h.port}" for h in chosen), "[lab:vars]",
                 f"ansible_user={user}", f"ansible_ssh_private_key_file={self.key}",
                 "ansible_python_interpreter=/usr/bin/python3",
                 f"ansible_ssh_common_args=-o UserKnownHostsFile={self.known_hosts}"]
        return "\n".join(lines) + "\n"

    # --- the link to a host

    def cut(self, *hosts: LabHost) -> None:
        """Drop every packet from and to these hosts' addresses, silently, in both directions."""
        table = f"inet {self.slot.table}"
        addresses = ", ".join(host.address for host in hosts)
        run("nft", "-f", "-", stdin=(
            f"add table {table}\n"
            f"add set {table} cut {{ type ipv4_addr; }}\n"
            f"add chain {table} lab {{ type filter hook input priority -300; }}\n"
            f"flush chain {table} lab\n"
            f"add rule {table} lab ip daddr @cut drop\nadd rule {table} lab ip saddr @cut drop\n"
            f"add element {table} cut {{ {addresses} }}\n"))

    def mend(self, *hosts: LabHost) -> None:
        """Let packets through again; without names for all hosts."""
        if not hosts:
            with contextlib.suppress(LabError):
                run("nft", "delete", "table", "inet", self.slot.table)
            return
        for host in hosts:
            with contextlib.suppress(LabError):  # it was not cut
                run("nft", "delete", "element", "inet", self.slot.table, "cut", f"{{ {host.address} }}")

    def wait(self, condition: Callable[[], bool], what: str, patience: float = 60) -> None:
        """Wait until condition() holds; LabError naming what did not happen otherwise."""
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise LabError(f"not within {patience:.0f} s: {what}")
            time.sleep(0.05)
