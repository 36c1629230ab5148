"""Every platform that is found keeps the contract, with the cases captured for it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import get_args

import pytest
from msgspec.structs import fields, replace

from patchctl.collect.powershell import compile_powershell
from patchctl.collect.script import compile_script
from patchctl.model.codec import to_json
from patchctl.model.errors import HostFailure, UsageError
from patchctl.model.evidence import NOT_APPLICABLE, OK, UNKNOWN, Evidence, Snapshot
from patchctl.model.facts import Artefact, HostFacts
from patchctl.model.plan import Change
from patchctl.platforms import read_facts
from patchctl.platforms.contract import InstallRequest, Platform
from patchctl.platforms.registry import all_platforms, platform_for, platform_named
from tests.platforms.cases import Case, load_cases

PLATFORMS = [pytest.param(p, id=p.name) for p in all_platforms()]
CASES = [pytest.param(case, id=f"{case.platform}-{case.name}") for case in load_cases()]
NONCE = "0123456789abcdef"
NULLABLE = [f.name for f in fields(HostFacts) if type(None) in get_args(f.type)]
CHANGE = Change("demo-tool", "noarch", "1.0-1", "2.0-1")
ARTEFACT = Artefact("demo-tool", "2.0-1", "noarch", "a" * 64, 1000, "demo-tool_2.0-1_all.deb", "http://127.0.0.1/x.deb")
REQUEST = InstallRequest((CHANGE,), (ARTEFACT,), (), "/var/lib/patchctl/runs/x")


def test_the_platforms_are_found_and_named() -> None:
    assert {p.name for p in all_platforms()} >= {"apk", "apt", "dnf", "pacman", "windows", "zypper"}
    assert platform_named("apt").name == "apt"
    with pytest.raises(UsageError, match="no platform 'portage'"):
        platform_named("portage")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_platform_has_a_good_and_a_bad_case(platform: Platform) -> None:
    cases = list(load_cases(platform.name))
    facts = [read_facts(case.snapshot) for case in cases]
    assert any(f.updates is not None for f in facts)
    assert any(f.updates is None for f in facts)


@pytest.mark.parametrize("case", CASES)
def test_a_case_reads_as_expected(case: Case) -> None:
    platform = platform_for(case.snapshot)
    assert platform is not None
    assert platform.name == case.platform
    facts = read_facts(case.snapshot)
    whole = json.loads(to_json(facts))
    found = {name: whole[name] for name in case.expect if name not in ("packages", "artefacts")}
    if "packages" in case.expect:
        found["packages"] = None if facts.packages is None else len(facts.packages)
    if "artefacts" in case.expect:
        found["artefacts"] = len(facts.artefacts)
    assert found == case.expect
    updates = {u.package: [u.installed, u.candidate, u.security, u.state, u.reason] for u in facts.updates or ()}
    assert updates == case.updates


@pytest.mark.parametrize("case", CASES)
def test_what_is_missing_is_unknown_with_a_reason(case: Case) -> None:
    """Take away one probe after the other, and all: no fact may turn from known into a guess without a reason."""
    full = read_facts(case.snapshot)
    for missing in [*case.snapshot.evidence, ""]:
        names = [missing] if missing else list(case.snapshot.evidence)
        gone = {n: Evidence(n, UNKNOWN, reason="cut off here") for n in names}
        facts = read_facts(replace(case.snapshot, evidence={**case.snapshot.evidence, **gone}))
        for name in NULLABLE:
            if getattr(facts, name) is None:
                assert facts.why_unknown(name), (missing, name)
            else:
                assert getattr(full, name) is not None, f"{name} became known by losing {missing}"
    nothing = read_facts(Snapshot("h", 0.0, failure=HostFailure("timeout", "no answer for 15 s", status="timeout")))
    assert nothing.updates is None
    assert nothing.packages is None
    assert nothing.reboot.required is None
    assert nothing.why_unknown("updates") == "no answer for 15 s"


@pytest.mark.parametrize("case", CASES)
def test_hostile_text_stays_text(case: Case) -> None:
    """Control characters in any evidence reach no fact that a terminal would show."""
    evil = {
        name: replace(e, output=e.output.replace("a", "a\x1b[31m\u202e")) for name, e in case.snapshot.evidence.items()
    }
    facts = read_facts(replace(case.snapshot, evidence=evil))
    for name in ("kernel", "held", "broken", "restarts", "failed_units", "other_updaters", "reboot"):
        assert "\x1b" not in repr(getattr(facts, name)).replace("\\x1b", "\x1b"), name


@pytest.mark.parametrize("refresh", ["auto", "never", "always"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_probes_are_well_formed(platform: Platform, refresh: str) -> None:
    probes = platform.probes(refresh)
    assert len({p.id for p in probes}) == len(probes)
    for probe in probes:
        assert re.fullmatch(r"[a-z0-9._-]+", probe.id)
        assert probe.id.startswith((f"{platform.name}.", "linux."))
        assert 0 < probe.timeout <= 600
    extra = [
        *probes, platform.resolve_probe([CHANGE]), platform.fingerprint_probe(["demo-tool"]),
    ]
    script = (compile_powershell if platform.shell == "powershell" else compile_script)(extra, NONCE)
    if platform.shell == "sh":
        _check_syntax(script)
        for probe in extra:
            _check_syntax(probe.command)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_texts_are_valid_and_quote_what_comes_from_outside(platform: Platform) -> None:
    evil = "x'; touch /tmp/owned; '$(id)`id`"
    change = Change(evil, "all", "1", f"2{evil}")
    artefact = replace(ARTEFACT, package=evil, version=f"2{evil}", filename="x.deb", uri=f"http://127.0.0.1/{evil}")
    request = InstallRequest((change,), (artefact,), (evil,), f"/var/lib/{evil}")
    if platform.shell == "powershell":
        quoted = "x''; touch /tmp/owned; ''$(id)`id`"
        for text in (platform.resolve_probe([change]).command, platform.fingerprint_probe([evil]).command):
            assert quoted in text
        with pytest.raises(UsageError, match="batch file"):  # nothing is quoted there: what is no plain word is refused
            platform.install_script(request)
        return
    texts = [
        platform.download_script([artefact], f"/var/lib/{evil}"), platform.install_script(request),
        platform.resolve_probe([change]).command, platform.fingerprint_probe([evil]).command,
        platform.install_script(REQUEST), platform.download_script([ARTEFACT], "/var/lib/x"),
    ]
    if platform.shell == "sh":
        for text in texts:
            _check_syntax(text)
            found = subprocess.run(
                ["sh", "-c", f"set -n\n{text}"], capture_output=True, text=True, timeout=20
            )
            assert found.returncode == 0, found.stderr
            assert "'; touch /tmp/owned; '" not in text.replace("'\"'\"'", "")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_signatures_are_usable(platform: Platform) -> None:
    assert platform.signatures
    for signature in platform.signatures:
        pattern = re.compile(signature.pattern)
        names = set(re.findall(r"\{(\w+)\}", signature.message))
        assert names <= set(pattern.groupindex), signature.name
        assert signature.cls in {"access", "package-manager", "repository", "disk", "policy", "patch", "reboot"}
        assert re.fullmatch(r"[a-z0-9-]+", signature.name)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_resolution_that_failed_is_unknown(platform: Platform) -> None:
    found = platform.read_resolution("@@ upgrade\nE: Version '2' for 'x' was not found\nrc 100\n")
    assert found.updates is None
    assert found.why_unknown("updates")


def test_a_guard_keeps_other_platforms_silent() -> None:
    """The probes of all platforms that speak sh go into one script: those that do not apply say so."""
    dnf = {p.id for p in platform_named("dnf").probes("never")} - {p.id for p in platform_named("apt").probes("never")}
    case = next(load_cases("apt"))
    evidence = {name: Evidence(name, NOT_APPLICABLE, reason="does not apply to this host") for name in dnf}
    snapshot = replace(case.snapshot, evidence={**case.snapshot.evidence, **evidence})
    assert read_facts(snapshot) == read_facts(case.snapshot)
    assert {e.status for e in case.snapshot.evidence.values()} <= {OK, NOT_APPLICABLE, UNKNOWN}


def _check_syntax(text: str) -> None:
    shells = [["dash", "-n"], ["bash", "--posix", "-n"], ["busybox", "ash", "-n"]]
    for argv in shells:
        if shutil.which(argv[0]):
            found = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=20)
            assert found.returncode == 0, (argv, found.stderr)


@pytest.mark.parametrize("case", CASES)
def test_what_is_pending_is_read_from_the_probes_marked_so(case: Case) -> None:
    """`updates` asks these only: it must come to the same list, and to the same reason when there is none."""
    platform = platform_for(case.snapshot)
    assert platform is not None
    if hasattr(platform, "pending_probes"):
        pytest.skip("asks in a way of its own: see the platform's own tests")
    wanted = {probe.id for probe in platform.probes("auto") if probe.pending}
    evidence = {name: found for name, found in case.snapshot.evidence.items() if name in wanted}
    assert len(evidence) < len(case.snapshot.evidence)
    some, whole = read_facts(replace(case.snapshot, evidence=evidence)), read_facts(case.snapshot)
    assert (some.updates, some.metadata_age, some.os) == (whole.updates, whole.metadata_age, whole.os)
    assert some.why_unknown("updates") == whole.why_unknown("updates")
