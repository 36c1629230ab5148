"""Whether stored plans and evidence still are what was recorded of them."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator

import sqlalchemy as sa

from patchctl.store import schema
from patchctl.store.chain import ChainProblem, decode_event


def check_plans(connection: sa.Connection) -> Iterator[ChainProblem]:
    """Compare each plan with the digest that was recorded when it was saved."""
    audit, plans = schema.audit, schema.plans
    saved: dict[str, tuple[int, str]] = {}
    query = sa.select(audit.c.number, audit.c.record).where(audit.c.kind == "plan-saved").order_by(audit.c.number)
    for number, record in connection.execute(query):
        data = decode_event(record).data
        saved[str(data.get("rollout"))] = (number, str(data.get("digest")))
    for rollout, document in connection.execute(sa.select(plans.c.rollout, plans.c.document)):
        number, digest = saved.pop(rollout, (0, ""))
        if _unzipped_hash(document) != digest:
            yield ChainProblem(number, "plan-edited", f"the plan of {rollout} is not the one that was recorded")
    for rollout, (number, _) in saved.items():
        yield ChainProblem(number, "plan-missing", f"the plan of {rollout} is gone")


def check_evidence(connection: sa.Connection) -> Iterator[ChainProblem]:
    """Compare every piece of evidence with the hash it is stored under."""
    table = schema.evidence
    query = sa.select(table.c.sha256, table.c.body).execution_options(yield_per=200)
    for digest, body in connection.execute(query):
        if _unzipped_hash(body) != digest:
            yield ChainProblem(0, "evidence-edited", f"evidence {digest[:12]}… does not match its hash")


def _unzipped_hash(body: bytes) -> str:
    try:
        return hashlib.sha256(zlib.decompress(body)).hexdigest()
    except zlib.error:
        return ""
