"""Reads a Windows host's snapshot into facts. What is missing is None with its reason; nothing is guessed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from patchctl.model.evidence import Snapshot
from patchctl.model.facts import Artefact, FileSystem, HostFacts, OsRelease, Package, RebootNeed, Update
from patchctl.model.text import one_line
from patchctl.platforms.windows.codes import explain, normalise
from patchctl.platforms.windows.names import CARRIER, IDENTITY, program_name, update_name
from patchctl.platforms.windows.probes import PENDING_KEYS
from patchctl.platforms.windows.registry import Key, read_keys

ORIGIN = "Windows Update"
_CLASSIFICATIONS = {
    "0fa1201d-4330-4fa8-8ae9-b877473b6441": "security-updates",
    "e6cf1350-c01b-414d-a61f-263d14d133b4": "critical-updates",
    "e0789628-ce08-4437-be74-2495b842f43b": "definition-updates",
    "28bc880e-0592-4cbf-8f95-c79b17911d5f": "update-rollups",
    "cd5ffd1e-e932-4e3a-bf74-18bf0b1bbd83": "updates",
    "3689bdc8-b205-4af4-8d4a-a63924c5e9d5": "upgrades",
    "ebfc1fc5-71a4-4f7b-9aca-3b9a503104a0": "drivers",
    "b54e7d24-7add-428f-8b75-90a396fa584f": "feature-packs",
    "68c5b0a3-d1a6-4553-ae49-01d3a7827828": "service-packs",
    "b4832bd8-e735-4761-8daf-37f882276dab": "tools",
    "5c9376ab-8ce6-464a-b136-22113dd69801": "applications",
    "434de588-ed14-48f5-8eed-a15e09a991f6": "connectors",
    "e140075d-8433-45c3-ad87-e72345b36078": "developer-kits",
    "9511d615-35b2-47bb-927f-f73d8e9260bb": "guidance",
}
"""CategoryID -> classification, whatever the host's language calls it ("WSUS Classification GUIDs", Microsoft Learn,
ff357803; upgrades and drivers as WSUS has them). Other categories are products."""
LOOP = 2
"""So many installations that Windows calls successful, and the same revision is offered again: an update loop."""
_PENDING_WORDS = {
    "cbs": "component servicing waits for a reboot", "cbs-in-progress": "a component servicing reboot is in progress",
    "cbs-packages": "component packages are pending", "update-agent": "Windows Update waits for a reboot",
    "roles": "a role or feature waits for a reboot",
}


def read_facts(snapshot: Snapshot) -> HostFacts:
    """Return what the snapshot shows."""
    unknown: dict[str, str] = {}
    system = read_os(snapshot)
    reboot = _reboot(snapshot, unknown)
    search = read_search(snapshot.output("windows.updates"), snapshot.reason("windows.updates"))
    if search.failed:
        unknown["updates"] = search.failed
    boot = (snapshot.output("windows.boot") or "").split()
    facts: dict[str, Any] = {
        "os": system, "kernel": system.version, "boot_id": one_line(boot[0], 40) if boot else "",
        "arch": "", "reboot": reboot,
        "packages": _packages(snapshot, search, unknown),
        "updates": None if search.failed else tuple(_updates(search, reboot)),
        "artefacts": () if search.failed else tuple(_carried(search)),
        "held": None if search.failed else tuple(
            name for name, item in search.named() if item.get("hidden") and not item.get("installed")
        ),
        "metadata_age": _age(search, unknown), "last_activity": _number(search.head.get("last_install")),
        "file_systems": _disks(snapshot, unknown), "failed_units": _services(snapshot, unknown),
        "other_updaters": _other_updaters(snapshot, unknown), "clock_skew": _clock(snapshot, unknown),
    }  # fmt: skip
    if search.failed:
        unknown.setdefault("held", search.failed)
    if facts["last_activity"] is None:
        unknown["last_activity"] = search.failed or "Windows Update knows of no installation"
    unknown |= {
        "broken": "Windows has no word for half-installed programs",
        "restarts": "not collected on Windows",
        "reboot_packages": "Windows tells only after the installation",
    }
    return HostFacts(**facts, unknown=tuple(unknown.items()))


def read_os(snapshot: Snapshot) -> OsRelease:
    """Return what the CurrentVersion key says; an empty OsRelease when it could not be read."""
    key = next(read_keys(snapshot.output("windows.os") or ""), None)
    if key is None or not key.text("CurrentBuild"):
        return OsRelease()
    build, revision = key.text("CurrentBuild"), key.number("UBR")
    major, minor = key.number("CurrentMajorVersionNumber"), key.number("CurrentMinorVersionNumber")
    version = key.text("CurrentVersion") if major is None else f"{major}.{minor or 0}"
    name = key.text("ProductName")
    if build.isdigit() and int(build) >= 22000 and key.text("InstallationType") == "Client":
        name = name.replace("Windows 10", "Windows 11")  # the key was never changed for Windows 11
    parts = [version, build, *([str(revision)] if revision is not None else [])]
    codename = key.text("DisplayVersion") or key.text("ReleaseId")
    return OsRelease("windows", one_line(".".join(parts), 60), "windows", one_line(codename, 40), one_line(name, 100))


class Search(Struct, frozen=True):
    """What the update agent answered. `failed` says why it cannot be trusted ("" = it can)."""

    head: Mapping[str, Any]
    updates: Sequence[Mapping[str, Any]]
    history: Sequence[Mapping[str, Any]]
    failed: str = ""

    def named(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield every update with its name on this host."""
        shared = Counter(kb for item in self.updates for kb in set(_kbs(item)))
        for item in self.updates:
            kbs = _kbs(item)
            yield update_name(kbs, str(item["id"]), any(shared[kb] > 1 for kb in kbs)), item


def read_search(output: str | None, reason: str) -> Search:
    """Read the JSON lines of update_agent.search_text. Whatever is not a whole, good answer fails as a whole."""
    head: Mapping[str, Any] = {}
    updates: list[Mapping[str, Any]] = []
    history: list[Mapping[str, Any]] = []
    if output is None:
        return Search({}, (), (), reason or "not collected")
    for line in output.splitlines():
        if line.startswith("patchctl: "):
            return Search({}, (), (), _failure(line))
        item = _json(line)
        kind = item.get("kind") if item else None
        if item is None or kind is None:
            if line.strip():
                return Search({}, (), (), f"the update agent's answer cannot be read: {one_line(line, 100)}")
        elif kind == "search":
            head = item
        elif kind in ("update", "history") and IDENTITY.fullmatch(str(item.get("id"))):
            (updates if kind == "update" else history).append(item)
    if not head:
        return Search({}, (), (), "the update agent gave no answer")
    if head.get("result") != 2:
        return Search({}, (), (), f"the search ended with result code {one_line(str(head.get('result')), 20)}, not 2")
    return Search(head, updates, history)


def _failure(line: str) -> str:
    words = line.split(" ", 3)
    number = normalise(words[3]) if len(words) == 4 and words[1] == "hresult" else None
    known = explain(number) if number is not None else None
    return f"{known.meaning} ({words[3]})" if known else one_line(line.removeprefix("patchctl: "), 200)


def _json(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _kbs(item: Mapping[str, Any]) -> list[str]:
    found = item.get("kb")
    return [str(kb) for kb in found if str(kb).isdigit()] if isinstance(found, list) else []


def _identity(item: Mapping[str, Any]) -> str:
    return one_line(f"{item['id']}.{item.get('revision')}", 60)


def _updates(search: Search, reboot: RebootNeed) -> Iterator[Update]:
    succeeded = Counter(_identity(entry) for entry in search.history if entry.get("result") == 2)
    installed = {name: _identity(item) for name, item in search.named() if item.get("installed")}
    for name, item in search.named():
        if item.get("installed"):
            continue
        identity = _identity(item)
        state, reason = _state(item, succeeded[identity], reboot)
        filed = _classifications(item)
        security = "security-updates" in filed if _strings(item, "category_ids") else None
        yield Update(
            name, "", installed.get(name, ""), identity, ORIGIN, security, state, reason,
            cves=_strings(item, "cves"), severity=_severity(item, filed), classifications=filed,
        )  # fmt: skip


def _state(item: Mapping[str, Any], succeeded: int, reboot: RebootNeed) -> tuple[str, str]:
    title = one_line(str(item.get("title") or ""), 150)
    if item.get("hidden"):
        return "held", f"hidden on the host: {title}"
    if item.get("input"):
        return "kept-back", f"asks questions while it installs: {title}"
    if succeeded and reboot.required:
        return "kept-back", f"installed, takes effect with the pending reboot: {title}"
    if succeeded >= LOOP:
        times = f"installed {succeeded} times by Windows' own history and offered again"
        return "held", f"update loop, quarantined: {times}: {title}"
    return "upgradable", title


def _classifications(item: Mapping[str, Any]) -> tuple[str, ...]:
    ids = [one.lower() for one in _strings(item, "category_ids")]
    return tuple(dict.fromkeys(_CLASSIFICATIONS[one] for one in ids if one in _CLASSIFICATIONS))


def _severity(item: Mapping[str, Any], filed: tuple[str, ...]) -> str:
    said = one_line(str(item.get("severity") or ""), 20).lower()
    return said or ("critical" if "critical-updates" in filed else "")


def _strings(item: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = item.get(key)
    return tuple(one_line(str(one), 60) for one in found) if isinstance(found, list) else ()


def _carried(search: Search) -> Iterator[Artefact]:
    """Yield what the update agent fetches itself: no file of ours, its id and revision name the content."""
    for name, item in search.named():
        if not item.get("installed"):
            size = item.get("size")
            yield Artefact(
                name, _identity(item), "", "", size if isinstance(size, int) else 0, "", f"windows-update:{item['id']}",
                ORIGIN, carrier=CARRIER,
            )  # fmt: skip


def _packages(snapshot: Snapshot, search: Search, unknown: dict[str, str]) -> tuple[Package, ...] | None:
    listed = snapshot.output("windows.programs")
    if listed is None or search.failed:
        unknown["packages"] = snapshot.reason("windows.programs") or search.failed
        return None
    packages = list(_programs(listed))
    known = set()
    for name, item in search.named():
        if item.get("installed"):
            known.add(name)  # where several updates share a KB number, the number alone is a thing of its own
            packages.append(Package(name, _identity(item), "", ORIGIN))
    fixes = (one_line(line.strip(), 60) for line in (snapshot.output("windows.hotfixes") or "").splitlines())
    packages += [Package(fix, "installed", "") for fix in fixes if re.fullmatch(r"KB\d+", fix) and fix not in known]
    return tuple(packages)


def _programs(text: str) -> Iterator[Package]:
    seen: set[Package] = set()
    arch = ""
    for section in re.split(r"^@@ ", text, flags=re.MULTILINE):
        word, _, body = section.partition("\n")
        arch = {"64": "x64", "32": "x86", "user": "user"}.get(word.strip(), arch)
        for key in read_keys(body):
            package = _program(key, arch)
            # A 32-bit Windows shows one key in both views.
            if package is not None and package not in seen:
                seen.add(package)
                yield package


def _program(key: Key, arch: str) -> Package | None:
    display, version = key.text("DisplayName"), key.text("DisplayVersion")
    if not display or key.number("SystemComponent") == 1 or key.text("ParentKeyName"):
        return None
    code = key.leaf if re.fullmatch(r"\{[0-9A-Fa-f-]{36}\}", key.leaf) else ""
    return Package(program_name(display, version), one_line(version, 60) or "unknown", arch, code)


def _reboot(snapshot: Snapshot, unknown: dict[str, str]) -> RebootNeed:
    output = snapshot.output("windows.reboot")
    if output is None or "@@ end" not in output.splitlines():
        unknown["reboot"] = snapshot.reason("windows.reboot") or "the list of reasons is not whole"
        return RebootNeed(None)
    sections: dict[str, str] = {}
    for section in re.split(r"^@@ ", output, flags=re.MULTILINE)[1:]:
        word, _, body = section.partition("\n")
        sections[word.strip()] = body
    keys = {word: next(read_keys(body), None) for word, body in sections.items()}
    reasons = [_PENDING_WORDS[word] for word, _ in PENDING_KEYS if keys.get(word) is not None]
    now, later = (_named(keys.get(word), "ComputerName") for word in ("name-now", "name-next"))
    if now and later and now.lower() != later.lower():
        reasons.append(f"the host will be called {one_line(later, 60)} from the next boot on")
    servicing = keys.get("servicing")
    if servicing is not None and servicing.number("ServicingInProgress") not in (None, 0, 1):
        reasons.append("the servicing stack is at work")
    files = _named(keys.get("files"), "PendingFileRenameOperations")
    if files:
        names = [name for name in files.split("\\0") if name]
        reasons.append(f"{len(names)} file names change with the next boot: {one_line(names[0], 120)}")
    return RebootNeed(bool(reasons), tuple(reasons))


def _named(key: Key | None, name: str) -> str:
    return key.text(name).strip() if key is not None else ""


def _age(search: Search, unknown: dict[str, str]) -> float | None:
    """Return the seconds since the host last searched online and succeeded; by its own clock."""
    now, last = _number(search.head.get("now")), _number(search.head.get("last_search"))
    if search.head.get("online") is True:
        return 0.0
    if now is None or last is None:
        unknown["metadata_age"] = search.failed or "Windows Update knows of no successful search"
        return None
    return max(0.0, now - last)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _lines(snapshot: Snapshot, probe: str, field: str, unknown: dict[str, str]) -> list[dict[str, Any]] | None:
    output = snapshot.output(probe)
    items = [_json(line) for line in (output or "").splitlines() if line.strip()]
    if output is None or not items or None in items:
        unknown[field] = snapshot.reason(probe) or f"{probe} gave no JSON lines"
        return None
    return [item for item in items if item is not None]


def _disks(snapshot: Snapshot, unknown: dict[str, str]) -> tuple[FileSystem, ...] | None:
    items = _lines(snapshot, "windows.disks", "file_systems", unknown)
    if items is None:
        return None
    numbers = [(str(x.get("DeviceID")), _number(x.get("Size")), _number(x.get("FreeSpace"))) for x in items]
    return tuple(FileSystem(one_line(n, 20), int(t), int(f)) for n, t, f in numbers if t is not None and f is not None)


def _services(snapshot: Snapshot, unknown: dict[str, str]) -> tuple[str, ...] | None:
    """Return services that shall run and ended with an error. 1077: never started since the boot, so not asked for."""
    items = _lines(snapshot, "windows.services", "failed_units", unknown)
    if items is None:
        return None
    return tuple(
        one_line(str(x.get("Name")), 100) for x in items
        if x.get("StartMode") == "Auto" and x.get("State") != "Running" and x.get("ExitCode") not in (0, 1077)
    )


def _other_updaters(snapshot: Snapshot, unknown: dict[str, str]) -> tuple[str, ...] | None:
    output = snapshot.output("windows.settings")
    if output is None or "@@ end" not in output.splitlines():
        unknown["other_updaters"] = snapshot.reason("windows.settings") or "the settings are not whole"
        return None
    keys = {key.leaf: key for key in read_keys(output)}
    policy = keys.get("AU", Key(""))
    found = []
    if policy.number("NoAutoUpdate") != 1:
        option = policy.number("AUOptions")
        if option in (4, 5, 7):
            found.append(f"Windows Update installs by itself (policy AUOptions {option})")
        elif option is None and "Server" not in read_os(snapshot).name:
            found.append("Windows Update installs by itself (no policy says otherwise)")
    for name, words in (("CcmExec", "Configuration Manager"), ("IntuneManagementExtension", "Intune"),
                        ("TaniumClient", "Tanium")):  # fmt: skip
        if re.search(rf"^SERVICE_NAME: {name}\s*$", output, re.MULTILINE | re.IGNORECASE):
            found.append(words)
    server = keys.get("WindowsUpdate", Key("")).text("WUServer")
    if server and found:
        found.append(f"from {one_line(server, 120)}")
    return tuple(found)


def _clock(snapshot: Snapshot, unknown: dict[str, str]) -> float | None:
    said = (snapshot.output("windows.clock") or "").strip()
    if not said.isdigit():
        unknown["clock_skew"] = snapshot.reason("windows.clock") or "windows.clock gave no number"
        return None
    return round(float(said) - snapshot.taken_at, 1)
