"""What OVAL can look at on a host, each way once: texts, files, links, checksums, XML and YAML, and its facts."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from tests.scap.cases import CHECKS, of_language, text_object
from tests.scap.synthetic import Oval, tag


def all_cases(folder: Path) -> Oval:
    """Return the document of all cases; `folder` gets the files that are looked at."""
    oval = Oval()
    of_language(oval, folder)
    for add in (texts, files, data_files, host_facts):
        add(oval, folder)
    return oval


def texts(oval: Oval, folder: Path) -> None:
    """textfilecontent54: behaviors, instances, several groups, patterns for files, recursion."""
    kind = "ind:textfilecontent54"
    (folder / "text").write_text("One two\none\n\nkey = a b # c\nkey=d\nlast line")
    (folder / "crlf").write_bytes(b"a=1\r\nb=2\r\n")
    (folder / "utf8").write_text("größe=ß\n")
    (folder / "odd").write_bytes(b"x=1\nbin=\xff\xfe\ny=2\n")
    (folder / "nul").write_bytes(b"x=1\na\0b\ny=2\n")
    (folder / "empty").write_text("")
    deep = folder / "deep"
    for number, place in enumerate((deep, deep / "a", deep / "a/b", deep / "c")):
        place.mkdir()
        (place / "some.conf").write_text(f"level={number}\n")
        (place / "other.txt").write_text("level=9\n")
    (folder / "link.conf").symlink_to(deep / "some.conf")
    (folder / "dirlink").symlink_to(deep)
    for name, pattern in (("text", "^one$"), ("text", "(?i)^one$"), ("text", "^last line$"), ("text", "two\\none"),
                          ("text", "two.one"), ("text", "^key *= *(\\S+) *(\\S*)"), ("text", "^$"), ("text", "\\Aone"),
                          ("text", "line\\Z"), ("text", "x*"), ("text", "^"), ("crlf", "^b=2$"), ("crlf", "^b=2\\s*$"),
                          ("crlf", "1$"), ("utf8", "^gr.{2}e"), ("utf8", "^gr\\w+="), ("utf8", "=ß$"),
                          ("odd", "^y=(.)$"),
                          ("odd", "^bin=(.*)$"), ("nul", "^y=2"), ("nul", "^a"), ("nul", "^x=1"), ("empty", ""),
                          ("empty", "^$"), ("text", "^(?:(one)|(two))$"), ("text", "(("), ("text", "^key[[:space:]]*="),
                          ("text", "(?<!x)one"), ("text", "\\bkey\\b(?=\\s=)"), ("text", "^(?!one)[a-z ]+$")):
        found = oval.object(kind, text_object(folder, name, pattern))
        oval.case(f"text {name} {pattern}", oval.test(kind, found))
        groups = "(" in pattern.replace("(?", "").replace("((", "")
        for entity in ("subexpression", "text") if groups else ("text",):
            part = tag("object_component", object_ref=found, item_field=entity)
            oval.try_variable(f"text {name} {pattern} {entity}s", oval.local(part))
        counted = tag("count", inner=tag("object_component", object_ref=found, item_field="text"))
        oval.try_variable(f"text {name} {pattern} counted", oval.local(counted, "int"))
    for behavior, pattern in product(
            ({"multiline": "false"}, {"multiline": "true"}, {"singleline": "true"}, {"ignore_case": "true"},
             {"multiline": "false", "singleline": "true"}),
            ("^one$", "^One", "line$", "two.one", "ONE", "^One.*line$")):
        found = oval.object(kind, text_object(folder, "text", pattern, behaviors=tag("ind:behaviors", **behavior)))
        part = tag("object_component", object_ref=found, item_field="text")
        oval.try_variable(f"text {behavior} {pattern}", oval.local(part))
    base = tag("ind:path", str(folder)) + tag("ind:filename", "text") + tag(
        "ind:pattern", "^key ?= ?(\\S)", operation="pattern match")
    for way, instance in product(("equals", "not equal", "greater than", "less than", "less than or equal"), "123"):
        found = oval.object(kind, base + tag("ind:instance", instance, datatype="int", operation=way))
        part = tag("object_component", object_ref=found, item_field="subexpression")
        oval.try_variable(f"instance {way} {instance}", oval.local(part))
    two = oval.constant(("1", "2"), "int")
    found = oval.object(kind, base + tag("ind:instance", datatype="int", var_ref=two))
    oval.try_variable("instance of a variable", oval.local(
        tag("object_component", object_ref=found, item_field="subexpression")))
    some = oval.constant(("^one$", "^key=(.)$"))
    found = oval.object(kind, tag("ind:path", str(folder)) + tag("ind:filename", "text") + tag(
        "ind:pattern", operation="pattern match", var_ref=some) + tag("ind:instance", "1", datatype="int"))
    oval.try_variable("patterns of a variable", oval.local(
        tag("object_component", object_ref=found, item_field="text")))
    end = tag("ind:pattern", "^level=(.)$", operation="pattern match") + tag("ind:instance", "1", datatype="int")
    exact, files_of = "equals", {
        "names by pattern": tag("ind:path", str(deep)) + tag("ind:filename", "^.*\\.conf$", operation="pattern match"),
        "filepath": tag("ind:filepath", f"{deep}/some.conf"),
        "filepath pattern": tag("ind:filepath", f"^{deep}/[so].*$", operation="pattern match"),
        "filepath alternatives": tag("ind:filepath", f"^{deep}/(a|c)/some\\.conf$", operation="pattern match"),
        "filepath deep": tag("ind:filepath", f"^{deep}/.*\\.conf$", operation="pattern match"),
        "path pattern": tag("ind:path", f"^{deep}/[ac]$", operation="pattern match") + tag(
            "ind:filename", "some.conf"),
        "path pattern deep": tag("ind:path", f"^{deep}.*$", operation="pattern match") + tag(
            "ind:filename", "some.conf"),
        "link": tag("ind:path", str(folder)) + tag("ind:filename", "link.conf"),
        "linked folder": tag("ind:path", f"{folder}/dirlink") + tag("ind:filename", "some.conf"),
        "variable": tag("ind:filepath", var_ref=oval.constant((f"{deep}/a/some.conf", f"{deep}/c/some.conf", "/x"))),
        "variable at least one": tag("ind:filepath", var_check="at least one", var_ref=oval.constant(
            (f"{deep}/a/some.conf", "/x"))),
        "not that name": tag("ind:path", str(deep)) + tag("ind:filename", "some.conf", operation="not equal"),
        "trailing slash": tag("ind:path", f"{deep}/") + tag("ind:filename", "some.conf"),
    }
    for depth, direction in product(("0", "1", "-1"), ("none", "down")):
        files_of[f"down {direction} {depth}"] = (
            tag("ind:behaviors", max_depth=depth, recurse_direction=direction, recurse="symlinks and directories")
            + tag("ind:path", str(deep)) + tag("ind:filename", "some.conf", operation=exact))
    for name, where in files_of.items():
        found = oval.object(kind, where + end)
        for field in ("subexpression", "filepath", "path", "filename"):
            oval.try_variable(f"files {name} {field}", oval.local(
                tag("unique", inner=tag("object_component", object_ref=found, item_field=field))))


def files(oval: Oval, folder: Path) -> None:
    """unix:file and its like: kinds of files, modes, links, recursion, nil names, filters."""
    place = folder / "files"
    place.mkdir()
    (place / "plain").write_text("12345")
    (place / "plain").chmod(0o640)
    (place / "sticky").mkdir()
    (place / "sticky").chmod(0o1777)
    (place / "sticky/in").write_text("")
    (place / "sticky/in").chmod(0o4755)
    (place / "link").symlink_to("plain")
    (place / "to-folder").symlink_to("sticky")
    (place / "dangling").symlink_to("/nonexistent")
    kind = "unix:file"
    bits = ("suid", "sgid", "sticky", "uread", "uwrite", "uexec", "gread", "gwrite", "gexec", "oread", "owrite",
            "oexec")
    by = {
        **{n: tag("unix:path", str(place)) + tag("unix:filename", n)
           for n in ("plain", "sticky", "link", "to-folder", "dangling", "gone")},
        **{f"filepath {n}": tag("unix:filepath", f"{place}/{n}")
           for n in ("plain", "sticky", "link", "to-folder", "dangling", "gone")},
        "folder": tag("unix:path", f"{place}/sticky") + tag("unix:filename", **{"xsi:nil": "true"}),
        "folder link": tag("unix:path", f"{place}/to-folder") + tag("unix:filename", **{"xsi:nil": "true"}),
        "pattern": tag("unix:path", str(place)) + tag("unix:filename", "^.*$", operation="pattern match"),
        "down": tag("unix:behaviors", recurse="directories", recurse_direction="down", max_depth="-1",
                    recurse_file_system="local")
        + tag("unix:path", str(place)) + tag("unix:filename", "^.*$", operation="pattern match"),
        "folders down": tag("unix:behaviors", recurse="directories", recurse_direction="down", max_depth="-1")
        + tag("unix:path", str(place)) + tag("unix:filename", **{"xsi:nil": "true"}),
        "folders by pattern": tag("unix:path", f"^{place}/s.*$", operation="pattern match") + tag(
            "unix:filename", **{"xsi:nil": "true"}),
    }
    for name, where in by.items():
        found = oval.object(kind, where)
        oval.case(f"file {name}", oval.test(kind, found))
        for field in ("type", "path", "filename", "filepath", "size", "user_id", "group_id", *bits):
            part = tag("object_component", object_ref=found, item_field=field)
            sized = field == "size" and name not in ("plain", "filepath plain")
            if not sized and not (field == "filename" and "folder" in name) and field != "filepath":
                oval.try_variable(f"file {name} {field}", oval.local(tag("unique", inner=part)))
    open_ = oval.state(kind, tag("unix:owrite", "true", datatype="boolean"))
    for action in ("include", "exclude"):
        found = oval.object(kind, by["down"] + tag("filter", open_, action=action))
        counted = tag("count", inner=tag("object_component", object_ref=found, item_field="path"))
        oval.try_variable(f"file down {action}", oval.local(counted, "int"))
    for name in ("plain", "link", "to-folder", "dangling", "gone"):
        found = oval.object("unix:symlink", tag("unix:filepath", f"{place}/{name}"))
        oval.case(f"symlink {name}", oval.test("unix:symlink", found))
        oval.case(f"symlink {name} none", oval.test("unix:symlink", found, check_existence="none_exist"))
        oval.try_variable(f"symlink {name} target", oval.local(
            tag("object_component", object_ref=found, item_field="canonical_path")))
    for algorithm in ("MD5", "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512"):
        found = oval.object("ind:filehash58", tag("ind:filepath", f"{place}/plain") + tag("ind:hash_type", algorithm))
        oval.try_variable(f"hash {algorithm}", oval.local(
            tag("object_component", object_ref=found, item_field="hash")))
    oval.try_object("hash of nothing", "ind:filehash58",
                    tag("ind:filepath", f"{place}/gone") + tag("ind:hash_type", "SHA-256"))


def data_files(oval: Oval, folder: Path) -> None:
    """XPath and YAML paths over small files."""
    (folder / "a.xml").write_text(
        '<r xmlns:n="urn:n"><a x="1">one</a><a x="2">two</a><n:b>three</n:b><c/><d>4.5</d></r>')
    (folder / "bad.xml").write_text("<r><a></r>")
    for name, path in (("a", "/r/a/text()"), ("a", "/r/a/@x"), ("a", "//a[@x='2']/text()"), ("a", "/r/c/text()"),
                       ("a", "count(/r/a)"), ("a", "string(/r/d)"), ("a", "boolean(/r/z)"), ("a", "/r/a"),
                       ("a", "sum(/r/d)"), ("a", "//*[local-name()='b']/text()"), ("a", "/r/z/text()"),
                       ("bad", "/r/a/text()"), ("gone", "/r"), ("a", "/r[")):
        found = oval.object("ind:xmlfilecontent", tag("ind:path", str(folder)) + tag("ind:filename", f"{name}.xml")
                            + tag("ind:xpath", path))
        oval.case(f"xml {name} {path}", oval.test("ind:xmlfilecontent", found))
        if path != "/r/a":  # elements have no value: oscap stops as a whole
            oval.try_variable(f"xml {name} {path} values", oval.local(
                tag("object_component", object_ref=found, item_field="value_of")))
    (folder / "a.yaml").write_text(
        "top: {yes: true, no: false, number: 12, text: 'a b', none: null, float: 1.50, octal: 0o17, date: 2024-01-01}\n"
        "list: [x, y, 3]\nmaps:\n- {name: m, kind: K}\n- {name: n, kind: L, more: [1, 2]}\nempty: []\nquoted: \"12\"\n"
        "multi: |\n  one\n  two\nanchor: &a {k: v}\nalias: *a\n")
    (folder / "bad.yaml").write_text("a: [b\n")
    for name, path in (("a", ".top.yes"), ("a", ".top.number"), ("a", ".top.text"), ("a", ".top.none"),
                       ("a", ".top.float"), ("a", ".top.octal"), ("a", ".top.date"), ("a", ".list[:]"),
                       ("a", ".list[1]"), ("a", ".list[-1]"), ("a", ".maps[:].name"), ("a", ".maps[:]['name','kind']"),
                       ("a", ".maps[0]"), ("a", ".maps[:].more[:]"), ("a", ".empty[:]"), ("a", ".quoted"),
                       ("a", ".multi"), ("a", ".gone"), ("a", ".top"), ("a", ".alias.k"), ("a", ".list[7]"),
                       ("a", ".list[0:2]"), ("bad", ".a"), ("gone", ".a"), ("a", "..name"), ("a", ".top.*")):
        found = oval.object("ind:yamlfilecontent", tag("ind:path", str(folder)) + tag("ind:filename", f"{name}.yaml")
                            + tag("ind:yamlpath", path))
        oval.case(f"yaml {name} {path}", oval.test("ind:yamlfilecontent", found))
        for column in ("name", "kind") if path in (".maps[0]", ".maps[:]['name','kind']") else ("#",):
            if path in (".top", ".top.*"):  # a record without the column: oscap stops as a whole
                continue
            part = tag("object_component", object_ref=found, item_field="value", record_field=column)
            oval.try_variable(f"yaml {name} {path} {column}", oval.local(part))
    found = oval.object("ind:yamlfilecontent", tag("ind:path", str(folder)) + tag("ind:filename", "a.yaml")
                        + tag("ind:yamlpath", ".maps[:]['name','kind']"))
    for one in CHECKS:
        fields = tag("ind:field", "m", name="name") + tag("ind:field", "^[KL]$", name="kind", operation="pattern match")
        oval.case(f"yaml record {one}", oval.test("ind:yamlfilecontent", found, (oval.state(
            "ind:yamlfilecontent", tag("ind:value", inner=fields.replace("ind:field", "field").replace(
                "<field", '<field xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5"'),
                datatype="record", entity_check=one)),)))


def host_facts(oval: Oval, folder: Path) -> None:
    """What the host says of itself."""
    for name in ("net.ipv4.ip_forward", "kernel.pid_max", "kernel.hostname", "kernel.no_such",
             "net.ipv4.ping_group_range"):
        found = oval.object("unix:sysctl", tag("unix:name", name))
        oval.case(f"sysctl {name}", oval.test("unix:sysctl", found))
        oval.try_variable(f"sysctl {name} value", oval.local(
            tag("object_component", object_ref=found, item_field="value")))
    uname = oval.object("unix:uname", "")
    for field in ("machine_class", "node_name", "os_name", "os_release", "os_version", "processor_type"):
        oval.try_variable(f"uname {field}", oval.local(
            tag("object_component", object_ref=uname, item_field=field)))
    family = oval.object("ind:family", "")
    for value in ("unix", "windows"):
        oval.case(f"family {value}", oval.test("ind:family", family, (oval.state(
            "ind:family", tag("ind:family", value)),)))
    for name in ("PROBED", "NO_SUCH"):
        found = oval.object("ind:environmentvariable58", tag("ind:pid", **{"xsi:nil": "true"}, datatype="int")
                            + tag("ind:name", name))
        oval.case(f"environment {name}", oval.test("ind:environmentvariable58", found))
        oval.try_variable(f"environment {name} value", oval.local(
            tag("object_component", object_ref=found, item_field="value")))
    for name, way in (("root", "equals"), ("nobody-such", "equals"), ("^(root|daemon)$", "pattern match"),
                      ("root", "not equal")):
        found = oval.object("unix:password", tag("unix:username", name, operation=way))
        oval.case(f"password {name} {way}", oval.test("unix:password", found))
        for field in ("user_id", "group_id", "home_dir", "login_shell", "username"):
            oval.try_variable(f"password {name} {way} {field}", oval.local(
                tag("object_component", object_ref=found, item_field=field)))
    for name in ("root", "nobody-such"):
        found = oval.object("unix:shadow", tag("unix:username", name))
        oval.case(f"shadow {name}", oval.test("unix:shadow", found))
        for field in ("chg_req", "exp_warn", "chg_allow", "exp_inact"):
            oval.try_variable(f"shadow {name} {field}", oval.local(
                tag("object_component", object_ref=found, item_field=field)))
    for name in ("dpkg", "libc6", "no-such-package"):
        found = oval.object("linux:dpkginfo", tag("linux:name", name))
        oval.case(f"dpkg {name}", oval.test("linux:dpkginfo", found))
        for field in ("name", "arch", "epoch", "version", "release", "evr"):
            oval.try_variable(f"dpkg {name} {field}", oval.local(
                tag("object_component", object_ref=found, item_field=field)))
    for name, way in (("/", "equals"), ("/proc", "equals"), ("/no/such", "equals"), ("^/(proc|sys)$", "pattern match")):
        found = oval.object("linux:partition", tag("linux:mount_point", name, operation=way))
        oval.case(f"partition {name}", oval.test("linux:partition", found))
        for field in ("device", "fs_type", "mount_options"):
            oval.try_variable(f"partition {name} {field}", oval.local(
                tag("object_component", object_ref=found, item_field=field)))
    found = oval.object("unix:interface", tag("unix:name", "^lo$", operation="pattern match"))
    for field in ("name", "inet_addr"):
        oval.try_variable(f"interface lo {field}", oval.local(
            tag("object_component", object_ref=found, item_field=field)))
