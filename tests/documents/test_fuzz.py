"""Whatever stands in a file, reading it ends in values or Problems, never in an exception of Python."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.documents.baseline_schema import BaselineFile
from patchctl.documents.inventories import load_inventory
from patchctl.documents.inventory_schema import InventoryFile
from patchctl.documents.policy_schema import PolicyFile
from patchctl.documents.settings import load_settings
from patchctl.documents.settings_schema import SettingsFile
from patchctl.model.errors import DocumentsError
from patchctl.usecases.validate import validate_project

ROUNDS = 1500 if os.environ.get("PATCHCTL_SOAK") else 250


def _collect(schema: Any) -> set[str]:
    found: set[str] = set()
    for name, part in schema.model_json_schema(by_alias=True).get("$defs", {}).items():
        found |= {name, *part.get("properties", {})}
    return found | set(schema.model_json_schema(by_alias=True)["properties"])


FILES = (InventoryFile, PolicyFile, BaselineFile, SettingsFile)
WORDS = sorted({word for schema in FILES for word in _collect(schema)})
SCALARS = st.sampled_from([
    "a", "b", "web[1:3]", "web[", "no", "yes", "true", "1", "0", "-1", "1.5", "10%", "1h", "env:X", "2026-01-01", "all",
    "~", "", "rest", "sudo", "none", "!vault x", "a:!b", "ssh", "2nd tue 20:00 4h", "UTC", "[", "{}", "x y", "{{ a }}",
    "@f", "é",
])
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(WORDS) | SCALARS, inner, max_size=4), max_leaves=14,
)


def as_yaml(node: Any) -> str:
    """Write a tree in flow style with its scalars unquoted, so that YAML's own surprises are in it."""
    if isinstance(node, dict):
        return "{" + ", ".join(f"{key or '~'}: {as_yaml(value)}" for key, value in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(as_yaml(item) for item in node) + "]"
    return str(node)


TOP_KEYS = (
    "import", "defaults", "sites", "groups", "hosts", "policy", "rings", "approve", "reject", "limits", "tests",
    "health", "notify", "baseline", "rules", "blackout", "timezone", "forks", "state", "all", "deadline", "junk",
)
TOP = st.fixed_dictionaries({}, optional=dict.fromkeys(TOP_KEYS, VALUES))


@settings(max_examples=ROUNDS, deadline=None)
@given(TOP, st.sampled_from(["inventories", "policies", "baselines"]))
def test_validate_survives_any_structure(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any], kind: str
) -> None:
    folder = tmp_path_factory.mktemp("p")
    for name in ("inventories", "policies", "baselines"):
        (folder / name).mkdir()
    (folder / "inventories" / "ok.yaml").write_text("hosts: [a, b]\n")
    (folder / kind / "fuzz.yaml").write_text("\n".join(f"{key}: {as_yaml(value)}" for key, value in tree.items()))
    given_settings = load_settings({}, folder, {"HOME": str(folder)}, folder)
    found = validate_project(given_settings, (), folder, 1_795_000_000.0)
    for problem in found.problems:
        assert problem.code
        assert problem.message
        assert (problem.line > 0) == (problem.column > 0)


@settings(max_examples=ROUNDS, deadline=None)
@given(st.text(alphabet="web1[]:= #;'\"\\\n\tavrschildn{}&!,-", max_size=120))
def test_ini_survives_any_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = Path(tmp_path_factory.mktemp("i")) / "hosts"
    path.write_text(text)
    try:
        load_inventory([path])
    except DocumentsError as error:
        assert error.problems


def test_very_long_chains_of_groups_are_no_problem(tmp_path: Path) -> None:
    chain = "".join(f"  g{n}: {{groups: [g{n + 1}]}}\n" for n in range(3000))
    (tmp_path / "i.yaml").write_text(f"groups:\n{chain}  g3000: {{hosts: [h]}}\n")
    assert len(load_inventory([tmp_path / "i.yaml"]).hosts["h"].groups) == 3001


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14))
def test_every_cycle_is_reported_and_only_cycles(
    tmp_path_factory: pytest.TempPathFactory, links: list[tuple[int, int]]
) -> None:
    children = {n: sorted({child for parent, child in links if parent == n}) for n in range(7)}
    path = Path(tmp_path_factory.mktemp("c")) / "i.yaml"
    path.write_text("groups:\n" + "".join(
        f"  g{n}: {{groups: [{', '.join(f'g{c}' for c in below)}]}}\n" for n, below in children.items()))

    def reaches(start: int, goal: int, seen: frozenset[int] = frozenset()) -> bool:
        return any(c == goal or (c not in seen and reaches(c, goal, seen | {c})) for c in children[start])

    cyclic = any(reaches(n, n) for n in range(7))
    try:
        load_inventory([path])
    except DocumentsError as error:
        assert cyclic
        assert {p.code for p in error.problems} == {"group-cycle"}
    else:
        assert not cyclic
