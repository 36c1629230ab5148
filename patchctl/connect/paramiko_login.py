"""Logs in over a paramiko transport whose host key was already verified: certificates, keys, agent, password.

Each secret is offered once. The order: keys that the inventory or ssh_config names (certificates first, from the agent
when it holds them), then other keys of the agent, then the password.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
from paramiko.agent import AgentKey, AgentSSH
from paramiko.ssh_exception import AuthenticationException, BadAuthenticationType, PartialAuthentication

from patchctl.connect.contract import SecretResolver
from patchctl.connect.endpoint import Endpoint
from patchctl.connect.keys import load_private_key, read_public_blob, with_certificate
from patchctl.model.errors import CredentialsError, HostTimeoutError, LoginError
from patchctl.model.text import one_line

MAX_KEYS = 5
"""sshd's MaxAuthTries is 6: one is left for the password."""

KeyLoader = Callable[[Path, str | None, Path | None], paramiko.PKey]
"""Reads a key (path, passphrase, certificate), maybe from a cache."""


class _AgentAt(AgentSSH):
    """The agent at a given socket (paramiko's own looks at SSH_AUTH_SOCK only)."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(10)
            self._socket.connect(path)
            self._connect(self._socket)  # type: ignore[attr-defined]  # the stubs leave the base class's method out
        except (OSError, paramiko.SSHException):
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()


class Login:
    """One login at one endpoint: what was tried and what the server offered, for the message if all fails."""

    def __init__(self, endpoint: Endpoint, secrets: SecretResolver, load: KeyLoader) -> None:
        self._endpoint = endpoint
        self._secrets = secrets
        self._load = load
        self._tried: list[str] = []
        self._notes: list[str] = []
        self._offered: tuple[str, ...] = ()
        self.password_sent = False

    def log_in(self, transport: paramiko.Transport) -> None:
        """Authenticate. Raise LoginError naming what was tried, or CredentialsError for unusable credentials."""
        agent = self._open_agent()
        try:
            if any(self._try_key(transport, key, label) for key, label in self._keys(agent)):
                return
        finally:
            if agent is not None:
                agent.close()
        if self._try_password(transport):
            return
        self._ask_methods(transport)
        raise self._refused()

    def _open_agent(self) -> _AgentAt | None:
        if not self._endpoint.agent:
            return None
        try:
            return _AgentAt(self._endpoint.agent)
        except (OSError, paramiko.SSHException) as error:
            self._notes.append(f"no agent at {self._endpoint.agent}: {error}")
            return None

    def _keys(self, agent: _AgentAt | None) -> Iterator[tuple[paramiko.PKey, str]]:
        held: dict[bytes, AgentKey] = {key.asbytes(): key for key in agent.get_keys()} if agent is not None else {}
        count = 0
        for path in self._endpoint.keys:
            for key, label in self._listed(Path(path), held):
                count += 1
                yield key, label
        if self._endpoint.agent_only_listed:
            return
        for key in list(held.values())[: max(0, MAX_KEYS - count)]:
            if key.get_name().startswith("sk-"):
                self._notes.append("the agent's sk- keys need connection: openssh")
                continue
            yield key, f"agent key {key.comment or key.fingerprint}"

    def _listed(self, path: Path, held: dict[bytes, AgentKey]) -> Iterator[tuple[paramiko.PKey, str]]:
        """The ways to use one listed key file: its key in the agent, with its certificates, alone."""
        public = read_public_blob(path if path.suffix == ".pub" else path.with_name(path.name + ".pub"))
        certificates = [path.with_name(path.name + "-cert.pub"), *map(Path, self._endpoint.certificates)]
        if public is not None and public in held:
            key = held.pop(public)
            certificate = next((blob for blob in map(read_public_blob, certificates) if blob in held), None)
            if certificate is not None:
                yield held.pop(certificate), f"certificate of {path} (agent)"
            yield key, f"{path} (agent)"
            return
        if path.suffix == ".pub":
            if self._endpoint.explicit_keys:
                self._notes.append(f"{path}: not in the agent")
            return
        if not path.exists() and not self._endpoint.explicit_keys:
            return
        passphrase = self._secrets(self._endpoint.passphrase) if self._endpoint.passphrase is not None else None
        try:
            plain = self._load(path, passphrase, None)
        except CredentialsError as error:
            if self._endpoint.explicit_keys:
                raise
            self._notes.append(error.message)  # a default key that cannot be used is no error, as with ssh
            return
        for certificate_file in certificates:
            if certificate_file.exists() and _certifies(certificate_file, plain):
                yield self._load(path, passphrase, certificate_file), f"certificate {certificate_file}"
        yield plain, str(path)

    def _try_key(self, transport: paramiko.Transport, key: paramiko.PKey, label: str) -> bool:
        self._tried.append(label)
        try:
            return self._done(transport.auth_publickey(self._endpoint.user, key))
        except PartialAuthentication as error:
            return self._done(list(error.allowed_types))
        except BadAuthenticationType as error:
            self._offered = tuple(error.allowed_types)
        except AuthenticationException as error:
            self._check_alive(transport, error)
        except ValueError as error:  # an algorithm that this server or paramiko cannot use
            self._notes.append(f"{label}: {error}")
        return False

    def _done(self, missing: list[str]) -> bool:
        """A key was accepted; `missing` are the methods that the server wants on top of it."""
        self._offered = tuple(missing)
        return not missing

    def _try_password(self, transport: paramiko.Transport) -> bool:
        reference = self._endpoint.password
        if reference is None:
            return False
        password = self._secrets(reference)
        wants = self._offered
        if not wants or "password" in wants:
            self._tried.append("password")
            self.password_sent = True
            try:
                return self._done(transport.auth_password(self._endpoint.user, password, fallback=False))
            except BadAuthenticationType as error:
                self._offered = wants = tuple(error.allowed_types)
            except AuthenticationException as error:
                self._check_alive(transport, error)
                return False
        if "keyboard-interactive" not in wants:
            return False
        return self._try_interactive(transport, password)

    def _try_interactive(self, transport: paramiko.Transport, password: str) -> bool:
        asked: list[str] = []

        def answer(title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
            del title, instructions
            for prompt, _echo in prompts:
                asked.append(one_line(prompt, 80))
            if len(asked) > 1 or any(echo for _, echo in prompts):
                raise AuthenticationException(f"the server asks for more than a password: {', '.join(asked)}")
            self.password_sent = self.password_sent or bool(prompts)
            return [password for _ in prompts]

        self._tried.append("keyboard-interactive")
        try:
            return self._done(transport.auth_interactive(self._endpoint.user, answer))
        except AuthenticationException as error:
            if len(asked) > 1:
                self._notes.append(f"the server asked for: {', '.join(asked)}")
            self._check_alive(transport, error)
            return False

    def _ask_methods(self, transport: paramiko.Transport) -> None:
        """Learn what the server would have taken, for the message. Only after all has failed: it costs a round trip."""
        if self._offered or not transport.is_active():
            return
        try:
            transport.auth_none(self._endpoint.user)
        except BadAuthenticationType as error:
            self._offered = tuple(error.allowed_types)
        except paramiko.SSHException:
            return  # the message goes without the list

    def _check_alive(self, transport: paramiko.Transport, error: AuthenticationException) -> None:
        if isinstance(error, BadAuthenticationType):
            self._offered = tuple(error.allowed_types)
        if "timeout" in str(error).lower():
            raise HostTimeoutError(
                "connect-timeout",
                f"{self._endpoint.where}: no answer to the login within {self._endpoint.timeouts.connect:g} s", "",
            ) from error
        if not transport.is_active():
            raise self._refused("the server ended the connection") from error

    def _refused(self, extra: str = "") -> LoginError:
        user = self._endpoint.user
        tried = f"tried {', '.join(self._tried)}" if self._tried else "no key or password to offer"
        parts = [f"{self._endpoint.where}: login as {user} refused: {tried}"]
        if self._offered:
            parts.append(f"the server takes {', '.join(self._offered)}")
        parts += [note for note in (*self._notes, extra) if note]
        if any("new password" in note.lower() for note in self._notes):
            return LoginError("password-expired", "; ".join(parts), f"set a new password for {user} on the host")
        if "gssapi-with-mic" in self._offered and not self._tried:
            hint = "for Kerberos set connection: openssh"
        elif self._tried:
            hint = f"put the public key into ~{user}/.ssh/authorized_keys, or set another user, key or password"
        else:
            hint = "set user and key (or password: env:NAME) in the inventory, or load a key into an agent"
        return LoginError("auth-failed", "; ".join(parts), hint)


def _certifies(certificate: Path, key: paramiko.PKey) -> bool:
    """Say whether a certificate file is about this key (its type fits; the server checks the rest)."""
    blob = read_public_blob(certificate)
    return blob is not None and blob[4:60].startswith(key.get_name().encode()) and (
        _key_numbers(key) in blob
    )


def _key_numbers(key: paramiko.PKey) -> bytes:
    """The public numbers in wire form: the part behind the type, which the certificate repeats."""
    data = key.asbytes()
    return data[4 + int.from_bytes(data[:4], "big"):]


def cached_loader() -> KeyLoader:
    """Return a KeyLoader that reads each file once (decrypting a key costs tens of milliseconds)."""
    cache: dict[tuple[Path, Path | None], paramiko.PKey] = {}

    def load(path: Path, passphrase: str | None, certificate: Path | None) -> paramiko.PKey:
        found = cache.get((path, certificate))
        if found is None:
            if certificate is None:
                found = load_private_key(path, passphrase)
            else:
                found = with_certificate(path, passphrase, certificate)
            cache[path, certificate] = found
        return found

    return load


def agent_socket() -> str:
    """Return the path of the running agent's socket, or ""."""
    return os.environ.get("SSH_AUTH_SOCK", "")
