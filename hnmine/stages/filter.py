"""`hnmine filter`: scores, then rules, then the choice, then the training data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hnmine import compat, schema
from hnmine.candidates import Candidates
from hnmine.config import FilterSettings
from hnmine.errors import UsageError
from hnmine.export import FORMATS
from hnmine.export.card import dataset_card
from hnmine.expressions import number
from hnmine.judges import open_judges
from hnmine.plan import Task, canonical_json
from hnmine.relevance.model import Relevance
from hnmine.run import Counts, RunDirectory, Tick
from hnmine.schema import STATE
from hnmine.stages.learn import Evidence
from hnmine.stages.result import StageResult, base_plan
from hnmine.verdict import Verdicts

MAX_P_RELEVANT = 0.5
"""A candidate that is more likely relevant than not is no negative, however few there are."""

RELEVANCE = "relevance.json"
"""What was learned about the candidates: the weight of each judge, the price of depth."""

SHORTFALLS = f"{STATE}/shortfall"
"""Where each part leaves the queries that got too few, until all parts are merged."""


def filter(settings: FilterSettings) -> StageResult:
    """Filter candidates and write hard negatives, or go on with a run that was begun.

    Raises:
        HnmineError: the candidates, a model or a setting cannot be used.
    """
    candidates = Candidates(settings.candidates, settings.index)
    settings = _resolve(settings, candidates)
    judges = open_judges(candidates, settings)
    evidence = Evidence(candidates, judges)
    _try_expressions(settings, candidates, evidence)
    plan = base_plan("mined", settings) | {
        "candidates": candidates.hash,
        "judges": {judge.column: judge.plan() for judge in judges},
    }
    with RunDirectory.open(
        settings.output, plan, overwrite=settings.overwrite, progress=settings.progress
    ) as run:
        if not run.complete:
            counts: dict[str, int] = {}
            for judge in judges:
                counts |= judge.compute(progress=settings.progress)
            learned, learning = _learn(run, settings, evidence)
            counts |= learning
            counts |= _Filtering(settings, candidates, evidence, learned).run(run)
            run.finish(
                counts,
                index=str(candidates.index.path.resolve()),
                candidates=str(candidates.path.resolve()),
            )
        shutil.rmtree(run.path / SHORTFALLS, ignore_errors=True)
        manifest = run.manifest
    return StageResult(settings.output, manifest["counts"], manifest)


def _learn(
    run: RunDirectory, settings: FilterSettings, evidence: Evidence
) -> tuple[dict[str, Any], Counts]:
    """Learn from the sample, or read what was learned before the run was interrupted."""

    def work(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
        found = {} if settings.compat else evidence.learn(settings, tick)
        outputs[0].write_text(canonical_json(found), encoding="utf-8")
        learned = found.get("share_of_relevant") is not None
        return {"positives_learned_from": found["positives"] if learned else 0}

    rows = sum(evidence.candidates.part_rows)
    counts = run.run("learn", "candidates", [Task("relevance", (RELEVANCE,), rows)], work)
    learned: dict[str, Any] = json.loads((run.path / RELEVANCE).read_text(encoding="utf-8"))
    return learned, counts


def _resolve(settings: FilterSettings, candidates: Candidates) -> FilterSettings:
    if settings.compat:
        settings, pool = compat.resolve(settings, candidates.queries.most_positives)
        documents = len(candidates.index.documents.canonical)
        compat.check_depth(pool, candidates.manifest["settings"]["top_k"], documents)
    return resolve(settings, candidates.manifest["scores"])


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
    return settings.model_copy(update={"score": score})


def settle(settings: FilterSettings, learned: Mapping[str, Any]) -> FilterSettings:
    """Fill in the rule and the order that apply where none is given.

    Args:
        settings: with the score resolved.
        learned: what was learned about the candidates; with `--compat` nothing.
    """
    rules = (settings.margin, settings.relative_margin, settings.max_score)
    chosen = settings.order != "rank" or settings.sampling != "top"
    if not (learned and settings.default_rule) or chosen or any(rule is not None for rule in rules):
        return settings
    price = number(learned["price_of_depth"])
    highest = MAX_P_RELEVANT if settings.max_p_relevant is None else settings.max_p_relevant
    return settings.model_copy(
        update={
            "order": f"ln(1 + exp(relevance)) + {price} * rank",
            "max_p_relevant": highest,
        }
    )


def _try_expressions(settings: FilterSettings, candidates: Candidates, evidence: Evidence) -> None:
    """Evaluate every expression on no rows: what is wrong with one is better known beforehand."""
    part = Verdicts(evidence.empty(), settings)
    part.chosen(candidates)
    part.scored()


class _Filtering:
    """The tasks of a mined directory and what they share."""

    def __init__(
        self,
        settings: FilterSettings,
        candidates: Candidates,
        evidence: Evidence,
        learned: Mapping[str, Any],
    ) -> None:
        self.settings = settle(settings, learned)
        self.candidates, self.evidence = candidates, evidence
        self.model = Relevance.from_json(learned) if learned else None
        cut = {"target-fn-rate": learned["cut_rule"]} if "cut_rule" in learned else {}
        self.more_rules: dict[str, str] = cut

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
        table = self.evidence.estimated(self.evidence.read(task.index), self.model)
        rank = "dense_rank" if self.settings.compat else "rank"
        part = Verdicts(table, self.settings, rank, self.more_rules)
        pq.write_table(part.scored(), outputs[0], compression="zstd")
        train = FORMATS[self.settings.format](
            part.chosen(self.candidates), self.settings.num_negatives, self.settings.output_scores
        )
        pq.write_table(train, outputs[1], compression="zstd")
        shortfall = part.shortfall()
        pq.write_table(shortfall, outputs[2], compression="zstd")
        return part.counts() | {"train_rows": len(train), "queries_short": len(shortfall)}
