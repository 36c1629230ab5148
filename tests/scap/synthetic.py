"""Writes small OVAL documents and XCCDF benchmarks for tests: one definition, and one rule, for each thing tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

_OVAL = "http://oval.mitre.org/XMLSchema/oval-definitions-5"
_OVAL_HEAD = (
    f'<oval_definitions xmlns="{_OVAL}" xmlns:oval="http://oval.mitre.org/XMLSchema/oval-common-5" '
    f'xmlns:ind="{_OVAL}#independent" xmlns:unix="{_OVAL}#unix" xmlns:linux="{_OVAL}#linux" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><generator><oval:schema_version>5.11.3</oval:schema_version>'
    "<oval:timestamp>2024-01-01T00:00:00</oval:timestamp></generator>"
)
MODELS = ("default", "flat", "flat-unweighted", "absolute")


def tag(called: str, value: str = "", inner: str = "", **attributes: str) -> str:
    """Return an element; `_` at an attribute's end is dropped (check_ -> check), text is escaped, `inner` is not."""
    given = "".join(f" {k.rstrip('_')}={quoteattr(v)}" for k, v in attributes.items())
    if not value and not inner:
        return f"<{called}{given}/>\n"  # the line's end: oscap 1.3.7 loses, or crashes on, what follows at once
    return f"<{called}{given}>{escape(value)}{inner}</{called}>\n"


@dataclass
class Oval:
    """An OVAL document that grows: each method adds a part and returns its id."""

    definitions: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    cases: dict[str, str] = field(default_factory=dict)
    """What is tried -> id of its definition."""
    _looked_at: dict[str, str] = field(default_factory=dict)

    def _id(self, kind: str, among: list[str]) -> str:
        return f"oval:test:{kind}:{len(among) + 1}"

    def constant(self, values: Iterable[str], datatype: str = "string") -> str:
        called = self._id("var", self.variables)
        inner = "".join(tag("value", v) for v in values)
        self.variables.append(
            tag("constant_variable", inner=inner, id=called, version="1", datatype=datatype, comment="-"))
        return called

    def external(self, datatype: str = "string") -> str:
        called = self._id("var", self.variables)
        self.variables.append(tag("external_variable", id=called, version="1", datatype=datatype, comment="-"))
        return called

    def local(self, component: str, datatype: str = "string") -> str:
        called = self._id("var", self.variables)
        self.variables.append(
            tag("local_variable", inner=component, id=called, version="1", datatype=datatype, comment="-"))
        return called

    def object(self, kind: str, inner: str) -> str:
        called = self._id("obj", self.objects)
        self.objects.append(tag(f"{kind}_object", inner=inner, id=called, version="1"))
        return called

    def state(self, kind: str, inner: str, operator: str = "AND") -> str:
        called = self._id("ste", self.states)
        self.states.append(tag(f"{kind}_state", inner=inner, id=called, version="1", operator=operator))
        return called

    def test(self, kind: str, found: str, states: Iterable[str] = (), **attributes: str) -> str:
        called = self._id("tst", self.tests)
        inner = tag(f"{kind.partition(':')[0]}:object", object_ref=found)
        inner += "".join(tag(f"{kind.partition(':')[0]}:state", state_ref=s) for s in states)
        given = {"check": "all", "check_existence": "at_least_one_exists", "comment": "-", **attributes}
        self.tests.append(tag(f"{kind}_test", inner=inner, id=called, version="1", **given))
        return called

    def define(self, name: str, criteria: str, cls: str = "compliance") -> str:
        """Add a definition with criteria as XML."""
        called = self._id("def", self.definitions)
        assert name not in self.cases, name
        self.cases[name] = called
        metadata = tag("metadata", inner=tag("title", name) + tag("description", "-"))
        self.definitions.append(tag("definition", inner=metadata + criteria, id=called, version="1", class_=cls))
        return called

    def case(self, name: str, test: str) -> str:
        """Add a definition that is one test."""
        return self.define(name, tag("criteria", inner=tag("criterion", test_ref=test)))

    def try_object(self, name: str, kind: str, inner: str, state: str = "", **attributes: str) -> str:
        """Add a definition of one test of one object and, if given, one state."""
        states = [self.state(kind, state)] if state else []
        return self.case(name, self.test(kind, self.object(kind, inner), states, **attributes))

    def try_variable(self, name: str, variable: str, state: str = "", **attributes: str) -> str:
        """Add a definition that looks at a variable's values."""
        self._looked_at.setdefault(variable, name)
        return self.try_object(name, "ind:variable", tag("ind:var_ref", variable), state, **attributes)

    def variable_cases(self) -> Mapping[str, str]:
        """Return variable -> name of the first case that looks at its values."""
        return self._looked_at

    def xml(self) -> str:
        parts = (("definitions", self.definitions), ("tests", self.tests), ("objects", self.objects),
                 ("states", self.states), ("variables", self.variables))
        return _OVAL_HEAD + "".join(f"<{k}>{''.join(v)}</{k}>\n" for k, v in parts if v) + "</oval_definitions>"


def rule(called: str, check: str, before: str = "", **attributes: str) -> str:
    """Return a rule with a check as XML; `before` are elements that stand between title and check."""
    given = {"selected": "true", "severity": "low", **attributes}
    return tag("Rule", inner=tag("title", called) + before + check, id=f"xccdf_t_rule_{called}", **given)


def check(definition: str = "", exports: Mapping[str, str] | None = None, **attributes: str) -> str:
    """Return a check of one definition ("" = the whole document) with values by their variables."""
    inner = "".join(tag("check-export", **{"value-id": f"xccdf_t_value_{v}", "export-name": k})
                    for k, v in (exports or {}).items())
    inner += tag("check-content-ref", href="oval.xml", **({"name": definition} if definition else {}))
    return tag("check", inner=inner, system=_OVAL, **attributes)


def benchmark(inner: str) -> str:
    """Return a plain XCCDF 1.2 benchmark that asks for all four scores."""
    models = "".join(tag("model", system=f"urn:xccdf:scoring:{m}") for m in MODELS)
    return tag(
        "Benchmark", inner=tag("status", "draft") + tag("title", "test") + tag("version", "1") + models + inner,
        xmlns="http://checklists.nist.gov/xccdf/1.2", id="xccdf_t_benchmark_test", resolved="1",
    )


def each_case(oval: Oval) -> str:
    """Return a benchmark with a rule for each definition, called by the number of the definition."""
    return benchmark("".join(rule(d.rpartition(":")[2], check(d)) for d in oval.cases.values()))
