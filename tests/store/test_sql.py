"""SQL is constant text: values are only ever parameters, so nothing that a host says can become a command."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import patchctl.store
from patchctl.model.evidence import Evidence, Snapshot
from patchctl.model.facts import Update
from patchctl.model.rollout import Event
from patchctl.store.connection import CHUNK, execute_for_each, rows_of_each

FOLDER = Path(patchctl.store.__file__).parent
FILES = sorted(FOLDER.glob("*.py"))
RUNS = {
    "rows": 0, "value": 0, "execute": 0, "execute_many": 0, "insert": 0, "stream": 0, "rows_for_update": 0, "define": 0,
    "rows_of_each": 1, "execute_for_each": 1, "executemany": 0, "executescript": 0, "maintain": 0,
}  # fmt: skip
"""What runs SQL, and which of its arguments is the SQL."""
PORT = {
    # Passes on what it was given.
    "connection.py": {"sql", "text"},
    "sqlite.py": {"sql", "statement.format(**_TYPES)"},
    "postgresql.py": {"to_psycopg(sql)", "f'{sql} FOR UPDATE'", "f'{sql} RETURNING id'", "statement.format(**_TYPES)"},
    "engine.py": {"statement"},  # of maintain
    "schema.py": {"statement"},  # of TABLES and UPGRADES
}


def calls(file: Path) -> Iterator[tuple[int, ast.expr]]:
    """Give (line, SQL) of everything in a file that runs SQL."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in RUNS and len(node.args) > RUNS[name]:
                yield node.lineno, node.args[RUNS[name]]


def assignments() -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        found.setdefault(target.id, []).append(node.value)
    return found


def is_constant(node: ast.expr, known: dict[str, list[ast.expr]]) -> bool:
    """Say whether a text is written in the source, whatever the data: joined, chosen or named constants included."""
    match node:
        case ast.Constant():
            return isinstance(node.value, str)
        case ast.BinOp(op=ast.Add()):
            return is_constant(node.left, known) and is_constant(node.right, known)
        case ast.IfExp():
            return is_constant(node.body, known) and is_constant(node.orelse, known)
        case ast.Name():
            return node.id in known and all(is_constant(value, known) for value in known[node.id])
    return False


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_all_sql_is_constant_text(file):
    known = assignments()
    put_together = [
        (line, ast.unparse(sql))
        for line, sql in calls(file)
        if not is_constant(sql, known) and ast.unparse(sql) not in PORT.get(file.name, set())
    ]
    assert put_together == []


def test_the_test_sees_sql_that_is_put_together(tmp_path):
    file = tmp_path / "bad.py"
    bad = ('c.rows(f"SELECT {x}")', 'c.execute("a" + y)', 'c.value("a %s" % z)', "rows_of_each(c, q, v)", 'c.rows("b")')
    file.write_text("\n".join(bad))
    assert [line for line, sql in calls(file) if not is_constant(sql, {})] == [1, 2, 3, 4]
    assert sum(len(list(calls(file))) for file in FILES) > 60


def test_psycopg_gets_each_parameter_and_nothing_else():
    pytest.importorskip("psycopg")
    from patchctl.store.postgresql import to_psycopg

    assert to_psycopg("SELECT 'a%' WHERE b = :b AND c=:c_1") == b"SELECT 'a%%' WHERE b = %(b)s AND c=%(c_1)s"
    assert to_psycopg("SELECT a::text, '12:30', :each10, :each1") == b"SELECT a::text, '12:30', %(each10)s, %(each1)s"
    for file in FILES:
        for _, sql in calls(file):
            for text in (node.value for node in ast.walk(sql) if isinstance(node, ast.Constant)):
                names = re.findall(r":(\w+)", str(text))
                assert re.findall(r"%\((\w+)\)s", to_psycopg(str(text)).decode()) == names


def test_sqlite_gets_nothing_that_red_hats_own_does_not_know():
    """Red Hat 9 has SQLite 3.34; returning came with 3.35 (sqlite.org/changes.html)."""
    newer = re.compile("returning|drop column|strict|right join|full join|->>|materialized", re.IGNORECASE)
    for file in FILES:
        if file.name != "postgresql.py":
            assert [line for line, sql in calls(file) if newer.search(ast.unparse(sql))] == []


NASTY = ("x'; DROP TABLE audit; --", 'a"b', ":each0", "%(name)s", "%s", "?", "$1", "\\", "{id}", "ü\u2028", "")


def test_what_looks_like_sql_is_only_a_value(any_store):
    for at, text in enumerate(NASTY, 1):
        any_store.save_snapshot(Snapshot(text, float(at), {"p": Evidence("p", "ok", text, 0)}))
        any_store.note_updates(text, [Update(text, "amd64", "1", text)], 1.0)
        any_store.journal.append([Event(f"r{text}", 1, 1.0, text, text, text, {text: text}, text)])
        assert any_store.journal.events(f"r{text}")[0].reason == text
        assert [r.event.host for r in any_store.records(host=text)] == [text]
        with any_store.lock(f"l{text}", text):
            assert any_store.holders()[0].command == text
        assert any_store.assessments.tag(text, [text], 1.0, text, text) == {}
    assert any_store.latest_snapshots(NASTY).keys() == set(NASTY)
    assert any_store.first_seen().keys() == {(text, text) for text in NASTY}
    assert any_store.last_kinds(NASTY) == {f"r{text}": text for text in NASTY}
    assert any_store.verify_chain().ok


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_lists_of_any_length_are_looked_up_and_deleted(any_store, count):
    def job(connection):
        connection.execute("CREATE TABLE numbers (number BIGINT)")
        connection.execute_many("INSERT INTO numbers VALUES (:n)", [{"n": n} for n in range(-1, 3 * CHUNK)])
        found = list(rows_of_each(connection, "SELECT number FROM numbers WHERE number IN (:each)", range(count)))
        gone = execute_for_each(connection, "DELETE FROM numbers WHERE number IN (:each)", range(count))
        return [number for (number,) in found], gone, connection.value("SELECT count(*) FROM numbers")

    found, gone, left = any_store.database.write(job)
    assert (sorted(found), gone, left) == (list(range(count)), count, 3 * CHUNK + 1 - count)
