"""The three commands on real text with real models, as a user runs them."""

from __future__ import annotations

import json
import math
import shutil
import signal
from collections import Counter
from pathlib import Path

import forked
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, ENCODER, content, hnmine, rows, write
from held import stopped, stopping

import hnmine as api
from hnmine.errors import InputError, UsageError
from hnmine.inputs.identity import normalise

NEGATIVES = 3


def commands(stdlib, root):
    """The three commands, cut into several tasks each."""
    return {
        "index": [
            "build-index",
            *("--corpus", stdlib / "corpus.parquet", "--pairs", stdlib / "pairs.parquet"),
            *("--encoder", ENCODER, "--max-length", "64", "--shard-size", "64"),
            *("--index", root / "index"),
        ],
        "candidates": [
            "mine",
            *("--index", root / "index", "--pairs", stdlib / "pairs.parquet"),
            *("--top-k", "10", "--block-size", "8", "--output", root / "candidates"),
        ],
        "mined": [
            "filter",
            *("--candidates", root / "candidates", "--cross-encoder", CROSS_ENCODER),
            *("--max-length", "64", "--num-negatives", NEGATIVES, "--output", root / "mined"),
        ],
    }


@pytest.fixture(scope="module")
def run(stdlib, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("run")
    for command in commands(stdlib, root).values():
        done = hnmine(*command)
        assert done.returncode == 0, done.stderr
    return root


def counts(directory: Path) -> dict[str, int]:
    return json.loads((directory / "manifest.json").read_text())["counts"]


def test_no_positive_nor_copy_nor_query_is_a_negative(run, stdlib):
    texts = {row["id"]: row["text"] for row in rows(stdlib / "corpus.parquet")}
    known: dict[str, set[str]] = {}
    for pair in rows(stdlib / "pairs.parquet"):
        texts[pair["positive_id"]] = pair["positive"]
        known.setdefault(normalise(pair["query"]), {normalise(pair["query"])}).add(
            normalise(pair["positive"])
        )
    train = rows(run / "mined" / "train")
    assert len(train) > 50
    assert set(train[0]) == {"query", "positive", "negative"}
    for row in train:
        assert normalise(row["positive"]) in known[normalise(row["query"])]
        assert normalise(row["negative"]) not in known[normalise(row["query"])]
        assert row["negative"] in texts.values()


def test_everything_asked_is_accounted_for(run):
    mined, scored = counts(run / "mined"), rows(run / "mined" / "scored")
    candidates = counts(run / "candidates")
    assert mined["queries"] == candidates["queries"] == 40
    assert mined["positives"] == candidates["positives"] == 40
    assert mined["candidates"] == candidates["candidates"]
    dropped = {name: n for name, n in mined.items() if name.startswith("dropped_")}
    assert mined["candidates"] == mined["kept"] + sum(dropped.values())
    reasons = Counter(row["reason"] for row in scored if row["label"] != 1)
    assert {f"dropped_{name}": n for name, n in reasons.items() if name} == dropped
    selected = Counter(row["query_id"] for row in scored if row["selected"])
    assert mined["negatives"] == sum(selected.values())
    assert mined["negatives_asked"] == 40 * NEGATIVES
    assert mined["negatives_missing"] == 40 * NEGATIVES - mined["negatives"]
    short = {row["query_id"]: row["found"] for row in rows(run / "mined" / "shortfall.parquet")}
    queries = {row["query_id"] for row in scored}
    assert short == {q: selected[q] for q in queries if selected[q] < NEGATIVES}


def test_verdicts_follow_from_the_recorded_numbers(run):
    """Every keep and reason, recomputed one row at a time from what stands in the table."""
    table = rows(run / "mined" / "scored")
    anchors: dict[str, float] = {}
    cosines_of: dict[str, float] = {}
    for row in table:
        if row["is_positive"]:
            for score, lowest in (("ce_score", anchors), ("dense_score", cosines_of)):
                before = lowest.get(row["query_id"], float("inf"))
                lowest[row["query_id"]] = min(row[score], before)
    learned = json.loads((run / "mined" / "relevance.json").read_text())
    below = "dense_score < pos(dense_score)"
    assert learned["where"] in ([], [below])
    for row in table:
        anchor = anchors[row["query_id"]]
        assert row["positive_score"] == anchor
        if row["is_positive"]:
            expected = "positive"
        elif row["is_query"]:
            expected = "query"
        elif row["ce_score"] == anchor:
            expected = "same-score"
        elif learned["where"] and row["dense_score"] >= cosines_of[row["query_id"]]:
            expected = below
        else:
            expected = None
        assert row["reason"] == expected
        assert row["keep"] == (expected is None)
    assert learned["place"] == "rank(dense_score)"
    for query in anchors:
        of_query = [row for row in table if row["query_id"] == query]
        cosines = sorted(
            (row["dense_score"] for row in of_query if row["rank"] is not None), reverse=True
        )
        survivors = [row for row in of_query if row["keep"]]
        assert all(row["depth"] == cosines.index(row["dense_score"]) for row in survivors)
        survivors.sort(
            key=lambda row: (
                math.log1p(math.exp(row["relevance"]))
                + learned["price_of_depth"] * row["depth"]
                + row["shortcut"]
            )
        )
        chosen = {row["doc_id"] for row in table if row["query_id"] == query and row["selected"]}
        assert chosen == {row["doc_id"] for row in survivors[:NEGATIVES]}


def test_candidates_hold_both_scores_and_top_k_from_each_source(run):
    table = pq.read_table(run / "candidates" / "candidates")
    assert table["bm25_score"].null_count == table["dense_score"].null_count == 0
    for query in set(table["query_id"].to_pylist()):
        of_query = [row for row in table.to_pylist() if row["query_id"] == query]
        found = [row for row in of_query if not (row["is_positive"] or row["is_query"])]
        assert sum(row["dense_rank"] is not None for row in found) == 10
        assert [row["rank"] for row in found] == list(range(len(found)))
        fused = [
            sum(
                1 / (61 + row[f"{s}_rank"])
                for s in ("bm25", "dense")
                if row[f"{s}_rank"] is not None
            )
            for row in of_query
        ]
        np.testing.assert_allclose([row["rrf_score"] for row in of_query], fused)
        assert fused == sorted(fused, reverse=True)
        for source in ("bm25", "dense"):
            ranked = sorted(
                (row for row in of_query if row[f"{source}_rank"] is not None),
                key=lambda row: row[f"{source}_rank"],
            )
            scores = [row[f"{source}_score"] for row in ranked]
            assert scores == sorted(scores, reverse=True)


def test_another_margin_loads_no_model_and_keeps_less(run, tmp_path, monkeypatch):
    def no_model(*_):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("hnmine.judges.cross_encoder.load_cross_encoder", no_model)
    settings = {"candidates": run / "candidates", "cross_encoder": CROSS_ENCODER, "max_length": 64}
    kept = [
        api.filter(**settings, margin=margin, output=tmp_path / str(margin)).counts["kept"]
        for margin in (0.0, 3.0, 6.0)
    ]
    assert kept[0] > kept[1] > kept[2]


def test_a_second_run_of_the_same_command_does_nothing(run, stdlib):
    before = content(run)
    stamps = {file: file.stat().st_mtime_ns for file in run.rglob("*.parquet")}
    for command in commands(stdlib, run).values():
        assert hnmine(*command).returncode == 0
    assert content(run) == before
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*.parquet")} == stamps


@pytest.mark.parametrize("stage", ["index", "candidates", "mined"])
def test_killed_in_the_middle_it_goes_on_to_the_same_files(run, stdlib, tmp_path, stage):
    order = ["index", "candidates", "mined"]
    for earlier in order[: order.index(stage)]:
        shutil.copytree(run / earlier, tmp_path / earlier, ignore=shutil.ignore_patterns("scores"))
    done, times = {
        "index": ("index/.hnmine/done/vectors-*", 4),
        "candidates": ("candidates/.hnmine/done/*", 4),
        "mined": ("candidates/scores/*/.hnmine/done/*", 1),
    }[stage]
    stop = stopping(f"{tmp_path}/{done}", times)
    process = forked.Running(stop + forked.COMMAND_LINE, commands(stdlib, tmp_path)[stage])
    stopped(process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / stage / "manifest.json").exists()
    again = hnmine(*commands(stdlib, tmp_path)[stage])
    assert again.returncode == 0, again.stderr
    undisturbed = {
        name: data for name, data in content(run / stage).items() if "scores/" not in name
    }
    assert content(tmp_path / stage) == undisturbed


def test_interrupted_it_says_how_to_go_on(stdlib, tmp_path):
    stop = stopping("*/index/.hnmine/done/*", 2)
    process = forked.Running(stop + forked.COMMAND_LINE, commands(stdlib, tmp_path)["index"])
    stopped(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert "Resume with the same command:\n  hnmine build-index" in stderr
    assert "Traceback" not in stderr


def test_both_bm25_engines_give_the_same_candidates(stdlib, tmp_path):
    api.build_index(
        corpus=str(stdlib / "corpus.parquet"),
        pairs=str(stdlib / "pairs.parquet"),
        index=tmp_path / "index",
        dense=False,
        bm25_variant="okapi",
    )
    tables = []
    for engine in ("hnmine", "rank-bm25"):
        api.mine(
            index=tmp_path / "index",
            pairs=str(stdlib / "pairs.parquet"),
            output=tmp_path / engine,
            bm25_engine=engine,
            top_k=20,
        )
        tables.append(pq.read_table(tmp_path / engine / "candidates"))
    ours, theirs = tables
    assert ours["doc_id"].to_pylist() == theirs["doc_id"].to_pylist()
    assert ours["bm25_rank"].to_pylist() == theirs["bm25_rank"].to_pylist()
    np.testing.assert_allclose(ours["bm25_score"], theirs["bm25_score"], rtol=0, atol=1e-6)


def test_one_configuration_runs_all_three_and_flags_win(stdlib, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        f"output: {tmp_path / 'runs'}\ncorpus: {stdlib / 'corpus.parquet'}\n"
        f"pairs: {stdlib / 'pairs.parquet'}\nbuild-index: {{dense: false}}\n"
        "mine: {top-k: 12}\nnum-negatives: 2\nformat: n-tuple\n"
    )
    done = hnmine("run", "--config", file, "--num-negatives", 1, "--json")
    assert done.returncode == 0, done.stderr
    _, candidates, mined = json.loads(done.stdout)
    assert candidates["counts"]["candidates_from_bm25"] <= 12 * 40
    assert mined["counts"]["negatives_asked"] == 40
    train = rows(tmp_path / "runs" / "mined" / "train")
    assert set(train[0]) == {"query", "positive", "negative_1"}


def test_positives_alone_can_be_the_corpus(tmp_path):
    pairs = write(
        tmp_path / "p.jsonl.parquet",
        anchor=["red apple", "green pear", "red apple"],
        answer=["apples are red", "pears are green", "an apple, red"],
    )
    api.build_index(pairs=str(pairs), index=tmp_path / "i", dense=False)
    result = api.mine(index=tmp_path / "i", pairs=str(pairs), output=tmp_path / "c")
    assert result.counts["queries"] == 2
    assert result.counts["positives"] == 3
    api.filter(candidates=tmp_path / "c", output=tmp_path / "m", default_rule=False)
    negatives = {(row["query"], row["negative"]) for row in rows(tmp_path / "m" / "train")}
    assert negatives == set()  # no word of either query stands in the other's positives


def test_ids_and_grades_of_a_beir_folder(tmp_path):
    corpus = write(
        tmp_path / "corpus.parquet",
        _id=[1, 2, 3, 4],
        title=["A", "", "C", "D"],
        text=["red apple", "a red apple indeed", "red apple tree", "apple"],
    )
    queries = write(tmp_path / "queries.parquet", _id=["q 1", "q2"], text=["red apple", "none"])
    qrels = write(
        tmp_path / "qrels.parquet",
        **{"query-id": ["q 1"] * 3, "corpus-id": [1, 2, 3], "score": [2, 1, 0]},
    )
    api.build_index(corpus=str(corpus), index=tmp_path / "i", dense=False)
    mined = api.mine(
        index=tmp_path / "i",
        queries=str(queries),
        qrels=str(qrels),
        output=tmp_path / "c",
        min_grade=2,
    )
    assert mined.counts["positives"] == 1
    assert mined.counts["queries_without_positive"] == 1
    table = rows(tmp_path / "c" / "candidates")
    assert {row["doc_id"] for row in table if row["is_positive"]} == {"1"}
    assert {row["doc_id"] for row in table if not row["is_positive"]} == {"2", "3", "4"}


def test_the_wrong_index_is_refused(run, tmp_path):
    pairs = write(tmp_path / "p.parquet", query=["a"], positive=["not in the index at all"])
    with pytest.raises(InputError, match="build-index pairs adds positives"):
        api.mine(index=run / "index", pairs=str(pairs), output=tmp_path / "c")
    with pytest.raises(InputError, match="No query has a positive"):
        api.mine(index=run / "index", pairs=str(pairs), output=tmp_path / "c", on_bad_row="skip")
    api.build_index(pairs=str(pairs), index=tmp_path / "other", dense=False)
    with pytest.raises(InputError, match="not the one"):
        api.filter(candidates=run / "candidates", output=tmp_path / "m", index=tmp_path / "other")
    with pytest.raises(UsageError, match="has no dense part"):
        api.mine(
            index=tmp_path / "other", pairs=str(pairs), output=tmp_path / "c2", source=["dense"]
        )


def test_a_trainer_takes_the_training_data_as_it_is(run, tmp_path):
    from datasets import load_dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    from hnmine.encode.locate import find_model

    data = load_dataset(
        "parquet",
        data_files=str(run / "mined" / "train" / "*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    by_card = load_dataset(str(run / "mined"), split="train", cache_dir=str(tmp_path / "cache"))
    assert by_card.column_names == data.column_names == ["query", "positive", "negative"]
    assert by_card.num_rows == data.num_rows
    model = SentenceTransformer(str(find_model(ENCODER)), device="cpu")
    model.max_seq_length = 32
    before = model.encode("a path")
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path / "model"),
            max_steps=1,
            per_device_train_batch_size=4,
            report_to=[],
            use_cpu=True,
            save_strategy="no",
        ),
        train_dataset=data,
        loss=MultipleNegativesRankingLoss(model),
    )
    assert trainer.train().training_loss > 0
    assert not np.array_equal(before, model.encode("a path"))
