"""What tells positives from negatives without any understanding: planted, and not there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnmine.audit.estimate import Audit
from hnmine.audit.shortcuts import ADVICE, WARN_FROM, Labelled, shortcuts
from hnmine.relevance.within_query import auc_within

WORDS = [f"word{n}" for n in range(300)]
QUERIES = 120


def labelled(make, negatives=4, seed=0, bm25=None):
    """Queries with one positive; `make(rng, query, is_positive)` writes a document."""
    rng = np.random.default_rng(seed)
    query = np.repeat(np.arange(QUERIES), 1 + negatives)
    positive = np.tile([True] + [False] * negatives, QUERIES)
    documents = [make(rng, q, p) for q, p in zip(query, positive, strict=True)]
    _, document = np.unique(documents, return_inverse=True)
    scores = np.full(len(query), np.nan) if bm25 is None else bm25(rng, positive)
    return Labelled(
        query, document, positive, [f"what is word{q}" for q in query], documents, scores
    )


def some(rng, n=20):
    return " ".join(rng.choice(WORDS, n))


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 4)), max_size=40))
def test_the_auc_is_the_share_of_pairs_that_are_in_order(rows):
    query, positive, score = (np.array(column) for column in zip(*rows, strict=True)) if rows else (
        np.empty(0, int), np.empty(0, bool), np.empty(0))  # fmt: skip
    of_queries = []
    for one in set(query.tolist()):
        good = score[(query == one) & positive]
        bad = score[(query == one) & ~positive]
        if len(good) and len(bad):
            wins = np.sign(good[:, None] - bad[None]) / 2 + 0.5
            of_queries.append(wins.mean())
    found = auc_within(score.astype(float), positive.astype(bool), query)
    if of_queries:
        assert found == pytest.approx(np.mean(of_queries))
    else:
        assert np.isnan(found)


def test_unknown_scores_do_not_count():
    positive, query = np.array([True, False, False]), np.zeros(3, int)
    assert auc_within(np.array([1.0, 0.0, np.nan]), positive, query) == 1.0


def test_nothing_is_found_where_nothing_is():
    found = shortcuts(labelled(lambda rng, query, positive: some(rng)))
    assert found["length"] == 0.5 and np.isnan(found["bm25"])
    assert 0.35 < found["wording"] < 0.65 and found["overlap"] < 0.6


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("length", lambda rng, query, positive: some(rng, 30 if positive else 20)),
        ("length", lambda rng, query, positive: some(rng, 20 if positive else 30)),
        ("overlap", lambda rng, query, positive: f"{some(rng)} word{query if positive else 299}"),
        (
            "wording",
            lambda rng, query, positive: some(rng, 17) + " a b c"[:: 1 if positive else -1],
        ),
        ("wording", lambda rng, query, positive: some(rng, 19) + (" not" if positive else " also")),
    ],
)
def test_a_planted_shortcut_is_found_and_others_are_not(name, make):
    found = shortcuts(labelled(make))
    assert found[name] > WARN_FROM
    if name == "length":
        assert found["wording"] < 0.7
    if name == "overlap":
        assert found["length"] == 0.5


def test_bm25_is_one_too():
    def scores(rng, positive):
        return rng.normal(size=len(positive)) + 3 * positive

    found = shortcuts(labelled(lambda rng, query, positive: some(rng), bm25=scores))
    assert found["bm25"] > 0.9


def test_documents_known_by_heart_are_no_shortcut():
    """Two documents that are negatives of all queries say nothing about wording."""
    hubs = [some(np.random.default_rng(seed)) for seed in (7, 8)]

    def make(rng, query, positive):
        return some(rng) if positive else hubs[int(rng.integers(2))]

    found = shortcuts(labelled(make, negatives=2))
    assert np.isnan(found["wording"])


def test_an_edit_of_the_positive_is_not_taken_for_the_positive_of_another_query():
    """Near copies stand in one fold: else the copy's wording would count as a positive's."""
    base = [some(np.random.default_rng(query)) for query in range(QUERIES)]

    def make(rng, query, positive):
        words = base[query].split(" ")
        return " ".join(words if positive else [*words[1:], str(rng.choice(WORDS))])

    assert 0.4 < shortcuts(labelled(make, negatives=1))["wording"] < 0.65


def test_the_audit_warns_with_what_to_do():
    found = Audit("m", 3, shortcuts={"length": 0.91, "bm25": float("nan"), "wording": 0.79})
    lines = list(found.lines())
    assert sum("warning" in line for line in lines) == 1
    assert any(ADVICE["length"] in line for line in lines)
    assert any("unknown" in line for line in lines)
    assert found.as_json()["shortcuts"] == {"length": 0.91, "bm25": None, "wording": 0.79}
