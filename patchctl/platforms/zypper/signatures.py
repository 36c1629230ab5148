"""Failures of zypper and rpm by their own words (C locale). The first that matches a line names the cause.

Order matters: the cause before its consequences (`Installation has been aborted` comes last).
"""

from __future__ import annotations

from patchctl.model.rollout import Signature

SIGNATURES: tuple[Signature, ...] = (
    Signature(
        "zypper-lock-held", "package-manager", r"^patchctl: lock-held (?P<path>\S+) (?P<pid>\d+) (?P<comm>\S+)",
        "{path} is held by {comm}[{pid}]", transient=True, remedy="wait-for-lock",
    ),
    Signature(
        "zypper-lock-held", "package-manager",
        r"System management is locked by the application with pid (?P<pid>\d+) \((?P<comm>[^)]*)\)",
        "zypp is held by {comm}[{pid}]", transient=True, remedy="wait-for-lock",
    ),
    Signature(
        "transactional-system", "policy", r"^patchctl: transactional$|This is a transactional-server",
        "the root file system is read-only: only transactional-update changes this host",
    ),
    Signature(
        "read-only-file-system", "disk", r"(?P<what>\S.*): Read-only file system|Read-only file system",
        "a file system is read-only: {what}",
    ),
    Signature(
        "no-space", "disk",
        r"No space left on device|Error code: Write error|Failed writing body"
        r"|(?:needs|need at least|at least) \d+\S* ?\S* (?:more space )?(?:needed )?on the"
        r" (?P<path>/\S*) filesystem|Disk quota exceeded",
        "no space left: {path}",
    ),
    Signature(
        "hash-mismatch", "repository", r"^patchctl: hash-mismatch|\.rpm: FAILED|Digest verification failed",
        "a file does not have the hash that was promised", transient=True,
    ),
    Signature(
        "bad-signature", "repository",
        r"(?P<package>\S+) \([^)]*\): Signature verification failed \[(?P<what>[^\]]+)\]"
        r"|Signature verification failed for (?:file|repository)? ?'?(?P<file>[^' ]+)",
        "{package}{file}: its signature is missing, invalid or not trusted {what}",
    ),
    Signature(
        "unplanned-change", "policy", r"^patchctl: unplanned-removal (?P<package>\S+)",
        "zypper would remove a package that the plan does not remove: {package}",
    ),
    Signature(
        "unmet-dependencies", "package-manager",
        r"Problem: (?:\d+: )?(?P<what>(?:nothing provides|the to be installed|the installed|not installable).*)",
        "dependencies are not met: {what}",
    ),
    Signature(
        "license-not-agreed", "policy",
        r"In order to install '(?P<package>[^']+)'.*you must agree to terms|you must agree to the license",
        "{package} asks to agree to a license, which nobody has done yet: agree on the host, or leave it out",
    ),
    Signature(
        "file-conflict", "patch", r"^\s*[Ff]ile (?P<path>/\S+)(?:\s+(?:from install of|conflicts|from package).*)?$",
        "two packages bring the same file {path}",
    ),
    Signature("file-conflict", "patch", r"Detected \d+ file conflicts?", "two packages bring the same file"),
    Signature(
        "rpm-database-corrupt", "package-manager",
        r"DB_RUNRECOVERY|rpmdb.*(?:corrupt|malformed)|database disk image is malformed|cannot open Packages"
        r"|Target initialization failed",
        "the rpm database is damaged", transient=True, remedy="rpm-rebuilddb",
    ),
    Signature(
        "maintainer-script-failed", "patch",
        r"%(?P<script>\w+)\((?P<package>[^)]+)\) scriptlet failed, exit status (?P<rc>\d+)",
        "the {script} script of {package} failed with {rc}",
    ),
    Signature(  # one rpm runs for each package; zypper itself only says that it was aborted
        "rpm-interrupted", "package-manager", r"^patchctl: duplicate (?P<package>\S+)",
        "rpm was cut off: {package} is still there beside its newer version", transient=True,
        remedy="rpm-remove-duplicates",
    ),
    Signature(
        "repository-down", "repository",
        r"Repository '(?P<name>[^']+)' is invalid|Valid metadata not found at specified URL"
        r"|Download \(curl\) error for '(?P<uri>[^']+)'|Timeout exceeded when accessing '(?P<server>[^']+)'"
        r"|Some of the repositories have not been refreshed",
        "a repository does not answer: {name}{uri}{server}", transient=True,
    ),
    Signature(
        "attempt-interrupted", "package-manager", r"^patchctl: interrupted$", "an earlier zypper was interrupted",
        transient=True, remedy="rpm-remove-duplicates",
    ),
    Signature(
        "zypper-failed", "package-manager", r"^patchctl: zypper-exit (?P<rc>105|1[2-9]\d)$",
        "zypper was ended by a signal ({rc})", transient=True,
    ),
    Signature(
        "zypper-failed", "package-manager", r"^patchctl: zypper-exit (?P<rc>7)$",
        "another program held zypp's lock, and is gone by now (zypper ended with {rc})", transient=True,
    ),
    Signature(
        "zypper-failed", "package-manager",
        r"^patchctl: zypper-exit (?P<rc>(?!0$|10[0-3]$)\d+)$|Problem occurred during or after installation",
        "zypper ended with {rc}",
    ),
)  # fmt: skip
