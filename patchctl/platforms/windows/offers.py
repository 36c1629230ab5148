"""Files that a policy offers to Windows hosts (`packages:`): which hosts would be changed by them. Pure.

A program is offered to hosts where an older version of it is installed; an update (.msu, .cab) called by its KB number
to hosts that do not have it. Nothing is installed anew on a host that never had the program.

An update that the update agent offers too is one thing under two versions (the agent's id and revision; the file has
none): the agent's way is taken, and one that the host lists as installed is not installed by the agent once more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from patchctl.model.facts import Artefact, HostFacts, Update
from patchctl.model.fingerprint import ANY_VERSION
from patchctl.model.policy import PackageOffer
from patchctl.model.versions.windows import compare

ORIGIN = "policy"
_KB = re.compile(r"KB\d+")


def add_offers(facts: HostFacts, offers: Sequence[PackageOffer]) -> HostFacts:
    """Return the facts with what the offers would change on this host. Unknown packages or updates stay unknown."""
    if facts.packages is None or facts.updates is None or facts.os.family != "windows":
        return facts
    twice = {update.package: reason for offer in offers for update, reason in _installed_twice(facts, offer)}
    updates = [replace(u, state="held", reason=twice[u.package]) if u.package in twice else u for u in facts.updates]
    artefacts = list(facts.artefacts)
    for offer in offers:
        found = [p for p in facts.packages if p.name.lower() == offer.package.lower()]
        if _KB.fullmatch(offer.package):
            wanted = not _listed(facts, offer) and not _offered(facts, offer)
            name, arch, installed, version = offer.package, "", "", ANY_VERSION
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


def explain_offers(facts: HostFacts, offers: Sequence[PackageOffer]) -> tuple[str, ...]:
    """Return, for people, which of the policy's files are not used on this host because the update agent has them."""
    if facts.packages is None or facts.updates is None or facts.os.family != "windows":
        return ()
    return tuple(
        f"{offer.package}: Windows Update offers it too ({', '.join(u.candidate for u in offered)}): the policy's file "
        "is left out" for offer in offers if (offered := _offered(facts, offer)) and not _listed(facts, offer)
    )


def _offered(facts: HostFacts, offer: PackageOffer) -> list[Update]:
    """Return the agent's updates that have the offer's KB number."""
    if not _KB.fullmatch(offer.package):
        return []
    return [u for u in facts.updates or () if u.package.partition("~")[0] == offer.package and u.origin != ORIGIN]


def _listed(facts: HostFacts, offer: PackageOffer) -> bool:
    return any(p.name.partition("~")[0] == offer.package for p in facts.packages or ())


def _installed_twice(facts: HostFacts, offer: PackageOffer) -> Iterator[tuple[Update, str]]:
    """Yield what the agent offers although the host lists it by its KB number alone, as the file leaves it."""
    if any(p.name == offer.package and p.version == ANY_VERSION for p in facts.packages or ()):
        for update in _offered(facts, offer):
            yield update, (f"the host lists {offer.package} as installed, the policy has it as a file: it is not "
                           "installed once more")
