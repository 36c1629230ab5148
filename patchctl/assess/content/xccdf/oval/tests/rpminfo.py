"""rpminfo (OVAL linux schema): installed rpm packages."""

from __future__ import annotations

import re

from patchctl.assess.content.xccdf.oval.facts import Facts, NotCollectedError, Unreadable
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.sources.rpm import RpmPackage
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted

_KEY = re.compile(r"Key ID ([a-fA-F0-9]{16})")


class _Rpminfo:
    name = "rpminfo"
    each_value = True

    def limits(self, found: Object) -> list[str]:
        return ["OVAL rpminfo behavior filepaths"] if found.behaviors.get("filepaths") == "true" else []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each package whose name is meant."""
        entity = wanted.entity("name")
        if entity is None:
            raise ObjectError("rpminfo names no package")
        packages = facts.one("rpm", "all")
        if isinstance(packages, Unreadable):
            raise NotCollectedError(packages.reason)
        return collected([_item(p) for p in packages if entity.matches(p.name)])


def _item(package: RpmPackage) -> OvalItem:
    key = _KEY.search(package.signature)
    return OvalItem({
        "name": (package.name,), "arch": (package.arch,), "epoch": (package.epoch,), "version": (package.version,),
        "release": (package.release,), "evr": (package.evr,), "signature_keyid": (key[1] if key else "0",),
        "extended_name": (f"{package.name}-{package.evr}.{package.arch}",),
    })


TYPE = _Rpminfo()
