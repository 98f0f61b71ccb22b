from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hnmine.inputs.identity import normalise
from hnmine.sources.shingles import Remembered, containment, shingles

WORDS = st.lists(st.sampled_from(["a", "b", "c", "Café", "d_1"]), max_size=12)
TEXTS = st.lists(WORDS.map(" ".join), min_size=2, max_size=5)


def runs(text: str, n: int) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9_\u0080-\U0010ffff]+", normalise(text))
    if not words:
        return set()
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


def share(left: str, right: str, n: int) -> float:
    a, b = runs(left, n), runs(right, n)
    return len(a & b) / min(len(a), len(b)) if a and b else 0.0


def compare(left: str, *others: str) -> float:
    hashed = shingles([left, *others])
    every = np.arange(1, len(others) + 1)
    first, last = np.array([0]), np.array([len(others)])
    return float(containment(hashed, np.array([0]), every, (first, last))[0])


@given(TEXTS, st.integers(1, 5))
def test_shares_are_those_of_sets_of_word_runs(texts, n):
    count = len(texts)
    hashed = shingles(texts, n)
    assert np.diff(hashed[0]).tolist() == [len(runs(text, n)) for text in texts]
    each = np.repeat(np.arange(count), count)
    one_by_one = np.tile(np.arange(count), count)
    found = containment(hashed, each, np.arange(count), (one_by_one, one_by_one + 1))
    expected = [share(texts[a], texts[b], n) for a, b in zip(each, one_by_one, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@given(TEXTS)
def test_the_closest_of_several_counts(texts):
    expected = max(share(texts[0], other, 5) for other in texts[1:])
    np.testing.assert_allclose(compare(*texts), expected, rtol=1e-6)


PASSAGE = (
    "The heap queue algorithm keeps the smallest element at the front of the list, and every "
    "other element at or below its children."
)


def test_copies_excerpts_and_concatenations_are_near_copies():
    assert compare(PASSAGE, PASSAGE.upper().replace(" ", "\u00a0")) == 1
    assert compare(PASSAGE, PASSAGE[: len(PASSAGE) * 6 // 10]) > 0.9
    assert compare(PASSAGE, "An introduction to other things. " + PASSAGE) == 1
    assert compare(PASSAGE, "Locks keep two threads from running the same lines at once.") == 0


def test_a_short_text_is_no_copy_of_one_that_mentions_it():
    assert compare("the list", PASSAGE) == 0
    assert compare("the list", "The List.") == 1


def test_word_order_counts():
    assert compare("one two three four five six", "six five four three two one") == 0


def test_nothing_to_compare_with_is_no_copy():
    assert compare(PASSAGE) == 0
    assert compare("...", "...") == 0


@given(st.lists(st.lists(st.integers(0, 8), unique=True), max_size=5))
def test_remembered_shingles_are_those_of_the_texts(blocks):
    documents = [f"{'word ' * n} number {n} of nine texts that differ" for n in range(9)]
    remembered = Remembered()
    for block in blocks:
        rows = np.array(sorted(block), dtype=np.int64)
        found = remembered.of(rows, lambda wanted: [documents[row] for row in wanted])
        expected = shingles([documents[row] for row in rows])
        assert np.array_equal(found[0], expected[0])
        assert np.array_equal(found[1], expected[1])
