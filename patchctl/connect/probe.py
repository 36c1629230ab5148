"""Fetches a host's key without logging in: what `trust` shows before anybody is asked to accept it."""

from __future__ import annotations

from patchctl.connect.connections import Connections
from patchctl.connect.endpoint import Endpoint
from patchctl.connect.host_certificates import KeyBlob
from patchctl.connect.known_hosts import KnownHosts
from patchctl.connect.paramiko_dial import shown_key
from patchctl.connect.ssh import ParamikoTransport


def fetch_key(connections: Connections, endpoint: Endpoint, known: KnownHosts) -> KeyBlob:
    """Return the key a host proves to hold, of a type that is known if it still has one. Raise HostError."""
    transport = connections.transport("ssh")
    assert isinstance(transport, ParamikoTransport)
    link = transport.probe(endpoint, known.algorithms(endpoint.known_as, endpoint.port))
    try:
        return shown_key(link)
    finally:
        link.close()
