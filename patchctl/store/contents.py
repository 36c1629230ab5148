"""Whether stored plans and evidence still are what was recorded of them."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator

from patchctl.store.chain import ChainProblem, decode_event
from patchctl.store.connection import Connection


def check_plans(connection: Connection) -> Iterator[ChainProblem]:
    """Compare each plan with the digest that was recorded when it was saved."""
    saved: dict[str, tuple[int, str]] = {}
    for number, record in connection.rows("SELECT number, record FROM audit WHERE kind = 'plan-saved' ORDER BY number"):
        data = decode_event(record).data
        saved[str(data.get("rollout"))] = (number, str(data.get("digest")))
    for rollout, document in connection.rows("SELECT rollout, document FROM plans"):
        number, digest = saved.pop(rollout, (0, ""))
        if _unzipped_hash(document) != digest:
            yield ChainProblem(number, "plan-edited", f"the plan of {rollout} is not the one that was recorded")
    for rollout, (number, _) in saved.items():
        yield ChainProblem(number, "plan-missing", f"the plan of {rollout} is gone")


def check_evidence(connection: Connection) -> Iterator[ChainProblem]:
    """Compare every piece of evidence with the hash it is stored under."""
    for digest, body in connection.stream("SELECT sha256, body FROM evidence"):
        if _unzipped_hash(body) != digest:
            yield ChainProblem(0, "evidence-edited", f"evidence {digest[:12]}… does not match its hash")


def _unzipped_hash(body: bytes) -> str:
    try:
        return hashlib.sha256(zlib.decompress(body)).hexdigest()
    except zlib.error:
        return ""
