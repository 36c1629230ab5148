"""Tells what a rule reads and why it came out so, down to the items of OVAL tests. Passwords are not shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from patchctl.assess.content.xccdf.oval.evaluate import Evaluator, TestResult
from patchctl.assess.content.xccdf.oval.model import FALSE, TRUE, Criteria, Entity, Object, OvalItem, State, Test
from patchctl.model.assessment import Item, Rule
from patchctl.model.text import one_line

if TYPE_CHECKING:
    from patchctl.assess.content.xccdf.baseline import Judge, RuleCheck, XccdfBaseline

MAX_ITEMS = 20
_SOURCES = ("filepath", "path", "name", "unit", "username", "mount_point", "var_ref")
_SHOWN = ("text", "subexpression", "value", "type", "user_id", "group_id", "mount_options", "evr", "canonical_path",
          "dependency", "flag", "password")


def lines(baseline: XccdfBaseline, rule: Rule, judge: Judge | None) -> Sequence[str]:
    """Return the explanation of a rule."""
    found = [f"{rule.id}", f"{rule.title} ({rule.severity})"]
    for names in baseline.applicability.get(rule.id, ()):
        told = f": {judge.applies(names)}" if judge is not None else ""
        found.append(f"applies to {' or '.join(names)}{told}")
    found.extend(f"not interpreted: {limit}" for limit in rule.limits)
    check = baseline.checks.get(rule.id)
    if check is None:
        return [*found, "it has no check that can be evaluated"]
    if judge is not None:
        verdict, reason = judge.verdict(rule)
        found.append(f"verdict {verdict}{f': {reason}' if reason else ''}")
    return [*found, *_check(baseline, check, judge, 0)]


def _check(baseline: XccdfBaseline, check: RuleCheck, judge: Judge | None, depth: int) -> Iterator[str]:
    pad = "  " * depth
    mark = "not " if check.negate else ""
    if check.operator:
        told = f" = {judge.check(check)}" if judge is not None else ""
        yield f"{pad}{mark}complex-check {check.operator}{told}"
        for part in check.parts:
            yield from _check(baseline, part, judge, depth + 1)
    elif not check.key:
        yield f"{pad}a check that cannot be evaluated"
    else:
        loaded = baseline.documents[check.key]
        evaluator = judge.evaluator(check.key) if judge is not None else None
        for definition in check.definitions:
            one = loaded.document.definitions[definition]
            result = f" = {evaluator.definition(definition)}" if evaluator is not None else ""
            yield f"{pad}{mark}definition {definition}{result}"
            if one.criteria is not None:
                yield from _criteria(loaded, one.criteria, evaluator, depth + 1)


def _criteria(loaded: object, node: Criteria, evaluator: Evaluator | None, depth: int) -> Iterator[str]:
    document = loaded.document  # type: ignore[attr-defined]  # Loaded; importing it would go in a circle
    pad = "  " * depth
    result = f" = {evaluator.criteria(node)}" if evaluator is not None else ""
    mark = "not " if node.negate else ""
    if node.kind == "criterion":
        test = document.tests[node.ref]
        yield f"{pad}{mark}{test.type}_test {test.id}{result}: {one_line(test.comment or node.comment)}"
        yield from _test(document, test, evaluator, pad + "  ")
        yield from _values(loaded, test, pad + "  ")
    elif node.kind == "extend":
        yield f"{pad}{mark}definition {node.ref}{result}: {one_line(node.comment)}"
        inner = document.definitions[node.ref].criteria
        if inner is not None and depth < MAX_ITEMS:
            yield from _criteria(loaded, inner, evaluator, depth + 1)
    else:
        yield f"{pad}{mark}{node.operator}{result}{f': {one_line(node.comment)}' if node.comment else ''}"
        for child in node.children:
            yield from _criteria(loaded, child, evaluator, depth + 1)


def _test(document: object, test: Test, evaluator: Evaluator | None, pad: str) -> Iterator[str]:
    objects, states = document.objects, document.states  # type: ignore[attr-defined]  # Document
    if test.object in objects:
        yield f"{pad}reads {_object(objects[test.object])}"
    yield f"{pad}expects {test.check_existence}" + (f", {test.check} to be:" if test.states else "")
    for state in test.states:
        yield f"{pad}  {_state(states[state])}"
    if evaluator is None:
        return
    found = evaluator.test(test.id)
    if found.reason:
        yield f"{pad}reason: {one_line(found.reason)}"
    for item, result in found.items[:MAX_ITEMS]:
        yield f"{pad}found {describe(item)} = {result}"
    if len(found.items) > MAX_ITEMS:
        yield f"{pad}and {len(found.items) - MAX_ITEMS} more"
    if not found.items:
        yield f"{pad}found nothing ({found.flag or 'not interpreted'})"


def _values(loaded: object, test: Test, pad: str) -> Iterator[str]:
    """Tell the values of the variables that the profile or the content itself sets."""
    document = loaded.document  # type: ignore[attr-defined]  # Loaded
    entities = list(document.objects[test.object].entities.values()) if test.object in document.objects else []
    entities += [e for s in test.states for e in document.states[s].entities]
    for variable in dict.fromkeys(e.var_ref for e in entities if e.var_ref):
        values = loaded.bindings.get(variable) or document.variables[variable].values  # type: ignore[attr-defined]
        if values:
            yield one_line(f"{pad}where ${variable} = {', '.join(map(repr, values[:8]))}")


def _object(found: Object) -> str:
    parts = [_entity(e) for e in found.entities.values()]
    if found.set is not None:
        parts.append(f"{found.set.operator} of {', '.join(found.set.objects) or 'sets'}")
    parts += [f"{action} {state}" for action, state in found.filters]
    return one_line(f"{found.type}: {', '.join(parts)}")


def _entity(entity: Entity) -> str:
    if entity.fields:
        return f"{entity.name} with {', '.join(_entity(f) for f in entity.fields)}"
    value = f"${entity.var_ref}" if entity.var_ref else "nil" if entity.nil else repr(entity.value or "")
    operation = "=" if entity.operation == "equals" else entity.operation
    return f"{entity.name} {operation} {value}"


def _state(state: State) -> str:
    return one_line(f" {state.operator} ".join(_entity(e) for e in state.entities))


def describe(item: OvalItem) -> str:
    """Return an item in words: where it is and what it holds."""
    where = next((item.first(n) for n in _SOURCES if item.first(n)), "")
    parts = [f"{n}={', '.join(_shown(n, v) for v in item.entities[n][:8])}" for n in _SHOWN if item.entities.get(n)]
    parts += [f"{n}={dict(record)}" for n, records in item.records.items() for record in records[:4]]
    return one_line(f"{where} {'; '.join(parts)}".strip())


def _shown(name: str, value: str) -> str:
    return "(hidden)" if name == "password" and len(value) > 2 else repr(value)


def items(looked_at: Sequence[tuple[Evaluator, Sequence[str]]]) -> tuple[Item, ...]:
    """Return what was looked at by the tests that made definitions come out as they did, the worst first."""
    shown: list[Item] = []
    for evaluator, definitions in looked_at:
        found: dict[str, TestResult] = {}
        for definition in definitions:
            criteria = evaluator.document.definitions[definition].criteria
            if criteria is not None:
                _collect(evaluator, criteria, found, 0)
        for test_id, result in found.items():
            shown.extend(_items_of(evaluator, evaluator.document.tests[test_id], result))
    shown.sort(key=lambda i: (i.ok is True, i.ok is None))
    return tuple(shown[:MAX_ITEMS])


def _items_of(evaluator: Evaluator, test: Test, result: TestResult) -> Iterator[Item]:
    expected = one_line(test.comment or test.id, 160)
    ok = {TRUE: True, FALSE: False}.get(result.result)
    told = [(i, r) for i, r in result.items if r != TRUE][:3] if ok is not True else []
    for item, one in told:
        yield Item(_where(item), expected, describe(item), {TRUE: True, FALSE: False}.get(one))
    if not told:
        nothing = "" if ok is True else result.reason or "nothing found"
        yield Item(_target(evaluator, test), expected, one_line(nothing), ok)


def _collect(evaluator: Evaluator, node: Criteria, found: dict[str, TestResult], depth: int) -> None:
    if node.kind == "criterion":
        found[node.ref] = evaluator.test(node.ref)
    elif node.kind == "extend":
        inner = evaluator.document.definitions[node.ref].criteria
        if inner is not None and depth < MAX_ITEMS:
            _collect(evaluator, inner, found, depth + 1)
    else:
        for child in node.children:
            _collect(evaluator, child, found, depth)


def _where(item: OvalItem) -> str:
    return one_line(next((item.first(n) for n in _SOURCES if item.first(n)), ""), 160)


def _target(evaluator: Evaluator, test: Test) -> str:
    found = evaluator.document.objects.get(test.object)
    if found is None:
        return test.type
    named = [e.value for n, e in found.entities.items() if n in _SOURCES and e.value]
    return one_line(" ".join(named) or found.type, 160)
