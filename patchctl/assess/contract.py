"""What every kind of baseline offers: rules, probes to collect, and verdicts as a pure function of a snapshot.

A kind (native YAML, SCAP, Wazuh SCA) is one module or package of assess/content/ with a module-level `KIND`;
assess/content/registry.py finds them. Everything here is pure: bytes and snapshots in, values out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from patchctl.model.assessment import Finding, Rule
from patchctl.model.evidence import Probe, Snapshot

MAX_TRIPS = 3
"""Round trips to a host: the first script, and at most two more for probes that depend on what was found."""


class Baseline(Protocol):
    """A compiled baseline (with SCAP: one profile of it), ready to ask hosts and to judge what they answered."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def kind(self) -> str:
        """Native | xccdf | sca"""
        ...

    @property
    def source(self) -> str:
        """File it was read from."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 over everything that can change a verdict: content, profile, tailoring, parameters."""
        ...

    @property
    def shell(self) -> str:
        """Sh | powershell: the language of its probes; a host of another kind is NOT_APPLICABLE as a whole."""
        ...

    @property
    def rules(self) -> Sequence[Rule]:
        """The selected rules, in the content's order."""
        ...

    def probes(self) -> Sequence[Probe]:
        """Return the probes of the first script.

        Their ids are made from what they ask (a hash), so that equal questions of two baselines are asked once.
        """
        ...

    def follow_up(self, snapshot: Snapshot) -> Sequence[Probe]:
        """Return probes that depend on what the snapshot holds so far and are not in it; () = nothing more to ask."""
        ...

    def evaluate(self, snapshot: Snapshot) -> Sequence[Finding]:
        """Return one finding for each rule. Missing evidence is UNKNOWN with its reason; never raises on content."""
        ...

    def explain(self, rule: str, snapshot: Snapshot | None = None) -> Sequence[str]:
        """Return lines that tell what a rule reads and, with a snapshot, why it came out so. KeyError: no such rule."""
        ...


class Request(Struct, frozen=True):
    """What to make of a content file."""

    name: str
    """How the baseline is called in output."""
    profile: str = ""
    """FILE#PROFILE: id or unique end of an id; "" = the content's default."""
    tailoring: bytes = b""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Values that replace defaults (native parameters, XCCDF values)."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Documents beside the content, by the name it calls them: the OVAL of a plain XCCDF file."""


class Profile(Struct, frozen=True):
    id: str
    title: str
    rules: int


class Kind(Protocol):
    """One kind of content. Errors in content are raised as patchctl.model.errors.DocumentsError with their place."""

    name: str

    def recognises(self, path: str, head: bytes) -> bool:
        """Say whether a file is of this kind, from its name and its first 4 KiB."""
        ...

    def profiles(self, data: bytes, source: str) -> Sequence[Profile]:
        """Return the profiles a file offers (one named "" for kinds that have none)."""
        ...

    def compile(self, data: bytes, source: str, request: Request) -> Baseline:
        """Return the compiled baseline; it can be pickled, so that usecases can cache it by digest."""
        ...
