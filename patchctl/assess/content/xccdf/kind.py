"""Compiles one profile of an XCCDF benchmark: rules, their checks with values bound, and where they apply."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from patchctl.assess.content.xccdf import cpe, datastream, remedy, xccdf, xml
from patchctl.assess.content.xccdf.baseline import Loaded, RuleCheck, XccdfBaseline
from patchctl.assess.content.xccdf.datastream import OVAL_SYSTEM, Content
from patchctl.assess.content.xccdf.oval.model import Document
from patchctl.assess.content.xccdf.oval.read import Reader
from patchctl.assess.contract import Baseline, Profile, Request
from patchctl.model.assessment import SEVERITIES, Rule
from patchctl.model.errors import DocumentsError

_MARKS = (b"data-stream-collection", b"http://checklists.nist.gov/xccdf/")
_REFERENCES = {
    "stigid": "stig", "cis": "cis", "anssi": "anssi", "nist": "nist", "disa": "disa", "cce": "cce", "pcidss": "pcidss",
}


class _Xccdf:
    name = "xccdf"

    def recognises(self, path: str, head: bytes) -> bool:
        """Say whether a file is a SCAP data stream or an XCCDF benchmark."""
        return path.endswith(".xml") and any(mark in head for mark in _MARKS) and b"Tailoring" not in head[:400]

    def profiles(self, data: bytes, source: str) -> Sequence[Profile]:
        """Return the profiles of all benchmarks in the file; one named "" when there is none."""
        found: list[Profile] = []
        for content in datastream.open_content(xml.parse(data, source), source, {}):
            benchmark = xccdf.read_benchmark(content.benchmark, source)
            for profile in benchmark.profiles.values():
                settings = xccdf.settle(benchmark, {}, profile.id, source)
                count = sum(1 for _ in xccdf.selected_rules(benchmark, settings))
                found.append(Profile(profile.id, profile.title, count))
        return tuple(found) or (Profile("", "the benchmark's own selection", 0),)

    def compile(self, data: bytes, source: str, request: Request) -> Baseline:
        """Return the compiled profile."""
        files = request.files
        contents = datastream.open_content(xml.parse(data, source), source, files)
        tailoring = xccdf.read_tailoring(request.tailoring, f"tailoring of {source}") if request.tailoring else {}
        content, benchmark = _choose(contents, tailoring, request.profile, source)
        profile = request.profile
        if profile:
            profile = xccdf.find_profile(profile, {**benchmark.profiles, **tailoring}, source)
        elif len(tailoring) == 1:
            profile = next(iter(tailoring))
        settings = xccdf.settle(benchmark, tailoring, profile, source) if profile else xccdf.Settings()
        if request.tailoring:
            xccdf.check_tailoring(request.tailoring, tailoring, benchmark, profile, source)
        _override(benchmark, settings, request.parameters, source)
        digest = hashlib.sha256(b"\0".join((
            data, profile.encode(), request.tailoring, repr(sorted(request.parameters.items())).encode(),
            *(k.encode() + b"\1" + v for k, v in sorted(files.items())),
        ))).hexdigest()
        return _Compiler(content, benchmark, settings, source).baseline(request.name, profile, tailoring, digest)


def _choose(
    contents: Sequence[Content], tailoring: Mapping[str, xccdf.ProfileChanges], profile: str, source: str
) -> tuple[Content, xccdf.Benchmark]:
    """Return the benchmark that has the profile; the first when none is named."""
    read = [(c, xccdf.read_benchmark(c.benchmark, source)) for c in contents]
    for content, benchmark in read:
        try:
            if profile:
                xccdf.find_profile(profile, {**benchmark.profiles, **tailoring}, source)
        except DocumentsError:
            continue
        return content, benchmark
    xccdf.find_profile(profile, {k: v for _, b in read for k, v in b.profiles.items()}, source)
    return read[0]


def _override(
    benchmark: xccdf.Benchmark, settings: xccdf.Settings, parameters: Mapping[str, str], source: str
) -> None:
    for wanted, value in parameters.items():
        ends = [v for v in benchmark.values if v == wanted or v.endswith(f"_value_{wanted}")]
        if len(ends) != 1:
            known = ", ".join(sorted(v.rpartition("_value_")[2] for v in benchmark.values)[:20])
            raise xml.refuse(source, "xccdf-unknown-value", f"no value {wanted!r} in the benchmark",
                             f"values are called {known} ...")
        settings.values[ends[0]] = (value,)


class _Group(Struct):
    """Definitions of one OVAL document that agree on the values of its external variables."""

    key: str
    bindings: dict[str, tuple[str, ...]] = field(default_factory=dict)


class _Compiler:
    """Turns one benchmark under one profile into a baseline."""

    def __init__(
        self, content: Content, benchmark: xccdf.Benchmark, settings: xccdf.Settings, source: str
    ) -> None:
        self.content, self.benchmark, self.settings, self.source = content, benchmark, settings, source
        self.platforms = cpe.read_platforms(benchmark.element, content.dictionaries)
        self._readers: dict[str, Reader] = {}
        self._groups: dict[str, list[_Group]] = {}
        self._checks: dict[str, RuleCheck] = {}
        self._limits: dict[str, list[str]] = {}
        self._applicability: dict[str, tuple[tuple[str, ...], ...]] = {}
        self._warnings = list(settings.problems)

    def baseline(
        self, name: str, profile: str, tailoring: Mapping[str, xccdf.ProfileChanges], digest: str
    ) -> XccdfBaseline:
        items = tuple(xccdf.selected_rules(self.benchmark, self.settings))
        self._warnings.extend(xccdf.ruled_out(self.benchmark, self.settings))
        for item in items:
            self._check(item)
            self._platforms(item)
        levels = dict.fromkeys(names for found in self._applicability.values() for names in found)
        for names in levels:
            for one in cpe.unknown_names(self.platforms, names):
                self._warnings.append(f"platform {one} is not described by the content: it never applies")
        wanted = {c for names in levels for c in cpe.checks_of(self.platforms, names)}
        platform_documents = self._platform_documents(sorted(wanted, key=lambda c: (c.href, c.definition)))
        documents = {href: reader.document() for href, reader in self._readers.items()}
        for item in items:
            self._note_limits(item.id, documents)
        loaded = {g.key: Loaded(documents[href], g.bindings) for href, gs in self._groups.items() for g in gs}
        roles = {i.id: role for i in items if (role := self.settings.roles.get(i.id, i.role)) != "full"}
        title = {**self.benchmark.profiles, **tailoring}[profile].title if profile else ""
        return XccdfBaseline(
            name, title or self.benchmark.title, self.source, digest, tuple(self._rule(i) for i in items),
            self._checks, self._applicability, roles, loaded, platform_documents,
            self.platforms, self.benchmark.version, tuple(dict.fromkeys(self._warnings)),
        )

    def _note_limits(self, rule: str, documents: Mapping[str, Document]) -> None:
        checks = [c for one in (self._checks.get(rule),) if one is not None for c in one.leaves()]
        for check in checks:
            href = check.key.rpartition("#")[0]
            for definition in check.definitions:
                self._limits.setdefault(rule, []).extend(documents[href].limits.get(definition, ()))

    def _reader(self, href: str) -> Reader | None:
        if href not in self._readers and href in self.content.documents:
            self._readers[href] = Reader(self.content.documents[href], f"{self.source} ({href})")
        return self._readers.get(href)

    def _check(self, item: xccdf.Item) -> None:
        """Find the check of a rule, read its definitions and bind its values."""
        limits = self._limits.setdefault(item.id, [])
        logic = xml.child(item.element, "complex-check")
        if logic is not None:
            self._checks[item.id] = self._complex(item.id, logic, 0)
            return
        selector = self.settings.check_selectors.get(item.id, "")
        offered = [c for c in xml.children(item.element, "check") if c.get("system") == OVAL_SYSTEM]
        others = [c.get("system", "") for c in xml.children(item.element, "check") if c.get("system") != OVAL_SYSTEM]
        chosen = [c for c in offered if c.get("selector", "") == selector] or [
            c for c in offered if not c.get("selector")]
        if not chosen:
            limits.append(f"no check in OVAL{', only in ' + ', '.join(dict.fromkeys(others)) if others else ''}")
            return
        found = self._plain(item.id, chosen[0])
        if found is not None:
            self._checks[item.id] = found

    def _complex(self, rule: str, element: object, depth: int) -> RuleCheck:
        """Read a complex-check: AND or OR of checks and complex-checks."""
        if depth > cpe.MAX_DEPTH:
            raise xml.refuse(self.source, "xccdf-too-deep", f"complex-checks of {rule} are nested too deeply",
                             "is the content damaged?")
        parts: list[RuleCheck] = []
        for part in xml.children(element, "check", "complex-check"):
            if xml.name(part) == "complex-check":
                parts.append(self._complex(rule, part, depth + 1))
            elif part.get("system") == OVAL_SYSTEM:
                parts.append(self._plain(rule, part) or RuleCheck())
            else:
                self._limits[rule].append(f"no check in OVAL, only in {part.get('system', '')}")
                parts.append(RuleCheck())
        negate = xml.is_true(xml.attribute(element, "negate"))
        return RuleCheck(negate=negate, operator=xml.attribute(element, "operator", "AND"), parts=tuple(parts))

    def _plain(self, rule: str, check: Any) -> RuleCheck | None:
        """Read a check by the first of its references that leads to a document; None when none does."""
        for reference in xml.children(check, "check-content-ref"):
            href, definition = reference.get("href", ""), reference.get("name", "")
            reader = self._reader(href)
            if reader is None:
                continue
            definitions = (definition,) if definition else reader.all()
            for one in definitions:
                reader.want(one)
            bindings = self._bindings(rule, check)
            return RuleCheck(self._group(href, bindings), definitions, xml.is_true(check.get("negate")))
        names = [r.get("href", "") for r in xml.children(check, "check-content-ref")]
        why = next((self.content.missing[n] for n in names if n in self.content.missing), "")
        told = f"OVAL document {', '.join(names)} is not part of the file"
        self._limits[rule].append(f"{told}: {why}" if why else told)
        return None

    def _bindings(self, rule: str, check: object) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for export in xml.children(check, "check-export"):
            value = xccdf.value_of(self.benchmark, self.settings, export.get("value-id", ""))
            if value is None:
                self._limits[rule].append(f"value {export.get('value-id')} has no setting")
            else:
                found[export.get("export-name", "")] = value
        return found

    def _group(self, href: str, bindings: Mapping[str, tuple[str, ...]]) -> str:
        """Return the key of a group whose values do not contradict these."""
        groups = self._groups.setdefault(href, [])
        for group in groups:
            if all(group.bindings.get(k, v) == v for k, v in bindings.items()):
                group.bindings.update(bindings)
                return group.key
        groups.append(_Group(f"{href}#{len(groups)}", dict(bindings)))
        return groups[-1].key

    def _platforms(self, item: xccdf.Item) -> None:
        levels = [self.benchmark.platforms, self.settings.platforms,
                  *(self.benchmark.items[p].platforms for p in item.parents), item.platforms]
        found = tuple(dict.fromkeys(level for level in levels if level))
        self._applicability[item.id] = found

    def _platform_documents(self, checks: Sequence[cpe.Check]) -> dict[str, str]:
        found: dict[str, str] = {}
        for check in checks:
            reader = self._reader(check.href)
            if reader is None or not reader.has(check.definition):
                self._warnings.append(f"{check.definition} of {check.href} is not there: its platform never applies")
                continue
            reader.want(check.definition)
            found[check.href] = self._group(check.href, {})
        return found

    def _rule(self, item: xccdf.Item) -> Rule:
        element = item.element
        severity = self.settings.severities.get(item.id, element.get("severity", "unknown"))
        groups = [self.benchmark.items[p] for p in item.parents]
        return Rule(
            id=item.id, title=xml.flat(xml.child(element, "title"), 300),
            severity=severity if severity in SEVERITIES else "unknown",
            description=xml.flat(xml.child(element, "description")),
            rationale=xml.flat(xml.child(element, "rationale")), references=_references(element),
            groups=tuple(xml.flat(xml.child(g.element, "title"), 200) for g in groups),
            weight=self.settings.weights.get(item.id, item.weight),
            group_weights=tuple(self.settings.weights.get(g.id, g.weight) for g in groups),
            remediation=remedy.remediation(element, lambda v: xccdf.value_of(self.benchmark, self.settings, v)),
            limits=tuple(dict.fromkeys(self._limits.get(item.id, ()))), group_ids=item.parents,
        )


def _references(element: object) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for reference in xml.children(element, "reference"):
        href, text = reference.get("href", ""), xml.flat(reference, 200)
        found.append((next((short for word, short in _REFERENCES.items() if word in href.lower()), href), text))
    found.extend((ident.get("system", ""), xml.flat(ident, 200)) for ident in xml.children(element, "ident"))
    return tuple(f for f in found if f[1])


KIND = _Xccdf()
