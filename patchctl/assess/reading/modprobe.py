"""Reads modprobe.d files: which modules may not be loaded (modprobe.d(5))."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

FILES = ("/etc/modprobe.d/*.conf", "/run/modprobe.d/*.conf", "/usr/local/lib/modprobe.d/*.conf",
         "/usr/lib/modprobe.d/*.conf", "/lib/modprobe.d/*.conf")
_REFUSALS = ("/bin/false", "/usr/bin/false", "/bin/true", "/usr/bin/true")


class ModuleRules(Struct, frozen=True):
    refused: frozenset[str]
    """install NAME /bin/false: no module of this name is loaded by modprobe."""
    blacklisted: frozenset[str]
    """blacklist NAME: its aliases are not followed."""


def read_rules(files: Sequence[tuple[str, str]]) -> ModuleRules:
    """Given files (path, text), return what they forbid. Of one name only that in the first folder counts."""
    seen: set[str] = set()
    refused: set[str] = set()
    blacklisted: set[str] = set()
    for path, text in files:
        name = path.rpartition("/")[2]
        if name in seen:
            continue
        seen.add(name)
        for line in text.replace("\\\n", " ").splitlines():
            words = line.split()
            if len(words) >= 3 and words[0] == "install":
                (refused.add if words[2] in _REFUSALS else refused.discard)(words[1].replace("-", "_"))
            elif len(words) == 2 and words[0] == "blacklist":
                blacklisted.add(words[1].replace("-", "_"))
    return ModuleRules(frozenset(refused), frozenset(blacklisted))
