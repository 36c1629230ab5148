"""Asks many addresses politely what answers there: SSH banner and host key, WinRM Identify. Sends no credentials.

One connection per address and port, at most `rate` new connections a second over all of them, one at a time per
address. A port that is open but says nothing of its own is not a service: some firewalls accept every connection.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import random
import re
import socket
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import paramiko

from patchctl.model.devices import Service, Sighting
from patchctl.model.text import one_line

CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 4.5
"""Seconds from the first packet until the service must have shown itself, connecting included."""
_IDENTIFY = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
    "<s:Header/><s:Body><wsmid:Identify/></s:Body></s:Envelope>"
)


def sweep(
    addresses: Sequence[str],
    ports: Sequence[tuple[int, str]],
    rate: float,
    *,
    on_seen: Callable[[Sighting], None],
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Sighting, ...]:
    """Connect to every address and (port, kind); return the addresses that answered with a service.

    `rate` is connections per second; `stop` ends the sweep early with what was seen so far.
    """
    return asyncio.run(_sweep(addresses, ports, rate, on_seen, stop))


async def _sweep(
    addresses: Sequence[str],
    ports: Sequence[tuple[int, str]],
    rate: float,
    on_seen: Callable[[Sighting], None],
    stop: Callable[[], bool],
) -> tuple[Sighting, ...]:
    loop = asyncio.get_running_loop()
    found: dict[str, list[Service]] = defaultdict(list)
    one_at_a_time: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    waiting = dict.fromkeys(addresses, len(ports))

    async def ask(address: str, port: int, kind: str) -> None:
        async with one_at_a_time[address]:
            deadline = time.monotonic() + ANSWER_TIMEOUT
            connected = await _connect(address, port)
            service = None
            if connected is not None:
                service = await loop.run_in_executor(pool, _READ[kind], connected, address, port, deadline)
        if service is not None:
            found[address].append(service)
        waiting[address] -= 1
        if not waiting[address] and address in found:
            on_seen(_sighting(address, found[address]))

    # A firewall that accepts every connection holds a reader for ANSWER_TIMEOUT each: enough of them to keep the rate.
    readers = min(512, 8 + int(rate * ANSWER_TIMEOUT))
    with ThreadPoolExecutor(readers, thread_name_prefix="sweep") as pool:
        tasks = []
        begun = time.monotonic()
        # Port by port over all addresses, so that no host sees a burst.
        for number, (port, kind, address) in enumerate((p, k, a) for p, k in ports for a in addresses):
            if stop():
                break
            due = begun + (number + random.uniform(-0.4, 0.4)) / rate  # noqa: S311 - jitter, no secret
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(asyncio.create_task(ask(address, port, kind)))
        await asyncio.gather(*tasks)
    return tuple(_sighting(address, services) for address, services in found.items())


def _sighting(address: str, services: list[Service]) -> Sighting:
    return Sighting(address, tuple(sorted(services, key=lambda s: s.port)), time.time())


async def _connect(address: str, port: int) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, (address, port)), CONNECT_TIMEOUT)
    except (OSError, TimeoutError):
        sock.close()
        return None
    return sock


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())


def _read_ssh(sock: socket.socket, address: str, port: int, deadline: float) -> Service | None:
    """Exchange keys, as far as the host key; no user name is sent. None if no SSH server speaks there."""
    transport = paramiko.Transport(sock)
    transport.banner_timeout = _left(deadline)
    try:
        transport.start_client(timeout=_left(deadline))
        key = transport.get_remote_server_key()
        digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
        return Service(port, "ssh", one_line(transport.remote_version, 255), key.get_name(), f"SHA256:{digest}")
    except (paramiko.SSHException, OSError, EOFError):
        banner = transport.remote_version or ""
        # A banner without a key exchange (algorithms too old or too new for us) still is an SSH server.
        return Service(port, "ssh", one_line(banner, 255)) if banner.startswith("SSH-") else None
    finally:
        transport.close()
        sock.close()


def _read_winrm(sock: socket.socket, address: str, port: int, deadline: float) -> Service | None:
    """POST an unauthenticated WS-Management Identify (DSP0226 section 11); None if the answer is no such thing."""
    sock.settimeout(_left(deadline))
    try:
        if port == 5986:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # nothing is sent that needs trust, and nothing read is trusted
            sock = context.wrap_socket(sock)
        connection = http.client.HTTPConnection(address, port)
        connection.sock = sock
        connection.request(
            "POST", "/wsman", _IDENTIFY,
            {"Content-Type": "application/soap+xml;charset=UTF-8", "WSMANIDENTIFY": "unauthenticated"},
        )  # fmt: skip
        answer = connection.getresponse().read(16384).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        sock.close()
    if "IdentifyResponse" not in answer:
        return None
    parts = [m.group(1) for tag in ("ProductVendor", "ProductVersion") if (m := re.search(rf"{tag}>([^<]*)<", answer))]
    return Service(port, "winrm", one_line(" ".join(parts), 255))


_READ = {"ssh": _read_ssh, "winrm": _read_winrm}
