"""What an inventory may name and what can be reached are told apart."""

from pathlib import Path

from patchctl.connect.registry import transport_names
from patchctl.documents.inventories import load_inventory
from patchctl.documents.inventory_schema import TRANSPORTS, TRANSPORTS_TO_COME
from patchctl.documents.source import Findings
from patchctl.usecases.crosschecks import check_inventory


def test_the_words_of_inventories_are_the_transports_there_are():
    assert set(TRANSPORTS) - set(TRANSPORTS_TO_COME) == set(transport_names())


def test_hosts_that_nothing_reaches_yet_are_noted_once_per_transport(tmp_path: Path):
    path = tmp_path / "hosts.yaml"
    path.write_text('groups:\n  win:\n    connection: winrm\n    hosts: ["win[1:3]"]\n')
    findings = Findings()
    check_inventory(load_inventory([path]), 0.0, findings)
    (note,) = findings.notes
    assert (note.code, note.line) == ("without-effect", 3)
    assert "3 here" in note.message
