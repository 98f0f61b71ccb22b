"""The whole pipeline on a device against `mine_hard_negatives`: same models, pairs and depth."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.gpu.inference import _kept, precision
from benchmarks.gpu.models import ENCODERS, RERANKERS, Texts, make

DEPTH, ASKED, MARGIN = 30, 3, 0.0
MOST_ROUNDS = 3


class Rows:
    """As much of `datasets.Dataset` as `mine_hard_negatives` uses, where it is not installed."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._columns, self.column_names = columns, list(columns)

    from_dict = classmethod(lambda cls, columns: cls(columns))

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), []))

    def __getitem__(self, name: str) -> list[Any]:
        return self._columns[name]

    def to_pandas(self) -> Rows:
        """Return itself: the one call on a data frame is known."""
        return self

    def groupby(self, name: str) -> Rows:
        """Count the rows of each value of a column."""
        self._grouped = dict(Counter(self._columns[name]))
        return self

    def count(self) -> Rows:
        """Return itself, which has counted."""
        return self

    def to_dict(self) -> dict[str, dict[Any, int]]:
        """Return the counts for each column."""
        return dict.fromkeys(self.column_names, self._grouped)


def _dataset() -> Any:
    if importlib.util.find_spec("datasets") is None:
        from sentence_transformers.util import hard_negatives

        stand_in = ModuleType("datasets")
        stand_in.Dataset = Rows  # type: ignore[attr-defined]
        sys.modules["datasets"] = stand_in
        hard_negatives.is_datasets_available = lambda: True
    from datasets import Dataset

    return Dataset


def measure(
    folder: Path, device: str, threads: int, seconds: float, *, small: bool
) -> list[dict[str, Any]]:
    """Run both from texts to training rows within about so many seconds."""
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    import hnmine

    documents, asked = (100, 5) if small else (20_000, 1000)
    made = Texts(1)
    texts, queries = list(dict.fromkeys(made.passages(documents))), made.queries(asked)
    models = {**ENCODERS, **RERANKERS}
    encoder, judge = (
        str(make(models[name], folder / name, texts, device, small=small))
        for name in ("MiniLM-L6", "ms-marco-MiniLM-L6")
    )
    corpus, pairs = folder / "corpus.parquet", folder / "pairs.parquet"
    pq.write_table(pa.table({"id": [str(n) for n in range(len(texts))], "text": texts}), corpus)
    pq.write_table(pa.table({"query": queries, "positive": texts[:asked]}), pairs)
    dataset = _dataset().from_dict({"query": queries, "positive": texts[:asked]})

    def theirs() -> Any:
        mined = mine_hard_negatives(
            dataset,
            SentenceTransformer(encoder, **_kept(device)),
            corpus=texts,
            cross_encoder=CrossEncoder(judge, **_kept(device)),
            range_max=DEPTH,
            num_negatives=ASKED,
            absolute_margin=MARGIN,
            verbose=False,
        )
        return len(mined)

    def ours(*, bm25: bool = False) -> Any:
        out = folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        shared = {"threads": threads, "progress": False}
        how = {"device": device, "dtype": precision(device)}
        built = {"index": out / "index", "encoder": encoder, "bm25": bm25}
        hnmine.build_index(corpus=str(corpus), pairs=str(pairs), **built, **how, **shared)
        place = {"index": out / "index", "output": out / "candidates"}
        hnmine.mine(pairs=str(pairs), top_k=DEPTH, device=device, **place, **shared)
        rules = {"cross_encoder": judge, "margin": MARGIN, "num_negatives": ASKED}
        place = {"candidates": out / "candidates", "output": out / "mined"}
        hnmine.filter(**place, **rules, **how, **shared)
        return sum(pq.read_metadata(file).num_rows for file in (out / "mined/train").iterdir())

    end = time.perf_counter() + seconds
    start = time.perf_counter()
    ours(bm25=True)  # The first run of a machine compiles.
    first = time.perf_counter() - start
    took: dict[str, list[float]] = {"theirs": [], "ours": []}
    rows = {}
    for _ in range(MOST_ROUNDS):
        begun = time.perf_counter()
        for name, arm in (("ours", ours), ("theirs", theirs)):
            start = time.perf_counter()
            rows[name] = arm()
            took[name].append(time.perf_counter() - start)
        now = time.perf_counter()
        if 2 * now - begun > end:
            break
    start = time.perf_counter()
    ours(bm25=True)
    return [
        {
            "what": f"whole pipeline, {precision(device)}, {len(texts):,} passages, "
            f"{asked:,} queries, the top {DEPTH} judged",
            "seconds": took,
            "rows": rows,
            "hnmine with BM25 s": round(time.perf_counter() - start, 2),
            "hnmine with BM25, compiling first, s": round(first, 2),
            "steps of hnmine": _steps(folder / "out"),
        }
    ]


def _steps(out: Path) -> dict[str, Any]:
    """Return the seconds of the steps of the last run."""
    return {
        name: json.loads((out / name / "run.json").read_text())["seconds_of_steps"]
        for name in ("index", "candidates", "mined")
    }
