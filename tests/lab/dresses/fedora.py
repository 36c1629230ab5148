"""Fedora by its looks: dnf 5 and rpm 6 from a later Debian's packages, with what they need, over alma.py's packages.

For the soak alone: the release it takes them from is not frozen. /usr/bin/dnf and yum are dnf5, as on Fedora.
"""

from __future__ import annotations

from dataclasses import replace

from tests.lab.dresses import alma

SCRIPT = f"""
mkdir -p /etc/rpm /etc/pki/rpm-gpg /etc/dnf/vars /etc/yum.repos.d /var/lib/rpm /var/log
echo '%_dbpath /var/lib/rpm' > /etc/rpm/macros
cp /opt/dress/public.asc {alma.KEY}
printf '%s\\n' '[main]' gpgcheck=1 installonly_limit=3 best=True skip_if_unavailable=False > /etc/dnf/dnf.conf
printf '[main]\\nname = local\\nenabled = 0\\n' > /etc/dnf/libdnf5-plugins/local.conf
ln -sf dnf5 /usr/bin/dnf; ln -sf dnf5 /usr/bin/yum
rpm --import {alma.KEY}
systemctl mask dnf5-makecache.timer dnf5-automatic.timer 2>/dev/null || :
dnf -q -y --disablerepo='*' --repofrompath=base,/opt/dress/repository/base --setopt=base.gpgcheck=1 \\
    --setopt=base.gpgkey=file://{alma.KEY} install $(cd /opt/dress/repository/base && ls *.rpm | sed 's/\\.rpm$//')
rm -rf /var/log/*.post /var/log/dnf5.log* /var/cache/libdnf5
"""

DRESS = replace(
    alma.DRESS,
    os_release=(
        'NAME="Fedora Linux"\nVERSION="43 (Server Edition)"\nID=fedora\nVERSION_ID=43\nPLATFORM_ID="platform:f43"\n'
        'PRETTY_NAME="Fedora Linux 43 (lab dress)"\n'
    ),
    packages=("dnf5", "rpm"), suite="forky", script=SCRIPT, refresh="dnf -q -y makecache",
    caches=("/var/cache/libdnf5",),
)
