"""Becoming root on real hosts: sudo, su and doas, with and without password, chatty logins, csh, faillock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from patchctl.connect.connections import Connections
from patchctl.connect.contract import Command, Result
from patchctl.connect.credentials import Secrets
from patchctl.model.errors import HostError, PrivilegeError
from patchctl.model.hosts import Become, Connection, Host, Inventory, SecretRef, Timeouts
from tests.lab import Lab, LabHost

pytestmark = pytest.mark.lab

PASSWORD, WRONG = SecretRef("plain", "labpw"), SecretRef("plain", "not-it")
SCRIPT = "id -un; echo err >&2; cat; printf 'no newline'; exit 3"


@pytest.fixture(scope="module")
def host(module_hosts: Callable[[int], list[LabHost]]) -> LabHost:
    return module_hosts(1)[0]


@pytest.fixture()
def run(lab: Lab, host: LabHost, tmp_path: Path) -> Callable[..., Result]:
    def act(user: str, become: Become, command: Command | None = None, transport: str = "ssh") -> Result:
        return visit(lab, host, tmp_path, user, become, [command or Command(SCRIPT, become=True)], transport)[0]

    return act


def visit(
    lab: Lab, host: LabHost, folder: Path, user: str, become: Become, commands: list[Command], transport: str = "ssh"
) -> list[Result]:
    config = folder / "ssh_config"
    config.write_text("UserKnownHostsFile none\nGlobalKnownHostsFile none\n")
    target = Host(host.name, Connection(
        transport, host.address, host.port, user, keys=(str(host.key),), become=become,
        timeouts=Timeouts(20.0, 30.0, 60.0)))
    connections = Connections(
        Inventory({target.name: target}, {}, {}), known_hosts=[Path(lab.known_hosts)], ssh_config=config,
        secrets=Secrets())
    session = connections.open(target)
    try:
        return [session.run(command) for command in commands]
    finally:
        session.close()
        connections.close()


def refused(code: str, call: Callable[[], object]) -> HostError:
    with pytest.raises(HostError) as caught:
        call()
    assert caught.value.code == code, caught.value.message
    assert "labpw" not in caught.value.message
    assert "not-it" not in caught.value.message
    return caught.value


WAYS = [
    ("root", Become("sudo")), ("ops", Become("sudo")), ("opspw", Become("sudo", password=PASSWORD)),
    ("opscsh", Become("sudo")), ("opspw", Become("su", password=PASSWORD)), ("ops", Become("doas")),
    ("opspw", Become("doas", password=PASSWORD)), ("guest", Become("su", password=PASSWORD)), ("root", Become("none")),
]


@pytest.mark.parametrize(("user", "become"), WAYS, ids=[f"{user}-{way.method}" for user, way in WAYS])
@pytest.mark.parametrize("transport", ["ssh", "openssh"])
def test_becomes_root(run: Callable[..., Result], user: str, become: Become, transport: str) -> None:
    result = run(user, become, transport=transport)
    assert (result.rc, result.as_root, result.lost) == (3, True, "")
    merged = become.method == "doas" and become.password is not None  # doas takes passwords on a terminal only
    assert result.stdout == (b"root\nerr\nno newline" if merged else b"root\nno newline")
    assert result.stderr == (b"" if merged else b"err\n")


@pytest.mark.parametrize(("user", "become"), WAYS, ids=[f"{user}-{way.method}" for user, way in WAYS])
def test_uploads_bytes_as_root(run: Callable[..., Result], user: str, become: Become) -> None:
    data = bytes(range(256)) * 1024
    result = run(user, become, Command("sha256sum", become=True, stdin=[data[:1000], data[1000:]]))
    import hashlib

    assert result.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_survives_chatty_logins_and_a_csh(run: Callable[..., Result], host: LabHost) -> None:
    host.fault("chatty")
    try:
        for user, become in WAYS:
            assert run(user, become).stdout.startswith(b"root\n")
    finally:
        host.clear()


def test_a_broken_preload_is_not_taken_for_the_words_of_sudo(run: Callable[..., Result], host: LabHost) -> None:
    host.exec("echo /opt/gone/sudo-hook.so > /etc/ld.so.preload")
    try:
        for user, become in (("ops", Become("sudo")), ("opspw", Become("sudo", password=PASSWORD))):
            assert run(user, become).stdout == b"root\nno newline"
        error = refused("sudo-password-missing", lambda: run("opspw", Become("sudo")))
        assert "ld.so" not in error.message
        assert "a password is required" in error.message
    finally:
        host.exec("rm /etc/ld.so.preload")


def test_without_become_it_stays_the_login_user(run: Callable[..., Result]) -> None:
    result = run("opspw", Become("sudo"), Command("id -un"))
    assert (result.stdout, result.as_root) == (b"opspw\n", False)


def test_the_environment_of_the_login_user_does_not_reach_root(run: Callable[..., Result], host: LabHost) -> None:
    host.exec("echo 'export EVIL=1 LD_LIBRARY_PATH=/tmp PERL5LIB=/tmp' >> /home/ops/.profile; "
              "sed -i '1i export EVIL=1 PYTHONPATH=/tmp' /home/ops/.bashrc")
    result = run("ops", Become("sudo"), Command("env", become=True))
    assert b"EVIL" not in result.stdout
    assert b"PYTHONPATH" not in result.stdout


def test_refusals_have_their_codes(run: Callable[..., Result], host: LabHost) -> None:
    for code, user, become in (
        ("sudo-password-missing", "opspw", Become("sudo")),
        ("sudo-password-wrong", "opspw", Become("sudo", password=WRONG)),
        ("sudo-denied", "guest", Become("sudo", password=PASSWORD)),
        ("su-password-wrong", "opspw", Become("su", password=WRONG)),
        ("su-password-missing", "opspw", Become("su")),
        ("doas-password-wrong", "opspw", Become("doas", password=WRONG)),
        ("doas-password-missing", "opspw", Become("doas")),
        ("doas-denied", "guest", Become("doas", password=PASSWORD)),
        ("sudo-user-unknown", "ops", Become("sudo", user="nobody-there")),
    ):
        error = refused(code, lambda user=user, become=become: run(user, become))  # type: ignore[misc]
        assert isinstance(error, PrivilegeError)
        assert host.name in error.message
        assert error.hint


def test_a_wrong_password_is_sent_once_per_run(lab: Lab, host: LabHost, tmp_path: Path) -> None:
    host.fault("faillock")
    try:
        host.exec("rm -f /var/run/faillock/opspw")
        config = tmp_path / "ssh_config"
        config.write_text("UserKnownHostsFile none\n")
        target = Host(host.name, Connection(
            address=host.address, port=host.port, user="opspw", keys=(str(host.key),),
            become=Become("sudo", password=WRONG), timeouts=Timeouts(20.0, 30.0, 60.0)))
        connections = Connections(
            Inventory({target.name: target}, {}, {}), known_hosts=[Path(lab.known_hosts)], ssh_config=config,
            secrets=Secrets())
        for _ in range(3):
            session = connections.open(target)
            for _ in range(3):
                refused("sudo-password-wrong", lambda: session.run(Command("id", become=True)))  # noqa: B023
            session.close()
        connections.close()
        lab.wait(lambda: not host.exec("pgrep -x sudo || true").strip(), "sudo to end")
        # once, not once more for the second prompt that sudo would end with; nine tries count no more
        assert host.exec("faillock --user opspw").count(" V\n") == 1
        assert visit(lab, host, tmp_path, "opspw", Become("sudo", password=PASSWORD), [Command("id -u", become=True)])[
            0].stdout == b"0\n"
    finally:
        host.clear()


@pytest.mark.parametrize("transport", ["ssh", "openssh"])
@pytest.mark.parametrize("requiretty", [False, True])
def test_a_wrong_password_counts_once(
    lab: Lab, run: Callable[..., Result], host: LabHost, transport: str, requiretty: bool
) -> None:
    host.fault("faillock")
    host.exec("rm -f /var/run/faillock/opspw")
    if requiretty:
        host.exec("echo 'Defaults requiretty' > /etc/sudoers.d/zz-tty; chmod 440 /etc/sudoers.d/zz-tty")
    try:
        refused("sudo-password-wrong", lambda: run("opspw", Become("sudo", password=WRONG), transport=transport))
        lab.wait(lambda: not host.exec("pgrep -x sudo || true").strip(), "sudo to end")
        assert host.exec("faillock --user opspw").count(" V\n") == 1
    finally:
        host.clear()
        host.exec("rm -f /etc/sudoers.d/zz-tty /var/run/faillock/opspw")


def test_a_locked_account_is_hinted_at(run: Callable[..., Result], host: LabHost) -> None:
    host.fault("faillock")
    try:
        host.exec("sed -i 's/preauth silent/preauth/' /etc/pam.d/sudo; for n in 1 2 3; do "
                  "su -s /bin/sh opspw -c 'echo wrong | sudo -S -k true' || true; done 2>/dev/null; true")
        # this PAM says nothing of the lock: it looks like a wrong password, and the hint has to say so
        error = refused("sudo-password-wrong", lambda: run("opspw", Become("sudo", password=PASSWORD)))
        assert "faillock" in error.hint
    finally:
        host.clear()
        host.exec("rm -f /var/run/faillock/opspw")


def test_requiretty_gets_a_terminal(run: Callable[..., Result], host: LabHost) -> None:
    host.exec("echo 'Defaults requiretty' > /etc/sudoers.d/zz-tty; chmod 440 /etc/sudoers.d/zz-tty")
    try:
        for user, become in (("ops", Become("sudo")), ("opspw", Become("sudo", password=PASSWORD))):
            result = run(user, become)
            assert (result.rc, result.stdout, result.as_root) == (3, b"root\nerr\nno newline", True)
            upload = run(user, become, Command("wc -c", become=True, stdin=[b"\x03\x04\r\n" * 5000]))
            assert upload.stdout.strip() == b"20000"
    finally:
        host.exec("rm /etc/sudoers.d/zz-tty")


def test_sudo_on_a_terminal_of_its_own(run: Callable[..., Result], host: LabHost) -> None:
    host.exec("echo 'Defaults use_pty, log_output' > /etc/sudoers.d/zz-pty; chmod 440 /etc/sudoers.d/zz-pty")
    try:
        result = run("opspw", Become("sudo", password=PASSWORD))
        assert (result.rc, result.stdout) == (3, b"root\nno newline")
    finally:
        host.exec("rm /etc/sudoers.d/zz-pty; rm -rf /var/log/sudo-io")


def test_a_cached_ticket_needs_no_password_to_be_sent(run: Callable[..., Result], host: LabHost) -> None:
    host.exec("echo 'Defaults timestamp_type=global' > /etc/sudoers.d/zz-ticket; chmod 440 /etc/sudoers.d/zz-ticket")
    try:
        assert run("opspw", Become("sudo", password=PASSWORD)).stdout.startswith(b"root\n")
        # with the ticket there is no prompt: the wrong password is never sent, and never taken for a command
        assert run("opspw", Become("sudo", password=WRONG)).stdout == b"root\nno newline"
    finally:
        host.exec("rm /etc/sudoers.d/zz-ticket; rm -rf /run/sudo/ts/*")


def test_login_shells_that_run_nothing_and_expired_passwords(run: Callable[..., Result], host: LabHost) -> None:
    host.exec("usermod -s /usr/sbin/nologin guest")
    try:
        error = refused("login-shell", lambda: run("guest", Become("sudo")))
        assert "not available" in error.message
    finally:
        host.exec("usermod -s /bin/sh guest")
    host.exec("chage -d 0 guest")
    try:
        refused("password-expired", lambda: run("guest", Become("sudo"), Command("id")))
    finally:
        host.exec("chage -d 2026-01-01 guest")


def test_passwords_log_in_and_are_tried_once(lab: Lab, host: LabHost, tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text("UserKnownHostsFile none\n")
    for method in ("PasswordAuthentication yes\nKbdInteractiveAuthentication no",
                   "PasswordAuthentication no\nKbdInteractiveAuthentication yes\nUsePAM yes"):
        host.exec(f"printf '{method}\n' > /etc/ssh/sshd_config.d/00-test.conf; systemctl restart ssh")
        host.wait()
        for reference, works in ((PASSWORD, True), (WRONG, False)):
            target = Host(host.name, Connection(
                address=host.address, port=host.port, user="opspw", password=reference, become=Become("none"),
                timeouts=Timeouts(20.0, 30.0, 60.0)))
            connections = Connections(
                Inventory({target.name: target}, {}, {}), known_hosts=[Path(lab.known_hosts)], ssh_config=config,
                secrets=Secrets())
            if works:
                session = connections.open(target)
                assert session.run(Command("id -un")).stdout == b"opspw\n"
                session.close()
            else:
                error = refused("auth-failed", lambda: connections.open(target))  # noqa: B023
                assert "password" in error.message or "keyboard-interactive" in error.message
    host.exec("rm /etc/ssh/sshd_config.d/00-test.conf; systemctl restart ssh")
