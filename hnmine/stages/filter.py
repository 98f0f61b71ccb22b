"""`hnmine filter`: scores, then rules, then the choice, then the training data."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hnmine import compat, schema
from hnmine.candidates import Candidates
from hnmine.config import FilterSettings
from hnmine.encode.spec import ModelSpec
from hnmine.errors import UsageError
from hnmine.export import FORMATS
from hnmine.export.card import dataset_card
from hnmine.plan import Task
from hnmine.run import RunDirectory, Tick
from hnmine.schema import STATE
from hnmine.stages.result import StageResult, base_plan
from hnmine.stages.score import Scores
from hnmine.verdict import Verdicts

CE_MARGIN, RELATIVE_MARGIN = 3.0, 0.05
"""Margins where none is given: sentence-transformers' MS MARCO recipe for logits; NV-Retriever's
(arXiv 2407.15831) for similarities."""

SHORTFALLS = f"{STATE}/shortfall"
"""Where each part leaves the queries that got too few, until all parts are merged."""


def filter(settings: FilterSettings) -> StageResult:
    """Filter candidates and write hard negatives, or go on with a run that was begun.

    Raises:
        HnmineError: the candidates, a model or a setting cannot be used.
    """
    candidates = Candidates(settings.candidates, settings.index)
    settings = _resolve(settings, candidates)
    threads = settings.cpu_threads
    scores = None
    _try_expressions(settings, candidates)
    if settings.cross_encoder:
        spec = ModelSpec.find(
            settings.cross_encoder,
            device=settings.device,
            dtype=settings.dtype,
            batch_tokens=settings.batch_tokens,
            max_length=settings.max_length,
        )
        scores = Scores(candidates, spec, threads)
    plan = base_plan("mined", settings) | {
        "candidates": candidates.hash,
        "cross_encoder": scores and scores.spec.model_dump() | {"activation": "none"},
    }
    with RunDirectory.open(
        settings.output, plan, overwrite=settings.overwrite, progress=settings.progress
    ) as run:
        if not run.complete:
            scored = scores.compute(progress=settings.progress) if scores else {}
            filtering = _Filtering(settings, candidates, scores)
            counts = {**scored, **filtering.run(run)}
            run.finish(counts, index=str(candidates.index.path.resolve()))
        shutil.rmtree(run.path / SHORTFALLS, ignore_errors=True)
        manifest = run.manifest
    return StageResult(settings.output, manifest["counts"], manifest)


def _resolve(settings: FilterSettings, candidates: Candidates) -> FilterSettings:
    if settings.compat:
        settings, pool = compat.resolve(settings, candidates.queries.most_positives)
        documents = len(candidates.index.documents.canonical)
        compat.check_depth(pool, candidates.manifest["settings"]["top_k"], documents)
    return resolve(settings, candidates.manifest["sources"])


def resolve(settings: FilterSettings, sources: list[str]) -> FilterSettings:
    """Fill in the settings whose default depends on the others.

    Raises:
        UsageError: the score to compare by is not among the candidates' columns.
    """
    score = settings.score
    if score is None:
        score = "ce" if settings.cross_encoder else "dense" if "dense" in sources else "bm25"
    if score in ("dense", "bm25") and score not in sources:
        raise UsageError(
            f"--score {score}: the candidates have no {score} score.",
            why=f"They were mined with: {', '.join(sources)}.",
            fix=f"Choose another --score, or mine with --source {score}.",
        )
    margins = (settings.margin, settings.relative_margin, settings.max_score)
    update: dict[str, Any] = {"score": score}
    if settings.default_margin and all(rule is None for rule in margins):
        name, value = (
            ("margin", CE_MARGIN) if score == "ce" else ("relative_margin", RELATIVE_MARGIN)
        )
        update[name] = value
    return settings.model_copy(update=update)


def _try_expressions(settings: FilterSettings, candidates: Candidates) -> None:
    """Evaluate every expression on no rows: what is wrong with one is better known beforehand."""
    table = candidates.read(0).slice(0, 0)
    if settings.cross_encoder:
        table = table.append_column(schema.CE_SCORE, pa.array([], pa.float32()))
    part = Verdicts(table, settings)
    part.chosen(candidates)
    part.scored()


class _Filtering:
    """The tasks of a mined directory and what they share."""

    def __init__(
        self,
        settings: FilterSettings,
        candidates: Candidates,
        scores: Scores | None,
    ) -> None:
        self.settings, self.candidates, self.scores = settings, candidates, scores

    def run(self, run: RunDirectory) -> dict[str, int]:
        total = len(self.candidates.parts)
        tasks = [
            Task(
                f"filter-{n:05d}",
                (
                    f"scored/{n:05d}.parquet",
                    f"train/train-{n:05d}-of-{total:05d}.parquet",
                    f"{SHORTFALLS}/{n:05d}.parquet",
                ),
                rows,
                n,
            )
            for n, rows in enumerate(self.candidates.part_rows)
        ]
        counts = run.run("filter", "candidates", tasks, self._filter_part)

        def merge(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            with pq.ParquetWriter(outputs[0], schema.SHORTFALL, compression="zstd") as writer:
                for part in tasks:
                    writer.write_table(pq.read_table(run.path / part.outputs[2]))
            return {}

        def describe(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            train = [run.path / part.outputs[1] for part in tasks]
            outputs[0].write_text(dataset_card(run.plan, counts, train), encoding="utf-8")
            return {}

        run.run("filter", "parts", [Task("shortfall", ("shortfall.parquet",), total)], merge)
        run.run("filter", "files", [Task("card", ("README.md",), 1)], describe)
        return dict(counts)

    def _filter_part(self, task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
        table = self.candidates.read(task.index)
        if self.scores:
            table = table.append_column(schema.CE_SCORE, pa.array(self.scores.read(task.index)))
        part = Verdicts(table, self.settings, "dense_rank" if self.settings.compat else "rank")
        pq.write_table(part.scored(), outputs[0], compression="zstd")
        train = FORMATS[self.settings.format](
            part.chosen(self.candidates), self.settings.num_negatives, self.settings.output_scores
        )
        pq.write_table(train, outputs[1], compression="zstd")
        shortfall = part.shortfall()
        pq.write_table(shortfall, outputs[2], compression="zstd")
        return part.counts() | {"train_rows": len(train), "queries_short": len(shortfall)}
