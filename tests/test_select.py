from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.select import choose, keyed_noise

PROPERTY = settings(max_examples=100, deadline=None)

ids = st.text(st.characters(), max_size=4) | st.sampled_from(["1", "11", "a b", "q", "d"])
candidates = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(-2, 3)), max_size=30)


def random_choice(pairs, seed, n):
    """Choose n documents of each query by keyed noise, as a set of pairs."""
    if not pairs:
        return set()
    query_ids, doc_ids = zip(*pairs, strict=True)
    number = {query: n for n, query in enumerate(sorted(set(query_ids)))}
    query = np.array([number[query] for query in query_ids])
    noise = keyed_noise(seed, query_ids, doc_ids)
    chosen = choose(query, np.ones(len(pairs), dtype=bool), noise, n)
    return {pair for pair, selected in zip(pairs, chosen, strict=True) if selected}


@PROPERTY
@given(candidates, st.integers(1, 5))
def test_choose_takes_the_first_n_survivors_of_each_query(rows, n):
    query, keep, order = (np.array([row[part] for row in rows]) for part in range(3))
    selected = choose(query.astype(np.int64), keep.astype(bool), order, n)
    survivors = defaultdict(list)
    for row, (owner, kept, place) in enumerate(rows):
        if kept:
            survivors[owner].append((place, row))
    expected = {row for group in survivors.values() for _, row in sorted(group)[:n]}
    assert set(np.flatnonzero(selected)) == expected


def test_choose_compares_large_unsigned_numbers_exactly():
    order = np.array([2**64 - 1, 2**63, 2**63 - 1, 2**63 + 1], dtype=np.uint64)
    selected = choose(np.zeros(4, np.int64), np.ones(4, bool), order, 2)
    assert selected.tolist() == [False, True, True, False]


def test_choose_of_nothing_is_nothing():
    nothing = np.zeros(0, np.int64)
    assert choose(nothing, nothing.astype(bool), nothing, 3).shape == (0,)


@PROPERTY
@given(
    st.lists(st.tuples(ids, ids), unique=True, max_size=25),
    st.integers(-(2**40), 2**40),
    st.integers(1, 4),
    st.randoms(),
    st.integers(0, 25),
)
def test_a_random_choice_depends_on_neither_row_order_nor_block_split(pairs, seed, n, random, cut):
    whole = random_choice(pairs, seed, n)
    shuffled = random.sample(pairs, len(pairs))
    assert random_choice(shuffled, seed, n) == whole
    queries = sorted({query for query, _ in pairs})
    early = set(queries[:cut])
    parts = [
        [pair for pair in shuffled if (pair[0] in early) == is_early] for is_early in (True, False)
    ]
    assert random_choice(parts[0], seed, n) | random_choice(parts[1], seed, n) == whole


@PROPERTY
@given(st.lists(st.tuples(ids, ids), unique=True, min_size=1, max_size=25), st.integers(0, 9))
def test_noise_is_a_function_of_one_pair_of_ids(pairs, seed):
    together = keyed_noise(seed, *zip(*pairs, strict=True))
    alone = [keyed_noise(seed, [query], [document])[0] for query, document in pairs]
    assert together.tolist() == alone
    assert len(set(together.tolist())) == len(pairs)


def test_query_and_document_do_not_stand_for_each_other():
    forward, back = keyed_noise(0, ["a", "b"], ["b", "a"])
    assert forward != back
    assert keyed_noise(0, ["ab"], ["c"]) != keyed_noise(0, ["a"], ["bc"])


@pytest.mark.parametrize("seeds", [(0, 1), (1, 2), (0, -1), (7, 2**33 + 7)])
def test_another_seed_makes_another_choice(seeds):
    pairs = [(f"q{query}", f"d{document}") for query in range(50) for document in range(20)]
    one, other = (random_choice(pairs, seed, 5) for seed in seeds)
    assert len(one) == len(other) == 250
    # A quarter in common is what chance gives.
    assert 30 < len(one & other) < 100


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_a_random_choice_is_about_uniform_over_documents_and_their_pairs(seed):
    queries, documents = 4000, 8
    pairs = [(f"q{q}", f"d{d}") for q in range(queries) for d in range(documents)]
    chosen = defaultdict(set)
    for query, document in random_choice(pairs, seed, 2):
        chosen[query].add(document)
    singles = Counter(document for group in chosen.values() for document in group)
    doubles = Counter(frozenset(group) for group in chosen.values())
    expected = queries * 2 / documents
    assert all(abs(count - expected) < 5 * expected**0.5 for count in singles.values())
    expected = queries / (documents * (documents - 1) / 2)
    assert len(doubles) == documents * (documents - 1) / 2
    assert all(abs(count - expected) < 5 * expected**0.5 for count in doubles.values())
