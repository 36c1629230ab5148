"""Settings of a run: flag > PATCHCTL_* > patchctl.yaml upwards > ~/.config/patchctl > /etc/patchctl.

Each file has the same keys (docs/schemas/settings.json). Relative paths in a file are relative to that file; those in
flags and variables to the current folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from msgspec import Struct, field

from patchctl.documents.loader import load_document
from patchctl.documents.source import Findings
from patchctl.model.errors import DocumentsError, UsageError
from patchctl.model.hosts import SecretRef

if TYPE_CHECKING:
    from patchctl.documents.settings_schema import SettingsFile

FILE_NAME: Final = "patchctl.yaml"
SYSTEM_FOLDER: Final = Path("/etc/patchctl")
DEFAULT_FORKS: Final = 50
_PATHS: Final = ("known_hosts", "ssh_config", "reports", "policies", "baselines")
KEYS: Final = ("inventory", "state", "forks", "timeout", *_PATHS, "max_waiver", "smtp", "vault_password", "discovery")


class Discovery(Struct, frozen=True):
    """Networks that a sweep may touch (empty: those it is asked for), and what it must never touch."""

    allow: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Settings(Struct, frozen=True):
    """What every command starts from. `origins` says for each key where its value comes from."""

    project: Path
    """Folder of the patchctl.yaml found, else the current folder."""
    inventory: tuple[Path, ...]
    state: str
    """Store URL."""
    known_hosts: Path
    """The project's own file; the user's and the system's are read too."""
    reports: Path
    policies: Path
    baselines: Path
    forks: int = DEFAULT_FORKS
    timeout: float | None = None
    """Total seconds per visit; None = the host's own timeouts."""
    ssh_config: Path | None = None
    max_waiver: float = 365 * 86400.0
    """Seconds that a waiver may last at most."""
    smtp: str = "localhost"
    vault_password: SecretRef | None = None
    """Where the password of Ansible Vault files can be had."""
    discovery: Discovery = Discovery()
    origins: Mapping[str, str] = field(default_factory=dict)


def load_settings(
    flags: Mapping[str, object], cwd: Path, env: Mapping[str, str], system: Path = SYSTEM_FOLDER,
    problems: Findings | None = None,
) -> Settings:
    """Given flags (None and () mean: not given), the current folder and the environment, return the settings.

    Raise DocumentsError for invalid files (unless `problems` takes what is wrong; the valid rest is used then) and
    UsageError for an invalid variable. Other flags than settings are passed over.
    """
    project_file = find_project_file(cwd)
    project = project_file.parent if project_file else cwd
    chosen: dict[str, object] = {}
    origins: dict[str, str] = {}
    findings = problems if problems is not None else Findings()
    user = Path(env.get("XDG_CONFIG_HOME") or Path(env.get("HOME", "/")) / ".config") / "patchctl"
    for path in (system / FILE_NAME, user / FILE_NAME, project_file):
        if path is not None and path.is_file():
            _apply_file(path, chosen, origins, findings)
    if problems is None and findings.problems:
        raise DocumentsError(findings.sorted())
    for key in KEYS:
        if key in ("discovery", "max_waiver"):  # what may be touched or waived is said in a file that is reviewed
            continue
        variable = f"PATCHCTL_{key.upper()}"
        if variable in env:
            if not env[variable].strip():  # a store that is not named would be another one than everybody's
                raise UsageError("invalid-setting", f"{variable} is empty", "give it a value, or unset it")
            chosen[key] = _from_text(key, env[variable], variable, cwd)
            origins[key] = variable
    for key in KEYS:
        if flags.get(key) not in (None, ()):
            chosen[key] = _from_flag(key, flags[key], cwd)
            origins[key] = f"--{key.replace('_', '-')}"
    return _settings(project, chosen, origins)


def find_project_file(cwd: Path) -> Path | None:
    """Return the nearest patchctl.yaml in this folder or above. Raise UsageError if others could have planted it."""
    for folder in (cwd, *cwd.parents):
        path = folder / FILE_NAME
        if path.is_file():
            info = path.stat()
            if info.st_uid not in (0, os.geteuid()) or info.st_mode & stat.S_IWOTH:
                raise UsageError("unsafe-settings", f"{path} can be changed by others than you",
                                 "settings may run commands: own the file and take away write access from others")
            return path
    return None


def _apply_file(path: Path, chosen: dict[str, object], origins: dict[str, str], findings: Findings) -> None:
    document = load_document(path, str(path), findings)
    if document is None:
        return
    # Imported here because pydantic costs time, and most commands find no settings file but one.
    from patchctl.documents.check import check_document
    from patchctl.documents.settings_schema import SettingsFile

    content: SettingsFile | None = check_document(document, SettingsFile, findings)
    if content is None:
        return
    for key in content.model_fields_set:
        value = getattr(content, key)
        if value is None:
            continue
        chosen[key] = _in_folder(key, value, path.parent, document.origin((key,)))
        origins[key] = document.origin((key,))


def _in_folder(key: str, value: Any, folder: Path, origin: str) -> object:
    if key == "inventory":
        return tuple(_join(folder, item) for item in value)
    if key in _PATHS:
        return _join(folder, value)
    if key == "state":
        return resolve_state(value, folder)
    if key == "discovery":
        return Discovery(tuple(value.allow or ()), tuple(value.exclude or ()))
    if key == "vault_password":
        scheme, _, rest = str(value).partition(":")
        return SecretRef(scheme, str(_join(folder, rest)) if scheme == "file" else rest, origin)
    return value


def resolve_state(url: str, folder: Path) -> str:
    """Return a store URL with a relative SQLite path made absolute (sqlite:///x is relative, sqlite:////x is not)."""
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url[len(prefix) :].startswith("/"):
        path, mark, options = url[len(prefix) :].partition("?")
        return f"{_sqlite_url(_join(folder, unquote(path, errors='surrogateescape')))}{mark}{options}"
    return url if "://" in url else _sqlite_url(_join(folder, url))


def _sqlite_url(path: Path) -> str:
    """Return the URL of an SQLite store: in a URL a % begins an escape, and a ? the options."""
    return f"sqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}"


def _from_text(key: str, text: str, variable: str, cwd: Path) -> object:
    if key == "inventory":
        return tuple(_join(cwd, part) for part in text.split(os.pathsep) if part)
    if key == "forks":
        if not text.isdecimal() or not 0 < int(text) <= 2000:
            raise UsageError("invalid-setting", f"{variable}: {text!r} is not a number from 1 to 2000")
        return int(text)
    if key == "timeout":
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not 1 <= seconds < float("inf"):
            raise UsageError("invalid-setting", f"{variable}: {text!r} is not a number of seconds from 1")
        return seconds
    return _in_folder(key, text, cwd, variable)


def _from_flag(key: str, value: Any, cwd: Path) -> object:
    if key == "inventory":
        return tuple(_join(cwd, item) for item in (value if isinstance(value, (list, tuple)) else (value,)))
    return _in_folder(key, value, cwd, f"--{key}")


def _join(folder: Path, text: object) -> Path:
    return folder / Path(str(text)).expanduser()


def _settings(project: Path, chosen: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    default = {
        "inventory": (project / "inventories",),
        "state": _sqlite_url(project / ".patchctl" / "state.db"),
        "known_hosts": project / ".patchctl" / "known_hosts",
        "reports": project / "reports", "policies": project / "policies", "baselines": project / "baselines",
        "forks": DEFAULT_FORKS, "timeout": None, "ssh_config": None, "max_waiver": 365 * 86400.0,
        "smtp": "localhost", "vault_password": None,
        "discovery": Discovery(),
    }
    values: dict[str, Any] = {**default, **chosen}
    return Settings(project=project, origins={key: origins.get(key, "default") for key in KEYS}, **values)


