"""Teacher scores for distillation: the scale, the pin, and a real step of training with them."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ENCODER
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hnmine.encode.locate import find_model
from hnmine.exports import teacher_scores
from hnmine.exports.teacher_scores import (
    PIN,
    STUDENT_TEMPERATURE,
    TEACHER_TEMPERATURE,
    TeacherScale,
    pin_positives,
    teacher_labels,
)

LOGIT = st.floats(-40, 40, width=32)
LISTS = st.integers(2, 8).flatmap(
    lambda n: arrays(np.float64, st.tuples(st.integers(1, 12), st.just(n)), elements=LOGIT)
)


@given(arrays(np.float64, st.integers(0, 80), elements=LOGIT))
def test_a_scale_keeps_the_order_and_puts_the_percentiles_at_0_and_1(scores):
    scale = TeacherScale.of([scores])
    scaled = scale.apply(scores)
    assert np.isfinite(scaled).all() and scale.high > scale.low
    assert (np.diff(scaled[np.argsort(scores)]) >= 0).all()
    if len(scores) and np.percentile(scores, 99) > np.percentile(scores, 1):
        assert scale.apply(np.percentile(scores, [1, 99])) == pytest.approx([0, 1], abs=1e-9)


@given(LISTS, st.floats(0.1, 100), st.floats(-50, 50))
def test_labels_do_not_depend_on_the_units_of_the_teacher(scores, factor, offset):
    if np.ptp(scores) < 1e-3:
        return
    found = teacher_labels(scores * factor + offset)
    assert found == pytest.approx(teacher_labels(scores), abs=1e-6)


def test_scores_without_a_value_do_not_move_the_scale():
    scores = np.arange(101.0)
    with_none = np.concatenate([scores, [np.nan, np.inf, -np.inf]])
    assert TeacherScale.of([with_none]) == TeacherScale.of([scores]) == TeacherScale(1.0, 99.0)
    assert TeacherScale.of([]) == TeacherScale(0.0, 1.0)
    assert TeacherScale.of([np.zeros(5)]).apply(np.zeros(2)).tolist() == [0, 0]


def test_a_file_in_parts_has_the_scale_of_the_whole_and_a_sample_of_it_nearly(monkeypatch):
    scores = np.random.default_rng(0).normal(size=20_000)
    whole = TeacherScale.of([scores])
    assert TeacherScale.of(np.array_split(scores, 7)) == whole
    monkeypatch.setattr(teacher_scores, "SAMPLED", 5_000)
    drawn = TeacherScale.of(np.array_split(np.sort(scores), 30))  # Sorted: no prefix will do.
    assert (drawn.low, drawn.high) == pytest.approx((whole.low, whole.high), abs=0.15)


@given(LISTS)
def test_the_first_of_each_list_is_pinned_and_nothing_else_moves(scores):
    scaled, labels = teacher_labels(scores, pinned=False), teacher_labels(scores)
    assert (labels[:, 1:] == scaled[:, 1:]).all()
    assert (labels[:, 0] >= labels[:, 1:].max(axis=1) + PIN - 1e-9).all()
    assert (labels[:, 0] >= scaled[:, 0]).all()
    assert (teacher_labels(scores).argmax(axis=1) == 0).all()


@given(LISTS, st.data())
def test_pinning_rows_in_any_order_is_pinning_each_query(scores, data):
    """Several positives, rows without a score, queries whose rows are mixed."""
    query = np.repeat(np.arange(len(scores)), scores.shape[1])
    flags = st.lists(st.booleans(), min_size=scores.size, max_size=scores.size)
    positive, lost = (np.array(data.draw(flags)) for _ in range(2))
    values = np.where(lost, np.nan, scores.ravel())
    order = np.array(data.draw(st.permutations(range(scores.size))))
    found = np.empty(scores.size)
    found[order] = pin_positives(values[order], query[order], positive[order])
    for row, value in enumerate(values):
        others = values[(query == query[row]) & ~positive & np.isfinite(values)]
        if positive[row] and len(others):
            assert found[row] == np.fmax(value, others.max() + PIN)
        else:
            assert found[row] == value or (np.isnan(found[row]) and np.isnan(value))


def test_a_student_learns_from_logits_to_put_the_positive_first(tmp_path):
    """Raw logits would ask for margins of 20 from unit vectors; these labels are learned."""
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss
    from sentence_transformers.sentence_transformer.training_args import (
        SentenceTransformerTrainingArguments,
    )

    texts = {
        "query": ["red fruit", "fast car"],
        "positive": ["a lorry that sleeps", "a wall of bricks"],
        "negative_1": ["an apple is red", "a car that races"],
        "negative_2": ["tax law", "poems"],
    }
    labels = teacher_labels(np.array([[-7.0, 8.0, -11.0], [-9.0, 9.0, -10.0]]))
    rows = Dataset.from_dict({**texts, "label": labels.tolist()})
    model = SentenceTransformer(str(find_model(ENCODER)), device="cpu")
    loss = DistillKLDivLoss(
        model, student_temperature=STUDENT_TEMPERATURE, teacher_temperature=TEACHER_TEMPERATURE
    )
    arguments = SentenceTransformerTrainingArguments(
        str(tmp_path), max_steps=25, per_device_train_batch_size=2, learning_rate=1e-4,
        report_to="none", use_cpu=True, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip

    def ahead():
        query, positive, first = (
            model.encode(texts[name], normalize_embeddings=True)
            for name in ("query", "positive", "negative_1")
        )
        return ((query * positive).sum(axis=1) > (query * first).sum(axis=1)).tolist()

    assert ahead() == [False, False]
    SentenceTransformerTrainer(model, arguments, train_dataset=rows, loss=loss).train()
    assert ahead() == [True, True]
