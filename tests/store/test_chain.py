"""Tampering: each edit, drop, swap and cut of a chain is found and the record is named."""

from __future__ import annotations

import random
import sqlite3

import pytest
from msgspec.structs import replace

from patchctl.model.rollout import Event
from patchctl.store.chain import Head, Row, genesis, seal, verify_rows
from patchctl.store.database import open_store
from tests.store.test_store import make_plan

STORE = "11111111-2222-3333-4444-555555555555"


def make_chain(length: int, salt: str = "") -> tuple[list[Row], Head]:
    rows, previous = [], genesis(STORE)
    for number in range(1, length + 1):
        event = Event("r", number, number * 1.5, "a", "k", f"h{number % 9}", {"n": number, "salt": salt})
        record, previous = seal(event, number, previous)
        rows.append(Row(number, "r", number, event.host, "k", record, previous))
    return rows, Head(STORE, 1, length, previous)


ROWS, HEAD = make_chain(1000)


def named(rows, end=HEAD, heads=()):
    return [(p.number, p.code) for p in verify_rows(rows, end, heads).problems]


def test_an_untouched_chain_verifies():
    assert named(ROWS) == []
    assert named(ROWS, HEAD, [HEAD]) == []
    assert named([], Head(STORE, 1, 0, genesis(STORE))) == []


@pytest.mark.parametrize("number", [1, 2, 500, 999, 1000])
def test_an_edited_record_is_named(number):
    rows = list(ROWS)
    row = rows[number - 1]
    rows[number - 1] = replace(row, record=row.record.replace('"actor":"a"', '"actor":"b"'))
    assert (number, "edited") in named(rows)


def test_every_single_character_of_a_record_counts():
    row = ROWS[10]
    for position in range(len(row.record)):
        changed = "X" if row.record[position] != "X" else "Y"
        edited = row.record[:position] + changed + row.record[position + 1 :]
        assert (11, "edited") in named([*ROWS[:10], replace(row, record=edited), *ROWS[11:20]], HEAD)


@pytest.mark.parametrize("column", ["rollout", "host", "kind", "seq"])
def test_an_edited_search_column_is_named(column):
    value = 77777 if column == "seq" else "other"
    assert named([*ROWS[:4], replace(ROWS[4], **{column: value}), *ROWS[5:]]) == [(5, "edited")]


@pytest.mark.parametrize("number", [1, 2, 500, 999])
def test_an_edited_and_rehashed_record_shows_at_its_successor(number):
    other, _ = make_chain(1000, "forged")
    event_row = other[number - 1]
    import hashlib

    import msgspec

    content = msgspec.json.decode(event_row.record)
    content["prev"] = ROWS[number - 2].hash if number > 1 else genesis(STORE)
    record = msgspec.json.encode(content, order="sorted").decode()
    forged = replace(event_row, record=record, hash=hashlib.sha256(record.encode()).hexdigest())
    assert named([*ROWS[: number - 1], forged, *ROWS[number:]]) == [(number + 1, "unlinked")]


@pytest.mark.parametrize("number", [1, 2, 500, 999])
def test_a_dropped_record_is_named(number):
    assert (number, "missing") in named([*ROWS[: number - 1], *ROWS[number:]])


def test_dropped_ranges_are_named_whole():
    found = verify_rows([*ROWS[:99], *ROWS[200:]], HEAD).problems
    assert found[0].message == "records 100 to 200 are missing"


@pytest.mark.parametrize(("a", "b"), [(1, 2), (1, 1000), (499, 500), (3, 700)])
def test_swapped_records_are_both_named(a, b):
    rows = list(ROWS)
    rows[a - 1], rows[b - 1] = replace(rows[b - 1], number=a), replace(rows[a - 1], number=b)
    found = named(rows)
    assert (a, "misplaced") in found
    assert (b, "misplaced") in found


@pytest.mark.parametrize("left", [0, 1, 500, 999])
def test_a_truncated_chain_is_found_by_its_own_head_and_by_a_kept_one(left):
    assert named(ROWS[:left]) == [(left + 1, "truncated")]
    short = Head(STORE, 1, left, ROWS[left - 1].hash if left else genesis(STORE))
    assert named(ROWS[:left], short) == []  # somebody who also resets the store's own head ...
    assert named(ROWS[:left], short, [HEAD]) == [(left + 1, "truncated")]  # ... is found by a head kept elsewhere


def test_a_chain_rewritten_from_one_record_on_is_found_by_a_kept_head():
    forged, end = make_chain(1200, "forged")
    assert named(forged, end) == []
    assert named(forged, end, [HEAD]) == [(1000, "rewritten")]


def test_another_stores_head_is_told_apart():
    assert named(ROWS, HEAD, [replace(HEAD, store_id="other")]) == [(0, "foreign")]


def test_several_kept_heads_at_one_number_all_count():
    assert named(ROWS, HEAD, [HEAD, replace(HEAD, hash="0" * 64), HEAD]) == [(1000, "rewritten")]


def test_random_tampering_is_always_found():
    seed = random.Random(3)
    for _ in range(150):
        rows = list(ROWS)
        a, b = sorted(seed.sample(range(1000), 2))
        kind = seed.choice(["edit", "drop", "swap", "cut", "duplicate"])
        if kind == "edit":
            text = rows[a].record
            where = seed.randrange(len(text))
            rows[a] = replace(rows[a], record=text[:where] + chr((ord(text[where]) - 31) % 90 + 32) + text[where + 1 :])
            if rows[a].record == text:
                continue
        elif kind == "drop":
            del rows[a]
        elif kind == "swap":
            rows[a], rows[b] = replace(rows[b], number=a + 1), replace(rows[a], number=b + 1)
        elif kind == "cut":
            del rows[a:]
        else:
            rows[b] = replace(rows[a], number=b + 1)
        assert named(rows), (kind, a, b)


TAMPER = {
    "edited": "update audit set record = replace(record, '\"why\"', '\"never\"') where number = 3",
    "missing": "delete from audit where number = 3",
    "truncated": "delete from audit where number > 3",
    "plan-edited": "update plans set document = zeroblob(10)",
    "plan-missing": "delete from plans",
    "evidence-edited": "update evidence set body = zeroblob(9)",
    "rewritten": "update chain set hash = 'x'",
}


@pytest.mark.parametrize("code", TAMPER)
def test_tampering_with_the_file_is_found(store, url, code):
    from patchctl.model.evidence import Evidence, Snapshot

    store.save_plan(make_plan())
    store.save_snapshot(Snapshot("h", 1.0, {"p": Evidence("p", "ok", "x")}))
    for number in range(5):
        store.record("ops", "trust", {"n": number}, "why")
    assert store.verify_chain().ok
    db = sqlite3.connect(url.removeprefix("sqlite:///"))
    db.execute(TAMPER[code])
    db.commit()
    db.close()
    assert code in [p.code for p in store.verify_chain().problems]


def test_a_chain_goes_on_after_reopening(url):
    for number in range(3):
        with open_store(url) as store:
            assert store.record("ops", "x", {}) == number + 1
            assert store.verify_chain().ok
