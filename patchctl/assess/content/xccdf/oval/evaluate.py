"""Evaluates OVAL definitions against facts: objects to items, items to states, tests to definitions. Pure, memoized.

Follows the OVAL 5.11.2 specification; where it leaves room, what oscap 1.3 does. What was not collected is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from patchctl.assess.content.xccdf.oval import find_tests, truth
from patchctl.assess.content.xccdf.oval.compare import compare
from patchctl.assess.content.xccdf.oval.facts import Facts, NotCollectedError
from patchctl.assess.content.xccdf.oval.model import (
    COMPLETE,
    DOES_NOT_EXIST,
    ERROR,
    FALSE,
    INCOMPLETE,
    NOT_APPLICABLE,
    NOT_COLLECTED,
    TRUE,
    UNKNOWN,
    Collected,
    Criteria,
    Document,
    Entity,
    Object,
    OvalItem,
    SetNode,
    State,
)
from patchctl.assess.content.xccdf.oval.registry import all_types
from patchctl.assess.content.xccdf.oval.variables import Values, Variables
from patchctl.assess.content.xccdf.oval.wanted import NEGATIVE, ObjectError, Wanted, WantedEntity


class _NothingError(Exception):
    """Nothing on the host can be meant by an object; says why."""


class TestResult(Struct, frozen=True):
    """What a test came to: its result, why it could not be told, and each item with its own result."""

    result: str
    reason: str = ""
    items: tuple[tuple[OvalItem, str], ...] = ()
    flag: str = ""


@dataclass
class Evaluator:
    """Evaluates one document with one set of external values against one host's facts."""

    document: Document
    bindings: Mapping[str, tuple[str, ...]]
    facts: Facts
    _definitions: dict[str, str] = field(default_factory=dict)
    _tests: dict[str, TestResult] = field(default_factory=dict)
    _objects: dict[str, Collected] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._variables = Variables(self.document.variables, self.bindings, self.facts, self.object)

    def definition(self, wanted: str) -> str:
        """Return the result of a definition."""
        if wanted not in self._definitions:
            found = self.document.definitions[wanted].criteria
            self._definitions[wanted] = UNKNOWN if found is None else self.criteria(found)
        return self._definitions[wanted]

    def variable(self, wanted: str) -> Values:
        """Return a variable's values. Raise NotCollectedError when they depend on what was not collected."""
        return self._variables.get(wanted)

    def criteria(self, node: Criteria) -> str:
        """Return the result of a node of a definition's logic."""
        if node.kind == "criterion":
            result = self.test(node.ref).result
        elif node.kind == "extend":
            result = self.definition(node.ref)
        else:
            result = truth.by_operator([self.criteria(c) for c in node.children], node.operator)
        return truth.negate(result) if node.negate else result

    def test(self, wanted: str) -> TestResult:
        """Return the result of a test."""
        if wanted not in self._tests:
            self._tests[wanted] = self._test(wanted)
        return self._tests[wanted]

    def _test(self, wanted: str) -> TestResult:
        test = self.document.tests[wanted]
        if test.type not in all_types() or not test.object:
            return TestResult(UNKNOWN, f"{test.type}_test is not interpreted")
        found = self.object(test.object)
        states = [self.document.states[s] for s in test.states]
        if found.flag == NOT_COLLECTED:
            self._note(states)
        try:
            judged = self._judge(test.check_existence, found, states, test.check, test.state_operator)
        except NotCollectedError as missing:
            return TestResult(UNKNOWN, str(missing), tuple((i, UNKNOWN) for i in found.items), found.flag)
        return TestResult(judged[0], found.reason, judged[1], found.flag)

    def _note(self, states: Iterable[State]) -> None:
        """Let the facts note what the states' variables need, though the object itself is not there yet."""
        for variable in {e.var_ref for s in states for e in s.entities if e.var_ref}:
            try:
                self._variables.get(variable)
            except NotCollectedError:
                continue

    def _judge(
        self, existence: str, found: Collected, states: Sequence[State], check: str, operator: str
    ) -> tuple[str, tuple[tuple[OvalItem, str], ...]]:
        exists = sum(i.status == "exists" for i in found.items)
        errors = sum(i.status == "error" for i in found.items)
        any_without_state = existence == "any_exist" and not states
        if found.flag in (ERROR, NOT_COLLECTED, NOT_APPLICABLE):
            result = {NOT_COLLECTED: UNKNOWN}.get(found.flag, found.flag)
            return (TRUE if any_without_state else result), ()
        if found.flag == DOES_NOT_EXIST:
            return (TRUE if existence in ("none_exist", "any_exist") else FALSE), ()
        if found.flag == INCOMPLETE:
            result = _by_incomplete(existence, exists)
        else:
            result = truth.by_existence(existence, exists, errors)
        if result != TRUE or not states:
            return result, tuple((i, result) for i in found.items)
        items = tuple((item, self.item(item, states, operator)) for item in found.items)
        result = truth.by_check([r for _, r in items], check)
        if found.flag == INCOMPLETE and not (result == FALSE or (result == TRUE and check == "at least one")):
            result = UNKNOWN
        return result, items

    def item(self, item: OvalItem, states: Sequence[State], operator: str = "AND") -> str:
        """Return the result of one item compared with states. Raise NotCollectedError."""
        if item.status in ("error", "not collected"):
            return ERROR
        if item.status == DOES_NOT_EXIST:
            return FALSE
        return truth.by_operator([self.state(item, s) for s in states], operator)

    def state(self, item: OvalItem, state: State, lacking: str = UNKNOWN) -> str:
        """Return the result of one item compared with one state; `lacking` is that of an entity the item has not.

        Raise NotCollectedError.
        """
        return truth.by_operator([self._entity(item, e, lacking) for e in state.entities], state.operator)

    def _entity(self, item: OvalItem, wanted: Entity, lacking: str) -> str:
        if wanted.name in item.absent:
            return FALSE
        if wanted.datatype == "record":
            found = [self._record(dict_of, wanted) for dict_of in item.records.get(wanted.name, ())]
            return truth.by_check(found, wanted.entity_check) if found else lacking
        values = item.entities.get(wanted.name)
        if values is None:
            return lacking
        if not wanted.var_ref:
            text = wanted.value or ""
            return truth.by_check(
                [compare(wanted.datatype, wanted.operation, v, text) for v in values], wanted.entity_check
            )
        variable = self._variables.get(wanted.var_ref)
        return truth.by_check([_with_variable(v, wanted, variable) for v in values], wanted.entity_check)

    def _record(self, fields: tuple[tuple[str, str], ...], wanted: Entity) -> str:
        results: list[str] = []
        for one in wanted.fields:
            values = [v for name, v in fields if name == one.name]
            if not values:
                results.append(ERROR)
            elif one.var_ref:
                variable = self._variables.get(one.var_ref)
                results.append(truth.by_check([_with_variable(v, one, variable) for v in values], one.entity_check))
            else:
                compared = [compare(one.datatype, one.operation, v, one.value or "") for v in values]
                results.append(truth.by_check(compared, one.entity_check))
        return truth.by_operator(results, "AND")

    def object(self, wanted: str) -> Collected:
        """Return the items of an object; never raises: what was not collected is flagged so."""
        if wanted not in self._objects:
            self._objects[wanted] = self._collect(wanted)
        return self._objects[wanted]

    def _collect(self, wanted: str) -> Collected:
        found = self.document.objects[wanted]
        if found.type not in all_types():
            return Collected(NOT_COLLECTED, (), f"{found.type}_object is not interpreted")
        try:
            if found.set is not None:
                return self._set(found.set)
            resolved, waiting = self._resolved(found)
            predicates = find_tests.predicates(found, self.document.states, self._variables.get)
            if waiting is not None:
                raise waiting
            got = all_types()[found.type].collect(Wanted(found, resolved, predicates), self.facts)
            return self._filter(got, found.filters)
        except NotCollectedError as missing:
            return Collected(NOT_COLLECTED, (), str(missing))
        except _NothingError as nothing:
            return Collected(DOES_NOT_EXIST, (), str(nothing))
        except (ObjectError, ValueError) as error:
            return Collected(ERROR, (), str(error))

    def _resolved(self, found: Object) -> tuple[dict[str, WantedEntity], NotCollectedError | None]:
        """Return the entities with the values of their variables, and what of them is still to be collected."""
        resolved: dict[str, WantedEntity] = {}
        waiting: NotCollectedError | None = None
        for name, entity in found.entities.items():
            if entity.nil:
                continue
            if not entity.var_ref:
                resolved[name] = WantedEntity(entity, (entity.value or "",))
                continue
            try:
                values = self._values_for(entity)
            except NotCollectedError as missing:
                waiting = missing
                continue
            if name == "var_ref":
                resolved[name] = WantedEntity(entity, values)
                continue
            if not values:
                raise _NothingError(f"{entity.var_ref} has no value")
            if entity.var_check in NEGATIVE:
                raise NotCollectedError(f"{name} with var_check {entity.var_check}: not interpreted")
            if _contradicts(found.type, entity, values):
                raise _NothingError(f"{name} cannot be all values of {entity.var_ref} at once")
            resolved[name] = WantedEntity(_as_compared(found.type, entity), values)
        return resolved, waiting

    def _values_for(self, entity: Entity) -> tuple[str, ...]:
        """Return the values of an entity's variable. A variable that cannot be computed is not known: not empty."""
        values = self._variables.get(entity.var_ref)
        if values.flag in (ERROR, NOT_COLLECTED):
            raise NotCollectedError(values.reason or f"{entity.var_ref} has no value")
        if values.flag not in (COMPLETE, INCOMPLETE):
            raise _NothingError(values.reason or f"{entity.var_ref} has no value")
        return values.values

    def _filter(self, got: Collected, filters: Sequence[tuple[str, str]]) -> Collected:
        if not filters or not got.items:
            return got
        kept = [i for i in got.items if i.status == "error" or self._passes(i, filters)]
        flag = DOES_NOT_EXIST if got.flag == COMPLETE and not kept else got.flag
        return Collected(flag, tuple(kept), got.reason)

    def _passes(self, item: OvalItem, filters: Sequence[tuple[str, str]]) -> bool:
        for action, state in filters:
            result = self.state(item, self.document.states[state], FALSE)
            if (action == "exclude" and result == TRUE) or (action == "include" and result == FALSE):
                return False
        return True

    def _set(self, node: SetNode) -> Collected:
        if node.sets:
            parts = [self._set(s) for s in node.sets]
        else:
            parts = [self._filter(self.object(o), node.filters) for o in node.objects]
        reason = next((p.reason for p in parts if p.reason), "")
        flag = _combined_flag(node.operator, [p.flag for p in parts])
        keyed = [{_key(i): i for i in p.items} for p in parts]
        first, second = keyed[0], keyed[1] if len(keyed) > 1 else {}
        if node.operator == "INTERSECTION":
            items = {k: v for k, v in first.items() if k in second}
        elif node.operator == "COMPLEMENT":
            items = {k: v for k, v in first.items() if k not in second}
        else:
            items = {**first, **second}
        if flag == COMPLETE and not items:
            flag = DOES_NOT_EXIST
        return Collected(flag, tuple(items.values()), reason)


_NOT_COMPARED = frozenset({"pattern", "xpath", "yamlpath"})
"""Entities that say how to look, not what must be there: each value of a variable is a search of its own."""


def _each_alone(kind: str, entity: Entity) -> bool:
    """Say whether each value of a variable makes an object of its own, whose items are then put together."""
    return entity.name in _NOT_COMPARED or getattr(all_types()[kind], "each_value", False)


def _as_compared(kind: str, entity: Entity) -> Entity:
    """Return the entity with the var_check that holds when what was found is compared with the values."""
    alone = entity.var_check == "all" and _each_alone(kind, entity)
    return replace(entity, var_check="at least one") if alone else entity


def _contradicts(kind: str, entity: Entity, values: Sequence[str]) -> bool:
    """Say whether nothing can be meant: one thing would have to equal several different values (var_check all)."""
    alike = entity.operation == "equals" and entity.var_check == "all" and len(set(values)) > 1
    return alike and not _each_alone(kind, entity)


def _key(item: OvalItem) -> tuple[object, ...]:
    return (item.status, tuple(sorted(item.entities.items())), tuple(sorted(item.records.items())))


def _with_variable(found: str, wanted: Entity, variable: Values) -> str:
    if variable.flag not in (COMPLETE, INCOMPLETE):
        return ERROR
    results = [compare(wanted.datatype, wanted.operation, found, v) for v in variable.values]
    return truth.by_check(results, wanted.var_check)


def _by_incomplete(existence: str, exists: int) -> str:
    """Judge what exists when more may exist (OVAL specification, table of check_existence and incomplete)."""
    if existence == "any_exist" or (existence == "at_least_one_exists" and exists):
        return TRUE
    if (existence == "none_exist" and exists) or (existence == "only_one_exists" and exists > 1):
        return FALSE
    return UNKNOWN


_SET_ORDER = (ERROR, NOT_COLLECTED, INCOMPLETE)


def _combined_flag(operator: str, flags: Sequence[str]) -> str:
    """Combine the flags of a set's parts (OVAL specification, tables of set operators)."""
    for flag in _SET_ORDER:
        if flag in flags:
            return flag
    if all(f == NOT_APPLICABLE for f in flags):
        return NOT_APPLICABLE
    if operator == "UNION":
        return COMPLETE if COMPLETE in flags else DOES_NOT_EXIST
    if operator == "COMPLEMENT":
        return flags[0]
    return COMPLETE if all(f == COMPLETE for f in flags) else DOES_NOT_EXIST
