"""CentOS 7 by its looks: yum 3.4.3 and rpm 4.11.3 built from their sources (yum_tools.py), Python 2 and no other, over
packages like those of alma.py.

Only where somebody has those sources: `why_not()` says what is missing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.lab.base import get_base
from tests.lab.dress import AWAY
from tests.lab.dresses import alma
from tests.lab.rpm_repository import Advisory, Rpm, RpmRepository
from tests.lab.yum_tools import get_tools

ARCH = alma.ARCH


def _kernel(release: str) -> Rpm:
    return Rpm("kernel", "3.10.0", release, ARCH, what="a kernel by its looks",
               header=f"Provides: kernel-uname-r = 3.10.0-{release}.{ARCH}",
               files={f"/boot/vmlinuz-3.10.0-{release}.{ARCH}": "no kernel\n"})


SYSTEM = (
    Rpm("centos-release", "7", "9.2009.1.el7.centos", what="release files", mark=False,
        header="Provides: system-release = 7-9\nProvides: system-release(releasever) = 7\n"
               "Provides: redhat-release = 7-9"),
    *(package for package in alma.SYSTEM if package.name not in ("almalinux-release", "dnf")),
    Rpm("yum", "3.4.3", "168.el7.centos", what="package manager", mark=False),
)
KERNELS = (_kernel("1160.el7"), _kernel("1160.119.1.el7"))
UPDATES = (*(pair for pair in alma.UPDATES if pair != alma.KERNELS), KERNELS)
ADVISORIES = (
    *(advisory for advisory in alma.ADVISORIES if alma.KERNELS[1] not in advisory.packages),
    Advisory("ALSA-2026:1003", "security", (KERNELS[1],), "Important", ("CVE-2026-10004",), reboot=True),
)


def build(folder: Path, home: Path) -> None:
    """Make the repositories as alma.build does, without modules; and the tools, for the script to unpack."""
    base = RpmRepository(folder / "base", home)
    base.add(*SYSTEM, alma.VICTIM, alma.PLAIN[0], *(old for old, _ in UPDATES),
             *(old for old, _ in alma.OFFERS.values()))
    base.index()
    updates = RpmRepository(folder / "updates", home)
    updates.add(*(new for _, new in UPDATES), alma.EXTRA)
    updates.index(ADVISORIES)
    plain = RpmRepository(folder / "plain", home)
    plain.add(alma.PLAIN[1])
    plain.index()
    alma.build_offers(folder, home)
    (folder / "yum.tar").hardlink_to(get_tools(get_base()))


SCRIPT = f"""
tar -xf /opt/dress/repository/yum.tar -C / --keep-directory-symlink --no-same-owner
ldconfig
mkdir -p /etc/pki/rpm-gpg /etc/yum/vars /etc/yum.repos.d /var/lib/rpm /var/log /var/cache/yum {AWAY}
cp /opt/dress/public.asc {alma.KEY}
printf '%s\\n' '[main]' 'cachedir=/var/cache/yum/$basearch/$releasever' keepcache=0 debuglevel=2 \\
    logfile=/var/log/yum.log exactarch=1 obsoletes=1 gpgcheck=1 plugins=1 installonly_limit=3 \\
    distroverpkg=centos-release > /etc/yum.conf
echo 'CentOS Linux release 7.9.2009 (Core)' > /etc/centos-release
ln -s centos-release /etc/redhat-release
rpm --initdb
rpm --import {alma.KEY}
mv /usr/bin/python3* {AWAY}/
cd /opt/dress/repository/base
rpm -K *.rpm
# As if installed long before the boot, which needs-restarting compares with.
LD_PRELOAD=/usr/lib/lab/libfaketime.so.1 FAKETIME=-30d rpm -i --nosignature *.rpm
rm -rf /opt/dress/repository/yum.tar /var/log/*.post /var/log/yum.log
"""

FAULTS_SCRIPT = f"""
case $1 in
lock)  # yum locks by a file with its process id, rpm by fcntl
    systemd-run -q --collect --unit=lab-rpm-lock {AWAY}/python3 -c '
import fcntl, os, sys, time
open("/proc/self/comm", "w").write(sys.argv[1])
open("/var/run/yum.pid", "w").write(str(os.getpid()))
lock = open("/var/lib/rpm/.rpm.lock", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
open("/run/lab-faults/locked", "w")
time.sleep(1e6)' "${{2:-packagekitd}}"
    timeout 20 sh -c 'until [ -e /run/lab-faults/locked ]; do sleep 0.05; done'; exit ;;
versionlock)
    rpm -q --qf '%|EPOCH?{{%{{EPOCH}}}}:{{0}}|:%{{NAME}}-%{{VERSION}}-%{{RELEASE}}.*\\n' "$2" \\
        >> /etc/yum/pluginconf.d/versionlock.list; exit ;;
exclude)
    cp -n /etc/yum.conf $saved/; echo "exclude=$2" >> /etc/yum.conf; exit ;;
stale)
    find /var/cache/yum -exec touch -d "-${{2:-9}} days" {{}} + ; exit ;;
rpmdb-broken)
    cp -a /var/lib/rpm $saved/rpm; rm -f /var/lib/rpm/__db.*
    dd if=/dev/urandom of=/var/lib/rpm/Packages bs=4096 count=40 conv=notrunc 2>/dev/null; exit ;;
clear)
    rm -f /var/run/yum.pid; : > /etc/yum/pluginconf.d/versionlock.list
    [ ! -e $saved/yum.conf ] || mv $saved/yum.conf /etc/ ;;
esac
mkdir -p /etc/dnf/plugins
{alma.FAULTS_SCRIPT}
"""

DRESS = replace(
    alma.DRESS,
    os_release=(
        'NAME="CentOS Linux"\nVERSION="7 (Core)"\nID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\n'
        'PRETTY_NAME="CentOS Linux 7 (lab dress)"\n'
    ),
    packages=(), build=build, script=SCRIPT, refresh="yum -q -y makecache fast", caches=("/var/cache/yum",),
    faults_script=FAULTS_SCRIPT,
)
