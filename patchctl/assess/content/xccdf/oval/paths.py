"""Finds the files that an object's path, filename and filepath mean, as oscap's walk does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from patchctl.assess.content.xccdf.oval.batch import glob_text, usable
from patchctl.assess.content.xccdf.oval.facts import Ask, Facts, NotCollectedError, Unreadable
from patchctl.assess.content.xccdf.oval.model import Object
from patchctl.assess.content.xccdf.oval.prefixes import Place, anchored, places, suffix
from patchctl.assess.content.xccdf.oval.sources.metadata import Stat
from patchctl.assess.content.xccdf.oval.wanted import Wanted, WantedEntity

FILE_ENTITIES = ("path", "filename", "filepath")


class Named(Struct, frozen=True):
    """A path taken apart, with what was found there (a Stat or a text)."""

    filepath: str
    folder: str
    name: str
    found: Any


def limits(found: Object) -> list[str]:
    """Name what of an object's paths and behaviors is not interpreted."""
    named: list[str] = []
    for name in FILE_ENTITIES:
        entity = found.entities.get(name)
        if entity is None or entity.nil:
            continue
        if name != "filename" and entity.operation not in ("equals", "pattern match"):
            named.append(f"OVAL {name} with operation {entity.operation}")
        open_ended = entity.operation == "pattern match" and entity.value is not None and name != "filename"
        if open_ended and places(anchored(entity.value or "")) == (Place("/"),):
            named.append(f"OVAL {name} pattern that may match anywhere: {entity.value}")
    if found.behaviors.get("recurse_direction") == "up":
        named.append("OVAL behavior recurse_direction=up")
    if found.behaviors.get("windows_view", "64_bit") != "64_bit":
        named.append("OVAL behavior windows_view")
    return named


def recursive(wanted: Wanted) -> bool:
    """Say whether folders below the path are meant too."""
    return wanted.behavior("recurse_direction", "none") == "down" and wanted.entity("filepath") is None


def _where(entity: WantedEntity) -> Iterator[Place]:
    """Yield where a path may lie. Raise NotCollectedError when that is anywhere."""
    if entity.literals is not None:
        for literal in entity.literals:
            yield Place(literal, closed=True)
        return
    for pattern in entity.patterns or (".*",):
        for place in places(anchored(pattern)):
            if place.prefix == "/":
                raise NotCollectedError(f"{pattern!r} may match anywhere on the host: such searches are not made")
            yield place


def _readable(found: Any, path: str) -> Any:
    if isinstance(found, Unreadable):
        raise NotCollectedError(f"{path}: {found.reason}")
    return found


def _names(entity: WantedEntity | None) -> str:
    """Return the ending that all wanted names share."""
    if entity is None or entity.patterns is None:
        return ""
    endings = {suffix(p) for p in entity.patterns}
    return endings.pop() if len(endings) == 1 else ""


def texts(wanted: Wanted, facts: Facts) -> list[Named]:
    """Return the regular files that are meant with their texts. Raise NotCollectedError."""
    plan = _text_plan(wanted)
    answers = facts.get(*plan)
    found: dict[str, Named] = {}
    for ask, answer in zip(plan, answers, strict=True):
        _readable(answer, ask[2])
        several = {ask[2]: answer} if ask[1] == "file" else answer
        for path, text in several.items():
            named = _named(path, text)
            if text is not None and _fits(wanted, named):
                _readable(text, path)
                found.setdefault(path, named)
    return list(found.values())


def _text_plan(wanted: Wanted) -> list[Ask]:
    whole, name = wanted.entity("filepath"), wanted.entity("filename")
    plan: list[Ask] = []
    if whole is not None:
        ending = _names(whole)
        plan.extend(("content", "file", p.prefix) if p.closed else ("content", "list", p.prefix, ending)
                    for p in _where(whole))
        return _unique(plan)
    folder = wanted.entity("path")
    if folder is None or name is None:
        raise NotCollectedError("the object names no file")
    for place in _where(folder):
        if not place.closed:
            plan.append(("content", "list", place.prefix, _names(name)))
        elif recursive(wanted):
            plan.append(("content", "list", place.prefix.rstrip("/") + "/", _names(name)))
        elif name.literals is not None:
            plan.extend(("content", "file", _join(place.prefix, n)) for n in name.literals)
        else:
            plan.append(("content", "dir", place.prefix.rstrip("/") or "/", _names(name)))
    return _unique(plan)


def _unique(plan: Sequence[Ask]) -> list[Ask]:
    for ask in plan:
        if not usable(ask[2]):
            raise NotCollectedError(f"{ask[2][:80]!r} is no path that can be asked for")
    return list(dict.fromkeys(plan))


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _named(path: str, found: Any) -> Named:
    folder, _, name = path.rpartition("/")
    return Named(path, folder or "/", name, found)


def _fits(wanted: Wanted, named: Named) -> bool:
    whole, folder, name = wanted.entity("filepath"), wanted.entity("path"), wanted.entity("filename")
    if whole is not None:
        return whole.matches(named.filepath)
    if name is not None and not name.matches(named.name):
        return False
    if folder is None:
        return True
    if folder.literals is not None:
        bases = [f.rstrip("/") for f in folder.literals]
        below = any(named.folder == (b or "/") or (recursive(wanted) and named.folder.startswith(b + "/"))
                    for b in bases)
        return below and _deep_enough(wanted, named, bases)
    return folder.matches(named.folder)


def _deep_enough(wanted: Wanted, named: Named, bases: Sequence[str]) -> bool:
    depth = int(wanted.behavior("max_depth", "-1"))
    if not recursive(wanted) or depth < 0:
        return True
    return any(named.folder[len(b) :].count("/") <= depth for b in bases if named.folder.startswith(b))


def stats(wanted: Wanted, facts: Facts) -> tuple[list[Named], bool]:
    """Return the files (or, without a filename, folders) that are meant, and whether all were seen.

    Raise NotCollectedError.
    """
    if recursive(wanted):
        return _walked(wanted, facts)
    plan = _stat_plan(wanted)
    answers = facts.get(*plan)
    found: dict[str, Named] = {}
    folders = wanted.entity("filepath") is None and wanted.is_nil("filename")
    for ask, answer in zip(plan, answers, strict=True):
        _readable(answer, ask[2])
        for stat in (answer if isinstance(answer, tuple) else (answer,)):
            if stat is None:
                continue
            if folders:
                fits = stat.target == "directory" and _folder_fits(wanted, stat.path)
                named = Named("", stat.path, "", stat)
            else:
                named = _named(stat.path, stat)
                fits = _is_file(wanted, stat, named) and _fits(wanted, named)
            if fits:
                found.setdefault(stat.path, named)
    return list(found.values()), True


def _is_file(wanted: Wanted, stat: Stat, named: Named) -> bool:
    """With a filepath links are followed before folders are left out; with path and filename they are not."""
    return (stat.target if wanted.entity("filepath") is not None else stat.kind) != "directory"


def _folder_fits(wanted: Wanted, path: str) -> bool:
    folder = wanted.entity("path")
    return folder is not None and folder.matches(path)


def _stat_plan(wanted: Wanted) -> list[Ask]:
    whole, name, folder = (wanted.entity(n) for n in ("filepath", "filename", "path"))
    plan: list[Ask] = []
    if whole is not None:
        plan.extend(("metadata", "stat" if p.closed else "list", p.prefix) for p in _where(whole))
        return _unique(plan)
    if folder is None:
        raise NotCollectedError("the object names no file")
    for place in _where(folder):
        if not place.closed:
            plan.append(("metadata", "list", place.prefix))
        elif name is None:
            plan.append(("metadata", "stat", place.prefix))
        elif name.literals is not None:
            plan.extend(("metadata", "stat", _join(place.prefix, n)) for n in name.literals)
        else:
            plan.append(("metadata", "dir", place.prefix.rstrip("/") or "/"))
    return _unique(plan)


def _walked(wanted: Wanted, facts: Facts) -> tuple[list[Named], bool]:
    folder, name = wanted.entity("path"), wanted.entity("filename")
    if folder is None or folder.literals is None:
        raise NotCollectedError("a search below folders that are told by a pattern is not made")
    tests = " ".join(f"{'!' if action == 'exclude' else ''} {test}".strip() for action, test in wanted.predicates)
    names = "*"
    if name is not None:
        names = glob_text(name.literals[0]) if name.literals and len(name.literals) == 1 else f"*{_names(name)}"
    where = "local" if wanted.behavior("recurse_file_system", "all") == "local" else "all"
    kind = "d" if name is None else "f"
    plan = [("walk", start.rstrip("/") or "/", kind, wanted.behavior("max_depth", "-1"), where, names, tests)
            for start in dict.fromkeys(folder.literals)]
    for ask in plan:
        if not usable(ask[1]):
            raise NotCollectedError(f"{ask[1][:80]!r} is no path that can be asked for")
    complete, found = True, dict[str, Named]()
    for ask, answer in zip(plan, facts.get(*plan), strict=True):
        entries, whole = _readable(answer, ask[1])
        complete = complete and whole
        for stat in entries:
            named = Named("", stat.path, "", stat) if name is None else _named(stat.path, stat)
            if name is None or name.matches(stat.path.rpartition("/")[2]):
                found.setdefault(stat.path, named)
    return list(found.values()), complete
