"""`assess` against one hand-written script over bare paramiko, Ansible and testinfra: 20 hosts, the same 25 checks."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from bench import peers, simple_checks
from bench.fleet import FEW, Fleet, Row
from bench.measure import Cost, MeasureError, measure, side_by_side
from tests.lab.programs import say

HOSTS = 20


class Checked:
    """The hosts, and how each tool judges the first `count` of them; MeasureError when it finds something else."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.hosts = fleet.hosts[:HOSTS]
        self.folder = fleet.folder
        (self.folder / "baselines").mkdir(exist_ok=True)
        (self.folder / "baselines/simple.yaml").write_text(simple_checks.our_baseline())
        self.by_hand = self._write("checks.sh", simple_checks.script())
        self.infra = self._write("test_simple.py", simple_checks.infra_tests())
        self.expected = [simple_checks.failing(h.exec(simple_checks.script()).splitlines()) for h in self.hosts]
        if not all(0 < n < len(simple_checks.CHECKS) for n in self.expected):
            raise MeasureError(f"checks that fail on the lab's hosts: {self.expected}; some should, not all")

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def agree(self, tool: str, found: int, count: int) -> None:
        """Raise MeasureError unless a tool found as many failing checks as the script by hand does."""
        expected = sum(self.expected[:count])
        if found != expected:
            raise MeasureError(f"{tool} finds {found} failing checks on {count} hosts, not {expected}")

    def ours(self, count: int) -> Cost:
        names = ",".join(host.name for host in self.hosts[:count])
        cost = measure([self.fleet.patchctl, "assess", "--baseline", "simple", "--limit", names, "-o", "json"],
                       cwd=self.folder, good=(3,))
        shown = json.loads(cost.output[cost.output.index("{"):])
        if shown["summary"]["verdicts"].keys() != {"PASS", "FAIL"} or len(shown["results"]) != count * 25:
            raise MeasureError(f"not every rule was judged: {shown['summary']}")
        self.agree("patchctl", shown["summary"]["verdicts"]["FAIL"], count)
        return cost

    def bare(self, count: int) -> Cost:
        lab = self.fleet.lab
        addresses = [f"{host.address}:{host.port}" for host in self.hosts[:count]]
        cost = measure([sys.executable, Path(__file__).with_name("bare.py"), lab.key, lab.known_hosts, "ops",
                        self.by_hand, 50, *addresses])
        found = re.search(r"(\d+) lines of failures", cost.output)
        self.agree("the script by hand", int(found[1]) if found else -1, count)
        return cost

    def ansible(self, settings: str, count: int) -> Cost:
        book = self._write(f"simple-{settings}.yaml", simple_checks.playbook(facts=settings == "shipped"))
        names = ",".join(host.name for host in self.hosts[:count])
        command, env = peers.ansible_command(self.fleet.lab, self.folder, settings, hosts=names)
        words = [Path(str(command[0])).with_name("ansible-playbook"), *command[1:3], "--limit", names, book]
        cost = measure(words, env=env, cwd=self.folder, timeout=3600)
        recap = re.findall(r"^\S+ +: ok=(\d+) +changed=(\d+) +unreachable=0 +failed=0", cost.output, re.MULTILINE)
        if len(recap) != count or any(int(ok) < len(simple_checks.CHECKS) for ok, _ in recap):
            raise MeasureError(f"Ansible did not judge every host: {cost.output[-1500:]}")
        self.agree("Ansible", sum(int(changed) for _, changed in recap), count)
        return cost

    def testinfra(self, backend: str, count: int) -> Cost:
        lab = self.fleet.lab
        hosts = ",".join(f"{backend}://ops@{host.address}:{host.port}?timeout=60" for host in self.hosts[:count])
        config = self._write("ssh_config", f"Host *\n  UserKnownHostsFile {lab.known_hosts}\n  User ops\n"
                                           f"  StrictHostKeyChecking yes\n  LogLevel ERROR\n"
                                           f"  ControlPath {self.folder}/ssh-%C\n")  # one connection for all checks
        words = [peers.environment("testinfra") / "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", "--sudo",
                 f"--hosts={hosts}", f"--ssh-identity-file={lab.key}", f"--ssh-config={config}", self.infra]
        cost = measure(words, cwd=self.folder, timeout=3600, good=(1,))
        found = re.search(r"(\d+) failed, (\d+) passed", cost.output)
        if found is None or int(found[1]) + int(found[2]) != count * len(simple_checks.CHECKS):
            raise MeasureError(f"testinfra did not judge every host: {cost.output[-1500:]}")
        self.agree("testinfra", int(found[1]), count)
        return cost


def compare_checks(fleet: Fleet, rounds: int) -> list[Row]:
    """The controller's CPU for each host, the fixed start shared among them, and for each further host."""
    checked = Checked(fleet)
    count = len(checked.hosts)
    tools: dict[str, Callable[[int], Cost]] = {
        "one script by hand, bare paramiko": checked.bare,
        "patchctl assess": checked.ours,
        f"{peers.version('testinfra')}, paramiko": lambda n: checked.testinfra("paramiko", n),
        f"{peers.version('testinfra')}, ssh": lambda n: checked.testinfra("ssh", n),
        f"{peers.version('ansible')} tuned": lambda n: checked.ansible("tuned", n),
        f"{peers.version('ansible')} as shipped": lambda n: checked.ansible("shipped", n),
    }
    checked.ours(FEW)  # compiles the baseline once, as the first night does

    def told(name: str, hosts: int) -> Callable[[], Cost]:
        def run() -> Cost:
            cost = tools[name](hosts)
            say(f"bench: {name}, {hosts} hosts: {cost.cpu:.2f} s of CPU, {cost.wall:.1f} s")
            return cost

        return run

    runs: dict[str, Callable[[], Cost]] = {}
    for name in tools:
        runs |= {f"{name}, few": told(name, FEW), name: told(name, count)}
    costs = side_by_side(rounds, runs)
    shared = {name: costs[name].cpu / count * 1000 for name in tools}
    further = {name: (costs[name].cpu - costs[f"{name}, few"].cpu) / (count - FEW) * 1000 for name in tools}
    rows: list[Row] = [
        {"what": name, "wall s": costs[name].wall, "cpu s": costs[name].cpu, "cpu ms/host": shared[name],
         "cpu ms/further host": further[name], "start cpu ms": costs[name].cpu * 1000 - count * further[name]}
        for name in tools
    ]  # fmt: skip
    bare, ours, *others = tools
    for label, each in (("with the start", shared), ("further hosts", further)):
        more = each[ours] - each[bare]
        rows.append({"what": f"patchctl - by hand, ms, {label}", "value": more, "limit": 20, "ok": more <= 20})
        for name in others:
            least = 50 if "ansible" in name else 10
            times = each[name] / each[ours]
            rows.append({"what": f"{name} / patchctl, {label}", "value": times, "limit": f">= {least}",
                         "ok": times >= least})  # fmt: skip
    return rows
