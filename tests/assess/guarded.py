"""Lab hosts that have firewalls, an audit system, SELinux' and AppArmor's tools, and GRUB: what the base lacks.

Hosts share the machine's network: what looks at firewalls runs in a network of its own (`own_network`).
"""

from __future__ import annotations

from pathlib import Path

from tests.lab import Lab
from tests.lab.layer import layer_of_packages

INSTALLED = (
    "nftables", "iptables", "ufw", "firewalld", "auditd", "selinux-utils", "policycoreutils", "selinux-policy-default",
    "apparmor", "apparmor-utils", "grub2-common", "grub-pc-bin", "grub-common", "acl",
)
_AFTER = "systemctl mask auditd.service nftables.service apparmor.service ufw.service firewalld.service\n"


class GuardedLab(Lab):
    """A lab whose hosts have these packages; their services are masked."""

    def _lower(self, *, live: bool, dress: str) -> list[Path]:
        above = self.base.frozen_lists(self.slot.address(1))
        layer = layer_of_packages(self.base, "guarded", INSTALLED, _AFTER)
        return [above, layer, self.base.folder / "upper", self.base.bootstrap]
