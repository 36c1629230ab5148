"""Our WS-Management messages say what pywinrm's say; answers that are none are errors."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest
from winrm.protocol import Protocol

from patchctl.connect import winrm_soap as soap

SHELL, COMMAND, LINE = "ABCD-1", "CMD-2", "powershell <&> \"x\" 'y'"


def theirs(call: Callable[[Protocol], object]) -> str:
    """Return the message that pywinrm would send."""
    sent: list[str] = []

    class Stopped(Exception):  # noqa: N818 - no error: the message is what is wanted
        pass

    protocol = Protocol("http://127.0.0.1:1/wsman", transport="ntlm", username="u", password="p")

    def keep(message: str) -> bytes:
        sent.append(message)
        raise Stopped

    protocol.send_message = keep  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        call(protocol)
    return sent[0]


def meaning(message: str) -> Any:
    """Return what a message says: elements with texts and attributes, without the id of the message."""
    def told(node: ET.Element) -> Any:
        attributes = {name.rpartition("}")[2]: value for name, value in node.attrib.items()}
        text = "" if node.tag.endswith("}MessageID") else (node.text or "").strip()
        return node.tag, sorted(attributes.items()), text, sorted(map(told, node))

    return told(ET.fromstring(message))


@pytest.mark.parametrize(("ours", "call"), [
    (soap.command(SHELL, LINE), lambda p: p.run_command(SHELL, LINE, console_mode_stdin=False)),
    (soap.send(SHELL, COMMAND, b"a\0", end=True), lambda p: p.send_command_input(SHELL, COMMAND, b"a\0", end=True)),
    (soap.send(SHELL, COMMAND, b"", end=False), lambda p: p.send_command_input(SHELL, COMMAND, b"", end=False)),
    (soap.receive(SHELL, COMMAND, 20), lambda p: p.get_command_output_raw(SHELL, COMMAND)),
    (soap.terminate(SHELL, COMMAND), lambda p: p.cleanup_command(SHELL, COMMAND)),
    (soap.delete(SHELL), lambda p: p.close_shell(SHELL, close_session=False)),
], ids=["command", "send", "send-more", "receive", "terminate", "delete"])
def test_a_message_says_what_pywinrms_says(ours: str, call: Callable[[Protocol], object]) -> None:
    assert meaning(ours) == meaning(theirs(call))


def test_create_differs_only_in_the_shells_own_id_and_its_idle_time() -> None:
    own = soap.create(SHELL, "PT1800S")
    written = own.replace(f' ShellId="{SHELL}"', "")
    call = lambda p: p.open_shell(noprofile=True, codepage=65001, idle_timeout="PT1800S")  # noqa: E731 - one line
    assert f' ShellId="{SHELL}"' in own
    assert meaning(written) == meaning(theirs(call))


def test_answers_are_read_as_pywinrm_reads_them() -> None:
    answer = (
        f'<s:Envelope xmlns:s="x" xmlns:rsp="{soap.SHELL}"><s:Body><rsp:ReceiveResponse>'
        '<rsp:Stream Name="stdout" CommandId="c">aGVsbG8=</rsp:Stream><rsp:Stream Name="stderr">b29wcw==</rsp:Stream>'
        '<rsp:Stream Name="stdout" End="true"></rsp:Stream>'
        f'<rsp:CommandState State="{soap.SHELL}/CommandState/Done"><rsp:ExitCode>3221225786</rsp:ExitCode>'
        "</rsp:CommandState></rsp:ReceiveResponse></s:Body></s:Envelope>").encode()
    protocol = Protocol("http://127.0.0.1:1/wsman", transport="ntlm", username="u", password="p")
    protocol.send_message = lambda message: answer  # type: ignore[method-assign]
    out, err, code, done = protocol.get_command_output_raw(SHELL, COMMAND)
    assert soap.read_output(answer) == (out, err, code) == (b"hello", b"oops", 3221225786)
    assert done
    running = answer.replace(b"/Done", b"/Running")
    assert soap.read_output(running)[2] is None


@pytest.mark.parametrize("answer", [b"<x/>", b"<a><b/></a>"])
def test_what_is_no_answer_is_an_error(answer: bytes) -> None:
    for read in (soap.read_shell, soap.read_command, soap.read_output):
        with pytest.raises(ValueError, match="no "):
            read(answer)


