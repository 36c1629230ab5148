"""dpkginfo (OVAL linux schema): installed Debian packages by name."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.sources.dpkg import Package
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted
from patchctl.model.versions import deb


class _Dpkginfo:
    name = "dpkginfo"
    each_value = True

    def limits(self, found: Object) -> list[str]:
        entity = found.entities.get("name")
        return [f"OVAL dpkginfo name with operation {entity.operation}"] if (
            entity is not None and entity.operation != "equals") else []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each installed package of the name, virtual packages among them."""
        entity = wanted.entity("name")
        if entity is None or entity.literals is None:
            raise ObjectError("dpkginfo names no package")
        answers = facts.get(*[("dpkg", name) for name in dict.fromkeys(entity.literals)])
        return collected([_item(package) for packages in answers for package in packages[:1]])


def _item(package: Package) -> OvalItem:
    epoch, upstream, revision = deb.split(package.version)
    return OvalItem({
        "name": (package.name,), "arch": (package.arch,), "epoch": (str(epoch),), "version": (upstream,),
        "release": (revision,), "evr": (package.version if ":" in package.version else f"0:{package.version}",),
    })


TYPE = _Dpkginfo()
