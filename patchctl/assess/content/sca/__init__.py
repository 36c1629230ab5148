"""Wazuh SCA policies (v4 and v5, Linux and Windows) as a kind of baseline."""

from __future__ import annotations

import re
from collections.abc import Sequence

from patchctl.assess.content.sca.baseline import ScaBaseline, compile_policy
from patchctl.assess.content.sca.document import read_policy
from patchctl.assess.contract import Profile, Request
from patchctl.model.errors import UsageError

_HEAD = re.compile(rb"(?m)^policy:[ \t]*(?:#.*)?\r?$")


class ScaKind:
    """See patchctl.assess.contract.Kind."""

    name = "sca"

    def recognises(self, path: str, head: bytes) -> bool:
        """A YAML file with `policy:` at its start; native baselines have `baseline:` instead."""
        return path.endswith((".yml", ".yaml")) and _HEAD.search(head) is not None

    def profiles(self, data: bytes, source: str) -> Sequence[Profile]:
        policy = read_policy(data, source)
        return [Profile("", policy.name, len(policy.checks))]

    def compile(self, data: bytes, source: str, request: Request) -> ScaBaseline:
        if request.profile:
            raise UsageError("no-profiles", f"{source}: an SCA policy has no profiles", "leave #PROFILE out")
        if request.tailoring:
            raise UsageError("no-tailoring", f"{source}: an SCA policy takes no tailoring", "leave it out")
        return compile_policy(read_policy(data, source), data, source, request)


KIND = ScaKind()
