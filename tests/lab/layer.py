"""A layer of Debian packages above the base, for labs whose hosts have more than others: built once and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.lab.base import Base, _digest, locked, mounted
from tests.lab.machine import NSPAWN, find_mirror, lab_folder
from tests.lab.programs import run

_INSTALL = """
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends {packages}
rm -rf /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/99lab-machine /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
find /var/lib/apt/lists -type f -delete
"""


def layer_of_packages(
    base: Base, name: str, packages: Sequence[str], after: str, *more: str, fill: Callable[[Path], None] | None = None
) -> Path:
    """Return the layer NAME with these packages from the mirror, made when first asked for.

    `after` is sh text run at the end; `fill` puts files into the root; `more` is what else the layer is made of: it is
    made anew when any of it changes.
    """
    install = _INSTALL + after
    folder = lab_folder() / f"{name}-{_digest(base.folder, packages, install, *more)}"
    with locked(lab_folder() / f"{name}.lock"):
        if not folder.is_dir():
            mirror = find_mirror()
            part = folder.with_suffix(".part")
            with mounted(part, [base.folder / "upper", base.bootstrap]) as root:
                (root / "etc/apt/apt.conf.d/99lab-machine").write_text(
                    mirror.settings + 'APT::Sandbox::User "root";\n')
                (root / "etc/apt/sources.list.d/debian.sources").write_text(mirror.sources())
                script = install.replace("{packages}", " ".join(packages))
                (part / "install.log").write_text(
                    run(*NSPAWN, "--pipe", "-D", root, "sh", "-ec", script, timeout=900))
                if fill is not None:
                    fill(root)
            part.rename(folder)
    return folder / "upper"
