"""Files that a policy offers to Windows hosts (`packages:`): which hosts would be changed by them. Pure.

A program is offered to hosts where an older version of it is installed; an update (.msu, .cab) called by its KB number
to hosts that do not have it. Nothing is installed anew on a host that never had the program.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from patchctl.model.facts import Artefact, HostFacts, Update
from patchctl.model.policy import PackageOffer
from patchctl.model.versions.windows import compare

ORIGIN = "policy"
HOTFIX = "installed"
"""Version of an update that is known by its KB number only."""


def add_offers(facts: HostFacts, offers: Sequence[PackageOffer]) -> HostFacts:
    """Return the facts with what the offers would change on this host. Unknown packages or updates stay unknown."""
    if facts.packages is None or facts.updates is None or facts.os.family != "windows":
        return facts
    updates, artefacts = list(facts.updates), list(facts.artefacts)
    for offer in offers:
        found = [p for p in facts.packages if p.name.lower() == offer.package.lower()]
        if re.fullmatch(r"KB\d+", offer.package):
            wanted = not found and all(u.package.partition("~")[0] != offer.package for u in facts.updates)
            name, arch, installed, version = offer.package, "", "", HOTFIX
        elif len(found) == 1:
            name, arch, installed, version = found[0].name, found[0].arch, found[0].version, offer.version
            wanted = installed != "unknown" and compare(installed, version) < 0
        else:
            continue  # not there, or twice: then nobody can say which one an installer would replace
        if wanted:
            updates.append(Update(name, arch, installed, version, ORIGIN, offer.security, severity=offer.severity))
            artefacts.append(Artefact(
                name, version, arch, offer.sha256, offer.size, offer.filename, offer.uri, ORIGIN,
                uninstall=offer.uninstall))
    return replace(facts, updates=tuple(updates), artefacts=tuple(artefacts))
