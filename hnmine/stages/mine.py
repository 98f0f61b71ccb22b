"""`hnmine mine`: the candidates of every query, from every source, in one table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hnmine.config import MineSettings
from hnmine.data import BadRows, Table
from hnmine.encode.spec import ModelSpec
from hnmine.errors import InputError, UsageError
from hnmine.fuse import mine_block
from hnmine.index.opened import Index
from hnmine.inputs import queries_of
from hnmine.plan import Task, blocks
from hnmine.positives import Queries, write_positives
from hnmine.records import PairBatch, TextBatch, pair_records, qrel_records, query_records
from hnmine.run import Counts, RunDirectory, Tick
from hnmine.schema import CandidatePaths
from hnmine.sources import SOURCES
from hnmine.sources.base import Source
from hnmine.stages.result import StageResult, base_plan
from hnmine.texts import Texts, write_texts

QUERY_SHARD_ROWS = 16384


def mine(settings: MineSettings) -> StageResult:
    """Mine candidates, or go on with a run that was begun.

    Raises:
        HnmineError: an input, the index, a model or a setting cannot be used.
    """
    miner = _Miner(settings)
    plan = base_plan("candidates", settings) | {
        "inputs": {kind: table.fingerprint() for kind, table in miner.inputs.items()},
        "index": miner.index.hash,
        "sources": miner.source_names,
        "scores": miner.source_names + miner.scoring_names,
        "encoder": miner.encoder,
    }
    with RunDirectory.open(
        settings.output, plan, overwrite=settings.overwrite, progress=settings.progress
    ) as run:
        if not run.complete:
            # First of all: a source that cannot be opened is better known before the first task.
            sources, scoring = miner.open(miner.source_names), miner.open(miner.scoring_names)
            counts = {**miner.queries(run), **miner.search(run, sources, scoring)}
            run.finish(counts, index=str(settings.index.resolve()))
        manifest = run.manifest
    return StageResult(settings.output, manifest["counts"], manifest)


class _Miner:
    """The tasks of a candidates directory and what they share."""

    def __init__(self, settings: MineSettings) -> None:
        self.settings = settings
        self.threads = settings.cpu_threads
        self.paths = CandidatePaths(settings.output)
        self.index = Index(settings.index)
        self.source_names = self._choose_sources()
        self.inputs = {
            kind: Table.open(kind, path, settings.columns(kind))
            for kind, path in (
                ("pairs", settings.pairs),
                ("queries", settings.queries),
                ("qrels", settings.qrels),
            )
            if path is not None
        }

    def _choose_sources(self) -> list[str]:
        built = [name for name in SOURCES if self.index.settings[name]]
        for name in self.settings.source:
            if name not in built:
                raise UsageError(
                    f"--source {name}: the index at {self.index.path} has no {name} part.",
                    why=f"It was built with: {', '.join(built)}.",
                    fix=f"Leave --source {name} out, or build the index without --no-{name}.",
                )
        return [name for name in built if name in (self.settings.source or built)]

    @property
    def encoder(self) -> dict[str, Any] | None:
        """The encoder of the queries, on the device that it will run on."""
        if "dense" not in self.source_names:
            return None
        spec = ModelSpec.model_validate(self.index.manifest["encoder"])
        return spec.on(self.settings.device).model_dump()

    @property
    def scoring_names(self) -> list[str]:
        """The sources that score what the others find: BM25 wherever it is there, as it is fast."""
        fast = self.index.settings["bm25"] and self.settings.bm25_engine == "hnmine"
        return ["bm25"] if fast and "bm25" not in self.source_names else []

    def open(self, names: list[str]) -> dict[str, Source]:
        return {name: SOURCES[name](self.index, self.settings, self.threads) for name in names}

    def queries(self, run: RunDirectory) -> Counts:
        rows = sum(table.count_rows() for table in self.inputs.values())

        def work(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            bad = BadRows(self.settings.on_bad_row)
            written = write_texts(self._read_queries, outputs[0], QUERY_SHARD_ROWS, bad, tick)
            again = BadRows("skip") if "pairs" in self.inputs else bad
            pairs = write_positives(
                self._read_pairs(again),
                Texts(outputs[0]),
                self.index.documents,
                self.settings.pairs or self.settings.qrels or "",
                bad,
            )
            mined = len(Queries(outputs[0]).mined)
            if not mined:
                raise InputError(
                    "No query has a positive in the index.",
                    why=f"{written['rows']:,} queries, {pairs['pairs']:,} pairs that join.",
                    fix="Check that the index was built from the corpus that these pairs refer to, "
                    "and --min-grade.",
                )
            skipped = {f"skipped {reason}": count for reason, count in bad.counts.items()}
            return {
                "queries": written["rows"],
                "queries_without_positive": written["rows"] - mined,
                **pairs,
                **skipped,
            }

        return run.run("queries", "rows", [Task("queries", ("queries",), 2 * rows)], work)

    def _read_queries(self, bad: BadRows) -> Iterator[TextBatch]:
        if "queries" in self.inputs:
            yield from query_records(self.inputs["queries"], bad)
        else:
            pairs = self.inputs["pairs"]
            yield from map(partial(queries_of, pairs), pair_records(pairs, bad))

    def _read_pairs(self, bad: BadRows) -> Iterator[PairBatch]:
        if "pairs" in self.inputs:
            return pair_records(self.inputs["pairs"], bad)
        return qrel_records(self.inputs["qrels"], self.settings.min_grade, bad)

    def search(
        self, run: RunDirectory, sources: dict[str, Source], scoring: dict[str, Source]
    ) -> Counts:
        queries = Queries(self.paths.queries)
        tasks = [
            Task(f"candidates-{n:05d}", (f"candidates/{n:05d}.parquet",), len(block), n)
            for n, block in enumerate(blocks(len(queries.mined), self.settings.block_size))
        ]

        def work(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            start = task.index * self.settings.block_size
            table = mine_block(
                queries.mined[start : start + task.size],
                queries,
                self.index.documents,
                sources,
                self.settings.top_k,
                scoring,
            )
            pq.write_table(table, outputs[0], compression="zstd")
            return _count(table, self.source_names)

        return run.run("mine", "queries", tasks, work)


def _count(table: pa.Table, sources: list[str]) -> dict[str, int]:
    candidate = pc.is_valid(table["rank"])
    total = partial(pc.sum, min_count=0)
    return {
        "candidates": total(candidate).as_py(),
        **{
            f"candidates_from_{name}": total(
                pc.and_(candidate, pc.is_valid(table[f"{name}_rank"]))
            ).as_py()
            for name in sources
        },
    }
