"""Compares one value found on a host with one value of the content: OVAL datatypes and operations.

A value that cannot be read as its datatype is an error, never false (oval-common schema, OperationEnumeration).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from patchctl.assess.content.xccdf.oval import patterns
from patchctl.assess.content.xccdf.oval.model import ERROR, FALSE, TRUE
from patchctl.model.versions import deb, rpm

_INTEGER = re.compile(r"\s*[+-]?[0-9]+")
_ORDER: Mapping[str, Callable[[int], bool]] = {
    "equals": lambda c: c == 0,
    "not equal": lambda c: c != 0,
    "greater than": lambda c: c > 0,
    "greater than or equal": lambda c: c >= 0,
    "less than": lambda c: c < 0,
    "less than or equal": lambda c: c <= 0,
}
OPERATIONS = frozenset({
    *_ORDER, "pattern match", "case insensitive equals", "case insensitive not equal", "bitwise and", "bitwise or",
    "subset of", "superset of",
})


class _NotReadableError(ValueError):
    """A value is no value of the datatype, or the operation is none of the datatype."""


def compare(datatype: str, operation: str, found: str, wanted: str) -> str:
    """Return true, false or error for `found OPERATION wanted`."""
    by = DATATYPES.get(datatype)
    if by is None:
        return ERROR
    try:
        return TRUE if by(operation, found, wanted) else FALSE
    except ValueError:  # also what patterns and versions raise
        return ERROR


def _ordered(operation: str, order: int) -> bool:
    if operation not in _ORDER:
        raise _NotReadableError(operation)
    return _ORDER[operation](order)


def _sign(a: int | float | tuple[int, ...], b: int | float | tuple[int, ...]) -> int:
    return (a > b) - (a < b)  # type: ignore[operator]  # both are of one kind


def _string(operation: str, found: str, wanted: str) -> bool:
    if operation == "equals":
        return found == wanted
    if operation == "not equal":
        return found != wanted
    if operation == "pattern match":
        return patterns.found(wanted, found)
    if operation == "case insensitive equals":
        return found.lower() == wanted.lower()
    if operation == "case insensitive not equal":
        return found.lower() != wanted.lower()
    raise _NotReadableError(operation)


@lru_cache(maxsize=8192)  # owners and sizes of thousands of files, compared with few numbers
def _int(operation: str, found: str, wanted: str) -> bool:
    if not _INTEGER.fullmatch(found) or not _INTEGER.fullmatch(wanted):
        raise _NotReadableError(found)
    a, b = int(found), int(wanted)
    if operation == "bitwise and":
        return a & b == b
    if operation == "bitwise or":
        return a | b == b
    return _ordered(operation, _sign(a, b))


def _float(operation: str, found: str, wanted: str) -> bool:
    a, b = float(found), float(wanted)
    close = abs(a - b) <= 1e-9 * max(abs(a), abs(b))
    return _ordered(operation, 0 if close else _sign(a, b))


def _boolean(operation: str, found: str, wanted: str) -> bool:
    a, b = found in ("true", "1"), wanted in ("true", "1")
    if operation not in ("equals", "not equal"):
        raise _NotReadableError(operation)
    return (a == b) == (operation == "equals")


def _binary(operation: str, found: str, wanted: str) -> bool:
    if operation not in ("equals", "not equal"):
        raise _NotReadableError(operation)
    return (found.lower() == wanted.lower()) == (operation == "equals")


def _version(operation: str, found: str, wanted: str) -> bool:
    """Numbers between any separators, compared one after another; missing ones count as 0."""
    a, b = [int(n) for n in re.findall(r"[0-9]+", found)], [int(n) for n in re.findall(r"[0-9]+", wanted)]
    if not a or not b:
        raise _NotReadableError(found)
    size = max(len(a), len(b))
    return _ordered(operation, _sign(tuple(a + [0] * (size - len(a))), tuple(b + [0] * (size - len(b)))))


def _evr(operation: str, found: str, wanted: str) -> bool:
    """epoch:version-release as rpm orders them. A release is always compared, as rpm's labelCompare does."""
    (epoch_a, version_a, release_a), (epoch_b, version_b, release_b) = rpm.split(found), rpm.split(wanted)
    order = _sign(epoch_a, epoch_b) or rpm.compare_part(version_a, version_b)
    if not order:
        order = _sign(int(bool(release_a)), int(bool(release_b))) or rpm.compare_part(release_a, release_b)
    return _ordered(operation, order)


def _debian_evr(operation: str, found: str, wanted: str) -> bool:
    return _ordered(operation, deb.compare(found, wanted))


def _address(operation: str, found: str, wanted: str) -> bool:
    """IPv4 or IPv6 networks: order of addresses, or one inside the other."""
    a = ipaddress.ip_interface(found)
    b = ipaddress.ip_interface(wanted)
    if a.version != b.version:
        raise _NotReadableError(found)
    if operation in ("subset of", "superset of"):
        inner, outer = (a, b) if operation == "subset of" else (b, a)
        return inner.network.prefixlen >= outer.network.prefixlen and inner.ip in outer.network
    if operation in ("equals", "not equal"):
        same = int(a.ip) == int(b.ip) and a.network.prefixlen == b.network.prefixlen
        return same == (operation == "equals")
    if a.network.prefixlen != b.network.prefixlen:
        raise _NotReadableError(found)
    return _ordered(operation, _sign(int(a.network.network_address), int(b.network.network_address)))


def _record(operation: str, found: str, wanted: str) -> bool:
    raise _NotReadableError(f"records are compared field by field: {operation} {found} {wanted}")


DATATYPES: Mapping[str, Callable[[str, str, str], bool]] = {
    "string": _string, "int": _int, "float": _float, "boolean": _boolean, "binary": _binary, "version": _version,
    "evr_string": _evr, "debian_evr_string": _debian_evr, "ipv4_address": _address, "ipv6_address": _address,
    "record": _record,
}
"""Datatypes that are interpreted. fileset_revision, ios_version and eval-time types of other systems are not."""
