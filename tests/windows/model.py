r"""A pretended Windows host: answers the PowerShell texts of this project as they are meant to be answered.

NOT Windows, and no PowerShell: this is a model. It recognises a text by its very words (any other is not answered,
which fails), takes the values from its head, and does in Python what the text says. What is real: the disk below
C:\ProgramData, the registry that reg.exe reads, the batch files run.cmd and payload.cmd, and msiexec: Wine runs them.
The task scheduler, CIM and the update agent are the model's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from patchctl.assess.native.answers import PREFIX
from patchctl.collect import runner_windows_bodies as bodies
from patchctl.collect.runner_windows_functions import FUNCTIONS
from patchctl.connect.contract import Command, Result
from patchctl.deliver import send_windows
from patchctl.model.hosts import Host
from patchctl.platforms.windows import probes
from patchctl.platforms.windows.read import _programs
from tests.windows.check_answers import answer_checks
from tests.windows.earlier import answer_earlier, copy_kept, remove_updates
from tests.windows.repairs import carry_out_repairs
from tests.windows.runner import Request
from tests.windows.wine import Disk
from tests.windows.words import LITERAL, read_calls, read_items, read_values

# Captured shape of `reg query` of that key on Windows Server 2022 (values as documented; Wine's own say Windows 7).
OS_KEY = r"""
HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion
    CurrentBuild    REG_SZ    20348
    CurrentMajorVersionNumber    REG_DWORD    0xa
    CurrentMinorVersionNumber    REG_DWORD    0x0
    CurrentVersion    REG_SZ    6.3
    DisplayVersion    REG_SZ    21H2
    EditionID    REG_SZ    ServerStandard
    InstallationType    REG_SZ    Server
    ProductName    REG_SZ    Windows Server 2022 Standard
    UBR    REG_DWORD    0x7ef
"""


@dataclass
class Offer:
    """An update that the modelled update agent offers."""

    kb: str
    id: str
    revision: int = 200
    title: str = "Cumulative Update"
    severity: str = "Critical"
    security: bool = True
    installed: bool = False
    hidden: bool = False
    cves: tuple[str, ...] = ()
    succeeded: int = 0
    """How often the history says that it was installed."""
    fails: str = ""
    """HRESULT that installing it gives."""
    reboot: bool = False
    pending: bool = False
    """Installed, until the next boot it only waits."""
    uninstallable: bool = True
    """What the update agent says before it is installed."""
    servicing: str = "removable"
    """What component servicing says once it is: removable, permanent, superseded."""
    fails_removal: int = 0
    """Exit code of dism."""


@dataclass
class WindowsHost:
    """One host. `answer(script, data)` gives (stdout, exit code), or None for a text that is none of ours."""

    disk: Disk
    offers: list[Offer] = field(default_factory=list)
    booted: float = field(default_factory=time.time)
    settling: int = 0
    """So many Looks after a boot say that servicing goes on."""
    search_failure: str = ""
    task_late: bool = False
    """The task scheduler never starts anything."""
    task_dies: bool = False
    """Its runner is killed as soon as it has begun."""
    spoils_result: bool = False
    """The result file is cut to nothing."""
    spoils_files: bool = False
    """What is sent arrives damaged."""
    task: subprocess.Popen[bytes] | None = None
    launched: list[str] = field(default_factory=list)
    """Attempts whose runner was started, each time again."""
    reboots: int = 0
    agent_installs: list[str] = field(default_factory=list)
    """Updates that the update agent installed, each time again."""
    repaired: list[str] = field(default_factory=list)
    """What repairs by PowerShell were made for, each time again."""
    removed: list[str] = field(default_factory=list)
    """Updates that dism took off, each time again."""
    checks: dict[str, dict[str, str]] = field(default_factory=dict)
    """What checks of baselines are told, by batch and question; registry values come from the registry itself."""
    msi_codes: dict[str, list[int]] = field(default_factory=dict)
    """By msiexec's verb (/i, /x) what its next runs in attempts end with: 1603 and 1618 instead of the work, others
    after it. 3010: a reboot is pending then; 1641: the host restarts at once."""
    when_started: Callable[[], None] | None = None
    when_rebooted: Callable[[], None] | None = None
    waits_for_boot: bool = False
    at_boot: list[Callable[[], None]] = field(default_factory=list)
    """What takes effect with the next boot only."""
    unreadable: set[str] = field(default_factory=set)
    """Probes that say nothing."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    @property
    def boot_id(self) -> str:
        return time.strftime("%Y%m%dT%H%M%S", time.gmtime(self.booted)) + f".{int(self.booted % 1 * 1e6):06d}Z"

    def answer(self, script: str, data: bytes) -> tuple[str, int] | None:
        """Return (stdout, exit code) of one of this project's texts; None for any other. One at a time."""
        with self._lock:
            return self._answer(script, data)

    def _answer(self, script: str, data: bytes) -> tuple[str, int] | None:
        if "Invoke-Probe '" in script:
            return self._collect(script), 0
        for name in ("LOOK", "START", "POLL", "REBOOT", "CLEANUP", "TAKEOVER"):
            if script.endswith(f"{FUNCTIONS}{getattr(bodies, name)}}}\n"):
                return Request(self, script).run(name), 0
        if answered := re.fullmatch(
                rf"if \(\[IO\.File\]::Exists\({LITERAL}\)\) \{{ \[IO\.File\]::WriteAllText\({LITERAL}, 'in'\) \}}\n",
                script):
            if self.disk.path(answered[1]).exists():
                self.disk.path(answered[2]).write_text("in")
            return "", 0
        return self._staging(script, data)

    # What is collected.

    def _collect(self, script: str) -> str:
        found = re.search(r"^\$N = '([0-9a-f]+)'", script, re.MULTILINE)
        assert found
        nonce, lines = found[1], []
        asked = read_calls(script)
        for name, _, command in asked:
            output, rc = self._probe(name, command.replace("''", "'"))
            parts = output.split("\n")
            lines += [f"{nonce}+{name} .", *(f"{nonce}={name} {part}" for part in parts)]
            lines.append(f"{nonce}>{name} {rc} {len(output.encode()) + 1} {len(parts)} 0 .")
        return "\n".join([f"{nonce}#BEGIN 1 root .", *lines, f"{nonce}#END {len(asked)} .", ""])

    def _probe(self, name: str, command: str) -> tuple[str, int]:
        if name == "windows.fingerprint":
            return self.fingerprint(re.findall(LITERAL, command.partition("\n")[0])), 0
        if name == "windows.earlier":
            return answer_earlier(self, command), 0
        if name == "windows.resolve":
            return "\n".join(re.findall(LITERAL, command)), 0
        if name.startswith("health."):
            return "active", 0
        if name.startswith(f"{PREFIX}.windows-"):
            system = {"windows-system": {"all": "ID=windows\nVERSION_ID=10.0.20348.2031"}}
            return answer_checks(self.disk, {**system, **self.checks}, name, command), 0
        known: dict[str, Callable[[], str]] = {
            "windows.clock": lambda: str(int(time.time())), "windows.os": lambda: OS_KEY,
            "windows.updates": self._search, "windows.reboot": self._pending_reboot, "windows.programs": self.programs,
            "windows.boot": lambda: f"{self.boot_id}\n2026-11-25T08:00:00", "windows.hotfixes": lambda: "KB5010523",
            "windows.settings": lambda: "@@ policy\n@@ managers\n@@ end",
            "windows.services": lambda: '{"Name":"Dnscache","StartMode":"Auto","State":"Running","ExitCode":0}',
            "windows.features": lambda: "Server-Core", "windows.users": lambda: '{"Name":"Administrator"}',
            "windows.disks": lambda: '{"DeviceID":"C:","Size":100000000000,"FreeSpace":50000000000}',
        }
        expected = {p.id: p.command for refresh in ("auto", "never") for p in probes.probes(refresh)}
        if name in self.unreadable:
            return "", 1
        assert name in known, f"the model has no answer for the probe {name}"
        assert name == "windows.updates" or command == expected[name], f"{name} is not asked as probes.py says"
        return known[name](), 0

    def programs(self) -> str:
        views = {}
        for view in ("64", "32"):
            key = rf"HKLM\SOFTWARE\{probes.UNINSTALL}"
            views[view] = self.disk.run("reg", "query", key, "/s", f"/reg:{view}")[1]
        return f"@@ 64\n{views['64']}\n@@ 32\n{views['32']}\n@@ user\n"

    def fingerprint(self, names: list[str]) -> str:
        lines = [
            f"{p.name}:{p.arch} {p.version}" for p in _programs(self.programs())
            if p.name in names and p.arch != "user"
        ]
        lines += [f"{o.kb}:windows-update {o.id}.{o.revision}" for o in self.offers if o.installed and o.kb in names]
        return "\n".join(lines)

    def _pending_reboot(self) -> str:
        sections = {word: "" for word, _ in probes.PENDING_KEYS}
        if any(o.pending for o in self.offers):
            sections["update-agent"] = "\nHKEY_LOCAL_MACHINE" + dict(probes.PENDING_KEYS)["update-agent"][4:] + "\n"
        for word, key, value in probes.PENDING_VALUES:
            if word == "files" and self.waits_for_boot:
                whole = key.replace("HKLM", "HKEY_LOCAL_MACHINE")
                sections[word] = f"\n{whole}\n    {value}    REG_MULTI_SZ    C:\\x\\0\n"
                continue
            sections[word] = self.disk.run("reg", "query", key, "/v", value)[1] if word.startswith("name") else ""
        return "".join(f"@@ {word}\n{text}\n" for word, text in sections.items()) + "@@ end"

    def _search(self) -> str:
        if self.search_failure:
            return f"patchctl: hresult search {self.search_failure}"
        lines: list[dict[str, Any]] = [{
            "kind": "search", "online": True, "source": "as configured on the host", "result": 2,
            "now": int(time.time()), "last_search": int(time.time()) - 60, "last_install": int(time.time()) - 86400,
        }]  # fmt: skip
        for o in self.offers:
            lines.append({
                "kind": "update", "id": o.id, "revision": o.revision, "title": o.title, "kb": [o.kb.removeprefix("KB")],
                "cves": list(o.cves), "severity": o.severity, "categories": ["Security Updates"],
                "category_ids": ["0fa1201d-4330-4fa8-8ae9-b877473b6441" if o.security else "x"],
                "installed": o.installed, "hidden": o.hidden, "size": 1000, "input": False, "reboot": 1,
                "uninstallable": o.uninstallable,
            })  # fmt: skip
            lines += [{"kind": "history", "id": o.id, "revision": o.revision, "result": 2}] * o.succeeded
        return "\n".join(json.dumps(line) for line in lines)

    # What is staged.

    def _staging(self, script: str, data: bytes) -> tuple[str, int] | None:
        received = re.fullmatch(re.escape(send_windows._RECEIVE.format(path="PATH")).replace("PATH", LITERAL), script)
        if received:
            self.disk.path(received[1]).write_bytes(data[:-1] if self.spoils_files else data)
            return "", 0
        if "DownloadFile($uri, $part)" in script:
            return copy_kept(self, script), 0
        values = read_values(script)
        if script.endswith(f"{send_windows._SETUP}{send_windows._LIST}}}\n"):
            self.disk.path(values["Directory"]).mkdir(parents=True, exist_ok=True)
            return self._sums(values, script, "", "end"), 0
        if script.endswith(f"{send_windows._SETUP}{send_windows._ACCEPT}}}\n"):
            return self._sums(values, script, ".part", "end"), 0
        if script.endswith(f"{send_windows._SETUP}{send_windows._READ}}}\n"):
            return self._read(script, values), 0
        return None

    def _read(self, script: str, values: dict[str, str]) -> str:
        start, blocks = (int(n) for n in re.findall(r"^\$(?:Start|Blocks) = (\d+)$", script, re.MULTILINE))
        data = self.disk.path(values["Path"]).read_bytes()[start:start + blocks * 1_048_576]
        lines = [f"data {base64.b64encode(data[at:at + 1_048_576]).decode()}" for at in range(0, len(data), 1_048_576)]
        return "".join(f"\n{values['Nonce']} {line}\n" for line in ["begin", *lines, "end"])

    def _sums(self, values: dict[str, str], script: str, suffix: str, last: str) -> str:
        lines = []
        for line in read_items(script, "Sums"):
            sum_, name = line.split(" ", 1)
            path = self.disk.path(f"{values['Directory']}\\{name}{suffix}")
            if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == sum_:
                path.rename(path.with_name(name))
                lines.append(f"have {sum_.upper()}")
        return "".join(f"\n{values['Nonce']} {line}\n" for line in [*lines, last])

    # What the update agent installs: its text is PowerShell, which Wine's stub passes over in silence.

    def spoil_installer(self, payload: str) -> str:
        """Return the payload with msiexec ending as `msi_codes` says, where it says something."""
        for verb, codes in self.msi_codes.items():
            found = re.search(rf'^start "" /wait msiexec\.exe {verb} .*$', payload, re.MULTILINE)
            if found is None or not codes:
                continue
            code = codes.pop(0)
            work = "" if code in (1603, 1618) else f"{found[0]}\n"
            payload = payload.replace(found[0], f"{work}cmd.exe /d /c exit {code}")
        return payload

    def _after_installers(self, spool: Path) -> None:
        """Do once what 3010 and 1641 say."""
        said = (spool / "log").read_text() if (spool / "log").exists() else ""
        if "patchctl: reboot-required" not in said or (spool / "noted").exists():
            return
        (spool / "noted").write_text("")
        if re.search(r"exit-code \S+ 1641", said):
            self.reboot()
        elif re.search(r"exit-code \S+\.msi 3010", said):
            self.waits_for_boot = True

    def finish_updates(self, spool: Path) -> None:
        """Do what the update agent would have done in an attempt whose payload has ended, once."""
        self._after_installers(spool)
        payload = (spool / "payload.cmd").read_text()
        if (spool / "repairs").exists() and not (spool / "agent").exists():
            (spool / "agent").write_text("")
            carry_out_repairs(self, spool)
            return
        if (removed := re.search(r"\$removed = @\((.*)\)", payload)) and not (spool / "agent").exists():
            (spool / "agent").write_text("")
            remove_updates(self, spool, re.findall(LITERAL, removed[1]))
            return
        wanted = re.search(r"\$wanted = @\((.*)\)", payload)
        if wanted is None or (spool / "agent").exists():
            return
        (spool / "agent").write_text("")
        said, bad = ["patchctl: step search", "patchctl: step download", "patchctl: step install"], 0
        for kb, identity, revision in re.findall(r"([A-Za-z0-9~._-]+) ([0-9a-f-]{36}) (\d+)", wanted[1]):
            offer = next((o for o in self.offers if (o.id, str(o.revision)) == (identity, revision)), None)
            if offer is None:
                said, bad = [*said[:1], f"patchctl: not-offered {kb}"], 1
                break
            self.agent_installs.append(kb)
            said.append(f"patchctl: result {kb} code={4 if offer.fails else 2}")
            if offer.fails:
                bad = 1
                said.append(f"patchctl: hresult {kb} {offer.fails}")
            elif offer.reboot:
                offer.pending, offer.succeeded = True, offer.succeeded + 1
                said.append("patchctl: reboot-required")
            else:
                offer.installed = True
        with (spool / "log").open("a") as log:
            log.write("".join(f"{line}\n" for line in said))
        if bad:
            (spool / "result").write_text(f"{bad}\n")

    # What people and faults do.

    def install_msi(self, path: Path) -> None:
        """Install as if somebody had done it before."""
        target = self.disk.path("C:\\before.msi")
        shutil.copy(path, target)
        assert self.disk.run("msiexec", "/i", "C:\\before.msi", "/qn")[0] == 0

    def reboot(self) -> None:
        self.booted, self.reboots = time.time(), self.reboots + 1
        if self.task is not None and self.task.poll() is None:
            self.task.kill()
        for offer in self.offers:
            if offer.pending:
                offer.pending, offer.installed = False, True
        while self.at_boot:
            self.at_boot.pop()()
        self.waits_for_boot = False
        if self.when_rebooted is not None:
            self.when_rebooted()


@dataclass
class ModelSession:
    """connect/contract.py's Session with one model."""

    host: Host
    model: WindowsHost

    def run(self, command: Command) -> Result:
        found = self.model.answer(command.script, b"".join(command.stdin or ()))
        if found is None:
            return Result(1, b"", f"no answer for: {command.script[:300]}".encode(), 0.0, as_root=True)
        return Result(found[1], found[0].encode(), b"", 0.01, as_root=True)

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class ModelTransport:
    """Hosts by name."""

    hosts: dict[str, WindowsHost]
    name: str = "fake"

    def open(self, host: Host) -> ModelSession:
        return ModelSession(host, self.hosts[host.name])
