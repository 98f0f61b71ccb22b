"""`hnmine filter`: score, learn, apply rules, choose, mine deeper, cap documents, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from hnmine.config import FilterSettings
from hnmine.directories.candidates import Candidates
from hnmine.errors import UsageError
from hnmine.expressions.evaluation import compares_candidates
from hnmine.guarantee.statement import read_guarantee
from hnmine.judges.cross_encoder import CrossEncoderJudge
from hnmine.judges.judge import Judge
from hnmine.judges.lazy import only_as_asked
from hnmine.judges.open_judges import open_judges, packages_of
from hnmine.judges.verdict_file import VerdictFile
from hnmine.judging.judging import judge_sheet
from hnmine.judging.open_machine_judge import open_machine_judge
from hnmine.relevance.learned import RELEVANCE, Learned, read_learned, write_learned
from hnmine.results import StageResult, base_plan
from hnmine.runner.plan import Task
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.runner.urls import mirrored, name_of
from hnmine.selection import compat
from hnmine.selection.cascade import Cascade
from hnmine.selection.criteria import Choice, Goals, Rules, criteria, narrow
from hnmine.selection.document_cap import default_cap
from hnmine.selection.hardness import HARDNESS, Hardness
from hnmine.selection.in_vain import out_of_reach, unused_scores
from hnmine.selection.last_lines import Measured, last_lines
from hnmine.selection.learning import learn
from hnmine.selection.proof import Fill, Goal, proved
from hnmine.selection.scored_candidates import ScoredCandidates
from hnmine.selection.scored_parts import SHORT, USES, Selection
from hnmine.selection.steps import DRAWS
from hnmine.selection.verdicts import Verdicts
from hnmine.selection.writing import SHORTFALLS, training_rows, write, write_card
from hnmine.sheets.draw import seed_of_draw
from hnmine.sheets.sheet import Sheet


def filter(settings: FilterSettings) -> StageResult:
    """Filter candidates and write hard negatives, or resume such a run.

    Raises:
        HnmineError: the candidates, a model or a setting cannot be used.
    """
    candidates = Candidates(settings.candidates, settings.index)
    settings = _resolve(settings, candidates)
    scored = _scored(candidates, settings)
    judges = scored.judges
    _check_expressions(scored, *scored.in_order(criteria(settings)))
    uses = ("compiled", "expressions", "learning")
    plan = base_plan("mined", settings, uses, packages_of(settings)) | {
        "candidates": candidates.hash,
        "sources": candidates.sources,
        "judges": {judge.column: judge.plan() for judge in judges},
    }
    temporary = (SHORTFALLS, SHORT, USES, DRAWS)
    with RunDirectory.open(settings.output, plan, passing=temporary, **settings.manner) as run:
        if not run.complete:
            counts: dict[str, int] = {}
            goal = _goal(settings, judges)  # Before the models run for hours.
            counts |= scored.score(progress=run.progress, timed=run.timed, share=run.share)
            learned, positives = _learn(run, scored, settings)
            asked = scored.in_order(criteria(settings, learned))
            selection = Selection(run, scored, learned, *asked)
            open_more = partial(_scored, settings=settings)
            counts |= positives
            counts |= selection.score_lazily()
            counts |= selection.deepen(
                settings.deepen, open_more, settings.cpu_threads, settings.device
            )
            selection.cap_documents(settings.max_uses or None)
            if goal:
                prices = (learned and learned.safer_prices) or ()
                selection = proved(selection, replace(goal, prices=prices))
            counts |= write(selection, settings.format, settings.output_scores)
            write_card(selection, counts)
            run.finish(
                counts,
                index=name_of(candidates.index.path),
                candidates=name_of(candidates.path),
            )
        manifest = run.manifest
        notes, told = _notes(settings, candidates, run)
    return StageResult(settings.output, manifest["counts"], manifest, notes, told)


def _scored(candidates: Candidates, settings: FilterSettings) -> ScoredCandidates:
    """Open the judges; cross-encoders among them score only what a cascade leaves."""
    judges = open_judges(candidates, settings)
    costly = [judge.column for judge in judges if isinstance(judge, CrossEncoderJudge)]
    cascade = Cascade.of(settings, *criteria(settings), costly)
    return ScoredCandidates(
        candidates, list(map(only_as_asked, judges)) if cascade else judges, cascade
    )


def _notes(
    settings: FilterSettings, candidates: Candidates, run: RunDirectory
) -> tuple[list[str], list[str]]:
    """Return what a finished run decided and measured, a sentence each; and the part to show."""
    learned = read_learned(run.written("relevance", RELEVANCE))
    measured = Measured(
        mirrored(settings.output) or str(settings.output),
        run.manifest["counts"],
        Hardness.read(run.written("hardness", HARDNESS)),
        learned,
        settings,
        candidates.manifest.settings,
        candidates.manifest.scores,
        candidates.sources,
        len(candidates.index.documents.canonical),
    )
    guarantee = read_guarantee(run.path) if settings.max_false is not None else None
    proved = guarantee.sentences() if guarantee else ()
    vain = [*unused_scores(candidates, settings)]
    vain += out_of_reach(settings, measured.counts, run.path)
    first = [*proved, *settings.notes, *vain]
    decided, told = (learned.sentences, learned.headlines) if learned else ((), ())
    return (
        [*first, *decided, *last_lines(measured)],
        [*first, *told, *last_lines(measured, briefly=True)],
    )


def _learn(
    run: RunDirectory, scored: ScoredCandidates, settings: FilterSettings
) -> tuple[Learned | None, Counts]:
    """Learn from a sample, or read what an interrupted run learned."""

    def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
        learned = None
        if not (settings.compat or settings.lazy):  # They take no score of the model.
            asked = scored.in_order(criteria(settings))
            learned = learn(scored, narrow(Goals, settings), *asked, tick)
        write_learned(learned, outputs[0])
        return {"positives_learned_from": learned.positives if learned and learned.fitted else 0}

    rows = sum(scored.candidates.part_rows)
    counts = run.run("learn", "candidates", [Task("relevance", (RELEVANCE,), rows)], work)
    return read_learned(run.path / RELEVANCE), counts


def _goal(settings: FilterSettings, judges: Sequence[Judge]) -> Goal | None:
    """Return what --max-false asks for, as far as it is known before the choice."""
    if settings.max_false is None:
        return None
    beside = settings.output.parent / f"{settings.output.resolve().name}-verdicts.csv"
    sheet = settings.sheet or beside
    if any(Path(judge).resolve() == sheet.resolve() for judge in settings.judge):
        raise UsageError(
            f"--judge {sheet} is the sheet of --max-false.",
            why="Negatives that are chosen by the verdicts of a sample cannot be proved by it.",
            fix="Leave it out of --judge, or prove with another --sheet.",
        )
    Sheet.open(sheet) if sheet.exists() else Sheet(sheet, pa.table({}))  # Either may refuse it.
    files = [judge.plan() for judge in judges if isinstance(judge, VerdictFile)]
    return Goal(
        settings.max_false,
        settings.confidence,
        settings.budget,
        seed_of_draw(settings.seed, files),
        settings.max_uses or None,
        (),
        sheet,
        _judge(settings),
    )


def _judge(settings: FilterSettings) -> Fill | None:
    """Return what judges a sheet with the model or the server of --judge-with."""
    if settings.judge_with is None:
        return None
    judge = open_machine_judge(
        settings.judge_with,
        settings.judge_llm,
        api_key_env=settings.api_key_env,
        timeout=settings.timeout,
        requests=settings.requests,
        model_use=settings.model_use,
        threads=settings.cpu_threads,
    )

    def fill(sheet: Path, budget: int) -> None:
        judge_sheet(sheet, judge, budget=budget, progress=settings.progress).check()

    return fill


def _resolve(settings: FilterSettings, candidates: Candidates) -> FilterSettings:
    if settings.compat:
        settings, pool = compat.resolve(settings, candidates.queries.most_positives)
        documents = len(candidates.index.documents.canonical)
        compat.check_depth(pool, candidates.manifest.settings.top_k, documents)
    settings = resolve(settings, candidates.manifest.scores)
    if settings.max_uses is not None or settings.lazy or settings.chooses_otherwise:
        return settings
    documents = len(candidates.index.documents.canonical)
    cap = default_cap(len(candidates.mined), settings.num_negatives, documents)
    return settings.model_copy(update={"max_uses": cap})


def resolve(settings: FilterSettings, sources: list[str]) -> FilterSettings:
    """Fill in the score that the rules compare.

    Args:
        settings: as the user gave them.
        sources: that score all candidates.

    Raises:
        UsageError: the candidates have no such score.
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


def _check_expressions(scored: ScoredCandidates, rules: Rules, choice: Choice) -> None:
    """Evaluate every expression on no rows, so that errors come before any work."""
    texts = [*(text for _, text in rules.expressions), *rules.derive.values()]
    for text in texts if rules.lazy else []:
        if function := compares_candidates(text):
            raise UsageError(
                f"--lazy cannot be combined with {function}() in {text}",
                why="The function needs all candidates of a query, and --lazy scores only some.",
                fix="Leave --lazy or the expression out.",
            )
    if choice.diversity and scored.directions is None:
        raise UsageError(
            "--diversity needs vectors of the documents.",
            why="The candidates were mined without a bi-encoder.",
            fix="Build the index with --encoder and mine again, or use --strata.",
        )
    verdicts = Verdicts(scored.empty(), rules, choice)
    training_rows(verdicts, scored.candidates)
    verdicts.scored()
