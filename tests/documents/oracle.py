"""ansible-inventory as the oracle: installed once into a folder of its own, never into the project's environment."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest

from patchctl.model.hosts import Inventory, SecretRef

CASES = Path(__file__).parent / "ansible"
VERSION = "ansible-core>=2.17,<2.20"


def ansible_inventory() -> Path:
    """Return the program, installing it if need be; skip the test, saying why, when it cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "patchctl-tests" / "ansible"
    program = cache / "bin" / "ansible-inventory"
    if not program.exists():
        try:
            venv.create(cache, with_pip=True)
            subprocess.run([cache / "bin" / "pip", "install", "-q", VERSION], check=True, timeout=240,
                           capture_output=True)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"ansible-core could not be installed as the oracle: {error}")
    return program


def ask_ansible(folder: Path, name: str) -> Any:
    """Return what `ansible-inventory --list` says of an inventory."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8",
           "ANSIBLE_CONFIG": str(CASES / "empty.cfg")}
    done = subprocess.run([ansible_inventory(), "-i", name, "--list"], cwd=folder, env=env, capture_output=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return json.loads(done.stdout)


def read_oracle(data: Any) -> tuple[dict[str, Any], dict[str, set[str]]]:
    """Return (host -> variables, group -> all its hosts) of ansible-inventory's JSON."""
    groups = {name: body for name, body in data.items() if name not in ("_meta", "all", "ungrouped")}

    def members(name: str) -> set[str]:
        body = groups.get(name, {})
        return set(body.get("hosts", [])).union(*[members(child) for child in body.get("children", [])])

    hostvars = data["_meta"]["hostvars"]
    everyone = set(hostvars)
    for body in data.values():
        everyone |= set(body.get("hosts", []))
    return {host: hostvars.get(host, {}) for host in everyone}, {name: members(name) for name in groups}


def read_ours(inventory: Inventory) -> tuple[dict[str, Any], dict[str, set[str]]]:
    """Return the same two things of our inventory."""
    return (
        {name: {key: _as_json(value) for key, value in host.variables.items()}
         for name, host in inventory.hosts.items()},
        {name: set(group.hosts) for name, group in inventory.groups.items() if group.hosts},
    )


def _as_json(value: Any) -> Any:
    if isinstance(value, SecretRef):
        return {"__ansible_vault": value.value} if value.scheme == "vault" else value.value
    return json.loads(json.dumps(value))

