"""An object whose variables have been given their values: what a test type has to look for."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from patchctl.assess.content.xccdf.oval import truth
from patchctl.assess.content.xccdf.oval.compare import compare
from patchctl.assess.content.xccdf.oval.model import ERROR, TRUE, Entity, Object

NEGATIVE = frozenset({"none satisfy", "none exist"})
"""A var_check that would mean everything on a host but what is named: not searched for."""


class ObjectError(Exception):
    """An object that cannot be looked for (a pattern that is none, say); its test is in error, as in oscap."""


class WantedEntity(Struct, frozen=True):
    """One entity and the values it may have: one, or those of its variable."""

    entity: Entity
    values: tuple[str, ...]

    @property
    def literals(self) -> tuple[str, ...] | None:
        """The values when they are meant literally, else None."""
        equal = self.entity.operation == "equals" and self.entity.datatype == "string"
        return self.values if equal else None

    @property
    def patterns(self) -> tuple[str, ...] | None:
        """The values when they are patterns, else None."""
        return self.values if self.entity.operation == "pattern match" else None

    def matches(self, found: str) -> bool:
        """Say whether a value found on the host is meant. Raise ObjectError."""
        results = [compare(self.entity.datatype, self.entity.operation, found, v) for v in self.values]
        result = truth.by_check(results, self.entity.var_check) if self.entity.var_ref else results[0]
        if result == ERROR:
            raise ObjectError(f"{self.entity.name} {self.entity.operation} {self.values[0]!r} cannot be compared")
        return result == TRUE


class Wanted(Struct, frozen=True):
    """An object with its variables resolved. `excluded` and `included` are its filters' states, for walks."""

    object: Object
    entities: Mapping[str, WantedEntity] = field(default_factory=dict)
    predicates: tuple[tuple[str, str], ...] = ()
    """(include|exclude, `find` test) of filters that `find` can apply exactly, with their variables' values."""

    def entity(self, name: str) -> WantedEntity | None:
        """Return an entity, or None when it is not there or nil."""
        return self.entities.get(name)

    def is_nil(self, name: str) -> bool:
        """Say whether an entity is there and nil."""
        entity = self.object.entities.get(name)
        return entity is not None and entity.nil

    def behavior(self, name: str, default: str) -> str:
        return self.object.behaviors.get(name, default)
