"""Which texts patchctl runs on Windows, and which of them were ever shown to work there.

A part is one text as the product makes it, with example values in the places of what differs from host to host: its
SHA-256 is what a capture from a real Windows proves (platforms/windows/proven.py). The kit of `make windows-proof` runs
these same texts; plans and docs name the parts that nobody has run on Windows yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import yaml

from patchctl.assess.asking.windows import SYSTEM
from patchctl.assess.checks.contract import Question
from patchctl.assess.checks.registry import all_checks
from patchctl.assess.content.sca.windows import make_batches
from patchctl.collect import fixing_windows, runner_windows, runner_windows_bodies
from patchctl.collect.powershell import compile_powershell
from patchctl.collect.runner import Cleanup, Controller, Look, Poll, Reboot, Request, Start, Takeover
from patchctl.connect.winrm_psrp import PIPELINE
from patchctl.connect.winrm_script import bootstrap
from patchctl.deliver import send_windows
from patchctl.model.facts import Artefact
from patchctl.model.hosts import HealthCheck
from patchctl.model.plan import Change, Fix, HostPlan, Plan
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.windows import PLATFORM, packages
from patchctl.platforms.windows.names import CARRIER
from patchctl.platforms.windows.proven import PROVEN
from patchctl.usecases.hostjobs_health import health_probes

NONCE = "0123456789abcdef0123456789abcdef"
STAGE = runner_windows.staging_directory("proof")
CONTROLLER = Controller("windows-proof", 1, 1, "windows-proof")
# What stands where a host's own values go; the kit's driver puts those in.
ZERO_SHA = "0" * 64
BOOT = "00000000T000000.000000Z"
UPDATE_ID = "00000000-0000-0000-0000-000000000000"
UPDATE_NAME, REMOVED_KB = "KB0000000", "KB0000001"
PRODUCT = "{00000000-0000-0000-0000-000000000000}"
ADDRESS = "https://proof.invalid/proof.bin"
REPAIR = "proof-repair"
FILE_KINDS = ("msi", "msu", "cab", "exe")
OTHER_REPAIRS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "group": ("windows_group", {"sid": "S-1-5-32-544", "property": "Members", "lacks": "S-1-1-0"}),
    "defender": ("windows_defender", {"source": "Preference", "property": "DisableScriptScanning", "equals": "False"}),
    "feature": ("windows_feature", {"feature": "SMB1Protocol", "property": "InstallState", "not_equals": "1"}),
    "share": ("windows_share", {"share": "Proof", "property": "Path", "absent": True}),
    "share-encryption": ("windows_share", {"share": "ProofKept", "property": "EncryptData", "equals": "True"}),
    "volume": ("windows_volume", {"drive": "C:", "property": "ProtectionStatus", "equals": "On"}),
}
SCA_KINDS = {"registry": ("r", r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"), "command": ("c", "net accounts"),
             "file": ("f", r"C:\Windows\win.ini")}  # fmt: skip


def payload(kind: str) -> str:
    """Return the batch file of an attempt: msi, msu, cab, exe, update-agent, remove-msi, remove-kb, or nothing."""
    changes: tuple[Change, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    removals: tuple[str, ...] = ()
    if kind in FILE_KINDS:
        artefacts = (Artefact("proof", "1", "", ZERO_SHA, 1, f"proof.{kind}"),)
        changes = (Change("proof", "", "0", "1", ZERO_SHA),)
    elif kind == "update-agent":
        changes = (Change(UPDATE_NAME, "", "", f"{UPDATE_ID}.1", carrier=CARRIER),)
    elif kind == "take-back-msi":
        # Off and on again by one file: what differs from going back to another version is that version's file.
        artefacts = (Artefact("proof", "1", "", ZERO_SHA, 1, "proof.msi"),)
        changes = (Change("proof", "", "2", "1", ZERO_SHA, replaces=ZERO_SHA),)
    elif kind != "nothing":
        removals = (PRODUCT if kind == "remove-msi" else REMOVED_KB,)
    return packages.install_batch(InstallRequest(changes, artefacts, removals, f"{STAGE}-{kind}"))


PAYLOADS = (*FILE_KINDS, "update-agent", "remove-msi", "remove-kb", "take-back-msi", "nothing")


def staging_texts(artefact: Artefact, content: bytes) -> dict[str, str]:
    """Return what staging one file runs, by name, as deliver/send_windows.py sends it."""
    said: list[str] = []

    def run(text: str, data: object, cap: int) -> bytes:
        said.append(text)
        return f"{NONCE} begin\n{NONCE} have {artefact.sha256}\n{NONCE} end\n".encode()

    class Cache:
        def read(self, sha256: str) -> Iterator[bytes]:
            yield content

    send_windows.list_staged(run, STAGE, [artefact], NONCE)
    send_windows.send_artefacts(run, STAGE, [artefact], Cache(), NONCE)  # type: ignore[arg-type]  # all it asks for
    list(send_windows.read_back(run, STAGE, artefact, NONCE))
    send_windows.drop_staged(run, STAGE)
    return dict(zip(("list", "receive", "accept", "read", "drop"), said, strict=True))


def check_questions() -> dict[str, list[Question]]:
    """Return, by batch, what conditions and the examples of the Windows check types ask."""
    found = {SYSTEM.name: [Question(SYSTEM)]}
    for check in all_checks().values():
        if check.shell == "powershell":
            for question in check.questions(yaml.safe_load(check.example)):
                found.setdefault(question.batch.name, []).append(question)
    return found


@cache
def parts() -> Mapping[str, str]:
    """Return every text that patchctl runs on Windows by the name of its part. Changes only with the code."""
    found = {
        "transport.bootstrap": "".join(
            bootstrap(NONCE, need_elevation=need, data=data) for need in (False, True) for data in (False, True)),
        "transport.psrp": PIPELINE,
        "collect.frame": compile_powershell((), NONCE),
        "runner.program": runner_windows_bodies.RUN,
        "resolve": packages.echo_text([Change("proof", "", "0", "1")]),
        "earlier": PLATFORM.earlier_probe(
            [Change("proof", "x64", "1", "2"), Change("KB0000000", "", "", "installed")]).command,
        "fingerprint": packages.fingerprint_text(["KB0000000", "proof"]),
        "download": packages.download_text(
            [Artefact("proof", "1", "", ZERO_SHA, 1, "proof.bin", ADDRESS)], f"{STAGE}-download"),
    }
    found |= {f"scan.{probe.id.removeprefix('windows.')}": probe.command for probe in PLATFORM.probes("auto")}
    found["scan.updates-offline"] = next(p.command for p in PLATFORM.probes("never") if p.id == "windows.updates")
    found |= {f"runner.{type(request).__name__.lower()}": render(request) for request in REQUESTS}
    proof = Artefact("proof", "1", "", hashlib.sha256(b"proof").hexdigest(), 5, "proof.txt")
    found |= {f"stage.{name}": text for name, text in staging_texts(proof, b"proof").items()}
    found |= {f"payload.{kind}": payload(kind) for kind in PAYLOADS}
    for name, questions in check_questions().items():
        found[f"check.{name}"] = questions[0].batch.script(sorted({question.text for question in questions}))
    for name, key in SCA_KINDS.items():
        found[f"sca.{name}"] = make_batches([key])[0].probe.command
    found["payload.repair"] = fixing_windows.render_payload(example_repairs(), f"{REPAIR}.1", NONCE)
    found |= {f"payload.repair-{kind}": fixing_windows.render_payload([other_repair(kind)], f"{REPAIR}-{kind}.1", NONCE)
              for kind in OTHER_REPAIRS}
    found["repair.listing"] = fixing_windows.render_listing(f"{REPAIR}.1")
    found["repair.answer"] = fixing_windows.render_answer(f"{REPAIR}.1")
    checks = [HealthCheck("unit", "W32Time"), HealthCheck("no_new_failed_units")]
    found |= {f"health.{c.kind}": p.command for c, p in zip(checks, health_probes(checks, "powershell"), strict=True)}
    return dict(sorted(found.items()))


def other_repair(kind: str) -> Fix:
    """Return one repair of OTHER_REPAIRS: these need a machine that has what they change, so each is a part."""
    check, args = OTHER_REPAIRS[kind]
    repair = all_checks()[check].repair(args)
    assert repair is not None, kind
    return Fix(f"proof/{kind}", "proof", kind, "", "low", "declarative", repair.script)


def example_repairs() -> list[Fix]:
    """Return the repairs of the other Windows check types' examples, and one that deletes a value."""
    found = [Fix("proof/delete", "proof", "delete", "", "low", "declarative",
                 fixing_windows.delete_value(r"HKLM\SOFTWARE\patchctl-proof", "Proof") or "")]
    apart = {check for check, _ in OTHER_REPAIRS.values()}
    for name, check in all_checks().items():
        if name in apart:
            continue
        # Before YAML 1.2 `off` is a word for no.
        args = {"off" if key is False else key: value for key, value in yaml.safe_load(check.example).items()}
        repair = check.repair(args) if check.shell == "powershell" else None
        if repair is not None:
            found.append(Fix(f"proof/{name}", "proof", name, "", "low", "declarative", repair.script))
    return found


REQUESTS: tuple[Request, ...] = (
    Look(), Start("proof-nothing.1", "", ""), Poll("proof-nothing.1"), Reboot(BOOT), Cleanup("proof-nothing.1"),
    Takeover(),
)  # fmt: skip


def render(request: Request) -> str:
    """Return a request to the host runner as the kit's own controller sends it."""
    return runner_windows.render(request, CONTROLLER, NONCE)


def digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def never_run(names: Sequence[str], proven: Mapping[str, Mapping[str, str]] = PROVEN) -> list[str]:
    """Return those of the parts whose present text was not shown on Windows. Raise KeyError for a name of none."""
    known = parts()
    return [name for name in names if digest(known[name]) not in proven.get(name, {})]


def parts_of(host: HostPlan, plan: Plan) -> list[str]:
    """Return the parts that a planned Windows host goes through."""
    known = parts()
    names = ["transport.bootstrap", "collect.frame", *(name for name in known if name.startswith("scan."))]
    if not host.changes_something:
        return names
    names += ["resolve", "fingerprint", "earlier", "runner.look", "runner.start", "runner.program", "runner.poll",
              "runner.cleanup"]  # fmt: skip
    if host.reboot != "never" and host.reboot_expected is not False:
        names.append("runner.reboot")
    if host.fixes:
        names = [name for name in names if name not in ("resolve", "fingerprint", "earlier")]
        names += ["payload.repair", "repair.listing"] + ["repair.answer"] * any(
            plan.fixes[fix.name].access for fix in host.fixes)
        scripts = [_without_values(plan.fixes[fix.name].script) for fix in host.fixes]
        names += [f"payload.repair-{kind}" for kind in OTHER_REPAIRS
                  if _without_values(other_repair(kind).script) in scripts]
    kinds = {_kind(change, plan) for change in host.changes}
    if host.undo is not None or plan.undoes:
        kinds |= {"take-back-msi" for change in host.changes if change.replaces}
    kinds |= {"remove-kb" if removal.startswith("KB") else "remove-msi" for removal in host.removals}
    names += [f"payload.{kind}" for kind in sorted(kinds)]
    if kinds & set(FILE_KINDS):
        names += [name for name in known if name.startswith("stage.")] + ["download"]
    return [name for name in dict.fromkeys(names) if name in known]


def never_run_of_plan(plan: Plan) -> dict[str, list[str]]:
    """Return, for each Windows host of a plan, the parts it goes through that were never run on Windows."""
    windows = {name: host for name, host in plan.hosts.items() if host.platform == PLATFORM.name}
    return {name: never_run(parts_of(host, plan)) for name, host in windows.items()}


def describe_never_run(plan: Plan) -> list[str]:
    """Return at most one line for people: which Windows hosts of a plan go through steps nobody has run on Windows."""
    left = {name: missing for name, missing in never_run_of_plan(plan).items() if missing}
    if not left:
        return []
    hosts = list(left)
    shown = ", ".join(hosts[:5]) + (f" and {len(hosts) - 5} more" if len(hosts) > 5 else "")
    steps = {name for missing in left.values() for name in missing}
    every = {name for host in hosts for name in parts_of(plan.hosts[host], plan)}
    return [f"never run on Windows: {len(steps)} of the {len(every)} steps of {shown}; try a host you can lose first"]


def _without_values(script: str) -> str:
    """Return a repair without its first line, which says what is repaired."""
    return script.partition("\n")[2]


def _kind(change: Change, plan: Plan) -> str:
    if change.carrier == CARRIER:
        return "update-agent"
    artefact = plan.artefacts.get(change.sha256)
    return artefact.filename.rpartition(".")[2].lower() if artefact is not None else "nothing"
