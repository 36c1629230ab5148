"""All data streams of the SCAP Security Guide: every rule of every profile compiles, and what does not is named."""

from __future__ import annotations

import os
import pickle
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from patchctl.assess.content.registry import kind_of
from patchctl.assess.content.xccdf import KIND
from patchctl.assess.content.xccdf.baseline import XccdfBaseline
from patchctl.assess.contract import Request
from patchctl.model.evidence import Snapshot
from tests.scap import content

PAGE = Path(__file__).parents[2] / "docs/explanation/how-scap-is-evaluated.md"
TAILORING = """<Tailoring xmlns="http://checklists.nist.gov/xccdf/1.2" id="xccdf_t_tailoring_all">
<Profile id="xccdf_t_profile_all"><title>every rule</title>{selects}</Profile></Tailoring>"""


@pytest.fixture(autouse=True, scope="module")
def the_content() -> None:
    if reason := content.why_no_content():
        pytest.skip(f"SCAP content left out: {reason}")
    content.folder()


NAMES = (
    "alinux2", "alinux3", "anolis8", "centos7", "centos8", "chromium", "cs9", "debian10", "debian11", "eks", "fedora",
    "firefox", "macos1015", "ocp4", "ol7", "ol8", "ol9", "opensuse", "rhcos4", "rhel7", "rhel8", "rhel9", "rhv4",
    "sl7", "sle12", "sle15", "ubuntu1604", "ubuntu1804", "ubuntu2004", "ubuntu2204", "uos20",
)


def everything(name: str) -> XccdfBaseline:
    """Return a baseline of all rules of a stream: what every profile of it could ever select."""
    data = content.stream(name)
    rules = re.findall(rb'<xccdf-1.2:(?:Rule|Group)[^>]* id="([^"]+)"', data)
    selects = "".join(f'<select idref="{r.decode()}" selected="true"/>' for r in rules)
    request = Request(name, tailoring=TAILORING.format(selects=selects).encode())
    found = KIND.compile(data, name, request)
    assert isinstance(found, XccdfBaseline)
    return found


def test_that_all_streams_are_here() -> None:
    assert set(content.streams()) <= set(NAMES)
    assert len(content.streams()) >= 31


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_that_every_rule_compiles_or_names_what_is_missing(name: str) -> None:
    if name not in content.streams():
        pytest.skip(f"{name} is not in this version of the guide")
    baseline = everything(name)
    assert baseline.rules
    probes = baseline.probes()
    assert len(probes) <= 12, "a few batches, whatever the number of rules"
    documented = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)
    limits = {limit for rule in baseline.rules for limit in rule.limits}
    unnamed = {one for one in limits if not any(one.startswith(d) for d in documented)}
    assert not unnamed
    for rule in baseline.rules:
        assert rule.limits or rule.id in baseline.checks


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_that_every_profile_compiles(name: str) -> None:
    if name not in content.streams():
        pytest.skip(f"{name} is not in this version of the guide")
    data = content.stream(name)
    for profile in KIND.profiles(data, name):
        baseline = KIND.compile(data, name, Request(name, profile.id))
        assert len(baseline.rules) == profile.rules
        assert pickle.loads(pickle.dumps(baseline)).digest == baseline.digest


def test_that_a_stream_is_recognised_and_its_profiles_are_listed() -> None:
    data = content.stream("debian11")
    assert kind_of("ssg-debian11-ds-1.2.xml", data) is KIND
    found: Mapping[str, int] = {p.id.rpartition("_profile_")[2]: p.rules for p in KIND.profiles(data, "debian11")}
    assert found["standard"] == 44
    assert found["anssi_np_nt28_high"] == 50


def test_that_nothing_collected_is_nothing_judged() -> None:
    baseline = KIND.compile(content.stream("ubuntu2204"), "u", Request("u", "cis_level2_workstation"))
    findings = baseline.evaluate(Snapshot("h", time.time()))
    assert {f.verdict for f in findings} <= {"UNKNOWN", "NOT_CHECKED"}
    assert all(f.reason for f in findings)
    assert not baseline.follow_up(Snapshot("h", time.time()))


def test_that_values_of_the_profile_are_bound_and_can_be_replaced() -> None:
    data = content.stream("ubuntu2204")
    plain = KIND.compile(data, "u", Request("u", "cis_level2_server"))
    other = KIND.compile(data, "u", Request("u", "cis_level2_server", parameters={"var_password_pam_minlen": "20"}))
    assert isinstance(plain, XccdfBaseline)
    assert isinstance(other, XccdfBaseline)
    variable = "oval:ssg-var_password_pam_minlen:var:1"
    assert [d.bindings[variable] for d in plain.documents.values() if variable in d.bindings] == [("14",)]
    assert [d.bindings[variable] for d in other.documents.values() if variable in d.bindings] == [("20",)]
    assert plain.digest != other.digest


@pytest.mark.skipif("PATCHCTL_SOAK" not in os.environ, reason="needs minutes: make soak")
def test_that_explanations_can_be_given_for_every_rule() -> None:
    baseline = everything("rhel9")
    for rule in baseline.rules:
        assert baseline.explain(rule.id)
