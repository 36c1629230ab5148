"""The native kind: baselines of our own YAML, which usecases/content.py hands over as the JSON of model/native.py."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from patchctl.assess.contract import Baseline, Profile, Request
from patchctl.assess.native.compiled import CompiledNative, bind
from patchctl.assess.native.tree import leaves, type_of
from patchctl.model.codec import canonical_json, from_json
from patchctl.model.errors import DocumentsError, Problem, UsageError
from patchctl.model.native import HEAD, NativeBaseline


class NativeKind:
    """Implements assess/contract.py Kind."""

    name = "native"

    def recognises(self, path: str, head: bytes) -> bool:
        return head.startswith(HEAD)

    def profiles(self, data: bytes, source: str) -> Sequence[Profile]:
        native = from_json(NativeBaseline, data)
        return (Profile("", native.title or native.name, len(native.rules)),)

    def compile(self, data: bytes, source: str, request: Request) -> Baseline:
        """Return the baseline. Raise DocumentsError with what is wrong (read_content tells lines and columns too)."""
        if request.profile:
            raise UsageError("no-profiles", f"{source}: a baseline of ours has no profiles", "leave #PROFILE out")
        if request.tailoring:
            raise UsageError("no-tailoring", f"{source}: a baseline of ours takes no tailoring", "use --set NAME=VALUE")
        native = from_json(NativeBaseline, data)
        bound, when, faults = bind(native, request.parameters)
        if faults:
            raise DocumentsError(tuple(
                Problem(source, 0, 0, f.code, f"{'.'.join(map(str, f.path))}: {f.message}", f.hint) for f in faults))
        shell = next((type_of(leaf).shell for b in bound for leaf in leaves(b.check)), "sh")
        content = canonical_json([native, sorted(request.parameters.items())])
        return CompiledNative(request.name or native.name, native.title, source,
                              hashlib.sha256(content).hexdigest(), tuple(bound), when, shell,
                              rules=tuple(b.rule for b in bound))


KIND = NativeKind()
