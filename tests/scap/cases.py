"""What OVAL can say, each way once: functions, datatypes and operations, checks, existence, sets and filters."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from tests.scap.synthetic import Oval, tag

CHECKS = ("all", "at least one", "none satisfy", "only one")
EXISTENCE = ("all_exist", "any_exist", "at_least_one_exists", "none_exist", "only_one_exists")


def of_language(oval: Oval, folder: Path) -> None:
    """Add what the language itself offers; `folder` gets the files that are looked at."""
    for add in (functions, object_components, times, operations, variable_checks):
        add(oval)
    for with_files in (checks, criteria, sets, several_values):
        with_files(oval, folder)


def _literal(text: str) -> str:
    return tag("literal_component", text)


def _from(variable: str) -> str:
    return tag("variable_component", var_ref=variable)


def several_values(oval: Oval, folder: Path) -> None:
    """Objects whose entity is a variable of several values, under every var_check."""
    place = folder / "several"
    place.mkdir()
    for name in ("a", "b"):
        (place / name).write_text("x=1\n")
        (place / f"to-{name}").symlink_to(name)
    of = {
        "file filepath": ("unix:file", "unix:filepath", (f"{place}/a", f"{place}/b", "/gone"), ""),
        "file filename": ("unix:file", "unix:filename", ("a", "b"), tag("unix:path", str(place))),
        "text filename": ("ind:textfilecontent54", "ind:filename", ("a", "b"), tag("ind:path", str(place))),
        "symlink": ("unix:symlink", "unix:filepath", (f"{place}/to-a", f"{place}/to-b"), ""),
        "password": ("unix:password", "unix:username", ("root", "daemon"), ""),
        "shadow": ("unix:shadow", "unix:username", ("root", "daemon"), ""),
        "sysctl": ("unix:sysctl", "unix:name", ("kernel.ostype", "kernel.hostname"), ""),
        "dpkg": ("linux:dpkginfo", "linux:name", ("dpkg", "libc6", "no-such"), ""),
        "partition": ("linux:partition", "linux:mount_point", ("/", "/proc"), ""),
        "hash": ("ind:filehash58", "ind:filepath", (f"{place}/a", f"{place}/b"), ""),
    }
    after = {
        "text filename": tag("ind:pattern", "^x=(.)$", operation="pattern match") + tag(
            "ind:instance", "1", datatype="int"),
        "hash": tag("ind:hash_type", "SHA-256"),
    }
    fields = {"password": "username", "shadow": "username", "sysctl": "name", "dpkg": "name", "hash": "filepath",
              "partition": "mount_point", "symlink": "filepath", "text filename": "filename"}
    for (name, (kind, entity, values, before)), one, size in product(of.items(), CHECKS, (1, 9)):
        variable = oval.constant(values[:size])
        found = oval.object(kind, before + tag(entity, var_ref=variable, var_check=one) + after.get(name, ""))
        oval.case(f"several {name} {one} {size}", oval.test(kind, found))
        part = tag("object_component", object_ref=found, item_field=fields.get(name, "path"))
        oval.try_variable(f"several {name} {one} {size} values", oval.local(part))
    for one in CHECKS:
        patterns = oval.constant(("^ro", "^da"))
        found = oval.object("unix:password", tag("unix:username", var_ref=patterns, var_check=one,
                                                 operation="pattern match"))
        oval.try_variable(f"several patterns {one}", oval.local(
            tag("object_component", object_ref=found, item_field="username")))


def functions(oval: Oval) -> None:
    """Every function over literals and variables, and what does not fit it."""
    numbers = _from(oval.constant(("1", "2", "3"), "int"))
    words = _from(oval.constant(("alpha", "beta", "alpha", "")))
    floats = _from(oval.constant(("1.5", "-0.25"), "float"))
    meta = _from(oval.constant((r"a.b*c", r"^x$", r"(y){2}[z]|+?\\", "plain-text", "a b/c#d:e")))
    lists = _from(oval.constant(("a,b,c", "no", ",lead", "trail,", "x,,y", "")))
    names = _from(oval.constant(("key=value", "nothing", "=empty", "two=parts=here")))
    globs = _from(oval.constant(("*", "?", "*.conf", "a?c", "/etc/*/x", "[a-z]x", "[!a]y", r"lit\*eral", "a.b+c", "{x}",
                                 "/a[bc]/[!d]*", r"back\\slash", "$d^e|f")))
    tried = {
        "concat": tag("concat", inner=_literal("a") + words + _literal("-") + numbers),
        "concat one": tag("concat", inner=_literal("a") + _literal("")),
        "count": tag("count", inner=words + numbers),
        "count one": tag("count", inner=_literal("")),
        "unique": tag("unique", inner=words + words + numbers),
        "begin": tag("begin", inner=words, character="a"),
        "begin long": tag("begin", inner=words, character="al"),
        "end": tag("end", inner=words, character="a"),
        "end long": tag("end", inner=words, character="ta"),
        "escape": tag("escape_regex", inner=meta),
        "split": tag("split", inner=lists, delimiter=","),
        "split long": tag("split", inner=lists, delimiter=",b,"),
        "substring": tag("substring", inner=_literal("abcdef"), substring_start="2", substring_length="3"),
        "substring rest": tag("substring", inner=_literal("abcdef"), substring_start="3", substring_length="-1"),
        "substring long": tag("substring", inner=_literal("abcdef"), substring_start="5", substring_length="9"),
        "substring none": tag("substring", inner=_literal("abcdef"), substring_start="1", substring_length="0"),
        "substring zero": tag("substring", inner=_literal("abcdef"), substring_start="0", substring_length="2"),
        "substring before": tag("substring", inner=_literal("abcdef"), substring_start="-3", substring_length="2"),
        "substring behind": tag("substring", inner=_literal("abcdef"), substring_start="7", substring_length="2"),
        "substring last": tag("substring", inner=_literal("abcdef"), substring_start="6", substring_length="2"),
        "capture": tag("regex_capture", inner=names, pattern="^(.*?)=(.*)$"),
        "capture nothing": tag("regex_capture", inner=names, pattern="^zz(.*)$"),
        "capture no group": tag("regex_capture", inner=names, pattern="^.*$"),
        "capture optional": tag("regex_capture", inner=names, pattern="^(zz)?key"),
        "glob": tag("glob_to_regex", inner=globs),
        "glob literally": tag("glob_to_regex", inner=globs, glob_noescape="true"),
        "nested": tag("concat", inner=_literal("<") + tag("split", inner=tag(
            "substring", inner=_literal("xa.b.c"), substring_start="2", substring_length="9"), delimiter=".")
            + _literal(">")),
    }
    for name, component in tried.items():
        oval.try_variable(f"function {name}", oval.local(component))
    for name, text in (("padded", "007"), ("no number", "x"), ("signed", "+5"), ("spaced", " 5 "), ("float", "2.50")):
        for datatype in ("int", "float", "string"):
            made = oval.local(_literal(text), datatype)
            oval.try_variable(f"datatype {datatype} {name}", made)
            joined = tag("concat", inner=tag("variable_component", var_ref=made) + _literal("!"))
            oval.try_variable(f"datatype {datatype} {name} joined", oval.local(joined))
    broken = tag("substring", inner=_literal("abc"), substring_start="9", substring_length="2")
    for existence, one in product(EXISTENCE, CHECKS):
        oval.try_variable(f"broken variable {existence} {one}", oval.local(broken), tag("ind:value", "a"),
                          check_existence=existence, check=one)
        oval.try_variable(f"against a broken variable {existence} {one}", oval.constant(("a",)), tag(
            "ind:value", var_ref=oval.local(broken)), check_existence=existence, check=one)
        oval.try_variable(f"broken variable without a state {existence} {one}", oval.local(broken),
                          check_existence=existence, check=one)
    for operation in ("add", "multiply"):
        for name, parts in (("ints", numbers + numbers), ("mixed", numbers + floats), ("floats", floats + floats),
                            ("literal", numbers + tag("literal_component", "-7", datatype="int")),
                            ("big", numbers + tag("literal_component", "2147483647", datatype="int"))):
            component = tag("arithmetic", inner=parts, arithmetic_operation=operation)
            for datatype in ("int", "float"):
                oval.try_variable(f"function {operation} {name} {datatype}", oval.local(component, datatype))


def times(oval: Oval) -> None:
    """time_difference in every format; the difference to now only against a time long ago."""
    pairs = (
        ("year_month_day", "20240102", "20240101"), ("year_month_day", "2024/01/02", "2023/12/31"),
        ("year_month_day", "2024-03-01", "2024-02-28"),
        ("year_month_day", "2024/01/02 00:00:09", "2024/01/01 23:59:59"),
        ("year_month_day", "2024-01-02 00:00:09", "2024-01-01 23:59:59"),
        ("year_month_day", "20240102T000009", "20240101T235959"), ("month_day_year", "01/02/2024", "12/31/2023"),
        ("month_day_year", "01-02-2024 10:00:00", "01-02-2024 09:00:00"),
        ("day_month_year", "02/01/2024", "31/12/2023"),
        ("day_month_year", "02-01-2024 10:00:00", "02-01-2024 09:00:00"),
        ("seconds_since_epoch", "1700000000", "1600000000"), ("year_month_day", "no date", "20240101"),
    )
    for form, later, earlier in pairs:
        component = tag("time_difference", inner=_literal(later) + _literal(earlier), format_1=form, format_2=form)
        oval.try_variable(f"time {form} {later} {earlier}", oval.local(component, "int"))
    mixed = tag("time_difference", inner=_literal("1704153600") + _literal("2024-01-01"),
                format_1="seconds_since_epoch", format_2="year_month_day")
    oval.try_variable("time mixed", oval.local(mixed, "int"))


def object_components(oval: Oval) -> None:
    """Functions over what an object found, or did not find."""
    nowhere = oval.object("ind:textfilecontent54", text_object("/nonexistent", "x", "y"))
    part = tag("object_component", object_ref=nowhere, item_field="subexpression")
    for name, component in {"plain": part, "count": tag("count", inner=part), "unique": tag("unique", inner=part),
                            "concat": tag("concat", inner=_literal("a") + part)}.items():
        oval.try_variable(f"nothing found {name}", oval.local(component))
        oval.try_variable(f"nothing found {name} any", oval.local(component), check_existence="any_exist")
        oval.try_variable(f"nothing found {name} none", oval.local(component), check_existence="none_exist")


OPERATIONS = {
    "string": (("equals", "not equal", "case insensitive equals", "case insensitive not equal", "pattern match"),
               (("a", "a"), ("a", "A"), ("", ""), ("abc", "^a.c$"), ("a\nb", "^b$"), ("x", "("), ("é", "^.$"))),
    "int": (("equals", "not equal", "greater than", "less than", "greater than or equal", "less than or equal",
             "bitwise and", "bitwise or"),
            (("1", "1"), ("2", "10"), ("-3", "2"), ("6", "2"), ("2", "6"), ("007", "7"), ("x", "1"), ("", "1"),
             ("1.5", "1"))),
    "float": (("equals", "greater than", "less than or equal"),
              (("1.0", "1"), ("0.1", "0.10"), ("2.5", "10"), ("-1", "1"), ("x", "1"))),
    "boolean": (("equals", "not equal"), (("true", "1"), ("false", "0"), ("true", "false"), ("0", "true"))),
    "version": (("equals", "not equal", "greater than", "less than", "greater than or equal", "less than or equal"),
                (("1.2.3", "1.2.3"), ("1.2", "1.2.0"), ("1.10", "1.9"), ("2", "1.9"), ("1-2", "1.2"),
                 ("4.18.0-1", "4.18.0-2"))),
    "evr_string": (("equals", "not equal", "greater than", "less than", "greater than or equal", "less than or equal"),
                   (("0:1.2-3", "0:1.2-3"), ("1:1.0-1", "0:2.0-1"), ("0:1.10-1", "0:1.9-1"),
                    ("0:1.0~rc1-1", "0:1.0-1"),
                    ("0:1.0-1.el9", "0:1.0-1.el8"), ("1.0-1", "0:1.0-1"), ("0:1.0a-1", "0:1.0-1"),
                    ("0:1.0-1", "0:1.0"))),
    "debian_evr_string": (("equals", "greater than", "less than", "less than or equal"),
                          (("1.2-3", "0:1.2-3"), ("1:1.0-1", "2.0-1"), ("1.0~rc1-1", "1.0-1"), ("1.0+b1", "1.0"))),
    "ipv4_address": (("equals", "not equal", "greater than", "less than", "subset of", "superset of"),
                     (("10.0.0.1", "10.0.0.1"), ("10.0.0.1", "10.0.0.0/8"), ("10.0.0.0/8", "10.1.0.0/16"),
                      ("10.0.0.2", "10.0.0.1"), ("192.168.1.5/24", "192.168.1.0/24"), ("x", "10.0.0.1"))),
    "ipv6_address": (("equals", "not equal", "greater than", "subset of", "superset of"),
                     (("::1", "::1"), ("fe80::1", "fe80::/10"), ("2001:db8::/32", "2001:db8:1::/48"), ("::2", "::1"))),
    "binary": (("equals", "not equal"), (("ab01", "AB01"), ("ab01", "ab02"))),
}


def operations(oval: Oval) -> None:
    """Every datatype with every operation it has, over pairs that tell them apart."""
    for datatype, (ways, pairs) in OPERATIONS.items():
        for way, (found, wanted) in product(ways, pairs):
            if found.startswith("a\n"):
                found = "a b"
            state = tag("ind:value", wanted, datatype=datatype, operation=way)
            oval.try_variable(f"{datatype} {found!r} {way} {wanted!r}", oval.constant((found,)), state)


def variable_checks(oval: Oval) -> None:
    """entity_check over an item's values, var_check over a variable's."""
    for values, one in product((("1",), ("1", "2"), ("2", "3"), ("1", "1"), ("2", "1", "1")), CHECKS):
        found = oval.constant(values)
        oval.try_variable(f"entity_check {one} {values}", found, tag("ind:value", "1", entity_check=one))
        wanted = oval.constant(("1", "2"))
        oval.try_variable(f"var_check {one} {values}", found,
                          tag("ind:value", var_ref=wanted, var_check=one, entity_check="at least one"))
        oval.try_variable(f"var_check and entity_check {one} {values}", found,
                          tag("ind:value", var_ref=wanted, var_check="at least one", entity_check=one))
    bad = tag("ind:value", "1", datatype="int", operation="less than or equal")
    for one in CHECKS:  # an error among the results
        oval.try_variable(f"entity_check {one} with an error", oval.constant(("0", "x")),
                          bad.replace("<ind:value", f'<ind:value entity_check="{one}"'))
    empty = oval.external()
    oval.try_variable("external without a value", empty)
    oval.try_variable("state of a variable without a value", oval.constant(("1",)), tag("ind:value", var_ref=empty))
    broken = oval.local(tag("substring", inner=_literal("a"), substring_start="9", substring_length="1"))
    for name, variable in (("external", empty), ("broken", broken)):
        for existence in EXISTENCE:
            oval.try_object(f"object of a {name} variable {existence}", "unix:password", tag(
                "unix:username", var_ref=variable), check_existence=existence)


def text_object(folder: object, name: str, pattern: str, instance: str = "1", behaviors: str = "") -> str:
    """Return the inside of a textfilecontent54_object of one file."""
    return (behaviors + tag("ind:path", str(folder)) + tag("ind:filename", name)
            + tag("ind:pattern", pattern, operation="pattern match") + tag(
                "ind:instance", instance, datatype="int", operation="greater than or equal"))


def checks(oval: Oval, folder: Path) -> None:
    """check and check_existence over none to three items that satisfy a state or do not."""
    for name, text in {"none": "", "one": "v=1\n", "other": "v=2\n", "both": "v=1\nv=2\n", "three": "v=1\nv=1\nv=2\n",
                       "bad": "v=x\n", "mixed": "v=1\nv=x\n"}.items():
        (folder / f"check-{name}").write_text(text)
        found = oval.object("ind:textfilecontent54", text_object(folder, f"check-{name}", "^v=(.)$"))
        state = oval.state("ind:textfilecontent54", tag("ind:subexpression", "1", datatype="int"))
        for existence in EXISTENCE:
            oval.case(f"existence {existence} {name}",
                      oval.test("ind:textfilecontent54", found, check_existence=existence))
            for one in CHECKS:
                oval.case(f"check {one} {existence} {name}", oval.test(
                    "ind:textfilecontent54", found, (state,), check=one, check_existence=existence))
    missing = oval.object("ind:textfilecontent54", text_object(folder, "not-there", "."))
    for existence in EXISTENCE:
        oval.case(f"existence {existence} no file", oval.test(
            "ind:textfilecontent54", missing, check_existence=existence))
    both = oval.object("ind:textfilecontent54", text_object(folder, "check-both", "^v=(.)$"))
    first, second, third = (oval.state("ind:textfilecontent54", tag("ind:subexpression", v)) for v in "123")
    for operator, one in product(("AND", "OR", "ONE", "XOR"), CHECKS):
        oval.case(f"state_operator {operator} {one} two", oval.test(
            "ind:textfilecontent54", both, (first, second), state_operator=operator, check=one))
        oval.case(f"state_operator {operator} {one} three", oval.test(
            "ind:textfilecontent54", both, (first, second, third), state_operator=operator, check=one))
        several = oval.state("ind:textfilecontent54", "".join(
            tag(f"ind:{k}", v, datatype=d) for k, v, d in (
                ("instance", "1", "int"), ("text", "v=1", "string"), ("subexpression", "2", "string"))), operator)
        oval.case(f"state operator {operator} {one}", oval.test(
            "ind:textfilecontent54", both, (several,), check=one))


def criteria(oval: Oval, folder: Path) -> None:
    """Operators over criteria that are true, false, in error, and not applicable or unknown; negated and extended."""
    (folder / "word").write_text("yes\n")
    true = oval.test("ind:textfilecontent54", oval.object("ind:textfilecontent54", text_object(folder, "word", "yes")))
    false = oval.test("ind:textfilecontent54", oval.object("ind:textfilecontent54", text_object(folder, "word", "no")))
    bad = oval.state("ind:variable", tag("ind:value", "1", datatype="int"))
    error = oval.test("ind:variable", oval.object("ind:variable", tag("ind:var_ref", oval.constant(("x",)))), (bad,))
    tests = {"t": true, "f": false, "e": error}
    for size, operator in product((1, 2, 3), ("AND", "OR", "ONE", "XOR")):
        for several in product("tfe", repeat=size):
            inner = "".join(tag("criterion", test_ref=tests[s]) for s in several)
            for negate in ("false", "true")[: 1 if size == 3 else 2]:
                oval.define(f"criteria {operator} {''.join(several)} negate={negate}",
                            tag("criteria", inner=inner, operator=operator, negate=negate))
    for name, test in tests.items():
        negated = tag("criterion", test_ref=test, negate="true")
        oval.define(f"criterion not {name}", tag("criteria", inner=negated))
        base = oval.case(f"extended {name}", test)
        for negate in ("false", "true"):
            oval.define(f"extends {name} negate={negate}", tag(
                "criteria", inner=tag("extend_definition", definition_ref=base, negate=negate)))
    for cls in ("compliance", "inventory", "vulnerability", "patch", "miscellaneous"):
        for name in "tf":
            oval.define(f"class {cls} {name}", tag("criteria", inner=tag("criterion", test_ref=tests[name])), cls)


def sets(oval: Oval, folder: Path) -> None:
    """Set operators over overlapping, equal, disjoint and empty objects, sets of sets, filters."""
    (folder / "list").write_text("".join(f"n={n}\n" for n in range(1, 7)))
    kind = "ind:textfilecontent54"
    state_of = {n: oval.state(kind, tag("ind:subexpression", n, operation="pattern match"))
                for n in ("^[12]$", "^[2-4]$", "^9$", "^.$")}

    def some(keep: str) -> str:
        kept = tag("filter", state_of[keep], action="include")
        return oval.object(kind, text_object(folder, "list", "^n=(.)$") + kept)

    parts = {"low": some("^[12]$"), "middle": some("^[2-4]$"), "none": some("^9$"), "all": some("^.$"),
             "gone": oval.object(kind, text_object(folder, "gone", "."))}
    for operator, (a, b) in product(("UNION", "INTERSECTION", "COMPLEMENT"), product(parts, repeat=2)):
        inner = tag("object_reference", parts[a]) + tag("object_reference", parts[b])
        found = oval.object(kind, tag("set", inner=inner, set_operator=operator))
        for existence in ("at_least_one_exists", "only_one_exists", "any_exist", "none_exist"):
            oval.case(f"set {operator} {a} {b} {existence}", oval.test(kind, found, check_existence=existence))
        counted = tag("count", inner=tag("object_component", object_ref=found, item_field="subexpression"))
        oval.try_variable(f"set {operator} {a} {b} counted", oval.local(counted, "int"))
    for operator, action in product(("UNION", "INTERSECTION", "COMPLEMENT"), ("include", "exclude")):
        inner = (tag("object_reference", parts["all"]) + tag("object_reference", parts["middle"])
                 + tag("filter", state_of["^[12]$"], action=action))
        found = oval.object(kind, tag("set", inner=inner, set_operator=operator))
        counted = tag("count", inner=tag("object_component", object_ref=found, item_field="subexpression"))
        oval.try_variable(f"set {operator} filter {action}", oval.local(counted, "int"))
    low, rest = (tag("set", inner=tag("object_reference", parts[p])) for p in ("low", "all"))
    nested = oval.object(kind, tag("set", inner=rest + low, set_operator="COMPLEMENT"))
    counted = tag("count", inner=tag("object_component", object_ref=nested, item_field="subexpression"))
    oval.try_variable("set of sets", oval.local(counted, "int"))
