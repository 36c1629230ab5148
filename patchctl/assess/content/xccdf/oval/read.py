"""Reads OVAL 5.11 definitions into values: only what the wanted definitions depend on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from patchctl.assess.content.xccdf import xml
from patchctl.assess.content.xccdf.oval.compare import DATATYPES, OPERATIONS
from patchctl.assess.content.xccdf.oval.functions import FUNCTIONS
from patchctl.assess.content.xccdf.oval.model import (
    Component,
    Criteria,
    Definition,
    Document,
    Entity,
    Object,
    SetNode,
    State,
    Test,
    Variable,
)
from patchctl.assess.content.xccdf.oval.registry import all_types
from patchctl.assess.content.xccdf.oval.wanted import NEGATIVE

MAX_DEPTH = 60
"""Definitions extending definitions, variables of variables, sets of sets: deeper is refused."""
_SECTIONS = ("definitions", "tests", "objects", "states", "variables")
_LEAVES = ("literal_component", "object_component", "variable_component")


class Reader:
    """Reads one OVAL document. Ask for definitions, then take `document()`."""

    def __init__(self, root: Any, source: str) -> None:
        self.source = source
        self._elements: dict[str, dict[str, Any]] = {s: {} for s in _SECTIONS}
        for section in xml.children(root, *_SECTIONS):
            index = self._elements[xml.name(section)]
            for element in xml.children(section):
                index[str(element.get("id", ""))] = element
        self._definitions: dict[str, Definition] = {}
        self._tests: dict[str, Test] = {}
        self._objects: dict[str, Object] = {}
        self._states: dict[str, State] = {}
        self._variables: dict[str, Variable] = {}
        self._limits: dict[str, dict[str, None]] = {}
        self._reading: list[str] = []
        """Ids being read, outermost first: what a limit belongs to, and how cycles are seen."""
        self._own: dict[str, dict[str, None]] = {}
        self._needs: dict[str, dict[str, None]] = {}

    def has(self, definition: str) -> bool:
        """Say whether the document defines it."""
        return definition in self._elements["definitions"]

    def all(self) -> tuple[str, ...]:
        """Return the ids of all definitions."""
        return tuple(self._elements["definitions"])

    def want(self, definition: str) -> None:
        """Read a definition and all it depends on. Raise DocumentsError for cycles and references into nowhere."""
        self._read("definitions", definition, self._definition)

    def document(self) -> Document:
        """Return what was read."""
        limits = {d: tuple(self._closure_limits(d)) for d in self._definitions}
        return Document(self._definitions, self._tests, self._objects, self._states, self._variables,
                        {d: found for d, found in limits.items() if found})

    def _closure_limits(self, root: str) -> Mapping[str, None]:
        seen, todo, found = {root}, [root], dict[str, None]()
        while todo:
            one = todo.pop()
            found.update(self._own.get(one, {}))
            for needed in self._needs.get(one, ()):
                if needed not in seen:
                    seen.add(needed)
                    todo.append(needed)
        return dict(sorted(found.items()))

    def _read(self, section: str, wanted: str, read: Callable[[str, Any], None]) -> None:
        if self._reading:
            self._needs.setdefault(self._reading[-1], {})[wanted] = None
        if wanted in self._reading or len(self._reading) > MAX_DEPTH:
            raise self._wrong("oval-cycle", f"{wanted} depends on itself: {' > '.join(self._reading[-4:])}", None)
        if wanted in getattr(self, f"_{section}"):
            return
        element = self._elements[section].get(wanted)
        if element is None:
            raise self._wrong("oval-unknown-id", f"{wanted} is not among the {section}", None)
        self._reading.append(wanted)
        try:
            read(wanted, element)
        finally:
            self._reading.pop()

    def _wrong(self, code: str, message: str, element: Any) -> Exception:
        line = 0 if element is None else element.sourceline or 0
        return xml.refuse(self.source, code, message, "the content is damaged: fetch it again", line)

    def _limit(self, what: str) -> None:
        self._own.setdefault(self._reading[-1], {})[what] = None

    def _definition(self, wanted: str, element: Any) -> None:
        metadata = xml.child(element, "metadata")
        title = xml.flat(xml.child(metadata, "title")) if metadata is not None else ""
        criteria = xml.child(element, "criteria")
        self._definitions[wanted] = Definition(
            wanted, element.get("class", ""), title, None if criteria is None else self._criteria(criteria, 0)
        )

    def _criteria(self, element: Any, depth: int) -> Criteria:
        kind = xml.name(element)
        negate, comment = xml.is_true(element.get("negate")), element.get("comment", "")
        if depth > MAX_DEPTH:
            raise self._wrong("oval-too-deep", "criteria are nested too deeply", element)
        if kind == "criterion":
            self._read("tests", element.get("test_ref", ""), self._test)
            return Criteria("criterion", element.get("test_ref", ""), negate=negate, comment=comment)
        if kind == "extend_definition":
            self.want(element.get("definition_ref", ""))
            return Criteria("extend", element.get("definition_ref", ""), negate=negate, comment=comment)
        operator = element.get("operator", "AND")
        if operator not in ("AND", "OR", "ONE", "XOR"):
            self._limit(f"OVAL operator {operator}")
        parts = tuple(self._criteria(c, depth + 1) for c in xml.children(element)
                      if xml.name(c) in ("criteria", "criterion", "extend_definition"))
        return Criteria("criteria", "", operator, negate, parts, comment)

    def _test(self, wanted: str, element: Any) -> None:
        kind = xml.name(element).removesuffix("_test")
        found = xml.child(element, "object")
        states = tuple(s.get("state_ref", "") for s in xml.children(element, "state"))
        if kind == "unknown":
            self._limit("OVAL unknown_test")
        elif kind not in all_types() or found is None:
            self._limit(f"OVAL {kind}_test")
        else:
            self._read("objects", found.get("object_ref", ""), self._object)
            for state in states:
                self._read("states", state, self._state)
        self._tests[wanted] = Test(
            wanted, kind, "" if found is None else found.get("object_ref", ""), states, element.get("check", "all"),
            element.get("check_existence", "at_least_one_exists"), element.get("state_operator", "AND"),
            element.get("comment", ""),
        )

    def _object(self, wanted: str, element: Any) -> None:
        kind = xml.name(element).removesuffix("_object")
        if kind not in all_types():
            self._limit(f"OVAL {kind}_object")
        entities: dict[str, Entity] = {}
        behaviors: dict[str, str] = {}
        filters: list[tuple[str, str]] = []
        group: SetNode | None = None
        for part in xml.children(element):
            called = xml.name(part)
            if called == "behaviors":
                behaviors = {str(k): str(v) for k, v in part.attrib.items()}
            elif called == "filter":
                filters.append(self._filter(part))
            elif called == "set":
                group = self._set(part, 0)
            elif called not in ("notes", "Signature"):
                entities[called] = self._entity(part)
                if entities[called].var_check in NEGATIVE and entities[called].var_ref:
                    self._limit(f"OVAL var_check {entities[called].var_check} in an object")
        found = Object(wanted, kind, entities, behaviors, tuple(filters), group, element.get("comment", ""))
        if kind in all_types() and group is None:
            for limit in all_types()[kind].limits(found):
                self._limit(limit)
        self._objects[wanted] = found

    def _filter(self, element: Any) -> tuple[str, str]:
        state = xml.text(element).strip()
        self._read("states", state, self._state)
        return element.get("action", "exclude"), state

    def _set(self, element: Any, depth: int) -> SetNode:
        if depth > MAX_DEPTH:
            raise self._wrong("oval-too-deep", "sets are nested too deeply", element)
        objects = tuple(xml.text(o).strip() for o in xml.children(element, "object_reference"))
        for one in objects:
            self._read("objects", one, self._object)
        return SetNode(
            element.get("set_operator", "UNION"),
            tuple(self._set(s, depth + 1) for s in xml.children(element, "set")), objects,
            tuple(self._filter(f) for f in xml.children(element, "filter")),
        )

    def _state(self, wanted: str, element: Any) -> None:
        entities = tuple(self._entity(e) for e in xml.children(element) if xml.name(e) not in ("notes", "Signature"))
        kind = xml.name(element).removesuffix("_state")
        silent = getattr(all_types().get(kind), "not_told", ())
        for entity in entities:
            if entity.name in silent:
                self._limit(f"OVAL {kind} entity {entity.name}")
        self._states[wanted] = State(wanted, kind, element.get("operator", "AND"), entities)

    def _entity(self, element: Any) -> Entity:
        called = xml.name(element)
        variable = element.get("var_ref", "")
        if called == "var_ref":  # variable_object names its variable in text
            variable = xml.text(element).strip()
        if variable:
            self._read("variables", variable, self._variable)
        datatype, operation = element.get("datatype", "string"), element.get("operation", "equals")
        if datatype not in DATATYPES:
            self._limit(f"OVAL datatype {datatype}")
        if operation not in OPERATIONS:
            self._limit(f"OVAL operation {operation}")
        fields = tuple(self._field(f) for f in xml.children(element, "field")) if datatype == "record" else ()
        return Entity(
            called, None if variable else xml.text(element), datatype, operation, variable,
            element.get("var_check", "all"), element.get("entity_check", "all"),
            xml.is_true(xml.attribute(element, "nil")), xml.is_true(element.get("mask")), fields,
        )

    def _field(self, element: Any) -> Entity:
        entity = self._entity(element)
        return Entity(element.get("name", ""), entity.value, entity.datatype, entity.operation, entity.var_ref,
                      entity.var_check, entity.entity_check, entity.nil, entity.mask)

    def _variable(self, wanted: str, element: Any) -> None:
        kind, datatype = xml.name(element).removesuffix("_variable"), element.get("datatype", "string")
        values = tuple(xml.text(v) for v in xml.children(element, "value"))
        component = None
        if kind == "local":
            first = next((c for c in xml.children(element) if xml.name(c) != "notes"), None)
            if first is None:
                raise self._wrong("oval-empty-variable", f"{wanted} has no component", element)
            component = self._component(first, 0)
        elif kind not in ("constant", "external"):
            self._limit(f"OVAL {kind}_variable")
        self._variables[wanted] = Variable(wanted, kind, datatype, values, component)

    def _component(self, element: Any, depth: int) -> Component:
        kind = xml.name(element)
        if depth > MAX_DEPTH:
            raise self._wrong("oval-too-deep", "functions are nested too deeply", element)
        attributes = {str(k): str(v) for k, v in element.attrib.items()}
        if kind == "object_component":
            self._read("objects", element.get("object_ref", ""), self._object)
            return Component(kind, element.get("object_ref", ""), attributes)
        if kind == "variable_component":
            self._read("variables", element.get("var_ref", ""), self._variable)
            return Component(kind, element.get("var_ref", ""), attributes)
        if kind == "literal_component":
            return Component(kind, xml.text(element), attributes)
        if kind not in FUNCTIONS:
            self._limit(f"OVAL function {kind}")
        return Component(kind, "", attributes, tuple(self._component(c, depth + 1) for c in xml.children(element)))
