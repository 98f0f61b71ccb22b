"""The parts of the candidates, and what is chosen from each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from hnmine.array_files import load_array, save_array
from hnmine.choose import no_vectors
from hnmine.directories.candidates import Candidates
from hnmine.guarantee.certify import Pair
from hnmine.judges.lazy import LazyCrossEncoderJudge
from hnmine.ragged import Bools, Ints
from hnmine.relevance.learned import Learned
from hnmine.runner.plan import Task
from hnmine.runner.run_directory import Counts, RunDirectory, Tick, Work
from hnmine.schema import STATE
from hnmine.selection.criteria import Choice, Rules
from hnmine.selection.deeper_mining import mine_deeper
from hnmine.selection.document_cap import DocumentCap, DocumentUses
from hnmine.selection.judged_part import read_judged, write_judged
from hnmine.selection.scored_candidates import ScoredCandidates
from hnmine.selection.verdicts import Verdicts

SHORT, USES = f"{STATE}/short", f"{STATE}/uses"
"""Folders that pass results from step to step, until the run is finished."""

ScoredOpener = Callable[[Candidates], ScoredCandidates]

MOST_ROUNDS = 20
"""Rounds of the document cap. After them, queries that lost a document stay short."""


@dataclass(frozen=True)
class Part:
    """A part of the candidates.

    Attributes:
        scored: the candidates that it is a part of.
        number: of the part.
        rows: in it.
        mined_deeper: query rows that a deeper part answers for.
        judged: file of what the rules say of it; None before they are asked.
    """

    scored: ScoredCandidates
    number: int
    rows: int
    mined_deeper: Ints
    judged: Path | None = None

    @classmethod
    def all_of(cls, scored: ScoredCandidates) -> list[Part]:
        """Return the parts of candidates."""
        none = np.empty(0, dtype=np.int64)
        rows = scored.candidates.part_rows
        return [cls(scored, number, count, none) for number, count in enumerate(rows)]


class Selection:
    """Chooses negatives from the parts of a mined directory.

    Args:
        run: the mined directory.
        scored: candidates and judges.
        learned: about them; None if nothing was.
        rules: what drops a candidate.
        choice: which survivors become negatives.
    """

    def __init__(
        self,
        run: RunDirectory,
        scored: ScoredCandidates,
        learned: Learned | None,
        rules: Rules,
        choice: Choice,
    ) -> None:
        self.run, self.rules, self.choice = run, rules, choice
        self.candidates, self.judges = scored.candidates, scored.judges
        self.model = learned
        self.parts = Part.all_of(scored)
        self.cap: DocumentCap | None = None
        self.refuted: frozenset[Pair] = frozenset()

    def altered(self, rule: tuple[str, str] | None = None, order: str = "") -> Selection:
        """Return a selection from the same parts by other criteria, with no document used up.

        Args:
            rule: a further one, by its reason and the expression to keep by.
            order: replaces the order; empty for the same.
        """
        other = copy(self)
        if rule:
            other.rules = replace(self.rules, expressions=(*self.rules.expressions, rule))
            other.parts = [replace(part, judged=None) for part in self.parts]
        other.choice = replace(self.choice, order=order or self.choice.order)
        other.cap = None
        return other

    def without(self, refuted: Iterable[Pair]) -> Selection:
        """Return a selection that leaves out chosen pairs, and chooses no others for them."""
        other = copy(self)
        other.refuted = frozenset(refuted)
        return other

    def verdicts(self, part: Part) -> Verdicts:
        """Apply the rules to a part and choose from it."""
        table, judged = part.scored.read(part.number), None
        if part.judged is None:
            prices = self.model.shortcut_prices if self.model else {}
            table = part.scored.estimated(table, self.model, prices=prices)
        if len(part.mined_deeper):
            here = ~np.isin(table["query_row"].to_numpy(), part.mined_deeper)
            table = table.filter(pa.array(here))
        if part.judged is not None:
            table, judged = read_judged(part.judged, table)
        over_cap = None
        if self.cap is not None:
            slots = self.candidates.index.documents.slots(table["doc_row"].to_numpy())
            over_cap = self.cap.over(table["query_row"].to_numpy(), slots)
        refuted, read = self._refuted(table), part.scored.directions
        documents = table["doc_row"].to_numpy()
        vectors = (lambda rows: read(documents[rows])) if read else no_vectors
        return Verdicts(table, self.rules, self.choice, over_cap, refuted, vectors, judged)

    def _refuted(self, table: pa.Table) -> Bools | None:
        if not self.refuted:
            return None
        ids = zip(*(table[name].to_pylist() for name in ("query_id", "doc_id")), strict=True)
        return np.array([pair in self.refuted for pair in ids], dtype=bool)

    def tasks(self, name: str, outputs: Sequence[str], parts: Sequence[Part] = ()) -> list[Task]:
        """Return a task for each part, by default all; `{}` in the outputs is its number."""
        return [
            Task(f"{name}-{n:05d}", tuple(output.format(n) for output in outputs), part.rows, n)
            for n, part in enumerate(parts or self.parts)
        ]

    def _run_step(
        self, step: str, outputs: Sequence[str], parts: Sequence[Part], work: Work
    ) -> list[list[Path]]:
        """Run a task for each part and return its files, by output."""
        folder = outputs[0].rpartition("/")[0]
        tasks = self.tasks(folder.replace("/", "-"), outputs, parts)
        self.run.run(step, "candidates", tasks, work)
        return [[self.run.path / task.outputs[n] for task in tasks] for n in range(len(outputs))]

    def score_lazily(self) -> Counts:
        """Score only the pairs that the choice needs with the cross-encoder, with --lazy."""
        counts: Counts = {}
        for judge in self.judges:
            if isinstance(judge, LazyCrossEncoderJudge):
                with self.run.timed(judge.column):
                    counts = judge.score_what(
                        lambda: [self.verdicts(part).to_score for part in self.parts],
                        progress=self.run.progress,
                        share=self.run.share,
                    )
        return counts

    def deepen(
        self, most: int, scored_of: ScoredOpener, threads: int, device: str
    ) -> dict[str, int]:
        """Mine deeper for the queries that have too few negatives.

        Args:
            most: times as deep as the candidates, at most.
            scored_of: opens the judges of the deeper candidates.
            threads: CPU threads.
            device: that searches vectors.
        """
        run = self.run
        counts: dict[str, int] = {}
        answered: list[Part] = []
        newest, factor = self.parts, 1
        while factor < most:
            factor = min(2 * factor, most)
            short = self._short_queries(newest, f"{SHORT}/x{factor}")
            if not len(short):
                break
            deeper = mine_deeper(
                self.candidates,
                short,
                factor,
                threads=threads,
                device=device,
                progress=run.progress,
                share=run.share,
            )
            scored = scored_of(deeper)
            found = scored.score(progress=run.progress, timed=run.timed, share=run.share)
            before = counts.get("pairs_scored_deeper", 0)
            counts["pairs_scored_deeper"] = before + found.get("pairs_scored", 0)
            counts["queries_deepened"] = max(counts.get("queries_deepened", 0), len(short))
            answered += [replace(part, mined_deeper=short) for part in newest]
            newest = Part.all_of(scored)
        self.parts = answered + newest
        return counts

    def _short_queries(self, parts: Sequence[Part], folder: str) -> Ints:
        """Return the rows of the queries that get too few negatives, ascending."""

        def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            with outputs[0].open("wb") as file:
                save_array(file, self.verdicts(parts[task.index]).short_queries)
            return {}

        (files,) = self._run_step("look for shortfall", [f"{folder}/{{:05d}}.npy"], parts, work)
        most = len(self.candidates.queries.texts)
        rows = [load_array(file, np.int64, low=0, below=most, mapped=False) for file in files]
        return np.sort(np.concatenate(rows))

    def cap_documents(self, most: int | None, of: str = "") -> None:
        """Settle which queries may use each document, so that no more than `most` share it.

        Args:
            most: queries for each document; None for any number.
            of: beginning of the names of the files, different for each selection of a run.
        """
        if most is None:
            return
        self.cap = cap = DocumentCap.start(len(self.candidates.index.documents.canonical))
        ranked: list[Path] = []
        for number in range(MOST_ROUNDS):
            if ranked:
                parts = (DocumentUses.read([file], cap.slots) for file in ranked)
                negatives = self.choice.num_negatives
                uses = DocumentUses.joined([cap.first(part, negatives) for part in parts])
            else:
                step = f"cap documents, round {number + 1}"
                files = self._uses(step, f"{of}{number}", lambda verdicts: verdicts.uses)
                uses = DocumentUses.read(files, cap.slots)
            cap, settled = cap.grant(uses, most)
            self.cap = cap
            if settled:
                return
            # Then nothing is chosen again. Few choices come to this, as it writes all candidates.
            if self.choice.keeps_what_it_holds and not ranked:
                ranked = self._uses("rank documents", f"{of}ranked", lambda part: part.ranked)
        self.cap = cap.close()

    def _uses(
        self, step: str, folder: str, uses_of: Callable[[Verdicts], DocumentUses]
    ) -> list[Path]:
        """Write uses of every part, by slot, and return the files; the first time, judge it."""
        documents = self.candidates.index.documents

        def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            verdicts = self.verdicts(self.parts[task.index])
            uses = uses_of(verdicts)
            replace(uses, document=documents.slots(uses.document)).write(outputs[0])
            for path in outputs[1:]:
                write_judged(verdicts, path)
            return {}

        outputs = [f"{USES}/{folder}/{{:05d}}.npz"]
        if any(part.judged is None for part in self.parts):
            outputs.append(f"{USES}/{folder}/{{:05d}}.arrow")
        files, *judged = self._run_step(step, outputs, self.parts, work)
        for paths in judged:
            self.parts = [
                replace(part, judged=path) for part, path in zip(self.parts, paths, strict=True)
            ]
        return files
