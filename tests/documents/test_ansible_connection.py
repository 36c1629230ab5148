"""Ansible's connection variables: what each becomes, templates of plain names, ssh arguments, secrets by reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from patchctl.documents.ansible_connection import parse_ssh_arguments
from patchctl.documents.connection import SettingError
from patchctl.documents.inventories import load_inventory
from patchctl.model.hosts import Host, SecretRef

VAULTED = "!vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3336\n"


def load_host(tmp_path: Path, hosts: str, name: str = "web1", **files: str) -> Host:
    (tmp_path / "hosts").write_text(hosts)
    for file, text in files.items():
        path = tmp_path / file.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_inventory([tmp_path / "hosts"], tmp_path).hosts[name]


def test_variables_become_settings(tmp_path: Path) -> None:
    c = load_host(tmp_path, (
        "web1 ansible_host=192.0.2.1 ansible_port=2222 ansible_user=ops ansible_ssh_private_key_file=~/k "
        "ansible_become_method=ansible.builtin.su ansible_become_user=adm ansible_timeout=30 "
        "ansible_connection=paramiko\n"
    )).connection
    assert (c.address, c.port, c.user, c.keys, c.transport) == ("192.0.2.1", 2222, "ops", ("~/k",), "ssh")
    assert (c.become.method, c.become.user, c.timeouts.connect) == ("su", "adm", 30.0)


@pytest.mark.parametrize(("variable", "method"), [("no", "none"), ("False", "none"), ("yes", "sudo"), ("true", "sudo")])
def test_become_switches_escalation_off_and_on(tmp_path: Path, variable: str, method: str) -> None:
    assert load_host(tmp_path, f"web1 ansible_become={variable}\n").connection.become.method == method


def test_the_usual_vault_pattern_is_a_reference_and_nothing_is_decrypted(tmp_path: Path) -> None:
    host = load_host(
        tmp_path, "[web]\nweb1\n[all:vars]\nansible_become_password={{ vault_become }}\n",
        group_vars__all__vars=f"vault_become: {VAULTED}",
    )
    password = host.connection.become.password
    assert password is not None
    assert (password.scheme, password.value) == ("vault", "$ANSIBLE_VAULT;1.1;AES256\n3336\n")
    assert password.origin == "hosts:4:1"
    assert host.variables["ansible_become_password"] == "{{ vault_become }}"
    assert isinstance(host.variables["vault_become"], SecretRef)


def test_a_file_vaulted_as_a_whole_is_referred_to_by_name(tmp_path: Path) -> None:
    host = load_host(
        tmp_path, "[web]\nweb1 ansible_password='{{vault_pw}}'\n",
        group_vars__web__vault="$ANSIBLE_VAULT;1.1;AES256\n3336\n",
    )
    assert host.connection.password == SecretRef(
        "vault-file", f"{tmp_path}/group_vars/web/vault#vault_pw", "hosts:2:1")
    assert any("encrypted as a whole" in text for text in host.ignored)


def test_plain_secrets_leave_the_variables(tmp_path: Path) -> None:
    host = load_host(tmp_path, "web1 ansible_ssh_pass=hunter2 ansible_become_pass='{{ pw }}' pw=hunter3\n")
    assert host.connection.password == SecretRef("plain", "hunter2", "hosts:1:1")
    assert host.connection.become.password == SecretRef("plain", "hunter3", "hosts:1:1")
    assert "hunter" not in repr(host)


@pytest.mark.parametrize(("template", "address"), [
    ("{{ inventory_hostname }}", "web1"),
    ("{{inventory_hostname}}.mgmt.example.com", "web1.mgmt.example.com"),
    ("{{ inventory_hostname_short }}", "web1"),
    ("{{ addr }}", "192.0.2.8"),
    ("{{ indirect }}", "192.0.2.8"),
    ("{{ missing | default('192.0.2.9') }}", "192.0.2.9"),
    ("{{ missing|default(addr2) }}", None),
    ("{{ missing }}", None),
    ("{{ addr | upper }}", None),
    ("{{ lookup('env', 'HOME') }}", None),
    ("{{ hostvars['x'].y }}", None),
    ("{% if 1 %}a{% endif %}", None),
    ("{{ loop_a }}", None),
])
def test_only_plain_templates_are_resolved(tmp_path: Path, template: str, address: str | None) -> None:
    host = load_host(tmp_path, "[web]\nweb1\n", group_vars__web=(
        f'ansible_host: "{template}"\naddr: 192.0.2.8\nindirect: "{{{{ addr }}}}"\n'
        'loop_a: "{{ loop_b }}"\nloop_b: "{{ loop_a }}"\nopaque: "{{ anything | goes }}"\n'))
    assert host.connection.address == (address or "")
    assert any(text.startswith("ansible_host:") for text in host.ignored) == (address is None)
    assert host.variables["opaque"] == "{{ anything | goes }}"
    assert any(text.startswith("opaque: the template is kept as text") for text in host.ignored)


def test_a_template_with_the_host_name_is_not_shared_between_hosts(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("[web]\nweb[1:3]\n[web:vars]\nansible_host={{ inventory_hostname }}.x\n")
    hosts = load_inventory([tmp_path / "hosts"]).hosts.values()
    assert [host.connection.address for host in hosts] == ["web1.x", "web2.x", "web3.x"]


@pytest.mark.parametrize(("text", "settings"), [
    ("-o ProxyJump=a,b", {"jump": ("a", "b")}),
    ("-J ops@a:2222", {"jump": ("ops@a:2222",)}),
    ("-o ProxyCommand='ssh -W %h:%p -q bastion'", {"jump": ("bastion",)}),
    ("-o ProxyCommand='ssh -q -p 2200 -l ops -W %h:%p bastion'", {"jump": ("ops@bastion:2200",)}),
    ("-oProxyCommand='nc -x p:1 %h %p'", {"ssh_options.proxycommand": "nc -x p:1 %h %p"}),
    ("-o ProxyCommand='ssh -i k -W %h:%p b'", {"ssh_options.proxycommand": "ssh -i k -W %h:%p b"}),
    ("-o StrictHostKeyChecking=no -C -4", {
        "ssh_options.stricthostkeychecking": "no", "ssh_options.compression": "yes",
        "ssh_options.addressfamily": "inet"}),
    ("-o ControlMaster=auto -o ControlPersist=60s -q", {}),
    ("-i a -i b -p 22 -l me", {"keys": ("a", "b"), "port": 22, "user": "me"}),
    ("-o A=1 -o a=2", {"ssh_options.a": "1"}),
    ("", {}),
])
def test_ssh_arguments_become_settings(text: str, settings: dict[str, Any]) -> None:
    assert parse_ssh_arguments(text) == settings


@pytest.mark.parametrize("text", ["-Z", "-F x", "host", "-o", "'x", "-p abc"])
def test_ssh_arguments_that_are_not_understood_are_refused_as_a_whole(text: str) -> None:
    with pytest.raises(SettingError):
        parse_ssh_arguments(f"-C {text}")


def test_ssh_arguments_yield_to_stronger_levels(tmp_path: Path) -> None:
    host = load_host(tmp_path, (
        "[web]\nweb1 ansible_port=7\n[web:vars]\nansible_ssh_common_args='-p 9 -J gate'\nansible_port=8\n"))
    assert (host.connection.port, host.connection.jump) == (7, ("gate",))


def test_winrm_variables_are_settings_of_winrm_hosts_only(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(
        "[all:vars]\nansible_user=general\nansible_winrm_user=adm\nansible_winrm_password=geheim\n"
        "ansible_winrm_transport=basic\nansible_winrm_scheme=https\nansible_winrm_ca_trust_path=/ca.pem\n"
        "ansible_winrm_cert_pem=/c.pem\nansible_winrm_cert_key_pem=/c.key\n"
        "ansible_winrm_kerberos_delegation=yes\nansible_winrm_kerberos_hostname_override=w.example.com\n"
        "[x]\nw1 ansible_connection=winrm ansible_winrm_port=15986\nl1\n"
        "w2 ansible_connection=winrm ansible_winrm_transport=plaintext\n")
    hosts = load_inventory([tmp_path / "hosts"]).hosts
    w1, l1 = hosts["w1"].connection, hosts["l1"].connection
    assert (w1.transport, w1.user, w1.port) == ("winrm", "adm", 15986)
    assert w1.password is not None
    assert w1.password.value == "geheim"
    assert dict(w1.winrm) == {
        "auth": "basic", "scheme": "https", "ca": "/ca.pem", "certificate": "/c.pem", "key": "/c.key",
        "delegation": "True", "kerberos_host": "w.example.com"}
    assert (l1.user, l1.password, l1.winrm) == ("general", None, {})
    assert "geheim" not in repr(hosts["w1"].variables)
    assert "auth" not in hosts["w2"].connection.winrm
    assert any("'plaintext' is not one of" in text for text in hosts["w2"].ignored)


def test_psrp_hosts_are_winrm_hosts_with_that_client(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(
        "[x]\nw1 ansible_connection=psrp ansible_psrp_auth=credssp ansible_psrp_protocol=http ansible_psrp_user=adm\n"
        "w2 ansible_connection=ansible.builtin.psrp ansible_psrp_cert_validation=ignore ansible_psrp_auth=negotiate\n"
        "w3 ansible_connection=winrm\n")
    hosts = load_inventory([tmp_path / "hosts"]).hosts
    assert dict(hosts["w1"].connection.winrm) == {"client": "psrp", "auth": "credssp", "scheme": "http"}
    assert (hosts["w1"].connection.transport, hosts["w1"].connection.user) == ("winrm", "adm")
    assert dict(hosts["w2"].connection.winrm) == {"client": "psrp"}
    assert any("'ignore' is refused" in text for text in hosts["w2"].ignored)
    assert any("'negotiate' is not one of" in text for text in hosts["w2"].ignored)
    assert dict(hosts["w3"].connection.winrm) == {}


@pytest.mark.parametrize("written", [
    "ansible_host=", "ansible_host=\"{{ nothing | default('') }}\"", "ansible_connection=", "ansible_become=maybe"])
def test_a_host_whose_whereabouts_are_empty_is_not_looked_for_under_its_name(tmp_path: Path, written: str) -> None:
    (tmp_path / "hosts").write_text(f"[db]\ndb1 {written}\n")
    host = load_inventory((tmp_path / "hosts",)).hosts["db1"]
    assert host.unresolved.startswith(written.partition("=")[0]), host
