"""An acceptance test of judges: a paraphrase of the positive must be flagged, an edit must be kept.

As SugarCrepe++ (Dumpala et al., NeurIPS 2024) does for images and captions. The triples are
hnmine's own. In about half of them, the paraphrase shares its words with the positive and the edit
does not; in the others, it is the other way round. So no lexical rule tells them apart.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hnmine.judging.judge_accuracy import Share
from hnmine.judging.machine_judge import Answer, Item, MachineJudge
from hnmine.printable import aligned, without_nan
from hnmine.progress import progress_bar
from hnmine.ragged import Bools, Floats
from hnmine.results import Json, Result
from hnmine.runner import interrupts
from hnmine.runner.plan import blocks
from hnmine.schema import RELEVANT

ACCEPTANCE = "acceptance"
"""What `hnmine judge` takes instead of a directory."""

FILE = Path(__file__).with_name("acceptance.tsv")

MARGINS, OF_LOGITS, RELATIVE = (0.0,), (1.0, 3.0), 0.05
"""Margins that a judge is reported with; those of logits only where scores exceed 1."""

UNIT = 1.001
"""The largest cosine or probability, and some room for its last digits."""


@dataclass(frozen=True)
class Triple:
    """A query with its positive, a text of the same meaning, and one of another.

    Attributes:
        kind: what the edit does: it swaps two parts, negates, changes a fact, or moves the scope of
            a word such as "only".
    """

    kind: str
    language: str
    query: str
    positive: str
    paraphrase: str
    edit: str


def triples() -> list[Triple]:
    """Return the triples that hnmine ships."""
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [Triple(**row) for row in rows]


def pairs(of: Sequence[Triple]) -> list[Item]:
    """Return the pairs to judge: all positives, then all paraphrases, then all edits."""
    texts = ([t.positive for t in of], [t.paraphrase for t in of], [t.edit for t in of])
    return [Item(t.query, text) for kind in texts for t, text in zip(of, kind, strict=True)]


@dataclass(frozen=True, repr=False)
class Accepted(Result):
    """How a judge does on the acceptance set.

    Attributes:
        judge: its name.
        kinds: of the edit of each triple.
        values: scores or verdicts of positives, paraphrases and edits, shape (3, triples); NaN
            without an answer.
        scored: whether they are scores, to be compared with the positive's by a margin.
    """

    judge: str
    kinds: list[str]
    values: Floats
    scored: bool

    @cached_property
    def rules(self) -> dict[str, tuple[Share, Share]]:
        """By rule: the paraphrases that it flags, and the edits that it keeps."""
        return {name: (_share(flag[0]), _share(~flag[1])) for name, flag in self._flags()}

    def _flags(self) -> Iterator[tuple[str, Bools]]:
        """Yield each rule, and which paraphrases and edits it drops, shape (2, triples)."""
        known = np.isfinite(self.values).all(axis=0)
        positive, others = self.values[0, known], self.values[1:, known]
        if not self.scored:
            yield "relevant", others >= RELEVANT
            return
        logits = np.abs(self.values[:, known]).max(initial=0) > UNIT
        for margin in MARGINS + OF_LOGITS if logits else MARGINS:
            yield f"--margin {margin:g}", others > positive - margin
        yield f"--relative-margin {RELATIVE:g}", others > positive - np.abs(positive) * RELATIVE

    @cached_property
    def above(self) -> dict[str, Share]:
        """By kind, and for all: the triples whose paraphrase is more relevant than the edit."""
        known = np.isfinite(self.values).all(axis=0)
        higher, kinds = self.values[1] > self.values[2], np.array(self.kinds)
        of = {"all": known} | {kind: known & (kinds == kind) for kind in sorted(set(self.kinds))}
        return {name: _share(higher[rows]) for name, rows in of.items()}

    def as_json(self) -> Json:
        """Return everything as JSON values."""
        found: Json = without_nan(
            {
                "judge": self.judge,
                "triples": len(self.kinds),
                "rules": {
                    name: {"paraphrases_flagged": flagged.as_json(), "edits_kept": kept.as_json()}
                    for name, (flagged, kept) in self.rules.items()
                },
                "paraphrase_above_edit": {name: n.as_json() for name, n in self.above.items()},
            }
        )
        return found

    def lines(self) -> Iterator[str]:
        """Return the lines for a terminal."""
        yield f"{self.judge} on {len(self.kinds):,} triples of hnmine's acceptance set"
        table: list[tuple[str, ...]] = [("", "paraphrases flagged", "edits kept")]
        for name, (flagged, kept) in self.rules.items():
            table.append((f"  {name}", *(f"{one.number} of {one.of}" for one in (flagged, kept))))
        yield from aligned(table)
        yield "the paraphrase is more relevant than the edit"
        yield from aligned(((f"  {name}", str(n)) for name, n in self.above.items()), "<<")
        yield "  By chance it would be half of them."


def accept(judge: MachineJudge, *, progress: bool = True) -> Accepted:
    """Ask a judge about all triples and count.

    Raises:
        HnmineError: the judge cannot be used, or does not answer.
    """
    of = triples()
    items = pairs(of)
    answers: list[Answer] = []
    with progress_bar(f"judge: {judge.name}", "pairs", len(items), 0, progress) as bar:
        for batch in blocks(len(items), judge.batch):
            interrupts.check()
            answers += judge.judge([items[n] for n in batch])
            bar.update(len(batch))
    scored = any(answer.score is not None for answer in answers)
    given = [answer.score if scored else answer.verdict for answer in answers]
    values = np.array(given, np.float64).reshape(3, len(of))  # NaN for None.
    return Accepted(judge.name, [triple.kind for triple in of], values, scored)


def _share(of: Bools) -> Share:
    return Share(int(of.sum()), len(of))
