"""Ansible's connection variables as settings: which variable means what, templates of plain names, ssh arguments.

Only connection variables are ever resolved, and only `{{ name }}`, `{{ inventory_hostname }}` and
`{{ name | default(literal) }}`. Every other template stays opaque data and is named as ignored. Nothing is decrypted:
a vaulted value becomes a reference.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from patchctl.documents.connection import SettingError
from patchctl.documents.draft import Layer, Setting
from patchctl.documents.loader import Vaulted
from patchctl.model.hosts import WINRM_AUTHS, WINRM_SCHEMES, SecretRef
from patchctl.model.units import parse_duration

# variable -> setting. Where Ansible knows several names, the later one here wins, as it does there.
VARIABLES = {
    "ansible_host": "address", "ansible_ssh_host": "address",
    "ansible_port": "port", "ansible_ssh_port": "port",
    "ansible_user": "user", "ansible_ssh_user": "user",
    "ansible_password": "password", "ansible_ssh_pass": "password", "ansible_ssh_password": "password",
    "ansible_private_key_file": "keys", "ansible_ssh_private_key_file": "keys",
    "ansible_ssh_private_key_passphrase": "passphrase",
    "ansible_connection": "connection",
    "ansible_timeout": "timeouts.connect", "ansible_ssh_timeout": "timeouts.connect",
    "ansible_become": "become", "ansible_become_method": "become.method", "ansible_become_user": "become.user",
    "ansible_sudo_pass": "become.password", "ansible_become_pass": "become.password",
    "ansible_become_password": "become.password",
    "ansible_become_flags": "become.flags",
    "ansible_ssh_common_args": "ansible_ssh_common_args", "ansible_ssh_extra_args": "ansible_ssh_extra_args",
    "ansible_winrm_host": "winrm.address", "ansible_winrm_port": "winrm.port", "ansible_winrm_user": "winrm.user",
    "ansible_winrm_pass": "winrm.password", "ansible_winrm_password": "winrm.password",
    "ansible_winrm_scheme": "winrm.scheme", "ansible_winrm_transport": "winrm.auth",
    "ansible_winrm_ca_trust_path": "winrm.ca",
    "ansible_winrm_cert_pem": "winrm.certificate", "ansible_winrm_cert_key_pem": "winrm.key",
    "ansible_winrm_server_cert_validation": "winrm.validation",
    "ansible_psrp_host": "winrm.address", "ansible_psrp_port": "winrm.port", "ansible_psrp_user": "winrm.user",
    "ansible_psrp_password": "winrm.password", "ansible_psrp_pass": "winrm.password",
    "ansible_psrp_protocol": "winrm.scheme", "ansible_psrp_auth": "winrm.auth",
    "ansible_psrp_ca_cert": "winrm.ca", "ansible_psrp_cert_trust_path": "winrm.ca",
    "ansible_psrp_certificate_pem": "winrm.certificate", "ansible_psrp_certificate_key_pem": "winrm.key",
    "ansible_psrp_cert_validation": "winrm.validation", "ansible_psrp_negotiate_delegate": "winrm.delegation",
    "ansible_psrp_negotiate_hostname_override": "winrm.kerberos_host",
    "ansible_winrm_kerberos_delegation": "winrm.delegation",
    "ansible_winrm_kerberos_hostname_override": "winrm.kerberos_host",
}
WINRM_OWN = ("address", "port", "user", "password")
"""Settings of which Ansible has names that count for WinRM only, stronger than the general ones there."""
SECRETS = frozenset({"password", "passphrase", "become.password", "winrm.password"})
_TRANSPORTS = {"smart": "ssh", "paramiko": "ssh", "paramiko_ssh": "ssh", "psrp": "winrm", "ansible.builtin.ssh": "ssh",
               "ansible.builtin.local": "local", "ansible.builtin.winrm": "winrm", "ansible.builtin.psrp": "winrm"}
_TEMPLATE = re.compile(r"\{\{\s*(?P<name>[A-Za-z_]\w*)\s*(?:\|\s*default\((?P<default>[^(){}]*)\)\s*)?\}\}")
_MAX_NESTING = 10
_ARGUMENT_FLAGS = {"-C": ("compression", "yes"), "-A": ("forwardagent", "yes"), "-4": ("addressfamily", "inet"),
                   "-6": ("addressfamily", "inet6"), "-a": ("forwardagent", "no")}
_SILENT_FLAGS = frozenset({"-q", "-v", "-vv", "-vvv", "-T", "-x", "-n"})
# Connection sharing belongs to the system's client; our connections are kept open anyway.
_SHARING = frozenset({"controlmaster", "controlpath", "controlpersist"})


class Raw(Struct, frozen=True):
    """A connection variable as written, to be resolved per host."""

    variable: str
    value: Any


class Scope(Struct):
    """What a template may refer to on one host."""

    host: str
    variables: Mapping[str, Any]
    vaulted_files: Sequence[str] = ()
    used: set[str] = field(default_factory=set)
    by_host: bool = False
    """Whether the host's name was asked for."""


def ansible_settings(variables: Layer) -> Layer:
    """Return the settings that a level's `ansible_*` variables stand for, not yet resolved."""
    found: Layer = {}
    for name in VARIABLES:
        if name in variables:
            said = variables[name]
            found[VARIABLES[name]] = Setting(Raw(name, said.value), said.place, said.rank)
    return found


def resolve_setting(key: str, setting: Setting, scope: Scope) -> dict[str, Any]:
    """Given a raw setting, return what it means: one setting, or several for ssh arguments.

    Raises SettingError, in words, where it cannot be resolved; the setting then counts as ignored.
    """
    raw: Raw = setting.value
    origin = str(setting.place)
    value = resolve_template(raw.value, scope)
    if value is None or value == "":
        if key in ("address", "winrm.address", "connection"):  # a default would be another place or way
            raise SettingError("it is empty")
        return {}
    if key in SECRETS:
        return {key: _secret(value, origin)}
    if isinstance(value, (Vaulted, SecretRef)):
        raise SettingError("a vaulted value can only be a password or passphrase")
    return _plain_setting(key, raw.variable, value)


def _plain_setting(key: str, variable: str, value: Any) -> dict[str, Any]:
    text = str(value)
    if key in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        return parse_ssh_arguments(text)
    if key.startswith("winrm.") and key != "winrm.port":
        return _winrm_setting(key, variable, value)
    if key in ("port", "winrm.port"):
        if not text.isdecimal() or not 0 < int(text) < 65536:
            raise SettingError(f"{text!r} is not a port")
        return {key: int(text)}
    if key == "timeouts.connect":
        try:
            return {key: float(text) if text.replace(".", "", 1).isdecimal() else parse_duration(text)}
        except ValueError as error:
            raise SettingError(str(error)) from error
    if key == "become":
        if not _is_true(value) and value is not False and str(value).strip().lower() not in _FALSE:
            raise SettingError(f"{text!r} is neither true nor false")
        return {} if _is_true(value) else {"become.method": "none"}
    if key == "connection":
        return {key: _TRANSPORTS.get(text, text)} | ({"winrm.client": "psrp"} if text.endswith("psrp") else {})
    if key == "become.method":
        return {key: text.rpartition(".")[2]}
    if key == "become.flags":
        return {key: tuple(shlex.split(text))}
    return {key: (text,) if key == "keys" else text}


def _winrm_setting(key: str, variable: str, value: Any) -> dict[str, Any]:
    words = [str(word) for word in value] if isinstance(value, (list, tuple)) else str(value).split(",")
    text = words[0].strip() if len(words) == 1 else ", ".join(words)
    if key == "winrm.validation":
        if text == "validate":
            return {}
        raise SettingError(f"{text!r} is refused, certificates are checked: give the authority by winrm: {{ca: FILE}}")
    if key == "winrm.delegation":
        return {key: _is_true(value)}
    choices = {"winrm.auth": WINRM_AUTHS, "winrm.scheme": WINRM_SCHEMES}.get(key)
    if choices and text not in choices:
        raise SettingError(f"{text!r} is not one of {', '.join(choices)}: set winrm: {{{key[6:]}: ...}}")
    return {key: text if choices else str(value)}


def resolve_template(value: Any, scope: Scope, nesting: int = 0) -> Any:
    """Given a value, return it with templates of plain names replaced. Raise SettingError for anything more."""
    if not isinstance(value, str) or isinstance(value, Vaulted) or "{{" not in value:
        if isinstance(value, str) and "{%" in value:
            raise SettingError("a template statement ({% %}) is not resolved")
        return value
    if nesting > _MAX_NESTING:
        raise SettingError(f"templates refer to each other endlessly: {value!r}")
    whole = _TEMPLATE.fullmatch(value.strip())
    if whole:
        return _look_up(whole, scope, nesting)
    parts: list[str] = []
    at = 0
    for found in _TEMPLATE.finditer(value):
        inner = _look_up(found, scope, nesting)
        if isinstance(inner, (Vaulted, SecretRef)):
            raise SettingError(f"{found['name']} is vaulted and cannot be part of a longer text")
        parts += [value[at : found.start()], "" if inner is None else str(inner)]
        at = found.end()
    rest = value[at:]
    if "{{" in rest or any("{{" in part for part in parts[::2]):
        raise SettingError("only templates of plain names, inventory_hostname and default() are resolved")
    return "".join([*parts, rest])


def _look_up(found: re.Match[str], scope: Scope, nesting: int) -> Any:
    name = found["name"]
    if name in ("inventory_hostname", "inventory_hostname_short"):
        scope.by_host = True
        return scope.host if name == "inventory_hostname" else scope.host.partition(".")[0]
    if name in scope.variables:
        scope.used.add(name)
        return resolve_template(scope.variables[name], scope, nesting + 1)
    if found["default"] is not None:
        return _literal(found["default"])
    if scope.vaulted_files:
        return SecretRef("vault-file", f"{scope.vaulted_files[-1]}#{name}")
    raise SettingError(f"the variable {name!r} is not defined")


def _literal(text: str) -> Any:
    try:
        value = ast.literal_eval(text.strip()) if text.strip() else ""
    except (ValueError, SyntaxError) as error:
        raise SettingError(f"default({text}): only a literal is understood") from error
    if not isinstance(value, (str, int, float, bool, type(None))):
        raise SettingError(f"default({text}): only a plain value is understood")
    return value


def _secret(value: Any, origin: str) -> SecretRef:
    if isinstance(value, SecretRef):
        return SecretRef(value.scheme, value.value, origin)
    if isinstance(value, Vaulted):
        return SecretRef("vault", str(value), origin)
    return SecretRef("plain", str(value), origin)


_FALSE = ("false", "no", "off", "n", "f", "0")


def _is_true(value: Any) -> bool:
    return value is True or str(value).strip().lower() in ("true", "yes", "on", "y", "t", "1")


def parse_ssh_arguments(text: str) -> dict[str, Any]:
    """Given ssh client arguments, return settings: jump, keys, port, user and ssh_options.NAME (see ssh(1)).

    Raise SettingError for arguments that are not understood: half of them applied would be a silent change.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SettingError(f"ssh arguments: {error}") from error
    found: dict[str, Any] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word in _SILENT_FLAGS:
            continue
        if word in _ARGUMENT_FLAGS:
            name, value = _ARGUMENT_FLAGS[word]
            found[f"ssh_options.{name}"] = value
            continue
        flag, value = word[:2], word[2:]
        if flag not in ("-o", "-J", "-i", "-p", "-l", "-F", "-c", "-m") or not (value or queue):
            raise SettingError(f"the ssh argument {word!r} is not understood")
        _apply_argument(flag, value or queue.pop(0), found)
    return found


def _apply_argument(flag: str, value: str, found: dict[str, Any]) -> None:
    if flag == "-J":
        found["jump"] = tuple(part.strip() for part in value.split(","))
    elif flag == "-i":
        found["keys"] = (*found.get("keys", ()), value)
    elif flag == "-p":
        found.update(_plain_setting("port", "-p", value))
    elif flag == "-l":
        found["user"] = value
    elif flag == "-F":
        raise SettingError("ssh -F: name the file with ssh_config: in patchctl.yaml")
    elif flag == "-o":
        name, _, rest = value.strip().replace("=", " ", 1).partition(" ")
        _apply_option(name.lower(), rest.strip().strip('"'), found)
    else:
        found[f"ssh_options.{'ciphers' if flag == '-c' else 'macs'}"] = value


def _apply_option(name: str, value: str, found: dict[str, Any]) -> None:
    if name in _SHARING:
        return
    if name == "proxyjump":
        found["jump"] = () if value == "none" else tuple(part.strip() for part in value.split(","))
        return
    if name == "proxycommand":
        jump = _jump_of_command(value)
        if jump:
            found["jump"] = (jump,)
            return
    # ssh itself keeps the first value it sees for an option.
    found.setdefault(f"ssh_options.{name}", value)


def _jump_of_command(command: str) -> str:
    """Return the jump host of a plain `ssh -W %h:%p HOST`, or "" if the command does more than that."""
    words = shlex.split(command)
    if not words or words[0].rpartition("/")[2] != "ssh" or "%h:%p" not in words:
        return ""
    user = port = target = ""
    queue = words[1:]
    while queue:
        word = queue.pop(0)
        if word == "-W" or word in _SILENT_FLAGS or word == "%h:%p":
            continue
        if word in ("-p", "-l") and queue:
            port, user = (queue.pop(0), user) if word == "-p" else (port, queue.pop(0))
        elif word.startswith("-") or target:
            return ""
        else:
            target = word
    if not target:
        return ""
    head = f"{user}@" if user and "@" not in target else ""
    return f"{head}{target}{f':{port}' if port else ''}"
