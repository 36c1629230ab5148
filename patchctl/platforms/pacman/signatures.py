"""Failures of pacman by its own words (C locale). The first that matches a line names the cause.

Order matters: the cause before its consequences (`failed to prepare transaction` comes last).
"""

from __future__ import annotations

from patchctl.model.rollout import Signature

SIGNATURES: tuple[Signature, ...] = (
    Signature(
        "pacman-lock-held", "package-manager",
        r"^patchctl: lock-held (?P<path>\S+) (?P<pid>[1-9]\d*) (?P<comm>\S+)",
        "{path} is held by {comm}[{pid}]", transient=True, remedy="wait-for-lock",
    ),
    Signature(
        "pacman-lock-stale", "package-manager", r"^patchctl: lock-(?:stale (?P<path>\S+)|held (?P<other>\S+) 0 )",
        "an earlier pacman was interrupted: {path}{other} is left and held by nobody", transient=True,
        remedy="pacman-unlock",
    ),
    Signature(
        "read-only-file-system", "disk", r"(?P<what>\S.*): Read-only file system|Read-only file system",
        "a file system is read-only: {what}",
    ),
    Signature(
        "no-space", "disk",
        r"Partition (?P<path>\S+) too full: (?P<need>.+)|No space left on device|not enough free disk space"
        r"|Disk quota exceeded",
        "no space left: {path} {need}",
    ),
    Signature(
        "pacman-lock-held", "package-manager", r"unable to lock database|could not lock database",
        "pacman's database is locked by another process", transient=True, remedy="wait-for-lock",
    ),
    Signature(
        "hash-mismatch", "repository", r"^patchctl: hash-mismatch|\.pkg\.tar\S*: FAILED",
        "a file does not have the hash that was promised", transient=True,
    ),
    Signature(
        "bad-signature", "repository",
        r"'?(?P<package>[^\s']+?)'?: (?:package missing required signature|(?P<what>signature from .+))"
        r"|(?P<file>\S+): invalid or corrupted package \(PGP signature\)|unknown public key (?P<key>[0-9A-F]+)",
        "{package}{file}: its signature is missing, invalid or not trusted {what}{key}",
    ),
    Signature(
        "keyring", "repository", r"keyring is not writable|required key missing from keyring|no secret key available",
        "pacman's keyring does not have the key: update archlinux-keyring, or run pacman-key --init and --populate",
    ),
    Signature(
        "repository-down", "repository",
        r"failed retrieving file '(?P<file>[^']+)' from (?P<server>\S+)|failed to synchronize all databases"
        r"|failed to update (?P<repository>\S+)",
        "a repository does not answer: {server}{repository} {file}", transient=True,
    ),
    Signature(
        "unplanned-change", "policy", r"^patchctl: unplanned-removal (?P<package>\S+)",
        "pacman would remove a package that the plan does not remove: {package}",
    ),
    Signature(
        "file-conflict", "patch", r"^(?P<package>\S+): (?P<path>/\S+) exists in filesystem",
        "{package} brings {path}, which is there already",
    ),
    Signature(
        "package-conflict", "patch", r":: (?P<one>\S+) and (?P<other>\S+) are in conflict",
        "{one} and {other} are in conflict: one would have to be removed",
    ),
    Signature(
        "maintainer-script-failed", "patch", r"^patchctl: scriptlet-failed (?P<package>\S+)",
        "the install script of {package} failed; the package itself is in place",
    ),
    Signature(
        "unmet-dependencies", "package-manager",
        r"unable to satisfy dependency '(?P<need>[^']+)' required by (?P<package>\S+)"
        r"|cannot resolve \"(?P<what>[^\"]+)\", a dependency of \"(?P<by>[^\"]+)\"",
        "{package}{by} needs {need}{what}: on Arch, upgrade everything at once",
    ),
    Signature(
        "dependency-broken", "policy", r":: installing (?P<package>\S+) \([^)]*\) breaks dependency '(?P<need>[^']+)'"
        r" required by (?P<by>\S+)",
        "{package} breaks {by}, which needs {need}: on Arch, upgrade everything at once",
    ),
    Signature(
        "pacman-database-corrupt", "package-manager",
        r"could not open file (?P<path>\S*/(?:local|sync)/[^\s:]+)"
        r"|database is (?:inconsistent|incorrect version|corrupt)"
        r"|(?P<name>\S+) package database is (?:inconsistent|corrupt)",
        "pacman's database is damaged: {path}{name}",
    ),
    Signature(
        "attempt-interrupted", "package-manager", r"^patchctl: interrupted$", "an earlier pacman was interrupted",
        transient=True, remedy="pacman-unlock",
    ),
    Signature(
        "pacman-failed", "package-manager", r"error: failed to (?P<what>(?:prepare|commit|init) transaction.*)",
        "pacman failed to {what}",
    ),
)  # fmt: skip
