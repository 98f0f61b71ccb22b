"""The result depends on the plan alone: not on threads, processes, or the order of the input."""

from __future__ import annotations

from pathlib import Path

import faults
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, ENCODER, ONNX_ENCODER, rows

import hnmine as api
from hnmine.encode import load_encoder
from hnmine.encode.spec import EXACTNESS, ModelSpec

pytestmark = pytest.mark.xdist_group("determinism")

SCORES = ("bm25_score", "dense_score", "ce_score", "near_copy", "is_positive", "is_query")
"""What is said of a pair, whatever else was found."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> tuple[Path, Path]:
    """What one process on one thread wrote."""
    inputs, whole, _ = faults.undisturbed(tmp_path_factory)
    return inputs, whole


@pytest.mark.parametrize("step", faults.STEPS)
def test_two_processes_of_two_threads_write_what_one_of_one_thread_does(alone, tmp_path, step):
    inputs, whole = alone
    root = tmp_path / "run"
    faults.before(step, whole, root)
    both = [faults.start(step, inputs, root, threads=2, task=f"{n}/2") for n in range(2)]
    for process, _receiver in both:
        process.join()
        assert process.exitcode == 0
    assert faults.written(step, root) == faults.written(step, whole)


def passages(stdlib: Path) -> tuple[pa.Table, pa.Table]:
    """Read 12 pairs and 120 passages."""
    pairs = pq.read_table(stdlib / "pairs.parquet").slice(0, 12)
    corpus = pq.read_table(stdlib / "corpus.parquet")
    own = pc.is_in(corpus["id"], pairs["positive_id"])
    others = corpus.filter(pc.invert(own)).slice(0, 120)
    return pa.concat_tables([corpus.filter(own), others]), pairs


def mined(folder: Path, corpus: pa.Table, pairs: pa.Table, *, shard: int, block: int) -> Path:
    folder.mkdir()
    for name, table in (("corpus", corpus), ("pairs", pairs)):
        pq.write_table(table, folder / f"{name}.parquet")
    given = {"pairs": str(folder / "pairs.parquet"), "progress": False}
    index = {"corpus": str(folder / "corpus.parquet"), "encoder": ONNX_ENCODER, "max_length": 32}
    api.build_index(**given, **index, index=folder / "index", shard_size=shard)
    mining = {"index": folder / "index", "output": folder / "candidates", "top_k": 6}
    api.mine(**given, **mining, block_size=block)
    return api.filter(
        candidates=folder / "candidates",
        output=folder / "mined",
        cross_encoder=CROSS_ENCODER,
        max_length=48,
        num_negatives=3,
        progress=False,
    ).path


@pytest.fixture(scope="module")
def usual(stdlib, tmp_path_factory) -> Path:
    return mined(tmp_path_factory.mktemp("usual") / "run", *passages(stdlib), shard=64, block=512)


def as_text(path: Path) -> list[str]:
    """Return every row, in order; NaN equals NaN as text."""
    return [str(row) for name in ("scored", "train") for row in rows(path / name)]


def test_the_size_of_tasks_changes_nothing(usual, stdlib, tmp_path):
    smaller = mined(tmp_path / "smaller", *passages(stdlib), shard=17, block=5)
    assert as_text(smaller) == as_text(usual)


def test_the_order_of_rows_changes_no_score_and_matters_for_ties_alone(usual, stdlib, tmp_path):
    draw = np.random.default_rng(0)
    shuffled = [table.take(draw.permutation(len(table))) for table in passages(stdlib)]
    other = mined(tmp_path / "shuffled", *shuffled, shard=64, block=512)
    one, two = (
        {(row["query_id"], row["doc_id"]): row for row in rows(path / "scored")}
        for path in (usual, other)
    )
    for pair in one.keys() & two.keys():
        assert [one[pair][name] for name in SCORES] == [two[pair][name] for name in SCORES]
    assert len(one.keys() & two.keys()) > 0.95 * len(one)
    # Of passages that are equally near at the end of a list, the first in the corpus is taken.
    for found, others in ((one, two), (two, one)):
        for query, doc in found.keys() - others.keys():
            row = found[query, doc]
            last = [
                (source, min(scores))
                for source in ("bm25", "dense")
                if (
                    scores := [
                        there[f"{source}_score"]
                        for (asked, _), there in others.items()
                        if asked == query and there[f"{source}_rank"] is not None
                    ]
                )
            ]
            assert [source for source, score in last if row[f"{source}_score"] == score]


@pytest.fixture(scope="module")
def texts(stdlib) -> list[str]:
    return passages(stdlib)[0]["text"].to_pylist()


def cosines(texts, order, threads=1, **more) -> np.ndarray:
    given = {"device": "cpu", "backend": "torch", "dtype": "fp32", "max_length": 128, **more}
    encoder = load_encoder(ModelSpec.find(ENCODER, **given), threads)
    vectors = encoder.encode([texts[row] for row in order], "document").astype(np.float64)
    vectors = vectors[np.argsort(order)]
    return vectors @ vectors.T


@pytest.fixture(scope="module")
def usual_cosines(texts) -> np.ndarray:
    return cosines(texts, range(len(texts)))


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("nothing", {}),
        ("batch_tokens", {"batch_tokens": 200}),
        ("order of rows", {}),
        ("backend", {"backend": "openvino"}),
        ("dtype", {"dtype": "bf16"}),
    ],
)
def test_cosines_differ_by_no_more_than_the_manifest_says(texts, usual_cosines, what, changed):
    order = range(len(texts))[::-1] if what == "order of rows" else range(len(texts))
    difference = np.abs(usual_cosines - cosines(texts, order, threads=2, **changed)).max()
    allowed = {"nothing": 0.0, **EXACTNESS["cosines_may_differ_by"]}
    assert difference <= allowed[what]
    assert (difference > 0) == (what != "nothing")
