"""The layers under every host: debootstrap, then users and packages, then package lists; and the frozen repository.

Everything is cached in the lab folder under a name that carries the hash of what it was made from, and built under a
lock in a folder that gets its name when it is complete: an interrupted build is simply made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.lab import packages
from tests.lab.kernel import mount_overlay
from tests.lab.machine import NSPAWN, SUITE, Mirror, find_mirror, install_needs, lab_folder
from tests.lab.programs import LabError, run
from tests.lab.repository import KEYRING, Repository, make_key

BOOTSTRAP = ("openssh-server", "python3-minimal", "systemd", "systemd-sysv", "dbus", "iproute2", "procps", "sudo",
             "ca-certificates", "curl")
ADDED = ("python3", "python3-apt", "tcsh", "busybox", "doas")
AGED = ("openssh-server", "procps", "hostname", "tcsh", "busybox")
"""Installed one version back, so that updates from the main archive are pending too, sshd's own among them."""

LIVE_LISTS_AGE = 6 * 3600
"""Seconds after which hosts of the live mirror get fresh package lists."""

PREPARE = f"""
update-ca-certificates >/dev/null
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends {' '.join(ADDED)}
mkdir -p /opt/faketime /opt/pending/partial; cd /opt; apt-get -q download libfaketime
dpkg-deb -x libfaketime_*.deb faketime
mkdir -p /usr/lib/lab; cp faketime/usr/lib/*/faketime/libfaketime.so.1 /usr/lib/lab/
mv /opt/debian.sources /etc/apt/sources.list.d/; : > /etc/apt/sources.list
apt-get -q update
apt-get -qy -o Dir::Cache::archives=/opt/pending --download-only dist-upgrade
"""
FINISH = """
dpkg -i --force-confnew /opt/aged/*.deb /opt/own/*.deb
rm -rf /opt/* /var/cache/apt/archives/*.deb /etc/apt/sources.list.d/* /etc/apt/sources.list /etc/ssh/ssh_host_*
rm -f /etc/apt/apt.conf.d/99lab-machine /var/log/*.postinst /var/log/apt/* /var/cache/apt/*.bin
find /var/lib/apt/lists -type f -delete
: > /var/log/dpkg.log; : > /etc/machine-id
systemctl mask systemd-networkd.service systemd-networkd.socket systemd-resolved.service apt-daily.timer \\
    apt-daily-upgrade.timer fstrim.timer e2scrub_all.timer dpkg-db-backup.timer
echo root:labpw | chpasswd
useradd -m -s /bin/bash ops; useradd -m -s /bin/bash opspw; useradd -m -s /bin/tcsh opscsh; useradd -m -s /bin/sh guest
for user in opspw opscsh guest; do echo $user:labpw | chpasswd; done
for user in root ops opspw opscsh guest; do
    home=$(getent passwd $user | cut -d: -f6); mkdir -p -m 700 $home/.ssh
    cp /etc/ssh/lab_key.pub $home/.ssh/authorized_keys; chown -R $user: $home/.ssh
done
echo 'ops ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops
echo 'opspw ALL=(ALL:ALL) ALL' > /etc/sudoers.d/opspw
echo 'opscsh ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/opscsh
chmod 440 /etc/sudoers.d/*
printf 'permit nopass ops as root\\npermit opspw as root\\n' > /etc/doas.conf; chmod 400 /etc/doas.conf
"""


def _say_nothing(text: str) -> None:
    """Report progress to nobody."""


Say = Callable[[str], None]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that dies with this process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(*texts: object) -> str:
    return hashlib.sha256("\0".join(map(str, texts)).encode()).hexdigest()[:10]


class Base:
    """The finished layers: where they are, and which a host stands on."""

    def __init__(self, folder: Path, bootstrap: Path) -> None:
        self.folder = folder
        self.bootstrap = bootstrap
        self.repository = Repository(folder / "repository", folder / "gnupg")

    @property
    def key(self) -> Path:
        """The private ssh key that every user of every host accepts."""
        return lab_folder() / "id_ed25519"

    @property
    def user_ca(self) -> Path:
        """The private key of the authority whose user certificates every host accepts."""
        return lab_folder() / "user_ca"

    @property
    def host_ca(self) -> Path:
        """The private key of the authority that signs every host's key."""
        return lab_folder() / "host_ca"

    def lower(self, lists: Path) -> list[Path]:
        """Return the layers of a host, topmost first."""
        return [lists, self.folder / "upper", self.bootstrap]

    def frozen_lists(self, address: str) -> Path:
        """Return the layer with lists of the frozen repository, served at address right now."""
        suites = [("debian", SUITE), ("debian-security", f"{SUITE}-security"), ("lab", "lab")]
        sources = self.repository.sources(address, suites)
        return self._lists(f"frozen-{address}", sources, "", lambda layer: True)

    def live_lists(self) -> Path:
        """Return the layer with lists of the machine's own mirror, at most LIVE_LISTS_AGE old."""
        mirror = find_mirror()
        fresh = lambda layer: time.time() - layer.stat().st_mtime < LIVE_LISTS_AGE  # noqa: E731
        name = f"live-{_digest(mirror.sources(), mirror.settings)}"
        return self._lists(name, mirror.sources(), mirror.settings, fresh)

    def _lists(self, name: str, sources: str, settings: str, fresh: Callable[[Path], bool]) -> Path:
        with locked(self.folder / f"lists-{name}.lock"):
            found = sorted(self.folder.glob(f"lists-{name}.[0-9]*"))
            if found and fresh(found[-1]):
                return found[-1] / "upper"
            part = self.folder / f"lists-{name}.part"
            with mounted(part, [self.folder / "upper", self.bootstrap]) as root:
                (root / "etc/apt/sources.list.d/debian.sources").write_text(sources)
                if settings:
                    (root / "etc/apt/apt.conf.d/99lab-machine").write_text(settings)
                run(*NSPAWN, "--pipe", "-D", root, "apt-get", "-q", "update", "-o", "APT::Update::Error-Mode=any",
                    timeout=300)
            # A new name each time: hosts may still stand on the old layer.
            done = part.with_name(f"lists-{name}.{int(time.time())}")
            part.rename(done)
            return done / "upper"


@contextlib.contextmanager
def mounted(folder: Path, lower: list[Path]) -> Iterator[Path]:
    """Make a fresh layer in folder/upper by changing folder/root in the body."""
    source = f"patchctl-lab-build-{_digest(folder)}"
    release(folder)
    shutil.rmtree(folder, ignore_errors=True)
    root = mount_overlay(source, lower, folder)
    try:
        yield root
    finally:
        release(folder)
    for part in ("work", "root"):
        shutil.rmtree(folder / part)


def release(folder: Path) -> None:
    """Unmount folder/root if it is mounted."""
    while os.path.ismount(folder / "root"):
        run("umount", folder / "root", timeout=30)


def get_base(say: Say = _say_nothing) -> Base:
    """Return the base, built first if it is not there: takes two or three minutes the first time."""
    install_needs()
    lab = lab_folder()
    lab.mkdir(parents=True, exist_ok=True)
    with locked(lab / "base.lock"):
        for name in ("id_ed25519", "user_ca", "host_ca"):
            if not (lab / f"{name}.pub").exists():
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {name}", "-f", lab / name)
        arch = run("dpkg", "--print-architecture").strip()
        bootstrap = lab / f"bootstrap-{_digest(BOOTSTRAP, SUITE, arch)}"
        texts = [Path(module).read_text() for module in (__file__, packages.__file__)]
        folder = lab / f"base-{_digest(bootstrap, (lab / 'id_ed25519.pub').read_text(), *texts)}"
        if not folder.is_dir():
            mirror = find_mirror()
            if not bootstrap.is_dir():
                say(f"lab: debootstrap {SUITE} from {mirror.debian} (once, one or two minutes)")
                _bootstrap(bootstrap, mirror)
            say("lab: making the base and cutting the frozen repository (once, about a minute)")
            _build(folder, bootstrap, mirror)
        return Base(folder, bootstrap)


def _bootstrap(folder: Path, mirror: Mirror) -> None:
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    included = f"--include={','.join(BOOTSTRAP)}"
    run("debootstrap", "--variant=minbase", included, SUITE, part, mirror.debian, timeout=1800)
    part.rename(folder)


def _build(folder: Path, bootstrap: Path, mirror: Mirror) -> None:
    part = folder.with_suffix(".part")
    with mounted(part, [bootstrap]) as root:
        (root / "etc/apt/apt.conf.d/99lab-machine").write_text(
            mirror.settings + 'APT::Sandbox::User "root";\n')
        (root / "opt/debian.sources").write_text(mirror.sources())
        for certificate in mirror.certificates:
            shutil.copy(certificate, root / "usr/local/share/ca-certificates")
        _inside(root, PREPARE, part / "prepare.log")
        _cut(part, root, bootstrap)
        shutil.copy(part / "gnupg/public.gpg", root / KEYRING.lstrip("/"))
        for name in ("id_ed25519", "user_ca"):
            shutil.copy(lab_folder() / f"{name}.pub", root / "etc/ssh" / name.replace("id_ed25519", "lab_key.tmp"))
        (root / "etc/ssh/lab_key.tmp").rename(root / "etc/ssh/lab_key.pub")
        _inside(root, FINISH, part / "finish.log")
    part.rename(folder)


def _inside(root: Path, script: str, log: Path) -> None:
    log.write_text(run(*NSPAWN, "--pipe", "-D", root, "sh", "-ec", script, timeout=900))


def _cut(part: Path, root: Path, bootstrap: Path) -> None:
    """Cut the repository: all packages of the base, their pending updates, ours; and put the older ones into opt."""
    make_key(part / "gnupg")
    repository = Repository(part / "repository", part / "gnupg")
    archives = root / "var/cache/apt/archives"
    lists = root / "var/lib/apt/lists"
    for archive, suite in (("debian", SUITE), ("debian-security", f"{SUITE}-security")):
        repository.define(archive, suite, _release_fields(lists, suite))
    names = {tiny.name for tiny in packages.ALWAYS} | {packages.EXTRA.name, packages.VICTIM.name}
    ours = {"Origin": "Lab", "Label": "Lab"}
    repository.define("lab", "lab", {**ours, "Suite": "lab", "Codename": "lab"}, only=names)
    for tiny in packages.OFFERS:
        fields = {**ours, "Suite": tiny.name, "Codename": tiny.name}
        repository.define("lab", tiny.name, fields, only=[tiny.name], extra={tiny.name: tiny.index})
    pools = {name: repository.folder / name / "pool" for name in ("debian", "debian-security", "lab")}
    aged, own = root / "opt/aged", root / "opt/own"
    aged.mkdir()
    own.mkdir()
    for deb in archives.glob("*.deb"):
        name = deb.name.split("_")[0]
        shutil.copy(deb, pools["debian"])
        if name in AGED:
            shutil.copy(packages.age(deb, aged), pools["debian"])
    if len(list(aged.iterdir())) != len(AGED):
        raise LabError(f"not all of {', '.join(AGED)} are among the packages of the base: {sorted(aged.iterdir())}")
    for deb in (root / "opt/pending").glob("*.deb"):
        shutil.move(deb, pools["debian-security"])
    for tiny in (*packages.ALWAYS, *packages.OFFERS, packages.EXTRA, packages.VICTIM):
        for version in ("1.0", "2.0"):
            if (tiny.name, version) not in {("lab-extra", "1.0"), ("lab-victim", "2.0")}:
                deb = packages.build(tiny, version, pools["lab"])
                if version == "1.0":
                    shutil.copy(deb, own)
    for archive in pools:
        repository.index(archive)


def _release_fields(lists: Path, suite: str) -> dict[str, str]:
    """Return the fields by which apt tells archives apart, as the real mirror has them for this suite."""
    for path in sorted(lists.glob(f"*_dists_{suite}_*Release")):
        fields = dict(re.findall(r"^(Origin|Label|Suite|Version|Codename): (.*)$", path.read_text(), re.MULTILINE))
        if fields:
            return fields
    raise LabError(f"no Release of {suite} among the package lists in {lists}")
