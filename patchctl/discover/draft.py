"""Writes what is new as an inventory file for review (text only; the use case writes it)."""

from __future__ import annotations

import json
from collections.abc import Iterable

from patchctl.model.devices import UNMANAGED, Device
from patchctl.model.text import one_line


def draft_inventory(devices: Iterable[Device], made: str) -> str:
    """Return YAML with every unmanaged device in the group `discovered`, its evidence in comments.

    `made` says when and from what, for the first line. Device names and banners are hostile: they go into comments
    on one line, and into host names only if they have the form of a host name.
    """
    lines = [
        f"# {one_line(made)}",
        "# Review each host, move it to the group it belongs to, then: patchctl trust --limit discovered",
        "groups:",
        "  discovered:",
        "    hosts:",
    ]
    taken: set[str] = set()
    for device in devices:
        if device.state != UNMANAGED:
            continue
        name = device.name if _is_hostname(device.name) and device.name not in taken else device.address
        taken.add(name)
        lines.append(f"      {json.dumps(name)}:")
        if name != device.address:
            lines.append(f"        address: {json.dumps(device.address)}")
        for service in device.services:
            key = f"  {service.key_type} {service.key_fingerprint}" if service.key_fingerprint else ""
            lines.append(f"        # {service.kind} on {service.port}: {one_line(service.banner, 120)}{key}")
        kinds = {s.kind: s.port for s in reversed(device.services)}
        kind = "ssh" if "ssh" in kinds else "winrm"
        lines.append(f"        connection: {kind}")
        lines.append(f"        port: {kinds[kind]}")
        if device.reason != "not in the inventory":
            lines.append(f"        # {one_line(device.reason)}")
    if not taken:
        lines[-1] += " {}"
    return "\n".join(lines) + "\n"


def _is_hostname(name: str) -> bool:
    labels = name.rstrip(".").split(".")
    return 0 < len(name) <= 253 and all(
        0 < len(label) <= 63 and label.isascii() and label.replace("-", "").isalnum() and label[0] != "-"
        for label in labels
    )
