"""Failures of dnf, yum and rpm by their own words (C locale). The first that matches a line names the cause.

Order matters: the cause before its consequences (`Transaction failed` comes last).
"""

from __future__ import annotations

from patchctl.model.rollout import Signature

SIGNATURES: tuple[Signature, ...] = (
    Signature(
        "rpm-lock-held", "package-manager", r"^patchctl: lock-held (?P<path>\S+) (?P<pid>\d+) (?P<comm>\S+)",
        "{path} is held by {comm}[{pid}]", transient=True, remedy="wait-for-lock",
    ),
    Signature(
        "rpm-lock-held", "package-manager",
        r"Waiting for process with pid (?P<pid>\d+) to finish|is already running as pid (?P<other>\d+)"
        r"|Existing lock (?P<path>\S+): another copy is running as pid (?P<yum>\d+)",
        "the package manager is held by process {pid}{other}{yum}", transient=True, remedy="wait-for-lock",
    ),
    Signature(
        "rpm-lock-held", "package-manager",
        r"can't create transaction lock on (?P<path>\S+)|Failed to obtain (?:the )?(?:transaction )?lock"
        r"|Another app is currently holding the yum lock",
        "rpm's lock is held by another process", transient=True, remedy="wait-for-lock",
    ),
    Signature(
        "image-system", "policy", r"^patchctl: image$|bootc system is configured to be read-only",
        "the system is an image (ostree, bootc): it is updated as a whole, not by dnf",
    ),
    Signature(
        "read-only-file-system", "disk", r"(?P<what>\S.*): Read-only file system|Read-only file system",
        "a file system is read-only: {what}",
    ),
    Signature(
        "no-space", "disk",
        r"At least \S+ more space needed on the (?P<path>\S+) filesystem|needs \S+ (?:more space )?on the (?P<fs>/\S*)"
        r"|No space left on device|[Dd]isk quota exceeded|database or disk is full",
        "no space left: {path}{fs}", remedy="dnf-clean",
    ),
    Signature(
        "rpm-database-corrupt", "package-manager",
        r"DB_RUNRECOVERY|rpmdb: .*(?:corrupt|damaged|unsupported)|database disk image is malformed"
        r"|(?:cannot|unable to) open Packages (?:index|database)|rpmdb open failed|Failed to load the? rpmdb"
        r"|file is not a database",
        "the rpm database is damaged", transient=True, remedy="rpm-rebuilddb",
    ),
    Signature(
        "hash-mismatch", "repository",
        r"^patchctl: hash-mismatch|\.rpm: FAILED|[Cc]hecksum (?:doesn't match|mismatch)",
        "a file does not have the hash that was promised", transient=True,
    ),
    Signature(
        "bad-signature", "repository",
        r"^patchctl: bad-signature (?P<file>\S+)|GPG signature verification error|Bad GPG signature"
        r"|OpenPGP check for package \"(?P<five>[^\"]+)\".* has failed|package (?P<six>\S+) does not verify: "
        r"|repomd\.xml signature could not be verified",
        "a signature is wrong: {file}{five}{six}",
    ),
    Signature(
        "unknown-key", "repository",
        r"^patchctl: unknown-key (?P<file>\S+) (?P<keys>/\S.*?) *$",
        "it is signed by a key that this host does not trust: {file}. If it should, rpm --import it there; its "
        "repositories name {keys}",
    ),
    Signature(
        "unknown-key", "repository",
        r"^patchctl: unknown-key (?P<file>\S+)|Public key for (?P<package>\S+) is not installed"
        r"|not correct for this package",
        "it is signed by a key that this host does not trust: {file}{package}",
    ),
    Signature(
        "unsigned-package", "repository", r"^patchctl: unsigned (?P<file>\S+)|Package (?P<package>\S+) is not signed",
        "it is not signed: {file}{package}",
    ),
    Signature(
        "held-since-the-plan", "policy", r"(?P<package>\S+) is held by versionlock: (?P<lock>\S+)",
        "{package} is held by versionlock on the host since the plan was made: {lock}",
    ),
    Signature(
        "unplanned-change", "policy", r"^patchctl: unplanned (?P<what>.+)",
        "dnf would do what the plan does not: {what}",
    ),
    Signature(
        "file-conflict", "patch",
        r"file (?P<path>\S+) (?:from install of \S+ )?conflicts "
        r"(?:with file from package|between attempted installs of) (?P<package>\S+)",
        "{path} belongs to {package} already",
    ),
    Signature(
        "scriptlet-failed", "patch", r"^patchctl: scriptlet (?P<script>\S+) (?P<package>\S+)",
        "the %{script} script of {package} failed",
    ),
    Signature(
        "scriptlet-failed", "patch",
        r"%(?P<script>\w+)\((?P<package>[^)]+)\) scriptlet failed, (?P<how>(?:exit status|signal) \d+)",
        "the %{script} script of {package} failed ({how})",
    ),
    Signature(
        "rpm-interrupted", "package-manager", r"^patchctl: duplicate (?P<package>\S+)",
        "a transaction was cut: {package} is still there beside its newer version",
        transient=True, remedy="rpm-remove-duplicates",
    ),
    Signature(
        "attempt-interrupted", "package-manager", r"^attempt-interrupted$",
        "the install was interrupted", transient=True, remedy="rpm-remove-duplicates",
    ),
    Signature(
        "unmet-dependencies", "package-manager",
        r"nothing provides (?P<what>\S.*?) needed by (?P<package>\S+)|(?P<needs>\S+.*) is needed by (?P<by>\S+)"
        r"|conflicting requests|package (?P<one>\S+) requires (?P<two>[^,]+),",
        "dependencies are not met: {what}{needs}{two}",
    ),
    Signature(
        "repository-down", "repository",
        r"Failed to download metadata for repo '(?P<repo>[^']+)'|Cannot download (?P<what>\S+)"
        r"|failure: \S+ from (?P<three>\S+): \[Errno \d+\] No more mirrors"
        r"|Failed to download metadata \([^)]*\) for repository \"(?P<five>[^\"]+)\""
        r"|Cannot find a valid baseurl for repo: (?P<yum>\S+)|Cannot retrieve repository metadata \(repomd\.xml\) for "
        r"repository: (?P<old>\S+?)\.",
        "repository {repo}{five}{three}{yum}{old} does not answer {what}", transient=True,
    ),
    Signature(
        "not-registered", "repository", r"This system is not registered|no repositories available|no enabled repos"
        r"|no repository is enabled", "the host has no repository that it may use",
    ),
    Signature(
        "dnf-failed", "package-manager", r"Error: (?P<what>Transaction (?:test error|failed).*|.*)", "dnf: {what}",
    ),
)  # fmt: skip
