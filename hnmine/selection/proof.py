"""Prove that at most a share of the negatives is false, by verdicts on a random sample of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from hnmine.directories.same_pairs import SamePairs
from hnmine.errors import InputError, PartialRun, UsageError
from hnmine.guarantee.certify import Claim, Pair, Test, certify, test
from hnmine.guarantee.judge_errors import Hits, most_false
from hnmine.guarantee.statement import (
    GUARANTEE,
    Guarantee,
    StepTested,
    percent,
    read_guarantee,
    write_guarantee,
)
from hnmine.judges.verdict_file import DRAWN
from hnmine.judging.controls import POSITIVE, RANDOM, KnownPositives, alike, controls_for
from hnmine.judging.judged_rows import AND, JudgedRows
from hnmine.judging.thresholds import verdicts_by_scores
from hnmine.printable import shell
from hnmine.relevance.evidence import numbers
from hnmine.runner.manifest import DONE
from hnmine.runner.plan import Task
from hnmine.runner.run_directory import Counts, Tick
from hnmine.schema import RELEVANT
from hnmine.selection.scored_parts import Selection
from hnmine.selection.steps import Step, known_positives, pairs_of, safest_first
from hnmine.sheets.draw import EVEN, draw_noise, drawn_rows
from hnmine.sheets.machine_verdicts import settled
from hnmine.sheets.sheet import Sheet

CONTROLS = 0.25
"""Share of the judgements of a machine that are of pairs whose truth is known."""

Fill = Callable[[Path, int], None]
"""Judges the rows of a sheet that have no verdict: so many at most."""


@dataclass(frozen=True)
class Goal:
    """What is to be proved, and at what cost; the fields are those of the settings.

    Attributes:
        prices: of depth, for safer choices; empty where depth has no price.
        sheet: file of the pairs to judge.
        judge: judges the sheet; None if somebody else does, between two runs.
    """

    max_false: float
    confidence: float
    budget: int
    seed: int
    max_uses: int | None
    prices: Sequence[float]
    sheet: Path
    judge: Fill | None


def proved(selection: Selection, goal: Goal) -> Selection:
    """Return the hardest choice for which the goal is proved, and write the proof.

    Raises:
        PartialRun: pairs wait for verdicts, in the sheet.
        UsageError: the verdicts cannot prove the goal within the budget.
    """
    steps = safest_first(selection, goal.seed, goal.max_uses, goal.prices)
    if not steps[-1].negatives:
        raise UsageError(
            "--max-false: no negative is chosen.",
            why="The rules drop every candidate, so there is nothing to prove.",
            fix="Loosen the rules, or mine deeper (--top-k).",
        )

    def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
        write_guarantee(_Loop(selection, goal, steps).run(), outputs[0])
        return {}

    # The verdicts may change later. What was written once rests on those of now.
    run, task = selection.run, Task("proof", (GUARANTEE,), 1)
    if run.missing(task) and any(run.path.glob(f"{DONE}/filter-*")):
        raise InputError(
            f"{run.path} has lost the proof of its negatives.",
            why=f"{GUARANTEE} is damaged, or missing.",
            fix="Delete the directory and run the command again; the sheet keeps the verdicts.",
        )
    run.run("prove", "steps", [task], work)
    guarantee = read_guarantee(run.path)
    assert guarantee
    written = len([step for step in guarantee.steps if step.proved]) - 1
    return steps[written].selection.without(guarantee.refuted)


@dataclass(frozen=True)
class SheetVerdicts:
    """What a sheet says. Which pairs a draw takes is settled elsewhere, so all verdicts serve.

    Attributes:
        present: all pairs of the sheet.
        relevant: whether each judged pair is relevant, by the pair that stands for its copies.
        judges: who judged pairs whose truth is not known.
        by_machine: whether a machine judged any of them.
        answered: rows of the sheet with a verdict.
        random: documents in it that were drawn at random.
        measured: known positives that a machine judged.
        hits: the known positives that machines called relevant, of all that are like the choice.
    """

    present: frozenset[Pair]
    relevant: dict[Pair, bool]
    judges: tuple[str, ...]
    by_machine: bool
    answered: int
    random: int
    measured: int
    hits: Hits

    @classmethod
    def read(cls, path: Path, alike: Collection[Pair], same: SamePairs) -> SheetVerdicts:
        """Read a sheet, which may not exist yet.

        Args:
            path: of the sheet.
            alike: known positives that resemble the chosen negatives; others measure no judge.
            same: joins the pairs of the sheet and of the choice.
        """
        if not path.exists():
            return cls(frozenset(), {}, (), False, 0, 0, 0, Hits(0, 0))
        table = Sheet.open(path).table
        rows = JudgedRows(table)
        pairs = pairs_of(table)
        known = same.of(pairs)
        positives = rows.drawn(POSITIVE) & np.array([pair in alike for pair in known], bool)
        answered = {name: np.isfinite(own) for name, own in rows.machines.items()}
        judges = [
            "a person" if person else AND.join(name for name, own in answered.items() if own[n])
            for n, person in enumerate(rows.person)
        ]
        machines = settled(rows.machines.values(), len(pairs))
        scores = rows.numbers("score")
        if np.isfinite(scores).any():
            # Where relevance begins must not depend on the sample that the test looks at.
            noise = draw_noise(0, *zip(*pairs, strict=True))
            machines = verdicts_by_scores(scores, positives, rows.drawn(RANDOM), noise)
        verdict = np.where(rows.person, rows.numbers("verdict"), machines)
        judged, machines = np.isfinite(verdict), machines[positives]
        measured = np.any([np.zeros(len(pairs), bool), *answered.values()], axis=0) & positives
        at = np.flatnonzero(judged)
        at = at[np.argsort(verdict[at], kind="stable")]  # Of two verdicts on a pair, the higher.
        return cls(
            frozenset(pairs),
            {known[n]: bool(verdict[n] >= RELEVANT) for n in at},
            tuple(sorted({judges[n] for n in np.flatnonzero(judged & ~rows.controls)})),
            bool((judged & ~rows.person & ~rows.controls).any()),
            int(np.isfinite(verdict).sum()),
            int(rows.drawn(RANDOM).sum()),
            int(measured.sum()),
            Hits(len(machines), int((machines >= RELEVANT).sum())),
        )


class _Loop:
    """Asks for verdicts and tests the steps until the proof is there or the budget is used."""

    def __init__(self, selection: Selection, goal: Goal, steps: Sequence[Step]) -> None:
        self.selection, self.goal, self.steps = selection, goal, steps
        self.same = SamePairs.among(selection.candidates)
        self.draws = [step.draw for step in steps]
        self.drawn = list(dict.fromkeys(pair for draw in self.draws for pair in draw.pairs))
        self.sampled = numbers(steps[-1].rows["relevance"])
        table = known_positives(selection, goal.seed)
        queries, documents = (table[name].to_pylist() for name in ("query_id", "doc_id"))
        self.known = KnownPositives(queries, documents, numbers(table["relevance"]))
        like = alike(self.known, self.sampled)
        known = zip(self.same.of(pairs_of(table)), like, strict=True)
        self.alike = {pair for pair, is_like in known if is_like}

    def run(self) -> Guarantee:
        """Return the proof.

        Raises:
            PartialRun: pairs wait for verdicts, or more are needed than the budget allows.
        """
        before = -1
        while True:
            seen = SheetVerdicts.read(self.goal.sheet, self.alike, self.same)
            seen = replace(seen, relevant=self.same.known(seen.relevant, self.drawn))
            machine = seen.by_machine or self.goal.judge is not None
            # A machine that is not measured yet is asked as if it made no errors.
            claim = self._claim(seen.hits if machine and seen.measured else None)
            tests = certify(self.draws, seen.relevant, claim)
            wanted = self._wanted(tests, seen, claim)
            stuck = seen.answered == before
            to_measure = seen.hits.asked - seen.measured if machine else 0
            # Known positives that a machine does not answer count as missed.
            over = stuck or seen.answered >= self.goal.budget or not to_measure
            if not wanted and (not machine or (seen.hits.asked and over)):
                proof = self._claim(seen.hits if machine else None)
                return self._guarantee(certify(self.draws, seen.relevant, proof), seen, machine)
            self._add_drawn([pair for pair in wanted if pair not in seen.present])
            if before < 0:
                to_measure += self._add_controls(seen, machine)
            if self.goal.judge is None or stuck:
                waiting = len(wanted) + (to_measure if machine else 0)
                raise self._waiting(tests, waiting, seen)
            self.goal.judge(self.goal.sheet, max(self.goal.budget - seen.answered, 0))
            before = seen.answered

    def _claim(self, hits: Hits | None) -> Claim:
        return Claim(self.goal.max_false, 1 - self.goal.confidence, hits)

    def _wanted(self, tests: Sequence[Test], seen: SheetVerdicts, claim: Claim) -> list[Pair]:
        """Return the pairs whose verdicts may prove the first step that is not proved.

        A step that the budget cannot prove is not begun. Where somebody judges between two runs,
        the harder steps' pairs are asked for at once, as far as the budget goes.
        """
        wanted: dict[Pair, None] = {}
        first = len(tests) - 1
        steps = self.draws[first:] if self.goal.judge is None else self.draws[first : first + 1]
        for draw in steps:
            now = test(draw, seen.relevant, claim)
            pairs = draw.pairs[now.judged : now.judged + (now.to_go or 0)]
            more = dict.fromkeys(pair for pair in pairs if pair not in seen.relevant)
            if len(pairs) != now.to_go:
                break
            if seen.answered + len(wanted | more) > self.goal.budget:
                break
            wanted |= more
        return list(wanted)

    def _add_drawn(self, pairs: Sequence[Pair]) -> None:
        if not pairs:
            return
        chosen = set(pairs)
        every = pa.concat_tables([step.rows for step in self.steps])
        place = {p: n for n, p in enumerate(pairs_of(every)) if p in chosen}
        rows = every.take(pa.array(sorted(place.values()))).sort_by("order")
        relevance = numbers(rows["relevance"])
        drawn = drawn_rows(
            self.selection.candidates, pairs_of(rows), relevance, EVEN, self.goal.seed
        )
        Sheet.join(self.goal.sheet, drawn)

    def _add_controls(self, seen: SheetVerdicts, machine: bool) -> int:
        """Add known positives and random documents that measure a machine; count the former."""
        rows = controls_for(
            self.selection.candidates,
            self.known,
            self.sampled,
            round(CONTROLS * self.goal.budget),
            seed=self.goal.seed,
            present=seen.present.union(*(draw.pairs for draw in self.draws)),
            held=(seen.hits.asked, seen.random),
        )
        added: int = rows[DRAWN].to_pylist().count(POSITIVE)
        if machine and not seen.hits.asked + added:
            raise UsageError(
                f"A machine's verdicts cannot prove --max-false {self.goal.max_false:g} here.",
                why="No known positive scores as low as the chosen negatives, so nobody knows how "
                "many relevant documents of that kind the machine misses.",
                fix=f"Let a person fill in the column verdict of {shell([self.goal.sheet])}.",
            )
        Sheet.join(self.goal.sheet, rows)
        return added

    def _guarantee(self, tests: Sequence[Test], seen: SheetVerdicts, machine: bool) -> Guarantee:
        if not tests[0].certified:
            raise self._not_proved(tests[0], seen, machine)
        written = max(n for n, test in enumerate(tests) if test.certified)
        draw = self.draws[written]
        most = most_false(draw.population, self.goal.max_false) if machine else draw.population
        false = (pair for pair in draw.pairs if seen.relevant.get(pair))
        refuted = self.same.with_twins(false, most)  # A twin asks the same.
        return Guarantee(
            max_false=self.goal.max_false,
            confidence=self.goal.confidence,
            seed=self.goal.seed,
            steps=[
                StepTested(
                    highest_relevance=step.highest,
                    negatives=step.negatives,
                    mean_depth=round(step.mean_depth, 1),
                    of_asked=step.negatives / max(1, step.asked),
                    judged=test.judged,
                    relevant=test.relevant,
                    proved=test.certified,
                )
                for step, test in zip(self.steps, tests, strict=False)
            ],
            refuted=sorted(refuted),
            judges=list(seen.judges),
            asked_depth=round(self.steps[-1].mean_depth, 1),
            known_positives=seen.hits.asked if machine else None,
            hits=seen.hits.found if machine else None,
        )

    def _waiting(self, tests: Sequence[Test], waiting: int, seen: SheetVerdicts) -> PartialRun:
        sheet = shell([self.goal.sheet])
        proved = [test for test in tests if test.certified]
        write = (
            f" Or add --budget {seen.answered} to write choice {len(proved)} of "
            f"{len(self.steps)}, the hardest that is proved already."
            if proved
            else ""
        )
        return PartialRun(
            f"{self.goal.sheet} needs {waiting:,} more verdicts.",
            why="Only verdicts on a random sample prove how many negatives are false.",
            fix=f"Run `hnmine judge {sheet} --endpoint URL --llm NAME`, or let a person fill in "
            f"the column verdict. Then run the same command again.{write}",
        )

    def _not_proved(self, test: Test, seen: SheetVerdicts, machine: bool) -> PartialRun:
        hits = seen.hits if machine else None
        best = self._provable(seen, hits)
        least = f"They prove at most {percent(best)}." if best else "They prove no share."
        more = test.to_go
        why = f"Of {test.judged:,} drawn negatives, {test.relevant:,} are relevant. {least}"
        if not test.judged:
            why = "The budget is too small for a sample."
        if hits:
            why += f" The judge finds {hits.found:,} of {hits.asked:,} known positives."
        if more is None:
            fix = "Choose deeper negatives (--depth), add a --judge, or raise --max-false."
        else:
            fix = (
                f"Raise --budget to {seen.answered + more:,} or more: the next {more:,} verdicts "
                "prove it if none of them is relevant. Or choose deeper negatives (--depth), add "
                "a --judge, or raise --max-false."
            )
        return PartialRun(
            f"The verdicts do not prove --max-false {self.goal.max_false:g}.", why=why, fix=fix
        )

    def _provable(self, seen: SheetVerdicts, hits: Hits | None) -> float | None:
        """Return the lowest share, in thousandths, that the verdicts on the safest step prove."""
        risk = 1 - self.goal.confidence
        for share in np.arange(1, 1000) / 1000:
            if certify(self.draws[:1], seen.relevant, Claim(float(share), risk, hits))[0].certified:
                return float(share)
        return None
