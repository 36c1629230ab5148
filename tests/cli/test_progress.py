"""What the terminal shows: live on a terminal, plain lines elsewhere, failures only when quiet."""

import contextlib
import io
import os
import pty

import pytest

from patchctl.cli.progress import FailuresOnly, LiveProgress, PlainLines, wants_colour


@pytest.fixture
def terminal():
    """A stream that is a terminal, and what was written to it."""
    leader, follower = pty.openpty()
    stream = os.fdopen(follower, "w")

    def read():
        """End the writing and return all of it."""
        stream.close()
        parts = []
        with contextlib.suppress(OSError):  # EIO is how a terminal says that nobody writes any more
            while part := os.read(leader, 4096):
                parts.append(part)
        return b"".join(parts).decode()

    yield stream, read
    stream.close()
    os.close(leader)


def test_each_run_counts_from_zero(terminal):
    stream, read = terminal
    live = LiveProgress(stream)
    live.started("scan", 1)
    live.finished("a", "ok")
    live.ended()
    live.started("rollout", 1)
    live.step("a", "applying")
    live.ended()
    assert "0/1" in read().rpartition("rollout")[2]


def test_failures_are_told_as_they_happen_without_control_characters(terminal):
    stream, read = terminal
    live = LiveProgress(stream)
    live.started("scan", 2)
    live.finished("web1", "failed", "evil \x1b[2J[/x][red]text")
    live.ended()
    text = read()
    assert "web1 failed: evil [/x][red]text" in text
    assert "\x1b[2J" not in text


def test_plain_lines_tell_each_transition_once():
    stream = io.StringIO()
    plain = PlainLines(stream, steps=True)
    plain.started("rollout", 1)
    plain.step("a", "applying")
    plain.step("a", "applying")
    plain.finished("a", "succeeded")
    assert [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()] == [
        "rollout: 1 host", "a applying", "a succeeded",
    ]


def test_quiet_tells_failures_only():
    stream = io.StringIO()
    quiet = FailuresOnly(stream)
    quiet.started("scan", 2)
    quiet.note("a note")
    quiet.finished("a", "ok")
    quiet.finished("b", "unreachable", "no route")
    assert stream.getvalue() == "b unreachable no route\n"


@pytest.mark.parametrize(("env", "colour"), [
    ({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
    ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
])
def test_colour_follows_the_conventions(terminal, monkeypatch, env, colour):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert wants_colour(terminal[0]) is colour


def test_without_a_terminal_there_is_no_colour(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    assert not wants_colour(io.StringIO())
