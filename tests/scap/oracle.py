"""Lab hosts dressed as Debian 11 and Ubuntu 22.04 with oscap in them, and both verdicts on every rule."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree

from patchctl.assess.content.xccdf import KIND
from patchctl.assess.content.xccdf.baseline import XccdfBaseline
from patchctl.assess.contract import MAX_TRIPS, Request
from patchctl.collect.parse import parse_output
from patchctl.collect.script import compile_script
from patchctl.model.assessment import Finding
from patchctl.model.evidence import Probe, Snapshot
from tests.lab import Lab, LabHost
from tests.lab.layer import layer_of_packages
from tests.lab.rpm_repository import Rpm, build_rpm
from tests.scap import content

if TYPE_CHECKING:
    from tests.lab.base import Base

INSTALLED = (
    "openscap-scanner", "auditd", "cron", "rsyslog", "libpam-pwquality", "chrony", "apparmor", "apparmor-utils",
    "nftables", "ufw", "logrotate", "aide", "libpam-runtime", "login", "iproute2", "procps", "kmod", "at",
)
"""What gives the rules something to look at."""

RELEASES = (Rpm("redhat-release", "9.1", "1.el9", mark=False), Rpm("sles-release", "15.4", "1", mark=False))

OSCAP_NAMES = {
    "pass": "PASS", "fail": "FAIL", "error": "ERROR", "unknown": "UNKNOWN", "notapplicable": "NOT_APPLICABLE",
    "notchecked": "NOT_CHECKED", "informational": "INFORMATIONAL", "fixed": "FIXED",
}

DRESSES: Mapping[str, Mapping[str, str]] = {
    "debian11": {
        "/etc/debian_version": "11.6\n",
        "/etc/os-release": 'ID=debian\nVERSION_ID="11"\nNAME="Debian GNU/Linux"\nVERSION_CODENAME=bullseye\n',
    },
    "ubuntu2204": {
        "/etc/debian_version": "bookworm/sid\n",
        "/etc/lsb-release": ('DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\nDISTRIB_CODENAME=jammy\n'
                             'DISTRIB_DESCRIPTION="Ubuntu 22.04.1 LTS"\n'),
        "/etc/os-release": 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\nNAME="Ubuntu"\n',
    },
}

_AFTER = """\
systemctl mask auditd.service chrony.service dailyaidecheck.timer nftables.service apparmor.service
mkdir -p /opt/scap
"""


def _layer(base: Base) -> Path:
    """Return the layer with oscap and the content."""
    sizes = [str(_stream(name).stat().st_size) for name in DRESSES]
    return layer_of_packages(base, "scap", INSTALLED, _AFTER, *sizes, fill=_copy_content)


def _copy_content(root: Path) -> None:
    for name in DRESSES:
        shutil.copy(_stream(name), root / "opt/scap" / f"{name}.xml")


def _stream(name: str) -> Path:
    return content.folder() / f"ssg-{name}-ds-1.2.xml"


class ScapLab(Lab):
    """A lab whose hosts have oscap and the content."""

    def _lower(self, *, live: bool, dress: str) -> list[Path]:
        if dress:
            above = [layer for layer in super()._lower(live=live, dress=dress)
                     if layer not in (self.base.folder / "upper", self.base.bootstrap)]
        else:
            above = [self.base.frozen_lists(self.slot.address(1))]
        return [*above, _layer(self.base), self.base.folder / "upper", self.base.bootstrap]

    def with_rpm(self, systems: Sequence[str]) -> LabHost:
        """Boot a host that rpm rules over, with the release packages by which content knows Red Hat and SUSE."""
        host = self.up(1, dress="alma")[0]
        for package in RELEASES:
            build_rpm(package, host.root / "root")
            host.exec(f"rpm -i --nodeps /root/{package.file}")
        for system in systems:
            shutil.copy(_stream(system), host.root / "opt/scap" / f"{system}.xml")
        return host

    def dressed(self, system: str) -> LabHost:
        """Boot a host dressed as that system."""
        host = self.up(1)[0]
        for path, text in DRESSES[system].items():
            target = host.root / path.lstrip("/")
            target.unlink(missing_ok=True)
            target.write_text(text)
        return host


@dataclass(frozen=True)
class Visit:
    """What a visit to a host cost and brought."""

    snapshot: Snapshot
    trips: int
    seconds: float
    usage: Mapping[str, float] = field(default_factory=dict)


@cache
def compiled(system: str, profile: str) -> XccdfBaseline:
    """Return a profile of this machine's content."""
    found = KIND.compile(content.stream(system), system, Request(f"{system}/{profile}", profile))
    assert isinstance(found, XccdfBaseline)
    return found


def ask(host: LabHost, probes: Sequence[Probe], shell: str = "sh") -> Snapshot:
    """Run probes in a host as root, through the project's own script, and return what came back."""
    nonce = secrets.token_hex(12)
    script = host.root / "root" / f"script-{nonce}"
    script.write_text(compile_script(probes, nonce))
    try:
        output = host.exec(f"{shell} /root/{script.name}", timeout=900)
    finally:
        script.unlink()
    return parse_output(output.encode(), probes, nonce, host=host.name, taken_at=time.time(), as_root=True,
                        seconds=0.0, lost="")


def visit(host: LabHost, baseline: XccdfBaseline) -> Visit:
    """Ask a host all that a baseline wants to know, in as many round trips as that takes."""
    started = time.monotonic()
    snapshot = ask(host, baseline.probes())
    trips = 1
    while trips < MAX_TRIPS and (more := baseline.follow_up(snapshot)):
        later = ask(host, more)
        trips += 1
        snapshot = Snapshot(snapshot.host, snapshot.taken_at, {**snapshot.evidence, **later.evidence},
                            round_trips=trips, complete=snapshot.complete and later.complete)
    return Visit(snapshot, trips, time.monotonic() - started)


def oscap(host: LabHost, system: str, profile: str) -> dict[str, str]:
    """Run oscap inside the host and return its verdict on every selected rule, in our words."""
    command = (f"oscap xccdf eval --profile {profile} --results /root/results.xml /opt/scap/{system}.xml "
               ">/root/oscap.log 2>&1; echo $?")
    code = host.exec(command, timeout=900).strip()
    assert code in ("0", "2"), f"oscap ended with {code}: {(host.root / 'root/oscap.log').read_text()[-500:]}"
    tree = etree.parse(os.fspath(host.root / "root/results.xml"))
    found: dict[str, str] = {}
    for result in tree.iter("{*}rule-result"):
        verdict = result.findtext("{*}result")
        if verdict != "notselected":
            found[result.get("idref")] = OSCAP_NAMES[verdict]
    return found


def differences(findings: Sequence[Finding], theirs: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return (rule, our verdict, oscap's) wherever they are not the same."""
    ours = {f.rule: f.verdict for f in findings}
    rules = sorted(ours.keys() | theirs.keys())
    return [(re.sub(r".*_rule_", "", r), ours.get(r, "-"), theirs.get(r, "-")) for r in rules
            if ours.get(r) != theirs.get(r)]
