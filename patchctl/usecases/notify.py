"""Tell people that a rollout halted or ended: by a command of theirs, or by mail. A failure is returned, never raised.

The command gets the event as JSON on standard input, its words in PATCHCTL_* variables, and nothing of this process's
other environment: what is secret here stays here.
"""

from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from patchctl.model.codec import to_data
from patchctl.model.policy import Notify
from patchctl.model.redaction import clean_values
from patchctl.model.rollout import Event
from patchctl.model.text import decode, one_line, strip_control
from patchctl.report.summary import next_commands, render_summary
from patchctl.store.database import Store
from patchctl.usecases.report import read_digest

COMMAND_SECONDS = 60.0
MAIL_SECONDS = 30.0
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")


def make_notifier(
    store: Store, notify: Notify, smtp: str, folder: Path, sender: str, clean: Callable[[str], str] = str
) -> Callable[[Event], str]:
    """Return the `notifier` of carry_out: given an event, tell whom the policy names; return "" or what went wrong.

    `folder`: the project, where commands run; `sender`: mail address of this controller; `clean`: a Redactor's, for
    every text that is sent.
    """

    def tell(event: Event) -> str:
        event = replace(event, reason=clean(event.reason), data=clean_values(event.data, clean))
        digest = read_digest(store, event.rollout)
        lines = [render_summary(digest)]
        if event.kind == "rollout-halted":
            lines.append("Nothing further is started. What hosts have begun finishes by itself and is recorded.\n")
        lines.append(f"Where: {sender.partition('@')[2]}, folder {folder}")
        lines.append(f"Look:  patchctl rollout status {event.rollout}")
        lines += [f"Then:  {command}" for command in next_commands(digest)]
        title = one_line(f"{event.rollout} {digest.title}" + (f": {event.reason}" if event.reason else ""), 150)
        text = clean("\n".join(lines))
        return notify_event(notify, event, smtp, title=clean(title), text=text, folder=folder, sender=sender)

    return tell


def notify_event(
    notify: Notify, event: Event, smtp: str, *, title: str, text: str, folder: Path, sender: str
) -> str:
    """Send one event to every target that the policy names for it; return "" or all that went wrong, in one line."""
    targets = notify.halted if event.kind == "rollout-halted" else notify.finished
    people = [target.removeprefix("mailto:") for target in targets if target.startswith("mailto:")]
    argv = [target for target in targets if not target.startswith("mailto:")]
    problems = []
    if argv:
        payload = {"schema": "patchctl/notification/1", "title": title, "text": text, "event": to_data(event)}
        problems.append(run_command(argv, payload, event, folder))
    if people:
        problems.append(send_mail(people, title, text, smtp, sender))
    return "; ".join(problem for problem in problems if problem)


def run_command(
    argv: Sequence[str], payload: Mapping[str, Any], event: Event, folder: Path, timeout: float = COMMAND_SECONDS
) -> str:
    """Run a notification command without a shell; return "" or why it failed. Its whole process group is ended."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment |= {
        "PATCHCTL_EVENT": event.kind, "PATCHCTL_ROLLOUT": event.rollout, "PATCHCTL_TITLE": str(payload["title"]),
    }  # fmt: skip
    name = one_line(argv[0], 80)
    try:
        process = subprocess.Popen(
            list(argv), cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return f"{name}: {error}"
    try:
        _, errors = process.communicate(json.dumps(payload).encode(), timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stderr:
            process.stderr.close()
        return f"{name}: ended after {timeout:.0f} s without an answer"
    if process.returncode == 0:
        return ""
    said = one_line(decode(errors[-2000:]), 200)
    return f"{name}: exit {process.returncode}" + (f": {said}" if said else "")


def send_mail(people: Sequence[str], title: str, text: str, smtp: str, sender: str) -> str:
    """Send one plain mail through HOST[:PORT] (RFC 5321); return "" or why that failed."""
    host, _, port = smtp.rpartition(":") if smtp.count(":") == 1 else (smtp, "", "")
    try:
        message = EmailMessage()
        message["Subject"] = f"[patchctl] {one_line(title, 150)}"
        message["From"] = sender
        message["To"] = ", ".join(people)
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=sender.partition("@")[2] or None)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation replies
        message.set_content(strip_control(text))
        with smtplib.SMTP(host or "localhost", int(port or 25), timeout=MAIL_SECONDS) as server:
            refused = server.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return one_line(f"mail through {smtp}: {error}", 250)
    return f"mail refused for {', '.join(sorted(refused))}" if refused else ""
