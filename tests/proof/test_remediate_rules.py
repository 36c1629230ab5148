"""Every rule of baselines/debian-12.yaml: a broken host FAILs it, and `patchctl remediate` makes it PASS again.

The host is broken as tests/assess/debian12_mutations.yaml says. The soak prints its figures, rule by rule.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from patchctl.assess.native.compiled import Bound
from tests.assess.native_lab import FUNCTIONS, ROOT, load, prepare
from tests.assess.test_debian12_lab import TABLE
from tests.lab import LabHost
from tests.proof.project import PATIENCE, Project, assert_clean

BASELINE = str(ROOT / "baselines" / "debian-12.yaml")
POLICY = """
policy: fixes
rings: [{name: all}]
limits: {concurrency: 100%, errors: 100%, unreachable: 0, changed: 100%, host_time: 20m}
reboot: never
"""
SAMPLE = (
    "ssh-x11", "sysctl-net-ipv4-ip-forward", "module-cramfs", "package-no-telnetd", "service-no-cups", "file-passwd",
    "login-max-days", "sudo-use-pty", "file-world-writable", "issue-says-little", "system-shells", "password-age",
)
"""One for each kind of check that repairs itself, and some that a script repairs."""


def repairable() -> dict[str, Bound]:
    """Return the rules that can be broken in a container and have a remediation."""
    bound, _ = load("debian-12")
    return {name: b for name, b in bound.items() if "break" in TABLE[name] and b.rule.remediation is not None}


def break_rules(host: LabHost, rules: Iterable[str]) -> None:
    # A preloaded library that is missing makes every program complain, sudo too: nobody would get in. Give it one.
    script = FUNCTIONS + "cp /lib/*/libdl.so.2 /tmp/x.so\n"
    script += "".join(f"( {TABLE[rule]['break']}\n)\n" for rule in rules)
    subprocess.run(host.exec_argv("exec sh -s"), input=script, capture_output=True, text=True, errors="replace",
                   timeout=PATIENCE, check=False)


def remediate(project: Project, rules: Sequence[str]) -> dict[str, str]:
    """Repair these rules of a broken host; return rule -> "ok", or what is wrong with it."""
    words = [word for rule in rules for word in ("--rule", rule)]
    before = latest(project)
    done = project.run("remediate", "--baseline", BASELINE, "--policy", "fixes", *words, "--yes")
    if done.code == 0 and "Nothing to repair" in done.out:
        return dict.fromkeys(rules, "breaking it did not make it FAIL")
    document = latest(project)
    if document is None or (before is not None and document["rollout"] == before["rollout"]):
        return dict.fromkeys(rules, f"no rollout was made, exit {done.code}: {done.err[-500:]} {done.out[-1500:]}")
    (entry,) = document["hosts"]
    told = {fix["rule"]: fix for fix in entry["fixes"]}
    found = {}
    for rule in rules:
        if rule not in told:
            found[rule] = "breaking it did not make it FAIL"
        elif told[rule]["is"] == "PASS" and told[rule]["result"] == "applied":
            found[rule] = "ok"
        else:
            found[rule] = f"{entry['state']}: {told[rule]}"
    return found


def latest(project: Project) -> Any:
    """Return the document of the latest rollout, or None."""
    done = project.run("rollout", "status", "-o", "json")
    return done.json() if done.code == 0 else None


def make_breakable(project: Project) -> LabHost:
    (host,) = project.hosts
    bound, _ = load("debian-12")
    prepare(host, bound)
    project.policy(POLICY)
    # By doas: rules about sudo's own files break sudo, and then nobody gets in by it.
    text = project.lab.inventory_yaml(project.hosts)
    project.inventory(text=text.replace("defaults:\n", "defaults:\n  become: {method: doas}\n", 1))
    return host


@pytest.mark.lab
@pytest.mark.timeout(900)
def test_a_sample_of_rules_is_repaired(fleet: Callable[[int], Project]) -> None:
    project = fleet(1)
    host = make_breakable(project)
    break_rules(host, SAMPLE)
    assert remediate(project, SAMPLE) == dict.fromkeys(SAMPLE, "ok")
    assert_clean(host)
    again = project.run("remediate", "--baseline", BASELINE, "--policy", "fixes",
                        *(w for r in SAMPLE for w in ("--rule", r)), "--yes").expect(0)
    assert "Nothing to repair" in again.out


@pytest.mark.lab
@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_every_rule_is_repaired(fleet: Callable[[int], Project]) -> None:
    project = fleet(1)
    host = make_breakable(project)
    rules = repairable()
    together = [rule for rule in rules if not TABLE[rule].get("alone")]
    alone = [rule for rule in rules if TABLE[rule].get("alone")]
    found: dict[str, str] = {}
    for group in (together, *([rule] for rule in alone)):
        break_rules(host, group)
        found |= remediate(project, group)
    whole = load("debian-12")[0]
    left = [rule for rule in whole if rule not in rules]
    lines = [f"{rule}: {found[rule]}" for rule in rules]
    lines += [f"{rule}: by hand" if "break" in TABLE[rule] else f"{rule}: never broken: {TABLE[rule]['never']}"
              for rule in left]
    good = sum(1 for word in found.values() if word == "ok")
    lines.append(f"{good} of {len(rules)} rules with a remediation FAILED when broken and PASS after remediate; "
                 f"{len(left)} of {len(whole)} rules have none or cannot be broken in a container")
    print("\n".join(lines))
    if os.environ.get("PATCHCTL_FIGURES"):
        Path(os.environ["PATCHCTL_FIGURES"]).write_text("\n".join(lines) + "\n")
    assert_clean(host)
    assert good == len(rules), "\n".join(line for line in lines if not line.endswith(": ok"))
