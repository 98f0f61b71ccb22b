from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.index.order import ascend, best, first_from
from hnmine.index.topk import Ranking, top_k
from hnmine.ragged import offsets_of, position_in_list, ragged
from hnmine.sources.source import best_of_each, best_of_positives

PROPERTY = settings(max_examples=100, deadline=None)

TIED = st.sampled_from([-2.5, -1.0, -0.0, 0.0, 1.0, 1.0 + 2**-40, 3.5])
scores = TIED | st.floats(-1e6, 1e6)


@st.composite
def searches(draw):
    k = draw(st.lists(st.integers(0, 8), max_size=6))
    if not k:
        return k, []
    pairs = draw(
        st.lists(
            st.tuples(st.integers(0, len(k) - 1), st.integers(0, 30)), max_size=60, unique=True
        )
    )
    return k, [(query, slot, draw(scores)) for query, slot in pairs]


@PROPERTY
@given(searches())
def test_top_k_is_sorted_by_score_then_slot_and_cut_per_query(search):
    k, hits = search
    query, slots = (np.array([hit[n] for hit in hits], dtype=np.int64) for n in (0, 1))
    ranking = top_k(query, slots, np.array([hit[2] for hit in hits], dtype=float), np.array(k, int))
    assert len(ranking.offsets) == len(k) + 1
    assert ranking.offsets[0] == 0
    assert ranking.offsets[-1] == len(ranking.slots) == len(ranking.scores)
    for number, length in enumerate(k):
        expected = sorted((-score, slot) for owner, slot, score in hits if owner == number)[:length]
        part = slice(ranking.offsets[number], ranking.offsets[number + 1])
        found = zip(ranking.scores[part].tolist(), ranking.slots[part].tolist(), strict=True)
        assert [(-score, slot) for score, slot in found] == expected
        assert (ranking.query_of_hit[part] == number).all()


@PROPERTY
@given(searches(), st.randoms())
def test_top_k_does_not_depend_on_the_order_of_hits(search, random):
    k, hits = search
    results = []
    for _ in range(2):
        columns = [np.array([hit[n] for hit in hits]) for n in range(3)]
        ranking = top_k(
            columns[0].astype(np.int64), columns[1].astype(np.int64), columns[2], np.array(k, int)
        )
        results.append((ranking.slots.tolist(), ranking.scores.tolist()))
        random.shuffle(hits)
    assert results[0] == results[1]


@PROPERTY
@given(st.lists(st.integers(0, 5), max_size=10))
def test_offsets_and_positions_count_ragged_lists(counts):
    offsets = offsets_of(np.array(counts, dtype=np.int64))
    assert offsets.tolist() == [sum(counts[:n]) for n in range(len(counts) + 1)]
    assert position_in_list(offsets).tolist() == [n for count in counts for n in range(count)]


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=8))
def test_ragged_concatenates_ranges(ranges):
    starts, counts = (np.array([one[n] for one in ranges], dtype=np.int64) for n in (0, 1))
    expected = [start + n for start, count in ranges for n in range(count)]
    assert ragged(starts, counts).tolist() == expected


several_scores = st.tuples(st.integers(0, 3), st.integers(0, 4), TIED)


@PROPERTY
@given(st.lists(several_scores, max_size=30), st.lists(st.integers(0, 4), min_size=4, max_size=4))
def test_a_document_found_several_times_counts_by_its_best_score(hits, k):
    query, slots = (np.array([hit[n] for hit in hits], dtype=np.int64) for n in (0, 1))
    found = best_of_each(query, slots, np.array([hit[2] for hit in hits]), np.array(k))
    best: dict[tuple[int, int], float] = {}
    for owner, slot, score in hits:
        best[owner, slot] = max(score, best.get((owner, slot), score))
    expected = [
        (owner, slot, score)
        for owner in range(4)
        for score, slot in [
            (-lost, slot)
            for lost, slot in sorted((-s, d) for (q, d), s in best.items() if q == owner)
        ][: k[owner]]
    ]
    rows = zip(
        found.query_of_hit.tolist(), found.slots.tolist(), found.scores.tolist(), strict=True
    )
    assert list(rows) == expected
    assert len(found.offsets) == 5


def test_a_query_is_searched_for_by_each_of_its_positives_at_its_own_depth():
    asked = []

    def search(k):
        asked.extend(k.tolist())
        slots, scores = np.array([7, 8, 8, 9, 5]), np.array([1.0, 3.0, 4.0, 2.0, 9.0])
        return Ranking(np.array([0, 2, 4, 5]), slots, scores)

    # Query 0 has two positives, query 1 none, query 2 one.
    found = best_of_positives(np.array([0, 2, 2, 3]), search)(np.array([2, 6, 1]))
    assert asked == [2, 2, 1]
    assert found.offsets.tolist() == [0, 2, 2, 3]
    assert found.slots.tolist() == [8, 9, 5]
    assert found.scores.tolist() == [4.0, 2.0, 9.0]


@PROPERTY
@given(st.lists(scores, max_size=40), st.integers(0, 40))
def test_best_is_the_stable_order(values, k):
    array = np.array(values, float)
    assert best(array, k).tolist() == np.argsort(-array, kind="stable")[:k].tolist()


def test_best_of_many():
    rng = np.random.default_rng(3)
    spread = rng.random(3000)
    # Ties, and one that leaves the others in a single bucket.
    for values in (spread, np.round(spread, 2), np.append(spread, 1e9), spread[:512], spread[:513]):
        assert best(values, 700).tolist() == np.argsort(-values, kind="stable")[:700].tolist()


@PROPERTY
@given(st.lists(st.integers(0, 2**31 - 1), max_size=60), st.integers(0, 2**31 - 1))
def test_numbers_ascend_and_are_found(values, wanted):
    array = np.array(values, np.int32)
    ascend(array)
    assert array.tolist() == sorted(values)
    for value in (wanted, *values):
        assert first_from(value, array) == np.searchsorted(array, value)
