"""What the plan expects about reboots is what then happens, on a real host."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.proof.project import Project

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

POLICY = """
policy: chosen
approve: [{package: "hostname", hosts: all}, {package: "PACKAGE"}]
rings: [{name: all}]
refresh: never
reboot: if_required
"""


@pytest.mark.parametrize(("package", "reason"), [("tcsh", ""), ("liblzma5", "in use by"), ("libexpat1", "in use by")])
def test_the_reboot_that_is_expected_is_the_reboot_that_happens(
    fleet: Callable[[int], Project], package: str, reason: str
) -> None:
    project = fleet(1)
    host = project.hosts[0]
    project.policy(POLICY.replace("PACKAGE", package))
    before = host.boot_id()
    plan = project.run("plan", "--policy", "chosen", "-o", "json").expect(0).json()
    expected = plan["hosts"][0]["reboot"]
    assert plan["summary"]["changes"] == 2
    assert expected["expected"] is bool(reason)
    assert reason in expected["reason"]
    project.run("apply", "--policy", "chosen", "--yes").expect(0)
    after = project.run("rollout", "status", "-o", "json").expect(0).json()["hosts"][0]["reboot"]
    assert (host.boot_id() != before, after["done"] > 0) == (bool(reason), bool(reason))
    assert after["required"] is False
