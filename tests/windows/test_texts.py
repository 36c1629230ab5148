"""Every PowerShell text of this project through a real grammar; variables that nothing sets are found."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import tree_sitter
import tree_sitter_pwsh
from msgspec.structs import replace

from patchctl.assess.asking import windows_repair
from patchctl.collect import runner_windows
from patchctl.collect.powershell import compile_powershell
from patchctl.collect.runner import Cleanup, Controller, Look, Poll, Reboot, Request, Start, Takeover
from patchctl.deliver import send_windows
from patchctl.model.errors import HostFailure, UsageError
from patchctl.model.facts import Artefact
from patchctl.model.hosts import HealthCheck
from patchctl.model.plan import Change, HostPlan
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.windows import PLATFORM, earlier, packages, probes, removal, update_agent
from patchctl.platforms.windows.codes import INSTALLER, UPDATE_AGENT, explain, normalise
from patchctl.rollout.diagnose import diagnose
from patchctl.rollout.earlier import Offered, find_way_back
from patchctl.usecases import windows_proof
from patchctl.usecases.hostjobs_health import health_probes

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_pwsh.language()))
NONCE = "0123456789abcdef"
UPDATE = Change("KB5031364", "", "", "8cb3e1bd-7b4c-4b5e-9d0b-1f2f6f2f9a11.200", carrier="windows-update")
SHA = "a" * 64
FOLDER = "C:\\ProgramData\\patchctl\\stage\\r"
REQUESTS: list[Request] = [
    Look(), Start("r.1", "echo 'x'", "'y'", FOLDER, ((SHA, "x.msi"),)), Poll("r.1"), Reboot("20261125T080000.000000Z"),
    Cleanup("r.1", FOLDER), Takeover(),
]  # fmt: skip
_MODULE_CALL = re.compile(
    r"\b[A-Z][a-z]+-(?:ScheduledTask\w*|Net[A-Z]\w+|Smb\w+|Mp[A-Z]\w+|BitLocker\w*|LocalGroupMember|\w*OptionalFeature)"
    r"(?: (?:[^|;}\n\"]|\"[^\"\n]*\")*)?")
"""One call: to the end of the statement or the next pipe."""
AUTOMATIC = {"_", "null", "true", "false", "pid", "input", "psscriptroot", "lastexitcode", "env",
             "erroractionpreference", "progresspreference"}  # fmt: skip


def texts() -> Iterator[tuple[str, str]]:
    for request in REQUESTS:
        yield type(request).__name__, runner_windows.render(request, Controller("store", 1, 1), NONCE)
    for refresh in ("auto", "never"):
        for probe in probes.probes(refresh):
            yield f"{probe.id}-{refresh}", probe.command
    yield "collection", compile_powershell(probes.probes("auto"), NONCE)
    yield "install", update_agent.install_text([UPDATE])
    yield "search", update_agent.search_text(online=True)
    yield "fingerprint", packages.fingerprint_text(["KB5031364", "demo-tool"])
    yield "resolve", packages.echo_text([UPDATE])
    yield "earlier", earlier.command([UPDATE, Change("demo-tool", "x64", "1", "2")])
    yield "remove", removal.remove_updates(["KB5031364", "KB5031365~0123abcd"])
    artefact = Artefact("demo-tool", "1", "x64", SHA, 1, "x.msi", "https://files.example.com/x.msi")
    yield "download", packages.download_text([artefact], FOLDER)
    for name, body in (("list", send_windows._LIST), ("accept", send_windows._ACCEPT)):
        head = f"$Nonce = '{NONCE}'\n$Directory = 'x'\n$Sums = @('x')\n"
        yield f"staging-{name}", head + send_windows._SETUP + body
    head = f"$Nonce = '{NONCE}'\n$Path = 'x'\n$Start = 0\n$Blocks = 1\n"
    yield "staging-read", head + send_windows._SETUP + send_windows._READ
    yield "staging-receive", send_windows._RECEIVE.format(path="'x'")
    for probe in health_probes([HealthCheck("unit", "W32Time"), HealthCheck("no_new_failed_units")], "powershell"):
        yield probe.id, probe.command


TEXTS = [pytest.param(text, id=name) for name, text in texts()]


@pytest.mark.parametrize("text", TEXTS)
def test_the_grammar_takes_it(text: str) -> None:
    assert list(errors(text)) == []


@pytest.mark.parametrize("text", TEXTS)
def test_no_variable_is_read_that_nothing_sets(text: str) -> None:
    if text.startswith("& {\n$ErrorActionPreference = 'Stop'\n$body"):
        # The text that SYSTEM runs is a literal, and looked at by itself.
        text = text.partition("$body = ")[0] + text[text.rindex("\nif ([Security"):]
    missing = unset_variables(text)
    assert missing <= {"wanted", "search"} if "wanted" in text else not missing


def unset_variables(text: str) -> set[str]:
    """Return the variables that a text reads and never sets, in lower case. Assignments are found by their looks."""
    code = re.sub(r"'(?:[^']|'')*'", "''", text)  # single-quoted text is data
    code = re.sub(r"`\$\w+", "", re.sub(r"(?m)#.*$", "", code))
    read = {name.lower() for name in re.findall(r"\$(?:global:)?\{?(\w+)", code)}
    assigned = re.findall(r"\$(?:global:)?(\w+)\s*(?:=|\+=|,\s*\$)", code) + re.findall(r"foreach \(\$(\w+)", code)
    assigned += re.findall(r",\s*\$(\w+)\s*=", code) + re.findall(r"[(,]\s*(?:\[[\w\[\].]+\])?\$(\w+)(?=\s*[,)])", code)
    return read - {name.lower() for name in assigned} - AUTOMATIC


@pytest.mark.parametrize("text", [
    *TEXTS, *(pytest.param(text, id=name) for name, text in windows_proof.parts().items()),
    *(pytest.param(text, id=name) for name, text in vars(windows_repair).items() if name.isupper()),
])
def test_functions_of_modules_are_told_what_to_do_with_errors(text: str) -> None:
    """They do not see the $ErrorActionPreference of a script that calls them: a refusal would look like nothing."""
    assert unguarded(text) == []


def unguarded(text: str) -> list[str]:
    """Return calls of functions that come from script and CDXML modules and do not say -ErrorAction."""
    joined = re.sub(r"`\n\s*", "", text)
    return [line.strip() for line in joined.splitlines() for call in _MODULE_CALL.finditer(line)
            if "-ErrorAction" not in call[0]]


def test_the_checks_find_what_is_wrong() -> None:
    assert unguarded("Get-SmbShare -Name x | Out-Null; Get-MpPreference -ErrorAction Stop") == [
        "Get-SmbShare -Name x | Out-Null; Get-MpPreference -ErrorAction Stop"]
    assert list(errors("if ($x { 'y' }"))
    assert list(errors("foreach ($a in $b) { 'c' "))


def errors(text: str) -> Iterator[str]:
    def walk(node: tree_sitter.Node) -> Iterator[str]:
        if node.type == "ERROR" or node.is_missing:
            yield f"{node.type} in line {node.start_point[0] + 1}: {text.splitlines()[node.start_point[0]][:100]}"
        if node.has_error:
            for child in node.children:
                yield from walk(child)

    yield from walk(PARSER.parse(text.encode()).root_node)


@pytest.mark.parametrize("bad", ["../x", "a\nb", "x'y", ""])
def test_names_that_could_be_more_than_names_are_refused(bad: str) -> None:
    for request in (Poll(bad), Cleanup(bad), Start(bad, "", "")):
        with pytest.raises(UsageError):
            runner_windows.render(request, Controller("store", 1, 1), NONCE)
    with pytest.raises(UsageError):
        runner_windows.render(Start("r.1", "", "", FOLDER, ((SHA, f"{bad}\\x|"),)), Controller("s", 1, 1), NONCE)


def test_what_cannot_stand_in_a_batch_file_is_refused() -> None:
    artefact = Artefact("demo", "1", "", SHA, 1, "x.msi")
    change = Change("demo", "", "0", "1", SHA)
    good = packages.install_batch(InstallRequest((change,), (artefact,), (), FOLDER))
    assert 'msiexec.exe /i "x.msi"' in good
    for name in ("x&y.msi", "%x%.msi", "x.bat", "x .msi", "x^.msi", '"x".msi'):
        with pytest.raises(UsageError):
            packages.install_batch(InstallRequest((change,), (
                Artefact("demo", "1", "", SHA, 1, name),), (), FOLDER))
    for folder in ("C:\\x&y", "C:\\%x%", "x", 'C:\\"'):
        with pytest.raises(UsageError):
            packages.install_batch(InstallRequest((change,), (artefact,), (), folder))
    for name in ("demo", "{x}", "KB1&calc"):
        with pytest.raises(UsageError):
            packages.install_batch(InstallRequest((), (), (name,), FOLDER))
    with pytest.raises(UsageError):
        update_agent.install_text([Change("KB1", "", "", "1' or '1")])


def test_what_a_host_offers_to_go_back_to_is_read_and_nothing_else() -> None:
    program = Change("7-Zip", "x64", "23.01", "24.08")
    known, refused, silent = (replace(UPDATE, package=f"KB503000{n}") for n in range(3))
    driver = replace(UPDATE, package="8cb3e1bd-7b4c-4b5e-9d0b-1f2f6f2f9a11")
    policys = Change("KB5040000", "", "", "installed", SHA)
    changes = [program, known, refused, silent, driver, policys]
    said = "\r\n".join([
        f"file|7-Zip|23.01|x64|{'AB' * 32}|4096", f"file|7-Zip|23.00|x64|{'AC' * 32}|4096",
        f"file|..\\7-Zip|23.01|x64|{'AB' * 32}|4096", "file|7-Zip|23.01|x64|00|4096", "parts|other|1",
        "update|KB5030000|removable", "update|KB5030001|permanent", "update|KB5030002|nonsense",
        "update|KB5040000|unknown",
    ])  # fmt: skip
    (file,) = earlier.read(changes, said)
    assert (file.filename, file.sha256, file.size, file.uri) == ("7-Zip-23.01.msi", "ab" * 32, 4096, "")
    found = earlier.read_removable(changes, said)
    assert found.pop(driver.package).startswith("an update without a KB number")
    assert found == {"KB5030000": "", "KB5030001": "Windows calls it permanent: it cannot be uninstalled"}
    plan = HostPlan("h", "all", 1, "windows", (program, policys))
    own = {SHA: Artefact("KB5040000", "installed", "", SHA, 1, "kb.msu")}
    undo, _ = find_way_back(plan, Offered((file,)), {}, own)
    assert undo.why_not == (
        "7-Zip: its file is not known; "
        "KB5040000: nobody says that kb.msu can be uninstalled (uninstall: dism, once it was tried)")
    later = Artefact("7-Zip", "24.08", "x64", "b" * 64, 1, "7-Zip-23.01.msi")  # a name that says nothing
    plan = replace(plan, changes=(replace(program, sha256="b" * 64), policys))
    own = {"b" * 64: later, SHA: replace(own[SHA], uninstall="dism")}
    undo, files = find_way_back(plan, Offered((file,)), {}, own)
    assert (undo.why_not, undo.removals, undo.changes[0].replaces) == ("", ("KB5040000",), "b" * 64)
    assert len({one.filename for one in files}) == 2, "both are staged in one folder"
    assert find_way_back(plan, Offered((file,), (("KB5040000", "permanent"),)), {}, own)[0].why_not == (
        "KB5040000: permanent"), "the host's own word counts before the policy's"
    assert "nobody" in find_way_back(plan, HostFailure("x", "nobody answered"), {}, own)[0].why_not


def test_update_agent_text_stands_behind_the_batch_files_end() -> None:
    text = packages.install_batch(InstallRequest((UPDATE,), (), (), FOLDER))
    batch, _, script = text.partition("#AGENT#")
    assert batch.rstrip().endswith("exit /b %bad%")
    assert "#AGENT#" not in batch
    assert list(errors(script)) == []


@pytest.mark.parametrize("code", [c for c in INSTALLER if not c.ok], ids=lambda c: f"{c.name}-{c.number}")
def test_every_exit_code_is_diagnosed(code: object) -> None:
    for word in (str(code.number), str(code.number - (1 << 32)) if code.number >= 1 << 31 else str(code.number)):  # type: ignore[attr-defined]
        log = f"patchctl: step install x.msi\npatchctl: exit-code x.msi {word}\n"
        found = diagnose("poll", None, {"log": log, "rc": 1}, PLATFORM.signatures)
        assert (found.signature, found.cls, found.transient, found.remedy) == (
            code.name, code.cls, code.transient, code.remedy)  # type: ignore[attr-defined]
        assert "x.msi" in found.message


@pytest.mark.parametrize("code", UPDATE_AGENT, ids=lambda c: f"{c.name}-{c.number:08X}")
def test_every_hresult_is_diagnosed_however_it_is_spelled(code: object) -> None:
    number: int = code.number  # type: ignore[attr-defined]
    lines = [f"patchctl: hresult KB1 0x{number:08X}", f"patchctl: exit-code x.msu {number}",
             f"patchctl: exit-code x.msu {number - (1 << 32)}"]  # fmt: skip
    for line in lines:
        found = diagnose("poll", None, {"log": line, "rc": 1}, PLATFORM.signatures)
        assert (found.signature, found.cls) == (code.name, code.cls)  # type: ignore[attr-defined]
    assert normalise(str(number - (1 << 32))) == number
    assert explain(number) is code


@pytest.mark.parametrize(("line", "signature", "cls"), [
    ("patchctl: not-offered KB5031364", "update-withdrawn", "repository"),
    ("patchctl: reboot-first", "reboot-pending", "reboot"),
    ("patchctl: asks-questions KB1", "asks-questions", "patch"),
    ("patchctl: exit-code setup.exe 4711", "installer-failed", "patch"),
    ("patchctl: hresult KB1 0x80131234", "update-failed", "patch"),
    ("patchctl: task-timeout no result after 540 s", "agent-task-late", "package-manager"),
    ("patchctl: exit-code x.msi 3010", "unknown", "unknown"),
    ("patchctl: hresult KB1 0x00000000", "unknown", "unknown"),
])  # fmt: skip
def test_other_words_of_the_payload(line: str, signature: str, cls: str) -> None:
    found = diagnose("poll", None, {"log": line, "rc": 1}, PLATFORM.signatures)
    assert (found.signature, found.cls) == (signature, cls)


def test_codes_that_pass_are_no_failures() -> None:
    assert {c.number for c in INSTALLER if c.ok} == {0, 3010, 1641, 0x240006, 0x240005}
    assert explain(0x80070002) is None
    assert normalise("nonsense") is None
