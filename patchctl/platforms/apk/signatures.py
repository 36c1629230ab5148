"""Failures of apk by its own words. The first that matches a line names the cause, so it stands before what follows."""

from __future__ import annotations

from patchctl.model.rollout import Signature

SIGNATURES: tuple[Signature, ...] = (
    Signature(
        "apk-lock-held", "package-manager", r"^patchctl: lock-held (?P<path>\S+) (?P<pid>\d+) (?P<comm>\S+)",
        "{path} is held by {comm}[{pid}]", transient=True, remedy="wait-for-lock",
    ),
    Signature(
        "read-only-file-system", "disk", r"(?P<what>\S.*): Read-only file system|Read-only file system",
        "a file system is read-only: {what}",
    ),
    Signature("no-space", "disk", r"No space left on device|Disk quota exceeded", "no space left"),
    Signature(
        "apk-lock-held", "package-manager", r"Unable to lock [Dd]atabase(?!.*(?:Permission denied|No such file))",
        "another apk holds its database", transient=True, remedy="wait-for-lock",
    ),
    Signature(
        "hash-mismatch", "repository", r"^patchctl: hash-mismatch", "a file does not have the hash that was promised",
        transient=True,
    ),
    Signature(
        "bad-signature", "repository",
        r"^patchctl: bad-signature (?P<file>\S+)|(?P<what>\S+): (?:UNTRUSTED|BAD) signature",
        "{file}{what}: its signature is missing, invalid or not trusted",
    ),
    Signature(
        "unplanned-change", "policy", r"^patchctl: unplanned (?P<package>\S+) (?P<version>\S+)",
        "apk would change more than the plan says: {package} {version}",
    ),
    Signature(
        "maintainer-script-failed", "patch",
        r"^ERROR: (?:lib/apk/exec/)?(?P<package>\S+?)-(?P<version>\d[^-\s]*-r\d+)\.(?P<script>(?:pre|post)-\w+|trigger)"
        r": .*(?:exited with|script exited|failed)",
        "the {script} script of {package} {version} failed",
    ),
    Signature(
        "file-conflict", "patch",
        r"(?P<package>\S+): trying to overwrite (?P<path>\S+) owned by (?P<other>[^\s.]+(?:\.[^\s.]+)*)",
        "{package} brings {path}, which {other} has",
    ),
    Signature(
        "unmet-dependencies", "package-manager",
        r"ERROR: unable to select packages|^\s+(?P<what>\S.*) \(no such package\)", "dependencies are not met: {what}",
    ),
    Signature(
        "repository-down", "repository",
        r"(?:fetch(?:ing)?|opening) (?P<uri>https?://\S+?):? (?:DNS|temporary error|network|could not con|Connection"
        r"|connection|operation timed out|HTTP)",
        "a repository does not answer: {uri}", transient=True,
    ),
    Signature(
        "apk-interrupted", "package-manager", r"^patchctl: apk-interrupted$",
        "apk was cut off: it completes the rest when it upgrades again", transient=True,
    ),
    Signature(
        "attempt-interrupted", "package-manager", r"^patchctl: interrupted$",
        "an earlier apk was interrupted: it completes the rest when it upgrades again", transient=True,
    ),
    Signature(
        "apk-failed", "package-manager", r"^(?P<count>\d+ errors?); |^ERROR: (?P<what>\S.*)",
        "apk failed: {what}{count}",
    ),
)  # fmt: skip
