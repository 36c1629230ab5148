"""What ssh_config says about a host: by our own reader where it understands the files, else by asking `ssh -G`.

The files are parsed once. Where `ssh -G` has to be asked (10 ms a host), its answer is kept for the run.
"""

from __future__ import annotations

import getpass
import ipaddress
import os
import re
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from patchctl.connect.ssh_config import ConfigFile, NotUnderstoodError, Person, evaluate, parse_file
from patchctl.model.errors import UsageError

_DEFAULT_GLOBAL = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_DEFAULT_USER = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")


class SshSettings(Struct, frozen=True):
    """The settings this program uses, tokens expanded; "" or () = not set."""

    host_name: str = ""
    port: int | None = None
    user: str = ""
    identity_files: tuple[str, ...] = ()
    certificate_files: tuple[str, ...] = ()
    identities_only: bool = False
    identity_agent: str = ""
    proxy_jump: tuple[str, ...] = ()
    proxy_command: str = ""
    host_key_alias: str = ""
    known_hosts_files: tuple[str, ...] = ()
    bind_address: str = ""
    address_family: str = ""
    revoked_host_keys: str = ""


class SshConfig:
    """The user's and the system's configuration, or one given file. Thread-safe."""

    def __init__(self, files: tuple[tuple[Path, Path], ...], given: Path | None, person: Person) -> None:
        """`files`: (file, folder that its relative includes start from). `given` becomes ssh's -F."""
        self._given = given
        self._person = person
        self._files: tuple[ConfigFile, ...] = ()
        self._problem = ""
        try:
            self._files = tuple(parse_file(path, base) for path, base in files)
        except NotUnderstoodError as error:
            self._problem = str(error)
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, str, tuple[tuple[str, str], ...]], SshSettings] = {}

    def lookup(self, host: str, user: str, options: Mapping[str, str]) -> SshSettings:
        """Return the settings for a host. `user` ("" = none given) and `options` go before the files.

        Raise UsageError when neither this reader nor ssh can tell.
        """
        preset = {key.lower(): value for key, value in options.items() if not _is_list(key)}
        if user:
            preset["user"] = user
        if not self._problem:
            try:
                single, lists = evaluate(self._files, host, self._person, preset)
                return _settings(single, _with_lists(lists, options), host, self._person)
            except NotUnderstoodError as error:
                problem = str(error)
        else:
            problem = self._problem
        return self._ask(host, user, options, problem)

    def _ask(self, host: str, user: str, options: Mapping[str, str], problem: str) -> SshSettings:
        key = (host, user, tuple(sorted(options.items())))
        with self._lock:
            if key not in self._asked:
                self._asked[key] = _settings(*_ask_ssh(self._given, host, user, options, problem), host, self._person)
            return self._asked[key]


def load_ssh_settings(given: Path | None) -> SshConfig:
    """Return the configuration ssh would use, or only that of the given file. Missing files are empty."""
    home = Path("~").expanduser()
    person = Person(getpass.getuser(), str(home))
    if given is not None:
        if not given.exists():
            raise UsageError("ssh-config-missing", f"{given}: no such file", "correct ssh_config: or leave it out")
        return SshConfig(((given, home / ".ssh"),), given, person)
    own = home / ".ssh" / "config"
    if own.exists() and (own.stat().st_mode & 0o022 or own.stat().st_uid not in (0, os.getuid())):
        raise UsageError("ssh-config-mode", f"{own}: other users may write it", f"chmod go-w {own}")
    return SshConfig(((own, home / ".ssh"), (Path("/etc/ssh/ssh_config"), Path("/etc/ssh"))), None, person)


def _is_list(key: str) -> bool:
    return key.lower() in ("identityfile", "certificatefile", "userknownhostsfile", "globalknownhostsfile")


def _with_lists(lists: Mapping[str, list[str]], options: Mapping[str, str]) -> dict[str, list[str]]:
    merged = {key: list(value) for key, value in lists.items()}
    for key, value in options.items():
        name = key.lower()
        if name in ("identityfile", "certificatefile"):
            merged[name] = [value, *merged.get(name, [])]
        elif _is_list(key):
            merged[name] = value.split()
    return merged


def _ask_ssh(
    given: Path | None, host: str, user: str, options: Mapping[str, str], problem: str
) -> tuple[dict[str, str], dict[str, list[str]]]:
    if host.startswith("-"):
        raise UsageError("host-name", f"not a host name: {host!r}", "correct the address in the inventory")
    argv = ["ssh", "-G", *(["-F", str(given)] if given is not None else []), *(["-l", user] if user else [])]
    for key, value in options.items():
        argv += ["-o", f"{key}={value}"]
    try:
        done = subprocess.run(
            [*argv, "--", host], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            "ssh-config-unsupported", f"{problem}: not understood, and `ssh -G {host}` cannot be asked: {error}",
            "install the ssh client, or leave this line out of ssh_config",
        ) from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise UsageError("ssh-config-invalid", f"ssh -G {host}: {said}", "correct the ssh_config file")
    single: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for line in done.stdout.decode("utf-8", "surrogateescape").splitlines():
        key, _, value = line.partition(" ")
        if key in ("identityfile", "certificatefile"):
            lists.setdefault(key, []).append(value)
        elif _is_list(key):
            lists[key] = value.split()
        else:
            single.setdefault(key, value)
    return single, lists


def _settings(single: Mapping[str, str], lists: Mapping[str, list[str]], host: str, person: Person) -> SshSettings:
    port = single.get("port", "")
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise NotUnderstoodError(f"port {port}")
    name = single.get("hostname", "")
    if name:
        name = _lower_name(_expand_tokens(name, {"h": host}))
    alias = _none(single.get("hostkeyalias", ""))
    user = single.get("user", "")
    if re.search(r"[%$]", user):
        raise NotUnderstoodError("tokens in User")
    tokens = {
        "h": name or host.lower(), "n": host, "p": port or "22", "r": user or person.user, "u": person.user,
        "d": person.home, "k": alias or host, "i": str(os.getuid()), "L": os.uname().nodename.partition(".")[0],
        "l": os.uname().nodename,
    }
    agent = single.get("identityagent", "")
    return SshSettings(
        host_name=name,
        port=int(port) if port else None,
        user=user,
        identity_files=_files(lists.get("identityfile", ()), tokens, person),
        certificate_files=_files(lists.get("certificatefile", ()), tokens, person),
        identities_only=single.get("identitiesonly", "no").lower() in ("yes", "true"),
        identity_agent=agent if agent in ("", "none", "SSH_AUTH_SOCK") else _agent(agent, tokens, person),
        proxy_jump=_jumps(single.get("proxyjump", ""), tokens),
        proxy_command=_none(single.get("proxycommand", "")),
        host_key_alias=alias,
        known_hosts_files=(
            *_files(lists.get("userknownhostsfile", _DEFAULT_USER), tokens, person),
            *_files(lists.get("globalknownhostsfile", _DEFAULT_GLOBAL), tokens, person),
        ),
        bind_address=_none(single.get("bindaddress", "")),
        address_family=single.get("addressfamily", "").lower().replace("any", ""),
        revoked_host_keys=_none(single.get("revokedhostkeys", "")),
    )


def _lower_name(name: str) -> str:
    """Return a name in lower case, as ssh looks it up and finds it in known_hosts; an address as it is written."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower()
    return name


def _none(value: str) -> str:
    return "" if value.lower() == "none" else value


def _agent(value: str, tokens: Mapping[str, str], person: Person) -> str:
    if value.startswith("$") and not value.startswith("${"):
        return os.environ.get(value[1:], "none")
    return _expand_path(value, tokens, person)


def _files(values: list[str] | tuple[str, ...], tokens: Mapping[str, str], person: Person) -> tuple[str, ...]:
    return tuple(_expand_path(value, tokens, person) for value in values if value.lower() != "none")


def _expand_path(value: str, tokens: Mapping[str, str], person: Person) -> str:
    if value == "~" or value.startswith("~/"):
        value = person.home.replace("%", "%%") + value[1:]
    elif value.startswith("~"):
        raise NotUnderstoodError(f"another user's home: {value}")
    return _expand_tokens(_expand_environment(value), tokens)


def _expand_environment(value: str) -> str:
    def replace(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise NotUnderstoodError(f"${{{match[1]}}} is not set")
        return found.replace("%", "%%")

    return re.sub(r"\$\{([^}]*)\}", replace, value)


def _expand_tokens(value: str, tokens: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        if match[1] not in tokens:
            raise NotUnderstoodError(f"token %{match[1]}")
        return tokens[match[1]]

    return re.sub(r"%(.?)", replace, value, flags=re.DOTALL)


def _jumps(value: str, tokens: Mapping[str, str]) -> tuple[str, ...]:
    if not _none(value):
        return ()
    return tuple(_expand_tokens(word, tokens) for word in value.split(","))
