"""Throw-away Debian hosts on one machine: real systemd, sshd, dpkg and apt, with honest faults. See README.md."""

from tests.lab.hosts import LabHost
from tests.lab.lab import Lab
from tests.lab.machine import why_not
from tests.lab.programs import LabError

__all__ = ["Lab", "LabError", "LabHost", "why_not"]
