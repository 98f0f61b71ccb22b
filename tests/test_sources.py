"""Every source over a real index: what all must keep, and each against an obvious oracle."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ENCODER, ONNX_ENCODER, content, write

import hnmine as api
from hnmine.directories.index import Index
from hnmine.directories.queries import Queries
from hnmine.encode.devices import dtype_for
from hnmine.errors import HnmineError, InputError, UsageError
from hnmine.runner.plan import canonical_json
from hnmine.sources import SOURCES, queryvectors
from hnmine.sources.random import _distinct

EXTRA = {"matching": {"matching": "doc.module = positive.module"}}
DEPTH = 8


@pytest.fixture(scope="module")
def data(stdlib, tmp_path_factory):
    """Documents with a module and a length, queries with a module, judgements with grades."""
    folder = tmp_path_factory.mktemp("sources")
    corpus = pq.read_table(stdlib / "corpus.parquet").slice(0, 150).to_pydict()
    pairs = pq.read_table(stdlib / "pairs.parquet").to_pylist()
    texts = dict(zip(corpus["id"], corpus["text"], strict=True))
    write(
        folder / "corpus.parquet",
        id=corpus["id"],
        text=corpus["text"],
        module=[one.partition(".")[0] for one in corpus["id"]],
        size=[len(text) for text in corpus["text"]],
    )
    pairs = [pair for pair in pairs if pair["positive_id"] in texts][:20]
    assert len(pairs) == 20
    write(
        folder / "queries.parquet",
        id=[f"q{n}" for n in range(20)],
        text=[pair["query"] for pair in pairs],
        module=[pair["positive_id"].partition(".")[0] for pair in pairs],
        limit=[40 * n for n in range(20)],
    )
    ids = corpus["id"]
    known = [(f"q{n}", pair["positive_id"], 2) for n, pair in enumerate(pairs)]
    judged = [(f"q{n}", ids[(7 * n + step) % 150], step % 2) for n in range(20) for step in (1, 2)]
    judged = list({row[:2]: row for row in judged + known}.values())
    queries, documents, scores = map(list, zip(*judged, strict=True))
    write(folder / "qrels.parquet", query_id=queries, doc_id=documents, score=scores)
    given = {"index": folder / "index", "encoder": ENCODER, "backend": "torch"}
    api.build_index(corpus=str(folder / "corpus.parquet"), **given)
    return folder


def mine(data, output, **settings):
    given = {
        "index": data / "index",
        "queries": str(data / "queries.parquet"),
        "qrels": str(data / "qrels.parquet"),
        "min_grade": 2,
        "top_k": DEPTH,
        "output": output,
        **settings,
    }
    result = api.mine(**given)
    table = pa.concat_tables(
        [pq.read_table(file) for file in sorted((output / "candidates").glob("*.parquet"))]
    )
    return table, result


def listed(table, column):
    """The documents of each query in the order of one source's ranks; positives left out."""
    found = {}
    for row in sorted(table.to_pylist(), key=lambda row: (row["query_id"], row[column] or 0)):
        if row[column] is not None and row["rank"] is not None:
            found.setdefault(row["query_id"], []).append(row["doc_id"])
    return found


@pytest.fixture(scope="module")
def vectors(data):
    """The documents' vectors and the queries', by id, as float64."""
    index = Index(data / "index")
    documents = np.load(data / "index/dense/vectors/00000.npy").astype(np.float64)
    ids = index.documents.id_array(np.asarray(index.documents.canonical)).to_pylist()
    _, _ = mine(data, data / "for-vectors", source=["dense"])
    queries = Queries(data / "for-vectors/queries", index.documents)
    encoded = np.load(data / "for-vectors/dense/vectors/00000.npy").astype(np.float64)
    query_ids = queries.texts.id_array(np.unique(queries.texts.identity[queries.mined])).to_pylist()
    return dict(zip(ids, documents, strict=True)), dict(zip(query_ids, encoded, strict=True))


@pytest.fixture(scope="module")
def positives(data):
    rows = pq.read_table(data / "qrels.parquet").to_pylist()
    return {row["query_id"]: row["doc_id"] for row in rows if row["score"] == 2}


@pytest.mark.parametrize("name", [name for name in SOURCES.own if name != "run"])
class TestEach:
    def test_it_finds_so_many_and_no_positive(self, data, positives, tmp_path, name):
        table, result = mine(data, tmp_path / "c", source=[name], **EXTRA.get(name, {}))
        column = f"{name.replace('-', '_')}_rank"
        found = listed(table, column)
        assert result.counts[f"candidates_from_{column.removesuffix('_rank')}"] > 0
        enough = {"matching", "judged"}
        for query, documents in found.items():
            assert len(documents) == DEPTH or (name in enough and len(documents) < DEPTH)
            assert positives[query] not in documents
            assert len(set(documents)) == len(documents)
        assert set(found) == set(positives) or name == "matching"

    def test_neither_blocks_nor_the_order_of_rows_matter(self, data, tmp_path, name):
        more = {"source": [name], **EXTRA.get(name, {})}
        shuffled = tmp_path / "shuffled"
        shuffled.mkdir()
        for file in ("queries", "qrels"):
            table = pq.read_table(data / f"{file}.parquet")
            order = np.random.default_rng(1).permutation(len(table))
            pq.write_table(table.take(pa.array(order)), shuffled / f"{file}.parquet")
        column = f"{name.replace('-', '_')}_rank"
        whole, _ = mine(data, tmp_path / "whole", **more)
        paths = {file: str(shuffled / f"{file}.parquet") for file in ("queries", "qrels")}
        split, _ = mine(data, tmp_path / "split", block_size=7, **more, **paths)
        assert listed(whole, column) == listed(split, column)

    def test_a_condition_holds_and_costs_no_depth(self, data, tmp_path, name):
        table, _ = mine(
            data,
            tmp_path / "c",
            source=[name],
            constraint=["doc.size > query.limit"],
            **EXTRA.get(name, {}),
        )
        everything, _ = mine(data, tmp_path / "all", source=[f"{name}:200"], **EXTRA.get(name, {}))
        sizes = dict(
            zip(
                *(pq.read_table(data / "corpus.parquet")[c].to_pylist() for c in ("id", "size")),
                strict=True,
            )
        )
        column = f"{name.replace('-', '_')}_rank"
        limits = {f"q{n}": 40 * n for n in range(20)}
        expected = {}
        for query, documents in listed(everything, column).items():
            long = [one for one in documents if sizes[one] > limits[query]][:DEPTH]
            if long:
                expected[query] = long
        assert listed(table, column) == expected


def best(scores, k=DEPTH):
    return [name for name, _ in sorted(scores.items(), key=lambda item: -item[1])[:k]]


def test_dense_from_positive_is_the_nearest_to_the_positive(data, vectors, positives, tmp_path):
    documents, _ = vectors
    table, _ = mine(data, tmp_path / "c", source=["dense-from-positive"])
    for query, found in listed(table, "dense_from_positive_rank").items():
        anchor = documents[positives[query]]
        cosines = {one: v @ anchor for one, v in documents.items() if one != positives[query]}
        np.testing.assert_allclose(
            [cosines[one] for one in found], sorted(cosines.values())[: -DEPTH - 1 : -1], atol=1e-6
        )


def test_dense_from_queries_are_positives_of_the_nearest_queries(
    data, vectors, positives, tmp_path
):
    _, queries = vectors
    table, _ = mine(data, tmp_path / "c", source=["dense-from-queries"])
    for query, found in listed(table, "dense_from_queries_rank").items():
        nearness = {}
        for other, document in positives.items():
            if document != positives[query]:
                cosine = queries[query] @ queries[other]
                nearness[document] = max(nearness.get(document, -1), cosine)
        np.testing.assert_allclose(
            [nearness[one] for one in found],
            sorted(nearness.values())[: -DEPTH - 1 : -1],
            atol=1e-6,
        )


def test_the_owner_score_is_the_cosine_to_the_nearest_owner(data, vectors, positives, tmp_path):
    _, queries = vectors
    table, _ = mine(data, tmp_path / "c", source=["dense:150"])
    checked = Counter()
    for row in table.to_pylist():
        owners = [
            queries[row["query_id"]] @ queries[other]
            for other, document in positives.items()
            if document == row["doc_id"] and other != row["query_id"]
        ]
        checked[bool(owners)] += 1
        if owners:
            assert row["owner_score"] == pytest.approx(max(owners), abs=1e-6)
        else:
            assert row["owner_score"] is None
    assert min(checked[True], checked[False]) > 100


def test_bm25_from_positive_is_a_search_with_the_positive_as_the_query(data, positives, tmp_path):
    texts = dict(
        zip(
            *(pq.read_table(data / "corpus.parquet")[c].to_pylist() for c in ("id", "text")),
            strict=True,
        )
    )
    write(
        tmp_path / "queries.parquet",
        id=list(positives),
        text=[f"{texts[document]} " for document in positives.values()],
    )
    as_queries, _ = mine(
        data, tmp_path / "q", source=["bm25"], queries=str(tmp_path / "queries.parquet")
    )
    found, _ = mine(data, tmp_path / "c", source=["bm25-from-positive"])
    assert listed(found, "bm25_from_positive_rank") == listed(as_queries, "bm25_rank")


def test_a_document_takes_the_best_score_of_several_positives(data, vectors, tmp_path):
    documents, _ = vectors
    ids = sorted(documents)[:3]
    write(
        tmp_path / "qrels.parquet",
        query_id=["q0"] * 3,
        doc_id=ids,
        score=[2] * 3,
    )
    table, _ = mine(
        data, tmp_path / "c", source=["dense-from-positive"], qrels=str(tmp_path / "qrels.parquet")
    )
    cosines = {
        one: max(vector @ documents[anchor] for anchor in ids)
        for one, vector in documents.items()
        if one not in ids
    }
    assert set(listed(table, "dense_from_positive_rank")["q0"]) == set(best(cosines))


@pytest.mark.parametrize("count", [10, 1000])
def test_random_draws_are_even_and_distinct(count):
    k, draws = 5, 4000
    drawn = [_distinct(np.uint64(n * 2654435761), k, count) for n in range(draws)]
    assert all(len(set(one.tolist())) == k for one in drawn)
    uses = np.bincount(np.concatenate(drawn), minlength=count)
    expected = draws * k / count
    chi_squared = ((uses - expected) ** 2 / expected).sum()
    # Five standard deviations; drawing without replacement only lowers it.
    assert chi_squared < count - 1 + 5 * np.sqrt(2 * (count - 1))


def test_all_documents_can_be_drawn():
    assert sorted(_distinct(np.uint64(3), 50, 50).tolist()) == list(range(50))


def test_matching_finds_all_that_match_and_nothing_else(data, positives, tmp_path):
    table, _ = mine(data, tmp_path / "c", source=["matching:200"], **EXTRA["matching"])
    modules = dict(
        zip(
            *(pq.read_table(data / "corpus.parquet")[c].to_pylist() for c in ("id", "module")),
            strict=True,
        )
    )
    for query, found in listed(table, "matching_rank").items():
        same = {one for one, module in modules.items() if module == modules[positives[query]]}
        assert set(found) == same - {positives[query]}


def test_another_seed_draws_another_sample(data, tmp_path):
    first, _ = mine(data, tmp_path / "a", source=["random"])
    second, _ = mine(data, tmp_path / "b", source=["random"], seed=1)
    assert listed(first, "random_rank") != listed(second, "random_rank")


def test_random_candidates_have_no_vote_in_the_fused_rank(data, tmp_path):
    alone, _ = mine(data, tmp_path / "a", source=["bm25"])
    mixed, _ = mine(data, tmp_path / "b", source=["bm25", "random"])
    wanted = {(r["query_id"], r["doc_id"]): r["rrf_score"] for r in alone.to_pylist()}
    for row in mixed.to_pylist():
        assert row["rrf_score"] == wanted.get((row["query_id"], row["doc_id"]), 0)


class TestRun:
    def trec(self, path, hits):
        path.write_text("".join(f"{q} Q0 {d} {n} {s} tag\n" for n, (q, d, s) in enumerate(hits)))
        return str(path)

    def hits(self, data):
        ids = pq.read_table(data / "corpus.parquet")["id"].to_pylist()
        rng = np.random.default_rng(5)
        return [
            (f"q{n}", one, float(score))
            for n in range(20)
            for one, score in zip(rng.permutation(ids)[:12], rng.random(12), strict=True)
        ]

    @pytest.mark.parametrize("kind", ["trec", "parquet"])
    def test_it_comes_in_as_it_is(self, data, positives, tmp_path, kind):
        hits = self.hits(data)
        if kind == "trec":
            path = self.trec(tmp_path / "other system.trec", hits)
        else:
            columns = dict(
                zip(("query_id", "doc_id", "score"), zip(*hits, strict=True), strict=True)
            )
            path = str(
                write(tmp_path / "other system.parquet", **{k: list(v) for k, v in columns.items()})
            )
        table, result = mine(data, tmp_path / "c", from_run=[path], source=["run:12"])
        scores = {(query, document): score for query, document, score in hits}
        expected = {
            query: [
                document
                for document in best({d: s for q, d, s in hits if q == query}, 12)
                if document != positives[query]
            ]
            for query in positives
        }
        assert listed(table, "run_other_system_rank") == expected
        for row in table.to_pylist():
            assert row["run_other_system_score"] == scores.get((row["query_id"], row["doc_id"]))
        assert result.counts["run_hits"] == len(hits)

    def test_unknown_documents_are_named_or_counted(self, data, tmp_path):
        path = self.trec(tmp_path / "r.trec", [*self.hits(data), ("q0", "nowhere", 1.0)])
        with pytest.raises(InputError, match="1 bad row whose document is not in the index"):
            mine(data, tmp_path / "a", from_run=[path], source=["run"])
        _, result = mine(data, tmp_path / "b", from_run=[path], source=["run"], on_bad_row="skip")
        assert result.counts["skipped whose document is not in the index"] == 1

    def test_a_line_that_is_none_of_a_run_is_named(self, data, tmp_path):
        (tmp_path / "r.trec").write_text("q0 Q0 d 1 0.5 tag\nq0 d 0.5\n")
        with pytest.raises(InputError, match="Line 2: It has 3 columns, the first line has 6"):
            mine(data, tmp_path / "c", from_run=[str(tmp_path / "r.trec")])

    def test_two_runs_of_one_name_are_refused(self, data, tmp_path):
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            self.trec(tmp_path / folder / "x.trec", self.hits(data))
        paths = [str(tmp_path / folder / "x.trec") for folder in ("a", "b")]
        with pytest.raises(UsageError, match="Two runs would become run_x"):
            mine(data, tmp_path / "c", from_run=paths)


def test_judged_candidates_come_with_their_grade(data, tmp_path):
    table, _ = mine(data, tmp_path / "c", source=["judged"])
    grades = {
        (row["query_id"], row["doc_id"]): row["score"]
        for row in pq.read_table(data / "qrels.parquet").to_pylist()
    }
    assert {(r["query_id"], r["doc_id"]): r["grade"] for r in table.to_pylist()} == grades
    for query, documents in listed(table, "judged_rank").items():
        ordered = [grades[query, document] for document in documents]
        assert ordered == sorted(ordered, reverse=True)


@pytest.mark.parametrize("name", ["judged", "matching", "random"])
def test_what_is_not_ordered_by_relevance_has_no_vote_in_the_rank(data, tmp_path, name):
    found, _ = mine(data, tmp_path / "c", source=["dense", name], **EXTRA.get(name, {}))
    alone, _ = mine(data, tmp_path / "alone", source=["dense"])
    votes = {(r["query_id"], r["doc_id"]): r["rrf_score"] for r in alone.to_pylist()}
    others = 0
    for row in found.to_pylist():
        assert row["rrf_score"] == votes.get((row["query_id"], row["doc_id"]), 0.0)
        others += row["dense_rank"] is None and row["rank"] is not None
    assert others > 20


def test_a_derived_column_tells_what_was_asked(data, tmp_path):
    table, _ = mine(
        data,
        tmp_path / "c",
        source=["dense"],
        attribute={"same_module": "doc.module = query.module"},
    )
    modules = {
        row["id"]: row["module"] for row in pq.read_table(data / "corpus.parquet").to_pylist()
    }
    asked = {
        row["id"]: row["module"] for row in pq.read_table(data / "queries.parquet").to_pylist()
    }
    for row in table.to_pylist():
        assert row["same_module"] == (modules[row["doc_id"]] == asked[row["query_id"]])


def test_clusters_are_those_of_the_nearest_centre(data, tmp_path):
    table, _ = mine(
        data,
        tmp_path / "c",
        clusters=5,
        source=["matching:200"],
        matching="doc.cluster = positive.cluster",
        attribute={"cluster": "doc.cluster"},
    )
    assert 1 < len(set(table["cluster"].to_pylist())) <= 5
    for _, rows in itertools.groupby(table.to_pylist(), key=lambda row: row["query_id"]):
        assert len({row["cluster"] for row in rows}) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"constraint": ["doc.sise > 3"]}, r"doc.sise.*Did you mean doc.size\?"),
        ({"constraint": ["doc.size + 3"]}, "neither true nor false"),
        ({"constraint": ["score > 3"]}, "'score' in 'score > 3' is not known here"),
        ({"constraint": ["doc.size >"]}, "cannot be used"),
        ({"source": ["matching"]}, "matching needs matching"),
        ({"source": ["nearest"]}, "'nearest' is none of"),
        ({"source": ["dense:0"]}, "not of the form NAME:K"),
        ({"source": ["dense", "dense:3"]}, "dense comes twice"),
        ({"clusters": 1000}, "exceeds the number of documents"),
        ({"query_encoder": "pkg:nowhere"}, "pkg:nowhere"),
    ],
)
def test_what_cannot_be_mined_is_explained(data, tmp_path, settings, message):
    with pytest.raises(HnmineError, match=message):
        mine(data, tmp_path / "c", **settings)


@pytest.fixture
def from_a_gpu(data, tmp_path):
    """The index as a GPU would have built it."""
    index = shutil.copytree(data / "index", tmp_path / "of a GPU")
    _record_a_gpu(index / "manifest.json")
    return index


def _record_a_gpu(file, device="cuda"):
    manifest = json.loads(file.read_text())
    how = {"device": device, "backend": "torch", "dtype": "bf16", "batch_tokens": 87381}
    manifest["encoder"] |= how
    file.write_text(canonical_json(manifest))


def test_an_index_of_a_gpu_is_mined_on_a_cpu_as_suits_it(data, from_a_gpu, tmp_path):
    given = {"index": from_a_gpu, "device": "cpu", "source": ["dense"]}
    usual, _ = mine(data, tmp_path / "a", source=["dense"], device="cpu")
    found, result = mine(data, tmp_path / "b", **given)
    encoder = result.manifest["encoder"]
    assert (encoder["dtype"], encoder["batch_tokens"]) == (dtype_for(None, "cpu"), 1024)
    assert listed(found, "dense_rank") == listed(usual, "dense_rank")
    # Candidates that were finished with the batch and precision of the GPU are used as they are.
    _record_a_gpu(tmp_path / "b" / "manifest.json", "cpu")
    before = content(tmp_path / "b")
    mine(data, tmp_path / "b", **given)
    assert content(tmp_path / "b") == before


@pytest.mark.parametrize("model", [ENCODER, ONNX_ENCODER])
def test_another_encoder_of_queries_runs_as_it_can(data, from_a_gpu, tmp_path, model):
    given = {"index": from_a_gpu, "device": "cpu", "source": ["dense"]}
    _, result = mine(data, tmp_path / "c", query_encoder=model, **given)
    usual = dtype_for(None, "cpu") if model == ENCODER else "fp32"
    assert result.manifest["encoder"]["dtype"] == usual
    assert result.manifest["encoder"]["batch_tokens"] == (1024 if model == ENCODER else None)


def test_another_encoder_of_queries_is_asked_for_no_more_positions_than_it_has(data, tmp_path):
    index = shutil.copytree(data / "index", tmp_path / "long")
    file = index / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["settings"]["max_length"] = 8192
    file.write_text(canonical_json(manifest))
    _, result = mine(data, tmp_path / "c", index=index, source=["dense"], query_encoder=ENCODER)
    assert result.manifest["encoder"]["max_length"] == 512


class TestRounds:
    def test_another_query_encoder_searches_the_same_vectors(self, data, tmp_path):
        usual, _ = mine(data, tmp_path / "a", source=["dense"])
        other, result = mine(data, tmp_path / "b", source=["dense"], query_encoder=ONNX_ENCODER)
        assert result.manifest["encoder"]["model"] == ONNX_ENCODER
        assert listed(usual, "dense_rank") != listed(other, "dense_rank")

    def test_the_earlier_round_is_told(self, data, tmp_path):
        mine(data, tmp_path / "a")
        api.filter(candidates=tmp_path / "a", output=tmp_path / "m", num_negatives=2)
        second, result = mine(data, tmp_path / "b", previous=tmp_path / "m", top_k=12, block_size=6)
        before = {
            (row["query_id"], row["doc_id"]): row
            for file in sorted((tmp_path / "m/scored").glob("*.parquet"))
            for row in pq.read_table(file).to_pylist()
        }
        known = Counter()
        for row in second.to_pylist():
            earlier = before.get((row["query_id"], row["doc_id"]), {})
            known[bool(earlier)] += 1
            assert row["previous_rank"] == earlier.get("rank")
            assert row["previous_score"] == earlier.get("dense_score")
            assert row["previous_selected"] == earlier.get("selected")
        assert min(known[True], known[False]) > 20
        assert result.manifest["previous"]


def test_the_other_direction_is_the_same_with_the_columns_swapped(stdlib, tmp_path):
    pairs = pq.read_table(stdlib / "pairs.parquet").to_pylist()
    path = tmp_path / "pairs.parquet"
    write(path, query=[p["query"] for p in pairs], positive=[p["positive"] for p in pairs])
    swapped = {"pairs": str(path), "column": ["pairs.query=positive", "pairs.positive=query"]}
    api.build_index(**swapped, dense=False, index=tmp_path / "index")
    api.mine(**swapped, index=tmp_path / "index", output=tmp_path / "c", top_k=5)
    api.filter(candidates=tmp_path / "c", output=tmp_path / "m", num_negatives=1)
    own = {(p["positive"], p["query"]) for p in pairs}
    rows = pq.read_table(tmp_path / "m" / "train").to_pylist()
    assert len(rows) > 20
    for row in rows:
        assert (row["query"], row["positive"]) in own
        assert row["negative"] in {p["query"] for p in pairs} - {row["positive"]}


def test_generated_texts_are_documents_with_a_condition(tmp_path):
    """What was written for a query is a candidate of that query, and of no other."""
    texts = [f"story {n} of the oak and the fox" for n in range(12)]
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write(corpus / "a.parquet", id=[f"d{n}" for n in range(12)], text=texts)
    write(
        corpus / "generated.parquet",
        id=["g0", "g1"],
        text=["story 0 of the oak and the hen", "story 1 of the oak and the hen"],
        made_for=["q0", "q1"],
    )
    ids = ["q0", "q1"]
    queries = write(tmp_path / "q.parquet", id=ids, text=["oak story 0", "oak story 1"])
    qrels = write(tmp_path / "r.parquet", query_id=ids, doc_id=["d0", "d1"])
    api.build_index(corpus=str(corpus), index=tmp_path / "i", dense=False)
    api.mine(
        index=tmp_path / "i",
        queries=str(queries),
        qrels=str(qrels),
        output=tmp_path / "c",
        source=["bm25:20"],
        matching="doc.made_for = query.id",
        constraint=["doc.made_for is null or doc.made_for = query.id"],
    )
    found = pq.read_table(tmp_path / "c" / "candidates").to_pylist()
    generated = {(row["query_id"], row["doc_id"]) for row in found if row["doc_id"][0] == "g"}
    assert generated == {("q0", "g0"), ("q1", "g1")}
    of_source = {row["doc_id"] for row in found if row["matching_rank"] is not None}
    assert of_source == {"g0", "g1"}
    assert len(found) == 2 * (12 + 1)


def write_word_encoder(folder, words, similarity):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    known = {word: n for n, word in enumerate(["[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    weights = np.random.default_rng(0).normal(size=(len(known), 24)).astype(np.float32)
    module = StaticEmbedding(tokenizer, embedding_weights=weights)
    model = SentenceTransformer(modules=[module], device="cpu", similarity_fn_name=similarity)
    model.save(str(folder))


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_owner_scores_of_shared_answers_are_those_of_all_pairs(similarity, tmp_path, monkeypatch):
    random = np.random.default_rng(4)
    answers, asked = [f"answer {n}" for n in range(6)], 240
    words = [" ".join(f"w{n}" for n in row) for row in random.integers(40, size=(asked, 3))]
    write_word_encoder(tmp_path / "encoder", ["answer", *(f"w{n}" for n in range(40))], similarity)
    write(tmp_path / "corpus.parquet", id=list("abcdef"), text=answers)
    # Some queries share a text, some answers have one owner or none.
    answer = [answers[n] for n in np.minimum(random.integers(5, size=asked), 3)] + [answers[4]]
    write(tmp_path / "pairs.parquet", query=[*words, "w0 w1"], positive=answer)
    index = tmp_path / "index"
    given = {"corpus": tmp_path / "corpus.parquet", "encoder": str(tmp_path / "encoder")}
    api.build_index(**given, index=index, progress=False)

    def owner_scores(name, by_matrix, products):
        monkeypatch.setattr(queryvectors, "BY_MATRIX", by_matrix)
        monkeypatch.setattr(queryvectors, "PRODUCTS", products)
        given = {"index": index, "pairs": tmp_path / "pairs.parquet", "source": ["dense"]}
        api.mine(**given, output=tmp_path / name, progress=False)
        return pq.read_table(tmp_path / name / "candidates")["owner_score"]

    pairs = owner_scores("pairs", 1 << 60, 1)
    assert pairs.null_count and pairs.null_count < len(pairs) / 2
    for products in (1 << 10, 1 << 22):
        assert owner_scores(f"matrix-{products}", 1, products).equals(pairs)
