"""`hnmine batch`: order training rows into batches of hard, but not false, in-batch negatives."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hnmine import schema
from hnmine.array_files import load_array, save_array
from hnmine.config import BatchSettings
from hnmine.config.batch_settings import NEIGHBOURS
from hnmine.directories.candidates import Candidates
from hnmine.directories.mined import Mined
from hnmine.encode import load_encoder
from hnmine.encode.interface import Encoder
from hnmine.encode.spec import ModelSpec
from hnmine.errors import UsageError
from hnmine.extras.batches.arrange import (
    Arrangement,
    Balanced,
    Clustered,
    Greedy,
    Neighbours,
    nearest,
)
from hnmine.extras.batches.cluster import QUERIES_PER_CLUSTER, balanced_order
from hnmine.extras.batches.false_negative_guard import (
    BELOW_ITS_POSITIVE,
    BY_VERDICT,
    Guard,
    Vectors,
    check_batches,
)
from hnmine.extras.batches.rows import Rows, write_rows
from hnmine.index.clusters import k_means
from hnmine.index.dense_index import DenseIndex
from hnmine.index.stored import write_vectors
from hnmine.names import repeated
from hnmine.ragged import Ints
from hnmine.results import StageResult, base_plan
from hnmine.runner.incidents import note
from hnmine.runner.plan import Task, blocks
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.runner.urls import name_of
from hnmine.schema import STATE
from hnmine.sources.queryvectors import QueryVectors

WORK = f"{STATE}/work"
"""Results shared by all epochs; deleted when the run is done."""

BLOCK = 16384
"""Queries in a task, and rows in a write."""

LEAST_FULL = 0.5
"""Share of the possible rows of a mean batch below which a warning is shown."""

FORMATS = ("triplet", "n-tuple")
"""Layouts for losses with in-batch negatives."""


def batch(settings: BatchSettings) -> StageResult:
    """Batch training rows, or resume.

    Raises:
        HnmineError: the rows, their candidates, a model or a setting cannot be used.
    """
    batching = _Batching(settings)
    plan = base_plan("batches", batching.settings, batching.uses) | {
        "mined": batching.hash,
        "encoder": batching.spec and batching.spec.model_dump(),
    }
    with RunDirectory.open(settings.output, plan, passing=(WORK,), **settings.manner) as run:
        if not run.complete:
            counts = batching.run(run)
            _warn_of_short_batches(counts, settings.batch_size)
            run.finish(counts, mined=name_of(settings.mined))
        manifest = run.manifest
    return StageResult(settings.output, manifest["counts"], manifest)


def _warn_of_short_batches(counts: Counts, size: int) -> None:
    """Note a mean batch of less than half the rows that it could have."""
    rows, batches = counts["rows"], counts["batches"]
    possible = min(rows / -(-rows // size), counts["queries"])
    mean = counts["rows_in_batches"] / max(1, batches)
    if mean < LEAST_FULL * possible:
        refused = counts["pairs_refused"]
        why = f"--guard kept {refused:,} pairs apart" if refused else "few queries have most rows"
        note(
            f"A batch has {mean:.1f} rows on average, not {size}, and {counts['rows_left_over']:,} "
            f"rows are in none: {why}. Lower --batch-size, or loosen --guard."
        )


def _vectors_of(candidates: Candidates, threads: int) -> QueryVectors | None:
    """Return the queries' vectors that `mine` wrote; None if it wrote none."""
    if not candidates.has_dense_scores:
        return None
    similarity = candidates.index.encoder.similarity
    return QueryVectors(candidates.paths, candidates.queries, threads, similarity)


class _Batching:
    """The tasks of a run and the data that they share."""

    def __init__(self, settings: BatchSettings) -> None:
        mined = Mined(settings.mined, settings.candidates, settings.index)
        self.hash = mined.hash
        self.mined, recorded = mined, mined.manifest.settings
        if recorded.format not in FORMATS:
            raise UsageError(
                f"Rows of --format {recorded.format} cannot be put in batches.",
                why="Losses for this format take no negatives from the other rows of a batch.",
                fix=f"Filter with --format {' or '.join(FORMATS)}.",
            )
        if name := repeated(recorded.train_column, schema.BATCHES.names):
            raise UsageError(
                f"The training rows have a column {name}.",
                why="`hnmine batch` writes a column of that name.",
                fix="Filter again with another name for that --train-column.",
            )
        self.candidates = mined.candidates
        self.index = self.candidates.index
        self.train_rows = mined.manifest.counts["train_rows"]
        self.spec: ModelSpec | None = None
        if self.index.settings.dense:
            self.spec = self.index.encoder_on(settings.device)
        self.mined_vectors: QueryVectors | None = None
        if self.spec and self.spec.is_elsewhere:
            self.mined_vectors = _vectors_of(self.candidates, settings.cpu_threads)
            self.spec = self.spec if self.mined_vectors else None
        if self.spec is None and settings.by != "random":
            raise UsageError(
                f"--by {settings.by} needs vectors of the queries.",
                why=f"The index at {self.index.path} has no vectors."
                if not self.index.settings.dense
                else "The candidates have none, and no encoder on this machine made those of the "
                "documents.",
                fix="Use --by random, or build the index without --no-dense.",
            )
        guard = f"{BELOW_ITS_POSITIVE} and {BY_VERDICT}" if self.spec else BY_VERDICT
        self.settings = settings.model_copy(update={"guard": settings.guard or guard})

    @property
    def uses(self) -> list[str]:
        """The keys of `LIBRARIES` that the batches depend on."""
        vectors = [self.spec.backend, "faiss"] if self.spec else []
        return ["compiled", "expressions", *vectors]

    def run(self, run: RunDirectory) -> dict[str, int]:
        self.work = run.path / WORK

        def prepare(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            return write_rows(self.mined, outputs[0], tick)

        task = Task("rows", (f"{WORK}/rows",), self.train_rows)
        counts = run.run("rows", "rows", [task], prepare)
        self.rows = Rows(self.work / "rows", len(self.index.documents.canonical))
        if self.spec:
            self._encode(run)
        self.guard = Guard(self.rows, str(self.settings.guard), self._vectors)
        self.arrangement = self._arrange(run)
        return {**counts, **self._epochs(run)}

    @cached_property
    def _encoder(self) -> Encoder:
        assert self.spec
        return load_encoder(self.spec, self.settings.cpu_threads)

    def _encode(self, run: RunDirectory) -> None:
        def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            first = task.index * BLOCK
            if self.mined_vectors:
                rows = self.rows.query_rows[first : first + task.size]
                save_array(outputs[0], self.mined_vectors.read(np.asarray(rows)))
                return {}
            texts = self.rows.query_texts(first, first + task.size)
            write_vectors(iter(texts), self._encoder, outputs[0], tick, "query")
            return {}

        run.run("encode", "queries", self._blocks("vectors", "queries/vectors"), work)

    def _blocks(self, name: str, folder: str) -> list[Task]:
        return [
            Task(f"{name}-{n:05d}", (f"{WORK}/{folder}/{n:05d}.npy",), len(block), n)
            for n, block in enumerate(blocks(self.rows.queries, BLOCK))
        ]

    @cached_property
    def _vectors(self) -> Vectors | None:
        if self.spec is None:
            return None
        threads = self.settings.cpu_threads
        return Vectors(
            DenseIndex(
                self.work / "queries",
                threads,
                count=self.rows.queries,
                similarity=self.index.encoder.similarity,
                device=self.settings.device,
            ),
            self.index.vectors(threads),
        )

    def _arrange(self, run: RunDirectory) -> Arrangement:
        by, settings, queries = self.settings.by, self.settings, self.rows.queries
        if by == "random":
            return Balanced(np.arange(queries), [1])
        assert self._vectors
        vectors = self._vectors.queries
        if by == "greedy":
            k = min(settings.neighbours or NEIGHBOURS, queries - 1)

            def search(task: Task, outputs: list[Path], tick: Tick) -> Counts:
                first = task.index * BLOCK
                _save(outputs[0], nearest(vectors, range(first, first + task.size), k, tick))
                return {}

            run.run("neighbours", "queries", self._blocks("neighbours", "neighbours"), search)
            return Greedy(Neighbours(self.work / "neighbours", queries, BLOCK))

        def cluster(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            if by == "cluster":
                many = min(settings.clusters or -(-queries // QUERIES_PER_CLUSTER), queries)
                _save(outputs[0], k_means(vectors, many, settings.seed, tick))
            else:
                _save(outputs[0], balanced_order(vectors, settings.seed, tick))
            return {}

        run.run(
            "cluster", "queries", [Task("clusters", (f"{WORK}/clusters.npy",), queries)], cluster
        )
        found = load_array(self.work / "clusters.npy", np.int64, (queries,), low=0, below=queries)
        return Clustered(found) if by == "cluster" else Balanced(found, settings.cluster_size)

    def _epochs(self, run: RunDirectory) -> Counts:
        epochs = self.settings.passes
        tasks = [
            Task(
                f"epoch-{n:05d}",
                (
                    f"train/train-{n:05d}-of-{epochs:05d}.parquet",
                    f"{WORK}/left_over/{n:05d}.parquet",
                ),
                len(self.rows),
                n,
            )
            for n in range(epochs)
        ]
        counts = run.run("batch", "rows", tasks, self._epoch)

        def merge(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            parts = [run.path / part.outputs[1] for part in tasks]
            with pq.ParquetWriter(outputs[0], pq.read_schema(parts[0]), compression="zstd") as out:
                for part in parts:
                    out.write_table(pq.read_table(part))
            return {}

        run.run("batch", "files", [Task("left-over", ("left_over.parquet",), epochs)], merge)
        return counts

    def _epoch(self, task: Task, outputs: list[Path], tick: Tick) -> Counts:
        random = np.random.default_rng([self.settings.seed, task.index])
        packed = self.arrangement.pack(
            task.index, np.asarray(self.rows.query), self.settings.batch_size, self.guard, random
        )
        batches = [packed.batches[n] for n in random.permutation(len(packed.batches))]
        number = np.repeat(np.arange(len(batches)), [len(batch) for batch in batches])
        rows = np.concatenate([np.empty(0, dtype=np.int64), *batches])
        check_batches(self.rows, rows, number, self.candidates, self.settings.mined)
        self._write(outputs[0], rows, {"epoch": np.full(len(rows), task.index), "batch": number})
        left = np.sort(np.array(packed.left_over, dtype=np.int64))
        self._write(outputs[1], left, {"epoch": np.full(len(left), task.index)})
        return {
            "rows_in_batches": len(rows),
            "batches": len(batches),
            "short_batches": sum(len(batch) < self.settings.batch_size for batch in batches),
            "pairs_refused": packed.refused,
            "rows_left_over": len(left),
        }

    def _write(self, path: Path, rows: Ints, more: dict[str, Ints]) -> None:
        fields = [schema.BATCHES.field(name) for name in more]
        full = pa.schema([*self.rows.take(rows[:0]).schema, *fields])
        with pq.ParquetWriter(path, full, compression="zstd") as writer:
            for block in blocks(len(rows), BLOCK):
                at = slice(block.start, block.stop)
                columns = self.rows.take(rows[at]).columns
                columns += [pa.array(values[at], pa.int32()) for values in more.values()]
                writer.write_table(pa.Table.from_arrays(columns, schema=full))


def _save(path: Path, values: Ints) -> None:
    with path.open("wb") as file:
        save_array(file, values)
