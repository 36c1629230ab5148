"""Ansible's inventories mean here what they mean there: compared with ansible-inventory, recorded and live."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from patchctl.documents.inventories import load_inventory
from tests.documents.oracle import CASES, ask_ansible, read_oracle, read_ours

INVENTORIES = {"ini": "hosts", "yaml": "hosts.yml", "folder": "inv", "script": "dynamic"}


@pytest.mark.parametrize("case", INVENTORIES)
def test_inventory_equals_recorded_ansible_output(case: str) -> None:
    variables, groups = read_ours(load_inventory([CASES / case / INVENTORIES[case]]))
    expected_variables, expected_groups = read_oracle(json.loads((CASES / f"{case}.json").read_text()))
    assert groups == expected_groups
    assert variables == expected_variables


@pytest.mark.parametrize("case", INVENTORIES)
def test_recorded_output_is_what_ansible_says_today(case: str) -> None:
    assert ask_ansible(CASES / case, INVENTORIES[case]) == json.loads((CASES / f"{case}.json").read_text())


SCALARS = [
    "yes", "no", "Yes", "ON", "off", "y", "n", "true", "False", "TRUE", "None", "null", "~", "0", "007", "08", "0o17",
    "0x1F", "0b101",
    "1_000", "1.10", "1.", ".5", "1e3", "1.5e+3", "-3", "+4", "22:22", "1:30:00", "190:20:30.15",
    ".inf", "-.inf", "2026-11-01", "2026-11-01T10:00:00Z", "10.0.0.1", "a:b", "a#b", "'x'", '"y z"', "[1]", "{'a': 1}",
    "[a, b]", "{a: b}", "(1, 2)", "-", "--", "1,2", "12e", "1__0", "_1", "0.1.2", "=", "<<", "é", "$HOME", "%h",
    "a\\nb",    "!x", "*", "&a", "@b", "`c`", "|", ">", "1 # two", "'a' 'b'", "True and False", "1+1",
]


def test_every_scalar_means_the_same_in_ini_files(tmp_path: Path) -> None:
    generator = random.Random(7)
    odd = ["".join(generator.choices("01289.:-_eEx+abfyn'\"[]{}, ", k=generator.randint(1, 8))) for _ in range(250)]
    lines = ["[web]", "host1", "[web:vars]"]
    lines += [f"v{index}={value}" for index, value in enumerate([*SCALARS, *odd])]
    (tmp_path / "hosts").write_text("\n".join(lines) + "\n")
    variables, _ = read_ours(load_inventory([tmp_path / "hosts"]))
    expected, _ = read_oracle(ask_ansible(tmp_path, "hosts"))
    assert variables == expected


def test_every_scalar_means_the_same_in_yaml_files(tmp_path: Path) -> None:
    generator = random.Random(8)
    plain = [s for s in SCALARS if s[0] not in "'\"[{!*&@`|>%<=" and "#" not in s and s != "-"]
    odd = ["".join(generator.choices("01289.:-_eEx+afyn", k=generator.randint(1, 8))) for _ in range(250)]
    # Times stay as written here; Ansible rewrites them in another form of the same moment.
    plain.remove("2026-11-01T10:00:00Z")
    odd = [text for text in odd if not text.endswith(":") and text not in ("-", ".", "...", "---") and ": " not in text]
    lines = ["web:", "  hosts: {host1: }", "  vars:"]
    lines += [f"    v{index}: {value}" for index, value in enumerate([*plain, *odd])]
    (tmp_path / "hosts.yml").write_text("\n".join(lines) + "\n")
    variables, _ = read_ours(load_inventory([tmp_path / "hosts.yml"]))
    expected, _ = read_oracle(ask_ansible(tmp_path, "hosts.yml"))
    assert {k: v for k, v in variables["host1"].items() if v != expected["host1"][k]} == {}
    assert set(variables["host1"]) == set(expected["host1"])
