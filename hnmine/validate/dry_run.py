"""`--dry-run`: the tasks of a run, and the memory, disk and time that they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hnmine.config import BuildIndexSettings, FilterSettings, MineSettings
from hnmine.config.output import OutputSettings
from hnmine.directories.candidates import Candidates
from hnmine.directories.index import Index
from hnmine.directories.queries import Queries
from hnmine.encode.spec import ModelSpec
from hnmine.errors import InputError
from hnmine.index.dense_index import EXACT
from hnmine.index.given_vectors import spec_of
from hnmine.inputs.opening import open_inputs, read_documents, read_queries
from hnmine.inputs.table_reader import BadRows
from hnmine.inputs.texts import Texts
from hnmine.inputs.vector_files import open_vectors
from hnmine.results import Json, Result
from hnmine.validate.estimates import (
    check_faiss,
    memory,
    sizes,
    spec_facts,
)
from hnmine.validate.findings import layout
from hnmine.validate.forecast import Costs, Load, Step, joined, steps
from hnmine.validate.input_checks import SAMPLE, Gathered, gather
from hnmine.validate.measured_costs import unit_costs
from hnmine.validate.model_trials import model_costs
from hnmine.validate.options import LAZY_PAIRS
from hnmine.validate.used_models import affordable, check_models

DISK = {
    "build-index": ("documents_bytes", "bm25_bytes", "vectors_bytes"),
    "mine": ("candidates_bytes",),
    "filter": ("candidates_bytes",),
}
"""What each stage writes."""


@dataclass(frozen=True, repr=False)
class Forecast(Result):
    """What stages will do and need.

    Attributes:
        stages: by command: each step with its tasks and its CPU seconds, then what all need.
    """

    stages: dict[str, Json]

    def as_json(self) -> Json:
        """Return everything as JSON values."""
        return self.stages

    def lines(self) -> Iterator[str]:
        """Yield the lines of a table."""
        yield from layout(self.stages)
        yield "Nothing was written."


@dataclass(frozen=True)
class _Amount:
    """Documents or queries: how many, how many are distinct, and a sample."""

    rows: int
    distinct: int
    sample: list[str]

    @classmethod
    def of(cls, found: Gathered | Texts) -> _Amount:
        if isinstance(found, Gathered):
            return cls(len(found), len(found.canonical), list(found.sample.values()))
        rows = np.linspace(0, len(found.canonical) - 1, SAMPLE).astype(np.int64)
        sample = found.texts(found.canonical[np.unique(rows)])
        return cls(len(found), len(found.canonical), sample)


@dataclass(frozen=True)
class _Subject:
    """The work of the stages, the encoder, and the dimension of its vectors if known."""

    documents: _Amount
    queries: _Amount | None
    load: Load
    depth: int
    encoder: ModelSpec | None
    dimension: int | None


def dry_run(stages: Sequence[OutputSettings]) -> Forecast:
    """Return what stages will do and need, by their inputs and a short trial on this machine.

    Raises:
        HnmineError: an input, a model or a setting cannot be used.
    """
    by_name = {settings.command: settings for settings in stages}
    index, mine, filter_ = (by_name.get(name) for name in ("build-index", "mine", "filter"))
    assert index is None or isinstance(index, BuildIndexSettings)
    assert mine is None or isinstance(mine, MineSettings)
    assert filter_ is None or isinstance(filter_, FilterSettings)
    check_models(stages)
    subject = _subject(index, mine, filter_)
    threads = stages[0].cpu_threads
    if index is not None and subject.encoder and index.faiss != EXACT:
        check_faiss(index.faiss, subject.encoder, subject.load.distinct, threads)
    found = list(steps(subject.load, _costs(subject, filter_, threads)))
    weights = spec_facts(subject.encoder)[1] if subject.encoder else None
    load, documents = subject.load, subject.documents
    disk = sizes(
        documents.sample,
        load.documents,
        load.distinct,
        load.pairs,
        subject.dimension,
        bm25=load.bm25,
    )
    ram = memory(load.documents, weights, threads)
    return Forecast(
        {
            name: _stage(settings, [step for step in found if step.stage == name], disk, ram)
            for name, settings in by_name.items()
        }
    )


def _stage(settings: OutputSettings, found: Sequence[Step], disk: dict[str, int], ram: int) -> Json:
    workers = affordable(settings)
    threads = max(1, settings.cpu_threads // workers)
    return {
        **{step.name: {"tasks": step.tasks, "cpu_seconds": step.cpu_seconds} for step in found},
        "workers": workers,
        "threads of each": threads,
        "peak_ram_bytes": ram * workers,
        "disk_bytes": sum(disk.get(name, 0) for name in DISK[settings.command]),
        "time_seconds": sum(step.seconds(workers, threads) for step in found),
    }


def _subject(
    index: BuildIndexSettings | None, mine: MineSettings | None, filter_: FilterSettings | None
) -> _Subject:
    """Count what the stages have to do."""
    candidates = Candidates(filter_.candidates, filter_.index) if filter_ and not mine else None
    opened = None
    if index is None:
        opened = candidates.index if candidates else Index(mine.index) if mine else None
    documents = _read(index) if index else _Amount.of(opened.documents)  # type: ignore[union-attr]
    built = opened.settings if opened else index
    assert built
    queries = _read(mine) if mine else None
    pairs, depth, block_size = 0, 1, 512
    sources = [name for name in ("bm25", "dense") if getattr(built, name)]
    if candidates:
        queries = _of_mined(candidates.queries)
        pairs = sum(candidates.part_rows)
        depth = pairs // len(candidates.mined)
        block_size = candidates.manifest.settings.block_size
    elif mine and queries:
        depths = mine.depths or dict.fromkeys(sources, mine.top_k)
        sources = [name for name in sources if name in depths or not mine.source]
        depth, block_size = max(depths.values()), mine.block_size
        pairs = queries.rows * (sum(min(k, documents.distinct) for k in depths.values()) + 1)
    scored = None
    if filter_ and filter_.lazy and queries:
        # Each query has a positive, at least; more are known only once they are joined.
        scored = min(pairs, int(queries.rows * (1 + filter_.num_negatives * LAZY_PAIRS)))
    load = Load(
        documents=documents.rows,
        distinct=documents.distinct,
        queries=queries.rows if queries else 0,
        pairs=pairs,
        bm25="bm25" in sources,
        dense="dense" in sources,
        approximate="dense" in sources and built.faiss != EXACT,
        judged=bool(filter_ and filter_.cross_encoder),
        scored=scored,
        shard_size=built.shard_size,
        block_size=block_size,
    )
    return _Subject(documents, queries, load, depth, *_encoder(index, opened))


def _read(settings: BuildIndexSettings | MineSettings) -> _Amount:
    bad = BadRows(settings.on_bad_row)
    if isinstance(settings, BuildIndexSettings):
        batches = read_documents(open_inputs(settings, ("corpus", "pairs")), bad)
    else:
        batches = read_queries(open_inputs(settings, ("pairs", "queries", "qrels")), bad)
    found = gather(batches, BadRows("skip"), 0, lambda rows: None)
    if found is None:
        raise InputError("No row of the inputs can be used.", fix="Check the text columns.")
    return _Amount.of(found)


def _of_mined(queries: Queries) -> _Amount:
    some = queries.mined[:: -(-len(queries.mined) // SAMPLE)]
    return _Amount(len(queries.mined), len(queries.mined), queries.texts.texts(some))


def _encoder(
    index: BuildIndexSettings | None, opened: Index | None
) -> tuple[ModelSpec | None, int | None]:
    """Return the encoder of the vectors, or what stands for it, and their dimension if known."""
    encoder = dimension = None
    if opened:
        encoder = opened.manifest.encoder
        if encoder and encoder.backend == "files":
            return encoder, opened.vectors(1).dimension
    elif index and index.vectors:
        source = open_vectors(index.vectors, "corpus", index.columns("vectors"))
        encoder = spec_of(source, index.similarity, index.truncate_dim)
        return encoder, index.truncate_dim or source.dimension
    elif index and index.dense and index.encoder:
        how = index.model_use
        encoder = ModelSpec.find(index.encoder, use="encoder", pooling=index.pooling, **how)
    if encoder:
        dimension = spec_facts(encoder)[0]
    return encoder, dimension


def _costs(subject: _Subject, filter_: FilterSettings | None, threads: int) -> Costs:
    """Measure what units cost here: the models on all threads, the rest on one."""
    documents, queries, encoder = subject.documents.sample, subject.queries, subject.encoder
    asked = queries.sample if queries else []
    if encoder and encoder.is_elsewhere and encoder.reach is None:
        encoder = None  # It is unknown, or an index names its server: nothing is asked.
    judge = None
    if filter_ and filter_.cross_encoder:
        how = filter_.model_use
        judge = ModelSpec.find(filter_.cross_encoder, use="cross-encoder", **how)
    rest = unit_costs(documents, asked, depth=subject.depth, dimension=subject.dimension)
    return joined(rest, model_costs(encoder, judge, documents, asked, threads))
