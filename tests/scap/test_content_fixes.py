"""`remediate --content-fixes` with the SCAP Security Guide's own scripts, on a host dressed as Debian 11."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.proof.project import Project
from tests.scap import content
from tests.scap.oracle import ScapLab

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(3600)]
PROFILE = "baselines/ssg.xml#xccdf_org.ssgproject.content_profile_anssi_np_nt28_average"
SUDO = "xccdf_org.ssgproject.content_rule_sudo_remove_nopasswd"


def test_scripts_of_the_security_guide_repair_and_do_not_lock_us_out(tmp_path: Path) -> None:
    with ScapLab.session() as lab:
        host = lab.dressed("debian11")
        project = Project(tmp_path / "p", lab, [host])
        (project.folder / "baselines").mkdir()
        shutil.copy(content.folder() / "ssg-debian11-ds-1.2.xml", project.folder / "baselines/ssg.xml")
        project.policy("policy: once\nrings: [{name: all}]\nlimits: {host_time: 40m, retries: 0}\n")
        untouched = project.run("remediate", "--baseline", PROFILE, "--yes").expect(0)
        assert "Nothing to repair" in untouched.out, untouched
        words = ("remediate", "--baseline", PROFILE, "--content-fixes", "--policy", "once", "--yes")
        done = project.run(*words, patience=1800)
        # One takes away how `ops` becomes root: then nobody can confirm, and the host takes it back.
        lab.wait(lambda: "NOPASSWD" in host.exec("grep -v '^#' /etc/sudoers.d/ops || true"), "sudo is put back", 400)
        project.run("rollout", "resume")
        entry, = project.status()["hosts"]
        became = {fix["rule"]: fix["is"] for fix in entry["fixes"]}
        assert len(became) >= 5, done
        assert became.pop(SUDO) == "FAIL", (entry, done)
        assert set(became.values()) >= {"PASS"}, (entry, done)
        assert entry["diagnosis"]["signature"] == "fix-not-confirmed", (entry, done)
        assert "taken back" in entry["diagnosis"]["message"], entry
        assert host.ssh("sudo -n true && echo root").strip() == "root"
        host.exec("sshd -t; visudo -cq")
