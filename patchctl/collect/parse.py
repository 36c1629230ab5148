"""Reads what a collection script printed into a Snapshot. Whatever is not proven complete is UNKNOWN, with a reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from patchctl.model.errors import HostFailure
from patchctl.model.evidence import NOT_APPLICABLE, OK, UNKNOWN, Evidence, Probe, Snapshot
from patchctl.model.text import decode, one_line
from patchctl.model.units import format_bytes, format_duration

_ENDED = re.compile(rb"(na|-|\d+) (\d+) (\d+) ([01]) \.")


class _Heard(Struct):
    """What was heard of one probe so far."""

    parts: list[bytes] = field(default_factory=list)
    started: int = 0
    ended: re.Match[bytes] | None = None
    not_run: bytes = b""
    broken: str = ""


def parse_output(
    output: bytes,
    probes: Sequence[Probe],
    nonce: str,
    *,
    host: str,
    taken_at: float,
    as_root: bool,
    seconds: float,
    lost: str,
    failure: HostFailure | None = None,
) -> Snapshot:
    """Given the bytes that came back for `compile_script(probes, nonce)`, return the Snapshot.

    Lines without the nonce are chatter and ignored. `lost` says why the end was not seen ("" = the command ended),
    `as_root` whether the transport ran it as root, `taken_at` is Unix time, `seconds` the length of the visit.
    `failure` is kept in the snapshot: privilege was refused, and this is what could be read without it.
    """
    heard, complete, root = _hear(output, nonce.encode("ascii"), len(probes))
    evidence: dict[str, Evidence] = {}
    for probe in probes:
        found = heard.get(probe.id.encode("ascii"))
        evidence[probe.id] = _judge(probe, found, lost, as_root=as_root or root, complete=complete)
    return Snapshot(host, taken_at, evidence, failure, seconds, complete)


def _hear(output: bytes, nonce: bytes, expected: int) -> tuple[Mapping[bytes, _Heard], bool, bool]:
    """Return what was heard of each probe, whether the END record came, and whether the script ran as root."""
    heard: dict[bytes, _Heard] = {}
    complete = root = False
    size = len(nonce)
    for line in output.split(b"\n"):
        if not line.startswith(nonce):
            continue
        kind = line[size : size + 1]
        name, _, rest = line[size + 1 :].partition(b" ")
        if kind == b"=":
            one = heard.get(name)
            if one is not None and one.ended is None:
                one.parts.append(rest)
        elif kind == b"#":
            complete = complete or (name == b"END" and rest == b"%d ." % expected)
            root = root or (name == b"BEGIN" and rest.endswith(b" root ."))
        else:
            _note(heard.setdefault(name, _Heard()), kind, rest)
    return heard, complete, root


def _note(one: _Heard, kind: bytes, rest: bytes) -> None:
    """Take in a record that is not text. Whatever does not fit the protocol breaks this probe's evidence."""
    if kind == b"+" and rest == b".":
        one.started += 1
        if one.started > 1 or one.ended is not None:
            one.broken = "it was started twice"
    elif kind == b">":
        found = _ENDED.fullmatch(rest)
        if one.ended is not None or one.started != 1:
            one.broken = "its end was told twice or before its start"
        elif found is not None:
            one.ended = found
    elif kind == b"!" and rest in (b"needs-root .", b"timeout ."):
        one.not_run = rest[:-2]


def _judge(probe: Probe, one: _Heard | None, lost: str, *, as_root: bool, complete: bool) -> Evidence:
    """Return the evidence of one probe from what was heard of it."""

    def unknown(reason: str, output: str = "", *, truncated: bool = False) -> Evidence:
        return Evidence(probe.id, UNKNOWN, output, None, reason, truncated, probe.volatile)

    if one is not None and one.not_run == b"needs-root":
        return unknown("needs root")
    if one is None or not one.started:
        if probe.root and not as_root:
            return unknown("needs root")
        if complete:
            return unknown("the host sent nothing for it")
        return unknown(f"not run: {one_line(lost) or 'the script ended early'}")
    if one.not_run == b"timeout":
        return unknown(f"timed out after {format_duration(probe.timeout)}")
    if one.broken:
        return unknown(f"output garbled: {one.broken}")
    if one.ended is None:
        why = "its reader died (is awk there?)" if complete else one_line(lost) or "the script ended early"
        return unknown(f"unfinished: {why}")
    rc, size, count, cut = one.ended.groups()
    text = b"\n".join(one.parts)
    if len(one.parts) != int(count) or (one.parts and len(text) + 1 != int(size)) or (not one.parts and int(size)):
        return unknown("output garbled: bytes were lost or mixed in on the way")
    shown = decode(text).replace("\0", "\ufffd")
    if cut == b"1":
        return unknown(f"output cut at {format_bytes(probe.cap)}", shown, truncated=True)
    if rc == b"na":
        return Evidence(probe.id, NOT_APPLICABLE, "", None, "does not apply to this host", volatile=probe.volatile)
    if rc == b"-":
        return unknown("no exit code: it was killed, or what it left behind went on printing", shown)
    return Evidence(probe.id, OK, shown, int(rc), volatile=probe.volatile)
