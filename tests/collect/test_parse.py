"""Whatever happens to the stream, evidence is never called ok unless it is exactly what the probe printed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.collect.script import compile_script
from patchctl.model.evidence import OK, UNKNOWN, Probe
from tests.collect.shells import NONCE, read, run_script

N = NONCE.encode()
PAYLOAD = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([
            b"\n", b"\0", b"\r\n", N, N + b"=a.b x\n", N + b">a.b 0 0 0 0 .\n", b"\n" + N[:-1], N + b" 0 .",
            N + b"!a.b timeout .\n", N + b"#END 2 .\n",
        ]),
    ),
    max_size=8,
).map(b"".join)
PROBES = (Probe("a.b", "true"), Probe("c", "true"))


def frame(probe: bytes, payload: bytes, rc: bytes = b"0") -> bytes:
    """Return what the host's awk makes of a payload."""
    parts = payload.split(b"\n")
    lines = b"".join(N + b"=" + probe + b" " + part + b"\n" for part in parts)
    size = len(payload) + 1
    return (
        b"\n" + N + b"+" + probe + b" .\n" + lines
        + N + b">" + probe + b" " + rc + b" %d %d 0 .\n" % (size, len(parts))
    )  # fmt: skip


def stream(first: bytes, second: bytes) -> bytes:
    begin, end = b"\n" + N + b"#BEGIN 1 root .\n", b"\n" + N + b"#END 2 .\n"
    return begin + frame(b"a.b", first) + frame(b"c", second, b"7") + end


def shown(payload: bytes) -> str:
    return payload.decode("utf-8", "replace").replace("\0", "\ufffd")


@given(PAYLOAD, PAYLOAD)
def test_any_output_comes_back_as_it_was(first: bytes, second: bytes) -> None:
    snapshot = read(stream(first, second), PROBES)
    assert snapshot.complete
    assert (snapshot.evidence["a.b"].status, snapshot.evidence["a.b"].output) == (OK, shown(first))
    assert (snapshot.evidence["c"].output, snapshot.evidence["c"].rc) == (shown(second), 7)


@given(PAYLOAD, PAYLOAD)
@settings(max_examples=60)
def test_a_stream_cut_anywhere_gives_what_was_whole_and_unknown(first: bytes, second: bytes) -> None:
    whole = stream(first, second)
    for length in range(len(whole)):
        snapshot = read(whole[:length], PROBES, lost="link dropped")
        for name, payload in (("a.b", first), ("c", second)):
            evidence = snapshot.evidence[name]
            assert evidence.status in (OK, UNKNOWN)
            if evidence.status == OK:
                assert evidence.output == shown(payload)
            else:
                assert evidence.reason
        if length < len(whole) - 1:
            assert not snapshot.complete


@given(PAYLOAD, PAYLOAD, st.data())
def test_lost_or_added_bytes_are_noticed(first: bytes, second: bytes, data: st.DataObject) -> None:
    whole = stream(first, second)
    at = data.draw(st.integers(0, len(whole) - 1))
    to = data.draw(st.integers(at + 1, len(whole)))
    extra = data.draw(st.binary(max_size=6))
    snapshot = read(whole[:at] + extra + whole[to:], PROBES)
    for name, payload in (("a.b", first), ("c", second)):
        evidence = snapshot.evidence[name]
        if evidence.status == OK and evidence.output != shown(payload):
            # Only same-length damage inside a line can pass: TCP and ssh's MAC guard against that, not this count.
            assert len(extra) == to - at


@given(st.lists(st.binary(max_size=30).filter(lambda b: NONCE.encode() not in b), max_size=6))
def test_chatter_between_lines_is_ignored(chatter: list[bytes]) -> None:
    lines = stream(b"hello\n", b"there").split(b"\n")
    mixed: list[bytes] = []
    for index, line in enumerate(lines):
        mixed.append(line)
        if index < len(chatter):
            mixed.append(chatter[index].replace(b"\n", b" "))
    snapshot = read(b"\n".join(mixed), PROBES)
    assert snapshot.output("a.b") == "hello\n"
    assert snapshot.output("c") == "there"


@given(st.binary(max_size=300))
def test_noise_gives_unknown_and_no_error(noise: bytes) -> None:
    snapshot = read(noise, PROBES, lost="deadline")
    assert {e.status for e in snapshot.evidence.values()} == {UNKNOWN}


@given(PAYLOAD)
@settings(max_examples=15, deadline=None)
def test_the_real_script_agrees_with_the_frame_above(payload: bytes) -> None:
    text = "".join(f"\\{byte:03o}" for byte in payload)
    probes = (Probe("a.b", f"printf '{text}'"),)
    snapshot = read(run_script(["sh"], compile_script(probes, NONCE)), probes)
    assert snapshot.output("a.b") == shown(payload)


def test_reasons_tell_what_happened() -> None:
    whole = stream(b"hello\n", b"there\n")
    middle = whole.index(b"there")
    cut = read(whole[:middle], PROBES, lost="the link dropped")
    assert cut.evidence["c"].reason == "unfinished: the link dropped"
    before = whole.index(N + b"+c")
    assert read(whole[:before], PROBES, lost="silence").evidence["c"].reason == "not run: silence"
    twice = whole.replace(b"\n" + N + b"#END", frame(b"a.b", b"other") + b"\n" + N + b"#END")
    assert "garbled" in read(twice, PROBES).evidence["a.b"].reason
    root_only = (Probe("r", "id", root=True),)
    assert read(b"", root_only, as_root=False).evidence["r"].reason == "needs root"


def test_evidence_that_cannot_be_what_the_probe_printed_is_unknown() -> None:
    whole = stream(b"one\ntwo", b"there\n")
    started = N + b"+a.b .\n"
    for wrong, word in (
        (whole.replace(N + b">a.b 0 8 2 0 .", N + b">a.b - 8 2 0 ."), "killed"),
        (whole.replace(started, started + started), "garbled"),
        (whole.replace(b"one\n" + N + b"=a.b two", b"one two"), "lost or mixed"),
        (whole.replace(N + b">a.b 0 8 2 0 .", N + b">a.b 0 8 2 1 ."), "cut"),
        (whole.replace(N + b">a.b 0 8 2 0 .", N + b">a.b 0 8 2 0"), "unfinished"),
    ):
        assert wrong != whole
        found = read(wrong, PROBES).evidence["a.b"]
        assert found.status == UNKNOWN, word
        assert word in found.reason
    assert read(whole, PROBES).evidence["a.b"].status == OK
