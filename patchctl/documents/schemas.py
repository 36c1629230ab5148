"""JSON Schemas for editors, from the types that validate: docs/schemas/*.json, and .patchctl/schemas of a project.

Run `python -m patchctl.documents.schemas docs/schemas` to write them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from patchctl.documents.baseline_schema import BaselineFile
from patchctl.documents.inventory_schema import InventoryFile
from patchctl.documents.policy_schema import PolicyFile
from patchctl.documents.settings_schema import SettingsFile
from patchctl.documents.waiver_schema import WaiverFile

SCHEMAS: dict[str, type[BaseModel]] = {
    "inventory": InventoryFile, "policy": PolicyFile, "baseline": BaselineFile, "settings": SettingsFile,
    "waivers": WaiverFile,
}


def schema_text(name: str) -> str:
    """Return one schema as JSON text (draft 2020-12)."""
    schema = SCHEMAS[name].model_json_schema(by_alias=True)
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"patchctl/{name}.json", **schema}
    return json.dumps(_without_titles(_empty_allowed(whole)), indent=2, sort_keys=True) + "\n"


def write_schemas(folder: Path) -> list[Path]:
    """Write all schemas into a folder (made if need be); return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in SCHEMAS:
        path = folder / f"{name}.json"
        path.write_text(schema_text(name), encoding="utf-8")
        paths.append(path)
    return paths


def _empty_allowed(node: Any) -> Any:
    """Let `default: ""` stand where a pattern or enum would refuse it: left out is allowed, written empty is not."""
    if isinstance(node, dict):
        return {key: _empty_allowed(value) for key, value in node.items() if not (key == "default" and value == "")}
    return [_empty_allowed(item) for item in node] if isinstance(node, list) else node


def _without_titles(node: Any) -> Any:
    """Drop the titles that pydantic makes of names: they tell an editor nothing."""
    if isinstance(node, dict):
        return {key: _without_titles(value) for key, value in node.items()
                if not (key == "title" and isinstance(value, str))}
    return [_without_titles(item) for item in node] if isinstance(node, list) else node


if __name__ == "__main__":
    for written in write_schemas(Path(sys.argv[1])):
        sys.stdout.write(f"{written}\n")
