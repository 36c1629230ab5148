"""The tables of the store, its schema version, and the steps from one version to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    select,
    text,
    update,
)

from patchctl.model.errors import StoreChoiceError, StoreError

SCHEMA_VERSION = 2

UPGRADES: Mapping[int, Sequence[str]] = {
    1: (  # assessments; snapshots say what they were taken for
        "ALTER TABLE snapshots ADD COLUMN kind TEXT DEFAULT 'scan' NOT NULL",
        ("CREATE TABLE assessment_runs (run TEXT NOT NULL PRIMARY KEY, at FLOAT NOT NULL, actor TEXT NOT NULL,"
        " origin TEXT NOT NULL, baselines TEXT NOT NULL)"),
        ("CREATE TABLE assessments (run TEXT NOT NULL, host TEXT NOT NULL, baseline TEXT NOT NULL, at FLOAT NOT NULL,"
        " digest TEXT NOT NULL, status TEXT NOT NULL, taken_at FLOAT, snapshot BIGINT, counts TEXT NOT NULL,"
        " score FLOAT, findings TEXT NOT NULL, PRIMARY KEY (run, host, baseline))"),
        "CREATE INDEX assessments_host ON assessments (host, baseline, at)",
        ("CREATE TABLE snapshot_tags (tag TEXT NOT NULL, host TEXT NOT NULL, snapshot BIGINT NOT NULL,"
        " at FLOAT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (tag, host))"),
    ),
}
"""From version N to N + 1: SQL statements that both SQLite and PostgreSQL understand."""

metadata = MetaData()

_Id = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER PRIMARY KEY counts up by itself in SQLite

meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("rollout", Text, nullable=False),  # "" for records outside a rollout; seq is the number then
    Column("seq", BigInteger, nullable=False),
    Column("host", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("record", Text, nullable=False),  # canonical JSON: the truth; the columns beside it are for searching
    Column("hash", Text, nullable=False),
    UniqueConstraint("rollout", "seq"),
    Index("audit_host", "host", "number"),
    Index("audit_kind", "kind", "number"),
)

chain = Table(
    "chain",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, id 1
    Column("number", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)

counters = Table(
    "counters", metadata, Column("name", Text, primary_key=True), Column("value", BigInteger, nullable=False)
)

plans = Table(
    "plans",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("rollout", Text, nullable=False, unique=True),
    Column("policy", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("hosts", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),  # zlib of the JSON
)

evidence = Table(
    "evidence",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),  # zlib
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("host", Text, nullable=False),
    Column("taken_at", Float, nullable=False),
    Column("reached", Boolean, nullable=False),
    Column("manifest", Text, nullable=False),  # sha256 in evidence: probe -> status, hash, rc, reason
    Column("volatile", LargeBinary, nullable=False),  # zlib of JSON: what differs between any two visits
    Column("kind", Text, nullable=False, server_default="scan"),  # scan | assess: what it was taken for
    Index("snapshots_host", "host", "taken_at"),
)

snapshot_evidence = Table(
    "snapshot_evidence",
    metadata,
    Column("manifest", Text, primary_key=True),
    Column("sha256", Text, primary_key=True),
)

assessment_runs = Table(
    "assessment_runs",
    metadata,
    Column("run", Text, primary_key=True),
    Column("at", Float, nullable=False),
    Column("actor", Text, nullable=False),
    Column("origin", Text, nullable=False),  # live | begun | snapshots: assessments.py
    Column("baselines", Text, nullable=False),  # JSON of assessments.AssessedBaseline
)

assessments = Table(
    "assessments",
    metadata,
    Column("run", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("baseline", Text, primary_key=True),
    Column("at", Float, nullable=False),
    Column("digest", Text, nullable=False),  # of the baseline
    Column("status", Text, nullable=False),  # of the host: ok | partial | unreachable ...
    Column("taken_at", Float),  # of the snapshot; null = there is none
    Column("snapshot", BigInteger),
    Column("counts", Text, nullable=False),  # JSON: verdict -> rules
    Column("score", Float),
    Column("findings", Text, nullable=False),  # sha256 in evidence; "" = not reached
    Index("assessments_host", "host", "baseline", "at"),
)

snapshot_tags = Table(
    "snapshot_tags",
    metadata,
    Column("tag", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("snapshot", BigInteger, nullable=False),
    Column("at", Float, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

update_seen = Table(
    "update_seen",
    metadata,
    Column("package", Text, primary_key=True),
    Column("candidate", Text, primary_key=True),
    Column("first_at", Float, nullable=False),
    Column("host", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),  # JSON of locks.Holder
)


def read_version(connection: Connection) -> int:
    """Return the schema version the store was written with. Raise StoreError if it is not one of ours."""
    value = connection.execute(select(meta.c.value).where(meta.c.key == "schema")).scalar()
    if value is None:
        raise StoreError("not-a-store", "the database has no schema version", "point --state at a patchctl store")
    return int(value)


def check_version(found: int) -> None:
    """Raise StoreError unless this program can work on a store of version `found`."""
    if found > SCHEMA_VERSION:
        raise StoreChoiceError(
            "newer-schema",
            f"the store has schema {found}, this patchctl knows {SCHEMA_VERSION}",
            "use the newer patchctl that wrote it; nothing was changed",
        )
    if found < SCHEMA_VERSION:
        raise StoreChoiceError(
            "older-schema",
            f"the store has schema {found}, this patchctl needs {SCHEMA_VERSION}",
            "make a backup (patchctl state backup FILE), then run: patchctl state upgrade",
        )


def upgrade_schema(connection: Connection, steps: Mapping[int, Sequence[str]], target: int) -> list[int]:
    """Bring the store to version `target`, one version at a time; return the versions passed.

    Raise StoreError when a step is missing or the store is newer. The caller's transaction makes it all or nothing.
    """
    found = read_version(connection)
    if found > target:
        check_version(found)
    done = []
    while found < target:
        if found not in steps:
            raise StoreError("no-upgrade", f"there is no way from schema {found} to {found + 1}", "report this")
        for statement in steps[found]:
            connection.execute(text(statement))
        found += 1
        connection.execute(update(meta).where(meta.c.key == "schema").values(value=str(found)))
        done.append(found)
    return done
