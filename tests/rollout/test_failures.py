"""Promises about failures: every one gets a class and its evidence; a retry has a reason to end otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.collect.fixing import SIGNATURES
from patchctl.model.errors import HostFailure
from patchctl.model.rollout import Diagnosis, Signature
from patchctl.platforms.contract import Platform
from patchctl.platforms.registry import all_platforms
from patchctl.rollout.diagnose import (
    CLASSES,
    diagnose,
    diagnose_interruption,
    diagnose_verification,
    explain_silence,
)
from patchctl.rollout.health import find_regressions
from patchctl.rollout.remedies import CATALOGUE, adjustments_for, choose_retry, take_up
from patchctl.usecases.hostjobs import LOCK_ADJUSTMENTS
from patchctl.usecases.hostjobs_stage import STAGE_ADJUSTMENTS

LOCK = Signature(
    "dpkg-lock-held", "package-manager", r"held by process (?P<pid>\d+) \((?P<who>[^)]*)\)",
    "lock held by {who}[{pid}]", transient=True, remedy="wait-for-lock", phase="poll",
)


def test_a_signature_names_the_culprit_and_keeps_the_line() -> None:
    log = "Reading lists\nE: Could not get lock. It is held by process 4711 (unattended-upgr)\nE: done"
    found = diagnose("poll", None, {"log": log, "rc": 100}, [LOCK])
    assert found.message == "lock held by unattended-upgr[4711]"
    assert found.evidence == "E: Could not get lock. It is held by process 4711 (unattended-upgr)"
    assert (found.cls, found.transient, found.remedy) == ("package-manager", True, "wait-for-lock")


def test_a_signature_counts_only_in_its_phase() -> None:
    found = diagnose("stage", None, {"log": "held by process 1 (x)"}, [LOCK])
    assert found.cls == "unknown"


def test_what_nothing_explains_is_unknown_with_the_last_line() -> None:
    found = diagnose("poll", None, {"log": "first\nlast words\npatchctl: step after\n", "rc": 7})
    assert (found.cls, found.evidence, found.message) == ("unknown", "last words", "exit status 7: last words")


@pytest.mark.parametrize(
    ("failure", "cls", "transient"),
    [
        (HostFailure("login-refused", "no key fits", "", "auth-failed"), "access", False),
        (HostFailure("host-key-changed", "another key", "", "host-key"), "access", False),
        (HostFailure("disk-full", "/ has 3 MB free"), "disk", False),
        (HostFailure("artefact-download", "HTTP 503"), "repository", True),
        (HostFailure("attempt-lock", "process 7 is starting something"), "package-manager", True),
        (HostFailure("fenced", "belongs to ops@other"), "policy", False),
        (HostFailure("something-new", "?"), "unknown", False),
    ],
)
def test_error_codes_have_classes(failure: HostFailure, cls: str, transient: bool) -> None:
    found = diagnose("preflight", failure, {})
    assert (found.cls, found.transient, found.signature) == (cls, transient, failure.code)


@given(st.text(), st.text(), st.one_of(st.none(), st.integers()))
@settings(deadline=None)
def test_no_output_of_a_host_breaks_the_diagnosis(log: str, message: str, rc: int | None) -> None:
    signatures = [signature for platform in all_platforms() for signature in platform.signatures]
    for error in (None, HostFailure("code", message)):
        found = diagnose("poll", error, {"log": log, "rc": rc}, signatures)
        assert found.cls in CLASSES
        assert "\x1b" not in found.evidence + found.message
        assert len(found.evidence) <= 300


def test_host_text_is_never_a_template() -> None:
    found = diagnose("poll", None, {"log": "held by process 1 ({pid} %s {0})"}, [LOCK])
    assert found.message == "lock held by {pid} %s {0}[1]"


def test_a_failed_verification_names_what_is_not_as_planned() -> None:
    assert diagnose_verification({"pending": ["openssl 1 -> 2"]}).signature == "changes-not-in-place"
    assert diagnose_verification({"health_regressed": ["unit nginx: unhealthy"]}).signature == "health-regressed"
    assert diagnose_verification({}).cls == "unknown"


def test_every_remedy_that_a_platform_names_is_in_the_catalogue_and_known_to_its_job() -> None:
    for platform in all_platforms():
        for signature in platform.signatures:
            assert signature.cls in CLASSES, signature.name
            assert not signature.remedy or signature.remedy in CATALOGUE, signature.name
    for remedy in CATALOGUE.values():
        assert {step.phase for step in remedy.steps} <= {"start", "stage", ""}


@pytest.mark.parametrize("platform", [pytest.param(p, id=p.name) for p in all_platforms()])
def test_no_failure_leads_to_an_adjustment_that_nobody_knows(platform: Platform) -> None:
    """Every step of every remedy that a platform's failures, or errors of any job, may ask for."""
    codes = [HostFailure(code, code) for code in ("lock", "busy", "artefact", "staging", "repository")]
    asked = {s.remedy for s in platform.signatures} | {diagnose("start", code, {}).remedy for code in codes}
    if platform.adjustments:  # what cannot install yet is never interrupted
        asked.add(diagnose_interruption({}, platform.signatures).remedy)
    known = {"start": {*platform.adjustments, *LOCK_ADJUSTMENTS}, "stage": STAGE_ADJUSTMENTS}
    for step in [step for name in asked - {""} for step in CATALOGUE[name].steps]:
        if not step.phase:
            assert step.adjustment in ("wait", "wait-longer"), "only time passes"
        else:
            assert step.adjustment in known[step.phase], step


def test_a_job_gets_the_adjustments_of_its_own_phase() -> None:
    assert adjustments_for("stage", ["refetch", "wait-for-lock", "wait"]) == ("refetch",)
    assert adjustments_for("start", ["refetch", "wait-longer-for-lock", "wait"]) == ("wait-longer-for-lock",)


def failure(evidence: str = "held by 4711", remedy: str = "wait-for-lock", transient: bool = True) -> Diagnosis:
    return Diagnosis("package-manager", "dpkg-lock-held", evidence, "lock held", transient, remedy)


def test_each_retry_adjusts_something_until_the_remedy_or_the_budget_is_used_up() -> None:
    first = choose_retry(failure(), (), (), 0, 5)
    assert first is not None
    assert first.adjustments == ("wait-for-lock",)
    past: tuple[tuple[str, str, str], ...] = (("dpkg-lock-held", "held by 4711", ""),)
    second = choose_retry(failure(), past, first.adjustments, 1, 5)
    assert second is not None
    assert second.added == "wait-longer-for-lock"
    past = (*past, ("dpkg-lock-held", "held by 4711", "wait-for-lock"))
    assert choose_retry(failure(), past, second.adjustments, 2, 5) is None
    past = (*past, ("dpkg-lock-held", "held by 4711", "wait-for-lock,wait-longer-for-lock"))
    assert choose_retry(failure(), past, second.adjustments, 3, 5) is None, "the same twice in a row stops"
    moved = choose_retry(failure("held by 99"), past, second.adjustments, 3, 5)
    assert moved is not None, "another holder proves that something changed"
    assert choose_retry(failure("held by 99"), past, second.adjustments, 5, 5) is None


@pytest.mark.parametrize(
    ("remedy", "transient", "before", "after"),
    [("dpkg-configure-a", True, (), ("dpkg-configure-a",)), ("rpm-remove-duplicates", False, (), ()),
     ("wait-for-lock", True, ("wait-for-lock",), ()), ("", True, (), ()), ("nobody-knows", True, (), ()),
     ("refetch", True, ("refetch", "deliver-from-controller"), ("refetch", "deliver-from-controller"))],
)  # fmt: skip
def test_a_host_that_is_taken_up_again_is_repaired_first(
    remedy: str, transient: bool, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    """Whatever limits.retries said: somebody has decided that it goes on."""
    found = Diagnosis("package-manager", "x", "evidence", "message", transient=transient, remedy=remedy)
    assert take_up(found, before) == after
    assert take_up(None, before) == ()


def test_what_is_not_transient_is_not_tried_again() -> None:
    assert choose_retry(failure(transient=False), (), (), 0, 5) is None


def test_a_transient_failure_without_remedy_is_tried_once_more_unchanged() -> None:
    again = choose_retry(failure(remedy=""), (), (), 0, 5)
    assert again is not None
    assert again.adjustments == ()
    assert choose_retry(failure(remedy=""), (("dpkg-lock-held", "held by 4711", ""),), (), 1, 5) is None


def silence(back: str = "taken back") -> Diagnosis:
    log = f"patchctl: fix-failed b/door nobody has logged in anew since; {back}"
    return diagnose("poll", None, {"log": log, "rc": 1}, SIGNATURES)


def test_a_fix_that_locks_out_is_not_tried_again() -> None:
    found = explain_silence(silence(), HostFailure("login-refused", "no key fits", "", "auth-failed"))
    assert (found.signature, found.transient) == ("fix-not-confirmed", False)
    assert "login-refused: no key fits" in found.message
    assert choose_retry(found, (), (), 0, 9) is None


def test_a_fix_that_nobody_tried_to_confirm_is_tried_once_more() -> None:
    found = explain_silence(silence(), None)
    assert found.transient and "patchctl was away" in found.message
    again = choose_retry(found, (), (), 0, 9)
    assert again is not None and not again.added
    assert choose_retry(found, ((found.signature, found.evidence, ""),), (), 1, 9) is None
    for back in ("could not be taken back as a whole: see /var/backups/patchctl/a.1/1",
                 "what its script changed is not known, so it was not taken back"):
        assert not explain_silence(silence(back), None).transient, back


def test_other_failures_are_left_as_they_are() -> None:
    found = failure()
    assert explain_silence(found, None) is found


def test_an_interruption_proposes_to_repair_dpkg() -> None:
    found = diagnose_interruption({"step": "install", "boot_id": "b2"})
    assert (found.transient, found.remedy) == (True, "dpkg-configure-a")


def check(target: str, ok: bool | None, detail: str = "") -> dict[str, object]:
    return {"kind": "unit", "target": target, "ok": ok, "detail": detail}


def test_only_what_was_well_before_is_held_against_the_update() -> None:
    before = [check("a", True), check("b", False), check("c", True), check("d", None), check("gone", True)]
    after = [check("a", True), check("b", False), check("c", False, "exited 1"), check("d", False), check("e", False)]
    assert find_regressions(before, after) == [
        "unit c: unhealthy (exited 1)", "unit gone: was not checked again",
    ]


def test_unknown_after_well_is_a_regression_and_without_a_before_everything_counts() -> None:
    assert find_regressions([check("a", True)], [check("a", None)]) == ["unit a: cannot be checked"]
    assert find_regressions(None, [check("a", False), check("b", True)]) == ["unit a: unhealthy"]
