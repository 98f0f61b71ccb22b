"""How many tasks a run has and how long they take, from what units of work cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hnmine.schema import PAIRS_PER_TASK, QUERIES_PER_TASK


@dataclass(frozen=True)
class Load:
    """What a run has to do.

    Attributes:
        documents: rows that are written.
        distinct: documents that are indexed.
        queries: that are mined for.
        pairs: candidates of all queries.
        bm25: whether there is a BM25 index.
        dense: whether there is a dense index.
        approximate: whether it has a FAISS index beside its vectors.
        judged: whether a cross-encoder scores the candidates.
        scored: pairs that it scores, as with --lazy; None: all.
        shard_size: documents in one task.
        block_size: queries in one task.
    """

    documents: int
    distinct: int
    queries: int = 0
    pairs: int = 0
    bm25: bool = True
    dense: bool = False
    approximate: bool = False
    judged: bool = False
    scored: int | None = None
    shard_size: int = 16384
    block_size: int = 512


@dataclass(frozen=True)
class Costs:
    """CPU seconds of one unit on one thread.

    Attributes:
        document: of reading, checking and writing a document.
        count: of splitting and counting its terms.
        merge: of merging them into the BM25 index.
        encode: of encoding a document.
        encode_query: of encoding a query.
        query: of mining for a query, however many documents there are.
        bm25: of looking for a query in one document by BM25.
        dense: of comparing a query with one document by its vector, on a CPU.
        candidate: of filtering a candidate.
        judge: of scoring a pair with the cross-encoder.
    """

    document: float = 0.0
    count: float = 0.0
    merge: float = 0.0
    encode: float = 0.0
    encode_query: float = 0.0
    query: float = 0.0
    bm25: float = 0.0
    dense: float = 0.0
    candidate: float = 0.0
    judge: float = 0.0


def joined(rest: Costs, models: Costs) -> Costs:
    """Return the costs of everything but the models with those of the models."""
    return replace(rest, encode=models.encode, encode_query=models.encode_query, judge=models.judge)


@dataclass(frozen=True)
class Step:
    """Tasks that do the same.

    Attributes:
        stage: the command.
        name: of the step.
        tasks: how many; one cannot be shared among processes.
        cpu_seconds: of all of them.
        threaded: whether a task uses all threads of its process.
    """

    stage: str
    name: str
    tasks: int
    cpu_seconds: float
    threaded: bool = False

    def seconds(self, workers: int, threads: int) -> float:
        """Estimate how long so many processes take, of so many threads each."""
        at_once = min(self.tasks, workers) * (threads if self.threaded else 1)
        return self.cpu_seconds / max(1, at_once)


def steps(load: Load, costs: Costs) -> Iterator[Step]:
    """Yield the steps of `build-index`, `mine` and `filter`, in order.

    Filling an approximate index is left out of the time: what it costs, its kind decides.
    """
    shards = -(-load.distinct // load.shard_size)
    yield Step("build-index", "documents", 1, load.documents * costs.document)
    if load.bm25:
        yield Step("build-index", "BM25: count terms", shards, load.distinct * costs.count)
        yield Step("build-index", "BM25: merge", 1, load.distinct * costs.merge)
    if load.dense:
        yield Step("build-index", "dense: encode", shards, load.distinct * costs.encode, True)
    if load.approximate:
        yield Step("build-index", "dense: FAISS", 1, 0.0)
    if not load.queries:
        return
    blocks = -(-load.queries // load.block_size)
    yield Step("mine", "queries", 1, load.queries * costs.document)
    if load.dense:
        encoded = -(-load.queries // QUERIES_PER_TASK)
        yield Step("mine", "encode queries", encoded, load.queries * costs.encode_query, True)
    search = load.bm25 * costs.bm25 + load.dense * costs.dense
    each = costs.query + load.distinct * search
    yield Step("mine", "mine", blocks, load.queries * each, True)
    if load.judged:
        scored = load.pairs if load.scored is None else load.scored
        of_block = -(-scored // blocks)
        judged = blocks * -(-of_block // PAIRS_PER_TASK)
        yield Step("filter", "cross-encoder", judged, scored * costs.judge, True)
    yield Step("filter", "filter", blocks, load.pairs * costs.candidate)
