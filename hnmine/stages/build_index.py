"""`hnmine build-index`: documents, BM25 postings and dense vectors, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path

from hnmine.config import BuildIndexSettings
from hnmine.data.inputs import read_documents
from hnmine.data.tables import BadRows, Table
from hnmine.data.texts import Texts, write_texts
from hnmine.encode import load_encoder
from hnmine.encode.base import Encoder
from hnmine.encode.spec import ModelSpec
from hnmine.index.bm25.build import count_documents, merge_counts
from hnmine.index.dense import EXACT, FAISS_FILE, write_vectors
from hnmine.index.factory import build_faiss, check_factory
from hnmine.schema import STATE, IndexPaths
from hnmine.sources.bm25 import bm25_settings
from hnmine.stages.result import StageResult, base_plan
from hnmine.stages.workers import work_together
from hnmine.tasks.plan import Task, blocks
from hnmine.tasks.run import RunDirectory, Tick

COUNTS = f"{STATE}/bm25-counts"


def build_index(settings: BuildIndexSettings) -> StageResult:
    """Build an index, or go on with one that was begun.

    Raises:
        HnmineError: an input, a model or a setting cannot be used.
    """
    if done := work_together(settings):
        return done
    builder = _Builder(settings)
    plan = base_plan("index", settings, builder.uses) | {
        "inputs": {kind: table.fingerprint() for kind, table in builder.inputs.items()},
        "encoder": builder.spec.model_dump() if builder.spec else None,
        "exactness": builder.spec.exactness if builder.spec else None,
    }
    with RunDirectory.open(settings.index, plan, passing=(COUNTS,), **settings.manner) as run:
        if not run.complete:
            counts = builder.documents(run)
            if settings.bm25:
                counts |= builder.bm25(run)
            if settings.dense:
                counts |= builder.dense(run)
            run.finish(counts)
        manifest = run.manifest
    return StageResult(settings.index, manifest["counts"], manifest)


class _Builder:
    """The tasks of an index and what they share."""

    def __init__(self, settings: BuildIndexSettings) -> None:
        self.settings = settings
        self.threads = settings.cpu_threads
        self.paths = IndexPaths(settings.index)
        self.inputs = {
            kind: Table.open(kind, path, settings.columns(kind), reading=settings)
            for kind, path in (("corpus", settings.corpus), ("pairs", settings.pairs))
            if path
        }
        self.bm25_settings = bm25_settings(settings.plan())
        self.spec = None
        if settings.dense and settings.encoder:
            self.spec = ModelSpec.find(
                settings.encoder,
                device=settings.device,
                backend=settings.backend,
                dtype=settings.dtype,
                batch_tokens=settings.batch_tokens,
                max_length=settings.max_length,
                pooling=settings.pooling,
                query_prompt=settings.query_prompt,
                document_prompt=settings.document_prompt,
            )

    @cached_property
    def encoder(self) -> Encoder:
        assert self.spec is not None
        return load_encoder(self.spec, self.threads)

    @property
    def uses(self) -> list[str]:
        """The libraries that the index depends on, as keys of `LIBRARIES`."""
        compressed = self.spec is not None and self.settings.faiss != EXACT
        backend = [self.spec.backend] if self.spec else []
        return [*["bm25"] * self.settings.bm25, *backend, *["faiss"] * compressed]

    def documents(self, run: RunDirectory) -> dict[str, int]:
        rows = sum(table.count_rows() for table in self.inputs.values())

        def work(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            bad = BadRows(self.settings.on_bad_row)
            read = partial(read_documents, self.inputs)
            counts = write_texts(read, outputs[0], self.settings.shard_size, bad, tick)
            skipped = {f"skipped {reason}": count for reason, count in bad.counts.items()}
            return {f"documents_{name}": count for name, count in counts.items()} | skipped

        # Everything is read twice: to check it, then to write it.
        return dict(
            run.run("documents", "rows", [Task("documents", ("documents",), 2 * rows)], work)
        )

    def _shards(self, stage: str, output: str) -> list[Task]:
        slots = len(Texts(self.paths.documents).canonical)
        return [
            Task(f"{stage}-{n:05d}", (output.format(n),), len(block), n)
            for n, block in enumerate(blocks(slots, self.settings.shard_size))
        ]

    def _texts(self, task: Task) -> Iterator[str]:
        start = task.index * self.settings.shard_size
        return Texts(self.paths.documents).slot_texts(start, start + task.size)

    def bm25(self, run: RunDirectory) -> dict[str, int]:
        def count(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            tokeniser = self.bm25_settings.tokeniser
            return {"tokens": count_documents(self._texts(task), tokeniser, outputs[0])["tokens"]}

        shards = self._shards("bm25-count", COUNTS + "/{:05d}.counts")
        counted = [run.path / shard.outputs[0] for shard in shards]

        def merge(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            outputs[0].mkdir()
            counts = merge_counts(counted, self.bm25_settings, outputs[0])
            return {name: counts[name] for name in ("terms", "postings")}

        merged = Task("bm25-merge", ("bm25",), len(shards))
        return {
            **run.run("BM25: count terms", "docs", shards, count),
            **run.run("BM25: merge", "shards", [merged], merge),
        }

    def dense(self, run: RunDirectory) -> dict[str, int]:
        factory = self.settings.faiss
        shards = self._shards("vectors", "dense/vectors/{:05d}.npy")
        if factory != EXACT and not all(run.marker(shard) for shard in shards):
            # An impossible index is better refused now than after days of encoding.
            check_factory(factory, self.encoder.encode(["dimension"], "document").shape[1])

        def encode(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            return write_vectors(self._texts(task), self.encoder, outputs[0], tick)

        encoded = run.run("dense: encode", "docs", shards, encode, passed_on=factory != EXACT)
        counts = dict(encoded)
        if factory == EXACT:
            return counts
        vectors = [run.path / shard.outputs[0] for shard in shards]

        def fill(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            return build_faiss(factory, vectors, outputs[0], self.threads)

        filled = Task("faiss", (f"dense/{FAISS_FILE}",), sum(shard.size for shard in shards))
        return {**counts, **run.run("dense: FAISS", "vectors", [filled], fill)}
