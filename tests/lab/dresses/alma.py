"""AlmaLinux 9 by its looks: dnf 4 and rpm from Debian's packages over a database of the lab's own packages.

Installed is version 1.0 of each package; pending is 2.0 of those in UPDATES and PLAIN; fault `offer NAME` adds the
repository with 2.0 of one of OFFERS, `offer lab-module` one with two streams of a module, `offer kernel-core` a third
kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.lab.dress import Dress
from tests.lab.programs import run
from tests.lab.rpm_repository import MACHINE, Advisory, Rpm, RpmRepository, default_arch
from tests.lab.signing import make_rsa_key

ARCH = default_arch()
KEY = "/etc/pki/rpm-gpg/RPM-GPG-KEY-lab"
SERVICE = """[Unit]
Description=lab service {version}
[Service]
ExecStart=/bin/sh -c 'exec sleep infinity'
[Install]
WantedBy=multi-user.target
"""
RESTART = "if [ -d /run/systemd/system ]; then systemctl daemon-reload; systemctl restart lab-service; fi; true"

SYSTEM = (  # what the others need and what makes it look like a system; the files are Debian's
    Rpm("almalinux-release", "9.4", "1.el9", what="release files", mark=False,
        header="Provides: system-release = 9.4-1.el9\nProvides: system-release(releasever) = 9\n"
               "Provides: redhat-release = 9.4-1.el9"),
    Rpm("bash", "5.1.8", "9.el9", ARCH, what="shell", header="Provides: /bin/sh", mark=False,
        ghosts=("/usr/bin/bash",)),
    Rpm("systemd", "252", "32.el9_4", ARCH, what="init", mark=False, ghosts=("/usr/lib/systemd/systemd",)),
    Rpm("dbus-daemon", "1.12.20", "8.el9", ARCH, epoch=1, what="message bus", mark=False,
        ghosts=("/usr/bin/dbus-daemon",)),
    Rpm("openssh-server", "8.7p1", "38.el9", ARCH, what="sshd", mark=False, ghosts=("/usr/sbin/sshd",)),
    Rpm("dnf", "4.14.0", "9.el9", what="package manager", mark=False),
)


def _both(name: str, what: str, *, release: str = "1.el9", epoch: int = 0, header: str = "", new_header: str = "",
          post: Mapping[str, str] | None = None, files: Mapping[str, Mapping[str, str]] | None = None,
          config: tuple[str, ...] = (), scripts: Mapping[str, str] | None = None) -> tuple[Rpm, Rpm]:
    """Return 1.0 and 2.0 of a package; `scripts` are those of 2.0."""
    made = []
    for version in ("1.0", "2.0"):
        given = dict(scripts or {}) if version == "2.0" else {}
        if post and version in post:
            given["post"] = post[version]
        made.append(Rpm(name, version, release, epoch=epoch, what=what, header=new_header if version == "2.0" and
                        new_header else header, scripts=given, files=(files or {}).get(version, {}), config=config))
    return made[0], made[1]


def _kernel(release: str) -> Rpm:
    return Rpm("kernel-core", "5.14.0", release, ARCH, what="a kernel by its looks", header=(
        f"Provides: kernel = 5.14.0-{release}\nProvides: installonlypkg(kernel)"),
        files={f"/usr/lib/modules/5.14.0-{release}.{ARCH}/vmlinuz": "no kernel\n"})


CONFIG = _both("lab-config", "changes its configuration file", config=("/etc/lab-config.conf",), files={
    "1.0": {"/etc/lab-config.conf": "answer = 1\n"}, "2.0": {"/etc/lab-config.conf": "answer = 2\nnew = yes\n"}})
DEPENDENCY = _both("lab-dependency", "pulls in lab-extra, which is new", new_header="Requires: lab-extra >= 2.0")
EPOCH = _both("lab-epoch", "has an epoch", epoch=2)
NATIVE = tuple(Rpm("lab-native", v, "3.el9", ARCH, what="has an architecture") for v in ("1.0", "2.0"))
SERVICE_PAIR = _both("lab-service", "ships a service and restarts it", post={
    "1.0": "systemctl enable -q lab-service; " + RESTART, "2.0": RESTART,
}, files={v: {"/usr/lib/systemd/system/lab-service.service": SERVICE.format(version=v)} for v in ("1.0", "2.0")})
PLAIN = _both("lab-plain", "comes from a repository without advisories")
KERNELS = (_kernel("427.13.1.el9_4"), _kernel("503.11.1.el9_5"))
EXTRA = Rpm("lab-extra", "2.0", "1.el9", what="is new with lab-dependency 2.0")
VICTIM = Rpm("lab-victim", "1.0", "1.el9", what="is removed by lab-removes 2.0")
MODULAR = tuple(Rpm("lab-modular", v, "1.el9", what="comes from a module from 1.1 on", header=label) for v, label in (
    ("1.0", ""), *((v, f"ModularityLabel: lab-module:{v[0]}:20261101:deadbeef") for v in ("1.1", "2.0"))))
KERNEL_AFTER = _kernel("570.12.1.el9_6")
UPDATES = (CONFIG, DEPENDENCY, EPOCH, NATIVE, SERVICE_PAIR, KERNELS)
OFFERS = {pair[0].name: pair for pair in (
    _both("lab-broken", "its %pre fails, so it is not installed", scripts={
        "pre": 'echo "lab-broken: pre fails on purpose" >&2; exit 1'}),
    _both("lab-broken-post", "its %post fails; rpm installs it all the same", scripts={
        "post": 'echo "lab-broken-post: post fails on purpose" >&2; exit 1'}),
    _both("lab-slow", "its %post takes as many seconds as /etc/lab-slow says, else 20", scripts={
        "post": 'echo "lab-slow: working"; sleep "$(cat /etc/lab-slow 2>/dev/null || echo 20)"'}),
    _both("lab-half", "its %post kills dnf, the first time only", scripts={
        "post": "[ -e /var/lib/lab-half ] || { : > /var/lib/lab-half; kill -9 $PPID; sleep 1; }"}),
    _both("lab-reboot", "an advisory that asks for a reboot"),
    _both("lab-removes", "obsoletes lab-victim", new_header="Obsoletes: lab-victim < 2"),
    _both("lab-conflict", "has a file that lab-service has", files={
        "2.0": {"/usr/lib/systemd/system/lab-service.service": "mine\n"}}),
    _both("lab-unsigned", "is not signed"),
    _both("lab-badkey", "is signed by a key that the host does not know"),
    _both("lab-service-fails", "leaves its service failed", post={
        "2.0": "systemctl daemon-reload; systemctl restart lab-service-fails; sleep 0.5; true"}, files={
        "1.0": {"/usr/lib/systemd/system/lab-service-fails.service": SERVICE.format(version="1.0")},
        "2.0": {"/usr/lib/systemd/system/lab-service-fails.service":
                SERVICE.format(version="2.0").replace("exec sleep infinity", "exit 1")}}),
    _both("lab-sshcut", "ends every ssh session and stops sshd for 5 seconds", scripts={
        "post": "systemd-run -q --collect --on-active=5s --timer-property=AccuracySec=100ms systemctl start ssh; "
                "systemctl stop ssh; for p in $(pgrep -x sshd); do kill -9 \"$p\" || true; done; sleep 1"}),
)}

ADVISORIES = (
    Advisory("ALSA-2026:1001", "security", (SERVICE_PAIR[1],), "Important", ("CVE-2026-10001", "CVE-2026-10002")),
    Advisory("ALSA-2026:1002", "security", (NATIVE[1],), "Moderate", ("CVE-2026-10003",)),
    Advisory("ALSA-2026:1003", "security", (KERNELS[1],), "Important", ("CVE-2026-10004",), reboot=True),
    Advisory("ALBA-2026:1004", "bugfix", (CONFIG[1], EPOCH[1])),
    Advisory("ALEA-2026:1005", "enhancement", (DEPENDENCY[1], EXTRA)),
)


def build(folder: Path, home: Path) -> None:
    """Make the repositories: base, updates (with advisories), plain (without), and one for each offer."""
    base = RpmRepository(folder / "base", home)
    base.add(*SYSTEM, VICTIM, PLAIN[0], MODULAR[0], *(old for old, _ in UPDATES), *(old for old, _ in OFFERS.values()))
    base.index()
    updates = RpmRepository(folder / "updates", home)
    updates.add(*(new for _, new in UPDATES), EXTRA)
    updates.index(ADVISORIES)
    plain = RpmRepository(folder / "plain", home)
    plain.add(PLAIN[1])
    plain.index()
    build_offers(folder, home)
    module = RpmRepository(folder / "lab-module", home)
    module.add(*MODULAR[1:])
    module.index()
    (module.folder / "modules.yaml").write_text("".join(map(_stream, MODULAR[1:])))
    run("modifyrepo_c", "--mdtype=modules", module.folder / "modules.yaml", module.folder / "repodata", timeout=60)
    module.sign()
    kernel = RpmRepository(folder / "kernel-core", home)
    kernel.add(KERNEL_AFTER)
    kernel.index()


def build_offers(folder: Path, home: Path) -> None:
    """Make a repository for each of OFFERS."""
    for name, (_, new) in OFFERS.items():
        one = RpmRepository(folder / name, home)
        if name == "lab-badkey":
            stranger = folder.parent / "stranger"
            make_rsa_key(stranger, "lab packages stranger <stranger@localhost>")
            RpmRepository(folder / name, stranger).add(new)
        else:
            one.add(new, signed=name != "lab-unsigned")
        one.index([Advisory(f"ALBA-2026:{name}", "bugfix", (new,), reboot=name == "lab-reboot")])


def _stream(package: Rpm) -> str:
    """Return the modulemd document of one stream of lab-module, called by the package's major version."""
    return (
        f"---\ndocument: modulemd\nversion: 2\ndata:\n  name: lab-module\n  stream: \"{package.version[0]}\"\n"
        f"  version: 20261101\n  context: deadbeef\n  arch: {ARCH}\n  summary: a module\n  description: a module\n"
        f"  license: {{module: [MIT]}}\n  artifacts:\n    rpms:\n"
        f"    - lab-modular-0:{package.version}-{package.release}.noarch\n...\n"
    )


def repo_file(url: str, names: tuple[str, ...]) -> str:
    """Return the text of a .repo file: both signatures are verified, of packages and of metadata."""
    return "\n".join(
        f"[lab-{name.removeprefix('lab-')}]\nname=Lab {name}\nbaseurl={url}/{name}\nenabled=1\ngpgcheck=1\n"
        f"repo_gpgcheck=1\ngpgkey=file://{KEY}\n" for name in names
    )


def sources(url: str) -> dict[str, str]:
    return {"/etc/yum.repos.d/lab.repo": repo_file(url, ("base", "updates", "plain"))}


SCRIPT = f"""
mkdir -p /etc/rpm /etc/pki/rpm-gpg /etc/dnf/vars /etc/yum.repos.d /var/lib/rpm /var/log
echo '%_dbpath /var/lib/rpm' > /etc/rpm/macros
cp /opt/dress/public.asc {KEY}
printf '%s\\n' '[main]' gpgcheck=1 installonly_limit=3 clean_requirements_on_remove=True best=True \\
    skip_if_unavailable=False > /etc/dnf/dnf.conf
echo 'AlmaLinux release 9.4 (Seafoam Ocelot)' > /etc/almalinux-release
ln -s almalinux-release /etc/redhat-release
rpm --import {KEY}
printf '[main]\nenabled=0\n' > /etc/dnf/plugins/local.conf
systemctl mask dnf-makecache.timer dnf-automatic.timer 2>/dev/null || :
dnf -q -y --disablerepo='*' --repofrompath=base,/opt/dress/repository/base --setopt=base.gpgcheck=1 \\
    --setopt=base.gpgkey=file://{KEY} install $(cd /opt/dress/repository/base && ls *.rpm | sed 's/\\.rpm$//')
rm -f /var/log/*.post /var/log/dnf*.log /var/log/hawkey.log
"""

FAULTS = {
    "offer": ("PACKAGE", "version 2.0 of lab-broken, lab-slow, ... (OFFERS of dresses/alma.py) becomes pending"),
    "lock": ("[NAME]", "a process called NAME (packagekitd) holds dnf's and rpm's locks"),
    "versionlock": ("PACKAGE", "the versionlock plugin holds it"),
    "exclude": ("PACKAGE", "an exclude line in dnf.conf"),
    "stale": ("[DAYS]", "the cached metadata are DAYS (9) old"),
    "rpmdb-broken": ("", "the rpm database is damaged"),
}

FAULTS_SCRIPT = f"""
case $1 in
offer)
    name=${{2:?package}}
    printf '[%s]\\nname=Lab %s\\nbaseurl=%s/%s\\nenabled=1\\ngpgcheck=1\\nrepo_gpgcheck=1\\ngpgkey=file://{KEY}\\n' \\
        "lab-offer-$name" "$name" "$LAB_URL" "$name" > "/etc/yum.repos.d/lab-offer-$name.repo" ;;
lock)  # dnf locks by a file with its process id, rpm by fcntl
    systemd-run -q --collect --unit=lab-rpm-lock python3 -c '
import fcntl, os, sys, time
open("/proc/self/comm", "w").write(sys.argv[1])
for path in ("/var/lib/dnf/rpmdb_lock.pid", "/var/cache/dnf/metadata_lock.pid", "/var/cache/dnf/download_lock.pid",
             "/var/log/log_lock.pid"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if "log_lock" not in path: open(path, "w").write(str(os.getpid()))
lock = open("/var/lib/rpm/.rpm.lock", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
open("/run/lab-faults/locked", "w")
time.sleep(1e6)' "${{2:-packagekitd}}"
    timeout 20 sh -c 'until [ -e /run/lab-faults/locked ]; do sleep 0.05; done' ;;
repo-down)
    for f in /etc/yum.repos.d/*.repo; do
        [ -e "$saved/${{f##*/}}" ] || cp "$f" $saved/
        sed -i 's#^baseurl=http://[^/]*/#baseurl=http://127.0.0.1:9/#' "$f"
    done ;;
versionlock)
    mkdir -p /etc/dnf/plugins
    printf '# Added lock on %s\\n' "$(date)" >> /etc/dnf/plugins/versionlock.list
    rpm -q --qf '%{{NAME}}-%|EPOCH?{{%{{EPOCH}}}}:{{0}}|:%{{VERSION}}-%{{RELEASE}}.*\\n' "$2" \\
        >> /etc/dnf/plugins/versionlock.list ;;
exclude)
    cp -n /etc/dnf/dnf.conf $saved/ ; echo "excludepkgs=$2" >> /etc/dnf/dnf.conf ;;
stale)
    find /var/cache/dnf -exec touch -d "-${{2:-9}} days" {{}} + ;;
rpmdb-broken)
    cp -a /var/lib/rpm $saved/rpm
    dd if=/dev/urandom of=/var/lib/rpm/rpmdb.sqlite bs=4096 seek=1 count=40 conv=notrunc 2>/dev/null
    rm -f /var/lib/rpm/rpmdb.sqlite-wal /var/lib/rpm/rpmdb.sqlite-shm ;;
clear)
    systemctl stop lab-rpm-lock 2>/dev/null || :
    rm -f /var/lib/dnf/rpmdb_lock.pid /var/cache/dnf/*_lock.pid
    for f in $saved/*.repo; do [ ! -e "$f" ] || mv "$f" /etc/yum.repos.d/; done
    rm -f /etc/yum.repos.d/lab-offer-*.repo; : > /etc/dnf/plugins/versionlock.list
    [ ! -e $saved/dnf.conf ] || mv $saved/dnf.conf /etc/dnf/
    if [ -d $saved/rpm ]; then rm -rf /var/lib/rpm; cp -a $saved/rpm /var/lib/rpm; fi
    rm -rf $saved ;;
*) echo "no fault called $1" >&2; exit 2 ;;
esac
"""

DRESS = Dress(
    os_release=(
        'NAME="AlmaLinux"\nVERSION="9.4 (Seafoam Ocelot)"\nID="almalinux"\nID_LIKE="rhel centos fedora"\n'
        'VERSION_ID="9.4"\nPLATFORM_ID="platform:el9"\nPRETTY_NAME="AlmaLinux 9.4 (lab dress)"\n'
    ),
    packages=("dnf", "dnf-plugins-core", "rpm"),
    build=build, script=SCRIPT, sources=sources, refresh="dnf -q -y makecache", caches=("/var/cache/dnf",),
    faults=FAULTS, faults_script=FAULTS_SCRIPT, machine=MACHINE,
)
