"""Arch Linux by its looks: the real pacman 6.0 from Debian's package over a database of the lab's own packages.

Installed is version 1.0 of each package; pending is 2.0 of those in UPDATES; fault `offer NAME` adds the repository
with 2.0 of one of OFFERS.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tests.lab.dress import Dress
from tests.lab.pacman_repository import MACHINE, Pac, PacmanRepository
from tests.lab.signing import make_rsa_key

ARCH = os.uname().machine
SERVICE = """[Unit]
Description=lab service {version}
[Service]
ExecStart=/bin/sh -c 'exec sleep infinity'
[Install]
WantedBy=multi-user.target
"""
RESTART = "if [ -d /run/systemd/system ]; then systemctl daemon-reload; systemctl restart lab-service; fi; true"


def _both(name: str, what: str, *, old: str = "1.0-1", new: str = "2.0-1", arch: str = "any", info: str = "",
          post: Mapping[str, str] | None = None, pre: str = "", files: Mapping[str, Mapping[str, str]] | None = None,
          backup: tuple[str, ...] = ()) -> tuple[Pac, Pac]:
    """Return both versions of a package; `info` and `pre` are those of the new one."""
    scripts, contents = post or {}, files or {}
    share = f"/usr/share/{name}/version"
    first = Pac(name, old, arch, what, "", "", scripts.get("old", ""), {share: old, **contents.get("old", {})}, backup)
    second = Pac(name, new, arch, what, info, pre, scripts.get("new", ""), {share: new, **contents.get("new", {})},
                 backup)
    return first, second


UPDATES = (
    _both("lab-config", "changes its configuration file", backup=("/etc/lab-config.conf",), files={
        "old": {"/etc/lab-config.conf": "answer = 1\n"}, "new": {"/etc/lab-config.conf": "answer = 2\nnew = yes\n"}}),
    _both("lab-dependency", "pulls in lab-extra, which is new", info="depend = lab-extra>=2.0"),
    _both("lab-epoch", "has an epoch", old="1:1.0-1", new="1:2.0-1"),
    _both("lab-native", "has an architecture", new="2.0-3", arch=ARCH),
    _both("lab-service", "ships a service and restarts it", post={
        "old": "systemctl enable -q lab-service; " + RESTART, "new": RESTART,
    }, files={
        "old": {"/usr/lib/systemd/system/lab-service.service": SERVICE.format(version="1.0")},
        "new": {"/usr/lib/systemd/system/lab-service.service": SERVICE.format(version="2.0")},
    }),
)
EXTRA = Pac("lab-extra", "2.0-1", what="is new with lab-dependency 2.0", files={"/usr/share/lab-extra": "2.0"})
VICTIM = Pac("lab-victim", what="is replaced by lab-removes 2.0", files={"/usr/share/lab-victim": "1.0"})
OFFERS = {pair[0].name: pair for pair in (
    _both("lab-broken", "its install script fails; pacman installs it all the same", post={
        "new": 'echo "lab-broken: fails on purpose" >&2; return 1'}),
    _both("lab-half", "its script kills pacman before anything is unpacked, the first time only", pre=(
        "[ -e /var/lib/lab-half ] || { : > /var/lib/lab-half; kill -9 $PPID; sleep 1; }")),
    _both("lab-removes", "replaces lab-victim", info="replaces = lab-victim\nconflict = lab-victim"),
    _both("lab-unsigned", "is not signed"),
    _both("lab-badkey", "is signed by a key that the host does not trust"),
    _both("lab-plain", "comes from a database without signatures, each lies beside its package"),
)}


def build(folder: Path, home: Path) -> None:
    """Make the repositories: base (installed), updates, and one for each offer."""
    base = PacmanRepository(folder / "base", home)
    base.add(Pac("filesystem", "2026.01.01-1", what="base files", mark=False), VICTIM, *(old for old, _ in UPDATES),
             *(old for old, _ in OFFERS.values()))
    base.index()
    updates = PacmanRepository(folder / "updates", home)
    updates.add(*(new for _, new in UPDATES), EXTRA)
    updates.index()
    for name, (_, new) in OFFERS.items():
        one = PacmanRepository(folder / name, home)
        if name == "lab-badkey":
            stranger = folder.parent / "stranger"
            make_rsa_key(stranger, "lab packages stranger <stranger@localhost>")
            PacmanRepository(folder / name, stranger).add(new)
        else:
            one.add(new, signed=name != "lab-unsigned")
        one.index(include_signatures=name != "lab-plain")


def sources(url: str) -> dict[str, str]:
    repositories = "".join(f"[{name}]\nServer = {url}/$repo\n" for name in ("updates", "base"))
    return {"/etc/pacman.conf": (
        "[options]\nHoldPkg = pacman glibc\nArchitecture = auto\nCheckSpace\nSigLevel = Required DatabaseOptional\n"
        "LocalFileSigLevel = Optional\nInclude = /etc/pacman.d/lab-options\n"
        # pacman takes a package from the first repository that has it, so offers come first.
        f"Include = /etc/pacman.d/lab-offers\n{repositories}"
    )}


SCRIPT = """
mkdir -p /etc/pacman.d /var/lib/pacman /var/cache/pacman/pkg
: > /etc/pacman.d/lab-options; : > /etc/pacman.d/lab-offers
pacman-key --init; pacman-key --add /opt/dress/public.asc; pacman-key --lsign-key lab@localhost
gpgconf --homedir /etc/pacman.d/gnupg --kill all
printf '[options]\\nArchitecture = auto\\nSigLevel = Required\\nLocalFileSigLevel = Required\\n' > /etc/pacman.conf
pacman -U --noconfirm --overwrite '*' /opt/dress/repository/base/*.pkg.tar.zst
rm -f /var/log/*.post /var/log/pacman.log /etc/pacman.conf
"""

FAULTS = {
    "offer": ("PACKAGE", "version 2.0 of lab-broken, lab-half, ... (OFFERS of dresses/arch.py) becomes pending"),
    "ignore": ("PACKAGE", "IgnorePkg in pacman.conf"),
    "lock": ("[NAME]", "a process called NAME (pamac-daemon) holds pacman's lock"),
    "lock-stale": ("", "pacman's lock is left by a process that is gone"),
}
FAULTS_SCRIPT = """
case $1 in
offer) printf '[%s]\\nServer = %s/$repo\\n' "${2:?package}" "$LAB_URL" >> /etc/pacman.d/lab-offers ;;
ignore) echo "IgnorePkg = ${2:?package}" >> /etc/pacman.d/lab-options ;;
lock)  # as libalpm takes it: made exclusively, kept open
    systemd-run -q --collect --unit=lab-pacman-lock python3 -c '
import os, sys, time
open("/proc/self/comm", "w").write(sys.argv[1])
lock = os.open("/var/lib/pacman/db.lck", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o000)
open("/run/lab-faults/locked", "w")
time.sleep(1e6)' "${2:-pamac-daemon}"
    timeout 20 sh -c 'until [ -e /run/lab-faults/locked ]; do sleep 0.05; done' ;;
lock-stale) : > /var/lib/pacman/db.lck ;;
repo-down)
    cp /etc/pacman.conf /etc/pacman.d/lab-offers $saved/
    sed -i 's#^Server = http://[^/]*/#Server = http://127.0.0.1:9/#' /etc/pacman.conf /etc/pacman.d/lab-offers ;;
clear)
    systemctl stop lab-pacman-lock 2>/dev/null || :
    rm -f /var/lib/pacman/db.lck
    [ ! -e $saved/pacman.conf ] || { mv $saved/pacman.conf /etc/; mv $saved/lab-offers /etc/pacman.d/; }
    : > /etc/pacman.d/lab-options; : > /etc/pacman.d/lab-offers
    rm -rf $saved ;;
*) echo "no fault called $1" >&2; exit 2 ;;
esac
"""

DRESS = Dress(
    os_release=(
        'NAME="Arch Linux"\nPRETTY_NAME="Arch Linux (lab dress)"\nID=arch\nBUILD_ID=rolling\n'
        'VERSION_ID="20261101"\n'
    ),
    packages=("pacman-package-manager", "makepkg", "libarchive-tools", "curl", "zstd"),
    build=build, script=SCRIPT, sources=sources, refresh="pacman -Sy --noconfirm", caches=("/var/lib/pacman/sync",),
    faults=FAULTS, faults_script=FAULTS_SCRIPT, machine=MACHINE,
)
