from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from conftest import open_files, soon_closed
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.errors import InputError
from hnmine.inputs.identity import normalise
from hnmine.inputs.records import TextBatch
from hnmine.inputs.table_reader import BadRows, content_id
from hnmine.inputs.texts import Texts, write_texts

PROPERTY = settings(max_examples=60, deadline=None)

TEXTS = [
    "Paris",
    "paris ",
    "\uff30\uff21\uff32\uff29\uff33",
    "Rome",
    "rome",
    "Ro\u200bme",
    "Oslo",
    "🙂",
    "a\nb",
    "a b",
]
texts = st.sampled_from(TEXTS) | st.text("ab ", min_size=1, max_size=3).filter(str.strip)


def without_ids(*some):
    return TextBatch([content_id(text) for text in some], list(some), False)


def with_ids(**texts):
    return TextBatch(list(texts), list(texts.values()), True)


def store(directory, batches, shard_rows=4, bad=None):
    bad = bad or BadRows("error")
    counts = write_texts(lambda _: iter(batches), directory, shard_rows, bad, lambda rows: None)
    return counts, Texts(directory)


def content(stored):
    rows = np.arange(len(stored))
    return list(zip(stored.id_array(rows).to_pylist(), stored.texts(rows), strict=True))


@st.composite
def batches(draw):
    """Batches with and without ids; texts repeat, and ids do not contradict each other."""
    result = []
    number = 0
    for _ in range(draw(st.integers(1, 4))):
        some = draw(st.lists(texts, max_size=6))
        if draw(st.booleans()):
            result.append(TextBatch([f"d{number + n}" for n in range(len(some))], some, True))
            number += len(some)
        else:
            result.append(without_ids(*some))
    return [*result, with_ids(last="the last one")]


def expected_rows(batches):
    """Merge by hand: a row without an id of its own adds nothing if its text is there."""
    kept, seen = [], set()
    for batch in batches:
        for name, text in zip(batch.ids, batch.texts, strict=True):
            if batch.has_own_id or text not in seen:
                kept.append((name, text))
            seen.add(text)
    return kept


@PROPERTY
@given(batches(), st.integers(1, 9))
def test_texts_come_back_whatever_the_shard_size(tmp_path_factory, some, shard_rows):
    counts, stored = store(tmp_path_factory.mktemp("texts") / "t", some, shard_rows)
    kept = expected_rows(some)
    assert content(stored) == kept
    assert len(stored) == len(kept) == counts["rows"]
    assert counts["repeated"] == sum(len(batch.texts) for batch in some) - len(kept)
    normal = [normalise(text) for _, text in kept]
    identity = [normal.index(text) for text in normal]
    assert stored.identity.tolist() == identity
    assert stored.canonical.tolist() == sorted(set(identity))
    assert counts["unique"] == len(set(normal))


@PROPERTY
@given(batches(), st.integers(1, 9), st.data())
def test_rows_are_read_in_any_order_and_repeatedly(tmp_path_factory, some, shard_rows, data):
    _, stored = store(tmp_path_factory.mktemp("texts") / "t", some, shard_rows)
    kept = content(stored)
    rows = np.array(data.draw(st.lists(st.integers(0, len(kept) - 1), max_size=20)), dtype=np.int64)
    assert stored.texts(rows) == [kept[row][1] for row in rows]
    assert stored.text_array(rows).to_pylist() == [kept[row][1] for row in rows]
    assert stored.id_array(rows).to_pylist() == [kept[row][0] for row in rows]


@PROPERTY
@given(batches(), st.integers(1, 9), st.lists(texts, max_size=8))
def test_finding_prefers_the_exact_text_and_then_the_same_one(
    tmp_path_factory, some, shard_rows, asked
):
    _, stored = store(tmp_path_factory.mktemp("texts") / "t", some, shard_rows)
    kept = content(stored)
    exact = [text for _, text in kept]
    normal = [normalise(text) for text in exact]
    same = [normal.index(normalise(t)) if normalise(t) in normal else -1 for t in asked]
    assert stored.find_same(asked).tolist() == same
    assert stored.find_texts(asked).tolist() == [
        exact.index(text) if text in exact else row for text, row in zip(asked, same, strict=True)
    ]
    ids = [name for name, _ in kept]
    assert stored.find_ids([*ids, "nobody", ""]).tolist() == [*map(ids.index, ids), -1, -1]


@PROPERTY
@given(batches(), st.integers(1, 9))
def test_slots_are_positions_among_the_canonical_rows(tmp_path_factory, some, shard_rows):
    _, stored = store(tmp_path_factory.mktemp("texts") / "t", some, shard_rows)
    rows = np.arange(len(stored))
    slots = stored.slots(rows)
    assert (stored.canonical[slots] == stored.identity).all()
    assert (stored.slots(stored.canonical) == np.arange(len(stored.canonical))).all()
    assert (stored.identity[stored.canonical] == stored.canonical).all()
    count = len(stored.canonical)
    for start in range(count + 1):
        expected = stored.texts(stored.canonical[start:count])
        assert list(stored.slot_texts(start, count)) == expected


def test_slot_texts_stream_more_than_a_thousand(tmp_path):
    some = [f"text {n}" for n in range(2500)]
    _, stored = store(tmp_path / "t", [without_ids(*some)], 700)
    assert list(stored.slot_texts(100, 2400)) == some[100:2400]


def test_reading_many_shards_in_turn_works(tmp_path):
    some = [f"text {n}" for n in range(200)]
    _, stored = store(tmp_path / "t", [without_ids(*some)], 1)
    rows = np.random.default_rng(0).permutation(200)
    assert stored.texts(rows) == [some[row] for row in rows]


def test_a_text_that_only_looks_the_same_is_found_by_its_own_row_first(tmp_path):
    _, stored = store(tmp_path / "t", [with_ids(a="Paris", b="PARIS", c="Rome")])
    assert stored.find_texts(["PARIS", "Paris", "pArIs", "Oslo"]).tolist() == [1, 0, 0, -1]
    assert stored.find_texts([]).tolist() == []


def test_reading_no_rows_gives_no_texts(tmp_path):
    _, stored = store(tmp_path / "t", [with_ids(a="Paris")])
    assert stored.texts(np.array([], dtype=np.int64)) == []


def test_one_id_and_one_text_twice_are_one_row(tmp_path):
    batch = TextBatch(["a", "b", "a", "a"], ["x", "x", "x", "x"], True)
    counts, stored = store(tmp_path / "t", [batch])
    assert content(stored) == [("a", "x"), ("b", "x")]
    assert counts == {"rows": 2, "repeated": 2, "unique": 1}


def test_positives_that_are_in_the_corpus_are_merged_into_it(tmp_path):
    corpus = with_ids(a="x", b="y")
    counts, stored = store(tmp_path / "t", [corpus, without_ids("y", "z", "z", "Y")])
    assert [text for _, text in content(stored)] == ["x", "y", "z", "Y"]
    assert counts == {"rows": 4, "repeated": 2, "unique": 3}


def test_one_id_with_two_texts_is_an_error_that_names_both(tmp_path):
    batch = TextBatch(["a", "b", "a"], ["x", "y", "z"], True)
    with pytest.raises(InputError) as error:
        store(tmp_path / "t", [batch])
    assert "0 and 2" in str(error.value)
    assert not (tmp_path / "t").exists()


def test_skipping_keeps_the_first_of_two_texts_with_one_id(tmp_path):
    bad = BadRows("skip")
    batch = TextBatch(["a", "b", "a", "a", "a"], ["x", "y", "z", "x", "z"], True)
    counts, stored = store(tmp_path / "t", [batch], bad=bad)
    assert content(stored) == [("a", "x"), ("b", "y")]
    assert list(bad.settle().values()) == [2]
    assert counts["repeated"] == 1


def test_a_text_is_not_lost_with_a_skipped_row_that_held_it_too(tmp_path):
    """A positive that is missing from the corpus is added, though a bad row has the same text."""
    bad = BadRows("skip")
    corpus = TextBatch(["a", "a"], ["x", "z"], True)
    _, stored = store(tmp_path / "t", [corpus, without_ids("z")], bad=bad)
    assert [text for _, text in content(stored)] == ["x", "z"]
    assert list(bad.settle().values()) == [1]


def test_nothing_left_is_an_error(tmp_path):
    for number, some in enumerate(([], [without_ids()], [TextBatch([], [], True)])):
        with pytest.raises(InputError):
            store(tmp_path / str(number), some)


@pytest.mark.parametrize("shard_rows", [1, 2, 3, 100])
def test_metadata_stays_beside_its_row(tmp_path, shard_rows):
    meta = pa.array([{"url": "u0", "n": 0}, {"url": None, "n": 1}, {"url": "u2", "n": 2}])
    corpus = TextBatch(["a", "a", "b"], ["x", "x", "y"], True, meta)
    _, stored = store(tmp_path / "t", [corpus, without_ids("z")], shard_rows)
    assert content(stored)[:2] == [("a", "x"), ("b", "y")]
    tables = [
        pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        for path in sorted((tmp_path / "t").glob("*.arrow"))
    ]
    assert all(table.num_rows <= shard_rows for table in tables)
    rows = [row for table in tables for row in table.to_pylist()]
    assert [(row["id"], row.get("metadata")) for row in rows[:2]] == [
        ("a", {"url": "u0", "n": 0}),
        ("b", {"url": "u2", "n": 2}),
    ]
    assert rows[2].get("metadata") is None


def test_every_row_read_is_reported(tmp_path):
    ticks = []
    some = [without_ids("x", "y", "x"), with_ids(a="z")]
    write_texts(lambda _: iter(some), tmp_path / "t", 2, BadRows("error"), ticks.append)
    assert sum(ticks) == 8


def test_texts_that_are_let_go_close_their_files(tmp_path, collector_off):
    texts = [f"text {number}" for number in range(40)]
    store(tmp_path / "stored", [without_ids(*texts)])[1].texts(np.arange(40))
    assert soon_closed(tmp_path)
    for _ in range(3):
        stored = Texts(tmp_path / "stored")
        assert stored.texts(np.arange(40)) == texts
        assert open_files(tmp_path) > 0
        del stored
        assert soon_closed(tmp_path)
