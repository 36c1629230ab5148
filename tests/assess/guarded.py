"""Lab hosts that have firewalls, an audit system, SELinux' and AppArmor's tools, and GRUB: what the base lacks.

Hosts share the machine's network: what looks at firewalls runs in a network of its own (`own_network`).
"""

from __future__ import annotations

from pathlib import Path

from tests.lab import Lab
from tests.lab.base import Base, _digest, locked, mounted
from tests.lab.machine import NSPAWN, find_mirror, lab_folder
from tests.lab.programs import run

INSTALLED = (
    "nftables", "iptables", "ufw", "firewalld", "auditd", "selinux-utils", "policycoreutils", "selinux-policy-default",
    "apparmor", "apparmor-utils", "grub2-common", "grub-pc-bin", "grub-common", "acl",
)
_INSTALL = """
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends {packages}
rm -rf /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/99lab-machine /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
find /var/lib/apt/lists -type f -delete
systemctl mask auditd.service nftables.service apparmor.service ufw.service firewalld.service
"""


def _layer(base: Base) -> Path:
    """Return the layer with these packages, made when first asked for."""
    folder = lab_folder() / f"guarded-{_digest(base.folder, INSTALLED, _INSTALL)}"
    with locked(lab_folder() / "guarded.lock"):
        if not folder.is_dir():
            mirror = find_mirror()
            part = folder.with_suffix(".part")
            with mounted(part, [base.folder / "upper", base.bootstrap]) as root:
                (root / "etc/apt/apt.conf.d/99lab-machine").write_text(
                    mirror.settings + 'APT::Sandbox::User "root";\n')
                (root / "etc/apt/sources.list.d/debian.sources").write_text(mirror.sources())
                script = _INSTALL.format(packages=" ".join(INSTALLED))
                (part / "install.log").write_text(
                    run(*NSPAWN, "--pipe", "-D", root, "sh", "-ec", script, timeout=900))
            part.rename(folder)
    return folder / "upper"


class GuardedLab(Lab):
    """A lab whose hosts have these packages; their services are masked."""

    def _lower(self, *, live: bool, dress: str) -> list[Path]:
        above = self.base.frozen_lists(self.slot.address(1))
        return [above, _layer(self.base), self.base.folder / "upper", self.base.bootstrap]
