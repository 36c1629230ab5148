"""Gives variables their values: constants, values bound from XCCDF, and functions over objects and variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from patchctl.assess.content.xccdf.oval.facts import Facts, NotCollectedError
from patchctl.assess.content.xccdf.oval.functions import FUNCTIONS
from patchctl.assess.content.xccdf.oval.model import (
    COMPLETE,
    DOES_NOT_EXIST,
    ERROR,
    INCOMPLETE,
    NOT_APPLICABLE,
    NOT_COLLECTED,
    Collected,
    Component,
    Variable,
)

_PRECEDENCE = (ERROR, NOT_APPLICABLE, NOT_COLLECTED, DOES_NOT_EXIST, INCOMPLETE, COMPLETE)


class Values(Struct, frozen=True):
    """A variable's values, and how completely they are known."""

    flag: str
    values: tuple[str, ...] = ()
    reason: str = ""


class Variables(Struct):
    """The variables of a document with the values of one host. `object_of` returns what an object came to."""

    variables: Mapping[str, Variable]
    bindings: Mapping[str, tuple[str, ...]]
    facts: Facts
    object_of: Callable[[str], Collected]
    _known: dict[str, Values | NotCollectedError] = field(default_factory=dict)

    def get(self, wanted: str) -> Values:
        """Return a variable's values. Raise NotCollectedError when they depend on what was not collected."""
        if wanted not in self._known:
            try:
                self._known[wanted] = self._make(self.variables[wanted])
            except NotCollectedError as missing:
                self._known[wanted] = missing
        found = self._known[wanted]
        if isinstance(found, NotCollectedError):
            raise found
        return found

    def _make(self, variable: Variable) -> Values:
        if variable.kind == "constant":
            return Values(COMPLETE, variable.values)
        if variable.kind == "external":
            bound = self.bindings.get(variable.id)
            return Values(COMPLETE, bound) if bound else Values(NOT_COLLECTED, (), f"{variable.id} was given no value")
        if variable.component is None:
            return Values(ERROR, (), f"{variable.kind}_variable is not interpreted")
        return self._component(variable.component)

    def _component(self, part: Component) -> Values:
        if part.kind == "literal_component":
            return Values(COMPLETE, (part.value,))
        if part.kind == "variable_component":
            return self.get(part.value)
        if part.kind == "object_component":
            return self._object(part)
        if part.kind not in FUNCTIONS:
            return Values(ERROR, (), f"function {part.kind} is not interpreted")
        return self._function(part)

    def _function(self, part: Component) -> Values:
        waiting: NotCollectedError | None = None
        made: list[Values] = []
        for one in part.parts:
            try:
                made.append(self._component(one))
            except NotCollectedError as missing:  # go on, so that all that is missing is noted
                waiting = missing
        if waiting is not None:
            raise waiting
        flag = next((f for f in _PRECEDENCE if any(m.flag == f for m in made)), ERROR)
        reason = next((m.reason for m in made if m.reason), "")
        if flag not in (COMPLETE, INCOMPLETE):
            return Values(flag, (), reason)
        try:
            values = FUNCTIONS[part.kind]([m.values for m in made], part.attributes, self.facts.taken_at)
        except (ValueError, KeyError, IndexError, OverflowError) as error:
            return Values(ERROR, (), f"{part.kind}: {error}")
        return Values(flag, tuple(values), reason)

    def _object(self, part: Component) -> Values:
        found = self.object_of(part.value)
        if found.flag == NOT_COLLECTED:
            raise NotCollectedError(found.reason or f"{part.value} was not collected")
        wanted, column = part.attributes.get("item_field", ""), part.attributes.get("record_field", "")
        values: list[str] = []
        for item in found.items:
            if column:
                cells = [v for record in item.records.get(wanted, ()) for name, v in record if name == column]
            else:
                cells = list(item.entities.get(wanted, ()))
            if not cells and wanted not in item.absent:
                return Values(ERROR, (), f"an item of {part.value} has no {wanted} {column}".rstrip())
            values.extend(cells)
        return Values(found.flag, tuple(values), found.reason)
