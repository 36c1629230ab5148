"""The compiled form of OVAL 5.11 definitions: frozen values that can be pickled. Ids lead from one to another."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

TRUE, FALSE, UNKNOWN, ERROR = "true", "false", "unknown", "error"
NOT_EVALUATED, NOT_APPLICABLE = "not evaluated", "not applicable"
"""Results of definitions, criteria, tests and items (oval-results schema, ResultEnumeration)."""

COMPLETE, INCOMPLETE, DOES_NOT_EXIST, NOT_COLLECTED = "complete", "incomplete", "does not exist", "not collected"
"""Flags of collected objects (oval-system-characteristics schema, FlagEnumeration), beside ERROR, NOT_APPLICABLE."""


class Entity(Struct, frozen=True):
    """One entity of an object or a state: what is compared, with what, and how."""

    name: str
    value: str | None = None
    datatype: str = "string"
    operation: str = "equals"
    var_ref: str = ""
    var_check: str = "all"
    entity_check: str = "all"
    nil: bool = False
    mask: bool = False
    fields: tuple[Entity, ...] = ()
    """Fields of a record."""


class SetNode(Struct, frozen=True):
    """A set of objects: UNION, INTERSECTION or COMPLEMENT of sets or of filtered objects."""

    operator: str = "UNION"
    sets: tuple[SetNode, ...] = ()
    objects: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()


class Object(Struct, frozen=True):
    """What to look for on a host."""

    id: str
    type: str
    entities: Mapping[str, Entity] = field(default_factory=dict)
    behaviors: Mapping[str, str] = field(default_factory=dict)
    filters: tuple[tuple[str, str], ...] = ()
    """(include|exclude, state id)."""
    set: SetNode | None = None
    comment: str = ""


class State(Struct, frozen=True):
    """What an item must be like."""

    id: str
    type: str
    operator: str = "AND"
    entities: tuple[Entity, ...] = ()


class Test(Struct, frozen=True):
    """Items of an object compared with states."""

    id: str
    type: str
    object: str = ""
    states: tuple[str, ...] = ()
    check: str = "all"
    check_existence: str = "at_least_one_exists"
    state_operator: str = "AND"
    comment: str = ""


class Criteria(Struct, frozen=True):
    """A node of a definition's logic. kind: criteria | criterion (a test) | extend (a definition)."""

    kind: str
    ref: str = ""
    operator: str = "AND"
    negate: bool = False
    children: tuple[Criteria, ...] = ()
    comment: str = ""


class Definition(Struct, frozen=True):
    id: str
    cls: str
    title: str
    criteria: Criteria | None


class Component(Struct, frozen=True):
    """A part of a local variable: a literal, an object's items, another variable, or a function of such parts."""

    kind: str
    """literal_component, object_component, variable_component, concat, count ..."""
    value: str = ""
    """Literal text, or the id of the object or variable."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Component, ...] = ()


class Variable(Struct, frozen=True):
    """kind: constant | external | local."""

    id: str
    kind: str
    datatype: str = "string"
    values: tuple[str, ...] = ()
    component: Component | None = None


class Document(Struct, frozen=True):
    """All that the wanted definitions of one OVAL document depend on, and values for its external variables."""

    definitions: Mapping[str, Definition] = field(default_factory=dict)
    tests: Mapping[str, Test] = field(default_factory=dict)
    objects: Mapping[str, Object] = field(default_factory=dict)
    states: Mapping[str, State] = field(default_factory=dict)
    variables: Mapping[str, Variable] = field(default_factory=dict)
    limits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Definition id -> constructs in its closure that are not interpreted."""


class OvalItem(Struct, frozen=True):
    """One thing found on a host: entity name -> its values (several where the schema allows, or a record)."""

    entities: Mapping[str, tuple[str, ...]]
    status: str = "exists"
    """exists | error | does not exist | not collected."""
    records: Mapping[str, tuple[tuple[tuple[str, str], ...], ...]] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    """Entities that were looked for and are not there: comparing them is false."""

    def first(self, name: str) -> str:
        """Return the first value of an entity ("" when there is none)."""
        return next(iter(self.entities.get(name, ())), "")


class Collected(Struct, frozen=True):
    """What an object came to: its flag, its items, and why it is not complete."""

    flag: str
    items: tuple[OvalItem, ...] = ()
    reason: str = ""


def collected(items: list[OvalItem] | tuple[OvalItem, ...]) -> Collected:
    """Return items that were collected completely; none at all means that the object does not exist."""
    return Collected(COMPLETE, tuple(items)) if items else Collected(DOES_NOT_EXIST)
