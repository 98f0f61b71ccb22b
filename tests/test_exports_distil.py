"""Exports for distillation and for Snowflake's and NVIDIA's trainers, read as those read them."""

from __future__ import annotations

import json
import math
import os
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ENCODER, rows, write
from datasets import load_dataset

import hnmine as api
from hnmine.directories.mined import Mined
from hnmine.encode.locate import find_model
from hnmine.errors import UsageError
from hnmine.exports.kd import LONGEST
from hnmine.exports.teacher_scores import PIN, TEACHER_TEMPERATURE
from hnmine.inputs.texts import Texts

ASKED = 2
MARGIN = 0.1
NAMES = ("kd", "embed-distill", "arctic", "nemo")


@pytest.fixture(scope="module")
def world(stdlib, tmp_path_factory):
    """Docstrings with vectors: ids with blanks and quotes, a query with two positives."""
    root = tmp_path_factory.mktemp("distil")
    pairs, corpus = rows(stdlib / "pairs.parquet")[:12], rows(stdlib / "corpus.parquet")
    known = {pair["positive_id"] for pair in pairs}
    corpus = [row for row in corpus if row["id"] in known] + corpus[:60]
    corpus = list({row["id"]: row for row in corpus}.values())
    name = {row["id"]: f'd "{n}"\t/{row["id"]}' for n, row in enumerate(corpus)}
    named = [(f"q {n}\n", pair["query"], pair["positive_id"]) for n, pair in enumerate(pairs)]
    named.append((*named[4][:2], next(row["id"] for row in corpus if row["id"] not in known)))
    ids, queries, positives = map(list, zip(*named, strict=True))
    write(
        root / "corpus.parquet",
        id=[name[row["id"]] for row in corpus],
        text=[row["text"] for row in corpus],
    )
    given = {"pairs": str(root / "p.parquet"), "corpus": str(root / "corpus.parquet")}
    texts = {row["id"]: row["text"] for row in corpus}
    write(
        root / "p.parquet",
        query_id=ids,
        query=queries,
        positive_id=[name[one] for one in positives],
        positive=[texts[one] for one in positives],
    )
    api.build_index(**given, encoder=ENCODER, index=root / "i")
    api.mine(index=root / "i", pairs=given["pairs"], output=root / "c", block_size=5, top_k=24)
    api.filter(
        candidates=root / "c", output=root / "m", score="dense", margin=MARGIN, order="dense_rank",
        num_negatives=ASKED,
    )  # fmt: skip
    return root


@pytest.fixture(scope="module")
def exported(world):
    return {n: api.export(mined=world / "m", to=n, output=world / n).path for n in NAMES}


@pytest.fixture(scope="module")
def texts(world):
    """Texts of queries and documents by id."""
    found = []
    for folder in ("c/queries", "i/documents"):
        texts = Texts(world / folder)
        every = np.arange(len(texts))
        found.append(dict(zip(texts.id_array(every).to_pylist(), texts.texts(every), strict=True)))
    return found


@pytest.fixture(scope="module")
def scored(world):
    """The rows of scored/ by query, those of positives and of candidates with a score."""
    found = defaultdict(lambda: ([], []))
    for row in rows(world / "m" / "scored"):
        if row["label"] == 1:
            found[row["query_id"]][0].append(row)
        elif not row["is_query"] and row["score"] is not None:
            found[row["query_id"]][1].append(row)
    assert len(found) == 12 and sum(len(positives) for positives, _ in found.values()) == 13
    return found


@pytest.mark.parametrize("scores", [None, "dense", "2 * dense_score - 1"])
def test_a_teacher_that_puts_positives_deep_is_named(world, scored, tmp_path, monkeypatch, scores):
    logs, pool = [], []
    for positives, candidates in scored.values():
        best = max(row["score"] for row in positives)
        others = [row["score"] for row in candidates if not row["is_positive"]]
        logs.append(np.log1p(sum(score > best for score in others)))
        pool.append(len(others))
    rank = np.expm1(np.mean(logs))
    said = f"the teacher puts {rank:.0f} of {np.mean(pool):.0f} candidates above a known positive"
    asked = {} if scores is None else {"scores": scores}
    for deep, expected in ((rank - 1e-9, True), (rank + 1e-9, False)):
        monkeypatch.setattr("hnmine.exports.kd.DEEP", deep)
        found = api.export(
            mined=world / "m", to="kd", output=tmp_path / "e", overwrite=True, **asked
        )
        assert any(said in note for note in found.notes) is expected


def loaded(folder, config):
    return load_dataset(str(folder), config, split="train", cache_dir=str(folder.parent / "cache"))


class TestKd:
    def lists(self, folder):
        return list(loaded(folder, "train"))

    def test_every_scored_candidate_is_listed_with_its_score_and_verdict(self, exported, scored):
        found = self.lists(exported["kd"])
        wanted = [(query, one) for query, (known, _) in scored.items() for one in known]
        assert len(found) == len(wanted)
        for row, (query, positive) in zip(found, wanted, strict=True):
            assert (row["query_id"], row["document_ids"][0]) == (query, positive["doc_id"])
            listed = [positive, *scored[query][1]]
            by_id = {one["doc_id"]: [one["score"], one["keep"]] for one in listed}
            names = ("document_ids", "raw_scores", "keep")
            seen = {one: rest for one, *rest in zip(*(row[name] for name in names), strict=True)}
            assert seen == by_id and len(row["document_ids"]) == len(listed)
        assert not all(flag for row in found for flag in row["keep"][1:])

    def test_scores_are_scaled_and_the_positive_is_on_top(self, exported, scored):
        raw = [one["score"] for both in scored.values() for part in both for one in part]
        low, high = np.percentile(raw, [1, 99])
        for row in self.lists(exported["kd"]):
            scaled = (np.array(row["raw_scores"]) - low) / (high - low)
            assert row["scores"][1:] == pytest.approx(scaled[1:])
            assert row["scores"][0] == pytest.approx(max(scaled[0], scaled[1:].max() + PIN))

    def test_the_threshold_is_where_the_rule_cuts(self, exported):
        passed = 0
        for row in self.lists(exported["kd"]):
            below = [score <= row["threshold"] + 1e-9 for score in row["scores"][1:]]
            for passes, keep in zip(below, row["keep"][1:], strict=True):
                assert passes or not keep  # Near copies are dropped below it, too.
            assert row["threshold"] < row["scores"][0]
            passed += sum(below)
        assert passed

    @pytest.mark.parametrize(
        ("rules", "scores", "cut"),
        [
            ({"relative_margin": 0.2}, None, lambda anchor: anchor - 0.2 * abs(anchor)),
            ({"max_score": 0.4}, "dense", lambda anchor: 0.4),
            ({"max_score": 0.4, "margin": 0.3}, None, lambda anchor: min(0.4, anchor - 0.3)),
            ({"max_score": 0.4}, "bm25", None),
            ({}, None, None),
        ],
    )
    def test_each_rule_has_its_threshold(self, world, tmp_path, rules, scores, cut):
        api.filter(candidates=world / "c", output=tmp_path / "m", score="dense", **rules)
        asked = {"scores": scores} if scores else {}
        api.export(mined=tmp_path / "m", to="kd", output=tmp_path / "e", **asked)
        anchors = {row["query_id"]: row["positive_score"] for row in rows(tmp_path / "m/scored")}
        for row in self.lists(tmp_path / "e"):
            if cut is None:
                assert row["threshold"] is None
                continue
            raw, scaled = np.array(row["raw_scores"][1:]), np.array(row["scores"][1:])
            slope, offset = np.polyfit(raw, scaled, 1)
            expected = slope * cut(anchors[row["query_id"]]) + offset
            assert row["threshold"] == pytest.approx(expected, abs=1e-6)

    def test_sentence_transformers_trains_on_it_as_it_is(self, exported, scored, texts, tmp_path):
        from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
        from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss
        from sentence_transformers.sentence_transformer.training_args import (
            SentenceTransformerTrainingArguments,
        )

        rows = load_dataset(str(exported["kd"]), split="train", cache_dir=str(tmp_path / "cache"))
        length = len(rows.column_names) - 2
        others = [f"negative_{n}" for n in range(1, length)]
        assert rows.column_names == ["query", "positive", *others, "label"]
        enough = sorted(len(candidates) for _, candidates in scored.values())
        assert length == min(LONGEST, 1 + enough[math.floor(0.1 * (len(enough) - 1))]) > 10
        by_id = {row["document_ids"][0]: row for row in self.lists(exported["kd"])}
        by_text = {(texts[0][row["query_id"]], texts[1][one]): row for one, row in by_id.items()}
        for row in rows:
            whole = by_text[row["query"], row["positive"]]
            wanted = [texts[1][one] for one in whole["document_ids"][1:length]]
            assert [row[name] for name in others] == wanted
            assert row["label"] == whole["scores"][:length]
        model = SentenceTransformer(str(find_model(ENCODER)), device="cpu")
        arguments = SentenceTransformerTrainingArguments(
            str(tmp_path / "t"), per_device_train_batch_size=2, max_steps=1, report_to="none",
            use_cpu=True, save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        loss = DistillKLDivLoss(
            model, student_temperature=0.05, teacher_temperature=TEACHER_TEMPERATURE
        )
        trainer = SentenceTransformerTrainer(model, arguments, train_dataset=rows, loss=loss)
        before = [one.clone() for one in model.parameters()]
        assert 0 < trainer.train().training_loss < 1
        assert any((a != b).any() for a, b in zip(before, model.parameters(), strict=True))

    def test_pylate_reads_it(self, exported, texts):
        """After pylate.utils.KDProcessing.transform: an index by id, and the first n_ways."""
        train, queries, documents = (
            loaded(exported["kd"], name) for name in ("train", "queries", "documents")
        )
        query_at = {one: n for n, one in enumerate(queries["query_id"])}
        document_at = {one: n for n, one in enumerate(documents["document_id"])}
        for row in train:
            ids, scores = row["document_ids"][:8], row["scores"][:8]
            assert queries[query_at[row["query_id"]]]["text"] == texts[0][row["query_id"]]
            assert [documents[document_at[one]]["text"] for one in ids] == [
                texts[1][one] for one in ids
            ]
            assert max(scores) == scores[0] and np.ptp(scores[1:]) > 0

    def test_flagembedding_reads_it(self, exported, scored, texts):
        """After FlagEmbedding's AbsEmbedderTrainDataset with knowledge_distillation."""
        folder = exported["kd"] / "flagembedding"
        files = [one.name for one in folder.iterdir() if one.suffix in (".json", ".jsonl")]
        assert files == ["train.jsonl"]
        data = load_dataset(
            "json", data_files=str(folder / files[0]), split="train", cache_dir=str(folder / "..")
        )
        whole = {row["document_ids"][0]: row for row in self.lists(exported["kd"])}
        for row, (query, (known, candidates)) in zip(data, scored.items(), strict=True):
            assert row["query"] == texts[0][query]
            assert row["pos"] == [texts[1][one["doc_id"]] for one in known]
            assert sorted(row["neg"]) == sorted(texts[1][one["doc_id"]] for one in candidates)
            scores = whole[known[0]["doc_id"]]["scores"]
            assert row["neg_scores"] == pytest.approx(np.array(scores[1:]) / TEACHER_TEMPERATURE)
            assert row["pos_scores"][0] == pytest.approx(scores[0] / TEACHER_TEMPERATURE)
            group = random.Random(0).sample(range(len(row["neg"])), 7)
            teacher = [row["pos_scores"][0], *(row["neg_scores"][n] for n in group)]
            chance = np.exp(teacher) / np.exp(teacher).sum()
            assert chance.argmax() == 0 and np.isfinite(chance).all()

    def test_a_query_without_negatives_still_has_its_list(self, world, tmp_path):
        api.filter(candidates=world / "c", output=tmp_path / "m", where=["false"])
        api.export(mined=tmp_path / "m", to="kd", output=tmp_path / "e")
        found = self.lists(tmp_path / "e")
        assert len(found) == 13 and not any(any(row["keep"]) for row in found)

    def test_without_candidates_the_files_have_their_columns(self, world, tmp_path):
        """--query-where leaves no query with a positive."""
        api.filter(candidates=world / "c", output=tmp_path / "m", query_where="false")
        api.export(mined=tmp_path / "m", to="kd", output=tmp_path / "e")
        table = pq.read_table(tmp_path / "e" / "train.parquet")
        assert (len(table), table.column_names[:2]) == (0, ["query_id", "document_ids"])
        assert "label" in pq.read_schema(tmp_path / "e" / "lists.parquet").names
        for name in ("arctic", "nemo"):
            api.export(mined=tmp_path / "m", to=name, output=tmp_path / name)
        assert json.loads((tmp_path / "nemo" / "train.json").read_text())["data"] == []
        schema = pq.read_schema(tmp_path / "arctic" / "labels.parquet")
        assert schema.field("RELEVANCE").type == pa.int8()

    @pytest.mark.parametrize("at_once", [1, 2, 256])
    def test_parts_and_blocks_do_not_change_the_lists(
        self, world, exported, tmp_path, monkeypatch, at_once
    ):
        monkeypatch.setattr("hnmine.exports.kd.QUERIES_AT_ONCE", at_once)
        given = {"index": world / "i", "pairs": str(world / "p.parquet"), "top_k": 24}
        api.mine(**given, output=tmp_path / "c")
        api.filter(
            candidates=tmp_path / "c", output=tmp_path / "m", score="dense", margin=MARGIN,
            order="dense_rank", num_negatives=ASKED,
        )  # fmt: skip
        assert len(Mined(world / "m").parts) > len(Mined(tmp_path / "m").parts)
        api.export(mined=tmp_path / "m", to="kd", output=tmp_path / "e")
        texts = "flagembedding/train.jsonl"
        assert (exported["kd"] / texts).read_text() == (tmp_path / "e" / texts).read_text()
        for file in Path(exported["kd"]).rglob("*.parquet"):
            whole = pq.read_table(tmp_path / "e" / file.relative_to(exported["kd"]))
            assert pq.read_table(file).to_pylist() == whole.to_pylist()


class TestEmbedDistill:
    def test_texts_come_with_their_vectors(self, exported, texts, tmp_path):
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(find_model(ENCODER)), device="cpu")
        for config, wanted in zip(("queries", "documents"), texts, strict=True):
            found = loaded(exported["embed-distill"], config)
            assert found.column_names == ["text", "label"]
            assert sorted(found["text"]) == sorted(set(wanted.values()))
            teacher = model.encode(list(found["text"]), normalize_embeddings=True)
            assert (np.array(found["label"]) * teacher).sum(axis=1) == pytest.approx(1, abs=0.01)

    def test_sentence_transformers_trains_on_it_as_it_is(self, exported, tmp_path):
        from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
        from sentence_transformers.sentence_transformer.losses import EmbedDistillLoss
        from sentence_transformers.sentence_transformer.training_args import (
            SentenceTransformerTrainingArguments,
        )

        folder = exported["embed-distill"]
        model = SentenceTransformer(str(find_model(ENCODER)), device="cpu")
        arguments = SentenceTransformerTrainingArguments(
            str(tmp_path), per_device_train_batch_size=4, max_steps=2, report_to="none",
            use_cpu=True, save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        trainer = SentenceTransformerTrainer(
            model,
            arguments,
            train_dataset={name: loaded(folder, name) for name in ("queries", "documents")},
            loss=EmbedDistillLoss(model),
        )
        assert trainer.train().training_loss < 0.1  # The student is the teacher.

    def test_an_index_without_vectors_is_refused_before_anything_is_written(self, world, tmp_path):
        given = {"pairs": str(world / "p.parquet")}
        api.build_index(**given, dense=False, index=tmp_path / "i")
        api.mine(index=tmp_path / "i", **given, output=tmp_path / "c")
        api.filter(candidates=tmp_path / "c", output=tmp_path / "m")
        with pytest.raises(UsageError, match="this index has none"):
            api.export(mined=tmp_path / "m", to="embed-distill", output=tmp_path / "e")
        assert not (tmp_path / "e").exists()


def chosen(scored):
    """Positives and negatives of each query that has all negatives asked for, the best first."""
    found = {}
    for query, (known, candidates) in scored.items():
        negatives = sorted((one["place"], one["doc_id"]) for one in candidates if one["selected"])
        if len(negatives) == ASKED:
            found[query] = [one["doc_id"] for one in known], [one for _, one in negatives]
    assert found
    return found


def test_arctic_reads_its_tables(exported, scored, texts):
    """After arctic_embed: load_id_to_text_map_from_parquet, pretokenize_and_batch_mined_data."""
    folder = exported["arctic"]
    maps = []
    for name, kind in (("queries", "QUERY"), ("documents", "DOCUMENT")):
        table = pq.read_table(folder / f"{name}.parquet", columns=[f"{kind}_ID", f"{kind}_TEXT"])
        assert table.schema.types == [pa.uint64(), pa.string()]
        maps.append(pd.Series(table[f"{kind}_TEXT"].to_numpy(), index=table[f"{kind}_ID"]))
    labels = pd.read_parquet(folder / "labels.parquet")
    assert labels.dtypes.tolist() == [np.uint64, np.uint64, np.int8]
    rows_of = labels.groupby("QUERY_ID").indices
    found = {}
    for query in labels["QUERY_ID"].astype(np.uint64).unique():
        own = labels.iloc[rows_of[query]]
        positive = own["RELEVANCE"] > 0
        assert set(own["RELEVANCE"][~positive]) == {-1}
        parts = [maps[1].loc[own["DOCUMENT_ID"][rows]].tolist() for rows in (positive, ~positive)]
        assert len(parts[1]) == ASKED  # Its batches assert that a query has as many as asked.
        found[maps[0].loc[query]] = tuple(parts)
    assert found == {
        texts[0][query]: tuple([texts[1][one] for one in part] for part in both)
        for query, both in chosen(scored).items()
    }
    names = {
        kind: {row[f"{kind.upper()}_ID"]: row[f"{kind}_id"] for row in map(json.loads, lines)}
        for kind in ("query", "document")
        for lines in [(folder / f"{kind}_ids.jsonl").read_text("utf-8").splitlines()]
    }
    assert {names["query"][query] for query in rows_of} == set(chosen(scored))
    assert all(texts[1][names["document"][n]] == text for n, text in maps[1].items())


def read_nemo(path: Path):
    """After nemo_automodel's retrieval_dataset.load_datasets and TextQADataset."""
    data = json.loads(path.read_text("utf-8"))
    corpora = data["corpus"] if isinstance(data["corpus"], list) else [data["corpus"]]
    by_id = {}
    for corpus in corpora:
        place = os.path.normpath(path.parent / corpus["path"])
        metadata = json.loads(Path(place, "merlin_metadata.json").read_text("utf-8"))
        assert metadata["class"] == "TextQADataset"
        documents = load_dataset(place)["train"]
        at = {str(one): n for n, one in enumerate(documents["id"])}
        by_id[metadata["corpus_id"]] = documents, at
    for item in data["data"]:
        assert item["pos_doc"] and item["neg_doc"]
        documents, at = by_id[item["corpus_id"]]
        yield (
            (item["question_id"], item["question"]),
            *(
                [(one["id"], documents[at[one["id"]]]["text"]) for one in item[name]]
                for name in ("pos_doc", "neg_doc")
            ),
        )


def test_nemo_reads_its_data_from_wherever_it_lies(
    world, exported, scored, texts, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    wanted = chosen(scored)
    found = {
        query: ([one for one, _ in positives], [one for one, _ in negatives])
        for (query, text), positives, negatives in read_nemo(exported["nemo"] / "train.json")
        if texts[0][query] == text
        and all(texts[1][one] == text for one, text in (*positives, *negatives))
    }
    assert {query: both for query, both in found.items() if query in wanted} == wanted
    assert len(found) == sum(any(one["selected"] for one in both[1]) for both in scored.values())
    # Another export's folder has the same name: its texts must not come from the cache.
    api.filter(candidates=world / "c", output=tmp_path / "m", order="-dense_rank")
    api.export(mined=tmp_path / "m", to="nemo", output=tmp_path / "other")
    others = list(read_nemo(tmp_path / "other" / "train.json"))
    assert others and all(
        texts[1][one] == text for _, *both in others for part in both for one, text in part
    )
    ids = {
        row["corpus_id"] for row in json.loads((tmp_path / "other/train.json").read_text())["data"]
    }
    assert ids.isdisjoint(
        row["corpus_id"]
        for row in json.loads((exported["nemo"] / "train.json").read_text())["data"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_each_time(world, exported, tmp_path, name):
    again = api.export(mined=world / "m", to=name, output=tmp_path / "again").path
    for file in Path(exported[name]).rglob("*"):
        if file.is_file() and ".hnmine" not in file.parts and file.suffix in (".parquet", ".json*"):
            assert file.read_bytes() == (again / file.relative_to(exported[name])).read_bytes()
