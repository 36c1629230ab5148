"""On real hosts: scan and updates tell the truth, as root or not, whatever the host is like, and change nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from patchctl.platforms.registry import platform_named
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab
Boot = Callable[[int], list[LabHost]]
PATCHCTL = [sys.executable, "-c", "from patchctl.cli.main import run; run()"]


class Project:
    """A project folder with an inventory of the given hosts."""

    def __init__(self, folder: Path, lab: Lab, hosts: list[LabHost], user: str = "ops", extra: str = "") -> None:
        self.folder = folder
        (folder / "inventories").mkdir(parents=True)
        (folder / "patchctl.yaml").write_text("")
        text = lab.inventory_yaml(hosts, user).replace(f"  user: {user}\n", f"  user: {user}\n{extra}", 1)
        (folder / "inventories/lab.yaml").write_text(text)
        (folder / ".patchctl").mkdir(mode=0o700)
        shutil.copy(lab.known_hosts, folder / ".patchctl/known_hosts")

    def call(self, *arguments: str, code: int = 0) -> str:
        found = subprocess.run([*PATCHCTL, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=300)
        assert found.returncode == code, found.stdout[-3000:] + found.stderr
        assert "Traceback" not in found.stderr
        return found.stdout

    def scan(self, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
        document = json.loads(self.call("scan", "-o", "json", *arguments, code=code))
        assert document["schema"] == "patchctl/scan/1"
        return {item["host"]: item for item in document["hosts"]}


@pytest.fixture()
def project(tmp_path: Path, lab: Lab) -> Callable[..., Project]:
    return lambda hosts, **kwargs: Project(tmp_path / f"p{len(list(tmp_path.iterdir()))}", lab, hosts, **kwargs)


@pytest.fixture()
def host(module_hosts: Boot) -> LabHost:
    host = module_hosts(1)[0]
    host.clear()
    return host


def test_updates_equal_apt_list_upgradable_on_20_of_20(fresh_hosts: Boot, project: Callable[..., Project]) -> None:
    hosts = fresh_hosts(20)
    hosts[1].fault("hold", "procps")
    hosts[2].fault("offer", "lab-phased")
    hosts[3].fault("offer", "lab-removes")
    hosts[4].fault("offer", "lab-broken")
    document = json.loads(project(hosts).call("updates", "-o", "json", "--refresh", "always"))
    found: dict[str, list[tuple[str, str, str, str]]] = {host.name: [] for host in hosts}
    for u in document["updates"]:
        found[u["host"]].append((u["package"], u["arch"], u["installed"], u["candidate"]))
    equal = 0
    for host in hosts:
        host.exec("apt-get -q update")
        assert sorted(found[host.name]) == host.upgradable(), host.name
        equal += 1
    assert equal == 20
    by_host = {(u["host"], u["package"]): u for u in document["updates"]}
    assert by_host[hosts[0].name, "openssl"]["security"] is True
    assert by_host[hosts[0].name, "openssl"]["origin"].startswith("Debian-Security:")
    assert by_host[hosts[0].name, "procps"]["security"] is False
    assert by_host[hosts[1].name, "procps"]["approval"] == "held"
    assert by_host[hosts[2].name, "lab-phased"]["approval"] == "phased"
    removes = by_host[hosts[3].name, "lab-removes"]
    assert removes["approval"] == "held"
    assert "lab-victim" in removes["reason"]


@pytest.mark.parametrize("user", ["root", "ops", "opscsh"])
def test_every_way_in_gives_the_same(user: str, host: LabHost, project: Callable[..., Project]) -> None:
    found = project([host], user=user).scan("--refresh", "never")[host.name]
    assert found["status"] == "ok"
    assert found["error"] is None
    assert found["os"] == {"id": "debian", "version": "12", "family": "debian"}
    assert found["boot_id"] == host.boot_id()
    assert found["pending"] == len(host.upgradable())
    assert found["security"] >= 5
    assert found["unknown"] == {}
    assert found["reboot_required"] is False
    assert abs(found["clock_skew"]) < 60


@pytest.mark.parametrize("fault", ["chatty", "no-space-tmp", "noexec"])
def test_hostile_surroundings_change_nothing(fault: str, host: LabHost, project: Callable[..., Project]) -> None:
    host.fault(fault)
    found = project([host]).scan("--refresh", "always")[host.name]
    assert found["status"] == "ok", found["error"]
    assert found["pending"] == len(host.upgradable())


def test_without_root_what_needs_it_is_unknown_with_the_reason(host: LabHost, project: Callable[..., Project]) -> None:
    refused = project([host], user="guest").scan("--refresh", "never", code=4)[host.name]
    assert refused["status"] == "privilege-failed"
    assert refused["error"]["code"]
    plain = project([host], user="guest", extra="  become: {method: none}\n").scan("--refresh", "always")[host.name]
    assert plain["status"] == "partial"
    assert plain["error"]["code"] == "needs-root"
    for found in (refused, plain):
        assert found["pending"] == len(host.upgradable())  # needs no root
        assert found["restarts"] is None
        assert found["unknown"]["restarts"] == "needs root"
        assert found["reboot_required"] is None


def test_refreshing_never_touches_the_hosts_own_lists(host: LabHost, project: Callable[..., Project]) -> None:
    listing = "find /var/lib/apt -printf '%p %s %T@ %C@\\n' | sort; find /var /run /tmp -name '*patchctl*'"
    # Lists whose content is not the repository's any more must be fetched anew, beside the host's own.
    host.exec("for f in /var/lib/apt/lists/*_Packages; do echo >>$f; done")
    host.fault("stale-lists")
    before = host.exec(listing)
    place = project([host])
    stale = place.scan("--refresh", "never")[host.name]
    assert stale["pending"] is None
    assert stale["security"] is None
    assert stale["metadata_age"] > 8 * 86400
    assert "old" in stale["unknown"]["updates"]
    assert "unknown" in place.call("scan", "--from-snapshot")
    fresh = place.scan("--refresh", "auto")[host.name]
    assert fresh["metadata_age"] < 300
    assert host.exec(listing) == before
    host.clear()
    host.exec("apt-get -q update")
    assert fresh["pending"] == len(host.upgradable())


def test_a_repository_that_is_down_makes_pending_unknown(fresh_hosts: Boot, project: Callable[..., Project]) -> None:
    [host] = fresh_hosts(1)
    host.fault("repo-down")
    place = project([host])
    found = place.scan("--refresh", "always")[host.name]
    assert found["status"] == "partial"
    assert found["pending"] is None
    assert "refreshing the package lists failed" in found["unknown"]["updates"]
    document = json.loads(place.call("updates", "-o", "json", "--from-snapshot"))
    assert document["updates"] == []
    assert document["summary"]["unknown"] == 1
    assert "UNKNOWN on 1 hosts" in place.call("updates", "--from-snapshot")


def test_a_held_lock_and_an_interrupted_dpkg_are_seen(fresh_hosts: Boot, project: Callable[..., Project]) -> None:
    [host] = fresh_hosts(1)
    host.fault("apt-lock")
    assert project([host]).scan("--refresh", "always")[host.name]["status"] == "ok"  # reading needs no lock
    host.clear()
    host.fault("dpkg-interrupted")
    broken = project([host]).scan("--refresh", "never")[host.name]["broken"]
    assert any("lab-half" in words or "interrupted" in words for words in broken)


def test_hosts_that_fail_do_not_stop_the_others(
    fresh_hosts: Boot, host: LabHost, project: Callable[..., Project]
) -> None:
    [wrong_key, gone] = fresh_hosts(2)
    wrong_key.fault("wrong-host-key")
    gone.power_off()
    place = project([host, wrong_key, gone])
    found = place.scan("--refresh", "never", "--fail-on", "any", code=4)
    assert found[host.name]["status"] == "ok", found[host.name]["error"]
    assert found[wrong_key.name]["status"] == "host-key"
    assert found[wrong_key.name]["error"]["message"]
    assert found[gone.name]["status"] == "unreachable"
    assert found[gone.name]["pending"] is None
    assert place.scan("--refresh", "never").keys() == found.keys()
    place.scan("--refresh", "never", "--limit", gone.name, code=4)
    place.scan("--refresh", "never", "--limit", wrong_key.name, code=13)


def test_the_printed_script_is_the_one_that_runs(host: LabHost, project: Callable[..., Project]) -> None:
    script = project([host]).call("scan", "--print-script", host.name, "--refresh", "never")
    output = _sh(host, script).stdout
    assert "#END" in output
    assert host.boot_id() in output


def test_files_are_fetched_by_the_hosts_own_apt_and_installed_exactly(fresh_hosts: Boot) -> None:
    """The platform's write side: download, install, conffile kept, hold kept, marks kept, nothing else changed."""
    from patchctl.platforms.contract import InstallRequest

    [host] = fresh_hosts(1)
    host.fault("edit-conffile")
    host.exec("apt-mark hold procps; apt-mark auto lab-service")
    changes, artefacts = _resolve(host, {"lab-conffile", "lab-dependency", "lab-service", "openssl", "libssl3"})
    assert {c.package for c in changes} >= {"lab-extra", "lab-dependency"}
    apt = platform_named("apt")
    spool = "/var/lib/patchctl/runs/test"
    host.exec(f"mkdir -p -m 700 {spool}")
    fetched = _sh(host, apt.download_script(artefacts, spool))
    assert sorted(fetched.stdout.split("\n")[:-1]) == sorted(f"have {a.sha256}" for a in artefacts)
    untouched = set(host.upgradable())
    done = _sh(host, apt.install_script(InstallRequest(tuple(changes), tuple(artefacts), (), spool)))
    assert done.returncode == 0, done.stdout
    assert "patchctl: conffile /etc/lab-conffile.conf" in done.stdout.splitlines()
    assert "patchctl: step install" in done.stdout
    left = set(host.upgradable())
    assert untouched - left == {(c.package, c.arch, c.from_version, c.to_version) for c in changes if c.from_version}
    assert host.exec("apt-mark showhold") == "procps\n"
    auto = host.exec("apt-mark showauto").split()
    assert "lab-service" in auto
    assert "lab-extra" in auto
    again = _sh(host, apt.fingerprint_probe([c.package for c in changes]).command)
    assert sorted(again.stdout.splitlines()) == sorted(f"{c.package}:{c.arch} {c.to_version}" for c in changes)
    # A file that is not what was promised is never installed.
    host.exec(f"echo x >> {spool}/{artefacts[0].filename}")
    spoiled = _sh(host, apt.install_script(InstallRequest(tuple(changes), tuple(artefacts), (), spool)))
    assert spoiled.returncode == 100
    assert "patchctl: hash-mismatch" in spoiled.stdout


@pytest.mark.parametrize(
    ("fault", "offer", "signature"),
    [("apt-lock", "", "dpkg-lock-held"), ("dpkg-interrupted", "", "dpkg-interrupted"),
     ("", "lab-broken", "maintainer-script-failed"), ("disk-full var", "", "no-space"),
     ("", "lab-removes", "unplanned-change")],
)  # fmt: skip
def test_a_failed_install_is_named_by_its_cause(fault: str, offer: str, signature: str, fresh_hosts: Boot) -> None:
    import re

    from patchctl.platforms.contract import InstallRequest

    [host] = fresh_hosts(1)
    if offer:
        host.fault("offer", offer)
        host.exec("apt-get -q update")
    changes, artefacts = _resolve(host, {offer or "openssl"})
    apt = platform_named("apt")
    spool = "/root/spool"
    host.exec(f"mkdir -p -m 700 {spool}")
    assert "miss" not in _sh(host, apt.download_script(artefacts, spool)).stdout
    if fault:
        host.fault(*fault.split())
    request = InstallRequest(tuple(changes), tuple(artefacts), (), spool, lock_timeout=2)
    done = _sh(host, apt.install_script(request))
    assert done.returncode != 0
    names = [
        s.name for line in done.stdout.splitlines() for s in apt.signatures if re.search(s.pattern, line)
    ]
    assert signature in names, done.stdout
    if fault == "apt-lock":
        assert re.search(r"^patchctl: lock-held /var/lib/dpkg/lock-frontend \d+ unattended-upgr$", done.stdout, re.M)
    if fault == "dpkg-interrupted":
        repaired = InstallRequest(tuple(changes), tuple(artefacts), (), spool, ("dpkg-configure-a",))
        assert _sh(host, apt.install_script(repaired)).returncode == 0


def _sh(host: LabHost, script: str) -> subprocess.CompletedProcess[str]:
    argv = [*host.ssh_argv("root"), "--", "sh"]
    return subprocess.run(
        argv, input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
    )


def _resolve(host: LabHost, names: set[str]) -> tuple[list[Any], list[Any]]:
    """Return the changes and files that installing these packages' candidates takes, as the platform resolves them."""
    from patchctl.model.plan import Change

    wanted = [Change(n, a, old, new) for n, a, old, new in host.upgradable() if n in names]
    apt = platform_named("apt")
    facts = apt.read_resolution(_sh(host, apt.resolve_probe(wanted).command).stdout)
    assert facts.updates is not None, facts.unknown
    changes = [
        Change(u.package, u.arch, u.installed, u.candidate, pulled=u.state == "new") for u in facts.updates
    ]
    return changes, list(facts.artefacts)
