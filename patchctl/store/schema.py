"""The tables of the store, its schema version, and the steps from one version to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patchctl.model.errors import StoreChoiceError, StoreError
from patchctl.store.connection import Connection

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
"""From version N to N + 1: SQL statements that both SQLite and PostgreSQL understand; {id} and {bytes} as below."""

TABLES: Sequence[str] = (
    """
CREATE TABLE meta (
    "key" TEXT NOT NULL,  -- store_id | epoch | schema
    value TEXT NOT NULL,
    PRIMARY KEY ("key")
)""",
    """
CREATE TABLE audit (
    number BIGINT NOT NULL,
    rollout TEXT NOT NULL,  -- '' for records outside a rollout; seq is the number then
    seq BIGINT NOT NULL,
    host TEXT NOT NULL,
    kind TEXT NOT NULL,
    record TEXT NOT NULL,  -- canonical JSON: the truth; the columns beside it are for searching
    hash TEXT NOT NULL,
    PRIMARY KEY (number),
    UNIQUE (rollout, seq)
)""",
    "CREATE INDEX audit_host ON audit (host, number)",
    "CREATE INDEX audit_kind ON audit (kind, number)",
    """
CREATE TABLE chain (
    id INTEGER NOT NULL,  -- one row, id 1
    number BIGINT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (id)
)""",
    """
CREATE TABLE counters (
    name TEXT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (name)
)""",
    """
CREATE TABLE plans (
    id {id} NOT NULL,
    rollout TEXT NOT NULL,
    policy TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    created_by TEXT NOT NULL,
    hosts INTEGER NOT NULL,
    digest TEXT NOT NULL,
    document {bytes} NOT NULL,  -- zlib of the JSON
    PRIMARY KEY (id),
    UNIQUE (rollout)
)""",
    """
CREATE TABLE evidence (
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    body {bytes} NOT NULL,  -- zlib
    PRIMARY KEY (sha256)
)""",
    """
CREATE TABLE snapshots (
    id {id} NOT NULL,
    host TEXT NOT NULL,
    taken_at FLOAT NOT NULL,
    reached BOOLEAN NOT NULL,
    manifest TEXT NOT NULL,  -- sha256 in evidence: probe -> status, hash, rc, reason
    volatile {bytes} NOT NULL,  -- zlib of JSON: what differs between any two visits
    kind TEXT DEFAULT 'scan' NOT NULL,  -- scan | assess: what it was taken for
    PRIMARY KEY (id)
)""",
    "CREATE INDEX snapshots_host ON snapshots (host, taken_at)",
    """
CREATE TABLE snapshot_evidence (
    manifest TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (manifest, sha256)
)""",
    """
CREATE TABLE assessment_runs (
    run TEXT NOT NULL,
    at FLOAT NOT NULL,
    actor TEXT NOT NULL,
    origin TEXT NOT NULL,  -- live | begun | snapshots: assessments.py
    baselines TEXT NOT NULL,  -- JSON of assessments.AssessedBaseline
    PRIMARY KEY (run)
)""",
    """
CREATE TABLE assessments (
    run TEXT NOT NULL,
    host TEXT NOT NULL,
    baseline TEXT NOT NULL,
    at FLOAT NOT NULL,
    digest TEXT NOT NULL,  -- of the baseline
    status TEXT NOT NULL,  -- of the host: ok | partial | unreachable ...
    taken_at FLOAT,  -- of the snapshot; null = there is none
    snapshot BIGINT,
    counts TEXT NOT NULL,  -- JSON: verdict -> rules
    score FLOAT,
    findings TEXT NOT NULL,  -- sha256 in evidence; '' = not reached
    PRIMARY KEY (run, host, baseline)
)""",
    "CREATE INDEX assessments_host ON assessments (host, baseline, at)",
    """
CREATE TABLE snapshot_tags (
    tag TEXT NOT NULL,
    host TEXT NOT NULL,
    snapshot BIGINT NOT NULL,
    at FLOAT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (tag, host)
)""",
    """
CREATE TABLE update_seen (
    package TEXT NOT NULL,
    candidate TEXT NOT NULL,
    first_at FLOAT NOT NULL,
    host TEXT NOT NULL,
    PRIMARY KEY (package, candidate)
)""",
    """
CREATE TABLE leases (
    name TEXT NOT NULL,
    holder TEXT NOT NULL,  -- JSON of locks.Holder
    PRIMARY KEY (name)
)""",
)
"""Version SCHEMA_VERSION. {id} counts up by itself, {bytes} is any number of bytes: each database has its own words."""


def create(connection: Connection, store_id: str, genesis: str) -> None:
    """Make the tables of a new store, whose chain follows the hash `genesis`, in the caller's transaction."""
    for statement in TABLES:
        connection.define(statement)
    values = {"store_id": store_id, "epoch": "1", "schema": str(SCHEMA_VERSION)}
    for key, value in values.items():
        connection.execute("INSERT INTO meta (key, value) VALUES (:key, :value)", {"key": key, "value": value})
    connection.execute("INSERT INTO chain (id, number, hash) VALUES (1, 0, :hash)", {"hash": genesis})
    connection.execute("INSERT INTO counters (name, value) VALUES ('token', 0)")


def read_version(connection: Connection) -> int:
    """Return the schema version the store was written with. Raise StoreError if it is not one of ours."""
    value = connection.value("SELECT value FROM meta WHERE key = 'schema'")
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
            connection.define(statement)
        found += 1
        connection.execute("UPDATE meta SET value = :version WHERE key = 'schema'", {"version": str(found)})
        done.append(found)
    return done
