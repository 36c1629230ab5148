"""The model's way back: what Windows Installer keeps (Wine's registry and disk), and updates that dism takes off."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from patchctl.platforms.windows import earlier
from patchctl.platforms.windows.probes import UNINSTALL
from patchctl.platforms.windows.registry import read_keys
from tests.windows.words import LITERAL, read_items

if TYPE_CHECKING:
    from tests.windows.model import WindowsHost

_PRODUCTS = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Installer\UserData\S-1-5-18\Products"


def answer_earlier(host: WindowsHost, command: str) -> str:
    """Do what platforms/windows/earlier.py says, with msitools for the package's Media table."""
    command = command.replace("''", "'")
    lines = []
    kept = {(k.text("DisplayName"), k.text("DisplayVersion")): k.text("LocalPackage")
            for k in read_keys(host.disk.run("reg", "query", _PRODUCTS, "/s")[1]) if k.leaf == "InstallProperties"}
    for view, arch in (("64", "x64"), ("32", "x86")):
        key = rf"HKLM\SOFTWARE\{UNINSTALL}"
        for found in read_keys(host.disk.run("reg", "query", key, "/s", f"/reg:{view}")[1]):
            name, version = found.text("DisplayName"), found.text("DisplayVersion")
            if f"{name}|{version}|{arch}" not in read_items(command, "files") or not kept.get((name, version)):
                continue
            path = host.disk.path(kept[name, version])
            if not path.exists():
                continue
            if not is_whole(path):
                lines.append(f"parts|{name}|{version}")
                continue
            data = path.read_bytes()
            lines.append(f"file|{name}|{version}|{arch}|{hashlib.sha256(data).hexdigest().upper()}|{len(data)}")
    for line in read_items(command, "updates"):
        assert earlier.SERVICING in command
        name, kb, identity = line.split("|")
        word = "unknown"
        for offer in host.offers:
            if offer.kb == kb and identity in ("", offer.id):
                word = offer.servicing if offer.installed else "removable" if offer.uninstallable else "refused"
        lines.append(f"update|{name}|{word}")
    return "\n".join(lines)


def is_whole(package: Path) -> bool:
    """Say whether a package holds all its cabinets: their names begin with # then."""
    listed = subprocess.run(["msiinfo", "export", str(package), "Media"], capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in listed.stdout.splitlines()]
    place = rows[0].index("Cabinet")
    return all(row[place].startswith("#") for row in rows[3:])


def copy_kept(host: WindowsHost, script: str) -> str:
    """Do what packages.download_text says for files without an address; the host reaches no server."""
    (directory,) = re.findall(rf"^\$directory = {LITERAL}$", script, re.MULTILINE)
    lines = []
    items = re.findall(rf"@\({LITERAL}, {LITERAL}, {LITERAL}, (\d+)\)", script)
    for sum_, name, uri, size in items:
        if uri:
            lines.append(f"miss {sum_} this host reaches no server")
            continue
        for kept in host.disk.path(r"C:\windows\Installer").glob("*.msi"):
            data = kept.read_bytes()
            if len(data) == int(size) and hashlib.sha256(data).hexdigest() == sum_:
                shutil.copy(kept, host.disk.path(f"{directory}\\{name}"))
                lines.append(f"have {sum_}")
                break
    assert items, script
    return "\n".join([*lines, ""])


def remove_updates(host: WindowsHost, spool: Path, names: list[str]) -> None:
    """Do what removal.remove_updates says, once the batch file has ended."""
    said, bad = [], 0
    for name in names:
        said.append(f"patchctl: step remove {name}")
        found = next((o for o in host.offers if o.kb == name.partition("~")[0] and (o.installed or o.pending)), None)
        if found is None:
            said.append(f"patchctl: already-gone {name}")
            continue
        if found.servicing != "removable":
            said.append(f"patchctl: {found.servicing} {name}")
            bad = 1
            break
        said.append(f"patchctl: exit-code {name} {found.fails_removal or (3010 if found.reboot else 0)}")
        if found.fails_removal:
            bad = 1
            break
        host.removed.append(found.kb)
        if found.reboot:
            said.append("patchctl: reboot-required")
        found.installed = found.pending = False
    with (spool / "log").open("a") as log:
        log.write("".join(f"{line}\n" for line in said))
    if bad:
        (spool / "result").write_text(f"{bad}\n")
