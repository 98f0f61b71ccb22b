from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkpoints import plain

from hnmine import build_index
from hnmine.config import BuildIndexSettings, ValidateSettings
from hnmine.encode.pytorch import TorchEncoder
from hnmine.errors import InputError, UsageError
from hnmine.index.factory import build_faiss, check_factory
from hnmine.runner.checkpoints import Partial, key_of, relabel
from hnmine.runner.plan import digest
from hnmine.sheets.sheet import CHARACTERS, _readable
from hnmine.validate.dry_run import dry_run
from hnmine.validate.validating import validate

TOO_MANY = [
    ("IVF64,Flat", 63, "64"),
    ("IVF4096,SQ8", 4000, "4,096"),
    ("IVF4,PQ8", 255, "256"),
    ("PQ8x4", 15, "16"),
    ("OPQ8,IVF4,PQ8x4", 255, "256"),
    ("PCA16,Flat", 15, "16"),
    ("RQ2x5", 31, "32"),
]


@pytest.mark.parametrize(("factory", "count", "needed"), TOO_MANY)
def test_too_few_vectors_to_train_are_named(factory, count, needed):
    with pytest.raises(UsageError, match=f"at least {needed} vectors; the index has {count:,}"):
        check_factory(factory, 32, count)
    check_factory(factory, 32, count + 96)


def test_a_rotation_needs_as_many_vectors_as_dimensions():
    """With fewer, FAISS writes outside its memory, and the process ends."""
    with pytest.raises(UsageError, match="at least 384 vectors; the index has 383"):
        check_factory("OPQ8,PQ8", 384, 383)
    check_factory("OPQ8,PQ8", 384, 384)


@pytest.mark.parametrize(
    "factory", ["IDMap,Flat", "IDMap2,IVF4,Flat", "bogus", "HNSW16,PQ8", "PQ7"]
)
def test_what_cannot_be_filled_or_searched_is_refused(factory):
    with pytest.raises(UsageError, match=f"FAISS cannot build --faiss '{factory}'"):
        check_factory(factory, 32, 500)


@pytest.mark.parametrize("factory", ["Flat", "HNSW16", "SQ8", "IVF4,Flat", "IVF4,PQ8x4,RFlat"])
def test_others_pass(factory):
    check_factory(factory, 32, 500)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(plain(tmp_path_factory.mktemp("model") / "encoder"))


@pytest.fixture
def given(tmp_path, encoder):
    corpus = tmp_path / "corpus.parquet"
    texts = [f"lantern {n} of the harbour" for n in range(60)]
    pq.write_table(pa.table({"id": [str(n) for n in range(60)], "text": texts}), corpus)
    return {"corpus": [str(corpus)], "encoder": encoder, "shard_size": 20, "progress": False}


@pytest.fixture
def encoded(monkeypatch):
    """How many texts were encoded, but for the one that shows the dimension."""
    count, encode = [], TorchEncoder.encode

    def counting(self, texts, kind):
        count.extend(text for text in texts if text != "dimension")
        return encode(self, texts, kind)

    monkeypatch.setattr(TorchEncoder, "encode", counting)
    return count


def test_an_index_that_cannot_be_trained_is_refused_before_encoding(given, tmp_path, encoded):
    settings = {**given, "index": tmp_path / "index", "faiss": "IVF64,Flat"}
    with pytest.raises(UsageError, match="at least 64 vectors; the index has 60"):
        build_index(**settings)
    with pytest.raises(UsageError, match="at least 64 vectors; the index has 60"):
        dry_run([BuildIndexSettings.parse({**settings, "index": tmp_path / "other"})])
    asked = {name: given[name] for name in ("corpus", "encoder", "progress")}
    found = validate(ValidateSettings.parse({**asked, "faiss": "IVF64,Flat", "calibrate": False}))
    assert "at least 64 vectors" in found.faults[0]["what"]
    assert not encoded
    # Another can be built in the same place.
    build_index(**{**settings, "faiss": "IVF2,Flat"})
    assert len(encoded) == 60


def test_a_string_that_faiss_does_not_know_is_refused_before_anything_is_written(given, tmp_path):
    for faiss, dimension in (("bogus", None), ("PQ7", None), ("IVF2,PQ8", 12)):
        settings = {**given, "index": tmp_path / "index", "truncate_dim": dimension}
        with pytest.raises(UsageError, match=f"FAISS cannot build faiss '{faiss}'"):
            build_index(**settings, faiss=faiss)
        assert not (tmp_path / "index" / "documents").exists()


def test_too_few_documents_are_refused_before_their_terms_are_counted(given, tmp_path, monkeypatch):
    monkeypatch.setattr("hnmine.index.building.count_documents", None)
    with pytest.raises(UsageError, match="at least 64 vectors; the index has 60"):
        build_index(**given, index=tmp_path / "index", faiss="IVF64,Flat")


def test_more_centroids_than_training_vectors_are_refused_whatever_the_count():
    for count in (None, 10_000_000):
        with pytest.raises(UsageError, match="524,288 centroids, too many to train") as raised:
            check_factory("IVF524288,Flat", 32, count)
        assert "no more than IVF4096" in raised.value.fix
    check_factory("IVF65536,Flat", 32)
    check_factory("IVF262144,Flat", 32, 10_000_000)


def test_vectors_are_kept_for_another_faiss(given, tmp_path, encoded, monkeypatch):
    index = tmp_path / "index"

    def fails(*_):
        raise UsageError("FAISS fails.")

    monkeypatch.setattr("hnmine.index.building.build_faiss", fails)
    with pytest.raises(UsageError, match="FAISS fails"):
        build_index(**given, index=index, faiss="IVF2,Flat")
    monkeypatch.setattr("hnmine.index.building.build_faiss", build_faiss)
    assert len(encoded) == 60
    build_index(**given, index=index, faiss="Flat")
    assert len(encoded) == 60
    fresh = build_index(**given, index=tmp_path / "fresh", faiss="Flat")
    assert json.loads((index / "manifest.json").read_text()) == dict(fresh.manifest)
    for file in (tmp_path / "fresh" / "dense").rglob("*.npy"):
        assert (index / file.relative_to(tmp_path / "fresh")).read_bytes() == file.read_bytes()


def test_a_finished_index_keeps_its_vectors_with_overwrite(given, tmp_path, encoded):
    index = tmp_path / "index"
    build_index(**given, index=index, faiss="IVF2,Flat")
    with pytest.raises(InputError, match="another plan") as raised:
        build_index(**given, index=index, faiss="HNSW16")
    assert "vectors" in raised.value.fix
    del encoded[:]
    result = build_index(**given, index=index, faiss="HNSW16", overwrite=True)
    assert not encoded
    fresh = build_index(**given, index=tmp_path / "fresh", faiss="HNSW16")
    assert dict(result.manifest) == dict(fresh.manifest)
    built = build_index(**given, index=index, faiss="Flat", overwrite=True)
    assert not (index / "dense" / "index.faiss").exists()
    assert built.manifest["settings"]["faiss"] == "Flat"


def test_results_of_a_task_in_part_are_handed_on(tmp_path):
    before, after = digest({"faiss": "IVF2,Flat"}), digest({"faiss": "Flat"})
    path = tmp_path / "vectors-00000"
    with Partial(path, before) as partial:
        partial.keep(key_of(["a"]), b"vector", 1)
    relabel(tmp_path, before, after)
    assert Partial(path, after).get(key_of(["a"])) == b"vector"
    assert Partial(path, before).get(key_of(["a"])) is None


def test_another_difference_is_refused_as_before(given, tmp_path):
    build_index(**given, index=tmp_path / "index", bm25=False)
    with pytest.raises(InputError, match="another plan"):
        build_index(
            **{**given, "shard_size": 30}, index=tmp_path / "index", bm25=False, faiss="IVF2,Flat"
        )


def test_a_huge_document_is_warned_of(given, tmp_path):
    corpus = tmp_path / "huge.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["lantern " * 200_000, "short"]}), corpus)
    found = validate(ValidateSettings.parse({"corpus": [str(corpus)], "calibrate": False}))
    assert any(
        "1 of the documents has more than 1,000,000" in one["what"] for one in found.warnings
    )


def test_what_is_shown_of_a_huge_text_is_bounded():
    texts = pa.array(["lantern " * 200_000, "short", None], pa.large_string())
    shown = _readable(texts).to_pylist()
    assert shown[1:] == ["short", None]
    assert shown[0] == ("lantern " * 200_000)[:CHARACTERS] + " …"
