"""The lab's own tiny packages: each shows one thing that updates do to a host.

Version 1.0 of each is installed on every host. Version 2.0 of those in ALWAYS is pending from the start, the others'
once `fault("offer", NAME)` has added their suite to a host.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.programs import run

MARK = "date +%s >> /var/log/{name}.postinst\n"  # proof of how often an install really ran


@dataclass(frozen=True)
class Tiny:
    """One package: its maintainer script per version (sh), extra control fields and files per version."""

    name: str
    what: str
    postinst: Mapping[str, str] = field(default_factory=dict)
    control: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    conffiles: tuple[str, ...] = ()
    index: str = ""
    """Extra lines for the entry of 2.0 in the repository's index."""


SERVICE = """[Unit]
Description=lab service {version}
[Service]
ExecStart=/bin/sh -c 'exec sleep infinity'
[Install]
WantedBy=multi-user.target
"""
RESTART = 'if [ -d /run/systemd/system ]; then systemctl daemon-reload; systemctl restart lab-service; fi; true'

ALWAYS = (
    Tiny("lab-conffile", "changes its configuration file", conffiles=("/etc/lab-conffile.conf",), files={
        "1.0": {"/etc/lab-conffile.conf": "answer = 1\n"},
        "2.0": {"/etc/lab-conffile.conf": "answer = 2\nnew = yes\n"},
    }),
    Tiny("lab-dependency", "pulls in lab-extra, which is new", control={"2.0": "Depends: lab-extra (>= 2.0)\n"}),
    Tiny("lab-service", "ships a service and restarts it", postinst={
        "1.0": "systemctl enable -q lab-service; " + RESTART, "2.0": RESTART,
    }, files={v: {"/lib/systemd/system/lab-service.service": SERVICE.format(version=v)} for v in ("1.0", "2.0")}),
)
OFFERS = (
    Tiny("lab-broken", "its postinst fails", postinst={
        "2.0": 'echo "lab-broken: postinst fails on purpose" >&2; exit 1'}),
    Tiny("lab-slow", "its postinst takes as many seconds as /etc/lab-slow says, else 20", postinst={
        "2.0": 'echo "lab-slow: working"; sleep "$(cat /etc/lab-slow 2>/dev/null || echo 20)"'}),
    Tiny("lab-half", "its postinst kills dpkg, the first time only", postinst={
        "2.0": "[ -e /var/lib/lab-half ] || { : > /var/lib/lab-half; kill -9 $PPID; sleep 1; }"}),
    Tiny("lab-reboot", "asks for a reboot as kernel packages do", postinst={
        "2.0": 'echo "*** System restart required ***" > /run/reboot-required; '
               "echo lab-reboot >> /run/reboot-required.pkgs"}),
    Tiny("lab-prompt", "asks a question and waits for the answer", postinst={
        "2.0": 'printf "Go on? [y/n] "; read -r answer || exit 3; [ "$answer" = y ]'}),
    Tiny("lab-sshcut", "ends every ssh session and stops sshd for as many seconds as /etc/lab-sshcut says, else 5",
         postinst={"2.0": "systemd-run -q --collect --on-active=\"$(cat /etc/lab-sshcut 2>/dev/null || echo 5)s\" "
                          "--timer-property=AccuracySec=100ms systemctl start ssh; systemctl stop ssh; "
                          "for p in $(pgrep -x sshd); do kill -9 \"$p\" || true; done; sleep 1"}),
    Tiny("lab-phased", "is phased: offered to nobody yet", index="Phased-Update-Percentage: 0\n"),
    Tiny("lab-removes", "removes lab-victim", control={"2.0": "Conflicts: lab-victim\n"}),
    Tiny("lab-service-fails", "leaves its service failed", postinst={
        "2.0": "systemctl daemon-reload; systemctl restart lab-service-fails; sleep 0.5; true"}, files={
        "1.0": {"/lib/systemd/system/lab-service-fails.service": SERVICE.format(version="1.0")},
        "2.0": {"/lib/systemd/system/lab-service-fails.service":
                SERVICE.format(version="2.0").replace("exec sleep infinity", "exit 1")},
    }),
)
EXTRA = Tiny("lab-extra", "is new with lab-dependency 2.0")
VICTIM = Tiny("lab-victim", "is removed by lab-removes 2.0")


def build(tiny: Tiny, version: str, folder: Path, depends: str = "") -> Path:
    """Build one version into folder and return the .deb."""
    tree = folder / f"{tiny.name}-{version}"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {tiny.name}\nVersion: {version}\nArchitecture: all\nSection: misc\nPriority: optional\n"
        f"Maintainer: lab <lab@localhost>\n{tiny.control.get(version, depends)}Description: {tiny.what}\n"
    )
    script = f"#!/bin/sh\nset -e\n[ \"$1\" = configure ] || exit 0\n{MARK.format(name=tiny.name)}"
    (tree / "DEBIAN/postinst").write_text(script + tiny.postinst.get(version, "") + "\n")
    (tree / "DEBIAN/postinst").chmod(0o755)
    if tiny.conffiles:
        (tree / "DEBIAN/conffiles").write_text("".join(f"{name}\n" for name in tiny.conffiles))
    for name, text in tiny.files.get(version, {}).items():
        target = tree / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    deb = folder / f"{tiny.name}_{version}_all.deb"
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, deb)
    shutil.rmtree(tree)
    return deb


def age(deb: Path, folder: Path) -> Path:
    """Repack a real package as an older version of itself, so that the real one is a pending update."""
    tree = folder / "aged"
    shutil.rmtree(tree, ignore_errors=True)
    run("dpkg-deb", "-R", deb, tree)
    control = tree / "DEBIAN/control"
    lines = control.read_text().splitlines()
    version = next(line.split()[1] for line in lines if line.startswith("Version:"))
    control.write_text("".join(f"{line}~lab1\n" if line.startswith("Version:") else f"{line}\n" for line in lines))
    name, _, arch = deb.stem.split("_")
    aged = folder / f"{name}_{version.split(':')[-1]}~lab1_{arch}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", tree, aged)
    shutil.rmtree(tree)
    return aged
