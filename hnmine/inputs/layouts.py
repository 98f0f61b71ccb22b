"""Folders whose files are the parts of one data set: a corpus, queries and judgements by id.

BEIR, MTEB, MS MARCO, Arctic's tables, and what `hnmine export` writes for trainers that keep texts
and ids apart (Tevatron with ids, PyLate, ColBERT, TREC).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa

from hnmine.inputs.data_files import DataFile
from hnmine.inputs.formats.reader import BATCH_ROWS, Reader
from hnmine.inputs.hub import HubName
from hnmine.inputs.splits import OWN_FILES
from hnmine.inputs.unchanged import Unchanged
from hnmine.runner.storage import fetch_input

Rows = Iterator[tuple[object, ...]]

STEMS = {
    "corpus": ("corpus", "documents", "document", "collection", "docs", "passages"),
    "queries": ("queries", "query", "topics"),
    "qrels": ("qrels", "qrel", "labels", "judgements", "judgments", "relevance"),
    "train": ("train",),
    "triples": ("triples", "qidpidtriples"),
    "run": ("run",),
}
"""The beginnings of files' and folders' names, up to the first dot, by what they hold."""

PAIR = pa.schema(
    {"query-id": pa.large_string(), "corpus-id": pa.large_string(), "score": pa.float64()}
)
TEXTS = pa.schema({"id": pa.large_string(), "text": pa.large_string()})


class MadeRows(Reader):
    """Rows, as tuples, that are made from files that no format can read by itself."""

    def __init__(self, path: Path, schema: pa.Schema, rows: Callable[[], Rows]) -> None:
        super().__init__(path, schema)
        self._schema, self._rows = schema, rows

    def batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Stream columns."""
        rows = self._rows()
        while block := list(islice(rows, BATCH_ROWS)):
            arrays = [
                pa.array(values, kind)
                for values, kind in zip(zip(*block, strict=True), self._schema.types, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=self._schema).select(names)


def _made(schema: pa.Schema, rows: Callable[[], Rows], *paths: Path) -> DataFile:
    return DataFile(MadeRows(paths[0], schema, rows), tuple(map(Unchanged, paths)))


@dataclass(frozen=True)
class Layout:
    """The parts of a folder, each a path or files that were made from it.

    Attributes:
        corpus: documents.
        queries: with ids; None where `pairs` has them.
        qrels: judgements.
        pairs: queries with the ids of their positives.
        run: what another miner chose.
    """

    corpus: str | DataFile | None = None
    queries: str | DataFile | None = None
    qrels: str | DataFile | None = None
    pairs: str | DataFile | None = None
    run: str | DataFile | None = None


def find_layout(path: str) -> Layout | None:
    """Tell the parts of a folder by the names of its files; None for any other folder."""
    if not path.strip() or HubName.parse(path):
        return None
    place = fetch_input(path)
    if not place.is_dir():
        return None
    parts: dict[str, Path] = {}
    for entry in sorted(place.iterdir()):
        stem = entry.name.split(".")[0].lower()
        kind = next((kind for kind, stems in STEMS.items() if stem in stems), None)
        if kind and entry.name not in OWN_FILES:
            parts.setdefault(kind, entry)
    if {"corpus", "queries", "triples"} <= parts.keys() and (place / "query_ids.jsonl").exists():
        return _colbert(place, parts)
    if {"corpus", "queries", "qrels"} <= parts.keys():
        run = _triples(parts["triples"]) if "triples" in parts else str(parts["qrels"])
        corpus, queries, qrels = (str(parts[kind]) for kind in ("corpus", "queries", "qrels"))
        return Layout(corpus, queries, qrels, run=run)
    if {"corpus", "queries", "train"} <= parts.keys():
        judged = _lists(parts["train"])
        return Layout(str(parts["corpus"]), str(parts["queries"]), judged, run=judged)
    if {"corpus", "train"} <= parts.keys():
        train = str(parts["train"])
        return Layout(str(parts["corpus"]), pairs=train, run=train)
    if {"run", "qrels"} <= parts.keys():
        return Layout(qrels=str(parts["qrels"]), run=str(parts["run"]))
    return None


def _triples(path: Path) -> DataFile:
    """Return what a file without a header has of queries, positives and negatives by id."""
    separator = "\t" if path.suffix.lower() == ".tsv" else None

    def rows() -> Rows:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                fields = line.rstrip("\r\n").split(separator)
                if fields in ([""], []):
                    continue
                if len(fields) != 3:
                    raise ValueError(f"Line {number}: it has {len(fields)} fields, not 3.")
                yield fields[0], fields[2], 0.0

    return _made(PAIR, rows, path)


def _lists(path: Path) -> DataFile:
    """Return judgements of lists of ids, of which the first is the positive."""
    source = DataFile.open(path)

    def rows() -> Rows:
        for batch in source.batches(["query_id", "document_ids"]):
            for row in batch.to_pylist():
                for place, document in enumerate(row["document_ids"]):
                    yield str(row["query_id"]), str(document), float(place == 0)

    if not {"query_id", "document_ids"} <= source.types.keys():
        return source
    return _made(PAIR, rows, path)


def _colbert(place: Path, parts: dict[str, Path]) -> Layout:
    """Return the parts of a folder in which texts go by their line, with ids beside them."""
    query_ids, document_ids = place / "query_ids.jsonl", place / "document_ids.jsonl"

    def ids(path: Path, name: str) -> Iterator[str]:
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)[name]

    def texts(path: Path, of: Path, name: str) -> Rows:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line, one in zip(file, ids(of, name), strict=True):
                yield one, line.rstrip("\n").partition("\t")[2]

    def judged(positive: bool) -> Rows:
        queries = list(ids(query_ids, "query_id"))
        documents = list(ids(document_ids, "document_id"))
        with parts["triples"].open(encoding="utf-8") as file:
            for line in file:
                query, *passages = json.loads(line)
                numbers = [one[0] if isinstance(one, list) else one for one in passages]
                for place_, number in enumerate(numbers):
                    if positive or place_:
                        yield queries[query], documents[number], float(place_ == 0)

    return Layout(
        _made(
            TEXTS,
            partial(texts, parts["corpus"], document_ids, "document_id"),
            *(parts["corpus"], document_ids),
        ),
        _made(
            TEXTS,
            partial(texts, parts["queries"], query_ids, "query_id"),
            *(parts["queries"], query_ids),
        ),
        _made(PAIR, partial(judged, True), parts["triples"], query_ids, document_ids),
        run=_made(PAIR, partial(judged, False), parts["triples"], query_ids, document_ids),
    )
