"""From the index to the negatives with encoders that are not like the others."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import content, hnmine, rows, write

import hnmine as api
from hnmine.encode.spec import ModelSpec
from hnmine.errors import InputError, UsageError

WORDS = ["teapot", "lantern", "clean", "market", "oil", "lamp"]
WEIGHTS = np.array(
    [[1, 0, 0, 0], [0, 1, 0, 0], [3, 3, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0.5, 0.5, 0]],
    dtype=np.float32,
)
"""`clean` is much longer than the others."""


def static(folder: Path, **settings: object) -> str:
    """Save a model that adds up a vector for each word; it gives unknown words zeros."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    known = {word: number for number, word in enumerate(["[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.concatenate([np.zeros((1, 4), np.float32), WEIGHTS])
    module = StaticEmbedding(tokenizer, embedding_weights=weights)
    SentenceTransformer(modules=[module], device="cpu").save(str(folder))
    file = folder / "config_sentence_transformers.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    return str(folder)


TEXTS = {
    "p": "teapot lantern market",
    "a": "teapot",
    "b": "clean clean lantern",
    "c": "teapot market oil",
    "d": "lamp oil",
    "x": "bicycle",
    "e": "lamp lantern",
}


@pytest.fixture
def data(tmp_path):
    write(tmp_path / "corpus.parquet", id=list(TEXTS), text=list(TEXTS.values()))
    write(
        tmp_path / "pairs.parquet",
        query_id=["q", "r", "s"],
        query=["teapot", "lamp please", "violin"],
        positive_id=["p", "e", "d"],
        positive=[TEXTS["p"], TEXTS["e"], TEXTS["d"]],
    )
    write(
        tmp_path / "known.parquet",
        query_id=["q", "r"],
        query=["teapot", "lamp please"],
        positive_id=["p", "e"],
        positive=[TEXTS["p"], TEXTS["e"]],
    )
    return tmp_path


def built(data, model, name="index", **more):
    where = {"corpus": str(data / "corpus.parquet"), "index": data / name, "on_bad_row": "skip"}
    return api.build_index(encoder=model, progress=False, **{**where, **more})


def mined(data, name="candidates", pairs="known", **more):
    where = {"index": data / "index", "pairs": str(data / f"{pairs}.parquet")}
    return api.mine(output=data / name, progress=False, **{**where, **more})


def found(data, query, name="candidates"):
    some = [row for row in rows(data / name / "candidates") if row["query_id"] == query]
    return {row["doc_id"]: row for row in some}


@pytest.mark.parametrize("faiss", ["Flat", "IVF2,Flat"])
def test_a_model_that_says_dot_is_ranked_by_dot_product(data, faiss, caplog):
    model = static(data / "model", similarity_fn_name="dot")
    with caplog.at_level(logging.WARNING):
        manifest = built(data, model, faiss=faiss).manifest
    assert "compares by dot product" in caplog.text
    assert manifest["encoder"]["similarity"] == "dot"
    mined(data, source=["dense:5"], faiss_search="nprobe=2" if "IVF" in faiss else None)
    scores = {name: row["dense_score"] for name, row in found(data, "q").items()}
    mean = {
        name: np.mean([WEIGHTS[WORDS.index(word)] for word in text.split()], axis=0)
        for name, text in TEXTS.items()
        if name != "x"
    }
    for name, score in scores.items():
        assert score == pytest.approx(float(mean[name][0]), abs=1e-6)
    by_rank = sorted(
        (row for row in found(data, "q").values() if row["dense_rank"] is not None),
        key=lambda row: row["dense_rank"],
    )
    assert [row["doc_id"] for row in by_rank if not row["is_positive"]][:3] == ["b", "a", "c"]


def test_what_reads_the_vectors_knows_that_they_are_compared_by_dot_product(data):
    model = static(data / "model", similarity_fn_name="dot")
    built(data, model)
    sources = ["dense", "bm25", "dense-from-positive", "dense-from-queries"]
    mined(data, source=sources, clusters=2)
    api.filter(
        candidates=data / "candidates", output=data / "mined", score="dense", relative_margin=-99,
        judge=[model], num_negatives=2, progress=False,
    )  # fmt: skip
    scored = {(row["query_id"], row["doc_id"]): row for row in rows(data / "mined" / "scored")}
    near = scored["q", "c"]
    one, other = (
        np.mean([WEIGHTS[WORDS.index(word)] for word in TEXTS[name].split()], axis=0)
        for name in ("c", "p")
    )
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert near["positive_similarity"] == pytest.approx(float(cosine), abs=1e-6)
    assert near["judge_model"] == pytest.approx(near["dense_score"], abs=1e-6)
    unknown = scored.get(("q", "x"), {"dense_score": None})
    assert unknown["dense_score"] is None
    hardness = json.loads((data / "mined" / "hardness.json").read_text())
    assert np.isfinite(hardness["loss"])
    page = hnmine("report", data / "mined")
    assert page.returncode == 0, page.stderr
    assert "dot product" in (data / "mined" / "report.html").read_text()
    for by in ("greedy", "cluster"):
        api.batch(mined=data / "mined", by=by, batch_size=2, output=data / by, progress=False)
    api.mix(mined=data / "mined", output=data / "mixed", vectors=True, progress=False)
    mixtures = np.load(data / "mixed" / "vectors" / "00000.npy")
    np.testing.assert_allclose(np.linalg.norm(mixtures, axis=1), 1, atol=1e-6)


def test_a_document_without_a_vector_is_an_error_that_names_it(data):
    model = static(data / "model")
    with pytest.raises(InputError, match="1 bad row with a text that the encoder") as error:
        built(data, model, on_bad_row="error")
    assert "document 'x'" in error.value.why
    assert "on_bad_row='skip'" in error.value.fix


def test_what_was_encoded_before_a_text_without_a_vector_is_kept(data):
    """The same directory, now with --on-bad-row skip: the result is that of one run."""
    model, more = static(data / "model"), {"shard_size": 2}
    with pytest.raises(InputError, match="no vector"):
        built(data, model, on_bad_row="error", **more)
    first = data / "index/dense/vectors/00000.npy"
    before = first.stat().st_mtime_ns
    built(data, model, **more)
    assert first.stat().st_mtime_ns == before
    built(data, model, "once", **more)
    assert content(data / "index") == content(data / "once")
    # What is finished is what it is.
    with pytest.raises(InputError, match="another plan"):
        built(data, model, on_bad_row="error", **more)


def test_a_document_without_a_vector_is_skipped_by_dense_search_alone(data):
    write(data / "known.parquet", query_id=["q"], query=["teapot bicycle"], positive=[TEXTS["p"]])
    counts = built(data, static(data / "model")).counts
    assert counts["vectors"] == len(TEXTS) - 1
    assert sum(count for name, count in counts.items() if name.startswith("skipped")) == 1
    mined(data)
    row = found(data, "q")["x"]
    assert row["bm25_rank"] is not None
    assert (row["dense_score"], row["dense_rank"]) == (None, None)
    assert len(found(data, "q")) == len(TEXTS)


def test_a_query_without_a_vector_is_named_or_skipped(data):
    built(data, static(data / "model"))
    with pytest.raises(InputError, match="no vector") as error:
        mined(data, pairs="pairs")
    assert "query 's'" in error.value.why
    counts = mined(data, "skipped", "pairs", on_bad_row="skip", source=["dense"]).counts
    assert counts["queries_encoded"] == 2
    assert sum(count for name, count in counts.items() if name.startswith("skipped")) == 1
    assert [row["is_positive"] for row in found(data, "s", "skipped").values()] == [True]
    assert found(data, "s", "skipped")["d"]["dense_score"] is None
    assert len(found(data, "r", "skipped")) > 1


def test_the_prompts_used_are_said_and_recorded(data, caplog):
    prompts = {"s2p_query": "lantern ", "document": "", "passage": "oil ", "cluster": "market "}
    model = static(data / "model", prompts=prompts)
    with caplog.at_level(logging.WARNING):
        recorded = built(data, model, "own").manifest["encoder"]
    assert "puts 'lantern ' before queries and 'oil ' before documents" in caplog.text
    assert "not used: cluster" in caplog.text
    assert (recorded["query_prompt"], recorded["document_prompt"]) == ("lantern ", "oil ")
    assert recorded["prompts_not_used"] == ["cluster"]
    built(data, model, "same", query_prompt="lantern ", document_prompt="oil ")
    other = built(data, model, "none", document_prompt="").manifest["encoder"]
    assert (other["query_prompt"], other["document_prompt"]) == ("lantern ", "")
    own, same, none = (
        (data / name / "dense/vectors/00000.npy").read_bytes() for name in ("own", "same", "none")
    )
    assert own == same != none
    # A checkpoint that encodes the queries goes by its own prompts.
    student = static(data / "student", prompts={"query": "market "})
    mined(data, index=data / "own", query_encoder=student)
    manifest = json.loads((data / "candidates" / "manifest.json").read_text())
    assert manifest["encoder"]["query_prompt"] == "market "


def test_an_index_of_an_earlier_version_is_read_as_it_was_made(data):
    """Its manifest says null where the model's `query` prompt was used."""
    model = static(data / "model", prompts={"query": "lantern ", "document": ""})
    built(data, model)
    new = content(data / "index")
    mined(data, "new")
    file = data / "index" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["encoder"] |= {"query_prompt": None, "document_prompt": None}
    file.write_text(json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False) + "\n")
    plan = data / "index" / ".hnmine" / "plan.json"
    plan.write_text(
        json.dumps({k: v for k, v in manifest.items() if k != "counts"}, sort_keys=True, indent=2)
        + "\n"
    )
    earlier = file.read_bytes()
    mined(data, "old")
    assert pq.read_table(data / "old/candidates").equals(pq.read_table(data / "new/candidates"))
    # The command that made it finds it finished.
    built(data, model)
    assert content(data / "index") == {**new, "manifest.json": earlier}


def test_fewer_dimensions_are_kept_and_recorded_or_refused_before_the_corpus_is_read(data):
    model = static(data / "model")
    manifest = built(data, model, truncate_dim=2).manifest
    assert manifest["encoder"]["truncate_dim"] == 2
    vectors = np.load(data / "index/dense/vectors/00000.npy")
    assert vectors.shape == (len(TEXTS), 2)
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(lengths[lengths > 0], 1, atol=1e-6)
    mined(data)
    assert np.load(data / "candidates/dense/vectors/00000.npy").shape[1] == 2
    with pytest.raises(UsageError, match="truncate_dim=9 is more"):
        built(data, model, "wide", truncate_dim=9)
    assert not (data / "wide" / "documents").exists()


def test_a_table_of_vectors_is_read_in_fp32_unless_told_otherwise(data):
    model = static(data / "model")
    assert ModelSpec.find(model).dtype == "fp32"
    assert ModelSpec.find(model, dtype="bf16").dtype == "bf16"


def test_a_pooling_that_would_be_ignored_is_refused(data):
    with pytest.raises(UsageError, match="pooling='cls' does not apply"):
        built(data, static(data / "model"), pooling="cls")
