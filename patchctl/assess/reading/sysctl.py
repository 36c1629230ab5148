"""Reads sysctl.d files in the order in which they count (sysctl.d(5), sysctl(8) --system)."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from msgspec import Struct

FILES = (
    "/run/sysctl.d/*.conf", "/etc/sysctl.d/*.conf", "/usr/local/lib/sysctl.d/*.conf", "/usr/lib/sysctl.d/*.conf",
    "/lib/sysctl.d/*.conf", "/etc/sysctl.conf",
)
_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")


class Setting(Struct, frozen=True):
    key: str
    value: str
    place: str
    """file:line"""


def read_settings(path: str, text: str) -> list[Setting]:
    """Return the settings of one file in order; `-` before a key (errors are ignored) does not change its meaning."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        key, sep, value = line.lstrip("-").partition("=")
        if sep:
            found.append(Setting(_dotted(key.strip()), " ".join(value.split()), f"{path}:{number}"))
    return found


def _dotted(key: str) -> str:
    """Return a key with dots. Where the first separator is a slash, slashes separate and dots are part of names."""
    slash, dot = key.find("/"), key.find(".")
    if slash != -1 and (dot == -1 or slash < dot):
        return key.replace(".", "\0").replace("/", ".").replace("\0", "/")
    return key


def in_order(files: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return files (path, text) in the order in which they are applied.

    By file name whatever the folder; of one name only that in the first folder counts. /etc/sysctl.conf counts where
    99-sysctl.conf is a link to it, as on Debian and Red Hat; see `by_hand` for the file itself.
    """
    by_name: dict[str, tuple[int, str, str]] = {}
    for path, text in files:
        folder, _, name = path.rpartition("/")
        if folder in _FOLDERS:
            rank = _FOLDERS.index(folder)
            if name not in by_name or rank < by_name[name][0]:
                by_name[name] = (rank, path, text)
    return [(path, text) for _, (_, path, text) in sorted(by_name.items())]


def effective(key: str, files: Sequence[tuple[str, str]]) -> Setting | None:
    """Return the setting of a key that counts at boot, or None. A glob sets only what no exact line sets."""
    exact, by_glob = None, None
    for path, text in in_order(files):
        for setting in read_settings(path, text):
            if setting.key == key:
                exact = setting
            elif "*" in setting.key and fnmatch.fnmatchcase(key.replace(".", "\0"), setting.key.replace(".", "\0")):
                by_glob = setting
    return exact or by_glob


def by_hand(key: str, files: Sequence[tuple[str, str]]) -> Setting | None:
    """Return what /etc/sysctl.conf sets: `sysctl --system` reads it last of all, systemd at boot not at all."""
    found = [s for path, text in files if path == "/etc/sysctl.conf" for s in read_settings(path, text) if s.key == key]
    return found[-1] if found else None
