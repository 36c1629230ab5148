"""The truth tables of OVAL 5.11 (oval-common schema: CheckEnumeration, ExistenceEnumeration, OperatorEnumeration)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from patchctl.assess.content.xccdf.oval.model import ERROR, FALSE, NOT_APPLICABLE, NOT_EVALUATED, TRUE, UNKNOWN

_WORST = (ERROR, UNKNOWN, NOT_EVALUATED)


def by_check(results: Iterable[str], check: str) -> str:
    """Combine results by `all`, `at least one`, `none satisfy` (`none exist`) or `only one`. No result: unknown."""
    several = list(results)
    if len(several) == 1 and check in ("all", "at least one"):
        return several[0]
    count = Counter(several)
    early = _undecided(count)
    if early:
        return early
    if check == "all":
        return FALSE if count[FALSE] else _worst(count) or TRUE
    if check == "at least one":
        return TRUE if count[TRUE] else _worst(count) or FALSE
    if check in ("none satisfy", "none exist"):
        return FALSE if count[TRUE] else _worst(count) or TRUE
    if check == "only one":
        return FALSE if count[TRUE] > 1 else _worst(count) or (TRUE if count[TRUE] == 1 else FALSE)
    return ERROR


def by_operator(results: Iterable[str], operator: str) -> str:
    """Combine results by AND, OR, ONE or XOR. No result: unknown."""
    several = list(results)
    if len(several) == 1 and operator in ("AND", "OR", "ONE", "XOR"):
        return several[0]
    count = Counter(several)
    early = _undecided(count)
    if early:
        return early
    if operator == "AND":
        return FALSE if count[FALSE] else _worst(count) or TRUE
    if operator == "OR":
        return TRUE if count[TRUE] else _worst(count) or FALSE
    if operator == "ONE":
        return FALSE if count[TRUE] > 1 else _worst(count) or (TRUE if count[TRUE] == 1 else FALSE)
    if operator == "XOR":
        return _worst(count) or (TRUE if count[TRUE] % 2 else FALSE)
    return ERROR


def _undecided(count: Counter[str]) -> str:
    if not count:
        return UNKNOWN
    return NOT_APPLICABLE if set(count) == {NOT_APPLICABLE} else ""


def _worst(count: Counter[str]) -> str:
    return next((result for result in _WORST if count[result]), "")


def negate(result: str) -> str:
    """Turn true and false around; everything else stays."""
    return {TRUE: FALSE, FALSE: TRUE}.get(result, result)


def by_existence(existence: str, exists: int, errors: int) -> str:
    """Judge how many items exist and how many are in error."""
    if existence == "all_exist":
        return ERROR if errors else (TRUE if exists else FALSE)
    if existence == "any_exist":
        return ERROR if errors and not exists else TRUE
    if existence == "at_least_one_exists":
        return TRUE if exists else (ERROR if errors else FALSE)
    if existence == "none_exist":
        # The specification: one that exists decides, whatever else could not be read.
        return FALSE if exists else (ERROR if errors else TRUE)
    if existence == "only_one_exists":
        if exists > 1:
            return FALSE
        return ERROR if errors else (TRUE if exists == 1 else FALSE)
    return ERROR
