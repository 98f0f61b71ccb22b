from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.choose import choose, first, race, spread
from hnmine.keyed_noise import keyed_noise

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
    chosen = choose(query, np.ones(len(pairs), dtype=bool), noise, np.full(len(number), n))
    return {pair for pair, selected in zip(pairs, chosen, strict=True) if selected}


@PROPERTY
@given(candidates, st.integers(1, 5))
def test_choose_takes_the_first_n_survivors_of_each_query(rows, n):
    query, keep, order = (np.array([row[part] for row in rows]) for part in range(3))
    selected = choose(query.astype(np.int64), keep.astype(bool), order, np.full(5, n))
    survivors = defaultdict(list)
    for row, (owner, kept, place) in enumerate(rows):
        if kept:
            survivors[owner].append((place, row))
    expected = {row for group in survivors.values() for _, row in sorted(group)[:n]}
    assert set(np.flatnonzero(selected)) == expected


numbers = st.floats(width=16) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0])


@PROPERTY
@given(st.lists(st.tuples(st.lists(numbers, max_size=12), st.integers(0, 13)), max_size=4))
def test_the_first_are_those_of_a_stable_sort(lists):
    offsets = np.cumsum([0, *(len(values) for values, _ in lists)])
    order = np.array([value for values, _ in lists for value in values], dtype=np.float64)
    n = np.array([count for _, count in lists], dtype=np.int64)
    expected = np.zeros(len(order), dtype=bool)
    for start, (values, count) in zip(offsets, lists, strict=False):
        expected[start + np.argsort(np.array(values), kind="stable")[:count]] = True
    np.testing.assert_array_equal(first(offsets, order, n), expected)


def test_choose_compares_large_unsigned_numbers_exactly():
    order = np.array([2**64 - 1, 2**63, 2**63 - 1, 2**63 + 1], dtype=np.uint64)
    selected = choose(np.zeros(4, np.int64), np.ones(4, bool), order, np.array([2]))
    assert selected.tolist() == [False, True, True, False]


def test_choose_of_nothing_is_nothing():
    nothing = np.zeros(0, np.int64)
    assert choose(nothing, nothing.astype(bool), nothing, nothing).shape == (0,)


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


def plackett_luce(weights, n):
    """The exact chance that each item is among the first n of a draw without replacement."""
    chance = np.zeros(len(weights))
    for order in itertools.permutations(range(len(weights)), n):
        p, left = 1.0, set(range(len(weights)))
        for item in order:
            p *= weights[item] / sum(weights[other] for other in sorted(left))
            left.remove(item)
        chance[list(order)] += p
    return chance


DRAWS = 20_000


@pytest.mark.parametrize("beta", [0.0, 0.5, 2.0, 15.0])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_weighted_draw_follows_plackett_and_luce_from_uniform_to_the_best(beta, n):
    x = np.array([0.0, 0.5, 1.0, 1.75, 3.0])
    documents = [f"d{number}" for number in range(len(x))]
    query_ids = np.repeat([f"q{number}" for number in range(DRAWS)], len(x)).tolist()
    noise = keyed_noise(7, query_ids, documents * DRAWS)
    query = np.repeat(np.arange(DRAWS), len(x))
    keys = race(noise, np.tile(beta * x, DRAWS))
    chosen = choose(query, np.ones(len(keys), bool), keys, np.full(DRAWS, n))
    found = chosen.reshape(DRAWS, len(x)).mean(axis=0)
    expected = plackett_luce(np.exp(beta * (x - x.max())), n)
    error = np.sqrt(expected * (1 - expected).clip(0) / DRAWS)
    assert (np.abs(found - expected) <= 4.5 * error + 1e-9).all()


def test_a_weight_beyond_float64_and_a_weight_of_nothing():
    keys = race(np.arange(1, 4, dtype=np.uint64) << np.uint64(60), np.array([5000.0, -np.inf, 0.0]))
    assert np.argsort(keys).tolist() == [0, 2, 1]


@PROPERTY
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 3), st.sampled_from("abc")),
        max_size=30,
    )
)
def test_strata_take_turns(rows):
    query, keep, order, stratum = (np.array([row[part] for row in rows]) for part in range(4))
    query, keep = query.astype(np.int64), keep.astype(bool)
    noise = keyed_noise(1, query.astype(str).tolist(), [str(n) for n in range(len(rows))])
    turns = spread(query, keep, order, stratum.astype(str), noise)
    for n in range(1, 5):
        chosen = choose(query, keep, turns, np.full(4, n))
        for owner in range(4):
            own = [row for row in range(len(rows)) if query[row] == owner and keep[row]]
            taken = Counter(stratum[row] for row in own if chosen[row])
            there = Counter(stratum[row] for row in own)
            assert sum(taken.values()) == min(n, len(own))
            for one, other in itertools.permutations(there, 2):
                # No stratum gets two more than another that still has survivors.
                assert taken[one] <= taken[other] + 1 or taken[other] == there[other]
            for name in there:
                best = sorted((order[row], row) for row in own if stratum[row] == name)
                assert {row for _, row in best[: taken[name]]} == {
                    row for row in own if chosen[row] and stratum[row] == name
                }


def test_the_first_choice_is_uniform_over_strata_however_large_they_are():
    stratum = np.array(["big"] * 8 + ["small"])
    draws = 4000
    query = np.repeat(np.arange(draws), len(stratum))
    noise = keyed_noise(3, query.astype(str).tolist(), [str(n) for n in range(9)] * draws)
    turns = spread(query, np.ones(len(query), bool), noise, np.tile(stratum, draws), noise)
    chosen = choose(query, np.ones(len(query), bool), turns, np.ones(draws, np.int64))
    small = chosen.reshape(draws, 9)[:, 8].mean()
    assert abs(small - 0.5) < 4.5 * 0.5 / np.sqrt(draws)
