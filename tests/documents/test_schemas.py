"""The JSON Schemas in docs/schemas are current, accept what is valid, and refuse what an editor should mark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from patchctl.documents.schemas import SCHEMAS, schema_text

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [
    *(("inventory", path) for path in sorted((ROOT / "inventories").glob("*.yaml"))),
    *(("policy", path) for path in sorted((ROOT / "policies").glob("*.yaml"))),
    *(("baseline", path) for path in sorted((ROOT / "baselines").glob("*.yaml"))),
]


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_in_docs_are_current(name: str) -> None:
    written = (ROOT / "docs" / "schemas" / f"{name}.json").read_text()
    assert written == schema_text(name), "run: python -m patchctl.documents.schemas docs/schemas"
    jsonschema.Draft202012Validator.check_schema(json.loads(written))


@pytest.mark.parametrize(("kind", "path"), EXAMPLES, ids=[path.name for _, path in EXAMPLES])
def test_shipped_files_fit_their_schema_and_name_it(kind: str, path: Path) -> None:
    # As an editor reads YAML: dates stay text.
    text = path.read_text()
    jsonschema.validate(_as_editors_read(text),
                        json.loads(schema_text(kind)))
    assert text.startswith(f"# yaml-language-server: $schema=../docs/schemas/{kind}.json\n")


def _as_editors_read(text: str) -> Any:
    class Loader(yaml.SafeLoader):
        """YAML 1.2's core schema, near enough: no dates."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return yaml.load(text, Loader)


@pytest.mark.parametrize(("kind", "text"), [
    ("inventory", "defalts: {}"), ("inventory", "groups: {a: {hosts: 5}}"),
    ("inventory", "defaults: {password: hunter2}"),
    ("inventory", "defaults: {port: 99999}"), ("inventory", "defaults: {connection: telnet}"),
    ("inventory", "hosts: {h: {frozen: {until: 2030-01-01}}}"),
    ("policy", "hosts: all"), ("policy", "policy: p\nreboot: maybe"), ("policy", "policy: p\nrings: [{size: 3}]"),
    ("policy", "policy: p\nlimits: {errors: some}"), ("policy", "policy: p\nstage: 48"),
    ("baseline", "baseline: b\nrules: [{id: x}]"), ("settings", "forks: 0"),
])
def test_schemas_refuse_mistakes(kind: str, text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(_as_editors_read(text), json.loads(schema_text(kind)))
