"""Failures of apt and dpkg by their own words (C locale). The first that matches a line names the cause.

Order matters: the cause before its consequences (`Sub-process ... returned an error code` comes last).
"""

from __future__ import annotations

from patchctl.model.rollout import Signature

SIGNATURES: tuple[Signature, ...] = (
    Signature(
        "dpkg-lock-held", "package-manager",
        r"^patchctl: lock-held (?P<path>\S+) (?P<pid>\d+) (?P<comm>\S+)",
        "{path} is held by {comm}[{pid}]", transient=True, remedy="wait-for-lock",
    ),
    Signature(
        "dpkg-lock-held", "package-manager",
        r"Could not get lock (?P<path>\S+?)\.? It is held by process (?P<pid>\d+)(?: \((?P<comm>[^)]*)\))?",
        "{path} is held by {comm}[{pid}]", transient=True, remedy="wait-for-lock",
    ),
    Signature(
        "dpkg-lock-held", "package-manager",
        r"(?:Could not get lock|Unable to (?:acquire the dpkg frontend )?lock)[^/]*(?P<path>/[^\s),]+)",
        "{path} is held by another process", transient=True, remedy="wait-for-lock",
    ),
    Signature(
        "read-only-file-system", "disk", r"(?P<what>\S.*): Read-only file system|Read-only file system",
        "a file system is read-only: {what}",
    ),
    Signature(
        "no-space", "disk",
        r"No space left on device|You don't have enough free space in (?P<path>\S+?)\.?$|Disk quota exceeded",
        "no space left: {path}", remedy="apt-clean",
    ),
    Signature(
        "dpkg-interrupted", "package-manager", r"dpkg was interrupted, you must manually run",
        "an earlier dpkg run was interrupted", transient=True, remedy="dpkg-configure-a",
    ),
    Signature(
        "dpkg-database-corrupt", "package-manager",
        r"(?:parsing file|files list file for package|info file) '?(?P<path>\S*/dpkg/\S+?)'?[ :].*"
        r"|dpkg: unrecoverable fatal error, aborting|unable to open file '(?P<file>/var/lib/dpkg/[^']+)'",
        "dpkg's database is damaged: {path}{file}",
    ),
    Signature(
        "conffile-prompt", "package-manager", r"end of file on stdin at conffile prompt",
        "a package asked what to do with a changed configuration file and got no answer",
    ),
    Signature(
        "hash-mismatch", "repository", r"Hash Sum mismatch|^patchctl: hash-mismatch|\.deb: FAILED",
        "a file does not have the hash that was promised", transient=True,
    ),
    Signature(
        "unsigned-repository", "repository",
        r"The repository '(?P<repository>[^']+)' is (?:not|no longer) signed|NO_PUBKEY (?P<key>[0-9A-F]+)|EXPKEYSIG",
        "a repository's signature cannot be verified: {repository}{key}",
    ),
    Signature(
        "repository-down", "repository",
        r"Failed to fetch (?P<uri>\S+)|Could not (?:connect to|resolve) '?(?P<host>[^\s']+)"
        r"|Unable to connect to (?P<server>\S+)",
        "a repository does not answer: {uri}{host}{server}", transient=True,
    ),
    Signature(
        "unplanned-change", "policy",
        r"^patchctl: unplanned-removal (?P<package>\S+)|Packages need to be removed but remove is disabled",
        "apt would remove a package that the plan does not remove: {package}",
    ),
    Signature(
        "held-package", "policy", r"Held packages were changed and -y was used without",
        "the install would change a held package",
    ),
    Signature(
        "maintainer-script-failed", "patch",
        r"installed (?P<package>\S+) package (?P<script>\S+) script subprocess returned error exit status (?P<rc>\d+)",
        "the {script} script of {package} failed with {rc}",
    ),
    Signature(
        "maintainer-script-failed", "patch",
        r"new (?P<package>\S+) package (?P<script>\S+) script subprocess returned error exit status (?P<rc>\d+)",
        "the {script} script of the new {package} failed with {rc}",
    ),
    Signature(
        "file-conflict", "patch",
        r"trying to overwrite '(?P<path>[^']+)', which is also in package (?P<package>\S+)",
        "{path} belongs to {package} already",
    ),
    Signature(
        "unmet-dependencies", "package-manager",
        r"(?:The following packages have unmet dependencies|Unmet dependencies\. Try 'apt)",
        "dependencies are not met", remedy="fix-broken",
    ),
    Signature(
        "dpkg-failed", "package-manager",
        r"Sub-process /usr/bin/dpkg (?P<what>returned an error code|exited unexpectedly)",
        "dpkg {what}", transient=True, remedy="dpkg-configure-a",
    ),
)  # fmt: skip
