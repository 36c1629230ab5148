"""A project whose only host is this machine, and a kind of baseline that tests can write themselves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from patchctl.assess.content import registry
from patchctl.cli.main import main
from patchctl.cli.redacting import RunSecrets
from patchctl.model.errors import PatchctlError
from patchctl.usecases import baselines
from tests.assess import fakes


@dataclass
class Project:
    """A project folder, and patchctl run in it as a user would."""

    folder: Path
    capsys: Any
    said: str = ""
    warned: str = ""

    def baseline(self, name: str, *rules: dict[str, Any], **more: Any) -> Path:
        path = self.folder / "baselines" / f"{name}.yaml"
        path.write_text(json.dumps({"fake": name, "rules": list(rules), **more}))
        return path

    def waivers(self, *waivers: dict[str, Any]) -> None:
        path = self.folder / "baselines" / "waivers" / "all.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"waivers": list(waivers)}))

    def run(self, *words: str) -> int:
        """Run patchctl, return its exit code; `said` and `warned` are what it printed."""
        self.capsys.readouterr()
        try:
            code = main.main(list(words), standalone_mode=False, obj=RunSecrets())
        except PatchctlError as error:
            code = error.exit_code
            print(error.code, error.message, error.hint)
        self.said, self.warned = self.capsys.readouterr()
        return int(code or 0)

    def json(self, *words: str) -> dict[str, Any]:
        self.code = self.run(*words, "-o", "json")
        found: dict[str, Any] = json.loads(self.said)
        return found


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    for name in ("inventories", "baselines"):
        (tmp_path / name).mkdir()
    (tmp_path / "inventories" / "hosts.yaml").write_text(
        "groups: {web: {hosts: [here, there]}}\ndefaults: {connection: local}\n"
    )
    (tmp_path / "patchctl.yaml").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    real = registry.kind_of
    monkeypatch.setattr(
        baselines, "kind_of", lambda path, data: fakes.KIND if fakes.KIND.recognises(path, data) else real(path, data)
    )
    return Project(tmp_path, capsys)
