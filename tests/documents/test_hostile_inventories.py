"""Inventories that would lose hosts, mistake one machine for another or smuggle options in: told, never swallowed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from patchctl.connect.connections import Connections
from patchctl.documents.inventories import load_inventory
from patchctl.documents.source import Findings
from patchctl.model.errors import DocumentsError, UsageError
from patchctl.model.hosts import Inventory
from patchctl.usecases.crosschecks import check_inventory

BAD_NAMES = ("-oProxyCommand=x", "$(id)", "../x", "h\x1b[31m", "wеb01", "a b", "`x`", "web\u200b01")
NOW = 1_795_000_000.0


def codes(folder: Path) -> list[str]:
    with pytest.raises(DocumentsError) as caught:
        load_inventory([folder], folder)
    return [problem.code for problem in caught.value.problems]


def notes(inventory: Inventory) -> tuple[list[str], list[str]]:
    findings = Findings()
    check_inventory(inventory, NOW, findings)
    return [p.code for p in findings.problems], [p.code for p in findings.notes]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_are_checked_in_every_kind_of_inventory(tmp_path: Path, name: str) -> None:
    written = json.dumps({"web": {"hosts": ["good", name]}, "_meta": {"hostvars": {}}}, ensure_ascii=False)
    script = f"#!/bin/sh\ncat <<'EOF'\n{written}\nEOF\n"
    yaml = json.dumps({"web": {"hosts": {"good": None, name: None}}}, ensure_ascii=False)
    for kind, text in (("hosts", f"[web]\ngood\n'{name}'\n"), ("hosts.yml", yaml), ("dynamic", script)):
        folder = tmp_path / kind.replace(".", "_")
        folder.mkdir()
        (folder / kind).write_text(text)
        (folder / kind).chmod(0o755 if kind == "dynamic" else 0o644)
        assert codes(folder) == ["invalid-name"], kind


def test_an_ipv6_address_is_a_name_for_ansible(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("[2001:db8::1]:2222\nfe80::1%eth0\n")
    assert list(load_inventory([tmp_path / "hosts"]).hosts) == ["2001:db8::1", "fe80::1%eth0"]


@pytest.mark.parametrize(("setting", "code"), [
    ("address: '-oProxyCommand=x'", "invalid-address"), ("address: '`x`'", "invalid-address"),
    ("address: 'a b'", "invalid-address"), ("address: 'wеb01'", "invalid-address"),
    ("user: '-oProxyCommand=x'", "invalid-user"), ('user: "a\\nb"', "invalid-user"),
])
def test_addresses_and_users_are_checked(tmp_path: Path, setting: str, code: str) -> None:
    (tmp_path / "i.yaml").write_text(f"hosts: {{a: {{{setting}}}}}\n")
    assert codes(tmp_path) == [code]


@pytest.mark.parametrize("setting", ["address: 2001:db8::7", "address: 'fe80::1%eth0'", "address: web1.example.com.",
                                     "user: 'CORP\\ops'", "user: ops@EXAMPLE.COM", "user: 'Patch Service'"])
def test_what_is_used_in_practice_is_accepted(tmp_path: Path, setting: str) -> None:
    (tmp_path / "i.yaml").write_text(f"hosts: {{a: {{{setting}}}}}\n")
    load_inventory([tmp_path], tmp_path)


def test_what_a_folder_holds_is_never_passed_over(tmp_path: Path) -> None:
    (tmp_path / "hosts.yaml").write_text("hosts: [a]\n")
    (tmp_path / "more.yaml").symlink_to("unmounted/more.yaml")
    (tmp_path / "ring.yaml").symlink_to("ring.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / ".#hosts.yaml").symlink_to("admin@desk.4711")  # what Emacs leaves while a file is edited
    with pytest.raises(DocumentsError) as caught:
        load_inventory([tmp_path], tmp_path)
    assert [(p.file, p.code) for p in caught.value.problems] == [
        ("more.yaml", "unreadable-file"), ("pipe.yaml", "unreadable-file"), ("ring.yaml", "unreadable-file")]


@pytest.mark.parametrize("variable", ["ansible_host='{{ missing }}'", "ansible_port=99999", "ansible_port=22:22",
                                      "ansible_user='{{ a | b }}'", "ansible_connection='{{ c }}'",
                                      "ansible_become='{{ d }}'"])
def test_a_host_is_not_visited_somewhere_else(tmp_path: Path, variable: str) -> None:
    (tmp_path / "hosts").write_text(f"h1 {variable}\nh2 ansible_host=192.0.2.2\n")
    inventory = load_inventory([tmp_path / "hosts"])
    assert inventory.hosts["h1"].unresolved and not inventory.hosts["h2"].unresolved
    connections = Connections(inventory, known_hosts=(), ssh_config=None, secrets=_no_secrets)
    for ask in (connections.open, connections.endpoint):
        with pytest.raises(UsageError) as caught:
            ask(inventory.hosts["h1"])
        assert caught.value.code == "setting-unresolved"
    assert notes(inventory) == ([], ["setting-unresolved"])


def test_many_hosts_below_one_bad_line_are_one_note(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("[web]\nh[1:50]\n[web:vars]\nansible_port={{ p }}\n")
    assert notes(load_inventory([tmp_path / "hosts"])) == ([], ["setting-unresolved"])


def test_patchctls_own_form_mends_what_ansibles_leaves_open(tmp_path: Path) -> None:
    (tmp_path / "ansible").mkdir()
    (tmp_path / "ansible" / "hosts").write_text("h1 ansible_host='{{ a | upper }}'\n")
    (tmp_path / "own.yaml").write_text("import: [ansible/hosts]\nhosts: {h1: {address: 192.0.2.1}}\n")
    assert not load_inventory([tmp_path / "own.yaml"]).hosts["h1"].unresolved


def test_jump_hosts_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "i.yaml").write_text("hosts: {a: {jump: b}, b: {jump: a}, c: {jump: a}, d: {jump: e}, e: }\n")
    assert notes(load_inventory([tmp_path])) == (["jump-loop", "jump-loop"], [])


def test_one_machine_under_several_names_is_told(tmp_path: Path) -> None:
    (tmp_path / "i.yaml").write_text(
        "sites: {x: {jump: gw.x}, y: {jump: gw.y}}\n"
        "hosts: {Web1: , web1.: {}, w: {address: WEB1}, other: {address: web1, port: 2222},\n"
        "  x1: {site: x, address: 10.0.0.1}, y1: {site: y, address: 10.0.0.1}}\n".replace("web1.: {}", "web1: "))
    assert notes(load_inventory([tmp_path])) == ([], ["same-address"])


def _no_secrets(reference: object) -> str:
    raise AssertionError(reference)
