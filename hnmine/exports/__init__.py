"""Formats of training data, one line each: those of train/, and the files of other trainers.

sentence-transformers takes a column named label, labels, score or scores as the label, and every
other column as an input, by order: so no ids there, and scores only where they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from hnmine.exports import beir, colbert, swift, tevatron, trec
from hnmine.exports.dpr import dpr
from hnmine.exports.examples import Material
from hnmine.exports.flagembedding import flagembedding
from hnmine.exports.labeled import labeled_list, labeled_pair
from hnmine.exports.training_rows import Chosen
from hnmine.exports.tuples import n_tuple, triplet

Layout = Callable[[Chosen, int, bool], pa.Table]
"""Takes what was chosen, the negatives asked for, and whether scores are wanted."""

LAYOUTS: dict[str, Layout] = {
    "triplet": triplet,
    "n-tuple": n_tuple,
    "labeled-pair": labeled_pair,
    "labeled-list": labeled_list,
}
"""The layouts of train/."""

Rows = Callable[[Material], Iterator[Any]]


@dataclass(frozen=True)
class Format:
    """What a trainer reads.

    Attributes:
        files: the rows of each file, by its name, whose ending says what a row is (see `files`).
        scores: whether the files hold scores: never, where they are asked for, or always.
        configs: configurations of the dataset, by name: each is a file that `load_dataset` reads.
    """

    files: Mapping[str, Rows]
    scores: Literal["none", "optional", "always"] = "none"
    configs: Mapping[str, str] = field(default_factory=dict)


def _of_layout(layout: Layout) -> Format:
    def rows(material: Material) -> Iterator[pa.Table]:
        for block in material.blocks():
            yield layout(block.chosen, material.num_negatives, material.scores is not None)

    return Format({"train.parquet": rows}, "optional", {"train": "train.parquet"})


def _lines(
    rows: Rows, scores: Literal["none", "always"] = "none", file: str = "train.jsonl"
) -> Format:
    return Format({file: rows}, scores, {"train": file})


FORMATS: dict[str, Format] = {
    **{name: _of_layout(layout) for name, layout in LAYOUTS.items()},
    # FlagEmbedding reads all JSON files of a folder: no manifest may stand among them.
    "flagembedding": _lines(flagembedding, "always", "data/train.jsonl"),
    "tevatron": _lines(tevatron.tevatron),
    "tevatron-ids": Format(
        {"train.jsonl": tevatron.tevatron_ids, "corpus.jsonl": tevatron.tevatron_corpus},
        configs={"train": "train.jsonl", "corpus": "corpus.jsonl"},
    ),
    "pylate-kd": Format(
        {
            "train.jsonl": colbert.pylate_train,
            "queries.jsonl": colbert.pylate_queries,
            "documents.jsonl": colbert.pylate_documents,
        },
        "always",
        {name: f"{name}.jsonl" for name in ("train", "queries", "documents")},
    ),
    "colbert": Format(
        {
            "triples.train.colbert.jsonl": colbert.colbert_triples,
            "queries.train.colbert.tsv": colbert.colbert_queries,
            "corpus.train.colbert.tsv": colbert.colbert_documents,
            "query_ids.jsonl": colbert.colbert_query_ids,
            "document_ids.jsonl": colbert.colbert_document_ids,
        },
        "optional",
    ),
    "dpr": Format({"train.json": dpr}, "always"),
    "beir": Format(
        {
            "corpus.jsonl": beir.corpus,
            "queries.jsonl": beir.queries,
            "qrels/train.tsv": beir.beir_qrels,
        }
    ),
    "mteb": Format(
        {
            "corpus.jsonl": beir.corpus,
            "queries.jsonl": beir.queries,
            "qrels.jsonl": beir.mteb_qrels,
            "top_ranked.jsonl": beir.mteb_top_ranked,
        },
        configs={
            "default": "qrels.jsonl",
            **{name: f"{name}.jsonl" for name in ("corpus", "queries", "top_ranked")},
        },
    ),
    "msmarco": Format(
        {
            "collection.tsv": trec.collection,
            "queries.train.tsv": trec.queries,
            "qrels.train.tsv": trec.qrels,
            "qidpidtriples.train.tsv": trec.triples,
        }
    ),
    "trec": Format({"run.txt": trec.trec_run, "qrels.txt": trec.trec_qrels}, "always"),
    "ms-swift-embedding": _lines(swift.embedding),
    "ms-swift-reranker": _lines(swift.reranker),
}
"""The formats of `hnmine export`; who reads them stands in `config.export`."""
