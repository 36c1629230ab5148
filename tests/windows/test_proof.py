"""The kit for real Windows machines is complete and readable; what it brings back is checked; plans tell the rest."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from patchctl.cli.plan import describe_plan, never_run_note
from patchctl.connect.winrm_script import command_line, read_bootstrap
from patchctl.model.facts import Artefact
from patchctl.model.plan import Change, Plan
from patchctl.platforms.windows.names import CARRIER
from patchctl.platforms.windows.proven import PROVEN
from patchctl.usecases import windows_proof as wp
from tests.sim.fleet import make_fleet
from tests.windows.proof.__main__ import main
from tests.windows.proof.kit import Step, build, contents, manifest, steps
from tests.windows.proof.page import PAGE, page_text
from tests.windows.proof.result import CAPTURES, REGISTRY, Outcome, ResultError, judge, keep, read_result
from tests.windows.test_texts import errors, unset_variables

ROOT = Path(__file__).parents[2]
STEPS = steps()
KIT = contents()


@pytest.mark.parametrize("name", [name for name in KIT if name.endswith(".ps1")])
def test_the_grammar_takes_every_text_of_the_kit(name: str) -> None:
    assert list(errors(KIT[name].decode())) == []


def test_the_driver_reads_no_variable_that_nothing_sets() -> None:
    text = KIT["run-proof.ps1"].decode()
    own = {"matches", "psversiontable"}  # PowerShell sets these
    assert unset_variables(text) == own
    assert unset_variables(text.replace("$there = Test-Path", "$other = Test-Path")) == {"there", *own}


def test_the_pipeline_of_psrp_reads_no_variable_that_nothing_sets() -> None:
    assert unset_variables(wp.parts()["transport.psrp"]) == set()


@pytest.mark.parametrize("name", [n for n in wp.parts() if not n.startswith("payload.") and n != "runner.program"])
def test_the_grammar_takes_every_part_by_itself(name: str) -> None:
    assert list(errors(wp.parts()[name])) == []


# ---- nothing is left out ----

_POWERSHELL = re.compile(
    r"\$[A-Za-z]\w* = |\b(?:Get|Set|New|Remove|Write|Start|Stop|Register|Unregister|Add|Copy|Test|Invoke|ForEach|Where|"
    r"Select|ConvertTo|ConvertFrom|Sort|Join|Split|Out|Enable|Disable|Clear|Move|Rename|Show|Tell|Send)-[A-Z][a-z]+[A-Z\s(]"
    r"|\[(?:IO\.|Console\]|Environment\]|Text\.|Convert\]|DateTime\]|Guid\]|Math\])|\breg\.exe |powershell\.exe")


@cache
def powershell_lines() -> tuple[tuple[str, str], ...]:
    """Return (place, line) of everything in the product's code that reads like PowerShell, as it is written there."""
    return tuple(_lines())


def _lines() -> Iterator[tuple[str, str]]:
    for file in sorted((ROOT / "patchctl").rglob("*.py")):
        text = file.read_text()
        if not _POWERSHELL.search(text):
            continue
        tree = ast.parse(text)
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said \
                    and _POWERSHELL.search(node.value):
                for line in node.value.split("\n"):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", line


def missing_lines(corpus: str) -> list[str]:
    """Return the lines that no text of the corpus has. Placeholders ({x}, @X@, %(x)d) may stand for anything."""
    found = []
    for place, line in powershell_lines():
        variants = (line, line.replace("{{", "{").replace("}}", "}"))
        if not any(all(piece.strip() in corpus for piece in re.split(r"\{\w+\}|@[A-Z]+@|%\(\w+\)\w", variant))
                   for variant in variants):
            found.append(f"{place}: {line}")
    return found


# Words for people that name a program, and the command line, which the driver has (the next test looks).
_WORDS = ("as Get-MpComputerStatus or Get-MpPreference calls it", "HKLM\\... or HKU\\..., as reg.exe writes it",
          command_line(""))


def test_every_powershell_text_in_the_code_is_in_the_kit_and_was_parsed() -> None:
    corpus = "\n".join(wp.parts().values())
    corpus += corpus.replace("''", "'") + corpus.replace("''''", "'")
    missing = [line for line in missing_lines(corpus) if not line.endswith(_WORDS)]
    assert missing == [], "make it a part (usecases/windows_proof.py) and a step (tests/windows/proof/kit.py)"
    assert len(powershell_lines()) > 400
    cut = corpus.replace("Win32_QuickFixEngineering", "Win32_Gone")
    assert any("probes.py" in line for line in missing_lines(cut))


def test_the_driver_starts_texts_as_the_transport_does() -> None:
    program, _, arguments = command_line("").partition(" ")
    assert f'"{arguments}$encoded"' in KIT["run-proof.ps1"].decode()
    assert program in KIT["run-proof.ps1"].decode()
    plain, fed = (KIT[f"scripts/bootstrap{kind}.ps1"].decode() for kind in ("", "-fed"))
    assert read_bootstrap(plain) == read_bootstrap(fed) == (wp.NONCE, True)


def test_every_part_is_shown_by_some_step_and_no_step_by_another_text() -> None:
    assert {part for step in STEPS for part in step.proves} == set(wp.parts())
    for name in wp.parts():
        assert any(step.needs == "" or step.changing for step in STEPS if name in step.proves)
    listed = {entry["name"]: entry for entry in manifest()["steps"]}
    assert set(listed) == {step.name for step in STEPS}
    for step in STEPS:
        data = KIT[listed[step.name]["file"]]
        assert hashlib.sha256(data).hexdigest() == listed[step.name]["sha256"] == step.sha256


def test_what_reads_comes_first_and_what_changes_is_marked() -> None:
    marks = [step.changing for step in STEPS]
    assert marks == sorted(marks)
    reading = "\n".join(step.text for step in STEPS if not step.changing)
    for words in ("shutdown.exe", "Write-Fence $Token $Attempt", "msiexec.exe /i", "$installer.Install()"):
        assert words not in reading
        assert any(words in step.text for step in STEPS if step.changing)


def test_the_kit_is_one_file_and_always_the_same(tmp_path: Path) -> None:
    data = build()
    assert data == build()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = {name.removeprefix("windows-proof/") for name in archive.namelist()}
        listed = json.loads(archive.read("windows-proof/steps.json"))
        assert names == {*listed["files"], "steps.json"}
        for name, sha in listed["files"].items():
            assert hashlib.sha256(archive.read(f"windows-proof/{name}")).hexdigest() == sha


# ---- what comes back ----


def synthetic_output(step: Step) -> bytes:
    """Make up an output that would count as shown. It is SYNTHETIC: no Windows said it."""
    return "".join(f"{line}SYNTHETIC\n" if line.endswith((" ", "=")) else f"{line}\n" for line in step.must).encode()


def result(tmp_path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None] = lambda d, f: None, *,
           synthetic: bool = True) -> Path:
    """Write a SYNTHETIC result of all steps that only read; `change` may spoil it."""
    files: dict[str, bytes] = {}
    entries: list[dict[str, Any]] = []
    for step in STEPS:
        if step.changing:
            entries.append({"name": step.name, "sha256": step.sha256, "state": "skipped", "reason": "changes the host"})
            continue
        out = files[f"captures/{step.name}.stdout"] = synthetic_output(step)
        err = files[f"captures/{step.name}.stderr"] = b""
        entries.append({
            "name": step.name, "sha256": step.sha256, "state": "ran", "exit_code": 0, "filled": {},
            "run_sha256": step.sha256, "stdout_sha256": hashlib.sha256(out).hexdigest(),
            "stderr_sha256": hashlib.sha256(err).hexdigest()})
    document = {"schema": "patchctl/windows-proof-result/1", "synthetic": synthetic,
                "host": {"build": "99999", "ubr": 1, "product": "SYNTHETIC, no Windows"}, "steps": entries}
    change(document, files)
    target = tmp_path / "SYNTHETIC-result.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("result.json", "\ufeff" + json.dumps(document))
        for name, data in files.items():
            archive.writestr(name.replace("/", "\\"), data)  # as Compress-Archive of PowerShell 5.1 packs
    return target


def places(tmp_path: Path) -> dict[str, Path]:
    registry = tmp_path / "proven.py"
    registry.write_text("# head\nPROVEN: Mapping[str, Mapping[str, str]] = {}\n")
    return {"folder": tmp_path / "captures", "registry": registry}


def test_a_synthetic_result_is_read_and_never_registered(tmp_path: Path) -> None:
    outcome = read_result(result(tmp_path))
    assert outcome.synthetic
    assert [one.step.name for one in outcome.captured if one.problem] == []
    where = places(tmp_path)
    with pytest.raises(ResultError, match="synthetic"):
        keep(outcome, **where)
    assert not where["folder"].exists()
    assert "{}" in where["registry"].read_text()


def test_the_command_builds_the_kit_and_refuses_what_shows_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(tmp_path / "dist")]) == 0
    (kit,) = (tmp_path / "dist").iterdir()
    said = capsys.readouterr().out
    assert hashlib.sha256(kit.read_bytes()).hexdigest() in said
    assert f"{len(wp.never_run(list(wp.parts())))} of {len(wp.parts())} parts were never run on Windows" in said
    before = REGISTRY.read_text()
    assert main(["import", str(result(tmp_path))]) == 2
    assert "synthetic" in capsys.readouterr().err
    assert (REGISTRY.read_text(), (CAPTURES / "99999.1").exists()) == (before, False)


def test_a_result_marks_its_parts_until_their_text_changes(tmp_path: Path) -> None:
    outcome = read_result(result(tmp_path, synthetic=False))
    where = places(tmp_path)
    new = keep(outcome, **where)
    space: dict[str, Any] = {"Mapping": dict}
    exec(where["registry"].read_text().replace("Mapping[str, Mapping[str, str]]", "dict"), space)
    proven = space["PROVEN"]
    assert set(new) == set(proven) == set(outcome.shown)
    assert {"scan.os", "runner.look", "transport.bootstrap", "check.windows-registry"} <= set(new)
    assert wp.never_run(new, proven) == []
    assert "runner.start" in wp.never_run(list(wp.parts()), proven)
    assert (where["folder"] / "99999.1" / "scan.os.stdout").read_bytes() == synthetic_output(
        next(step for step in STEPS if step.name == "scan.os"))
    other = {"scan.os": {"0" * 64: "99999.1/scan.os"}}
    assert wp.never_run(["scan.os"], other) == ["scan.os"]
    assert "`scan.os` (99999.1)" in page_text(PAGE.read_text(), proven)


def spoil_hash(document: dict[str, Any], files: dict[str, bytes]) -> None:
    files["captures/scan.os.stdout"] += b"more"


def escape(document: dict[str, Any], files: dict[str, bytes]) -> None:
    del files["captures/scan.os.stdout"]
    files["../captures/scan.os.stdout"] = b""


def other_schema(document: dict[str, Any], files: dict[str, bytes]) -> None:
    document["schema"] = "x/1"


def not_said(document: dict[str, Any], files: dict[str, bytes]) -> None:
    document["synthetic"] = "no"


def no_steps(document: dict[str, Any], files: dict[str, bytes]) -> None:
    document["steps"] = {"name": 1}


def bad_fill(document: dict[str, Any], files: dict[str, bytes]) -> None:
    document["steps"][0]["filled"] = {"sha256": "'; calc"}


@pytest.mark.parametrize("change", [spoil_hash, escape, other_schema, not_said, no_steps, bad_fill])
def test_what_is_no_result_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None]
) -> None:
    with pytest.raises(ResultError):
        read_result(result(tmp_path, change, synthetic=False))


def test_no_zip_and_no_build_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK no")
    with pytest.raises(ResultError):
        read_result(tmp_path / "x.zip")

    def nowhere(document: dict[str, Any], files: dict[str, bytes]) -> None:
        document["host"]["build"] = "../../x"

    outcome = read_result(result(tmp_path, nowhere, synthetic=False))
    with pytest.raises(ResultError, match="build"):
        keep(outcome, **places(tmp_path))


def spoilt(tmp_path: Path, name: str, changes: dict[str, Any]) -> Outcome:
    def change(document: dict[str, Any], files: dict[str, bytes]) -> None:
        entry = next(entry for entry in document["steps"] if entry["name"] == name)
        if "stdout" in changes:
            data = files[f"captures/{name}.stdout"] = changes["stdout"]
            entry["stdout_sha256"] = hashlib.sha256(data).hexdigest()
        entry.update({key: value for key, value in changes.items() if key != "stdout"})

    return read_result(result(tmp_path, change, synthetic=False))


def test_what_failed_or_was_another_text_shows_nothing(tmp_path: Path) -> None:
    for changes in ({"exit_code": 1}, {"stdout": b"Access is denied"}, {"run_sha256": "0" * 64}, {"state": "late"},
                    {"sha256": "0" * 64}, {"name": "no.such.step"}):
        outcome = spoilt(tmp_path, "scan.os", changes)
        assert "scan.os" not in outcome.shown, changes
        assert "scan.clock" in outcome.shown
    search = next(step for step in STEPS if step.name == "scan.updates")
    said = f"{wp.NONCE}=scan.updates patchctl: hresult search 0x80070005\n".encode()
    assert judge(search, synthetic_output(search), 0, {}) == ""
    assert "patchctl: " in judge(search, synthetic_output(search) + said, 0, {})


def test_what_the_registry_names_is_there_and_still_shows_it() -> None:
    """Nothing yet, as long as no Windows has run the kit."""
    known = {step.name: step for step in STEPS}
    for part, hashes in PROVEN.items():
        for sha, capture in hashes.items():
            assert re.fullmatch(r"[0-9a-f]{64}", sha)
            about = json.loads((CAPTURES / capture.partition("/")[0] / "about.json").read_text())
            assert "SYNTHETIC" not in json.dumps(about)
            step = known[capture.partition("/")[2]]
            if sha == wp.digest(wp.parts()[part]):
                assert about["steps"][step.name]["problem"] == ""
                assert judge(step, (CAPTURES / f"{capture}.stdout").read_bytes(), 0, {}) == "" or step.changing


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page_text(PAGE.read_text()), "run: python -m tests.windows.proof page"


# ---- plans tell ----


def windows_plan(*changes: Change, artefacts: tuple[Artefact, ...] = ()) -> Plan:
    plan, _ = make_fleet(1, 3)
    hosts = {name: replace(host, platform="apt", changes=(), removals=()) for name, host in plan.hosts.items()}
    first = next(iter(hosts))
    hosts[first] = replace(hosts[first], platform="windows", changes=changes, skip="", reboot_expected=False)
    return replace(plan, hosts=hosts, artefacts={a.sha256: a for a in artefacts})


def test_plans_name_the_steps_of_windows_hosts_that_were_never_run() -> None:
    msi = Artefact("demo", "2", "x64", "a" * 64, 1, "demo.msi")
    plan = windows_plan(Change("demo", "x64", "1", "2", "a" * 64), Change("KB1", "", "", f"{wp.UPDATE_ID}.1",
                        carrier=CARRIER), artefacts=(msi,))
    document = describe_plan(plan)
    first, *rest = document.data["hosts"] if document.data["hosts"][0]["platform"] == "windows" else sorted(
        document.data["hosts"], key=lambda host: host["platform"] != "windows")
    never = set(first["never_run_on_windows"])
    assert {"runner.start", "payload.msi", "payload.update-agent", "stage.receive", "scan.os"} <= never
    assert not {"payload.exe", "runner.reboot", "check.windows-audit"} & never
    assert all("never_run_on_windows" not in host for host in rest)
    (note,) = never_run_note(plan)
    assert note.startswith(f"never run on Windows: {len(never)} of the ")
    assert first["host"] in note
    assert any(note in line for line in document.footer)
    assert wp.never_run(sorted(never), {name: {wp.digest(text): "1.1/x"} for name, text in wp.parts().items()}) == []


def test_plans_without_windows_say_nothing_of_it() -> None:
    plan, _ = make_fleet(1, 3)
    plan = replace(plan, hosts={name: replace(host, platform="apt") for name, host in plan.hosts.items()})
    assert never_run_note(plan) == []
    assert all("never_run_on_windows" not in host for host in describe_plan(plan).data["hosts"])
