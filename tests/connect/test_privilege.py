"""The escalation protocol without a host: what is sent when, what each refusal is called, and the exec line."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.connect.privilege import (
    CHATTER_LIMIT,
    Ascent,
    Escalation,
    Step,
    exec_line,
    quote_login,
    script_input,
)
from patchctl.model.errors import ConnectError, HostError, HostTimeoutError, LoginError, PrivilegeError
from patchctl.model.hosts import Become, SecretRef

NONCE = "0123456789abcdef0123"
LOGIN = f"patchctl:{NONCE}:login\n".encode()
READY = f"patchctl:{NONCE}:ready:0:4711\n".encode()
PROMPT = f"[patchctl {NONCE} password]".encode()
SECRET = SecretRef("plain", "pw")


def ascent(method: str = "sudo", *, password: bool = True, **settings_: bool) -> Ascent:
    return Ascent(NONCE, Become(method, password=SECRET if password else None), password, **settings_)


def climb(plan: Ascent) -> Escalation:
    return Escalation(plan, "web01 (10.0.0.1:22)")


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_password_only_after_our_prompt_and_script_only_after_ready(chunk: int) -> None:
    escalation = climb(ascent())
    noise = b"Welcome!\nPassword: \n[sudo] password for ops: \npatchctl:other:ready:0:1\n"
    noise += b"patchctl:" + b"f" * 32 + b":ready:0:1\n"
    steps = []
    for stream, data in (("out", noise + LOGIN), ("err", b"Lecture. Password: " + PROMPT), ("out", READY + b"rest")):
        for start in range(0, len(data), chunk):
            piece = data[start:start + chunk]
            step = escalation.feed(piece if stream == "out" else b"", piece if stream == "err" else b"")
            if step is not None:
                steps.append(step)
            if step is not None and step.kind == "ready":
                break
    assert [step.kind for step in steps] == ["password", "ready"]
    assert (steps[-1].uid, steps[-1].pid) == ("0", "4711")


def test_a_second_prompt_means_a_wrong_password_and_nothing_more_is_sent() -> None:
    escalation = climb(ascent())
    escalation.feed(LOGIN, PROMPT)
    with pytest.raises(PrivilegeError) as caught:
        escalation.feed(b"", b"\n" + PROMPT)
    assert caught.value.code == "sudo-password-wrong"


def test_no_password_is_sent_when_sudo_does_not_ask() -> None:
    assert climb(ascent()).feed(LOGIN + READY + b"out", b"") == Step("ready", "0", "4711", b"out")


def test_the_prompt_of_su_counts_only_behind_our_line_and_unfinished() -> None:
    escalation = climb(ascent("su"))
    assert escalation.feed(b"Password: ", b"") is None
    assert escalation.feed(b"\n" + LOGIN, b"") is None
    assert escalation.feed(b"", b"Password: \nno, that was a message\n") is None
    assert escalation.feed(b"", b"Password: ") == Step("password")
    assert escalation.feed(b"", b"\n") is None


# Texts of sudo 1.9.13, sudo-rs 0.2, util-linux 2.38, OpenDoas 6.8.2, Linux-PAM 1.5, in the C locale.
REFUSALS = [
    ("sudo", False, "sudo: a password is required\n", "sudo-password-missing"),
    ("sudo", False, "sudo: interactive authentication is required\n", "sudo-password-missing"),
    ("sudo", True, "ops is not in the sudoers file.  This incident will be reported.\n", "sudo-denied"),
    ("sudo", True, "Sorry, user ops is not allowed to execute '/bin/sh' as root on web01.\n", "sudo-denied"),
    ("sudo", True, "Sorry, user ops may not run sudo on web01.\n", "sudo-denied"),
    ("sudo", True, "sudo: I'm sorry ops. I'm afraid I can't do that\n", "sudo-denied"),
    ("sudo", True, "The account is locked due to 3 failed logins.\n(10 minutes left to unlock)\n", "sudo-locked"),
    ("sudo", True, "sudo: Account expired or PAM config lacks an \"account\" section for sudo\n",
     "sudo-password-expired"),
    ("sudo", True, "env: 'sudo': No such file or directory\n", "sudo-missing"),
    ("sudo", True, "sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set\n", "sudo-broken"),
    ("sudo", True, "sudo: The \"no new privileges\" flag is set, which prevents sudo from running as root.\n",
     "sudo-broken"),
    ("sudo", True, "/etc/sudoers:12:4: syntax error\nsudo: no valid sudoers sources found, quitting\n", "sudo-broken"),
    ("sudo", True, "sudo: unknown user nobody-there\nsudo: error initializing audit plugin sudoers_audit\n",
     "sudo-user-unknown"),
    ("sudo", True, "segmentation fault\n", "sudo-failed"),
    ("su", True, "su: Permission denied\n", "su-denied"),
    ("su", True, "su: user nobody-there does not exist or the user entry does not contain all the required fields\n",
     "su-user-unknown"),
    ("doas", True, "doas: Operation not permitted\n", "doas-denied"),
    ("doas", False, "doas: Authentication required\n", "doas-password-missing"),
    ("doas", True, "doas: doas is not enabled, /etc/doas.conf: No such file or directory\n", "doas-broken"),
]


@pytest.mark.parametrize(("method", "password", "said", "code"), REFUSALS)
def test_every_refusal_has_its_code_and_names_the_host(method: str, password: bool, said: str, code: str) -> None:
    escalation = climb(ascent(method, password=password))
    with pytest.raises(PrivilegeError) as caught:
        escalation.feed(LOGIN, said.encode())
        escalation.end(1)
    assert caught.value.code == code
    assert "web01 (10.0.0.1:22)" in caught.value.message
    assert caught.value.hint


NOISE = (
    "ERROR: ld.so: object '/opt/exec/sudo/hook.so' from /etc/ld.so.preload cannot be preloaded "
    "(cannot open shared object file): ignored.\n"
    "sudo: /opt/vendor/libz.so.1: no version information available (required by sudo)\n"
    "bash: warning: setlocale: LC_ALL: cannot change locale (xx_XX): No such file or directory\n"
)


@pytest.mark.parametrize(("method", "password", "said", "code"), REFUSALS)
def test_what_loader_and_shells_say_on_the_way_is_not_taken_for_a_refusal(
    method: str, password: bool, said: str, code: str
) -> None:
    escalation = climb(ascent(method, password=password))
    assert escalation.feed(LOGIN, NOISE.encode() * 3) is None
    with pytest.raises(PrivilegeError) as caught:
        escalation.feed(b"", (said + NOISE).encode())
        escalation.end(1)
    assert caught.value.code == code
    assert "ld.so" not in caught.value.message
    assert "setlocale" not in caught.value.message


def test_noise_is_told_where_nothing_else_was_said() -> None:
    escalation = climb(ascent())
    escalation.feed(LOGIN, NOISE.encode())
    with pytest.raises(PrivilegeError) as caught:
        escalation.end(127)
    assert caught.value.code == "sudo-failed"
    assert "ld.so" in caught.value.message


def test_a_tool_that_wants_a_terminal_gets_a_second_start() -> None:
    escalation = climb(ascent())
    assert escalation.feed(LOGIN, b"sudo: sorry, you must have a tty to run sudo\n") == Step("terminal")


def test_no_login_line_means_the_login_shell() -> None:
    for said, code in ((b"This account is currently not available.\n", "login-shell"),
                       (b"WARNING: Your password has expired.\nPassword change required\n", "password-expired")):
        escalation = climb(ascent())
        escalation.feed(said, b"")
        with pytest.raises(LoginError) as caught:
            escalation.end(1)
        assert caught.value.code == code


def test_stalls_are_told_apart() -> None:
    def stall(*fed: tuple[bytes, bytes]) -> HostError:
        escalation = climb(ascent())
        for out, err in fed:
            escalation.feed(out, err)
        with pytest.raises(HostError) as caught:
            escalation.stalled(15.0)
        return caught.value

    assert isinstance(stall(), HostTimeoutError)
    assert stall((b"motd\n", b"")).code == "login-shell"
    asked = stall((LOGIN, b"One-time code: "))
    assert asked.code == "sudo-timeout"
    assert "One-time code" in asked.message


def test_chatter_without_end_is_cut_off() -> None:
    escalation = climb(ascent())
    with pytest.raises(ConnectError) as caught:
        for _ in range(CHATTER_LIMIT // 65536 + 2):
            escalation.feed(b"x" * 65536, b"")
    assert caught.value.code == "output-too-large"


@given(st.text(max_size=30))
def test_words_are_quoted_or_refused(word: str) -> None:
    try:
        quoted = quote_login(word)
    except ValueError:
        assert any(c in word for c in "'!\\\n\r\0")
        return
    assert quoted == f"'{word}'"


SHELLS = [shell for shell in ("sh", "bash", "dash", "tcsh", "csh", "fish", "zsh", "ksh", "busybox") if
          shutil.which(shell)]
words = st.text(alphabet=st.sampled_from(list("ab $`\"*?[]{}()<>|&;#~=^%@-_,.:/+")), min_size=0, max_size=12)


@settings(max_examples=25, deadline=None)
@given(st.lists(words, min_size=1, max_size=4))
@pytest.mark.parametrize("shell", SHELLS)
def test_quoted_words_reach_a_program_unchanged_through_every_login_shell(shell: str, words: list[str]) -> None:
    argv = [shell, *(["sh"] if shell == "busybox" else []), "-c",
            "exec /bin/sh -c 'printf %s/%s/ $# \"$*\"' x " + " ".join(map(quote_login, words))]
    done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    assert done.stdout.decode() == f"{len(words)}/{' '.join(words)}/", done.stderr


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("shell", SHELLS)
def test_the_exec_line_runs_a_script_through_every_login_shell(shell: str, streaming: bool) -> None:
    plan = Ascent(NONCE, None, streaming=streaming)
    script = "x='quote'\"d\"\nprintf '%s\\n' \"$x\" '!' \\\\; cat; exit 7\n"
    data = b"more\nlines" if streaming else b""
    argv = [shell, *(["sh"] if shell == "busybox" else []), "-c", exec_line(plan)]
    done = subprocess.run(argv, input=script_input(plan, script) + data, capture_output=True, check=False)
    escalation = Escalation(plan, "here")
    step = escalation.feed(done.stdout, done.stderr)
    assert step is not None
    assert step.rest == b"quoted\n!\n\\\n" + data
    assert done.returncode == 7


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("sudo"), reason="needs root and sudo")
@pytest.mark.parametrize("shell", SHELLS)
def test_sudo_is_started_by_every_login_shell_and_learns_nothing_of_its_settings(shell: str) -> None:
    plan = ascent(password=False)
    argv = [shell, *(["sh"] if shell == "busybox" else []), "-c", exec_line(plan)]
    settings_ = {"PATH": os.environ["PATH"], "SECRET_OF_THE_LOGIN": "x", "LC_ALL": "de_DE.UTF-8"}
    done = subprocess.run(argv, input=script_input(plan, "echo $patchctl_uid $(id -u); env"), capture_output=True,
                          env=settings_, check=False)  # fmt: skip
    step = climb(plan).feed(done.stdout, done.stderr)
    assert step is not None, done.stderr
    first, *environment = step.rest.decode().splitlines()
    assert (step.uid, first) == ("0", "0 0")
    assert not [line for line in environment if line.startswith(("SECRET", "LC_ALL=de"))]


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell not in ("csh", "tcsh", "fish")])
def test_the_inner_shell_asks_id_where_no_proc_tells_who_it_is(shell: str) -> None:
    plan = Ascent(NONCE)
    argv = [shell, *(["sh"] if shell == "busybox" else []), "-c"]
    for line in (exec_line(plan), exec_line(plan).replace("/proc/", "/no-such-proc/")):
        done = subprocess.run([*argv, line], input=script_input(plan, "echo $patchctl_uid"), capture_output=True,
                              check=False)  # fmt: skip
        step = climb(plan).feed(done.stdout, done.stderr)
        assert step is not None
        assert (int(step.uid), step.rest) == (os.geteuid(), f"{os.geteuid()}\n".encode())


@pytest.mark.parametrize("streaming", [False, True])
def test_a_script_cut_off_on_the_way_never_runs(streaming: bool) -> None:
    plan = Ascent(NONCE, None, streaming=streaming)
    whole = script_input(plan, "echo one\necho two")
    for cut in range(len(whole) - 1):
        done = subprocess.run(
            ["sh", "-c", exec_line(plan)], input=whole[:cut], capture_output=True, check=False)
        assert b"one" not in done.stdout
        assert done.returncode == 97


@pytest.mark.parametrize("char", ["'", "!", "\\", "\n", "\r", "\0"])
def test_a_word_that_some_login_shell_would_change_is_refused(char: str) -> None:
    assert quote_login("ab; $(reboot) `x` \"y\" *") == "'ab; $(reboot) `x` \"y\" *'"
    with pytest.raises(ValueError, match="every login shell"):
        quote_login(f"a{char}b")
