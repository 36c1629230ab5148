"""As whom and where a jump host is logged in to: what the jump says, else what the inventory says of that host."""

from __future__ import annotations

import pytest

from patchctl.connect.connections import Connections
from patchctl.connect.credentials import Secrets
from patchctl.model.hosts import Connection, Host, Inventory


@pytest.mark.parametrize(("jump", "user", "port"), [
    ("bastion", "gate", 2022), ("ops@bastion", "ops", 2022), ("bastion:2200", "gate", 2200),
    ("ssh://ops@bastion:2200/", "ops", 2200), ("ops@other:2200", "ops", 2200),
])
def test_a_jump_names_user_and_port_or_leaves_them_to_the_inventory(jump: str, user: str, port: int) -> None:
    host = Host("h1", Connection(user="root", port=22, jump=(jump,)))
    bastion = Host("bastion", Connection(user="gate", port=2022))
    inventory = Inventory({"h1": host, "bastion": bastion}, {}, {})
    connections = Connections(inventory, known_hosts=[], ssh_config=None, secrets=Secrets(None, None))
    (found,) = connections.endpoint(host).jumps
    assert (found.user, found.port) == (user, port)
