"""partition (OVAL linux schema): mounted file systems."""

from __future__ import annotations

import re

from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted


class _Partition:
    name = "partition"
    each_value = True
    not_told = ("uuid", "total_space", "space_used", "space_left", "space_left_for_unprivileged_users", "block_size")

    def limits(self, found: Object) -> list[str]:
        return []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each mount; of several on one mount point the first, where it is named literally."""
        point = wanted.entity("mount_point")
        if point is None:
            raise ObjectError("partition names no mount point")
        found: list[OvalItem] = []
        seen: set[str] = set()
        for line in facts.one("host", "mounts"):
            parts = line.split(" ")
            if len(parts) < 4 or parts[2] == "rootfs":
                continue
            device, folder = _plain(parts[0]), _plain(parts[1])
            if not point.matches(folder) or (point.literals is not None and folder in seen):
                continue
            seen.add(folder)
            found.append(OvalItem({"mount_point": (folder,), "device": (device,), "fs_type": (parts[2],),
                                   "mount_options": tuple(parts[3].split(","))}))
        return collected(found)


def _plain(text: str) -> str:
    r"""Undo /proc/mounts' escapes: \040 is a space."""
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)


TYPE = _Partition()
