"""Windows policies, judged from answers as the PowerShell probes are written to give them: no Windows was asked."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from patchctl.assess.content.sca.answers import Key
from patchctl.assess.content.sca.windows import split_command_line, split_key
from patchctl.model.assessment import FAIL, NOT_APPLICABLE, NOT_CHECKED, PASS, UNKNOWN
from tests.assess.sca.ask import POLICIES, load, policy, say, verdict

KEY: Key = ("r", r"HKLM\SOFTWARE\Test")


def values(**found: tuple[str, str]) -> list[str]:
    return [f"v {kind} {quote(name, safe='')} {quote(data, safe='')}" for name, (kind, data) in found.items()]


def key(*lines: str, second: tuple[str, ...] = ("w absent",)) -> tuple[str, list[str]]:
    return "reg", ["w present", *lines, *second]


def test_a_policy_from_registry_and_commands() -> None:
    made = load((POLICIES / "windows-v4.yml").read_text())
    have = key(*values(ProductName=("String", "Windows Server 2022"), lockout=("DWord", "5"),
                       Pipes=("MultiString", "LSARPC\nsamr")), "k Sub")  # fmt: skip
    answers: dict[Key, tuple[str, list[str]]] = {
        KEY: have, ("r", r"HKEY_LOCAL_MACHINE\SOFTWARE\Test"): have, ("r", r"HKLM\SOFTWARE\Missing"): ("reg",
        ["w absent"] * 2),
        ("c", "net.exe accounts"): ("0", ["Lockout threshold:      10"]),
    }  # fmt: skip
    found = {f.rule: f.verdict for f in made.evaluate(say(made, answers))}
    assert found == {"3001": PASS, "3002": PASS, "3003": NOT_APPLICABLE, "3004": PASS, "3005": PASS, "3006": PASS}
    other = {**answers, KEY: key(*values(ProductName=("String", "Windows 11")))}
    assert {f.verdict for f in made.evaluate(say(made, other))} == {NOT_APPLICABLE}
    refused = {**answers, KEY: ("reg", ["w refused", "w refused"])}
    assert {f.verdict for f in made.evaluate(say(made, refused))} == {UNKNOWN}


@pytest.mark.parametrize(
    ("rule", "lines", "four", "five"),
    [
        ("-> sub", ["k Sub"], FAIL, PASS),                                  # keys count in 5 only
        ("-> r:^Na", values(Name=("String", "x")), FAIL, PASS),             # names by expression in 5 only
        ("-> name", values(Name=("String", "x")), PASS, PASS),
        ("-> Name -> X", values(Name=("String", "x")), PASS, PASS),
        ("-> Name -> r:^$", values(Name=("String", "")), FAIL, FAIL),
        ("-> Q -> 0500000000000000", values(Q=("QWord", "5")), PASS, FAIL),
        ("-> Q -> 5", values(Q=("QWord", "5")), FAIL, PASS),
        ("-> B -> r:^01ff$", values(B=("Binary", "01ff")), PASS, PASS),
        ("-> N -> n:(\\d+) compare >= 1", values(N=("String", "none")), FAIL, FAIL),
        ("-> N -> !r:a|b", values(N=("String", "a\nb")), FAIL, FAIL),
        ("-> Missing -> x", [], NOT_APPLICABLE, NOT_APPLICABLE),
    ],
)  # fmt: skip
def test_values(rule: str, lines: list[str], four: str, five: str) -> None:
    for dialect, wanted in ((4, four), (5, five)):
        made = policy(dialect, rf"r:HKLM\SOFTWARE\Test {rule}")
        assert verdict(made, say(made, {KEY: key(*lines)})) == wanted, dialect


def test_wazuh_4_looks_at_the_32_bit_view_too() -> None:
    only32 = key(second=("w present", *values(Name=("String", "x"))))
    for dialect, wanted in ((4, PASS), (5, NOT_APPLICABLE)):
        made = policy(dialect, r"r:HKLM\SOFTWARE\Test -> Name -> x")
        assert verdict(made, say(made, {KEY: only32})) == wanted


def test_what_is_not_interpreted_on_windows_says_so() -> None:
    for rule in (r"r:HKXX\A", "p:lsass.exe", r"d:C:\Windows"):
        made = policy(4, rule, r"r:HKLM\SOFTWARE\Test", condition="all")
        assert made.rules[0].limits
        assert verdict(made, say(made, {KEY: key()})) == NOT_CHECKED
        assert verdict(made, say(made, {KEY: ("reg", ["w absent", "w absent"])})) == FAIL, "a deciding rule decides"


def test_command_lines_and_keys() -> None:
    assert split_command_line('"C:\\Program Files\\x.exe" /a "b c"') == (r"C:\Program Files\x.exe", '/a "b c"')
    assert split_command_line(' auditpol.exe /get /s:"Logon"') == ("auditpol.exe", '/get /s:"Logon"')
    assert split_key(r"HKLM\A\B") == ("LocalMachine", r"A\B")
    assert split_key("HKLM") == ("LocalMachine", "")
    assert split_key(r"hklm\A") is None


def test_hostile_words_stay_literals_in_powershell() -> None:
    made = policy(4, r"r:HKLM\SOFTWARE\a'; Remove-Item x; '", "c:net.exe '’; calc -> r:x")
    text = "".join(p.command for p in made.probes())
    assert "'SOFTWARE\\a''; Remove-Item x; '''" in text
    assert "'''’’; calc'" in text
