"""Fill a sheet with the verdicts of a machine judge, and measure the judge on its controls."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from hnmine.errors import InputError, UsageError
from hnmine.judging.beside_the_sheet import AnswerCache, record_judge
from hnmine.judging.controls import ANY, POSITIVE, RANDOM
from hnmine.judging.judge_accuracy import Share, agreement, corrected
from hnmine.judging.judge_result import Judged
from hnmine.judging.judged_rows import JudgedRows
from hnmine.judging.machine_judge import Answer, Item, MachineJudge
from hnmine.judging.thresholds import verdicts_by_scores
from hnmine.keyed_noise import keyed_noise
from hnmine.progress import progress_bar
from hnmine.ragged import Floats
from hnmine.runner import interrupts
from hnmine.runner.checkpoints import on_threads
from hnmine.runner.plan import blocks
from hnmine.sheets.draw import EVEN
from hnmine.sheets.machine_verdicts import disputed
from hnmine.sheets.sheet import PERSON, Sheet

AT_ONCE = 1024
"""Calls of the judge that are begun together."""


def judge_sheet(
    sheet: Path, judge: MachineJudge, *, budget: int | None = None, progress: bool = True
) -> Judged:
    """Judge the rows of a sheet that no person has judged, and write the verdicts into it.

    Each answer is cached beside the sheet as it arrives, so a rerun asks only for what is missing.
    The verdicts are written once the judge has told known positives from random documents; else
    they stay in the cache, and the result is `refused` or `unmeasured`.

    Args:
        sheet: file of a sheet with controls; it may change meanwhile.
        judge: whom to ask.
        budget: number of new answers, at most; a share of them goes to the controls.
        progress: show a bar on a terminal.

    Raises:
        InputError: the file is not a sheet, or has no controls.
        UsageError: the judge has no name, or that of people.
        HnmineError: the judge cannot be used, or does not answer; earlier answers are cached.
    """
    if judge.name in ("", PERSON):
        raise UsageError(
            f"A model cannot judge by the name {judge.name!r}.",
            why="The column `judge` of the sheet names people so.",
            fix="Give the model another name on its server, or rename its folder.",
        )
    rows = JudgedRows(Sheet.open(sheet).table)
    if not rows.controls.any():
        raise InputError(
            f"{sheet} has no rows of known truth to measure a judge with.",
            why="Without them nobody knows how often the judge is wrong.",
            fix="Pass the mined directory instead of the sheet, and the sheet with --sheet: this "
            "adds known positives and random documents.",
        )
    with AnswerCache.open(sheet, judge) as cache:
        asked = to_ask(rows, cache, budget)
        given = _ask(judge, asked, cache, progress)
        with Sheet.changing(sheet) as there:
            found = JudgedRows(there.table)
            answers = [cache.get(item) for item in found.items]
            verdicts = verdicts_of(found, answers)
            filled = found.with_answers(judge.name, answers, verdicts)
            left = found.controls & np.array([answer is None for answer in answers], bool)
            judged = _measured(sheet, judge.name, found, filled, int(left.sum()))
            if judged.is_evidence:
                there.table = filled.table
    judged.counts.update(new_answers=given, without_answer=len(asked) - given)
    record_judge(sheet, judge, judged)
    return judged


def to_ask(rows: JudgedRows, cache: AnswerCache, budget: int | None) -> list[Item]:
    """Return the distinct pairs to ask for, in the order of the sheet; those asked in vain last.

    The controls stand among the others in proportion, wherever the sheet has them, so a budget that
    ends early has asked for its share of each.
    """
    controls, place = rows.controls, np.empty(rows.table.num_rows)
    for kind in (rows.drawn(POSITIVE), rows.drawn(RANDOM), ~controls):
        place[kind] = (np.arange(kind.sum()) + 0.5) / max(kind.sum(), 1)
    items, wanted = rows.items, ~rows.person | controls
    order = [n for n in np.argsort(place, kind="stable").tolist() if wanted[n]]
    answers = {items[n]: cache.get(items[n]) for n in order}
    new = [item for item, answer in answers.items() if answer is None]
    # Else a budget could be spent on the same pairs again and again.
    empty = [item for item, answer in answers.items() if answer and not answer.is_given]
    return (new + empty)[:budget]


def _ask(judge: MachineJudge, items: list[Item], cache: AnswerCache, progress: bool) -> int:
    """Ask for all items and cache the answers; return how many gave one."""

    def work(batch: range) -> int:
        asked = [items[n] for n in batch]
        answers = judge.judge(asked)
        for item, answer in zip(asked, answers, strict=True):
            cache.keep(item, answer)
        return sum(answer.is_given for answer in answers)

    given = 0
    calls = blocks(len(items), judge.batch)
    with (
        progress_bar(f"judge: {judge.name}", "pairs", len(items), 0, progress) as bar,
        ThreadPoolExecutor(judge.requests) as pool,
    ):
        for some in blocks(len(calls), AT_ONCE):
            interrupts.check()
            batches = calls[some.start : some.stop]
            done = on_threads(pool, work, batches, lambda b: bar.update(len(b)), judge.stop)
            given += sum(done)
    return given


def verdicts_of(rows: JudgedRows, answers: Sequence[Answer | None]) -> Floats:
    """Return the verdict of each row; a judge's scores are cut where its controls say."""
    given = [answer or Answer() for answer in answers]
    own = np.array([answer.verdict for answer in given], np.float64)  # NaN for None.
    scores = np.array([answer.score for answer in given], np.float64)
    ids = (rows.texts(name) for name in ("query_id", "doc_id"))
    noise = keyed_noise(0, *([one or "" for one in column] for column in ids))
    sampled = rows.drawn(EVEN, ANY)
    other = sampled if sampled.any() else rows.drawn(RANDOM)
    cut = verdicts_by_scores(scores, rows.drawn(POSITIVE), other, noise)
    return np.where(np.isfinite(own), own, cut)


def _measured(sheet: Path, name: str, rows: JudgedRows, filled: JudgedRows, left: int) -> Judged:
    """Measure a judge.

    Args:
        sheet: the file.
        name: of the judge.
        rows: as the sheet has them now.
        filled: with the verdicts of the judge.
        left: rows of known truth that it was not asked about.
    """
    verdicts = filled.machines[name]
    candidates = not rows.even.any() and rows.drawn(ANY).any()
    sampled = rows.drawn(ANY) if candidates else rows.even
    kinds = (rows.drawn(POSITIVE), rows.drawn(RANDOM), sampled)
    hits, alarms, flagged = (Share.relevant(verdicts[kind]) for kind in kinds)
    return Judged(
        sheet,
        name,
        {
            "rows": len(verdicts),
            "rows_of_known_truth": int(rows.controls.sum()),
            "judged": int(np.isfinite(verdicts).sum()),
            "judged_by_a_person": int(rows.person.sum()),
        },
        hits,
        alarms,
        flagged,
        corrected(flagged, hits, alarms),
        controls_left=left,
        agreement={
            other: agreement(verdicts, own) for other, own in rows.machines.items() if other != name
        },
        disputed=int(disputed(filled.table).sum()),
        sampled="candidates" if candidates else "negatives",
    )
