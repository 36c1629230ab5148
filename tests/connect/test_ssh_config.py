"""Our reader of ssh_config says what `ssh -G` says; what it does not understand it leaves to ssh, never guessing."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from patchctl.connect.ssh_config import NotUnderstoodError, Person, evaluate, parse_file, split_words
from patchctl.connect.ssh_settings import SshConfig, SshSettings
from patchctl.model.errors import UsageError

ME = Person(getpass.getuser(), str(Path("~").expanduser()))
HOSTS = ["web1", "web2.ex.com", "db", "10.0.0.7", "WEB1"]


def reader(path: Path) -> SshConfig:
    return SshConfig(((path, Path("~/.ssh").expanduser()),), path, ME)


def ask(path: Path, host: str, user: str = "") -> dict[str, list[str]] | None:
    done = subprocess.run(
        ["ssh", "-G", "-F", str(path), *(["-l", user] if user else []), "--", host],
        capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    return found


def expand(text: str, host: str, oracle: dict[str, list[str]]) -> str:
    """Tokens and ~ as ssh expands them later than -G prints."""
    if text.startswith("~/"):
        text = ME.home + text[1:]
    text = text.replace("${HOME}", os.environ["HOME"])
    values = {"%%": "\0", "%h": oracle["hostname"][0], "%n": host, "%p": oracle["port"][0], "%r": oracle["user"][0],
              "%u": ME.user, "%d": ME.home}
    for token, value in values.items():
        text = text.replace(token, value)
    return text.replace("\0", "%")


def check(ours: SshSettings, oracle: dict[str, list[str]], host: str) -> None:
    assert (ours.host_name or host.lower()) == oracle["hostname"][0]
    assert (ours.port or 22) == int(oracle["port"][0])
    assert (ours.user or ME.user) == oracle["user"][0]
    assert ours.identities_only == (oracle["identitiesonly"][0] == "yes")
    # where none is set, ssh -G prints its own defaults
    if ours.identity_files:
        assert list(ours.identity_files) == [expand(value, host, oracle) for value in oracle["identityfile"]]
    jump = oracle.get("proxyjump", ["none"])[0]
    assert ",".join(ours.proxy_jump) == ("" if jump == "none" else expand(jump, host, oracle))
    command = oracle.get("proxycommand", ["none"])[0]
    assert ours.proxy_command == ("" if command == "none" else command)
    assert ours.host_key_alias == oracle.get("hostkeyalias", [""])[0]
    known = [expand(word, host, oracle) for word in oracle["userknownhostsfile"][0].split()]
    assert list(ours.known_hosts_files[: len(known)]) == known


values = st.one_of(
    st.tuples(st.just("HostName"), st.sampled_from(["10.1.1.1", "%h.ex.com", "a%%b", "[fe80::1]", '"quoted.ex.com"'])),
    st.tuples(st.just("Port"), st.sampled_from(["22", "2222", "65535"])),
    st.tuples(st.just("User"), st.sampled_from(["ops", "root", '"a b"', "o\\\\ps"])),
    st.tuples(st.just("IdentityFile"), st.sampled_from(
        ["~/.ssh/a", "/k/%h-%r", "/k/%n.%p", '"/k/with space"', "${HOME}/k", "%d/x%%y", "/k/%u", "'/single/q'"])),
    st.tuples(st.just("IdentitiesOnly"), st.sampled_from(["yes", "no"])),
    st.tuples(st.just("ProxyJump"), st.sampled_from(["gw", "u@gw:2222,gw2", "none", "%r@gw"])),
    st.tuples(st.just("ProxyCommand"), st.sampled_from(["none", "nc %h %p # not a comment", 'sh -c "x y"'])),
    st.tuples(st.just("HostKeyAlias"), st.sampled_from(["alias", "alias.ex.com"])),
    st.tuples(st.just("UserKnownHostsFile"), st.sampled_from(["/k/h", "/k/h1 /k/h2", "~/kh %d/kh2"])),
    st.tuples(st.just("ForwardAgent"), st.sampled_from(["yes", "no"])),
    st.tuples(st.just("ServerAliveInterval"), st.just("15")),
)
patterns = st.sampled_from(["*", "web1", "web?", "web*", "*.ex.com", "10.0.0.*", "!web1", "db", "!*.ex.com", "WEB1"])
heads = st.one_of(
    st.lists(patterns, min_size=1, max_size=3).map(lambda words: "Host " + " ".join(words)),
    st.just("Match all"),
    st.tuples(st.sampled_from(["host", "originalhost", "!host", "Host", "!originalhost"]),
              st.lists(patterns, min_size=1, max_size=2)).map(lambda pair: f"Match {pair[0]} {','.join(pair[1])}"),
    st.tuples(st.sampled_from(["user", "!user", "localuser", "!localuser"]),
              st.sampled_from(["root", "ops", "r*", "ops,root", "!root,*"])).map(lambda p: f"Match {p[0]} {p[1]}"),
    st.tuples(patterns, st.sampled_from(["root", "ops,!root", "*"])).map(lambda p: f'Match host "{p[0]}" user {p[1]}'),
)
line = st.one_of(
    st.tuples(values, st.sampled_from([" ", "=", " = ", "\t"]), st.sampled_from(["", " ", "   # remark"])).map(
        lambda t: f"{t[0][0]}{t[1]}{t[0][1]}" + ("" if t[0][0] == "ProxyCommand" and "#" in t[2] else t[2])),
    heads, st.just("# comment"), st.just(""), st.just("  \t"),
    st.sampled_from(["Include extra", "Include extra none"]),
)
documents = st.lists(line, max_size=14).map("\n".join)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(text="HostName %h.ex.com", extra="", host="WEB1", user="")
@given(text=documents, extra=documents, host=st.sampled_from(HOSTS), user=st.sampled_from(["", "", "ops"]))
def test_agrees_with_ssh(tmp_path: Path, text: str, extra: str, host: str, user: str) -> None:
    path, included = tmp_path / "config", tmp_path / "extra"
    path.write_text(text.replace("extra", str(included)).replace(" none", f" {tmp_path}/no*such", 0))
    included.write_text(extra.replace("Include", "# Include"))
    oracle = ask(path, host, user)
    try:
        ours = reader(path).lookup(host, user, {})
    except UsageError:
        assert oracle is None
        return
    assert oracle is not None
    check(ours, oracle, host)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=" \t\"'\\#ab=", max_size=12))
def test_words_are_split_as_ssh_splits_them(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(f"UserKnownHostsFile x{text}\n")
    oracle = ask(path, "web1")
    try:
        words = list(split_words(("x" + text).rstrip(" \t"), "here"))
    except NotUnderstoodError:
        assert oracle is None
        return
    if "" in words:  # left to ssh, which refuses it for some keywords
        return
    assert oracle is not None
    assert " ".join(words) == oracle["userknownhostsfile"][0]


@pytest.mark.parametrize("criterion", [
    "localnetwork 10.0.0.0/8", "tagged web", "version 9.*", "sessiontype shell", "command ls", "exec true", "canonical",
    "final", "final all", "host web1 exec false", "wizard x", "host",
])
def test_what_it_does_not_understand_never_counts_as_matched(tmp_path: Path, criterion: str) -> None:
    path = tmp_path / "config"
    path.write_text(f"Match {criterion}\n  User intruder\nHost *\n  User ops\n")
    with pytest.raises(NotUnderstoodError):
        evaluate([parse_file(path, tmp_path)], "web1", ME, {})
    oracle = ask(path, "web1")
    if oracle is None:
        with pytest.raises(UsageError) as caught:
            reader(path).lookup("web1", "", {})
        assert caught.value.code == "ssh-config-invalid"
    else:
        assert reader(path).lookup("web1", "", {}).user == oracle["user"][0]


def test_unknown_keywords_are_errors_as_for_ssh(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("IgnoreUnknown Fancy*\nFancyThing yes\nUser ops\n")
    assert reader(path).lookup("web1", "", {}).user == "ops"
    path.write_text("FancyThing yes\nUser ops\n")
    with pytest.raises(UsageError, match=r"(?i)fancything"):
        reader(path).lookup("web1", "", {})


def test_the_answer_of_ssh_is_kept_and_not_shared_between_hosts(tmp_path: Path) -> None:
    path, counter = tmp_path / "config", tmp_path / "asked"
    path.write_text(f"Match exec \"echo x >>{counter}; [ %n = web1 ]\"\n  User one\nHost *\n  User other\n")
    config = reader(path)
    assert [config.lookup(host, "", {}).user for host in ("web1", "db", "web1", "db")] == ["one", "other"] * 2
    assert counter.read_text().count("x") == 2


def test_given_user_and_options_go_before_the_files(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("Host *\n  User ops\n  Port 2222\n  IdentityFile /k/file\n")
    found = reader(path).lookup("web1", "me", {"port": "99", "identityfile": "/k/mine"})
    assert (found.user, found.port, found.identity_files) == ("me", 99, ("/k/mine", "/k/file"))
