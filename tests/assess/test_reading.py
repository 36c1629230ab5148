"""Properties of the parsers behind check types: what is written is read, and the order of files is the system's."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.assess.native.answers import CaseAnswers
from patchctl.assess.native.tree import Leaf, judge
from patchctl.assess.reading.firewall import read_iptables, read_nft
from patchctl.assess.reading.fstab import read_mounts
from patchctl.assess.reading.keyvalue import read_values
from patchctl.assess.reading.pam import read_stack
from patchctl.assess.reading.sshd import in_match, read_effective
from patchctl.assess.reading.sudoers import defaults, read_lines
from patchctl.assess.reading.sysctl import effective
from patchctl.model.assessment import ERROR

WORD = st.text("abcdefgh_0123", min_size=1, max_size=8).filter(lambda w: w[0].isalpha())
FOLDERS = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/lib/sysctl.d"]


@given(st.dictionaries(st.tuples(st.sampled_from(FOLDERS), st.sampled_from("abc")), WORD, min_size=1))
def test_sysctl_files_count_by_name_and_folder(files: dict[tuple[str, str], str]) -> None:
    last = max(name for _, name in files)
    first = min((FOLDERS.index(folder) for folder, name in files if name == last))
    texts = [(f"{folder}/{name}.conf", f"# x\nkernel.a = {value}\n") for (folder, name), value in files.items()]
    found = effective("kernel.a", texts)
    assert found is not None
    assert found.value == files[FOLDERS[first], last]


@given(st.dictionaries(WORD, WORD, min_size=1), WORD)
def test_ini_values_are_read_as_written(values: dict[str, str], section: str) -> None:
    text = f"[{section}]\n; no\n" + "".join(f"{k} = \"{v}\"\n" for k, v in values.items())
    assert {v.key: v.value for v in read_values("f", text) if v.section == section} == values


@given(WORD, st.lists(WORD, min_size=1, max_size=4))
def test_mounts_are_read_as_written(name: str, options: list[str]) -> None:
    found, = read_mounts(f"# c\n/dev/x /mnt\\040{name} ext4 {','.join(options)} 0 0\n")
    assert (found.path, found.options) == (f"/mnt {name}", tuple(options))


@given(st.dictionaries(WORD, WORD, min_size=1, max_size=4))
def test_sudoers_defaults_are_read_over_continued_lines(values: dict[str, str]) -> None:
    text = "Defaults " + ", \\\n  ".join(f"{k}={v}" for k, v in values.items()) + "\n# Defaults no\n"
    line, = read_lines("f", text)
    assert defaults(line) == values


@given(st.lists(WORD, min_size=1, max_size=5))
def test_pam_stacks_keep_their_order_through_includes(modules: list[str]) -> None:
    inner = "".join(f"auth required pam_{m}.so\n" for m in modules)
    files = {"a": "@include b\nauth required pam_last.so\n", "b": inner}
    assert [e.module for e in read_stack("a", files)] == [*(f"pam_{m}" for m in modules), "pam_last"]
    assert read_stack("loop", {"loop": "@include loop\nauth required x.so\n"})


@given(WORD, WORD, WORD)
def test_sshd_options_in_match_blocks_are_found(option: str, value: str, user: str) -> None:
    option = option.replace("_", "x")
    text = f"{option} outside\nMatch User {user}\n  {option.upper()}={value}\nMatch all\n{option} again\n"
    found = [] if option in ("match", "include") else in_match({"m": text}, {}, "m")
    assert [(o.option, o.value, o.match) for o in found] == [(option, value, f"User {user}")]
    assert read_effective(f"{option} {value}\n{option} {user}\n")[option] == [value, user]


@settings(max_examples=80)
@given(st.sampled_from(["drop", "accept"]),
       st.lists(st.sampled_from(["tcp dport 22 accept", "drop", "counter"]), max_size=3))
def test_firewalls_default_is_the_first_rule_for_all_or_the_policy(policy: str, rules: list[str]) -> None:
    body = "".join(f"\t\t{rule}\n" for rule in rules)
    text = f"table inet t {{\n\tchain c {{\n\t\ttype filter hook input priority 0; policy {policy};\n{body}\t}}\n}}\n"
    hook, = read_nft(text)
    assert hook.default == ("drop" if "drop" in rules else policy)
    saved = f"*filter\n:INPUT {policy.upper()} [0:0]\n-A INPUT -j DROP\nCOMMIT\n*nat\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
    assert read_iptables(saved)[0].default == "drop"


def test_iptables_of_nft_and_legacy_tables_are_both_read() -> None:
    table = "*filter\n:INPUT {} [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
    warned = "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n"
    found = read_iptables(table.format("ACCEPT") + warned + table.format("DROP"))
    assert [hook.default for hook in found if hook.hook == "input"] == ["accept", "drop"]


def test_a_pattern_without_end_is_an_error_that_names_it() -> None:
    host = CaseAnswers({"stat": {"/etc/motd": "81a4 0 0 root root"}, "read": {"/etc/motd": "a" * 5000 + "!\n"}})
    for name in ("contains", "lacks"):
        found = judge(Leaf("file", {"path": "/etc/motd", name: "^(a+)+$"}), host)
        assert found.verdict == ERROR
        assert "^(a+)+$ takes too many steps" in found.reason
