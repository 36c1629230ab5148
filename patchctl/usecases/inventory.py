"""An inventory as data and as a drawing, with secrets only as references. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from patchctl.model.hosts import Host, Inventory, SecretRef

SHOWN_VALUE = 400
"""Characters of a variable that `inventory show` prints."""


def host_data(host: Host) -> dict[str, Any]:
    """Return one host as in `inventory list -o json`."""
    connection = host.connection
    frozen = {"reason": host.frozen.reason, "until": host.frozen.until or None} if host.frozen else None
    return {
        "host": host.name, "address": connection.address or host.name, "site": host.site, "groups": list(host.groups),
        "transport": connection.transport, "user": connection.user, "port": connection.port,
        "become": connection.become.method, "jump": list(connection.jump), "frozen": frozen,
        "intermittent": host.intermittent,
    }


def explain_host(host: Host) -> list[dict[str, str]]:
    """Return rows key, value, origin: the settings in effect, then variables. "default" is patchctl's own."""
    connection = host.connection
    effective: list[tuple[str, object]] = [
        ("address", connection.address or host.name), ("connection", connection.transport), ("port", connection.port),
        ("user", connection.user), ("password", connection.password), ("keys", connection.keys),
        ("passphrase", connection.key_passphrase), ("jump", connection.jump),
        ("become.method", connection.become.method), ("become.user", connection.become.user),
        ("become.password", connection.become.password), ("become.flags", connection.become.flags),
        ("timeouts.connect", connection.timeouts.connect), ("timeouts.silence", connection.timeouts.silence),
        ("timeouts.total", connection.timeouts.total), ("site", host.site), ("groups", host.groups),
        ("reboot", host.reboot), ("intermittent", host.intermittent),
        ("frozen", host.frozen and f"{host.frozen.reason} (until {host.frozen.until or 'lifted'})"),
    ]
    effective += [(f"ssh_options.{name}", value) for name, value in connection.options.items()]
    effective += [(f"winrm.{name}", value) for name, value in connection.winrm.items()]
    rows = [_row(key, value, host.origins.get(key, "")) for key, value in effective
            if value not in (None, "", ()) or key in host.origins]
    rows += [_row(f"health.{check.kind}", check.target or "yes", host.origins.get(f"health.{check.kind}", ""))
             for check in host.health]
    rows += [_row(f"vars.{key}", value, host.origins.get(f"vars.{key}", "")) for key, value in host.variables.items()]
    return rows


def _row(key: str, value: object, origin: str) -> dict[str, str]:
    return {"key": key, "value": show_value(value), "origin": origin or "default"}


def show_value(value: object) -> str:
    """Return a value as one short text; a secret only as its reference."""
    if isinstance(value, SecretRef):
        return repr(value).removeprefix("SecretRef(").removesuffix(")")
    if isinstance(value, (tuple, list)):
        text = ", ".join(show_value(item) for item in value)
    elif isinstance(value, dict):
        text = ", ".join(f"{key}: {show_value(item)}" for key, item in value.items())
    elif isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = "" if value is None else str(value)
    return text if len(text) <= SHOWN_VALUE else text[: SHOWN_VALUE - 1] + "…"


def group_data(inventory: Inventory, hosts: Collection[str]) -> list[dict[str, Any]]:
    """Return every group with the groups nested in it and those of its hosts, nested ones too, that are in `hosts`."""
    return [
        {"group": name, "children": list(group.children), "hosts": [host for host in group.hosts if host in hosts]}
        for name, group in inventory.groups.items()
    ]


def draw_graph(inventory: Inventory, hosts: Collection[str]) -> str:
    """Return the groups as a tree of text with those of their direct members that are in `hosts`."""
    nested = {child for group in inventory.groups.values() for child in group.children}
    lines = ["all"]
    for name in inventory.groups:
        if name not in nested:
            lines += _draw_group(inventory, name, hosts, 1)
    lines += [f"  {name}" for name, host in inventory.hosts.items() if not host.groups and name in hosts]
    return "\n".join(lines) + "\n"


def _draw_group(inventory: Inventory, name: str, hosts: Collection[str], depth: int) -> Iterator[str]:
    group = inventory.groups[name]
    inner = {host for child in group.children for host in inventory.members(child)}
    direct = [host for host in group.hosts if host not in inner and host in hosts]
    yield f"{'  ' * depth}@{name}"
    for child in group.children:
        yield from _draw_group(inventory, child, hosts, depth + 1)
    for host in direct:
        yield f"{'  ' * (depth + 1)}{host}"
