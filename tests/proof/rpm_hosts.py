"""What the proofs on hosts with rpm ask the hosts themselves: what dnf or yum says is pending, and what rpm has."""

from __future__ import annotations

from tests.lab import LabHost


def check_update(host: LabHost) -> set[tuple[str, str, str]]:
    """Return what dnf or yum itself says is pending: (package, arch, version)."""
    # `yum -q check-update` of Enterprise Linux 7 prints no list at all.
    said = host.exec("if command -v dnf >/dev/null; then dnf -q check-update; else yum check-update; fi", check=False)
    rows = (line.split() for line in said.splitlines())
    return {(*words[0].rsplit(".", 1), words[1]) for words in rows  # type: ignore[misc]
            if len(words) == 3 and words[0] != "Loaded"}


def versions(host: LabHost) -> set[str]:
    """Return `NAME VERSION` of what rpm has."""
    return set(host.exec("rpm -qa --qf '%{NAME} %{VERSION}\n'").splitlines())


def offer(host: LabHost, package: str) -> None:
    """Let version 2.0 of a package become pending on the host, as its own package manager sees it."""
    host.fault("offer", package)
    host.exec("if command -v dnf >/dev/null; then dnf -q -y makecache; else yum -q -y makecache fast; fi 2>&1")
