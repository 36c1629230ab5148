"""The shape of a store's tables, as the database itself tells it: to compare one made new with one made before."""

from __future__ import annotations

from typing import Any

from patchctl.store.database import Store


def shape_of(store: Store) -> dict[str, Any]:
    """Return each table's columns (name, type, may be null, default) and all keys and indexes with their columns."""
    return _sqlite(store) if store.database.dialect == "sqlite" else _postgresql(store)


def _sqlite(store: Store) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with store.database.read() as connection:
        for (table,) in connection.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
            columns = connection.rows(f"PRAGMA table_info({table})")
            found[table] = {row[1]: row[2:] for row in columns}
            for _, index, unique, *_ in connection.rows(f"PRAGMA index_list({table})"):
                found[index] = (table, unique, [row[2] for row in connection.rows(f"PRAGMA index_info({index})")])
    return found


def _postgresql(store: Store) -> dict[str, Any]:
    with store.database.read() as connection:
        columns = connection.rows(
            "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
            " WHERE table_schema = 'public'"
        )
        indexes = connection.rows("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
    return {**{f"{table}.{column}": rest for table, column, *rest in columns}, **dict(indexes)}
