"""The SCAP Security Guide of this machine: installed by package name when missing, never part of the project."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

from tests.lab import why_not
from tests.lab.base import locked
from tests.lab.machine import lab_folder, services_kept_down
from tests.lab.programs import PATH, run

FOLDER = Path("/usr/share/xml/scap/ssg/content")
PACKAGES = ("ssg-base", "ssg-debian", "ssg-debderived", "ssg-nondebian", "ssg-applications", "openscap-scanner")


def why_no_content() -> str:
    """Return why the content cannot be used here, or ""."""
    return "" if _complete() else why_not()


def _complete() -> bool:
    return len(list(FOLDER.glob("*-ds-1.2.xml"))) >= 31 and shutil.which("oscap", path=PATH) is not None


@cache
def folder() -> Path:
    """Return the folder of the content, installed first if need be: about a minute, a gigabyte."""
    if not _complete():
        lab_folder().mkdir(parents=True, exist_ok=True)
        with locked(lab_folder() / "scap-content.lock"):
            if not _complete():
                run("apt-get", "-q", "update", timeout=300)
                with services_kept_down():
                    run("apt-get", "-qy", "install", "--no-install-recommends", *PACKAGES, timeout=900,
                        env={"DEBIAN_FRONTEND": "noninteractive"})
    return FOLDER


def stream(name: str) -> bytes:
    """Return a data stream: stream("debian11")."""
    return (folder() / f"ssg-{name}-ds-1.2.xml").read_bytes()


def streams() -> list[str]:
    """Return the names of all data streams."""
    return sorted(p.name.removeprefix("ssg-").removesuffix("-ds-1.2.xml") for p in folder().glob("*-ds-1.2.xml"))
