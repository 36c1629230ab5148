"""yum 3.4.3 and rpm 4.11.3, as CentOS 7 has them, built from their public sources with Debian's last Python 2.

No release of Debian that is still on the mirrors has yum. Who wants hosts with it clones the repositories of SOURCES
into one folder and names that in PATCHCTL_LAB_YUM_SOURCES; building takes about four minutes, once. What is built is
kept in the lab's folder, none of it comes into the checkout.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.lab.base import Base, _digest, locked, mounted
from tests.lab.machine import NSPAWN, find_mirror, lab_folder
from tests.lab.programs import run

VARIABLE = "PATCHCTL_LAB_YUM_SOURCES"
SOURCES = {  # folder -> (repository on github.com, what of it)
    "rpm": ("rpm-software-management/rpm", "rpm-4.11.3-release"),
    "yum": ("rpm-software-management/yum", "f8616a2d"),
    "yum-utils": ("rpm-software-management/yum-utils", "05db7ef"),
    "yum-metadata-parser": ("rpm-software-management/yum-metadata-parser", "b2565c1"),
    "urlgrabber": ("rpm-software-management/urlgrabber", "urlgrabber-3-10-2"),
    "pycurl": ("pycurl/pycurl", "REL_7_43_0_3"),
    "python-iniparse": ("candlepin/python-iniparse", "0.5"),
    "pygpgme": ("jhenstridge/pygpgme", "v0.3"),
}
RELEASE = "bullseye"
"""The last release of Debian with Python 2."""
RUNTIME = ("python2.7", "libpython2.7", "libnss3", "libnspr4", "libpopt0", "libdb5.3", "libmagic1", "libcurl4",
           "libglib2.0-0", "libxml2", "libsqlite3-0", "libgpgme11", "gnupg", "libarchive13")
DEVELOPMENT = ("python2.7-dev", "gcc", "make", "libc6-dev", "pkg-config", "autoconf", "automake", "libtool",
               "autopoint", "gettext", "python3-six", *(f"lib{name}-dev" for name in (
                   "glib2.0", "xml2", "sqlite3", "curl4-openssl", "ssl", "nss3", "nspr4", "popt", "db5.3", "magic",
                   "archive", "bz2", "lzma", "cap", "gpgme")), "zlib1g-dev")

BUILD = f"""
cd /opt
apt-get -q update
apt-get -qy --no-install-recommends --download-only -o Dir::Cache::archives=/opt/debs install {' '.join(RUNTIME)}
for deb in /opt/debs/*.deb; do dpkg-deb -x "$deb" /opt/out; done
DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends {' '.join(RUNTIME)} {' '.join(DEVELOPMENT)}
site=/opt/out/usr/lib/python2.7/dist-packages
mkdir -p $site
cd /opt/source/rpm
sed -i 's/__fxstat64(_STAT_VER, /fstat64(/' misc/fts.c
autoreconf -i
PYTHON=/usr/bin/python2.7 ./configure --prefix=/usr --sysconfdir=/etc --localstatedir=/var --libdir=/usr/lib/rpm411 \\
    --with-vendor=redhat --with-external-db --without-lua --without-selinux --with-cap --without-acl --enable-python \\
    --disable-nls --disable-dependency-tracking CPPFLAGS='-I/usr/include/nss -I/usr/include/nspr' \\
    CFLAGS='-O1 -fcommon -w'
make -j2
make install DESTDIR=/opt/out
echo /usr/lib/rpm411 > /opt/out/rpm411.conf
mkdir -p /opt/out/etc/ld.so.conf.d; mv /opt/out/rpm411.conf /opt/out/etc/ld.so.conf.d/
cd /opt/source/yum-metadata-parser; python2.7 setup.py -q build; cp build/lib*/* $site/
cd /opt/source/pygpgme
# gpg 2.2 says more than the one it was written for, and does not ask whether to save: heed its questions only.
sed -i \\
    -e 's/if status in (gpgme.STATUS_EOF,/if "STATUS_GET" not in names.get(status, "") or status in (0,/' \\
    -e 's/raise gpgme.error(gpgme.ERR_SOURCE_UNKNOWN, gpgme.ERR_GENERAL)/return/' \\
    -e 's/^import gpgme$/&; names = dict((getattr(gpgme, n), n) for n in dir(gpgme) if n.startswith("STATUS_"))/' \\
    gpgme/editutil.py
CPPFLAGS=-D_FILE_OFFSET_BITS=64 python2.7 setup.py -q build; cp -r build/lib*/* $site/
cd /opt/source/pycurl; python2.7 setup.py docstrings; python2.7 setup.py build --with-openssl; cp -r build/lib*/* $site/
cp -r /opt/source/python-iniparse/iniparse /opt/source/urlgrabber/urlgrabber $site/
cp /usr/lib/python3/dist-packages/six.py $site/
cp -r /opt/source/yum/yum /opt/source/yum/rpmUtils /opt/source/yum-utils/yumutils $site/
cd /opt/out
mkdir -p usr/share/yum-cli usr/lib/yum-plugins etc/yum/pluginconf.d etc/yum.repos.d usr/libexec usr/sbin usr/bin
cp /opt/source/yum/*.py usr/share/yum-cli/
cp /opt/source/yum/bin/yum usr/bin/
cp /opt/source/urlgrabber/scripts/urlgrabber-ext-down usr/libexec/
for name in needs-restarting package-cleanup repoquery yumdownloader; do
    cp /opt/source/yum-utils/$name.py usr/bin/$name
done
cp /opt/source/yum-utils/yum-complete-transaction.py usr/sbin/yum-complete-transaction
cp /opt/source/yum-utils/plugins/versionlock/versionlock.py usr/lib/yum-plugins/
cp /opt/source/yum-utils/plugins/versionlock/versionlock.conf etc/yum/pluginconf.d/
: > etc/yum/pluginconf.d/versionlock.list
chmod 755 usr/bin/* usr/sbin/* usr/libexec/urlgrabber-ext-down
ln -sf python2.7 usr/bin/python
sed -i '1s,^#!.*python *,#!/usr/bin/python ,' usr/libexec/urlgrabber-ext-down
rm -rf usr/include usr/share/doc usr/share/man usr/share/locale usr/share/info
tar -cf /opt/yum.tar .
"""


def why_not() -> str:
    """Return why there is no yum for hosts on this machine, or ""."""
    if _packed().exists():
        return ""
    folder = os.environ.get(VARIABLE, "")
    if not folder:
        return f"no yum: Debian has none, and {VARIABLE} names no folder with its sources (tests/lab/yum_tools.py)"
    missing = [name for name in SOURCES if not Path(folder, name).exists()]
    return f"no yum: {folder} lacks the sources {', '.join(missing)}" if missing else ""


def _packed() -> Path:
    return lab_folder() / f"yum-{_digest(RELEASE, BUILD, sorted(SOURCES.items()))}.tar"


def get_tools(base: Base) -> Path:
    """Return a tar archive with yum, rpm and Python 2, to be unpacked over the base; built first if it is not there."""
    done = _packed()
    with locked(lab_folder() / "yum.lock"):
        if not done.exists():
            part = lab_folder() / "yum.part"
            with mounted(part, [base.folder / "upper", base.bootstrap]) as root:
                mirror = find_mirror()
                settings = mirror.settings + 'APT::Sandbox::User "root";\n'
                (root / "etc/apt/apt.conf.d/99lab-machine").write_text(settings)
                (root / "etc/apt/sources.list.d/debian.sources").write_text(mirror.sources(RELEASE))
                for folder in ("source", "debs/partial", "out"):
                    (root / "opt" / folder).mkdir(parents=True)
                for name, (_, what) in SOURCES.items():
                    packed = part / f"{name}.tar"
                    sources = Path(os.environ[VARIABLE], name).resolve()
                    run("git", "-C", sources, "archive", f"--prefix={name}/", "-o", packed, what)
                    run("tar", "-xf", packed, "-C", root / "opt/source")
                (part / "build.log").write_text(
                    run(*NSPAWN, "--pipe", "-D", root, "sh", "-exc", BUILD, timeout=1800))
                shutil.move(root / "opt/yum.tar", done.with_suffix(".new"))
            done.with_suffix(".new").rename(done)
            shutil.rmtree(part)
    return done
