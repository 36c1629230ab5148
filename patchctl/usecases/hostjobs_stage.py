"""Puts a host's artefacts in place: from its own sources first, then from the controller's cache."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from patchctl.deliver.cache import ArtefactError
from patchctl.deliver.fetch import Fetcher, fetch_artefacts
from patchctl.deliver.send import RunOnHost
from patchctl.model.facts import Artefact
from patchctl.model.plan import HostPlan, Plan
from patchctl.model.text import one_line
from patchctl.platforms.contract import Platform
from patchctl.usecases.hostjobs_visit import AnswerLostError, RefusedError, Visit

STAGE_ADJUSTMENTS = frozenset({"refetch", "deliver-from-controller"})
"""What stage_artefacts can do differently in a later attempt."""


class Staged(Struct, frozen=True):
    """What staging came to. `missing` maps SHA-256 to why it could not be had; empty = all is in place."""

    have: tuple[str, ...] = ()
    delivered: tuple[str, ...] = ()
    size: int = 0
    """Bytes of all artefacts."""
    missing: dict[str, ArtefactError] = field(default_factory=dict)
    not_kept: tuple[str, ...] = ()
    """Artefacts that the host has but the controller could not get a copy of, with the reason."""


def artefacts_of(plan: Plan, host_plan: HostPlan) -> tuple[Artefact, ...]:
    """Return the files a host needs; not what it fetches and verifies itself (Change.carrier).

    Raise RefusedError when the plan names none for a change.
    """
    found: dict[str, Artefact] = {}
    for change in host_plan.changes:
        if change.carrier:
            continue
        for sha256 in (change.replaces, change.sha256) if change.replaces else (change.sha256,):
            artefact = plan.artefacts.get(sha256)
            if artefact is None:
                raise RefusedError(
                    "artefact-unknown", f"the plan names no file for {change.package} {change.to_version}", "plan again"
                )
            found[artefact.sha256] = artefact
    return tuple(found.values())


def keep_earlier(
    visit: Visit, platform: Platform, artefacts: Sequence[Artefact], directory: str, fetcher: Fetcher, *,
    seconds: float,
) -> tuple[str, ...]:  # fmt: skip
    """Have the controller keep the files of earlier versions while they can still be had; return why some cannot.

    Asked first are the addresses of the plan, then the host: its package cache, its own sources. Raise HostError.
    """
    errors = fetch_artefacts(artefacts, fetcher)
    wanted = [artefact for artefact in artefacts if artefact.sha256 in errors]
    if not wanted:
        return ()
    run, way, nonce = _runner(visit, seconds), visit.way.sending, secrets.token_hex(16)
    try:
        way.list_staged(run, directory, wanted, nonce)
        run(platform.download_script(wanted, directory), None, 4 * 1024 * 1024)
        have = way.list_staged(run, directory, wanted, nonce)
    except ArtefactError as error:
        return (error.message,)
    here = [artefact for artefact in wanted if artefact.sha256 in have]
    errors = {
        **{a.sha256: errors[a.sha256] for a in wanted if a.sha256 not in have},
        **fetch_artefacts(here, fetcher, lambda artefact: way.read_back(run, directory, artefact, nonce)),
    }
    return tuple(one_line(error.message) for error in errors.values())


def _runner(visit: Visit, seconds: float) -> RunOnHost:
    def run(script: str, stdin: Iterable[bytes] | None, cap: int) -> bytes:
        result = visit.run(script, stdin=stdin, timeout=seconds, cap=cap)
        if result.lost:
            raise AnswerLostError("answer-lost", f"staging was cut: {one_line(result.lost)}", "it goes on where it was")
        return result.stdout

    return run


def stage_artefacts(
    visit: Visit, platform: Platform, artefacts: Sequence[Artefact], directory: str, fetcher: Fetcher, *,
    seconds: float, adjustments: Sequence[str] = (),
) -> Staged:
    """Have every artefact, whole, in `directory` on the host. Raise ArtefactError when that cannot be used, HostError.

    `seconds` bounds each transfer. Adjustments: `refetch` drops what is there, `deliver-from-controller` does not ask
    the host's own sources.
    """
    run, way, nonce = _runner(visit, seconds), visit.way.sending, secrets.token_hex(16)
    if "refetch" in adjustments:
        way.drop_staged(run, directory)
    have = way.list_staged(run, directory, artefacts, nonce)
    if len(have) < len(artefacts) and "deliver-from-controller" not in adjustments:
        wanted = [artefact for artefact in artefacts if artefact.sha256 not in have]
        run(platform.download_script(wanted, directory), None, 4 * 1024 * 1024)
        # What the script says is a claim; the hashes are looked at again.
        have = way.list_staged(run, directory, artefacts, nonce)
    missing: dict[str, ArtefactError] = {}
    not_kept: list[str] = []
    to_send: list[Artefact] = []
    for artefact in artefacts:
        try:
            if artefact.sha256 in have:
                # Kept for later rings: by then the mirror may have moved on.
                fetcher.fetch(artefact, lambda wanted: way.read_back(run, directory, wanted, nonce))
            else:
                fetcher.fetch(artefact)
                to_send.append(artefact)
        except ArtefactError as error:
            if artefact.sha256 in have:
                not_kept.append(error.message)
            else:
                missing[artefact.sha256] = error
    errors = way.send_artefacts(run, directory, to_send, fetcher.cache, nonce)
    missing.update(errors)
    delivered = [artefact.sha256 for artefact in to_send if artefact.sha256 not in errors]
    return Staged(
        tuple(a.sha256 for a in artefacts if a.sha256 not in missing), tuple(delivered),
        sum(a.size for a in artefacts), missing, tuple(not_kept),
    )
