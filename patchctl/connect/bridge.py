"""Makes a plain socket of an ssh channel, so that TLS and HTTP can be spoken through a jump host."""

from __future__ import annotations

import socket
import threading

import paramiko

_BLOCK = 65536


def bridge(channel: paramiko.Channel) -> socket.socket:
    """Return a socket whose other end is the channel. Closing the socket closes the channel, and the reverse."""
    near, far = socket.socketpair()
    channel.settimeout(None)

    def pump_out() -> None:
        try:
            while data := far.recv(_BLOCK):
                channel.sendall(data)
        except (OSError, EOFError, paramiko.SSHException):
            pass  # either end is gone: what follows closes the other one
        finally:
            channel.close()

    def pump_in() -> None:
        try:
            while data := channel.recv(_BLOCK):
                far.sendall(data)
        except (OSError, EOFError, paramiko.SSHException):
            pass  # as above
        finally:
            _shut(far)

    threads = [threading.Thread(target=pump, name="bridge", daemon=True) for pump in (pump_out, pump_in)]
    for thread in threads:
        thread.start()
    return near


def _shut(end: socket.socket) -> None:
    """Wake the other thread that reads here, and let the peer see the end."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # shut already
    end.close()
