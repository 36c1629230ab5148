"""patchctl against bare paramiko, pyinfra and Ansible, on the same lab hosts, in turn, in one run."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import peers
from bench.measure import Cost, MeasureError, measure, side_by_side
from tests.lab import Lab

FEW = 5
"""Hosts of the second run, from which the cost of one more host is told apart from the fixed start."""

Row = dict[str, object]


class Fleet:
    """A project folder for the hosts of a lab, and the commands that are compared."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.hosts = lab.hosts
        (folder / "inventories").mkdir()
        (folder / "inventories/lab.yaml").write_text(lab.inventory_yaml())
        (folder / ".patchctl").mkdir()
        (folder / ".patchctl/known_hosts").write_text(lab.known_hosts.read_text())
        self.patchctl = Path(sys.executable).with_name("patchctl")
        self.pending = sum(len(host.upgradable()) for host in self.hosts)
        self.script = folder / "script.sh"
        self.script.write_text(self.run("scan", "--refresh", "never", "--print-script", self.hosts[0].name).output)

    def run(self, *words: str) -> Cost:
        return measure([self.patchctl, *words], cwd=self.folder)

    def scan(self, count: int) -> Cost:
        """Scan the first `count` hosts; every one must have answered."""
        limit = ",".join(host.name for host in self.hosts[:count])
        cost = self.run("scan", "--refresh", "never", "--limit", limit, "-o", "json")
        shown = json.loads(cost.output[cost.output.index("{"):])
        if [host["status"] for host in shown["hosts"]] != ["ok"] * count:
            raise MeasureError(f"not every host was scanned: {cost.output[:1500]}")
        return cost

    def bare(self, count: int) -> Cost:
        """Run the very same script over bare paramiko connections."""
        addresses = [f"{host.address}:{host.port}" for host in self.hosts[:count]]
        return measure([sys.executable, Path(__file__).with_name("bare.py"), self.lab.key, self.lab.known_hosts, "ops",
                        self.script, 50, *addresses])

    def few(self) -> str:
        """Return the names of the first hosts, as patchctl and Ansible take them."""
        return ",".join(host.name for host in self.hosts[:FEW])

    def updates_few(self) -> Cost:
        return self.run("updates", "--refresh", "never", "-o", "json", "--limit", self.few())

    def updates(self) -> Cost:
        """List pending updates; the list must be the hosts' own."""
        cost = self.run("updates", "--refresh", "never", "-o", "json")
        shown = json.loads(cost.output[cost.output.index("{"):])
        first = self.hosts[0]
        listed = sorted((u["package"], u["arch"], u["installed"], u["candidate"]) for u in shown["updates"]
                        if u["host"] == first.name and u["installed"])
        if len(shown["updates"]) != self.pending:
            raise MeasureError(f"{len(shown['updates'])} updates listed, the hosts have {self.pending}")
        if listed != first.upgradable():
            raise MeasureError(f"updates of {first.name} are not what apt says: {listed}")
        return cost

    def peer(
        self, command: Sequence[object], env: dict[str, str] | None = None, *, lists: bool = False
    ) -> Callable[[], Cost]:
        """Return a run of another tool; exit code 0 means that every host did it.

        `lists`: what it prints must hold as many updates as the hosts have.
        """
        def run() -> Cost:
            cost = measure(command, env=env, cwd=self.folder, timeout=600)
            shown = cost.output.count("[upgradable from: ")
            if lists and shown != self.pending:
                raise MeasureError(f"{command[0]} lists {shown} updates, the hosts have {self.pending}")
            return cost

        return run


def compare_scan(fleet: Fleet, rounds: int) -> list[Row]:
    """`scan` against the floor: what one more host costs, and the wall time of all."""
    count = len(fleet.hosts)
    costs = side_by_side(rounds, {
        "bare": lambda: fleet.bare(count), "scan": lambda: fleet.scan(count),
        "bare few": lambda: fleet.bare(FEW), "scan few": lambda: fleet.scan(FEW),
    })
    each = {name: (costs[name].cpu - costs[f"{name} few"].cpu) / (count - FEW) * 1000 for name in ("bare", "scan")}
    fixed = {name: costs[f"{name} few"].cpu * 1000 - FEW * each[name] for name in ("bare", "scan")}
    more, times = each["scan"] - each["bare"], costs["scan"].wall / costs["bare"].wall
    rows: list[Row] = [
        {"what": f"{label} of {count} hosts", "wall s": costs[name].wall, "cpu s": costs[name].cpu,
         "cpu ms/host": each[name], "fixed cpu ms": fixed[name]}
        for name, label in (("bare", "bare paramiko, same script,"), ("scan", "patchctl scan"))
    ]
    rows.append({"what": "scan - bare, CPU ms for each host", "value": more, "limit": 15, "ok": more <= 15})
    rows.append({"what": "scan / bare, wall time", "value": times, "limit": 1.2, "ok": times <= 1.2})
    return rows


def compare_peers(fleet: Fleet, rounds: int) -> list[Row]:
    """The list of pending updates: patchctl, pyinfra, Ansible as shipped and as tuned.

    The others with `apt list --upgradable`, the shortest they can ask; pyinfra also with the commands that tell what
    patchctl's list tells, and with the very script of patchctl's scan. What one more host costs is told apart from
    the fixed start by runs of a few hosts.
    """
    lab, folder, count = fleet.lab, fleet.folder, len(fleet.hosts)
    pyinfra, ansible = peers.version("pyinfra"), peers.version("ansible")
    listing = ("-m", "shell", "-a", peers.LIST)

    def ask_ansible(settings: str, **where: str) -> Callable[[], Cost]:
        return fleet.peer(*peers.ansible_command(lab, folder, settings, *listing, **where), lists=not where)

    def ask_pyinfra(*words: str, lists: bool = False) -> Callable[[], Cost]:
        return fleet.peer(peers.pyinfra_command(lab, folder, *words), lists=lists)

    costs = side_by_side(rounds, {
        "patchctl updates": fleet.updates,
        "patchctl, few": fleet.updates_few,
        f"{pyinfra} apt list": ask_pyinfra("exec", "--", peers.LIST, lists=True),
        f"{pyinfra} same contents": ask_pyinfra("exec", "--", f"sh -c {shlex.quote(peers.FULL_LIST)}", lists=True),
        f"{pyinfra} same script": ask_pyinfra("--sudo", "server.script", f"src={fleet.script}"),
        f"{ansible} tuned, apt list": ask_ansible("tuned"),
        f"{ansible} tuned, few": ask_ansible("tuned", hosts=fleet.few()),
        f"{ansible} as shipped, apt list": ask_ansible("shipped"),
    })
    rows: list[Row] = [
        {"what": name, "wall s": cost.wall, "cpu s": cost.cpu, "cpu ms/host": cost.cpu / count * 1000}
        for name, cost in costs.items() if not name.endswith("few")
    ]
    ours = costs["patchctl updates"]

    def judge(name: str, value: float, least: float | None) -> None:
        row: Row = {"what": f"{name} / patchctl", "value": value}
        rows.append(row if least is None else {**row, "limit": f">= {least:g}", "ok": value >= least})

    judge(f"{pyinfra} same contents, wall", costs[f"{pyinfra} same contents"].wall / ours.wall, 1)
    judge(f"{pyinfra} same script, wall", costs[f"{pyinfra} same script"].wall / ours.wall, 1)
    judge(f"{pyinfra} apt list only, wall", costs[f"{pyinfra} apt list"].wall / ours.wall, None)
    judge("Ansible as shipped, CPU", costs[f"{ansible} as shipped, apt list"].cpu / ours.cpu, 10)
    judge("Ansible tuned, CPU", costs[f"{ansible} tuned, apt list"].cpu / ours.cpu, None)
    more = [costs[whole].cpu - costs[few].cpu for whole, few in (
        ("patchctl updates", "patchctl, few"), (f"{ansible} tuned, apt list", f"{ansible} tuned, few"))]
    judge("Ansible tuned, CPU of each further host", more[1] / more[0], 10)
    return rows
