"""The model's host runner: what collect/runner_windows_bodies.py says, line by line, on a real folder tree."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from typing import TYPE_CHECKING

from tests.windows.words import LITERAL, read_items, read_values

if TYPE_CHECKING:
    from tests.windows.model import WindowsHost

BASE = r"C:\ProgramData\patchctl"


class Request:
    """One request to the runner: does what collect/runner_windows_bodies.py says, line by line."""

    def __init__(self, host: WindowsHost, script: str) -> None:
        self.host, self.script, self.values = host, script, read_values(script)
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
            if self.host.spoils_result:
                (spool / "result").write_text("")
            self.host.finish_updates(spool)
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
        return self.state(attempt) if (spool / "result").exists() else ("interrupted", "its runner died")

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
        for path in read_items(self.script, "Paths"):
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
        for line in read_items(self.script, "FileList"):
            sum_, name = line.split(" ", 1)
            file = self.host.disk.path(f"{self.values['Files']}\\{name}")
            if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != sum_:
                self.say(f"missing {sum_}")
                missing.append(name)
        if missing:
            return self.fail("staging-missing", f"not in {self.values['Files']} or damaged: {' '.join(missing)}")
        new = self.base / "new.1"
        new.mkdir()
        payload = self.host.spoil_installer(self.values["Payload"])
        for name, text in (("payload.cmd", payload), ("run.cmd", self.values["Run"])):
            (new / name).write_bytes(re.sub(r"\r?\n", "\r\n", text).encode())
        v = self.values
        (new / "claim").write_text(f"{v['Store']} {v['Epoch']} {v['Token']} {self.host.boot_id}")
        (new / "launching").write_text(f"{self.host.boot_id} {time.monotonic()}")
        (new / "ticket").write_text("")
        (new / "reserve").write_text("")
        self.write_fence(v["Token"], self.attempt)
        new.rename(spool)
        self.say(f"unit patchctl-{self.attempt}")
        names = re.findall(LITERAL, v["List"].partition("\n")[0])
        (spool / "listed").write_text(self.host.fingerprint(names))
        if "\\backups\\" in v["List"]:
            (spool / "repairs").write_text("")
        if not self.host.task_late:
            self.host.launched.append(self.attempt)
            run = ("cmd", "/d", "/c", f"{BASE}\\runs\\{self.attempt}\\run.cmd")
            if self.host.task_dies:
                (spool / "ticket").rename(spool / "begun")
                run = ("cmd", "/d", "/c", "exit 1")
            self.host.task = self.host.disk.start(*run)
            if self.host.when_started is not None:
                self.host.when_started()
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
            if state != "running" and (spool / "listed").exists():
                before = (spool / "listed").read_text()  # list.ps1 is PowerShell: the model stands in for it
                names = [line.partition(":")[0] for line in before.splitlines()]
                after = self.host.fingerprint(names)
                results = self.base / "backups" / self.attempt / "results"
                if (spool / "repairs").exists() and results.exists():
                    after = results.read_bytes().decode("cp437").replace("\r\n", "\n")
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
            if left.name not in ("fence", "hold", "runs", "stage", "backups"):
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
