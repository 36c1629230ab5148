"""Captured cases: what real hosts answered, with what it means. One case, one file: cases/<platform>/<name>.json.

    {"made_by": how the answers were made, "snapshot": {...}, "expect": {fact: value, ...}, "updates": {name: [...]}}

To capture one: run `patchctl scan --print-script | ssh HOST sh`, read it with parse_output, store `to_data(snapshot)`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchctl.model.codec import from_data
from patchctl.model.evidence import Snapshot

FOLDER = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Case:
    platform: str
    name: str
    made_by: str
    snapshot: Snapshot
    expect: dict[str, Any]
    updates: dict[str, list[Any]]
    """package -> [installed, candidate, security, state]"""


def load_cases(platform: str = "*") -> Iterator[Case]:
    for path in sorted(FOLDER.glob(f"{platform}/*.json")):
        data = json.loads(path.read_text())
        yield Case(
            path.parent.name, path.stem, data["made_by"], from_data(Snapshot, data["snapshot"]), data["expect"],
            data.get("updates", {}),
        )  # fmt: skip


def load_case(platform: str, name: str) -> Case:
    return next(case for case in load_cases(platform) if case.name == name)
