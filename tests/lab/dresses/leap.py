"""openSUSE Leap 15 by its looks: the real zypper and rpm from Debian's packages over the packages of the dress alma.

Installed is version 1.0 of each package; pending is 2.0 of alma's UPDATES and PLAIN, as patches where they have an
advisory; fault `offer NAME` adds the repository with 2.0 of one of alma's OFFERS.
"""

from __future__ import annotations

from tests.lab.dress import Dress
from tests.lab.dresses.alma import build
from tests.lab.rpm_repository import MACHINE

KEY = "/usr/lib/rpm/gnupg/keys/gpg-pubkey-lab.asc"


def repo_file(url: str, names: tuple[str, ...]) -> str:
    """Return the text of a .repo file: both signatures are verified, of packages and of metadata."""
    return "\n".join(
        f"[lab-{name.removeprefix('lab-')}]\nname=Lab {name}\nbaseurl={url}/{name}\nenabled=1\nautorefresh=1\n"
        f"gpgcheck=1\nrepo_gpgcheck=1\npkg_gpgcheck=1\n" for name in names
    )


def sources(url: str) -> dict[str, str]:
    return {"/etc/zypp/repos.d/lab.repo": repo_file(url, ("base", "updates", "plain"))}


SCRIPT = f"""
mkdir -p /etc/rpm /etc/zypp/repos.d /var/lib/rpm /var/cache/zypp {KEY.rpartition("/")[0]}
echo '%_dbpath /var/lib/rpm' > /etc/rpm/macros
cp /opt/dress/public.asc {KEY}
rpm --import {KEY}
rpm -i --force-debian --nodeps --force /opt/dress/repository/base/*.rpm
rm -f /var/log/*.post /var/log/zypper.log /var/log/zypp/history
"""

FAULTS = {
    "offer": ("PACKAGE", "version 2.0 of lab-broken, lab-slow, ... (OFFERS of dresses/alma.py) becomes pending"),
    "addlock": ("PACKAGE", "zypper addlock"),
    "lock": ("[NAME]", "a process called NAME (packagekitd) holds zypp's lock"),
}
FAULTS_SCRIPT = """
case $1 in
offer)
    name=${2:?package}
    printf '[%s]\\nname=Lab %s\\nbaseurl=%s/%s\\nenabled=1\\nautorefresh=1\\ngpgcheck=1\\nrepo_gpgcheck=1\\n' \\
        "lab-offer-$name" "$name" "$LAB_URL" "$name" > "/etc/zypp/repos.d/lab-offer-$name.repo" ;;
addlock) zypper -n addlock "${2:?package}" >/dev/null ;;
lock)  # as libzypp takes it: its process id in a file that it keeps locked
    systemd-run -q --collect --unit=lab-zypp-lock python3 -c '
import fcntl, os, sys, time
open("/proc/self/comm", "w").write(sys.argv[1])
lock = open("/run/zypp.pid", "w+")
lock.write(str(os.getpid()) + "\\n"); lock.flush()
open("/run/lab-faults/locked", "w")
time.sleep(1e6)' "${2:-packagekitd}"
    timeout 20 sh -c 'until [ -e /run/lab-faults/locked ]; do sleep 0.05; done' ;;
repo-down)
    for f in /etc/zypp/repos.d/*.repo; do
        [ -e "$saved/${f##*/}" ] || cp "$f" $saved/
        sed -i 's#^baseurl=http://[^/]*/#baseurl=http://127.0.0.1:9/#' "$f"
    done ;;
clear)
    systemctl stop lab-zypp-lock 2>/dev/null || :
    rm -f /run/zypp.pid
    for f in $saved/*.repo; do [ ! -e "$f" ] || mv "$f" /etc/zypp/repos.d/; done
    rm -f /etc/zypp/repos.d/lab-offer-*.repo /etc/zypp/locks
    rm -rf $saved ;;
*) echo "no fault called $1" >&2; exit 2 ;;
esac
"""

# zypper touches a repository's index whenever it has looked whether there is a newer one.
CACHES = tuple(f"/var/cache/zypp/raw/lab-{name}/repodata" for name in ("base", "updates", "plain"))

DRESS = Dress(
    os_release=(
        'NAME="openSUSE Leap"\nVERSION="15.6"\nID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\n'
        'PRETTY_NAME="openSUSE Leap 15.6 (lab dress)"\n'
    ),
    packages=("zypper", "rpm", "lsof"),
    build=build, script=SCRIPT, sources=sources, refresh="zypper -n refresh", caches=CACHES,
    faults=FAULTS, faults_script=FAULTS_SCRIPT, machine=MACHINE,
)
