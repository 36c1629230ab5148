"""Repositories of pacman packages: packed with tar, signed with gpg, indexed with the real repo-add."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.programs import run
from tests.lab.signing import gpg

MACHINE = {"pacman-package-manager": "repo-add", "makepkg": "vercmp", "libarchive-tools": "bsdtar", "zstd": "zstd"}
"""What this file takes on the machine."""
BUILT = 1795000000
"""Unix time that every package says it was built at."""


@dataclass(frozen=True)
class Pac:
    """One version of a package; `info` is further lines of .PKGINFO, `post` runs after installs and upgrades."""

    name: str
    version: str = "1.0-1"
    arch: str = "any"
    what: str = ""
    info: str = ""
    pre: str = ""
    post: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    backup: tuple[str, ...] = ()
    """Files that are the administrator's to change."""
    mark: bool = True
    """post first adds a line to /var/log/NAME.post: proof of how often it ran."""

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}-{self.arch}.pkg.tar.zst"


def build_pac(package: Pac, folder: Path) -> Path:
    """Build one package into `folder`, unsigned, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place)
        info = [
            f"pkgname = {package.name}", f"pkgbase = {package.name}", f"pkgver = {package.version}",
            f"pkgdesc = {package.what or package.name}", "url = https://example.org", f"builddate = {BUILT}",
            "packager = lab <lab@localhost>", "size = 4096", f"arch = {package.arch}", "license = none",
            *(f"backup = {path.lstrip('/')}" for path in package.backup), *package.info.splitlines(),
        ]
        (tree / ".PKGINFO").write_text("\n".join(info) + "\n")
        members = [".PKGINFO"]
        post = (f"date +%s >> /var/log/{package.name}.post\n" if package.mark else "") + package.post
        if post or package.pre:
            scripts = f"post_install() {{\n:\n{post}\n}}\npost_upgrade() {{\npost_install\n}}\n"
            scripts += f"pre_upgrade() {{\n:\n{package.pre}\n}}\n"
            (tree / ".INSTALL").write_text(scripts)
            members.append(".INSTALL")
        for path, text in package.files.items():
            target = tree / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        members += sorted({path.lstrip("/").split("/")[0] for path in package.files})
        result = folder / package.file
        run("tar", "--zstd", "--owner=0", "--group=0", "--mtime=@1795000000", "-cf", result, *members, cwd=tree)
        return result


class PacmanRepository:
    """A folder with packages and a signed database; its name is the repository's."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home

    def add(self, *packages: Pac, signed: bool = True) -> list[Path]:
        """Build packages into it; index() lists them."""
        built = [build_pac(package, self.folder) for package in packages]
        for path in built if signed else ():
            gpg(self.home, "--detach-sign", path)
        return built

    def index(self, *, include_signatures: bool = True) -> None:
        """Write the database anew, newest versions only, and sign it.

        include_signatures=False leaves the packages' signatures out of it, as repo-add does since pacman 6.1.
        """
        for old in self.folder.glob(f"{self.folder.name}.*"):
            old.unlink()
        packages = sorted(self.folder.glob("*.pkg.tar.zst"))
        hidden = [path.with_name(path.name + ".sig") for path in packages if not include_signatures]
        for path in hidden:
            if path.exists():
                path.rename(path.with_name(path.name + ".kept"))
        database = self.folder / f"{self.folder.name}.db.tar.gz"
        run("repo-add", "-q", "-n", database, *packages, timeout=120)
        for path in self.folder.glob("*.sig.kept"):
            path.rename(path.with_suffix(""))
        for name in ("db", "files"):
            link = self.folder / f"{self.folder.name}.{name}"
            link.unlink()  # a link to the .tar.gz; a plain file is served alike by every server
            shutil.copy(self.folder / f"{self.folder.name}.{name}.tar.gz", link)
        gpg(self.home, "--detach-sign", self.folder / f"{self.folder.name}.db")
