"""discover over a whole /24 with thirty real hosts: all found with their keys, nothing excluded is touched."""

import json
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.lab


def patchctl(*args, cwd):
    return subprocess.run([sys.executable, "-m", "patchctl", *args], cwd=cwd, capture_output=True, text=True,
                          timeout=300)


def fingerprint_of(host):
    shown = host.exec("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
    return shown.split()[1]


def connections_to(host):
    """What sshd wrote about connections so far (the lab itself looks whether the port answers)."""
    return host.exec("journalctl -u ssh --no-pager -q | grep -c Connection || :")


def test_thirty_of_thirty_and_no_excluded_address(lab, tmp_path):
    hosts = lab.up(30)
    try:
        net = hosts[0].address.rsplit(".", 1)[0]
        known, left_alone = hosts[:5], hosts[5]
        (tmp_path / "inventories").mkdir()
        (tmp_path / "inventories" / "hosts.yaml").write_text(lab.inventory_yaml(known, user="ops"))
        (tmp_path / "patchctl.yaml").write_text(
            f"discovery:\n  allow: [{net}.0/24]\n  exclude: [{net}.200/29, {left_alone.address}]\n"
        )
        before = connections_to(left_alone)
        with socket.create_server((f"{net}.201", lab.port)) as bait:
            bait.settimeout(0)
            done = patchctl("discover", "--net", f"{net}.0/24", "--port", str(lab.port), "--rate", "50", "--no-names",
                            "-o", "json", "--out", "new.yaml", cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            with pytest.raises(BlockingIOError):
                bait.accept()
        found = {d["address"]: d for d in json.loads(done.stdout)["devices"]}
        expected = {h.address: h for h in hosts if h is not left_alone}
        assert found.keys() == expected.keys()
        for address, host in expected.items():
            assert found[address]["services"][0]["key_fingerprint"] == fingerprint_of(host)
            assert found[address]["state"] == ("managed" if host in known else "unmanaged")
        assert connections_to(left_alone) == before
        draft = (tmp_path / "new.yaml").read_text()
        assert all(f'"{h.address}"' in draft for h in hosts[6:])
        assert not any(f'"{h.address}"' in draft for h in hosts[:6])
        outside = patchctl("discover", "--net", "127.0.9.0/24", cwd=tmp_path)
        assert (outside.returncode, "not within the allowed" in outside.stderr) == (2, True)
    finally:
        lab.down(*hosts)


def test_check_sends_nothing(tmp_path):
    with socket.create_server(("127.0.0.77", 0)) as bait:
        bait.settimeout(0)
        port = bait.getsockname()[1]
        done = patchctl("discover", "--net", "127.0.0.77", "--port", str(port), "--check", "-o", "json", cwd=tmp_path)
        with pytest.raises(BlockingIOError):
            bait.accept()
    data = json.loads(done.stdout)
    assert (data["targets"], data["connections"], data["excluded"]) == (1, 1, 0)
    assert list(tmp_path.iterdir()) == []
