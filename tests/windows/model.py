r"""A pretended Windows host: answers the PowerShell texts of this project as they are meant to be answered.

NOT Windows, and no PowerShell: this is a model. It recognises a text by its very words (any other is not answered,
which fails), takes the values from its head, and does in Python what the text says. What is real: the disk below
C:\ProgramData, the registry that reg.exe reads, the batch files run.cmd and payload.cmd, and msiexec: Wine runs them.
The task scheduler, CIM and the update agent are the model's own.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from patchctl.collect import runner_windows_text as runner_text
from patchctl.connect.contract import Command, Result
from patchctl.deliver import send_windows
from patchctl.model.hosts import Host
from patchctl.platforms.windows import probes
from patchctl.platforms.windows.read import _programs
from tests.windows.wine import Disk

BASE = r"C:\ProgramData\patchctl"
_LITERAL = r"'((?:[^']|'')*)'"
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
    task: subprocess.Popen[bytes] | None = None
    launched: list[str] = field(default_factory=list)
    """Attempts whose runner was started, each time again."""
    reboots: int = 0

    def __post_init__(self) -> None:
        self._listed: dict[str, str] = {}

    @property
    def boot_id(self) -> str:
        return time.strftime("%Y%m%dT%H%M%S", time.gmtime(self.booted)) + f".{int(self.booted % 1 * 1e6):06d}Z"

    def answer(self, script: str, data: bytes) -> tuple[str, int] | None:
        if "Invoke-Probe '" in script:
            return self._collect(script), 0
        for name in ("LOOK", "START", "POLL", "REBOOT", "CLEANUP", "TAKEOVER"):
            if script.endswith(f"{runner_text.FUNCTIONS}{getattr(runner_text, name)}}}\n"):
                return _Request(self, script).run(name), 0
        return self._staging(script, data)

    # What is collected.

    def _collect(self, script: str) -> str:
        found = re.search(r"^\$N = '([0-9a-f]+)'", script, re.MULTILINE)
        assert found
        nonce, lines = found[1], []
        asked = _calls(script)
        for name, _, command in asked:
            output, rc = self._probe(name, command.replace("''", "'"))
            parts = output.split("\n")
            lines += [f"{nonce}+{name} .", *(f"{nonce}={name} {part}" for part in parts)]
            lines.append(f"{nonce}>{name} {rc} {len(output.encode()) + 1} {len(parts)} 0 .")
        return "\n".join([f"{nonce}#BEGIN 1 root .", *lines, f"{nonce}#END {len(asked)} .", ""])

    def _probe(self, name: str, command: str) -> tuple[str, int]:
        if name == "windows.fingerprint":
            return self.fingerprint(re.findall(_LITERAL, command.partition("\n")[0])), 0
        if name == "windows.resolve":
            return "\n".join(re.findall(_LITERAL, command)), 0
        if name.startswith("health."):
            return "active", 0
        known: dict[str, Callable[[], str]] = {
            "windows.clock": lambda: str(int(time.time())), "windows.os": lambda: OS_KEY,
            "windows.updates": self._search, "windows.reboot": self._pending_reboot, "windows.programs": self._programs,
            "windows.boot": lambda: f"{self.boot_id}\n2026-11-25T08:00:00", "windows.hotfixes": lambda: "KB5010523",
            "windows.settings": lambda: "@@ policy\n@@ managers\n@@ end",
            "windows.services": lambda: '{"Name":"Dnscache","StartMode":"Auto","State":"Running","ExitCode":0}',
            "windows.features": lambda: "Server-Core", "windows.users": lambda: '{"Name":"Administrator"}',
            "windows.disks": lambda: '{"DeviceID":"C:","Size":100000000000,"FreeSpace":50000000000}',
        }
        expected = {p.id: p.command for refresh in ("auto", "never") for p in probes.probes(refresh)}
        assert name in known, f"the model has no answer for the probe {name}"
        assert name == "windows.updates" or command == expected[name], f"{name} is not asked as probes.py says"
        return known[name](), 0

    def _programs(self) -> str:
        views = {}
        for view in ("64", "32"):
            key = rf"HKLM\SOFTWARE\{probes.UNINSTALL}"
            views[view] = self.disk.run("reg", "query", key, "/s", f"/reg:{view}")[1]
        return f"@@ 64\n{views['64']}\n@@ 32\n{views['32']}\n@@ user\n"

    def fingerprint(self, names: list[str]) -> str:
        lines = [
            f"{p.name}:{p.arch} {p.version}" for p in _programs(self._programs())
            if p.name in names and p.arch != "user"
        ]
        lines += [f"{o.kb}:windows-update {o.id}.{o.revision}" for o in self.offers if o.installed and o.kb in names]
        return "\n".join(lines)

    def _pending_reboot(self) -> str:
        sections = {word: "" for word, _ in probes.PENDING_KEYS}
        if any(o.pending for o in self.offers):
            sections["update-agent"] = "\nHKEY_LOCAL_MACHINE" + dict(probes.PENDING_KEYS)["update-agent"][4:] + "\n"
        for word, key, value in probes.PENDING_VALUES:
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
            })  # fmt: skip
            lines += [{"kind": "history", "id": o.id, "revision": o.revision, "result": 2}] * o.succeeded
        return "\n".join(json.dumps(line) for line in lines)

    # What is staged.

    def _staging(self, script: str, data: bytes) -> tuple[str, int] | None:
        received = re.fullmatch(re.escape(send_windows._RECEIVE.format(path="PATH")).replace("PATH", _LITERAL), script)
        if received:
            self.disk.path(received[1]).write_bytes(data)
            return "", 0
        if "DownloadFile($uri, $part)" in script:
            return "miss: this host reaches no server\n", 0
        values = _values(script)
        if script.endswith(f"{send_windows._SETUP}{send_windows._LIST}}}\n"):
            self.disk.path(values["Directory"]).mkdir(parents=True, exist_ok=True)
            return self._sums(values, script, "", "end"), 0
        if script.endswith(f"{send_windows._SETUP}{send_windows._ACCEPT}}}\n"):
            return self._sums(values, script, ".part", "end"), 0
        return None

    def _sums(self, values: dict[str, str], script: str, suffix: str, last: str) -> str:
        lines = []
        for line in _items(script, "Sums"):
            sum_, name = line.split(" ", 1)
            path = self.disk.path(f"{values['Directory']}\\{name}{suffix}")
            if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == sum_:
                path.rename(path.with_name(name))
                lines.append(f"have {sum_.upper()}")
        return "".join(f"\n{values['Nonce']} {line}\n" for line in [*lines, last])

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


class _Request:
    """One request to the runner: does what collect/runner_windows_text.py says, line by line."""

    def __init__(self, host: WindowsHost, script: str) -> None:
        self.host, self.script, self.values = host, script, _values(script)
        self.nonce = self.values["Nonce"]
        self.lines: list[str] = []
        self.base = host.disk.path(BASE)
        self.runs = self.base / "runs"
        self.attempt = self.values.get("Attempt", "")

    def run(self, name: str) -> str:
        self.say(f"boot {self.host.boot_id}")
        answer = getattr(self, f"_{name.lower()}")()
        state, why = answer if isinstance(answer, tuple) else (answer, "")
        self.say(f"state {state}")
        if why:
            self.say(f"reason {why}")
        self.say("end")
        return "".join(f"{self.nonce} {line}\n" for line in self.lines)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def fail(self, code: str, why: str) -> tuple[str, str]:
        self.say(f"code {code}")
        return "failed", why

    def fence(self) -> list[str]:
        file = self.base / "fence"
        return file.read_text().split() if file.exists() else []

    def fenced(self, *, asking: bool) -> str:
        f, store = self.fence(), self.values["Store"]
        epoch, token = int(self.values["Epoch"]), int(self.values["Token"])
        if not f:
            return ""
        if f[0] != store:
            return f"belongs to the controller {f[3]} (store {f[0]}, epoch {f[1]})"
        if int(f[1]) < epoch:
            return f"knows epoch {f[1]} of this store, not {epoch}: a restored store needs an explicit takeover"
        if int(f[1]) > epoch:
            return f"has moved on to epoch {f[1]} of this store ({f[3]}); this copy is of epoch {epoch}"
        if not asking and int(f[2]) > token:
            return f"has already acted on token {f[2]}, this request carries {token}: a newer run took over"
        return ""

    def say_fence(self) -> None:
        if self.fence():
            self.say("fence " + " ".join(self.fence()))

    def veto(self) -> str:
        hold = self.base / "hold"
        return f"{BASE}\\hold: {hold.read_text().strip() or 'no reason given'}" if hold.exists() else ""

    def used_up(self) -> bool:
        f = self.fence()
        if len(f) < 5:
            return False
        (mine, _, a), (theirs, _, b) = self.attempt.rpartition("."), f[4].rpartition(".")
        return f[4] == self.attempt or (mine == theirs and a.isdigit() and b.isdigit() and int(a) < int(b))

    def state(self, attempt: str) -> tuple[str, str]:
        spool = self.runs / attempt
        if not spool.is_dir():
            return "absent", ""
        if (spool / "result").exists():
            return "finished", ""
        if (spool / "ticket").exists():
            boot, at = (spool / "launching").read_text().split()
            if boot == self.host.boot_id and time.monotonic() - float(at) < int(self.values["Grace"]):
                return "running", "is being started"
            (spool / "ticket").rename(spool / "void")
        if (spool / "void").exists():
            return "interrupted", "was claimed, but its runner never began"
        if (spool / "claim").read_text().split()[3] != self.host.boot_id:
            return "interrupted", "the host was restarted while it ran"
        if self.host.task is not None and self.host.task.poll() is None:
            return "running", ""
        return ("finished", "") if (spool / "result").exists() else ("interrupted", "its runner died")

    def busy(self) -> str:
        others = sorted(p.name for p in self.runs.iterdir()) if self.runs.is_dir() else []
        return next((o for o in others if o != self.attempt and self.state(o)[0] == "running"), "")

    def _look(self) -> str:
        if self.veto():
            self.say(f"veto {self.veto()}")
        if self.fenced(asking=True):
            self.say(f"fenced {self.fenced(asking=True)}")
        self.say_fence()
        for spool in sorted(self.runs.iterdir()) if self.runs.is_dir() else []:
            self.say(f"attempt {spool.name} {self.state(spool.name)[0]}")
        for path in _items(self.script, "Paths"):
            self.say(f"space {path} {50_000_000} C:\\")
        if self.host.reboots and self.host.settling > 0:
            self.host.settling -= 1
            self.say("settling servicing in progress (2)")
        return "seen"

    def _start(self) -> str | tuple[str, str]:
        spool = self.runs / self.attempt
        self.runs.mkdir(parents=True, exist_ok=True)
        if why := self.fenced(asking=True):
            self.say_fence()
            return "fenced", why
        if spool.is_dir():
            state, why = self.state(self.attempt)
            self.say(f"was {state}")
            self.say(f"unit patchctl-{self.attempt}")
            return "adopted", why
        if self.used_up():
            self.say("was interrupted")
            return "adopted", "its spool is lost"
        if why := self.fenced(asking=False):
            self.say_fence()
            return "fenced", why
        if self.veto():
            return "veto", self.veto()
        if other := self.busy():
            self.say(f"holder {other}")
            return self.fail("busy", f"attempt {other} still works here")
        missing = []
        for line in _items(self.script, "FileList"):
            sum_, name = line.split(" ", 1)
            file = self.host.disk.path(f"{self.values['Files']}\\{name}")
            if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != sum_:
                self.say(f"missing {sum_}")
                missing.append(name)
        if missing:
            return self.fail("staging-missing", f"not in {self.values['Files']} or damaged: {' '.join(missing)}")
        new = self.base / "new.1"
        new.mkdir()
        for name, text in (("payload.cmd", self.values["Payload"]), ("run.cmd", self.values["Run"])):
            (new / name).write_bytes(re.sub(r"\r?\n", "\r\n", text).encode())
        v = self.values
        (new / "claim").write_text(f"{v['Store']} {v['Epoch']} {v['Token']} {self.host.boot_id}")
        (new / "launching").write_text(f"{self.host.boot_id} {time.monotonic()}")
        (new / "ticket").write_text("")
        (new / "reserve").write_text("")
        self.write_fence(v["Token"], self.attempt)
        new.rename(spool)
        self.say(f"unit patchctl-{self.attempt}")
        names = re.findall(_LITERAL, v["List"].partition("\n")[0])
        self.host._listed[self.attempt] = self.host.fingerprint(names)
        if not self.host.task_late:
            self.host.launched.append(self.attempt)
            self.host.task = self.host.disk.start("cmd", "/d", "/c", f"{BASE}\\runs\\{self.attempt}\\run.cmd")
        return "started"

    def write_fence(self, token: str, attempt: str) -> None:
        v = self.values
        (self.base / "fence").write_text(f"{v['Store']} {v['Epoch']} {token} {v['Name']} {attempt}\n")

    def _poll(self) -> tuple[str, str]:
        state, why = self.state(self.attempt)
        if state == "absent" and self.used_up():
            state, why = "interrupted", "its spool is lost"
        spool = self.runs / self.attempt
        if spool.is_dir():
            store = (spool / "claim").read_text().split()[0]
            if store != self.values["Store"]:
                self.say(f"foreign {store}")
            began = int((spool / "claim").stat().st_mtime)
            if state == "finished":
                ended = int((spool / "result").stat().st_mtime)
                self.say(f"result {(spool / 'result').read_text().strip()} {began} {ended} {self.host.boot_id}")
            log = "".join(
                (spool / name).read_bytes().decode("cp437") for name in ("log", "alive") if (spool / name).exists())
            for line in log.splitlines():
                if line.startswith("patchctl: "):
                    self.say(f"mark {line}")
            for line in log.splitlines():
                self.say(f"log {line}")
            if state != "running" and self.attempt in self.host._listed:
                before = self.host._listed[self.attempt]  # list.ps1 is PowerShell: the model stands in for it
                names = [line.partition(":")[0] for line in before.splitlines()]
                after = self.host.fingerprint(names)
                self.lines += [f"before {line}" for line in before.splitlines()]
                self.lines += [f"after {line}" for line in after.splitlines()]
                self.say("compared yes")
        self.say(f"unit patchctl-{self.attempt}")
        return state, why

    def _reboot(self) -> str | tuple[str, str]:
        if self.values["Expected"] != self.host.boot_id:
            return "rebooted"
        if why := self.fenced(asking=True):
            return self.fail("fenced", why)
        if self.veto():
            return self.fail("veto", self.veto())
        if other := self.busy():
            return self.fail("busy", f"attempt {other} still works here")
        self.host.reboot()
        self.lines[0] = f"boot {self.values['Expected']}"
        return "requested"

    def _cleanup(self) -> str | tuple[str, str]:
        if not self.base.is_dir():
            return "clean"
        if why := self.fenced(asking=True):
            return self.fail("fenced", why)
        if self.state(self.attempt)[0] == "running":
            return self.fail("busy", f"attempt {self.attempt} still works")
        family, _, number = self.attempt.rpartition(".")
        for spool in sorted(self.runs.iterdir()) if self.runs.is_dir() else []:
            name, _, suffix = spool.name.rpartition(".")
            older = name == family and suffix.isdigit() and int(suffix) <= int(number)
            if older and self.state(spool.name)[0] != "running":
                shutil.rmtree(spool)
        if self.values.get("Files"):
            shutil.rmtree(self.host.disk.path(self.values["Files"]), ignore_errors=True)
        for folder in (self.base / "stage", self.runs):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        for left in sorted(self.base.iterdir()):
            if left.name not in ("fence", "hold", "runs", "stage"):
                self.say(f"residue {left.name}")
        return "clean"

    def _takeover(self) -> str | tuple[str, str]:
        self.base.mkdir(parents=True, exist_ok=True)
        self.say_fence()
        f = self.fence()
        token = self.values["Token"]
        if f and f[0] == self.values["Store"]:
            if int(f[1]) > int(self.values["Epoch"]):
                return self.fail("fenced", f"the host knows epoch {f[1]} of this store already")
            token = str(max(int(f[2]), int(token)))
        self.write_fence(token, "-")
        return "taken"


def _values(script: str) -> dict[str, str]:
    """Return the values at the script's head: $Name = 'text' (over several lines) and $Name = [long]N."""
    head = script.partition(runner_text.FUNCTIONS)[0] if runner_text.FUNCTIONS in script else script[:20000]
    found = {name: text.replace("''", "'") for name, text in re.findall(rf"^\$(\w+) = {_LITERAL}$", head, re.MULTILINE)}
    found |= dict(re.findall(r"^\$(\w+) = \[long\](\d+)$", head, re.MULTILINE))
    return found


def _items(script: str, name: str) -> list[str]:
    found = re.search(rf"^\${name} = @\((.*)\)$", script, re.MULTILINE)
    assert found, name
    return [text.replace("''", "'") for text in re.findall(_LITERAL, found[1])]


def _calls(script: str) -> list[tuple[str, str, str]]:
    pattern = rf"^Invoke-Probe {_LITERAL} \d+ \$(?:true|false) {_LITERAL} {_LITERAL}\n"
    return re.findall(pattern, script, re.MULTILINE)


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
