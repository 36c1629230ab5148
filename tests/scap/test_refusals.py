"""Wrong, hostile and mistyped content: refused with the place and what to do; a cache that was touched is not used."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from patchctl.assess.content.registry import kind_of
from patchctl.assess.content.xccdf import KIND, xml
from patchctl.assess.content.xccdf.baseline import XccdfBaseline
from patchctl.assess.contract import Request
from patchctl.model.errors import DocumentsError, UsageError
from patchctl.usecases.baselines import content_warnings
from patchctl.usecases.compiled import cache_key, load_or_compile
from tests.scap import here
from tests.scap.synthetic import Oval, benchmark, each_case, rule, tag
from tests.scap.test_xccdf_against_oscap import document, profile


@pytest.mark.parametrize(("data", "said"), [
    (b"%PDF-1.4\n%\xe2\xe3\n1 0 obj\n", "a PDF document"),
    (b'<?xml version="1.0"?><oval_results xmlns="http://oval.mitre.org/XMLSchema/oval-results-5"/>', "OVAL results"),
    (b"<ns:oval_definitions>", "name the XCCDF file"), (b"<arf:asset-report-collection>", "a scanner's report"),
    (b"<!DOCTYPE html><html>", "a web page"), (b"PK\x03\x04", "unpack it"), (b"", "it is empty"),
    (b'<xccdf:Tailoring xmlns:xccdf="http://checklists.nist.gov/xccdf/1.2">', "--tailoring"),
])
def test_that_a_wrong_file_is_told_for_what_it_is(data: bytes, said: str) -> None:
    with pytest.raises(UsageError, match="no kind of baseline reads this file") as caught:
        kind_of("given.xml", data)
    assert said in str(caught.value)


def test_that_a_mistyped_profile_is_guessed() -> None:
    xccdf = benchmark(profile("standard") + profile("strict") + rule("r", "")).encode()
    with pytest.raises(DocumentsError) as caught:
        KIND.compile(xccdf, "x.xml", Request("x", "standart"))
    assert "did you mean standard?" in caught.value.problems[0].hint


TAILORING = tag("Tailoring", inner=tag("benchmark", href="x.xml", id="{}") + tag(
    "version", "1", time="2024-01-01T00:00:00") + profile("mine", tag(
        "select", idref="xccdf_t_rule_nowhere", selected="true")),
    xmlns="http://checklists.nist.gov/xccdf/1.2", id="xccdf_t_tailoring_test")


def test_that_a_tailoring_file_is_never_left_out_in_silence() -> None:
    xccdf = benchmark(profile("standard") + rule("r", "")).encode()
    own = ET.fromstring(xccdf).attrib["id"]

    def compile_(wanted: str, of: str) -> XccdfBaseline:
        made = KIND.compile(xccdf, "x.xml", Request("x", wanted, tailoring=TAILORING.format(of).encode()))
        assert isinstance(made, XccdfBaseline)
        return made

    for wanted, of, code in (("standard", own, "xccdf-unused-tailoring"), ("mine", "other", "xccdf-other-benchmark")):
        with pytest.raises(DocumentsError) as caught:
            compile_(wanted, of)
        assert caught.value.problems[0].code == code
    amiss = content_warnings([compile_("mine", own)])
    assert len(amiss) == 1 and "xccdf_t_rule_nowhere, which the benchmark does not have" in amiss[0]


BOMB = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)) + b"]><a>&j;</a>"


@pytest.mark.parametrize(("data", "code"), [
    (BOMB, "xml-"), (b'<!DOCTYPE a SYSTEM "http://example.com/x.dtd"><a/>', "xml-doctype"),
    (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/shadow">]><a>&x;</a>', "xml-doctype"),
    (b"<a>" * 5000 + b"</a>" * 5000, "xml-syntax"), (b" " * (xml.MAX_BYTES + 1), "xml-too-large"),
    (b"\xff\xfe\x00<", "xml-syntax"), (b'<a b="' + b"x" * 11_000_000 + b'"/>', "xml-syntax"),
])
def test_that_hostile_xml_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(DocumentsError) as caught:
        KIND.profiles(data, "hostile.xml")
    assert caught.value.problems[0].code.startswith(code)
    assert caught.value.problems[0].hint


def test_that_patterns_without_end_are_an_error_and_not_a_hang(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a" * 3000 + "!\n")
    oval = Oval()
    for name, pattern in (("nested", "^(a+)+$"), ("alternatives", "^(a|aa)+$"),
                          ("huge", f"^({'a?' * 400}){'a' * 400}$")):
        inner = (tag("ind:path", str(tmp_path)) + tag("ind:filename", "text")
                 + tag("ind:pattern", pattern, operation="pattern match") + tag("ind:instance", "1", datatype="int"))
        oval.try_object(name, "ind:textfilecontent54", inner)
    baseline, judge = here.ours(each_case(oval), {"oval.xml": oval.xml()})
    assert {judge.verdict(r)[0] for r in baseline.rules} <= {"ERROR", "FAIL"}
    assert "ERROR" in {judge.verdict(r)[0] for r in baseline.rules}


def test_that_a_cache_that_was_touched_is_compiled_again(tmp_path: Path) -> None:
    files, times = document(), [0]
    folder = tmp_path / "cache"

    def compiled() -> object:
        times[0] += 1
        given = {"oval.xml": files.oval.xml().encode()}
        return KIND.compile(each_case(files.oval).encode(), "x.xml", Request("x", files=given))

    def load() -> int:
        load_or_compile(cache_key(b"content"), compiled, folder)  # type: ignore[arg-type]  # a Baseline
        return times[0]

    assert [load(), load()] == [1, 1]
    (path,) = folder.glob("*.compiled")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    assert load() == 2, "one bit was turned"
    assert load() == 2
    path.write_bytes(whole[:100])
    assert load() == 3, "it was cut"
    path.chmod(0o666)
    assert load() == 4, "others may write it"
    whole = path.read_bytes()
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(whole)
    path.symlink_to(tmp_path / "elsewhere")
    assert load() == 5, "it is a link"
