"""Formats of other trainers, read back: by their consumers' code, or by the documented schema."""

from __future__ import annotations

import csv
import json
import shutil
from collections import defaultdict

import ir_measures
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ENCODER, content, hnmine, rows, write
from datasets import load_dataset

import hnmine as api
from hnmine.audit.auditing import audit
from hnmine.config import AuditSettings, FilterSettings
from hnmine.directories import parts
from hnmine.directories.mined import Mined
from hnmine.encode.locate import find_model
from hnmine.errors import InputError, UsageError
from hnmine.exports import EXPORTS
from hnmine.exports.row_files import write_rows
from hnmine.inputs.texts import Texts

EVERY = {name: EXPORTS[name].load() for name in EXPORTS.own}
FORMATS = {name: form for name, form in EVERY.items() if not form.vectors}
"""Those that BM25 alone suffices for; test_exports_distil.py has the others."""
ASKED = 3
FILTER = {
    "num_negatives": ASKED,
    "where": ["query_id <> 'q0' and (query_id <> 'q1' or rank < 1)"],
}


@pytest.fixture(scope="module")
def world(stdlib, tmp_path_factory):
    """Docstrings; some queries have two positives, q0 gets no negative, q1 one of three.

    A document is the text of q3.
    """
    root = tmp_path_factory.mktemp("exports")
    pairs, corpus = rows(stdlib / "pairs.parquet"), rows(stdlib / "corpus.parquet")
    known = {pair["positive_id"] for pair in pairs}
    others = [document for document in corpus if document["id"] not in known]
    table = [(f"q{n}", p["query"], p["positive_id"], p["positive"]) for n, p in enumerate(pairs)]
    table += [
        (*row[:2], one["id"], one["text"]) for row, one in zip(table[5:9], others, strict=False)
    ]
    names = ("query_id", "query", "positive_id", "positive")
    columns = dict(zip(names, map(list, zip(*table, strict=True)), strict=True))
    pairs_file = str(write(root / "p.parquet", **columns))
    documents = [(row["id"], row["text"]) for row in corpus] + [("itself", pairs[3]["query"])]
    ids, texts = map(list, zip(*documents, strict=True))
    write(root / "corpus.parquet", id=ids, text=texts)
    api.build_index(
        corpus=str(root / "corpus.parquet"), pairs=pairs_file, index=root / "i", dense=False
    )
    api.mine(index=root / "i", pairs=pairs_file, output=root / "c", top_k=20, block_size=16)
    api.filter(candidates=root / "c", output=root / "m", **FILTER)
    return root


@pytest.fixture(scope="module")
def truth(world):
    """By query id its text, positives and negatives, the best first: (id, text, score) each."""
    documents = Mined(world / "m").candidates.index.documents
    every = np.arange(len(documents))
    texts = dict(zip(documents.id_array(every).to_pylist(), documents.texts(every), strict=True))
    queries = {row["query_id"]: row["query"] for row in rows(world / "p.parquet")}
    positives, negatives = defaultdict(list), defaultdict(list)
    for row in rows(world / "m" / "scored"):
        document = (row["doc_id"], texts[row["doc_id"]], row["score"])
        if row["label"] == 1:
            positives[row["query_id"]].append(document)
        elif row["selected"]:
            negatives[row["query_id"]].append((row["place"], document))
    found = {
        query: (queries[query], positives[query], [one for _, one in sorted(chosen)])
        for query, chosen in negatives.items()
    }
    assert len(found) == len(queries) - 1
    assert len(found["q1"][2]) == 1
    assert max(len(positives) for _, positives, _ in found.values()) == 2
    return found


@pytest.fixture(scope="module")
def exported(world):
    """Every format, by name."""
    return {
        name: api.export(mined=world / "m", to=name, output=world / name).path for name in FORMATS
    }


def loaded(folder, config="train"):
    return load_dataset(str(folder), config, split="train", cache_dir=str(folder.parent / "cache"))


def by_text(truth, scores=False, full=False):
    """What contrastive formats hold: text, positives, negatives, in order."""
    return [
        (
            query,
            [(text, score) if scores else text for _, text, score in positives],
            [(text, score) if scores else text for _, text, score in negatives],
        )
        for query, positives, negatives in truth.values()
        if not full or len(negatives) == ASKED
    ]


def by_positive(found):
    return [(query, [one], negatives) for query, positives, negatives in found for one in positives]


def flat(text):
    return " ".join(text.split())


def tsv(path):
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()]


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_format_is_described_and_the_layouts_of_filter_are_formats():
    assert all(entry.description for entry in EXPORTS.own.values())
    layouts = [name for name, form in FORMATS.items() if form.layout]
    said = FilterSettings.model_fields["format"].description
    assert f": {', '.join(layouts)}, or one" in said


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_the_same_each_time_and_nothing_else_is_written(world, exported, tmp_path, name):
    again = api.export(mined=world / "m", to=name, output=tmp_path / "again")
    assert content(again.path) == content(exported[name])
    assert set(content(again.path)) == {*FORMATS[name].files, "README.md", "manifest.json"}
    assert again.counts.keys() == FORMATS[name].files.keys()
    assert again.manifest["mined"] == Mined(world / "m").hash
    for config, file in FORMATS[name].configs.items():
        assert len(loaded(again.path, config)) == again.counts[file]


@pytest.mark.parametrize(
    "name, scores",
    [
        *(("triplet", None), ("n-tuple", None), ("ms-swift-embedding", None), ("arctic", None)),
        *(("beir", None), ("colbert", None), ("colbert", "bm25"), ("flagembedding", None)),
    ],
)
def test_the_last_lines_say_what_is_left_out(world, truth, tmp_path, name, scores):
    asked = Mined(world / "m").manifest.settings.num_negatives
    queries = len({row["query_id"] for row in rows(world / "m" / "scored")})
    without = queries - len(truth)
    short = sum(len(negatives) < asked for _, _, negatives in truth.values())
    flags = ["--scores", scores] if scores else []
    done = hnmine("export", world / "m", "--to", name, "--output", tmp_path / "e", *flags, "--json")
    assert done.returncode == 0, done.stderr
    [note] = json.loads(done.stdout)["notes"]
    assert note.startswith(f"Left out of {queries} queries: {without} without a negative")
    full = name in ("n-tuple", "ms-swift-embedding", "arctic") or scores is not None
    assert (f"{short} with fewer than {asked} negatives" in note) is full
    assert without and short


@pytest.mark.parametrize("name", ["labeled-pair", "trec"])
def test_formats_that_keep_every_query_say_nothing(world, truth, tmp_path, name):
    queries = sorted({row["query_id"] for row in rows(world / "m" / "scored")})
    assert len(queries) > len(truth)
    found = api.export(mined=world / "m", to=name, output=tmp_path / "e")
    assert not [note for note in found.notes if "eft out" in note]
    if name == "trec":
        written = {line.split()[0] for line in (found.path / "run.txt").read_text().splitlines()}
        assert len(written) == len(queries)
    else:
        table = pq.read_table(found.path / "train.parquet")
        texts = Mined(world / "m").candidates.queries.texts
        assert set(table["query"].to_pylist()) == set(texts.texts(texts.find_ids(queries)))


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.layout])
def test_the_layouts_are_those_of_filter(world, exported, tmp_path, name):
    api.filter(candidates=world / "c", output=tmp_path / "m", format=name, **FILTER)
    ours = pq.read_table(exported[name] / "train.parquet")
    assert ours.equals(pq.read_table(tmp_path / "m" / "train").cast(ours.schema))
    api.filter(
        candidates=world / "c", output=tmp_path / "s", format=name, output_scores=True, **FILTER
    )
    api.export(mined=world / "m", to=name, output=tmp_path / "e", scores="score")
    ours = pq.read_table(tmp_path / "e" / "train.parquet")
    assert ours.equals(pq.read_table(tmp_path / "s" / "train").cast(ours.schema))


def test_sentence_transformers_distils_with_the_scores(world, truth, tmp_path):
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss, MarginMSELoss
    from sentence_transformers.sentence_transformer.training_args import (
        SentenceTransformerTrainingArguments,
    )

    api.export(mined=world / "m", to="n-tuple", output=tmp_path / "e", scores="bm25")
    rows = loaded(tmp_path / "e")
    assert rows[0]["scores"] == [score for _, _, score in (*truth["q2"][1], *truth["q2"][2])]
    model = SentenceTransformer(str(find_model(ENCODER)), device="cpu")
    arguments = SentenceTransformerTrainingArguments(
        str(tmp_path / "t"), per_device_train_batch_size=2, report_to="none", use_cpu=True
    )
    for loss in (MarginMSELoss(model), DistillKLDivLoss(model)):
        trainer = SentenceTransformerTrainer(model, arguments, train_dataset=rows, loss=loss)
        batch = next(iter(trainer.get_train_dataloader()))
        texts, labels = trainer.collect_features(batch)
        assert (len(texts), labels.shape) == (ASKED + 2, (2, ASKED + 1))
        assert 0 < trainer.compute_loss(model, batch).item() < np.inf


def test_flagembedding(world, truth, tmp_path):
    api.export(mined=world / "m", to="flagembedding", output=tmp_path / "e", prompt="Find it: ")
    found = loaded(tmp_path / "e")
    assert set(found.column_names) == {
        "query", "pos", "neg", "pos_scores", "neg_scores", "prompt"
    }  # fmt: skip
    assert [
        (
            row["query"],
            list(zip(row["pos"], row["pos_scores"], strict=True)),
            list(zip(row["neg"], row["neg_scores"], strict=True)),
        )
        for row in found
    ] == by_text(truth, scores=True)
    assert set(found["prompt"]) == {"Find it: "}
    # Given a folder, FlagEmbedding reads every .json and .jsonl file in it, a manifest too.
    assert [file.name for file in (tmp_path / "e" / "data").iterdir()] == ["train.jsonl"]


def test_tevatron(exported, truth):
    rows = loaded(exported["tevatron"])
    assert [row["query_id"] for row in rows] == list(truth)
    assert [
        (
            row["query"],
            *(
                [(one["docid"], one["text"]) for one in row[f"{kind}_passages"]]
                for kind in ("positive", "negative")
            ),
        )
        for row in rows
    ] == [
        (query, *([one[:2] for one in documents] for documents in both))
        for query, *both in truth.values()
    ]
    assert set(rows.features["positive_passages"].feature) == {"docid", "text"}


def test_tevatron_with_ids(exported, truth):
    texts = {row["docid"]: row["text"] for row in loaded(exported["tevatron-ids"], "corpus")}
    rows = loaded(exported["tevatron-ids"])
    assert [
        (
            row["query_text"],
            [texts[one] for one in row["positive_document_ids"]],
            [texts[one] for one in row["negative_document_ids"]],
        )
        for row in rows
    ] == by_text(truth)
    assert set(texts) == {one[0] for _, *both in truth.values() for part in both for one in part}
    assert rows["query_image"][0] is None


def test_colbert(world, exported, truth, tmp_path):
    scored = tmp_path / "e"
    api.export(mined=world / "m", to="colbert", output=scored, scores="score")
    expected = [
        (flat(query), flat(*positive), flat(negative))
        for query, positive, negatives in by_positive(by_text(truth))
        for negative in negatives
    ]
    for folder in (exported["colbert"], scored):
        queries, documents = (
            tsv(folder / f"{name}.train.colbert.tsv") for name in ("queries", "corpus")
        )
        for numbered in (queries, documents):  # ColBERT asserts that a number is its line's.
            assert [int(number) for number, _ in numbered] == list(range(len(numbered)))
        ids = [row["query_id"] for row in lines(folder / "query_ids.jsonl")]
        assert ids == list(truth)
        names = [row["document_id"] for row in lines(folder / "document_ids.jsonl")]
        for (query, *passages), wanted in zip(
            lines(folder / "triples.train.colbert.jsonl"),
            expected if folder != scored else by_positive(by_text(truth, scores=True, full=True)),
            strict=True,
        ):
            if folder == scored:
                found = [(documents[number][1], score) for number, score in passages]
                pairs = [*wanted[1], *wanted[2]]
                assert found == [(flat(text), score) for text, score in pairs]
                assert queries[query][1] == flat(wanted[0])
            else:
                found = [documents[number][1] for number in passages]
                assert (queries[query][1], *found) == wanted
    assert names[0] in {one[0] for _, *both in truth.values() for part in both for one in part}


def test_dpr(exported, truth):
    found = json.loads((exported["dpr"] / "train.json").read_text("utf-8"))
    assert all(list(row) == [
        "dataset", "question", "answers", "positive_ctxs", "negative_ctxs", "hard_negative_ctxs"
    ] for row in found)  # fmt: skip
    assert [
        (
            row["question"],
            *(
                [(one["passage_id"], one["text"], one["score"]) for one in row[f"{kind}_ctxs"]]
                for kind in ("positive", "hard_negative")
            ),
        )
        for row in found
    ] == list(truth.values())
    assert found[0]["positive_ctxs"][0]["title"] == ""


def test_beir_and_mteb(world, exported, truth):
    grades = {
        query: {one[0]: grade for part, grade in ((found[1], 1), (found[2], 0)) for one in part}
        for query, found in truth.items()
    }
    folder = exported["beir"]
    with (folder / "qrels" / "train.tsv").open(encoding="utf-8") as file:
        qrels = defaultdict(dict)
        for row in csv.DictReader(file, delimiter="\t"):
            qrels[row["query-id"]][row["corpus-id"]] = int(row["score"])
    assert qrels == grades
    of_mteb = defaultdict(dict)
    for row in loaded(exported["mteb"], "default"):
        of_mteb[row["query-id"]][row["corpus-id"]] = row["score"]
    assert of_mteb == grades
    ranked = {row["query-id"]: row["corpus-ids"] for row in loaded(exported["mteb"], "top_ranked")}
    assert ranked == {query: list(documents) for query, documents in grades.items()}
    documents = Mined(world / "m").candidates.index.documents
    for corpus, queries in (
        (lines(folder / "corpus.jsonl"), lines(folder / "queries.jsonl")),
        (loaded(exported["mteb"], "corpus"), loaded(exported["mteb"], "queries")),
    ):
        assert {row["_id"]: row["text"] for row in queries} == {q: t[0] for q, t in truth.items()}
        assert [row["text"] for row in corpus] == documents.texts(np.arange(len(documents)))
        assert {row["title"] for row in corpus} == {""}


def test_what_is_exported_to_beir_can_be_mined_again(world, exported, truth, tmp_path):
    """Judgements of grade 0 are no positives."""
    folder = exported["beir"]
    settings = {"corpus": str(folder / "corpus.jsonl"), "index": tmp_path / "i", "dense": False}
    api.build_index(**settings)
    result = api.mine(
        index=tmp_path / "i",
        queries=str(folder / "queries.jsonl"),
        qrels=str(folder / "qrels" / "train.tsv"),
        output=tmp_path / "c",
    )
    assert result.counts["queries"] == len(truth)
    positives = {
        (row["query_id"], row["doc_id"])
        for row in rows(tmp_path / "c" / "candidates")
        if row["is_positive"]
    }
    assert positives == {(q, one[0]) for q, found in truth.items() for one in found[1]}


def test_ms_marco(exported, truth):
    folder = exported["msmarco"]
    queries = dict(tsv(folder / "queries.train.tsv"))
    collection = dict(tsv(folder / "collection.tsv"))
    assert [
        (queries[query], [collection[positive]], collection[negative])
        for query, positive, negative in tsv(folder / "qidpidtriples.train.tsv")
    ] == [
        (flat(query), [flat(*positive)], flat(negative))
        for query, positive, negatives in by_positive(by_text(truth))
        for negative in negatives
    ]
    qrels = list(ir_measures.read_trec_qrels(str(folder / "qrels.train.tsv")))
    assert {(one.query_id, one.doc_id) for one in qrels} == {
        (query, positive[0]) for query, found in truth.items() for positive in found[1]
    }


def test_trec(world, exported, truth):
    run = list(ir_measures.read_trec_run(str(exported["trec"] / "run.txt")))
    qrels = list(ir_measures.read_trec_qrels(str(exported["trec"] / "qrels.txt")))
    scored = rows(world / "m" / "scored")
    itself = [(row["query_id"], row["doc_id"]) for row in scored if row["is_query"]]
    assert itself == [("q3", "itself")]
    scored = [row for row in scored if not row["is_query"]]
    assert {(one.query_id, one.doc_id): one.score for one in run} == {
        (row["query_id"], row["doc_id"]): row["score"] for row in scored if row["score"] is not None
    }
    assert {(one.query_id, one.doc_id): one.relevance for one in qrels} == {
        (query, one[0]): grade
        for query, found in truth.items()
        for grade, part in ((1, found[1]), (0, found[2]))
        for one in part
    }
    ranks = defaultdict(list)
    for line in (exported["trec"] / "run.txt").read_text("utf-8").splitlines():
        query, _, _, rank, score, _ = line.split()
        ranks[query].append((int(rank), float(score)))
    for found in ranks.values():
        assert [rank for rank, _ in found] == list(range(1, len(found) + 1))
        assert sorted((score for _, score in found), reverse=True) == [score for _, score in found]
    assert 0 < ir_measures.calc_aggregate([ir_measures.RR], qrels, run)[ir_measures.RR] <= 1


def test_ms_swift(exported, truth):
    for name, role, expected in (
        ("ms-swift-embedding", "user", by_positive(by_text(truth, full=True))),
        ("ms-swift-reranker", "assistant", by_text(truth)),
    ):
        found = lines(exported[name] / "train.jsonl")
        assert [
            (
                row["messages"][0]["content"],
                [message[0]["content"] for message in row["positive_messages"]],
                [message[0]["content"] for message in row["negative_messages"]],
            )
            for row in found
        ] == expected
        assert {row["messages"][0]["role"] for row in found} == {"user"}
        assert {m[0]["role"] for row in found for m in row["negative_messages"]} == {role}
    # Its trainer would fill a short list up with the positive.
    assert len(by_text(truth)) > len(by_text(truth, full=True))


def test_scores_may_be_any_expression(world, truth, tmp_path):
    api.export(
        mined=world / "m",
        to="flagembedding",
        output=tmp_path / "e",
        scores="1 / (1 + exp(pos(bm25_score) - bm25_score))",
    )
    for row, (_, positives, negatives) in zip(loaded(tmp_path / "e"), truth.values(), strict=True):
        lowest = min(score for _, _, score in positives)
        for scores, documents in (("pos_scores", positives), ("neg_scores", negatives)):
            expected = [1 / (1 + np.exp(lowest - score)) for _, _, score in documents]
            assert row[scores] == pytest.approx(expected)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_no_file_holds_a_number_that_json_does_not_know(tmp_path, name, number):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_rows(tmp_path / name, name, [{"score": 1.0}, {"scores": [number]}])


class TestRefusals:
    def export(self, world, tmp_path, **settings):
        return api.export(**{"mined": world / "m", "output": tmp_path / "e", **settings})

    def test_a_wrong_format_lists_all(self, world, tmp_path):
        with pytest.raises(UsageError, match="'flagembeding' is none of") as error:
            self.export(world, tmp_path, to="flagembeding")
        assert all(name in str(error.value) for name in FORMATS)
        assert "Did you mean flagembedding" in str(error.value)

    def test_the_help_lists_all(self):
        shown = hnmine("export", "--help", env={"COLUMNS": "120", "PATH": ""}).stdout
        for name, entry in EXPORTS.own.items():
            assert any(
                line.split()[:1] == [name] and line.endswith(entry.description)
                for line in shown.splitlines()
            ), name

    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"to": "tevatron", "scores": "ce"}, UsageError, "tevatron has no scores"),
            ({"to": "dpr", "prompt": "Find"}, UsageError, "dpr has no field for it"),
            ({"to": "dpr", "scores": "bm52"}, UsageError, "no column 'bm52'"),
            ({"to": "dpr", "scores": "grade"}, InputError, "have no score 'grade'"),
            ({"to": "triplet", "scores": "1 / 0.0"}, InputError, "have no score"),
            ({"to": "dpr", "candidates": "elsewhere"}, InputError, "no directory elsewhere"),
        ],
    )
    def test_what_cannot_be_written_is_explained(self, world, tmp_path, settings, error, message):
        with pytest.raises(error, match=message):
            self.export(world, tmp_path, **settings)

    def test_what_is_not_its_own_is_kept(self, world, tmp_path):
        (tmp_path / "e").mkdir()
        (tmp_path / "e" / "train.jsonl").write_text("mine")
        with pytest.raises(InputError, match="was not written by hnmine"):
            self.export(world, tmp_path, to="tevatron", overwrite=True)
        assert (tmp_path / "e" / "train.jsonl").read_text() == "mine"
        with pytest.raises(InputError, match="directory of the stage mined"):
            self.export(world, tmp_path, to="tevatron", output=world / "m", overwrite=True)

    def test_another_export_replaces_it_only_when_asked(self, world, tmp_path):
        self.export(world, tmp_path, to="tevatron")
        with pytest.raises(InputError, match=r"settings\.to: .tevatron. -> .dpr."):
            self.export(world, tmp_path, to="dpr")
        self.export(world, tmp_path, to="dpr", overwrite=True)
        assert not (tmp_path / "e" / "train.jsonl").exists()

    def test_other_candidates_are_refused(self, world, tmp_path):
        again = {"index": world / "i", "pairs": str(world / "p.parquet"), "top_k": 5}
        api.mine(output=tmp_path / "c", **again)
        with pytest.raises(InputError, match="another hash"):
            self.export(world, tmp_path, to="dpr", candidates=tmp_path / "c")

    def test_a_directory_of_an_earlier_version_is_refused(self, world, tmp_path):
        shutil.copytree(world / "m", tmp_path / "m", ignore=shutil.ignore_patterns(".hnmine"))
        for file in (tmp_path / "m" / "scored").glob("*.parquet"):
            pq.write_table(pq.read_table(file).drop_columns("place"), file)
        with pytest.raises(InputError, match="no column 'place'"):
            self.export(world, tmp_path, mined=tmp_path / "m", to="dpr")

    @pytest.mark.parametrize(
        ("name", "field"),
        [("run.txt", "a b"), ("run.txt", "a\u2003b"), ("run.txt", ""), ("q.tsv", "a\tb"),
         ("q.tsv", "a\rb")],
    )  # fmt: skip
    def test_an_id_that_ends_its_field_is_refused(self, tmp_path, name, field):
        with pytest.raises(InputError, match="cannot hold the id"):
            write_rows(tmp_path / "f", name, [("fine", 1), (field, 2)])


class TestFromAnotherMiner:
    """What FlagEmbedding and sentence-transformers write comes in as candidates."""

    def mined(self, world, tmp_path, path, **settings):
        result = api.mine(
            index=world / "i",
            pairs=str(world / "p.parquet"),
            output=tmp_path / "c",
            source=["run"],
            from_run=[str(path)],
            **settings,
        )
        found = defaultdict(list)
        for row in rows(tmp_path / "c" / "candidates"):
            rank = row[f"run_{path.stem}_rank"]
            if rank is not None:
                place = (rank, row["doc_id"], row[f"run_{path.stem}_score"])
                found[row["query_id"]].append(place)
        return {query: [one[1:] for one in sorted(hits)] for query, hits in found.items()}, result

    @pytest.mark.parametrize("scores", [True, False])
    def test_flagembedding(self, world, exported, truth, tmp_path, scores):
        path = tmp_path / "fe.jsonl"
        table = lines(exported["flagembedding"] / "data" / "train.jsonl")
        for row in table:
            row |= {} if scores else {"pos_scores": None, "neg_scores": None}
        path.write_text("".join(json.dumps(row) + "\n" for row in table))
        found, result = self.mined(world, tmp_path, path)
        for query, (_, _, negatives) in truth.items():
            hits = [(document, score) for document, _, score in negatives]
            if scores:
                assert found[query] == sorted(hits, key=lambda hit: -hit[1])
            else:
                assert [document for document, _ in found[query]] == [hit[0] for hit in hits]
        assert result.counts["run_hits"] == sum(len(hits) for hits in found.values())

    @pytest.mark.parametrize("scores", [None, "score"])
    @pytest.mark.parametrize("name", ["triplet", "n-tuple"])
    def test_sentence_transformers(self, world, truth, tmp_path, name, scores):
        settings = {"scores": scores} if scores else {}
        api.export(mined=world / "m", to=name, output=tmp_path / "e", **settings)
        found, _ = self.mined(world, tmp_path, tmp_path / "e" / "train.parquet")
        for query, (_, _, negatives) in truth.items():
            if name == "triplet" or len(negatives) == ASKED:
                hits = [(document, score) for document, _, score in negatives]
                if scores:
                    assert found[query] == sorted(hits, key=lambda hit: -hit[1])
                else:
                    assert [document for document, _ in found[query]] == [hit[0] for hit in hits]

    def test_a_document_that_is_not_in_the_index_is_named(self, world, tmp_path):
        query = rows(world / "p.parquet")[3]["query"]
        path = write(tmp_path / "t.parquet", anchor=[query], positive=["p"], negative=["unheard"])
        with pytest.raises(
            InputError, match="1 bad row whose document is not in the index"
        ) as error:
            self.mined(world, tmp_path, path)
        assert "hit 0: unheard" in str(error.value)

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"query": ["q"], "neg": [[1, 2]]}, "row 0: 1 is not text"),
            ({"query": [None], "negative": ["n"]}, "row 0: None is not text"),
            (
                {"query": ["q"], "neg": [["n"]], "neg_scores": [[1.0, 2.0]]},
                "scores and negatives differ",
            ),
        ],
    )
    def test_a_row_that_makes_no_sense_is_named(self, world, tmp_path, columns, message):
        with pytest.raises(InputError, match=message):
            self.mined(world, tmp_path, write(tmp_path / "t.parquet", **columns))


FULL = {"n-tuple", "ms-swift-embedding", "arctic"}
ALL_CANDIDATES = {"trec", "kd"}
WITH_IDS = {
    "nemo",
    "kd",
    "trec",
    "tevatron",
    "tevatron-ids",
    "colbert",
    "beir",
    "mteb",
    "msmarco",
}


class TestReadBack:
    """What export writes comes back by --pairs and --from-run, whatever the format."""

    def expected(self, truth, name):
        found = {}
        for query_id, (query, positives, negatives) in truth.items():
            if name not in FULL or len(negatives) == ASKED:
                named = flat(query) if name not in WITH_IDS else query_id
                ids = name in WITH_IDS
                lists = [
                    sorted(document if ids else flat(text) for document, text, _ in documents)
                    for documents in (positives, negatives)
                ]
                found[named] = tuple(lists)
        return found

    def found(self, name, candidates, index):
        documents, queries = Texts(index / "documents"), Texts(candidates / "queries")
        table = rows(candidates / "candidates")
        lists = defaultdict(lambda: ([], []))
        for row in table:
            rank = next(
                value
                for key, value in row.items()
                if key.startswith("run_") and key.endswith("_rank")
            )
            if name in WITH_IDS:
                query, document = row["query_id"], row["doc_id"]
            else:
                query = flat(queries.texts(queries.find_ids([row["query_id"]]))[0])
                document = flat(documents.texts(documents.find_ids([row["doc_id"]]))[0])
            if row["is_positive"]:
                lists[query][0].append(document)
            elif rank is not None:
                lists[query][1].append(document)
        return {query: tuple(map(sorted, both)) for query, both in lists.items() if both[1]}

    # A set of queries without positives: there is nothing to mine with.
    @pytest.mark.parametrize("name", [name for name in FORMATS if name != "beir-unanswered"])
    def test_pairs_and_negatives(self, world, exported, truth, tmp_path, name):
        folder = str(exported[name])
        pairs = {"pairs": folder}
        if name == "trec":  # It has no texts.
            with pytest.raises(InputError, match="qrels"):
                api.build_index(pairs=folder, dense=False, index=tmp_path / "i")
            write(tmp_path / "q.parquet", id=list(truth), text=[one[0] for one in truth.values()])
            pairs = {"queries": str(tmp_path / "q.parquet"), "qrels": folder}
            api.build_index(corpus=str(world / "corpus.parquet"), dense=False, index=tmp_path / "i")
        else:
            api.build_index(pairs=folder, dense=False, index=tmp_path / "i")
        api.mine(
            index=tmp_path / "i", **pairs, from_run=[folder], source=["run"], output=tmp_path / "c"
        )
        found = self.found(name, tmp_path / "c", tmp_path / "i")
        wanted = self.expected(truth, name)
        if name in ALL_CANDIDATES:
            # A list to distil needs no chosen negative.
            extra = {"q0"} if name == "kd" else set()
            assert found.keys() == wanted.keys() | extra
            for query, (positives, negatives) in wanted.items():
                assert found[query][0] == positives
                assert set(negatives) <= set(found[query][1])
        else:
            assert found == wanted


UNUSED = {"rrf_score", "near_copy", "owner_score", "dense_rank", "grade"}


class TestReading:
    """Exports and audits read only the columns of scored/ that they use, and no pass twice."""

    @pytest.fixture
    def read(self, monkeypatch):
        """Each read of a part: what it took, and all that is there."""
        reads = []
        read_table = pq.read_table

        def reading(path, columns=None, **given):
            if "scored" in str(path):
                there = pq.read_schema(path).names
                reads.append((set(there if columns is None else columns), set(there)))
            return read_table(path, columns=columns, **given)

        monkeypatch.setattr(parts.pq, "read_table", reading)
        return reads

    @pytest.mark.parametrize(
        ("name", "more"),
        [
            ("kd", {}),
            ("kd", {"scores": "BM25_score - pos(bm25_score)"}),
            ("colbert", {"scores": "BM25_score"}),
            ("colbert", {}),
            ("beir-unanswered", {}),
        ],
    )
    def test_an_export_reads_what_it_uses(self, world, read, tmp_path, name, more):
        api.export(mined=world / "m", to=name, output=tmp_path / "e", **more)
        assert read
        for taken, there in read:
            assert there >= UNUSED and not taken & UNUSED
            assert more or "bm25_score" not in taken

    def test_an_unknown_column_is_named_beside_all_there_are(self, world, tmp_path):
        with pytest.raises(UsageError, match="no column 'bm25_scor'") as error:
            api.export(mined=world / "m", to="kd", output=tmp_path / "e", scores="bm25_scor + 1")
        assert "near_copy" in error.value.fix and "owner_score" in error.value.fix

    def test_an_audit_reads_what_it_uses(self, world, read):
        audit(AuditSettings(mined=world / "m"))
        assert read and not any(taken & UNUSED for taken, _ in read)

    def test_positives_are_looked_for_once(self, world, monkeypatch, tmp_path):
        passes, scored = [], Mined.scored
        monkeypatch.setattr(
            Mined, "scored", lambda self, *given: passes.append(1) or scored(self, *given)
        )
        api.export(mined=world / "m", to="beir-unanswered", output=tmp_path / "e")
        # The splits, the positives, and each of two files with queries.
        assert len(passes) == 4
