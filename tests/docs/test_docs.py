"""The documentation is true: commands run, examples load, links lead somewhere, lists are complete."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from patchctl.cli.main import main
from patchctl.documents.baselines import read_baseline
from patchctl.documents.inventories import load_inventory
from patchctl.documents.loader import load_document
from patchctl.documents.policies import load_policy
from patchctl.documents.settings import load_settings
from patchctl.documents.source import Findings
from patchctl.usecases.content import check_baseline, read_content
from patchctl.usecases.hostjobs import _CODES
from tests.docs import commands
from tests.docs.codes import find_codes
from tests.docs.pages import PAGES, ROOT, Block, all_blocks, read_anchors, read_invocations, read_links
from tests.lab import Lab, LabHost

BLOCKS = all_blocks()
CONSOLE = [b for b in BLOCKS if b.language == "console"]
OFFLINE = [b for b in CONSOLE if b.reason is None and "lab" not in b.words]
LAB = [b for b in CONSOLE if b.reason is None and "lab" in b.words]
YAML = [b for b in BLOCKS if b.language == "yaml"]
ERROR_CODES = ROOT / "docs" / "reference" / "error-codes.md"
# Codes that are put together while the program runs: METHOD-CODE of privilege_words.py.
COMPOSED = re.compile(r"sudo-[a-z-]+")


def place(block: Block) -> str:
    return block.place


# --- text


def test_blocks_are_known_and_those_not_run_say_why() -> None:
    for block in BLOCKS:
        assert block.language in ("", "console", "yaml", "python"), block.place
        assert block.reason is None or len(block.reason) > 10, f"{block.place}: say why it is not run"
        if block.language == "console":
            assert block.commands, f"{block.place}: a console block without a command"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in read_links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        assert not anchor or anchor in read_anchors(target), f"{page.name}: {link} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_and_options_exist(page: Path) -> None:
    for words in read_invocations(page):
        check_invocation(words, page.name)


def check_invocation(words: list[str], where: str) -> None:
    """Check command names and options of a command line; what else it says is not looked at."""
    command: click.Command = main
    rest = list(words)
    context = click.Context(main, info_name="patchctl")
    while isinstance(command, click.Group) and rest and re.fullmatch(r"[a-z]+", rest[0]):
        found = command.get_command(context, rest.pop(0))
        assert found is not None, f"{where}: no such command: patchctl {' '.join(words)}"
        command = found
    known = {option for p in (*command.params, *main.params) for option in p.opts} | {"--help"}
    for word in rest:
        option = re.split(r"[=.:|]", word)[0]
        assert not re.match(r"--?[a-z]", option) or option in known, f"{where}: {option} in patchctl {' '.join(words)}"


@pytest.mark.parametrize("words", ["scan --nonsense", "rollout sing", "inventory show web01 --policy p"])
def test_a_wrong_command_is_found(words: str) -> None:
    with pytest.raises(AssertionError):
        check_invocation(words.split(), "a page")


def test_a_failing_command_is_found(tmp_path: Path) -> None:
    block = Block(ROOT / "README.md", 1, "console", "$ patchctl config show\n$ patchctl plan --policy none\n$ true\n")
    with pytest.raises(AssertionError, match="no-policy"):
        run_block(block, tmp_path)


def test_hints_name_commands_and_options_that_exist() -> None:
    """What the program itself tells people to type: `patchctl COMMAND ...` in its texts."""
    for path in sorted((ROOT / "patchctl").rglob("*.py")):
        for text in re.findall(r"patchctl ((?:[a-z]+)[^\"`;\n]*)", path.read_text("utf-8")):
            words = re.split(r"[\s(),]+", text.strip())
            if words[0] in main.list_commands(click.Context(main)):
                check_invocation(words, str(path.relative_to(ROOT)))


def test_every_page_is_in_the_index() -> None:
    index = {(ROOT / "docs" / link).resolve() for link in read_links(ROOT / "docs" / "README.md")}
    missing = {page for page in PAGES if page.is_relative_to(ROOT / "docs") and page.name != "README.md"} - index
    assert not missing


def test_the_list_of_commands_is_current() -> None:
    # In a process of its own: click keeps the help option of a command as its first caller had it.
    words = [sys.executable, "-c", "from tests.docs import commands; print(commands.render(), end='')"]
    rendered = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert commands.PAGE.read_text("utf-8") == rendered, "run: python3 -m tests.docs.commands"


def test_every_error_code_is_documented() -> None:
    text = ERROR_CODES.read_text("utf-8")
    made = {m.code: m for m in find_codes()}
    assert len(made) > 200, "the search for codes finds them no more"
    missing = sorted({*made, *_CODES.values()} - set(re.findall(r"`([a-z][a-z0-9-]*)`", text)))
    assert not missing, [f"{code} ({made[code].place if code in made else 'runner'})" for code in missing]


def test_no_documented_error_code_is_invented() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "patchctl").rglob("*.py"))
    for line in ERROR_CODES.read_text("utf-8").splitlines():
        for code in re.findall(r"`([a-z][a-z0-9-]*)`", line.split("|")[1] if line.startswith("| `") else ""):
            literal = code.removeprefix("sudo-") if COMPOSED.fullmatch(code) else code
            assert f'"{literal}"' in source or f'-{literal}"' in source, f"{code} is nowhere in the program"


def test_hints_name_settings_that_exist() -> None:
    for path in (ROOT / "patchctl").rglob("*.py"):
        text = path.read_text("utf-8")
        assert "transport: openssh" not in text, f"{path.name}: the inventory's key is connection:"
        assert "ANSIBLE_VAULT_PASSWORD_FILE" not in text, f"{path.name}: this variable is not read"


# --- examples


@pytest.mark.parametrize("block", YAML, ids=place)
def test_yaml_examples_load(block: Block, tmp_path: Path) -> None:
    if block.reason is not None:
        return
    kind = block.words[0] if block.words else ""
    path = tmp_path / ("patchctl.yaml" if kind == "settings" else "example.yaml")
    path.write_text(block.text)
    if kind == "inventory":
        assert load_inventory([path]).hosts
    elif kind in ("policy", "policy-part"):
        if kind == "policy-part":
            path.write_text("policy: example\n" + block.text)
        load_policy(path)
    elif kind == "baseline":
        read_content(path)
        findings = Findings()
        found = read_baseline(path, block.place, findings)
        assert found
        check_baseline(found, findings)
        assert not findings.problems
    elif kind == "settings":
        load_settings({}, tmp_path, {"HOME": str(tmp_path)})
    else:  # fragments: at least the strict loader takes them
        findings = Findings()
        assert load_document(path, block.place, findings) is not None
        assert not findings.problems, block.place


# --- commands


def run_block(block: Block, folder: Path, **env: str) -> None:
    """Run a block's commands in one shell, in the folder. Where a person would be asked, the answer is yes."""
    lines = [re.sub(r"^(patchctl (?:trust|apply|rollout abort)\b(?!.*--(?:yes|check)).*)$", r"\1 --yes", c)
             for c in block.commands]
    done = subprocess.run(
        ["/bin/sh", "-exc", "\n".join(lines)], cwd=folder, stdin=subprocess.DEVNULL, text=True, capture_output=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **env}, timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{block.place}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def make_project(folder: Path, hosts: tuple[str, ...]) -> Path:
    words = [word for host in hosts for word in ("--host", host)]
    command = [sys.executable, "-m", "patchctl", "init", str(folder), "--user", "ops", *words]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("docs") / "project", ("web[01:02]", "db01"))


@pytest.mark.parametrize("block", OFFLINE, ids=place)
def test_commands_run(block: Block, project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    if "new" in block.words:
        folder.mkdir()
    else:
        shutil.copytree(project, folder)
    run_block(block, folder)


def write_inventory(path: Path, lab: Lab, hosts: list[LabHost]) -> None:
    """Write an inventory in which the lab's hosts bear the names of the documentation."""
    lines = ["defaults:", "  user: ops", "  become: sudo", f"  port: {lab.port}", f"  keys: [{lab.key}]", "groups:",
             "  canary: {hosts: [web01]}", "  prod:", "    hosts:"]
    lines += [f"      web{number:02}: {{address: {host.address}}}" for number, host in enumerate(hosts, 1)]
    path.write_text("\n".join(lines) + "\n")


def shorten_policy(path: Path) -> None:
    """Let a policy approve the lab's own small packages only: the same commands, in less time."""
    text = path.read_text("utf-8").replace('{package: "*"}', '{package: "lab-*"}')
    path.write_text(text.partition("tests:")[0], "utf-8")


def test_no_message_advises_an_option_that_no_command_has() -> None:
    known: set[str] = set()

    def learn(command: click.Command, context: click.Context) -> None:
        known.update(option for parameter in command.get_params(context) for option in parameter.opts)
        for name in command.list_commands(context) if isinstance(command, click.Group) else ():
            inner = command.get_command(context, name)  # type: ignore[attr-defined]  # it is a Group here
            learn(inner, click.Context(inner, info_name=name, parent=context))

    learn(main, click.Context(main, info_name="patchctl"))
    advice = re.compile(r"\b(?:with|add|use|give|name|needs|leave|by) (--[a-z][a-z-]+)")
    texts = [path.read_text("utf-8") for path in (ROOT / "patchctl").rglob("*.py")]
    advised = {option for text in texts for option in advice.findall(text)}
    assert "--yes" in advised
    assert advised - known <= {"--list", "--all"}, "not ours: inventory scripts' --list, zypper's --all"


@pytest.mark.lab
def test_first_use_and_tutorial_run_on_real_hosts(
    lab: Lab, fresh_hosts: Callable[[int], list[LabHost]], tmp_path: Path
) -> None:
    """The README's first use on one host; then the tutorial and the how-tos on two others, in one project."""
    one, two, three = fresh_hosts(3)
    write_inventory(tmp_path / "readme.yaml", lab, [one])
    editor = tmp_path / "editor"
    editor.write_text(f'cp {tmp_path}/readme.yaml "$1"\n{sys.executable} -c "'
                      "from pathlib import Path; from tests.docs.test_docs import shorten_policy; "
                      "shorten_policy(Path('policies/everything-now.yaml'))\"\n")
    editor.chmod(0o755)
    project = make_project(tmp_path / "project", ())
    write_inventory(project / "inventories" / "hosts.yaml", lab, [two, three])
    shorten_policy(project / "policies" / "everything-now.yaml")
    first = [b for b in LAB if b.page == ROOT / "README.md"]
    tutorial = [b for b in LAB if b.page.name == "tutorial.md"]
    assert first
    assert tutorial
    for block in first:
        run_block(block, tmp_path, EDITOR=f"/bin/sh {editor}", PYTHONPATH=str(ROOT))
    for block in (*tutorial, *(b for b in LAB if b not in first and b not in tutorial)):
        run_block(block, project)
    for host in (one, two, three):
        assert not [name for name, *_ in host.upgradable() if name.startswith("lab-")], f"{host.name} is not patched"
