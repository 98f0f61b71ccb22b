"""The paths and Arrow schemas of all files that hnmine writes: read this first.

index/       documents/ (id, text, metadata)   bm25/ (postings)   dense/ (vectors, FAISS index)
candidates/  queries/ (id, text, positives)  dense/ (their vectors)  runs/  clusters.npy
             centres.npy  candidates/*.parquet   scores/MODEL/*.npy
mined/       scored/*.parquet   train/*.parquet   shortfall.parquet   README.md
batches/     train/*.parquet   left_over.parquet
export/      the files of a trainer's format (hnmine/exports)   README.md
generated/   generated.parquet
mixed/       mixtures/*.parquet   vectors/*.npy

Each holds manifest.json (inputs, settings, versions and counts, equal for equal plans) and run.json
(when, where and how fast it was written). Ranks count from 0. Ids are strings in the tables;
`query_row` and `doc_row` are positions in queries/ and documents/.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

VERSION = 1
"""Version of the layout below; directories of newer versions are refused."""

STATE = ".hnmine"
"""Hidden folder of a run: plan, lock, a marker for each finished task, temporary files; of
candidates, cached trials of depths too."""

INNER = ("scores", "deeper")
"""Folders in candidates/ that hold run directories, each with a state folder."""

QUERIES_PER_TASK, PAIRS_PER_TASK = 16384, 4096
"""Queries that one task encodes, and pairs that a cross-encoder judges in one task."""

MODEL_KEYS = ("encoder", "judges")
"""Keys of a plan that hold models."""

LEFT_OPEN = ("backend", "batch_tokens", "device", "dtype", "max_length")
"""How a model runs; where no setting says it, the machine decides."""

NEW_KEY = "sources"
"""A key that earlier versions did not write into the plan of a mined directory."""

NOW_OPEN = 'settings.dtype: "fp32" -> null'
"""A difference from a directory of an earlier version, whose default was written out."""

NOW_SKIPS = 'settings.on_bad_row: "error" -> "skip"'
"""A difference between two plans that changes no output of a finished task."""


def _field(name: str, kind: pa.DataType, meaning: str, *, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null, metadata={"meaning": meaning})


CANDIDATES = pa.schema(
    [
        _field("query_id", pa.string(), "the query"),
        _field("doc_id", pa.string(), "the document considered for it"),
        _field(
            "rank",
            pa.int32(),
            "place by rrf_score among the query's candidates; null for its positives and itself",
            null=True,
        ),
        _field("rrf_score", pa.float64(), "sum over sources of 1 / (61 + rank in the source)"),
        _field("bm25_score", pa.float64(), "BM25 score; null without a BM25 index", null=True),
        _field("bm25_rank", pa.int32(), "rank in BM25's list; null if not in it", null=True),
        _field(
            "dense_score",
            pa.float32(),
            "cosine, or dot product where the encoder's files say so; null without a vector",
            null=True,
        ),
        _field("dense_rank", pa.int32(), "rank in the dense list; null if not in it", null=True),
        _field(
            "near_copy",
            pa.float32(),
            "largest share of it, or of a positive, that stands word for word in the other; "
            "null for positives",
            null=True,
        ),
        _field(
            "contained",
            pa.float32(),
            "share of it that stands word for word in a positive: 1 for an excerpt of a positive",
            null=True,
        ),
        _field(
            "contains",
            pa.float32(),
            "share of a positive that stands word for word in it: 1 for a text that holds one",
            null=True,
        ),
        _field(
            "owner_score",
            pa.float32(),
            "cosine to the nearest other query that it is a positive of; null if there is none",
            null=True,
        ),
        _field("grade", pa.float32(), "grade by --qrels; null if not judged", null=True),
        _field("is_positive", pa.bool_(), "known positive of the query, or a copy of one"),
        _field("is_query", pa.bool_(), "the document's text is the query itself"),
        _field("query_row", pa.int64(), "row in queries/"),
        _field("doc_row", pa.int64(), "row in the index's documents/"),
    ]
)

LATER = ("contained", "contains")
"""Columns of `CANDIDATES` that earlier versions did not write; they are null there."""


def ranks(column: str) -> pa.Field:
    """Return the field of a source's ranks that `CANDIDATES` does not name."""
    return _field(column, pa.int32(), "rank in its list; null if not in it", null=True)


def scores(column: str) -> pa.Field:
    """Return the field of a source's scores that `CANDIDATES` does not name."""
    return _field(column, pa.float64(), "score by this source; null if it has none", null=True)


VERDICTS = pa.schema(
    [
        _field("score", pa.float64(), "the score that the rules compared", null=True),
        _field("positive_score", pa.float64(), "the query's anchor for the rules", null=True),
        _field("keep", pa.bool_(), "no rule dropped it: it may serve as a negative"),
        _field("reason", pa.string(), "the first rule that dropped it; null if kept", null=True),
        _field("selected", pa.bool_(), "chosen as a hard negative"),
        _field(
            "place",
            pa.int32(),
            "place among the chosen negatives of its query, the best first; null if not chosen",
            null=True,
        ),
        _field("label", pa.int8(), "1 positive, 0 selected negative, else null", null=True),
        _field("weight", pa.float32(), "weight of a selected negative, else null", null=True),
    ]
)
"""Columns that `filter` adds after the models' scores and the derived columns."""


def judged(column: str) -> pa.Field:
    """Return the field of a judge's scores."""
    meaning = {
        "ce_score": "raw logit of --cross-encoder",
        "positive_similarity": "cosine to the nearest known positive of the query",
        "verdict": "the chance that it is relevant, by the file of verdicts",
    }
    return _field(column, pa.float32(), meaning.get(column, "score of a --judge"), null=True)


RELEVANT = 0.5
"""The verdict from which a document counts as relevant."""

SCORES = {"ce": "ce_score", "dense": "dense_score", "bm25": "bm25_score"}
"""Columns of a candidate's scores, by short name."""

ESTIMATES = pa.schema(
    [
        _field(
            "evidence",
            pa.float32(),
            "what the judges say, as one score: higher is more like a known positive; null with "
            "--lazy and --compat",
            null=True,
        ),
        _field(
            "relevance",
            pa.float32(),
            "evidence, and similarity to the nearest positive: higher is more doubtful as a "
            "negative; null like evidence",
            null=True,
        ),
        _field(
            "shortcut",
            pa.float32(),
            "cost of being told from the positives by BM25 or length alone; null like evidence",
            null=True,
        ),
    ]
)
"""Scores that order the candidates of all queries; no probabilities."""

SHORTFALL = pa.schema(
    [
        _field("query_id", pa.string(), "a query that got fewer negatives than asked"),
        _field("asked", pa.int32(), "negatives asked for"),
        _field("found", pa.int32(), "negatives found"),
        _field("candidates", pa.int32(), "candidates considered, positives not counted"),
        _field("reason", pa.string(), "what dropped most of them, or no-candidates"),
    ]
)

BATCHES = pa.schema(
    [
        _field("epoch", pa.int32(), "the epoch that the row is for, from 0"),
        _field("batch", pa.int32(), "the batch of that epoch, from 0; its rows stand together"),
    ]
)
"""Columns that `batch` adds to train/."""


MADE = pa.schema(
    [
        _field("text", pa.large_string(), "a text that was made to be a negative"),
        _field("made_for", pa.string(), "the query that it was made for"),
        _field("made_from", pa.string(), "the positive that it was made from", null=True),
        _field("edit", pa.string(), "the kind of rule edit, the name of the prompt, or written"),
        _field("was", pa.string(), "what the edit took out; empty if nothing", null=True),
        _field("became", pa.string(), "what it put in; empty if nothing", null=True),
    ]
)
"""Columns that `generate` writes after an id; id and text are named as in the corpus. Those of
--written follow."""

MADE_FILE = "generated.parquet"

MIXED = pa.schema(
    [
        _field("query_id", pa.string(), "the query that the mixture is a negative of"),
        _field("by", pa.string(), "how it is mixed"),
        _field("first_id", pa.string(), "a parent document; null for the query itself", null=True),
        _field("second_id", pa.string(), "the other parent, a document"),
        _field("first_weight", pa.float64(), "weight of the first parent's unit vector"),
        _field("second_weight", pa.float64(), "weight of the second parent's unit vector"),
        _field("weight", pa.float64(), "mean weight of its parents by their shares"),
        _field(
            "grade",
            pa.float64(),
            "mean grade of its parents by their shares; null if one has no grade",
            null=True,
        ),
    ]
)
"""Columns that `mix` writes: a mixture is the weighted sum of its parents' unit vectors, scaled to
length 1."""


class IndexPaths:
    """Paths in an index directory."""

    def __init__(self, root: Path) -> None:
        self.documents = root / "documents"
        self.bm25 = root / "bm25"
        self.dense = root / "dense"


class CandidatePaths:
    """Paths in a candidates directory."""

    def __init__(self, root: Path) -> None:
        self.queries = root / "queries"
        self.dense = root / "dense"
        self.runs = root / "runs"
        self.clusters = root / "clusters.npy"
        self.centres = root / "centres.npy"
        self.candidates = root / "candidates"
        self.scores, self.deeper = (root / name for name in INNER)
