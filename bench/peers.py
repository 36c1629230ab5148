"""The other tools, each in a virtual environment of its own in the lab's folder, and how each lists pending updates."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.lab import Lab
from tests.lab.machine import lab_folder
from tests.lab.programs import run, say

PACKAGES = {"pyinfra": "pyinfra", "ansible": "ansible-core", "testinfra": "pytest-testinfra"}
BESIDE = {"testinfra": ("paramiko",)}
"""What a tool needs and does not install by itself."""
LIST = "apt list --upgradable"
FULL_LIST = (
    f"{LIST}; apt-mark showhold; apt-get -s -V --with-new-pkgs upgrade; apt-cache policy; dpkg-query -W; "
    "stat -c '%Z %n' /var/lib/apt/lists/*Release"
)
"""What an administrator must ask to know what `patchctl updates` lists: versions; holds; what is kept back or phased;
which archives are security's; what is installed; how old the package lists are."""

ANSIBLE = {  # as it is shipped, but for 50 forks (all tools: 50 hosts at once); and as its users tune it
    "shipped": "[defaults]\nforks = 50\ndeprecation_warnings = False\n",
    "tuned": "[defaults]\nforks = 50\ngathering = explicit\ninterpreter_python = /usr/bin/python3\n"
             "deprecation_warnings = False\n[ssh_connection]\npipelining = True\n"
             "ssh_args = -C -o ControlMaster=auto -o ControlPersist=60s -o KexAlgorithms=curve25519-sha256 "
             "-o PreferredAuthentications=publickey\n",
}


def environment(name: str) -> Path:
    """Return the bin folder of a tool's environment, made first if it is not there."""
    folder = lab_folder() / "peers" / name
    if not (folder / "ready").exists():
        say(f"bench: installing {PACKAGES[name]} into {folder} (once)")
        run(sys.executable, "-m", "venv", "--clear", folder)
        run(folder / "bin/python", "-m", "pip", "install", "--quiet", PACKAGES[name], *BESIDE.get(name, ()),
            timeout=900)
        (folder / "ready").touch()
    return folder / "bin"


def version(name: str) -> str:
    shown = run(environment(name) / "python", "-c",
                f"import importlib.metadata as m; print(m.version({PACKAGES[name]!r}))")
    return f"{PACKAGES[name]} {shown.strip()}"


def pyinfra_command(lab: Lab, folder: Path, *operation: str) -> Sequence[object]:
    """Write pyinfra's inventory and return its command line for an operation on all hosts."""
    data = {"ssh_user": "ops", "ssh_key": str(lab.key), "ssh_port": lab.port, "ssh_strict_host_key_checking": "yes",
            "ssh_known_hosts_file": str(lab.known_hosts), "ssh_allow_agent": False, "ssh_look_for_keys": False}
    inventory = folder / "pyinfra_hosts.py"
    inventory.write_text(f"lab = {[(host.address, data) for host in lab.hosts]!r}\n")
    return [environment("pyinfra") / "pyinfra", "-y", "--parallel", "50", inventory, *operation]


def ansible_command(
    lab: Lab, folder: Path, settings: str, *task: object, hosts: str = "all"
) -> tuple[Sequence[object], dict[str, str]]:
    """Write Ansible's inventory and settings; return its command line for a task, and its environment."""
    inventory = folder / "ansible_hosts.ini"
    inventory.write_text(lab.inventory_ini())
    config = folder / f"ansible-{settings}.cfg"
    config.write_text(ANSIBLE[settings])
    command = [environment("ansible") / "ansible", "-i", inventory, hosts, *task]
    return command, {"ANSIBLE_CONFIG": str(config), "ANSIBLE_HOME": str(folder / "ansible")}
