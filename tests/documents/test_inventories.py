"""patchctl's own inventories: who wins, what is refused, where it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.documents.inventories import load_inventory
from patchctl.model.errors import DocumentsError, Problem
from patchctl.model.hosts import Freeze, HealthCheck, Inventory, SecretRef


def load(tmp_path: Path, text: str, **others: str) -> Inventory:
    (tmp_path / "inv.yaml").write_text(text)
    for name, content in others.items():
        path = tmp_path / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return load_inventory([tmp_path / "inv.yaml"], tmp_path)


def problems(tmp_path: Path, text: str, **others: str) -> list[Problem]:
    with pytest.raises(DocumentsError) as caught:
        load(tmp_path, text, **others)
    return list(caught.value.problems)


def test_every_level_in_order_of_strength(tmp_path: Path) -> None:
    inventory = load(tmp_path, """
defaults: {user: d, port: 1, jump: d, keys: d}
sites: {s: {user: s, port: 2, jump: s, vars: {a: s}}}
groups:
  outer: {groups: [inner], site: s, user: o, port: 3, vars: {a: o, b: o}}
  inner: {user: i, hosts: {h: {user: h, vars: {c: h}}, g: }, vars: {b: i}}
  beta: {hosts: [g], vars: {tie: beta}}
  alpha: {hosts: [g], vars: {tie: alpha}}
""")
    host, other = inventory.hosts["h"], inventory.hosts["g"]
    assert (host.connection.user, host.connection.port, host.connection.jump, host.connection.keys) == (
        "h", 3, ("s",), ("d",))
    assert other.connection.user == "i"
    assert host.variables == {"a": "o", "b": "i", "c": "h"}
    assert other.variables["tie"] == "beta"
    assert host.groups == ("inner", "outer")
    assert host.site == "s"
    assert host.origins["user"] == "inv.yaml:6:32 (host)"
    assert host.origins["vars.a"] == "inv.yaml:5:62 (group outer)"
    assert inventory.groups["outer"].hosts == ("h", "g")


def test_all_settings_reach_the_host(tmp_path: Path) -> None:
    host = load(tmp_path, """
sites: {far: {timeout_factor: 2, forks: 3}}
groups:
  g:
    site: far
    max_down: 2
    health: [{unit: a.service}, {no_new_failed_units: true}]
    hosts:
      h:
        address: 192.0.2.7
        connection: openssh
        port: 2222
        jump: [ops@j1, j2:2200]
        become: {method: su, user: adm, password: "cmd:pass show x", flags: -E}
        password: env:PW
        keys: [a, b]
        passphrase: "prompt:key of h"
        timeouts: {connect: 5s, total: 10m}
        ssh_options: {Compression: yes, ServerAliveInterval: 10}
        health: [{http: "https://:443/x", expect: 204, timeout: 3s}, {unit: a.service}, {tcp: 22}]
        reboot: never
        frozen: {reason: CHG-1, until: 2030-01-01}
        intermittent: 14d
        vars: {n: 5, f: 1.5, v: 1.10, t: true, s: "true", l: [1, a], z: , o: 007}
""").hosts["h"]
    c = host.connection
    assert (c.transport, c.address, c.port, c.jump, c.keys) == (
        "openssh", "192.0.2.7", 2222, ("ops@j1", "j2:2200"), ("a", "b"))
    assert (c.become.method, c.become.user, c.become.flags) == ("su", "adm", ("-E",))
    assert c.become.password == SecretRef("cmd", "pass show x", c.become.password.origin if c.become.password else "")
    assert c.password is not None
    assert c.password.scheme == "env"
    assert c.key_passphrase is not None
    assert c.key_passphrase.value == "key of h"
    assert (c.timeouts.connect, c.timeouts.total, c.timeouts.factor) == (10.0, 1200.0, 2.0)
    assert (c.timeouts.connect, c.timeouts.silence, c.timeouts.total) == (10.0, 240.0, 1200.0)
    assert c.options == {"compression": "yes", "serveraliveinterval": "10"}
    assert host.health == (
        HealthCheck("unit", "a.service"), HealthCheck("no_new_failed_units"),
        HealthCheck("http", "https://:443/x", "204", 3.0), HealthCheck("tcp", "22"))
    assert (host.reboot, host.frozen, host.intermittent) == ("never", Freeze("CHG-1", "2030-01-01"), 1209600.0)
    assert host.variables == {
        "n": 5, "f": 1.5, "v": "1.10", "t": True, "s": "true", "l": [1, "a"], "z": None, "o": "007"}


@pytest.mark.parametrize(("text", "code", "line", "hint"), [
    ("defalts: {}", "unknown-key", 1, "defaults"),
    ("groups: {a: {hosts: [x], usr: y}}", "unknown-key", 1, "user"),
    ("groups: {a: {groups: [bb]}, bbb: {hosts: [x]}}", "unknown-group", 1, "bbb"),
    ("groups:\n  a: {groups: [b]}\n  b: {groups: [a]}", "group-cycle", 3, ""),
    ("groups: {all: {hosts: [x]}, b: {}}", "reserved-name", 1, "defaults"),
    ("groups: {a: {site: amz, hosts: [x]}}\nsites: {ams: {}}", "unknown-site", 1, "ams"),
    ("groups: {a: {hosts: ['w[3:1]']}}", "invalid-range", 1, ""),
    ("groups: {a: {hosts: ['x y']}}", "invalid-name", 1, ""),
    ("groups: {a: {hosts: [no]}}", "ambiguous-value", 1, '"no"'),
    ("groups: {a: {hosts: [x], vars: {v: off}}}", "ambiguous-value", 1, '"off"'),
    ("defaults: {port: 022}", "ambiguous-value", 1, "22"),
    ("defaults: {port: ssh}", "unexpected-type", 1, ""),
    ("defaults: {timeouts: {total: 90}}", "invalid-duration", 1, "90s"),
    ("defaults: {password: hunter2}", "plain-secret", 1, "env:NAME"),
    ("defaults: {become: {method: sudoo}}", "unknown-value", 1, "sudo"),
    ("defaults: {health: [{no_new_failed_units: yes}]}", "ambiguous-value", 1, "true"),
    ("defaults: {health: [{tcp: 22, unit: x}]}", "invalid-health", 1, "unit"),
    ("defaults: {user: [a]}", "unexpected-type", 1, ""),
    ("defaults: [a]", "unexpected-type", 1, ""),
    ("hosts: {h: {frozen: {until: 2030-01-01}}}", "missing-key", 1, ""),
    ("hosts: {h: {frozen: {reason: x, until: 01.01.2030}}}", "invalid-date", 1, "YYYY"),
    ("import: [nowhere.yaml]\nhosts: [h]", "missing-file", 1, ""),
    ("- a\n- b", "unexpected-type", 1, ""),
])
def test_mistakes_are_told_with_code_line_and_hint(tmp_path: Path, text: str, code: str, line: int, hint: str) -> None:
    found = [p for p in problems(tmp_path, text) if p.code == code]
    assert found, problems(tmp_path, text)
    assert found[0].line == line
    assert hint in found[0].hint


def test_all_problems_of_all_files_come_in_one_run(tmp_path: Path) -> None:
    found = problems(
        tmp_path, "import: [b.yaml, c]\ngroups: {a: {usr: x, hosts: [h], groups: [nope], site: s}}\n",
        **{"b.yaml": "groups: {b: {hosts: [no]}}\n", "c": "[web\nh1\n"},
    )
    assert {(p.file, p.code) for p in found} == {
        ("inv.yaml", "unknown-key"), ("inv.yaml", "unknown-group"), ("inv.yaml", "unknown-site"),
        ("b.yaml", "ambiguous-value"), ("c", "invalid-section"),
    }


def test_files_of_one_rank_may_add_to_a_group_but_not_contradict(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("groups: {g: {hosts: [a], user: x}}\n")
    (tmp_path / "b.yaml").write_text("groups: {g: {hosts: [b], user: x}}\n")
    assert load_inventory([tmp_path]).members("g") == ("a", "b")
    (tmp_path / "b.yaml").write_text("groups: {g: {hosts: [b], user: y}}\n")
    with pytest.raises(DocumentsError) as caught:
        load_inventory([tmp_path], tmp_path)
    assert [(p.code, p.file) for p in caught.value.problems] == [("conflicting-setting", "b.yaml")]
    assert "a.yaml:1:26" in caught.value.problems[0].message


def test_a_file_outranks_what_it_imports(tmp_path: Path) -> None:
    inventory = load(
        tmp_path, "import: [b.yaml, hosts]\ngroups: {g: {user: mine}}\ndefaults: {user: weakest}\n",
        **{"b.yaml": "groups: {g: {hosts: [h], user: theirs}}\n",
           "hosts": "[g]\nk ansible_port=7\n[g:vars]\nansible_user=ansible\n[x]\nz ansible_user=own\ny\n"},
    )
    assert inventory.hosts["h"].connection.user == "mine"
    assert (inventory.hosts["k"].connection.user, inventory.hosts["k"].connection.port) == ("mine", 7)
    assert inventory.hosts["z"].connection.user == "own"
    assert inventory.hosts["y"].connection.user == "weakest"


def test_a_host_in_two_sites_is_a_problem_unless_it_says_which(tmp_path: Path) -> None:
    text = "sites: {a: {}, b: {}}\ngroups: {x: {site: a, hosts: [h]}, y: {site: b, hosts: [h]}}\n"
    assert [p.code for p in problems(tmp_path, text)] == ["conflicting-site"]
    assert load(tmp_path, text + "hosts: {h: {site: b}}\n").hosts["h"].site == "b"


def test_nobody_jumps_through_itself(tmp_path: Path) -> None:
    inventory = load(tmp_path, "sites: {s: {jump: [gw, bastion]}}\ngroups: {g: {site: s, hosts: [bastion, gw, h]}}\n")
    assert inventory.hosts["h"].connection.jump == ("gw", "bastion")
    assert inventory.hosts["bastion"].connection.jump == ("gw",)
    assert inventory.hosts["gw"].connection.jump == ()
    assert "its own jump host" in inventory.hosts["gw"].ignored[0]


NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
HOSTS = st.sampled_from(["h1", "h2", "h3", "h4"])


@st.composite
def inventories(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(NAMES, unique=True, min_size=1))
    groups: dict[str, Any] = {}
    for index, name in enumerate(names):
        later = names[index + 1 :]
        groups[name] = {
            "hosts": draw(st.lists(HOSTS, unique=True)),
            "groups": draw(st.lists(st.sampled_from(later), unique=True)) if later else [],
            "vars": draw(st.dictionaries(st.sampled_from(["v", "w"]), st.integers(0, 9))),
        }
    return {"groups": groups, "hosts": {h: {"vars": draw(st.dictionaries(st.just("v"), st.integers(10, 19)))}
                                        for h in draw(st.lists(HOSTS, unique=True))}}


@settings(max_examples=150, deadline=None)
@given(inventories())
def test_merging_obeys_depth_then_name(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("inv")
    (folder / "i.yaml").write_text(yaml.safe_dump(data))
    inventory = load_inventory([folder / "i.yaml"])
    groups = data["groups"]

    def depth(name: str) -> int:
        return 1 + max((depth(parent) for parent in groups if name in groups[parent]["groups"]), default=0)

    def holds(name: str, host: str) -> bool:
        return host in groups[name]["hosts"] or any(holds(child, host) for child in groups[name]["groups"])

    for host in inventory.hosts.values():
        mine = sorted((n for n in groups if holds(n, host.name)), key=lambda n: (depth(n), n))
        expected: dict[str, Any] = {}
        for name in mine:
            expected |= groups[name]["vars"]
        expected |= data["hosts"].get(host.name, {}).get("vars", {})
        assert host.groups == tuple(sorted(mine))
        assert host.variables == expected
    assert set(inventory.hosts) == {h for g in groups.values() for h in g["hosts"]} | set(data["hosts"])


def test_winrm_settings_merge_key_by_key_and_the_nearest_wins(tmp_path: Path) -> None:
    (tmp_path / "hosts.yaml").write_text("""
defaults: {winrm: {auth: kerberos, ca: /default.pem}}
sites: {ams: {winrm: {ca: /site.pem}}}
groups:
  win:
    site: ams
    connection: winrm
    winrm: {scheme: https}
    hosts: {w1: {winrm: {auth: certificate, certificate: c, key: k}}, w2: {}}
hosts: [l1]
""")
    hosts = load_inventory([tmp_path / "hosts.yaml"]).hosts
    assert dict(hosts["w1"].connection.winrm) == {
        "auth": "certificate", "ca": "/site.pem", "scheme": "https", "certificate": "c", "key": "k"}
    assert dict(hosts["w2"].connection.winrm) == {"auth": "kerberos", "ca": "/site.pem", "scheme": "https"}
    assert hosts["l1"].connection.winrm == {}


@pytest.mark.parametrize(("written", "said"), [
    ("{auth: plaintext}", "plaintext"), ("{scheme: ftp}", "ftp"), ("{verify: no}", "verify"), ("{ca: [a]}", "text"),
])
def test_winrm_settings_are_strict(tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / "hosts.yaml").write_text(f"defaults: {{winrm: {written}}}\nhosts: [w1]\n")
    with pytest.raises(DocumentsError) as caught:
        load_inventory([tmp_path / "hosts.yaml"])
    assert said in str(caught.value.problems)


@pytest.mark.parametrize("value", ["", '""', '" "', "null"])
@pytest.mark.parametrize("setting", [
    "address",  # would be looked for under its name
    "jump",  # would be reached directly
    "frozen",  # would be patched
    "user", "port", "become", "password", "keys", "site", "health", "reboot", "intermittent", "timeouts",
])
def test_a_setting_with_nothing_behind_it_is_a_problem_not_a_default(
    tmp_path: Path, setting: str, value: str
) -> None:
    found = problems(tmp_path, f"hosts:\n  web1:\n    {setting}: {value}\n")
    assert found and {problem.line for problem in found} == {3}, found


@pytest.mark.parametrize("value", ["", "null"])
def test_a_group_that_enforces_nothing_is_a_problem_and_one_without_hosts_is_not(tmp_path: Path, value: str) -> None:
    found = problems(tmp_path, f"groups: {{db: {{hosts: [a], max_down: {value}}}}}\n")
    assert [problem.code for problem in found] == ["empty-value"]
    empty = "groups:\n  db:\n    hosts:\n    vars:\n  web:\nhosts: [a]\ndefaults:\nsites:\n"
    assert set(load(tmp_path, empty).hosts) == {"a"}


def test_a_wrong_value_is_told_once(tmp_path: Path) -> None:
    assert [p.code for p in problems(tmp_path, "hosts: {a: {health: [{tcp: 99999}]}}\n")] == ["invalid-port"]
