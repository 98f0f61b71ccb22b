"""hnmine.training: its measures, its guard against leaks, its losses, and a whole comparison."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time

import ir_measures
import numpy as np
import pytest
import torch
from conftest import ENCODER, hnmine, write
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    DistillKLDivLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

import hnmine as api
from hnmine.directories.candidates import Candidates
from hnmine.encode.locate import find_model
from hnmine.errors import InputError
from hnmine.exports.teacher_scores import STUDENT_TEMPERATURE, TEACHER_TEMPERATURE
from hnmine.inputs.identity import normalise
from hnmine.training.baselines import random_negatives
from hnmine.training.held_out import HeldOut
from hnmine.training.retrieval_measures import MEASURES, MRR, NDCG, RECALL, difference, measure
from hnmine.training.student_rows import Rows, batches
from hnmine.training.students import SCALE, contrastive, distilled

QUIET = {"progress": False, "threads": 1}


# Measures


def test_the_measures_are_those_of_ir_measures():
    rng = np.random.default_rng(2)
    documents, queries = rng.normal(size=(150, 8)), rng.normal(size=(40, 8))
    documents, queries = documents.astype(np.float32), queries.astype(np.float32)
    relevant = [rng.choice(150, rng.integers(1, 15), replace=False) for _ in queries]
    found = measure(queries, documents, relevant)
    scores = queries @ documents.T
    run = {f"q{q}": {f"d{d}": float(s) for d, s in enumerate(row)} for q, row in enumerate(scores)}
    qrels = {f"q{q}": {f"d{d}": 1 for d in own} for q, own in enumerate(relevant)}
    asked = [ir_measures.parse_measure(name) for name in MEASURES]
    wanted = {(str(one.measure), one.query_id): one.value
              for one in ir_measures.iter_calc(asked, qrels, run)}  # fmt: skip
    for name in (NDCG, RECALL, MRR):
        own = [wanted[name, f"q{q}"] for q in range(len(queries))]
        assert found[name] == pytest.approx(own, abs=1e-9), name
        assert 0 < np.mean(own) < 1


def test_few_documents_are_all_found():
    found = measure(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), [np.array([1])] * 2)
    assert found[RECALL].tolist() == [1, 1]
    assert found[NDCG] == pytest.approx([1 / math.log2(3), 1])


def test_the_interval_of_a_difference_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered, found_by_chance = 0, 0
    for _ in range(1000):
        hard = rng.beta(1, 1, size=60)  # Queries differ more than students do.
        ours, theirs = hard + rng.normal(0.02, 0.1, 60), hard + rng.normal(0, 0.1, 60)
        apart = difference(ours, theirs)
        covered += apart["low"] <= 0.02 <= apart["high"]
        same = difference(hard + rng.normal(0, 0.1, 60), theirs)
        found_by_chance += same["low"] > 0 or same["high"] < 0
    assert 930 <= covered <= 970
    assert 30 <= found_by_chance <= 70


# Rows

TEXTS = st.sampled_from(
    ["red fox", "Red  Fox", "blue jay", "BLUE jay", "old oak", "sea", "Sea\u200b", "tall tree"]
)
ROWS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=25)


@given(ROWS, st.lists(TEXTS, min_size=1, max_size=3), st.lists(TEXTS, min_size=1, max_size=4))
def test_no_row_has_the_query_or_the_positive_of_a_held_out_query(given_rows, asked, documents):
    held_out = HeldOut(asked, documents, [np.array([0])] * len(asked))
    rows = Rows([q for q, *_ in given_rows], [own for _, *own in given_rows])
    kept = held_out.without_leaks(rows)
    queries = {normalise(text) for text in asked}
    known = normalise(documents[0])
    wanted = [
        row for row in given_rows if normalise(row[0]) not in queries and normalise(row[1]) != known
    ]
    assert list(zip(kept.queries, kept.documents, strict=True)) == [
        (q, list(own)) for q, *own in wanted
    ]


@given(ROWS.filter(bool), st.integers(1, 6), st.integers(1, 12), st.integers(0, 5))
@settings(max_examples=100)
def test_a_batch_has_no_text_twice_and_every_row_has_its_turn(given_rows, size, steps, seed):
    rows = Rows([q for q, *_ in given_rows], [own for _, *own in given_rows])
    found = list(batches([rows], size, steps, seed))
    assert len(found) == steps
    for _, batch in found:
        texts = [text for row in batch for text in {given_rows[row][0], *given_rows[row][1:]}]
        assert 1 <= len(batch) <= size
        assert len(texts) == len(set(texts))
    if size == 1:
        passed = [batch[0] for _, batch in found][: len(rows)]
        assert len(set(passed)) == len(passed)


def test_all_arms_see_the_same_pairs_in_the_same_order():
    queries = [f"q{n}" for n in range(40)]
    one = Rows(queries, [[f"p{n}", f"a{n}"] for n in range(40)])
    other = Rows(queries[::-1], [[f"p{n}", f"b{n}", f"c{n}"] for n in range(40)][::-1])
    for (_, first), (_, second) in zip(
        batches([one], 8, 9, 3), batches([other], 8, 9, 3), strict=True
    ):
        assert [one.queries[n] for n in first] == [other.queries[n] for n in second]


def test_sets_are_cycled_through_and_hold_each_negative_once():
    rows = Rows(["q"], [["p", *map(str, range(6))]], [np.arange(7.0)])
    parts = rows.parts(3)
    assert [part.documents[0][0] for part in parts] == ["p"] * 3
    assert sorted(text for part in parts for text in part.documents[0][1:]) == list("012345")
    assert [part.scores[0].tolist() for part in parts] == [[0, 1, 4], [0, 2, 5], [0, 3, 6]]
    turns = [own.documents[0][1] for own, _ in batches(parts, 4, 6, 0)]
    assert turns == ["0", "1", "2", "0", "1", "2"]


def test_rows_of_other_layouts_are_refused_with_the_way_out(tmp_path):
    (tmp_path / "train").mkdir()
    write(tmp_path / "train" / "0.parquet", query=["a"], passage=["b"], label=[1])
    with pytest.raises(InputError, match="--format triplet or n-tuple"):
        Rows.read(tmp_path)


# Losses


def unit(*shape):
    torch.manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(*shape, 16), dim=-1).requires_grad_()


def test_the_losses_are_those_of_sentence_transformers():
    queries, documents = unit(6), unit(6, 4)
    cosines = queries @ documents.reshape(24, 16).T
    own = torch.arange(24)[None] // 4 == torch.arange(6)[:, None]
    columns = [queries, *documents.unbind(dim=1)]
    model = SentenceTransformer(str(find_model(ENCODER)))
    peer = MultipleNegativesRankingLoss(model, scale=SCALE)
    wanted = peer.compute_loss_from_embeddings(columns, None)
    assert contrastive(cosines, own, torch.arange(6) * 4).item() == pytest.approx(wanted.item())
    peer = MultipleNegativesRankingLoss(
        model, hardness_mode="hard_negatives", hardness_strength=5.0
    )
    wanted = peer.compute_loss_from_embeddings(columns, None)
    found = contrastive(cosines, own, torch.arange(6) * 4, 5.0)
    assert found.item() == pytest.approx(wanted.item())
    teacher = torch.rand(6, 4)
    peer = DistillKLDivLoss(
        model, student_temperature=STUDENT_TEMPERATURE, teacher_temperature=TEACHER_TEMPERATURE
    )
    wanted = peer.compute_loss_from_embeddings(columns, teacher) / STUDENT_TEMPERATURE**2
    found = distilled(cosines, own, teacher.ravel())
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    for one, other in zip(
        torch.autograd.grad(wanted, [queries, documents], retain_graph=True),
        torch.autograd.grad(found, [queries, documents]),
        strict=True,
    ):
        assert torch.allclose(one, other, atol=1e-6)
    teacher[2, 1] = torch.nan  # Unscored documents are left out.
    assert torch.isfinite(distilled(cosines.detach(), own, teacher.ravel()))


# A whole comparison


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A model with the words of MiniLM, one small layer, and random weights: it learns quickly."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    folder = tmp_path_factory.mktemp("student")
    tokenizer = AutoTokenizer.from_pretrained(str(find_model(ENCODER)))
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = AutoConfig.for_model("bert", **size, intermediate_size=64, vocab_size=len(tokenizer))
    AutoModel.from_config(config).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    base = Transformer(str(folder / "base"), max_seq_length=32)
    SentenceTransformer(modules=[base, Pooling(32)]).save(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    """Two choices for 120 queries; a document of another name is a copy of a positive."""
    root = tmp_path_factory.mktemp("mined")
    things = [f"thing{n} of kind{n % 7} and colour{n % 11}" for n in range(300)]
    write(
        root / "corpus.parquet",
        id=[f"d{n}" for n in range(301)],
        text=[*(f"The {thing} is here." for thing in things), f"THE  {things[0]} is here."],
    )  # fmt: skip
    write(
        root / "pairs.parquet",
        query_id=[f"q{n}" for n in range(120)],
        query=[f"Where is {thing}?" for thing in things[:120]],
        positive_id=[f"d{n}" for n in range(120)],
        positive=[f"The {thing} is here." for thing in things[:120]],
    )
    given = {"corpus": str(root / "corpus.parquet"), "pairs": str(root / "pairs.parquet")}
    api.build_index(corpus=given["corpus"], index=root / "i", dense=False, **QUIET)
    api.mine(index=root / "i", pairs=given["pairs"], output=root / "c", top_k=20, **QUIET)
    for name, more in (("a", {"order": "rank"}), ("b", {"order": "-rank"})):
        api.filter_negatives(
            candidates=root / "c", output=root / name, num_negatives=2, format="n-tuple",
            **more, **QUIET,
        )  # fmt: skip
    return root


def test_random_negatives_are_no_known_positives_nor_the_query(mined):
    candidates = Candidates(mined / "c")
    rows = Rows.read(mined / "a")
    # So many for each that a small corpus is nearly used up.
    many = Rows(rows.queries, [[own[0], *[""] * 200] for own in rows.documents])
    found = random_negatives(many, candidates, 0)
    for own in found.documents:
        assert len(own) > 100
        assert normalise(own[0]) not in {normalise(text) for text in own[1:]}
        assert len(set(own)) == len(own)
    again, other = (random_negatives(rows, candidates, seed) for seed in (1, 2))
    assert again.documents == random_negatives(rows, candidates, 1).documents != other.documents
    assert [len(own) for own in again.documents] == [len(own) for own in rows.documents]


def compared(mined, student, output, *more):
    return hnmine(
        *("compare", mined / "a", mined / "b", "--train", student, "--output", output),
        *("--seeds", 2, "--steps", 3, "--device", "cpu", "--no-progress", *more),
    )


def test_compare_trains_a_model_on_each_directory_and_reuses_what_is_there(
    mined, student, tmp_path
):
    done = compared(mined, student, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "9 of 9 models to train and measure: about" in done.stderr
    found = json.loads((tmp_path / "compare.json").read_text())["students"]
    a, b = str(mined / "a"), str(mined / "b")
    names = ["(untrained)", "(in-batch only)", "(random)", a, b]
    assert [arm["name"] for arm in found["arms"]] == names
    assert [arm["seeds"] for arm in found["arms"]] == [1, 2, 2, 2, 2]
    assert (found["held_out"], found["steps"]) == (24, 3)
    assert found["left_out"] == {a: 24, b: 24}
    assert [arm["rows"] for arm in found["arms"]] == [None, 96, 96, 96, 96]
    assert set(found["arms"][4]["over"]) == {"(untrained)", "(random)", a}
    values = [arm["means"][NDCG] for arm in found["arms"]]
    assert all(0 < value < 1 for value in values)
    assert len(set(values)) > 2  # Training changes something.
    assert f"{values[4]:.4f}" in done.stdout
    page = (tmp_path / "compare.html").read_text()
    assert f"{values[4]:.4f}" in page
    files = sorted((tmp_path / "students").glob("*.json"))
    assert len(files) == 9
    before = {file: file.stat().st_mtime_ns for file in files}
    again = compared(mined, student, tmp_path)
    assert again.returncode == 0
    assert "models to train" not in again.stderr
    assert {file: file.stat().st_mtime_ns for file in files} == before
    assert json.loads((tmp_path / "compare.json").read_text())["students"] == found
    files[0].write_text("{")  # Damaged: this one alone is trained again.
    assert "1 of 9 models to train" in compared(mined, student, tmp_path).stderr
    assert json.loads((tmp_path / "compare.json").read_text())["students"] == found


def test_another_setting_trains_again_and_a_killed_comparison_resumes(mined, student, tmp_path):
    command = [
        *(sys.executable, "-m", "hnmine", "compare", mined / "a", mined / "b", "--train", student),
        *("--output", tmp_path, "--seeds", "2", "--steps", "40", "--no-progress"),
    ]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list(tmp_path.glob("students/*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.glob("students/*.json")}
    assert 2 <= len(kept) < 9
    done = compared(mined, student, tmp_path, "--steps", 40)
    assert f"{9 - len(kept)} of 9 models" in done.stderr
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert "8 of 9 models" in compared(mined, student, tmp_path).stderr  # Not the untrained one.


def beir(folder, queries):
    folder.mkdir(exist_ok=True)
    write(folder / "queries.parquet", _id=[f"x{n}" for n in range(queries)],
          text=[f"Find thing{n + 120}" for n in range(queries)])  # fmt: skip
    judged = [f"d{n + 120}" for n in range(queries)]
    qrels = {"query-id": [f"x{n}" for n in range(queries)], "corpus-id": judged}
    write(folder / "qrels.parquet", **qrels, score=[1] * queries)
    return folder


def test_given_held_out_queries_take_the_documents_of_the_index(mined, student, tmp_path):
    done = compared(mined, student, tmp_path / "o", "--held-out", beir(tmp_path / "h", 30))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "o" / "compare.json").read_text())["students"]
    assert found["held_out"] == 30
    assert found["left_out"] == {str(mined / "a"): 0, str(mined / "b"): 0}
    assert found["searched"].startswith("30 held-out queries search all 300 documents")


def test_too_few_held_out_queries_are_refused(mined, student, tmp_path):
    done = compared(mined, student, tmp_path / "o", "--held-out", beir(tmp_path / "h", 19))
    assert done.returncode == 3
    assert "Only 19 queries can be held out" in done.stderr
    done = compared(mined, student, tmp_path / "o", "--held-out", tmp_path / "none")
    assert done.returncode == 3
    assert "queries.parquet" in done.stderr
