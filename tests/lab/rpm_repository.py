"""Repositories of rpm packages: built with rpmbuild, signed with rpmsign, indexed with createrepo_c, with advisories.

For dnf and zypper. Packages are tiny, each shows one thing; version 1.0 is installed, 2.0 is pending.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from tests.lab.programs import LabError, run
from tests.lab.signing import gpg

MACHINE = {"rpm": "rpmbuild", "createrepo-c": "createrepo_c"}
"""What this file takes on the machine."""


@dataclass(frozen=True)
class Rpm:
    """One version of a package. Scripts are sh texts; `header` is spec lines (Requires: and the like)."""

    name: str
    version: str = "1.0"
    release: str = "1"
    arch: str = "noarch"
    epoch: int = 0
    what: str = ""
    header: str = ""
    scripts: Mapping[str, str] = field(default_factory=dict)
    """pre, post, preun, postun, posttrans -> sh text"""
    files: Mapping[str, str] = field(default_factory=dict)
    config: tuple[str, ...] = ()
    ghosts: tuple[str, ...] = ()
    """Paths it owns without bringing them."""
    mark: bool = True
    """Its post script first adds a line to /var/log/NAME.post: proof of how often it ran."""

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}-{self.release}.{self.arch}.rpm"


@dataclass(frozen=True)
class Advisory:
    """One entry of updateinfo.xml."""

    id: str
    kind: str
    """security | bugfix | enhancement | newpackage"""
    packages: tuple[Rpm, ...]
    severity: str = ""
    cves: tuple[str, ...] = ()
    reboot: bool = False
    """reboot_suggested"""
    title: str = ""
    issued: str = "2026-11-03 10:00:00"


def build_rpm(package: Rpm, folder: Path) -> Path:
    """Build one package into `folder`, unsigned, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        top = Path(place)
        (top / "package.spec").write_text(_spec(package, top))
        run("rpmbuild", "-bb", "--quiet", "--target", package.arch, "--define", f"_topdir {top}",
            "--define", "_dbpath /nonexistent", "--define", "_binary_payload w1.gzdio", top / "package.spec",
            timeout=120)
        found = list(top.glob("RPMS/*/*.rpm"))
        if len(found) != 1:
            raise LabError(f"rpmbuild made {found} of {package.name}")
        return Path(shutil.move(found[0], folder / package.file))


def _spec(package: Rpm, top: Path) -> str:
    lines = [
        f"Name: {package.name}", f"Version: {package.version}", f"Release: {package.release}",
        *([f"Epoch: {package.epoch}"] if package.epoch else []), f"Summary: {package.what or package.name}",
        "License: none", "AutoReqProv: no", *([package.header.strip()] if package.header else []),
        "%description", package.what or package.name, "%install", "mkdir -p %{buildroot}",
    ]
    for number, (path, text) in enumerate(package.files.items()):
        source = top / f"file{number}"
        source.write_text(text)
        lines.append(f"install -D -m 644 {source} %{{buildroot}}{path}")
    scripts = dict(package.scripts)
    if package.mark:
        scripts["post"] = f"date +%s >> /var/log/{package.name}.post\n" + scripts.get("post", "")
    for name, text in scripts.items():
        lines += [f"%{name}", text]
    lines.append("%files")
    lines += [f"{'%config(noreplace) ' * (path in package.config)}{path}" for path in package.files]
    lines += [f"%ghost {path}" for path in package.ghosts]
    return "\n".join(lines) + "\n"


def sign_rpms(home: Path, packages: Iterable[Path]) -> None:
    """Sign packages with the only key of that gpg home."""
    try:
        run("rpmsign", "--addsign", "--define", f"_gpg_path {home}", "--define", "_gpg_name lab packages",
            "--define", "_gpg_digest_algo sha256", "--define", "__gpg /usr/bin/gpg",
            "--define", "_gpg_sign_cmd_extra_args --batch --pinentry-mode loopback --passphrase ''", *packages,
            timeout=120)
    finally:
        run("gpgconf", "--homedir", home, "--kill", "all", timeout=30)


class RpmRepository:
    """A folder with packages and repodata, signed by the key in `home`."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home

    def add(self, *packages: Rpm, signed: bool = True) -> None:
        """Build packages into it; index() shows them."""
        built = [build_rpm(package, self.folder) for package in packages]
        if signed:
            sign_rpms(self.home, built)

    def index(self, advisories: Iterable[Advisory] | None = None) -> None:
        """Write and sign the metadata. advisories=None leaves updateinfo as it was, none at first."""
        updateinfo = self.folder / "updateinfo.xml"
        if advisories is not None:
            updateinfo.write_text(updateinfo_xml(advisories))
        run("createrepo_c", "--quiet", "--no-database", self.folder, timeout=120)
        if updateinfo.exists():
            run("modifyrepo_c", "--mdtype=updateinfo", updateinfo, self.folder / "repodata", timeout=60)
        self.sign()

    def sign(self) -> None:
        """Sign repomd.xml, as repo_gpgcheck wants it."""
        repomd = self.folder / "repodata/repomd.xml"
        repomd.with_name("repomd.xml.asc").unlink(missing_ok=True)
        gpg(self.home, "--armor", "--detach-sign", repomd)
        shutil.copy(self.home / "public.asc", self.folder / "repodata/repomd.xml.key")

    def withdraw(self, glob: str, *, unlist: bool = True) -> list[str]:
        """Take packages out, as a mirror does; unlist=False leaves them in the metadata: a download then gives 404."""
        gone = list(self.folder.glob(glob))
        if not gone:
            raise LabError(f"no package matches {glob} in {self.folder}")
        for path in gone:
            path.unlink()
        if unlist:
            self.index()
        return sorted(path.name for path in gone)


def updateinfo_xml(advisories: Iterable[Advisory]) -> str:
    """Return updateinfo.xml as distributions write it."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n<updates>\n' + "".join(map(_update, advisories)) + "</updates>\n"


def _update(advisory: Advisory) -> str:
    title = escape(advisory.title or f"{advisory.packages[0].name} {advisory.kind} update")
    references = "".join(
        f'      <reference href="https://example.org/{cve}" id="{cve}" type="cve" title="{cve}"/>\n'
        for cve in advisory.cves
    )
    packages = "".join(
        f'        <package name="{p.name}" version="{p.version}" release="{p.release}" epoch="{p.epoch}" '
        f'arch="{p.arch}">\n          <filename>{p.file}</filename>\n'
        + ("          <reboot_suggested>True</reboot_suggested>\n" if advisory.reboot else "")
        + "        </package>\n"
        for p in advisory.packages
    )
    return (
        f'  <update from="lab@localhost" status="final" type="{advisory.kind}" version="1">\n'
        f"    <id>{advisory.id}</id>\n    <title>{title}</title>\n"
        f'    <issued date="{advisory.issued}"/>\n    <updated date="{advisory.issued}"/>\n'
        f"    <severity>{advisory.severity or 'None'}</severity>\n    <summary>{title}</summary>\n"
        f"    <description>{title}</description>\n    <references>\n{references}    </references>\n"
        f'    <pkglist>\n      <collection short="lab">\n        <name>lab</name>\n{packages}'
        f"      </collection>\n    </pkglist>\n  </update>\n"
    )


def default_arch() -> str:
    """Return this machine's architecture as rpm names it."""
    return os.uname().machine
