"""What an inventory may name can be reached, and settings that cannot work over WinRM are noted."""

from pathlib import Path

from patchctl.connect.registry import transport_names
from patchctl.documents.inventories import load_inventory
from patchctl.documents.inventory_schema import TRANSPORTS
from patchctl.documents.source import Findings
from patchctl.usecases.crosschecks import check_inventory


def notes_of(path: Path, text: str) -> list[tuple[str, int, str]]:
    path.write_text(text)
    findings = Findings()
    check_inventory(load_inventory([path]), 0.0, findings)
    return [(note.code, note.line, note.message) for note in findings.notes]


def test_the_words_of_inventories_are_the_transports_there_are():
    assert set(TRANSPORTS) == set(transport_names())


def test_settings_that_cannot_work_are_noted_once_per_place(tmp_path: Path):
    ((code, line, message),) = notes_of(
        tmp_path / "hosts.yaml", 'groups:\n  win:\n    connection: winrm\n    hosts: ["win[1:3]"]\n')
    assert (code, line) == ("winrm-login", 3)
    assert "win1: ntlm needs user: and password:" in message
    assert "2 more" in message


def test_a_jump_host_of_the_site_is_noted_where_it_is_set_and_none_overrules_it(tmp_path: Path):
    site = "sites:\n  ams:\n    jump: bastion\ngroups:\n  win:\n    site: ams\n    hosts: [win1]\n"
    login = '    user: adm\n    password: "env:P"\n    connection: winrm\n'
    ((code, line, _),) = notes_of(tmp_path / "a.yaml", site + login)
    assert (code, line) == ("winrm-jump", 3)
    assert notes_of(tmp_path / "b.yaml", site + login + "    jump: none\n") == []


def test_certificates_that_are_not_to_be_checked_are_refused_by_name(tmp_path: Path):
    found = notes_of(tmp_path / "hosts", (
        "w1 ansible_connection=winrm ansible_user=a ansible_password='{{ p }}' p=x "
        "ansible_winrm_server_cert_validation=ignore\n"))
    (message,) = [message for code, _, message in found if code == "winrm-ignored"]
    assert "ansible_winrm_server_cert_validation: 'ignore' is refused" in message
    assert "winrm: {ca: FILE}" in message
