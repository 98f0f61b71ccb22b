"""`hnmine build-index`: documents, BM25 postings and dense vectors, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path

from hnmine.config import BuildIndexSettings
from hnmine.encode import load_encoder
from hnmine.encode.declared import as_before, explained
from hnmine.encode.interface import Encoder
from hnmine.encode.spec import ModelSpec
from hnmine.errors import UsageError
from hnmine.index.bm25.build import count_documents, merge_counts
from hnmine.index.bm25.settings import bm25_settings
from hnmine.index.dense_index import EXACT, FAISS_FILE
from hnmine.index.factory import build_faiss, check_factory
from hnmine.index.given_vectors import GivenVectors, open_given, spec_of
from hnmine.index.stored import refuse_without_vector, write_vectors
from hnmine.inputs.opening import open_inputs, read_documents, say_indexed
from hnmine.inputs.table_reader import BadRows
from hnmine.inputs.texts import Texts, write_texts
from hnmine.results import StageResult, base_plan
from hnmine.runner import incidents
from hnmine.runner.manifest import PLAN, planned, read_json
from hnmine.runner.plan import Task, blocks
from hnmine.runner.plan_changes import Late
from hnmine.runner.run_directory import RunDirectory, Tick
from hnmine.schema import STATE, IndexPaths

OF_THE_ENCODER = (
    *("device", "backend", "dtype", "batch_tokens", "max_length", "pooling"),
    *("query_prompt", "document_prompt", "truncate_dim", "similarity", "reach"),
)
"""Settings that `ModelSpec.find` takes."""

COUNTS = f"{STATE}/bm25-counts"
FAISS_ALONE = Late(("settings.faiss", "libraries.faiss-cpu"), ("faiss",), "the vectors")
"""Vectors do not depend on the FAISS index."""


def build_index(settings: BuildIndexSettings) -> StageResult:
    """Build an index, or resume one.

    Raises:
        HnmineError: an input, a model or a setting cannot be used.
    """
    builder = _Builder(settings)
    plan = base_plan("index", settings, builder.uses) | {
        "inputs": builder.fingerprints,
        "encoder": builder.spec.model_dump() if builder.spec else None,
        "exactness": builder.spec.exactness if builder.spec else None,
    }
    with RunDirectory.open(
        settings.index, plan, passing=(COUNTS,), late=FAISS_ALONE, **settings.manner
    ) as run:
        if not run.complete:
            builder.try_encoder()
            counts = builder.documents(run)
            if settings.dense:
                builder.check_faiss()
            if settings.bm25:
                counts |= builder.bm25(run)
            if settings.dense:
                counts |= builder.dense(run)
            run.finish(counts)
        manifest = run.manifest
    return StageResult(settings.index, manifest["counts"], manifest)


def _encoder_of(settings: BuildIndexSettings) -> ModelSpec | None:
    """Return the encoder of the settings, as an earlier manifest records it; None without one."""
    if not (settings.dense and settings.encoder):
        return None
    given = {name: getattr(settings, name) for name in OF_THE_ENCODER}
    spec = ModelSpec.find(settings.encoder, use="encoder", **given)
    if settings.pooling and spec.backend != "onnx":
        raise UsageError(
            f"--pooling {settings.pooling} does not apply to {settings.encoder}.",
            why="It is no ONNX graph, and pools as its own files say.",
            fix="Leave --pooling out, or change the pooling in the model's folder.",
        )
    recorded = planned(settings.index).get("encoder")
    spec = as_before(spec, recorded) if isinstance(recorded, dict) else spec
    return spec if settings.dtype or settings.overwrite else _as_begun(spec, settings.index)


def _as_begun(spec: ModelSpec, index: Path) -> ModelSpec:
    """Return a spec in the precision in which another GPU began to encode with the same model."""
    begun = (read_json(index / PLAN) or {}).get("encoder")
    if not isinstance(begun, dict) or spec.backend in ("onnx", "server"):
        return spec
    same = all(begun.get(name) == getattr(spec, name) for name in ("content", "device", "backend"))
    return spec.model_copy(update={"dtype": begun["dtype"]}) if same and "dtype" in begun else spec


class _Builder:
    """The tasks of an index."""

    def __init__(self, settings: BuildIndexSettings) -> None:
        self.settings = settings
        self.threads = settings.cpu_threads
        self.paths = IndexPaths(settings.index)
        self.inputs = open_inputs(settings, ("corpus", "pairs"))
        self.bm25_settings = bm25_settings(settings)
        self.given = open_given(settings.vectors, settings, "corpus")
        self.spec = (
            spec_of(self.given, settings.similarity, settings.truncate_dim)
            if self.given
            else _encoder_of(settings)
        )

    @property
    def fingerprints(self) -> dict[str, str]:
        """The hash of each input."""
        given = {"vectors": self.given.content} if self.given else {}
        return {kind: table.fingerprint() for kind, table in self.inputs.items()} | given

    def try_encoder(self) -> None:
        """Note which of the encoder's own settings apply; fail early where it cannot encode."""
        if self.spec is None or self.given:
            return
        if self.settings.share.index == 0 and (said := explained(self.spec)):
            incidents.note(said)
        if self.settings.truncate_dim or self.settings.faiss != EXACT:
            check_factory(self.settings.faiss, self.dimension)

    @cached_property
    def encoder(self) -> Encoder:
        assert self.spec is not None
        return load_encoder(self.spec, self.threads)

    @cached_property
    def dimension(self) -> int:
        """The dimension of the vectors."""
        if self.given:
            return self.settings.truncate_dim or self.given.dimension
        return int(self.encoder.encode(["dimension"], "document").shape[1])

    def check_faiss(self) -> None:
        """Refuse an index that the documents are too few to train, before days of encoding."""
        if self.settings.faiss != EXACT:
            total = len(Texts(self.paths.documents).canonical)
            check_factory(self.settings.faiss, self.dimension, total)

    @property
    def uses(self) -> list[str]:
        """The libraries that the index depends on, as keys of `LIBRARIES`."""
        compressed = self.spec is not None and self.settings.faiss != EXACT
        backend = [self.spec.backend] if self.spec else []
        return [*["bm25"] * self.settings.bm25, *backend, *["faiss"] * compressed]

    def documents(self, run: RunDirectory) -> dict[str, int]:
        """Write the documents, which are read twice: to check them, then to write them."""
        rows = sum(table.count_rows() for table in self.inputs.values())

        def write(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            bad = BadRows(self.settings.on_bad_row)
            say_indexed(self.inputs)
            read = partial(read_documents, self.inputs)
            counts = write_texts(read, outputs[0], self.settings.shard_size, bad, tick)
            return {f"documents_{name}": count for name, count in counts.items()} | _skipped(bad)

        task = Task("documents", ("documents",), 2 * rows)
        return dict(run.run("documents", "rows", [task], write))

    def bm25(self, run: RunDirectory) -> dict[str, int]:
        """Count the terms of each shard of documents, and merge the counts."""
        shards = self._shards("bm25-count", COUNTS + "/{:05d}.counts")
        counted = [run.path / shard.outputs[0] for shard in shards]

        def count(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            start, texts = self._start(task), Texts(self.paths.documents)
            of_shard: Iterator[str] = texts.slot_texts(start, start + task.size)
            counts = count_documents(of_shard, self.bm25_settings.tokeniser, outputs[0])
            return {"tokens": counts["tokens"]}

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
        """Encode each shard of documents, and fill a FAISS index where the settings ask for one."""
        factory = self.settings.faiss
        shards = self._shards("vectors", "dense/vectors/{:05d}.npy")
        vectors = [run.path / shard.outputs[0] for shard in shards]
        total = sum(shard.size for shard in shards)

        def encode(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            documents, bad = Texts(self.paths.documents), BadRows(self.settings.on_bad_row)
            start = self._start(task)
            rows = documents.canonical[start : start + task.size]
            without = refuse_without_vector(bad, "document", documents, rows)
            texts = documents.each_text(rows)
            counts = write_vectors(texts, self.encoder, outputs[0], tick, without=without)
            return counts | _skipped(bad)

        def fill(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            return build_faiss(factory, vectors, outputs[0], self.threads)

        if self.given:
            counts = run.run("dense: vectors", "docs", [self._joined(shards)], self._join)
        else:
            counts = run.run("dense: encode", "docs", shards, encode, passed_on=factory != EXACT)
        if factory == EXACT:
            return dict(counts)
        filled = Task("faiss", (f"dense/{FAISS_FILE}",), total)
        return {**counts, **run.run("dense: FAISS", "vectors", [filled], fill)}

    def _joined(self, shards: list[Task]) -> Task:
        """Return the task that writes all shards: vectors with ids come in any order."""
        outputs = tuple(shard.outputs[0] for shard in shards)
        return Task("vectors", outputs, sum(shard.size for shard in shards))

    def _join(self, task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
        documents, bad = Texts(self.paths.documents), BadRows(self.settings.on_bad_row)
        assert self.given and self.spec
        # Vectors without ids go by the rows of the corpus, to which positives are added.
        first = "corpus" if "corpus" in self.inputs else "pairs"
        given = GivenVectors(
            self.given,
            self.spec,
            documents,
            documents.canonical,
            "document",
            complete=True,
            in_order=partial(read_documents, {first: self.inputs[first]}),
        )
        return given.write(outputs, self.settings.shard_size, bad, tick) | _skipped(bad)

    def _shards(self, stage: str, output: str) -> list[Task]:
        slots = len(Texts(self.paths.documents).canonical)
        return [
            Task(f"{stage}-{n:05d}", (output.format(n),), len(block), n)
            for n, block in enumerate(blocks(slots, self.settings.shard_size))
        ]

    def _start(self, task: Task) -> int:
        """Return the first document of a shard."""
        return task.index * self.settings.shard_size


def _skipped(bad: BadRows) -> dict[str, int]:
    return {f"skipped {reason}": count for reason, count in bad.counts.items()}
