"""`hnmine filter`: scores, then rules, then the choice, then the training data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hnmine.config import FilterSettings
from hnmine.directories.candidates import Candidates
from hnmine.errors import UsageError
from hnmine.expressions.evaluation import compares_candidates
from hnmine.judges import open_judges
from hnmine.relevance.depth_trial import explained
from hnmine.relevance.learned import read_learned
from hnmine.results import StageResult, base_plan
from hnmine.runner.plan import Task, canonical_json
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.runner.urls import name_of
from hnmine.selection import compat
from hnmine.selection.hardness import HARDNESS, Hardness, why_unknown
from hnmine.selection.scored_candidates import Evidence
from hnmine.selection.scored_parts import PASSING, Filtering
from hnmine.selection.verdicts import Verdicts

RELEVANCE = "relevance.json"
"""What was learned about the candidates: the weight of each judge, the price of depth."""


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
    plan = base_plan("mined", settings, ("compiled", "expressions", "learning")) | {
        "candidates": candidates.hash,
        "sources": candidates.sources,
        "judges": {judge.column: judge.plan() for judge in judges},
    }
    with RunDirectory.open(settings.output, plan, passing=PASSING, **settings.manner) as run:
        if not run.complete:
            counts: dict[str, int] = {}
            for judge in judges:
                with run.timed(judge.column):
                    counts |= judge.compute(progress=settings.progress, share=settings.share)
            learned, learning = _learn(run, settings, evidence)
            counts |= learning
            filtering = Filtering(settings, evidence, learned, run)
            counts |= filtering.score_lazily()
            counts |= filtering.deepen()
            counts |= filtering.share_out()
            counts |= filtering.write()
            filtering.describe(counts)
            run.finish(
                counts,
                index=name_of(candidates.index.path),
                candidates=name_of(candidates.path),
            )
        manifest = run.manifest
        learned = read_learned(run.written("relevance", RELEVANCE))
        hardness = Hardness.read(run.written("hardness", HARDNESS))
    found = hardness.sentences() if hardness else [why_unknown(candidates.manifest.scores)]
    notes = [*explained(learned), *found]
    return StageResult(settings.output, manifest["counts"], manifest, notes)


def _learn(
    run: RunDirectory, settings: FilterSettings, evidence: Evidence
) -> tuple[dict[str, Any], Counts]:
    """Learn from the sample, or read what was learned before the run was interrupted."""

    def work(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
        found = {} if settings.compat or settings.lazy else evidence.learn(settings, tick)
        outputs[0].write_text(canonical_json(found), encoding="utf-8")
        learned = found.get("share_of_relevant") is not None
        return {"positives_learned_from": found["positives"] if learned else 0}

    rows = sum(evidence.candidates.part_rows)
    counts = run.run("learn", "candidates", [Task("relevance", (RELEVANCE,), rows)], work)
    return read_learned(run.path / RELEVANCE), counts


def _resolve(settings: FilterSettings, candidates: Candidates) -> FilterSettings:
    if settings.compat:
        settings, pool = compat.resolve(settings, candidates.queries.most_positives)
        documents = len(candidates.index.documents.canonical)
        compat.check_depth(pool, candidates.manifest.settings.top_k, documents)
    return resolve(settings, candidates.manifest.scores)


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


def _try_expressions(settings: FilterSettings, candidates: Candidates, evidence: Evidence) -> None:
    """Evaluate every expression on no rows: what is wrong with one is better known beforehand."""
    for text in [*settings.where, *settings.derive.values()] if settings.lazy else []:
        if function := compares_candidates(text):
            raise UsageError(
                f"--lazy cannot be combined with {function}() in {text}",
                why="It compares all candidates of a query, and not all of them are scored.",
                fix="Leave --lazy out, or the expression.",
            )
    part = Verdicts(evidence.empty(), settings)
    part.chosen(candidates)
    part.scored()
