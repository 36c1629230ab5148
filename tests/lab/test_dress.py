"""The lab's dressed hosts are what the tests take them for: another system by its looks, with real, signed packages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import Lab, LabError, LabHost
from tests.lab.dress import get_dress
from tests.lab.dresses import alma

pytestmark = pytest.mark.lab

PENDING = {  # name.arch -> version, as dnf itself writes it
    f"kernel-core.{alma.ARCH}": "5.14.0-503.11.1.el9_5", "lab-config.noarch": "2.0-1.el9",
    "lab-dependency.noarch": "2.0-1.el9", "lab-epoch.noarch": "2:2.0-1.el9", f"lab-native.{alma.ARCH}": "2.0-3.el9",
    "lab-plain.noarch": "2.0-1.el9", "lab-service.noarch": "2.0-1.el9",
}


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[LabHost]:
    [host] = lab.up(dress="alma")
    yield host
    lab.down(host)


def check_update(host: LabHost) -> dict[str, str]:
    lines = host.exec("dnf -q check-update", check=False).splitlines()
    return {words[0]: words[1] for words in map(str.split, lines) if len(words) == 3}


def test_it_looks_like_another_system_and_dnf_knows_what_is_pending(host: LabHost) -> None:
    assert "ID=\"almalinux\"" in host.ssh("cat /etc/os-release")
    assert host.exec("command -v apt-get dpkg-query", check=False) == ""
    assert host.exec("rpm -E %_dbpath") == "/var/lib/rpm\n"
    assert check_update(host) == PENDING
    assert "CVE-2026-10004 Important/Sec. kernel-core" in host.exec("dnf -q -C updateinfo list --with-cve")


def test_signatures_of_packages_are_verified_for_real(host: LabHost) -> None:
    for name in ("lab-unsigned", "lab-badkey"):
        host.fault("offer", name)
        said = host.exec(f"dnf -y upgrade {name} 2>&1; rpm -q {name}", check=False)
        assert "GPG check FAILED" in said or "is not signed" in said, said
        assert f"{name}-1.0-1.el9.noarch" in said.splitlines()
        host.clear()
    assert check_update(host) == PENDING


def test_signatures_of_metadata_are_verified_for_real(lab: Lab, host: LabHost) -> None:
    name = "lab-slow"
    host.fault("offer", name)
    signature = lab.wardrobe("alma").served(lab) / name / "repodata/repomd.xml.asc"
    good = signature.read_text()
    signature.write_text((lab.wardrobe("alma").served(lab) / "plain/repodata/repomd.xml.asc").read_text())
    try:
        with pytest.raises(LabError, match="signature"):
            host.exec("dnf -y --refresh check-update")
    finally:
        signature.write_text(good)
        host.clear()


def test_a_dress_that_is_not_there_is_named() -> None:
    with pytest.raises(LabError, match=r"no dress 'toga'; there are: .*alma"):
        get_dress("toga")


@pytest.mark.parametrize(("name", "said"), [
    ("lock", "packagekitd"), ("repo-down", "Couldn't connect to server"), ("disk-full", "100%"),
    ("versionlock", "0"), ("exclude", "0"), ("veto", "no"), ("edit-config", "S.5"), ("rpmdb-broken", "error"),
])
def test_a_fault_is_visible_and_clear_ends_it(host: LabHost, name: str, said: str) -> None:
    look = {
        "lock": "cat /proc/$(cat /var/lib/dnf/rpmdb_lock.pid)/comm", "repo-down": "dnf --refresh check-update",
        "disk-full": "df --output=pcent /var", "veto": "cat /etc/patchctl/hold",
        "versionlock": "dnf -q check-update | grep -c lab-service", "edit-config": "rpm -V lab-config",
        "exclude": "dnf -q check-update | grep -c lab-service", "rpmdb-broken": "rpm -q lab-service",
    }
    host.fault(name, *(["lab-service"] if name in ("versionlock", "exclude") else []))
    try:
        assert said in host.exec(f"{look[name]} 2>&1", check=False)
    finally:
        host.clear()
    assert check_update(host) == PENDING
