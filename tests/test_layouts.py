from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnmine.exports import EXPORTS
from hnmine.exports.training_rows import Chosen
from hnmine.ragged import offsets_of

FORMATS = {name: EXPORTS[name].load() for name in EXPORTS.own}
LAYOUTS = {name: form.layout for name, form in FORMATS.items() if form.layout}
QUERY_SHAPES = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=6)


def chosen_from(shapes):
    """Queries q0, q1 … with so many positives q0+0 … and negatives q0-0 …; scores are positions."""
    positives = [f"q{q}+{n}" for q, (count, _) in enumerate(shapes) for n in range(count)]
    negatives = [f"q{q}-{n}" for q, (_, count) in enumerate(shapes) for n in range(count)]
    return Chosen(
        pa.array([f"q{q}" for q in range(len(shapes))]),
        pa.array(positives + negatives),
        np.arange(len(positives) + len(negatives), dtype=np.float64),
        np.arange(len(positives)),
        offsets_of(np.array([positive for positive, _ in shapes])),
        np.arange(len(negatives)) + len(positives),
        offsets_of(np.array([negative for _, negative in shapes])),
    )


def scores_of(chosen):
    return dict(zip(chosen.documents.to_pylist(), chosen.scores.tolist(), strict=True))


def names(q, sign, count):
    return [f"q{q}{sign}{n}" for n in range(count)]


@given(QUERY_SHAPES)
def test_triplets_pair_every_positive_with_every_negative(shapes):
    rows = LAYOUTS["triplet"](chosen_from(shapes), 3, False).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (f"q{q}", positive, negative)
        for q, (positives, negatives) in enumerate(shapes)
        for positive in names(q, "+", positives)
        for negative in names(q, "-", negatives)
    ]


@given(QUERY_SHAPES)
def test_n_tuples_have_all_negatives_or_no_row(shapes):
    table = LAYOUTS["n-tuple"](chosen_from(shapes), 2, False)
    assert table.column_names == ["query", "positive", "negative_1", "negative_2"]
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        (f"q{q}", positive, f"q{q}-0", f"q{q}-1")
        for q, (positives, negatives) in enumerate(shapes)
        if negatives == 2
        for positive in names(q, "+", positives)
    ]


@given(QUERY_SHAPES)
def test_labeled_pairs_hold_positives_then_negatives(shapes):
    rows = LAYOUTS["labeled-pair"](chosen_from(shapes), 3, False).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (f"q{q}", passage, int("+" in passage))
        for q, (positives, negatives) in enumerate(shapes)
        for passage in names(q, "+", positives) + names(q, "-", negatives)
    ]


@given(QUERY_SHAPES)
def test_labeled_lists_hold_each_positive_with_the_negatives_of_its_query(shapes):
    rows = LAYOUTS["labeled-list"](chosen_from(shapes), 3, False).to_pylist()
    assert rows == [
        {
            "query": f"q{q}",
            "passages": [positive, *names(q, "-", negatives)],
            "labels": [1] + [0] * negatives,
        }
        for q, (positives, negatives) in enumerate(shapes)
        for positive in names(q, "+", positives)
        if negatives
    ]


@given(QUERY_SHAPES, st.sampled_from(sorted(LAYOUTS)))
def test_scores_stand_under_the_trainers_name_and_belong_to_the_texts(shapes, layout):
    chosen = chosen_from(shapes)
    by_text = scores_of(chosen)
    table = LAYOUTS[layout](chosen, 2, True)
    label = "score" if layout == "labeled-pair" else "scores"
    assert table.column_names[-1] == label
    assert not {"label", "labels"} & set(table.column_names)
    for row in table.to_pylist():
        texts = [value for name, value in row.items() if name not in ("query", label)]
        texts = texts[0] if layout == "labeled-list" else texts
        scores = row[label] if isinstance(row[label], list) else [row[label]]
        assert scores == [by_text[text] for text in texts]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_layout_keeps_its_columns_when_nothing_was_found(layout):
    full = LAYOUTS[layout](chosen_from([(1, 2)]), 2, False)
    empty = LAYOUTS[layout](chosen_from([(1, 0)]), 2, False)
    assert empty.schema == full.schema
