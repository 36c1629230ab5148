"""Notifications: what reaches a command and a mailbox, and that failing to tell never stops a rollout."""

from __future__ import annotations

import email
import email.policy
import json
import socket
import socketserver
import threading
import time
from pathlib import Path

import pytest

from patchctl.model.policy import Notify
from patchctl.model.redaction import MASK, Redactor
from patchctl.model.rollout import Event
from patchctl.store.database import open_store
from patchctl.usecases.notify import make_notifier, notify_event, run_command, send_mail
from tests.report.sample import Story, make_plan

HALTED = Event("2026-11-monthly", 9, 1.0, "patchctl", "rollout-halted", "", {}, "errors 5/40, limit 4")


class Sink(socketserver.ThreadingTCPServer):
    """A mail server that keeps what it is given (RFC 5321, just enough)."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, refuse: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.refuse = refuse
        self.mails: list[tuple[list[str], email.message.EmailMessage]] = []
        self.address = f"127.0.0.1:{self.server_address[1]}"


class Conversation(socketserver.StreamRequestHandler):
    server: Sink

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        people: list[str] = []
        self.say("220 sink")
        for raw in self.rfile:
            line = raw.decode().strip()
            verb = line[:4].upper()
            if verb == "QUIT":
                self.say("221 bye")
                return
            if verb == "RCPT":
                refused = self.server.refuse and self.server.refuse in line
                people.append(line)
                self.say("550 no such person" if refused else "250 ok")
            elif verb == "DATA":
                self.say("354 go on")
                body = b""
                while not body.endswith(b"\r\n.\r\n"):
                    body += self.rfile.readline()
                parsed = email.message_from_bytes(body[:-3], policy=email.policy.default)
                self.server.mails.append((people, parsed))
                self.say("250 kept")
            else:
                self.say("250 ok")


@pytest.fixture
def sink():
    server = Sink()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def halted(tmp_path):
    """A store with a rollout that has just halted."""
    story = Story(make_plan(["web01", "web02", "web03"]))
    story.say("ring-opened", {"ring": "canary"})
    story.fail("web01")
    story.say("rollout-halted", {}, reason="errors 1/3, limit 0")
    with open_store(f"sqlite:///{tmp_path}/s/state.db") as store:
        store.save_plan(story.plan)
        store.journal.append(story.events)
        yield store, story.events[-1]


def test_a_mail_at_night_says_what_where_why_and_what_to_type(halted, sink, tmp_path):
    store, event = halted
    notify = Notify(halted=("mailto:unix@example.com", "mailto:boss@example.com"))
    tell = make_notifier(store, notify, sink.address, tmp_path, "patchctl@ctl.example.com")
    assert tell(event) == ""
    [(people, mail)] = sink.mails
    assert len(people) == 2
    assert mail["Subject"] == "[patchctl] 2026-11-monthly HALTED: errors 1/3, limit 0"
    assert mail["From"] == "patchctl@ctl.example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    body = mail.get_content()
    for wanted in (
        "0/3 verified", "errors 1/3, limit 0", "web01", "dpkg lock held by unattended-upgr[4711] 31 min",
        "Nothing further is started", "ctl.example.com", str(tmp_path), "patchctl rollout resume 2026-11-monthly",
    ):  # fmt: skip
        assert wanted in body, wanted


def test_a_command_gets_the_event_on_stdin_and_no_secrets(halted, tmp_path, monkeypatch):
    store, event = halted
    monkeypatch.setenv("PATCH_SUDO", "s3cret")
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\ncat > got.json\nenv > got.env\n")
    hook.chmod(0o755)
    tell = make_notifier(store, Notify(halted=("./hook", "a b", "$(id)")), "127.0.0.1:1", tmp_path, "p@ctl")
    assert tell(event) == ""
    payload = json.loads((tmp_path / "got.json").read_text())
    assert payload["event"]["kind"] == "rollout-halted"
    assert payload["event"]["reason"] == "errors 1/3, limit 0"
    assert "web01" in payload["text"]
    environment = (tmp_path / "got.env").read_text()
    assert "PATCHCTL_EVENT=rollout-halted" in environment
    assert "PATCHCTL_ROLLOUT=2026-11-monthly" in environment
    assert "s3cret" not in environment


def test_the_end_goes_to_whom_the_end_concerns(sink, tmp_path):
    notify = Notify(halted=("mailto:night@example.com",), finished=("mailto:day@example.com",))
    done = Event("r", 9, 1.0, "patchctl", "rollout-completed")
    arguments = {"title": "t", "text": "x", "folder": tmp_path, "sender": "p@ctl"}
    assert notify_event(notify, done, sink.address, **arguments) == ""
    assert notify_event(notify, HALTED, sink.address, **arguments) == ""
    assert [mail["To"] for _, mail in sink.mails] == ["day@example.com", "night@example.com"]
    assert notify_event(Notify(), HALTED, sink.address, **arguments) == ""


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "exit 3"), ("echo pager is down >&2; exit 1", "pager is down"),
        ("printf '\\033[2J evil' >&2; exit 1", "evil"),
    ],
)  # fmt: skip
def test_a_failing_command_is_reported_not_raised(tmp_path, script, said):
    problem = run_command(["sh", "-c", script], {"title": "t"}, HALTED, tmp_path)
    assert said in problem
    assert "\x1b" not in problem


def test_a_missing_command_is_reported(tmp_path):
    assert "./nothing" in run_command(["./nothing"], {"title": "t"}, HALTED, tmp_path)


def test_a_hanging_command_is_ended_with_its_children(tmp_path):
    script = "sleep 600 & echo $! > child; wait"
    problem = run_command(["sh", "-c", script], {"title": "t"}, HALTED, tmp_path, timeout=1.0)
    assert "ended after 1 s" in problem
    child = int((tmp_path / "child").read_text())
    stat = Path(f"/proc/{child}/stat")
    deadline = time.monotonic() + 30  # a killed process goes when it is scheduled next
    while is_alive(stat) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(stat)


def is_alive(stat):
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_a_command_that_does_not_read_its_input_is_fine(tmp_path):
    payload = {"title": "t", "text": "x" * 500_000}
    assert run_command(["true"], payload, HALTED, tmp_path) == ""


def test_no_mail_server_is_reported_not_raised():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        assert "refused" in send_mail(["a@example.com"], "t", "x", address, "p@ctl")
    assert "mail through" in send_mail(["a@example.com"], "t", "x", "127.0.0.1:nonsense", "p@ctl")


def test_a_refused_person_is_named(sink):
    sink.refuse = "nobody@"
    assert "nobody@example.com" in send_mail(["a@example.com", "nobody@example.com"], "t", "x", sink.address, "p@ctl")


def test_host_text_cannot_forge_headers(sink):
    assert send_mail(["a@example.com"], "halted\r\nBcc: evil@example.com", "x", sink.address, "p@ctl") == ""
    [(people, mail)] = sink.mails
    assert mail["Bcc"] is None
    assert len(people) == 1


def test_no_secret_is_sent(halted, tmp_path):
    store, event = halted
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\ncat > got.json\nenv > got.env\n")
    hook.chmod(0o755)
    redactor = Redactor()
    redactor.add("errors 1/3")  # what the event says and the summary repeats
    tell = make_notifier(
        store, Notify(halted=("./hook",)), "127.0.0.1:1", tmp_path, "p@ctl", redactor.clean
    )
    assert tell(event) == ""
    sent = (tmp_path / "got.json").read_text() + (tmp_path / "got.env").read_text()
    assert "errors 1/3" not in sent
    assert sent.count(MASK) >= 3
