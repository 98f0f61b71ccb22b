"""`--vectors` and `--query-vectors`: vectors of any encoder, from files that may be wrong."""

from __future__ import annotations

import json
import re
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import content, hnmine, rows, write

import hnmine as api
from hnmine.errors import HnmineError, InputError, UsageError

COUNT, ASKED, DIMENSION = 60, 20, 8
IDS = [f"d{n}" for n in range(COUNT)]
QUERY_IDS = [f"q{n}" for n in range(ASKED)]
RNG = np.random.default_rng(7)
DOCUMENTS = RNG.normal(size=(COUNT, DIMENSION)).astype(np.float32)
QUERIES = (DOCUMENTS[:ASKED] + RNG.normal(size=(ASKED, DIMENSION)) / 3).astype(np.float32)


@pytest.fixture
def data(tmp_path):
    write(tmp_path / "corpus.parquet", id=IDS, text=[f"picture {n}.jpg" for n in range(COUNT)])
    write(tmp_path / "queries.parquet", id=QUERY_IDS, text=[f"ask {n}" for n in range(ASKED)])
    qrels = {"query-id": QUERY_IDS, "corpus-id": IDS[:ASKED]}
    write(tmp_path / "qrels.parquet", **qrels)
    np.save(tmp_path / "documents.npy", DOCUMENTS)
    np.save(tmp_path / "queries.npy", QUERIES)
    return tmp_path


def built(data, vectors="documents.npy", name="index", **more):
    where = {"corpus": str(data / "corpus.parquet"), "vectors": str(data / vectors)}
    how = {"bm25": False, "shard_size": 16, "progress": False}
    return api.build_index(index=data / name, **{**where, **how, **more})


def mined(data, vectors="queries.npy", name="candidates", index="index", **more):
    given = {kind: str(data / f"{kind}.parquet") for kind in ("queries", "qrels")}
    if vectors:
        given["query_vectors"] = str(data / vectors)
    how = {"progress": False, "top_k": 10}
    return api.mine(index=data / index, output=data / name, **{**given, **how, **more})


def found(data, name="candidates"):
    """Return the documents of each query in order, with their scores."""
    ranked = {}
    found = [row for row in rows(data / name / "candidates") if not row["is_positive"]]
    for row in sorted(found, key=lambda row: row["rank"]):
        if row["dense_rank"] is not None:
            ranked.setdefault(row["query_id"], []).append((row["doc_id"], row["dense_score"]))
    return ranked


def expected(similarity="cosine"):
    documents, queries = DOCUMENTS.astype(np.float64), QUERIES.astype(np.float64)
    if similarity == "cosine":
        documents = documents / np.linalg.norm(documents, axis=1, keepdims=True)
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    scores = queries @ documents.T
    order = [[d for d in row if d != q][:10] for q, row in enumerate(np.argsort(-scores, axis=1))]
    return {
        QUERY_IDS[q]: [(IDS[d], pytest.approx(scores[q, d], abs=1e-5)) for d in order[q]]
        for q in range(ASKED)
    }


def save_tensors(path, **tensors):
    """Write safetensors by hand: bfloat16, too."""
    header, body = {}, b""
    for name, (kind, values) in tensors.items():
        data = values.tobytes()
        ends = [len(body), len(body) + len(data)]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": ends}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def shuffled(path, ids, vectors, kind=None, columns=("id", "vector")):
    """Write Parquet whose rows are in another order."""
    order = np.random.default_rng(1).permutation(len(ids))
    kind = kind or pa.list_(pa.float32())
    lists = pa.array([vectors[row].tolist() for row in order], kind)
    pq.write_table(
        pa.table({columns[0]: [ids[row] for row in order], columns[1]: lists}),
        path,
        row_group_size=7,
    )


def as_shards(data, name, ids, vectors):
    (data / name).mkdir()
    for shard in range(12):  # 10 and 11 come after 9.
        np.save(data / name / f"part_{shard}.npy", np.array_split(vectors, 12)[shard])


def as_tensors(data, name, ids, vectors):
    save_tensors(data / name, vectors=("F32", vectors))


def as_tensors_with_ids(data, name, ids, vectors):
    numbers = np.arange(len(ids))[::-1].copy()
    save_tensors(data / name, ids=("I64", numbers), vectors=("F32", vectors[::-1].copy()))


def as_fixed_tensors(data, name, ids, vectors):
    kind = pa.fixed_shape_tensor(pa.float32(), [vectors.shape[1]])
    storage = pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1])
    lists = pa.ExtensionArray.from_storage(kind, storage)
    pq.write_table(pa.table({"id": ids, "v": lists}), data / name, row_group_size=7)


FORMS = {
    "tensors.parquet": as_fixed_tensors,
    "shards": as_shards,
    "columns_first.npy": lambda d, n, i, v: np.save(d / n, np.asfortranarray(v)),
    "f64.npy": lambda d, n, i, v: np.save(d / n, v.astype(np.float64)),
    "one.safetensors": as_tensors,
    "lists.parquet": lambda d, n, i, v: shuffled(d / n, i, v),
    "fixed.parquet": lambda d, n, i, v: shuffled(
        d / n, i, v, pa.list_(pa.float64(), DIMENSION), ("doc_id", "anything")
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_format_gives_the_lists_of_an_exact_search(data, name):
    FORMS[name](data, name, IDS, DOCUMENTS)
    assert built(data, name).counts["vectors"] == COUNT
    assert mined(data).counts["queries_with_vector"] == ASKED
    assert found(data) == expected()


def test_query_vectors_are_joined_by_id_too(data):
    shuffled(data / "q.parquet", QUERY_IDS, QUERIES, columns=("query_id", "embedding"))
    built(data)
    mined(data, "q.parquet")
    assert found(data) == expected()


@pytest.mark.parametrize(("kind", "dtype"), [("F16", "<f2"), ("BF16", None)])
def test_halves_are_read_as_what_they_are(data, kind, dtype):
    bits = DOCUMENTS.astype(dtype) if dtype else (DOCUMENTS.view(np.uint32) >> 16).astype("<u2")
    save_tensors(data / "half.safetensors", vectors=(kind, bits))
    built(data, "half.safetensors", similarity="dot")
    stored = np.concatenate([np.load(f) for f in sorted((data / "index/dense").rglob("*.npy"))])
    assert np.allclose(stored, DOCUMENTS, rtol=1e-2)


def test_ids_in_safetensors_are_those_of_the_corpus(data):
    numbers = [str(n) for n in range(COUNT)]
    write(data / "corpus.parquet", id=numbers, text=[f"picture {n}" for n in range(COUNT)])
    as_tensors_with_ids(data, "ids.safetensors", numbers, DOCUMENTS)
    built(data, "ids.safetensors", similarity="dot")
    stored = np.concatenate([np.load(f) for f in sorted((data / "index/dense").rglob("*.npy"))])
    assert np.array_equal(stored, DOCUMENTS)


def test_dot_products_keep_the_lengths_and_the_index_says_so(data):
    built(data, similarity="dot", truncate_dim=DIMENSION)
    mined(data)
    assert found(data) == expected("dot")
    manifest = json.loads((data / "candidates/manifest.json").read_text())
    assert manifest["encoder"]["similarity"] == "dot"
    assert manifest["encoder"]["backend"] == "files"


def test_everything_after_works_with_vectors_alone(data, tmp_path):
    (data / "run.yaml").write_text(
        f"output: {data}/run\ncorpus: {data}/corpus.parquet\nqueries: {data}/queries.parquet\n"
        f"qrels: {data}/qrels.parquet\nvectors: {data}/documents.npy\n"
        f"query-vectors: {data}/queries.npy\ntop-k: 10\nclusters: 3\n"
        "attribute: {near: doc.outlier}\nmargin: 0.05\nscore: dense\nnum-negatives: 2\n"
    )
    ran = hnmine("run", "--config", data / "run.yaml")
    assert ran.returncode == 0, ran.stderr
    assert len(rows(data / "run/mined/train"))
    assert found(data, "run/candidates").keys() == expected().keys()
    card = (data / "run/mined/README.md").read_text()
    assert "--vectors VECTORS" in card and "--query-vectors QUERY_VECTORS" in card
    report = hnmine("report", data / "run/mined")
    assert report.returncode == 0, report.stderr
    # The same plan again: nothing is written.
    before = content(data / "run")
    assert hnmine("run", "--config", data / "run.yaml").returncode == 0
    assert content(data / "run") == before
    assert hnmine("run", "--config", data / "run.yaml", "--dry-run").returncode == 0
    batch = hnmine("batch", data / "run/mined", "--output", data / "b", "--by", "greedy")
    assert batch.returncode == 0, batch.stderr


def test_python_takes_arrays_in_memory(data):
    where = {"corpus": str(data / "corpus.parquet"), "index": data / "index"}
    api.build_index(vectors=DOCUMENTS, bm25=False, progress=False, **where)
    mined(data, vectors=None, query_vectors=QUERIES)
    assert found(data) == expected()
    with pytest.raises(InputError, match="The array vectors"):
        api.build_index(vectors=DOCUMENTS[0], progress=False, **where)


def test_validate_checks_the_vectors_of_a_configuration(data):
    (data / "run.yaml").write_text(
        f"corpus: {data}/corpus.parquet\nqueries: {data}/queries.parquet\n"
        f"qrels: {data}/qrels.parquet\nquery-vectors: {data}/queries.npy\n"
        f"build-index:\n  vectors: {data}/documents.npy\n"
    )
    assert hnmine("validate", "--config", data / "run.yaml").returncode == 0
    np.save(data / "documents.npy", DOCUMENTS[:50])
    np.save(data / "queries.npy", QUERIES.astype(np.int64))
    checked = hnmine("validate", "--config", data / "run.yaml")
    assert checked.returncode == 3
    assert "50 vectors, and corpus 60 rows" in checked.stdout + checked.stderr
    assert "int64" in checked.stdout + checked.stderr


def test_other_vectors_are_another_plan_and_the_same_under_another_name_are_not(data):
    built(data)
    np.save(data / "again.npy", DOCUMENTS)
    before = content(data / "index")
    built(data, "again.npy")
    assert content(data / "index") == before
    np.save(data / "again.npy", -DOCUMENTS)
    with pytest.raises(InputError, match="another plan"):
        built(data, "again.npy")


def test_faiss_is_filled_from_them_and_refused_before_they_are_read(data):
    built(data, faiss="IVF2,Flat")
    mined(data, faiss_search="nprobe=2")
    assert found(data) == expected()
    with pytest.raises(HnmineError, match="PQ"):
        built(data, name="other", faiss="IVF2,PQ7")


def test_without_query_vectors_the_error_names_the_flag_and_words_need_none(data):
    built(data, bm25=True)
    with pytest.raises(UsageError, match="query_vectors"):
        mined(data, vectors=None)
    mined(data, vectors=None, source=["bm25"])
    with pytest.raises(UsageError, match=r"query.vectors"):
        mined(data, query_encoder="any")


def test_an_index_of_a_model_takes_query_vectors_of_its_dimension_alone(data):
    built(data)
    np.save(data / "short.npy", QUERIES[:, :4])
    with pytest.raises(UsageError, match=r"4 dimensions.*8"):
        mined(data, "short.npy")


def refused(data, vectors, kind=InputError, **more):
    """Return the error and check that nothing counts as built."""
    with pytest.raises(kind) as error:
        built(data, vectors, **more)
    assert not (data / "index/manifest.json").exists()
    return str(error.value)


def test_missing_doubled_and_unknown_ids_are_named_and_counted(data):
    ids = [*IDS[3:], "d9", "d9", "zz"]
    shuffled(data / "v.parquet", ids, np.concatenate([DOCUMENTS[3:], DOCUMENTS[:3]]))
    said = refused(data, "v.parquet")
    assert "3 of 60 have no vector: 'd0', 'd1', 'd2'" in said
    assert "2 vectors repeat an id: 'd9', 'd9'" in said
    assert "1 vectors have an id that no document has: 'zz'" in said


@pytest.mark.parametrize("count", [COUNT - 1, COUNT + 1, 1])
def test_in_order_there_must_be_as_many_as_rows(data, count):
    np.save(data / "v.npy", np.ones((count, 4), np.float32))
    said = refused(data, "v.npy")
    assert f"{count:,} vectors" in said and "60 rows" in said


def test_rows_that_are_left_out_leave_the_order_unknown(data):
    texts = [f"picture {n}" for n in range(COUNT)]
    texts[5] = " "
    write(data / "corpus.parquet", id=IDS, text=texts)
    said = refused(data, "documents.npy", on_bad_row="skip")
    assert "60 vectors" in said and "59 rows" in said and "1 further" in said


def test_rows_that_repeat_another_have_a_vector_of_their_own(data):
    texts = [f"picture {n}" for n in range(COUNT)]
    write(data / "corpus.parquet", id=[*IDS, "d0"], text=[*texts, texts[0]])
    np.save(data / "v.npy", np.concatenate([DOCUMENTS, DOCUMENTS[:1]]))
    built(data, "v.npy")
    mined(data)
    assert found(data) == expected()


def test_positives_that_the_corpus_lacks_need_a_vector(data):
    pairs = write(data / "pairs.parquet", query=["ask"], positive=["another picture"])
    said = refused(data, "documents.npy", pairs=str(pairs))
    assert "1 of 61 have no vector" in said and "Positives" in said


def test_equal_texts_with_other_vectors_are_said(data, caplog):
    write(data / "corpus.parquet", id=IDS, text=["a dog", "A dog", *map(str, range(COUNT - 2))])
    built(data)
    assert "1 document vectors differ" in caplog.text and "'d1'" in caplog.text


def test_zeros_are_bad_rows(data):
    with_zeros = DOCUMENTS.copy()
    with_zeros[4] = 0
    np.save(data / "v.npy", with_zeros)
    said = refused(data, "v.npy")
    assert "'d4'" in said and "zeros" in said
    assert built(data, "v.npy", on_bad_row="skip").counts["skipped with a vector of zeros"] == 1


def changed(at, value):
    values = DOCUMENTS.astype(np.float64)
    values[at] = value
    return values


def broken(path):
    np.save(path, DOCUMENTS)
    path.write_bytes(path.read_bytes()[:-5])


def cut_header(path):
    np.save(path, DOCUMENTS)
    path.write_bytes(path.read_bytes()[:60])


def with_header(text):
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
    return lambda path: path.write_bytes(head + b"\0" * 64)


def huge_header(path):
    path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + b" " * 100)


def tensors(path, header, body=b"\0" * 64):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def one(shape, ends, dtype="F32"):
    return {"v": {"dtype": dtype, "shape": shape, "data_offsets": ends}}


WRONG = {
    "nan.npy": (lambda p: np.save(p, changed((17, 2), np.nan)), "not finite.*row 17"),
    "inf.npy": (lambda p: np.save(p, changed((3, 0), np.inf)), "not finite.*row 3"),
    "large.npy": (lambda p: np.save(p, changed((3, 0), 1e300)), "not finite.*row 3"),
    "objects.npy": (
        lambda p: np.save(p, np.array([[object()]], object), allow_pickle=True),
        "never unpickles",
    ),
    "whole.npy": (lambda p: np.save(p, np.ones((60, 4), np.int64)), "int64"),
    "swapped.npy": (lambda p: np.save(p, DOCUMENTS.astype(">f4")), ">f4"),
    "flat.npy": (lambda p: np.save(p, np.ones(60, np.float32)), "shape is 60"),
    "deep.npy": (lambda p: np.save(p, np.ones((6, 5, 2), np.float32)), "6 x 5 x 2"),
    "empty.npy": (lambda p: np.save(p, np.ones((0, 8), np.float32)), "is empty"),
    "cut.npy": (broken, "should have"),
    "huge.npy": (huge_header, "header has"),
    "header.npy": (cut_header, "EOF|header"),
    "open.npy": (with_header("{'descr': '<f4', 'fortran_order': (\n"), "header is damaged"),
    "keys.npy": (with_header("{1: 2, 'descr': '<f4', (): 3}\n"), "header is damaged"),
    "kinds.npy": (
        with_header("{'descr': [1], 'fortran_order': False, 'shape': (2, 2)}\n"),
        "header|descr",
    ),
    "other.npy": (lambda p: p.write_bytes(b"not an array at all"), "magic"),
    "nothing.npy": (lambda p: p.write_bytes(b""), "magic|EOF|Reading"),
    "code.npy": (
        lambda p: p.write_bytes(
            b"\x93NUMPY\x01\x00" + struct.pack("<H", 40) + b"__import__('os').getcwd()".ljust(40)
        ),
        "malformed",
    ),
    "cut.safetensors": (lambda p: p.write_bytes(b"\xff" * 8 + b"{}"), "header would have"),
    "text.safetensors": (lambda p: tensors(p, b"[1,"), "not JSON"),
    "deep.safetensors": (lambda p: tensors(p, b"[" * 100_000), "not JSON"),
    "list.safetensors": (lambda p: tensors(p, []), "no tensors"),
    "outside.safetensors": (lambda p: tensors(p, one([4, 4], [0, 1 << 40])), "ends after"),
    "less.safetensors": (lambda p: tensors(p, one([4, 4], [0, 60])), "bytes that its shape"),
    "negative.safetensors": (lambda p: tensors(p, one([-4, -4], [0, 64])), "no shape"),
    "true.safetensors": (lambda p: tensors(p, one([True, 16], [0, 64])), "no shape"),
    "whole.safetensors": (lambda p: tensors(p, one([4, 16], [0, 64], "I8")), "I8"),
    "two.safetensors": (
        lambda p: tensors(p, one([2, 4], [0, 32]) | {"w": one([2, 4], [32, 64])["v"]}),
        "one matrix",
    ),
    "vectors.pt": (lambda p: p.write_bytes(b"PK"), "not read"),
    "absent.npy": (lambda p: None, "no such file"),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_are_wrong_are_named_with_what_is_wrong(data, name):
    make, said = WRONG[name]
    make(data / name)
    error = refused(data, name)
    assert re.search(said, error, re.IGNORECASE | re.DOTALL), error
    assert name in error


def lists(values, kind=None):
    return pa.table({"id": IDS[: len(values)], "vector": pa.array(values, kind)})


WRONG_TABLES = {
    "lengths": (lists([[1.0, 2.0], [1.0]]), "different lengths"),
    "null": (lists([[1.0], None]), "no vector"),
    "null inside": (lists([[1.0], [None]]), "null"),
    "empty": (lists([[], []], pa.list_(pa.float32())), "empty"),
    "whole": (lists([[1], [2]]), "int64"),
    "texts": (lists([["1"], ["2"]]), "string"),
    "no list": (pa.table({"id": ["a"], "vector": [1.0]}), "no column for the vector"),
    "no id": (pa.table({"name": ["a"], "vector": [[1.0]]}), "no column for the id"),
    "two lists": (pa.table({"id": ["a"], "a": [[1.0]], "b": [[1.0]]}), "no column for the vector"),
    "matrices": (
        pa.table(
            {
                "id": ["d0"],
                "vector": pa.ExtensionArray.from_storage(
                    pa.fixed_shape_tensor(pa.float32(), [2, 2]),
                    pa.array([[1.0] * 4], pa.list_(pa.float32(), 4)),
                ),
            }
        ),
        "shape .2, 2.",
    ),
    "null id": (pa.table({"id": [None, "d0"], "vector": [[1.0], [2.0]]}), "no id"),
}


@pytest.mark.parametrize("name", WRONG_TABLES)
def test_tables_that_are_wrong_are_named_with_what_is_wrong(data, name):
    table, said = WRONG_TABLES[name]
    pq.write_table(table, data / "v.parquet")
    error = refused(data, "v.parquet")
    assert re.search(said, error), error
    assert "v.parquet" in error


def test_columns_with_other_names_are_named_by_the_user(data):
    lists = pa.array(DOCUMENTS.tolist(), pa.list_(pa.float32()))
    pq.write_table(pa.table({"key": IDS, "a": lists, "b": lists}), data / "v.parquet")
    built(data, "v.parquet", column={"vectors.id": "key", "vectors.vector": "b"})


def test_a_column_that_the_user_names_and_that_holds_no_lists_is_refused(data):
    pq.write_table(lists(DOCUMENTS.tolist()).append_column("text", [IDS]), data / "v.parquet")
    said = refused(data, "v.parquet", column={"vectors.vector": "text"})
    assert "v.parquet" in said and "string, not lists" in said


@pytest.mark.parametrize("second", [{"vector": IDS}, {"other": DOCUMENTS.tolist()}])
def test_a_file_of_several_whose_column_is_another_is_named(data, second):
    (data / "v").mkdir()
    tables = [pa.table({"id": IDS, **one}) for one in (second, {"vector": DOCUMENTS.tolist()})]
    for order in (tables, tables[::-1]):
        for number, table in enumerate(order):
            pq.write_table(table, data / "v" / f"{number}.parquet")
        assert re.search(r"[01]\.parquet|column for the vector", refused(data, "v"))


@pytest.mark.parametrize(
    ("numbers", "gone"),
    [((20240101, 20240103), 1), ((0, 10**18), 1), ((0, 1, 3), 2), ((1, 2, 4), 3), ((2, 3), 1)],
)
def test_the_first_number_that_is_missing_is_named_at_once(data, numbers, gone):
    """However large the numbers are, such as dates."""
    (data / "v").mkdir()
    for number in numbers:
        np.save(data / "v" / f"embeddings-{number}.npy", DOCUMENTS[:30])
    assert f"Number {gone} is missing" in refused(data, "v")


@pytest.mark.parametrize("names", [["a1", "a3"], ["a2", "a3"], ["a1b1", "a2b2"], ["x", "y"]])
def test_shards_whose_order_is_unclear_are_refused(data, names):
    (data / "v").mkdir()
    for name in names:
        np.save(data / "v" / f"{name}.npy", DOCUMENTS[:30])
    assert "order" in refused(data, "v")


def test_shards_of_several_dimensions_are_refused(data):
    (data / "v").mkdir()
    np.save(data / "v" / "0.npy", DOCUMENTS[:30])
    np.save(data / "v" / "1.npy", DOCUMENTS[30:, :4])
    assert "dimensions" in refused(data, "v")


def test_a_file_that_changes_while_it_is_read_is_an_error(data, monkeypatch):
    from hnmine.inputs import vector_files

    whole = vector_files.check_block

    def meanwhile(*arguments):
        np.save(data / "documents.npy", DOCUMENTS * 2)
        whole(*arguments)

    monkeypatch.setattr(vector_files, "check_block", meanwhile)
    assert "changed" in refused(data, "documents.npy")


@pytest.mark.parametrize(
    "more", [{"encoder": "m"}, {"query_prompt": "q: "}, {"dense": False}, {"truncate_dim": 9}]
)
def test_what_does_not_apply_to_vectors_is_refused(data, more):
    settings = {"bm25": True} if "dense" in more else {}
    with pytest.raises(UsageError, match="vectors"):
        built(data, **settings, **more)
