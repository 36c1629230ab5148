"""Hosts dressed as other systems: a layer above the base in which the real dnf, zypper or pacman from Debian's packages
rules over packages of its own, with a repository of really built, really signed packages.

One file a dress in tests/lab/dresses/ with a module-level `DRESS`; `lab.up(2, dress="alma")` finds it by its name.
What these hosts are not: the kernel, the C library and systemd stay Debian's.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.base import Base, Say, _digest, locked, mounted
from tests.lab.dress_faults import COMMON, COMMON_SCRIPT
from tests.lab.machine import NSPAWN, SUITE, find_mirror, install_programs, lab_folder
from tests.lab.programs import LabError, run
from tests.lab.signing import make_rsa_key

if TYPE_CHECKING:
    from tests.lab.hosts import LabHost
    from tests.lab.lab import Lab

FOLDER = Path(__file__).with_name("dresses")
HIDDEN = ("apt", "apt-get", "apt-cache", "apt-config", "apt-mark", "dpkg", "dpkg-query")
"""Programs put away in every dressed host, so that nothing takes it for a Debian; they stay in AWAY."""
AWAY = "/usr/lib/lab/debian"

_INSTALL = """
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends {later} {packages}
{keep}
rm -rf /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/99lab-machine /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
find /var/lib/apt/lists -type f -delete
"""
# A later systemd does not boot where the kernel offers the old control groups only: the lab's own stays.
_LATER = f"""
mkdir /opt/kept; cd /opt/kept
apt-get -q download systemd/{SUITE} systemd-sysv/{SUITE} libsystemd-shared/{SUITE}
dpkg --force-depends --force-downgrade --force-confold -i ./*.deb
cd /; rm -rf /opt/kept
"""
_DRESS = """
rm -f /etc/os-release /usr/lib/os-release /etc/debian_version
mv /opt/dress/os-release /usr/lib/os-release; ln -s ../usr/lib/os-release /etc/os-release
{script}
mkdir -p {away}
for name in {hidden}; do mv "/usr/bin/$name" {away}/; done
rm -rf /opt/dress /var/cache/dnf /var/cache/zypp /root/.rpmdb
"""


@dataclass(frozen=True)
class Dress:
    """What makes a host look and behave like another system."""

    os_release: str
    packages: tuple[str, ...]
    """Debian packages with the tools it needs."""
    build: Callable[[Path, Path], None]
    """(folder, home): makes the repository in `folder`, signed by the key in the gpg home `home` (make_key made it)."""
    script: str
    """sh text, run as root in the layer; /opt/dress has the repository and public.asc."""
    sources: Callable[[str], Mapping[str, str]]
    """URL of the repository -> files (path -> text) that every host gets, its package sources among them."""
    refresh: str
    """sh text that fills the caches of the sources, as a host that is up to date has them."""
    caches: tuple[str, ...]
    """Where those are: they get the time of a host's first boot, as if the daily refresh had just run."""
    faults: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """name -> (arguments, what it does) of the faults that `faults_script` knows besides `clear` and COMMON ones."""
    faults_script: str = ""
    """sh text: FAULT [ARGUMENT...], run as root in the host; $LAB_URL is the repository, $saved a folder of its own."""
    suite: str = ""
    """A later release of Debian that has those packages; with what they need they come into the layer from there."""
    machine: Mapping[str, str] = field(default_factory=dict)
    """What building it takes on this machine: Debian package -> program."""
    system: Callable[[Path, Base], None] | None = None
    """(folder, base): puts the files of another system there, which the hosts then stand on instead of the Debian."""
    booted: str = "systemctl is-system-running"
    """sh text that prints `running` once a host has finished booting."""

    @property
    def all_faults(self) -> dict[str, tuple[str, str]]:
        """Every fault that a host in this dress knows, common ones too."""
        return {**COMMON, **self.faults}


def get_dress(name: str) -> Dress:
    """Return the dress of that name. Raise LabError if there is none."""
    if not (FOLDER / f"{name}.py").exists():
        known = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
        raise LabError(f"no dress {name!r}; there are: {', '.join(known)}")
    found: Dress = importlib.import_module(f"tests.lab.dresses.{name}").DRESS
    return found


def _texts_behind(text: str) -> list[str]:
    """Return the texts of the other dresses and tools that a dress's file imports: it is made of those too."""
    found = re.findall(r"^from tests\.lab\.(?:dresses(?:\.(\w+)| import (\w+))|(\w+_tools))", text, re.MULTILINE)
    paths = [FOLDER.parent / f"{tool}.py" if tool else FOLDER / f"{one or other}.py" for one, other, tool in found]
    return [path.read_text() for path in paths]


class Wardrobe:
    """The layer and the repository of one dress, made when first asked for and kept under their hash."""

    def __init__(self, name: str, base: Base, say: Say) -> None:
        self.name = name
        self.dress = get_dress(name)
        own = (FOLDER / f"{name}.py").read_text()
        texts = [path.read_text() for path in (*sorted(FOLDER.parent.glob("*_repository.py")), Path(__file__))]
        self.folder = lab_folder() / f"dress-{name}-{_digest(base.folder, *texts, own, *_texts_behind(own))}"
        self.below = [base.folder / "upper", base.bootstrap]
        if self.dress.system is not None:
            self.below = [lab_folder() / f"system-{name}-{_digest(base.folder, own)}"]
        with locked(lab_folder() / f"dress-{name}.lock"):
            if not self.folder.is_dir():
                say(f"lab: making the dress {name} (once, about a minute)")
                self._make(base)

    @property
    def layer(self) -> Path:
        return self.folder / "upper"

    @property
    def home(self) -> Path:
        """The gpg home with the key that signs the repository."""
        return self.folder / "gnupg"

    def _make(self, base: Base) -> None:
        mirror = find_mirror()
        part = self.folder.with_suffix(".part")
        install_programs(self.dress.machine)
        if self.dress.system is not None and not self.below[0].is_dir():
            system = self.below[0].with_suffix(".part")
            shutil.rmtree(system, ignore_errors=True)
            system.mkdir(parents=True)
            self.dress.system(system, base)
            system.rename(self.below[0])
        with mounted(part, self.below) as root:
            make_rsa_key(part / "gnupg")
            self.dress.build(part / "repository", part / "gnupg")
            if self.dress.packages:
                settings = mirror.settings + 'APT::Sandbox::User "root";\n'
                (root / "etc/apt/apt.conf.d/99lab-machine").write_text(settings)
                suite = self.dress.suite
                (root / "etc/apt/sources.list.d/debian.sources").write_text(mirror.sources(suite))
                text = _INSTALL.format(packages=" ".join(self.dress.packages), later=f"-t {suite}" * bool(suite),
                                       keep=_LATER * bool(suite))
                _inside(root, text, part / "install.log")
            shutil.copytree(part / "repository", root / "opt/dress/repository")
            shutil.copy(part / "gnupg/public.asc", root / "opt/dress/public.asc")
            if self.dress.system is None:
                (root / "opt/dress/os-release").write_text(self.dress.os_release)
                text = _DRESS.format(script=self.dress.script, away=AWAY, hidden=" ".join(HIDDEN))
            else:
                text = f"{self.dress.script}\nrm -rf /opt/dress\n"
            _inside(root, text, part / "dress.log")
        part.rename(self.folder)

    def lower(self, lab: Lab) -> list[Path]:
        """Return the layers of a host, topmost first: what it knows of its sources, the dress, the base."""
        below = [self.layer, *self.below]
        name = f"known-{lab.slot.address(1)}"
        with locked(self.folder / f"{name}.lock"):
            if not (self.folder / name).is_dir():
                part = self.folder / f"{name}.part"
                with mounted(part, below) as root:
                    for path, text in self.dress.sources(self.url(lab)).items():
                        target = root / path.lstrip("/")
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_text(text)
                    _inside(root, self.dress.refresh, part / "refresh.log")
                part.rename(self.folder / name)
        return [self.folder / name / "upper", *below]

    def serve(self, lab: Lab) -> None:
        """Copy the repository to where the lab's server offers it, once a lab."""
        copy = self.served(lab)
        if not copy.exists():
            shutil.copytree(self.folder / "repository", copy)

    def served(self, lab: Lab) -> Path:
        """Return this lab's own copy of the repository, which a test may change."""
        return lab.repository.folder / self.name

    def fit(self, host: LabHost) -> None:
        """Let a new host's knowledge of its sources be as fresh as can be."""
        for path in self.dress.caches:
            host_path = host.root / path.lstrip("/")
            for one in [host_path, *host_path.rglob("*")]:
                os.utime(one)

    def url(self, lab: Lab) -> str:
        return f"http://{lab.slot.address(1)}:8642/{self.name}"

    def fault(self, host: LabHost, name: str, *arguments: str) -> str:
        """Make one fault of the dress, or `clear` all of them; return what its script printed."""
        if name != "clear" and name not in self.dress.all_faults:
            raise LabError(f"no fault {name} for {self.name}; there are: {', '.join(self.dress.all_faults)}")
        text = f"LAB_URL={self.url(host.lab)}\n{COMMON_SCRIPT}{self.dress.faults_script}"
        return host.exec(text, name, *arguments, timeout=300)


def _inside(root: Path, script: str, log: Path) -> None:
    log.write_text(run(*NSPAWN, "--pipe", "-D", root, "sh", "-exc", script, timeout=900))
