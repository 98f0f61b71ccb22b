"""What students reached, arm by arm, and which differences are no chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from string import ascii_uppercase

import numpy as np

from hnmine.printable import aligned
from hnmine.results import Json
from hnmine.training.retrieval_measures import MEASURES, NDCG, Difference, difference
from hnmine.training.runs import Run

UNTRAINED, IN_BATCH, RANDOM = BESIDE = "(untrained)", "(in-batch only)", "(random)"


@dataclass(frozen=True)
class Arm:
    """What the students of one choice of negatives reached.

    Attributes:
        name: a directory, or what it is compared with.
        rows: to train on; None for the untrained model.
        seeds: students.
        means: each measure, over queries and seeds.
        over: by the name of another arm, the difference in nDCG@10.
    """

    name: str
    rows: int | None
    seeds: int
    means: dict[str, float]
    over: dict[str, Difference] = field(default_factory=dict)


@dataclass(frozen=True)
class Students:
    """The result of training a model on each directory.

    Attributes:
        model: before training.
        steps: of each student.
        held_out: held-out queries.
        searched: what they search, in a sentence.
        left_out: by directory, the rows left out because a held-out query has their query or
            positive.
        arms: what is compared with, then the directories.
        sampled: by directory with more rows than can be read, their number.
    """

    model: str
    steps: int
    held_out: int
    searched: str
    left_out: dict[str, int]
    arms: list[Arm]
    sampled: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> Json:
        """Return everything as JSON values."""
        return asdict(self)

    @property
    def _compared(self) -> list[str]:
        others = list(dict.fromkeys(name for arm in self.arms for name in arm.over))
        place = {arm.name: number for number, arm in enumerate(self.arms)}
        return sorted(others, key=lambda name: place.get(name, len(place)))

    @property
    def _shown(self) -> dict[str, str]:
        directories = [arm.name for arm in self.arms if arm.name not in BESIDE]
        letters = zip(directories, ascii_uppercase, strict=False)
        return {name: name.strip("()") for name in BESIDE} | dict(letters)

    def title(self) -> str:
        """Say what was trained, in a line."""
        seeds = max(arm.seeds for arm in self.arms)
        steps, seeds_ = _counted(self.steps, "step"), _counted(seeds, "seed")
        return f"{self.model} trained for {steps} with {seeds_}"

    def head(self) -> list[str]:
        """Return the heads of the table's columns."""
        compared = (f"over {self._shown.get(name, name)}" for name in self._compared)
        return ["trained on", "rows", *MEASURES, *compared]

    def body(self) -> Iterator[list[str]]:
        """Return the cells of the table, arm by arm."""
        for arm in self.arms:
            yield [
                self._shown.get(arm.name, arm.name),
                "-" if arm.rows is None else f"{arm.rows:,}",
                *(f"{arm.means[name]:.4f}" for name in MEASURES),
                *(shown(arm.over[one]) if one in arm.over else "-" for one in self._compared),
            ]

    def notes(self) -> Iterator[str]:
        """Say what the figures mean, in sentences."""
        yield self.searched
        several = max(arm.seeds for arm in self.arms) > 1
        yield (
            f"The last columns are differences in {NDCG} with the 95 % interval over queries"
            + (" and seeds" if several else "")
            + "; * marks those whose interval excludes 0."
        )
        if not several:
            yield "Another seed may differ by more: no interval of one seed shows that."
        if left := sum(self.left_out.values()):
            every = left + sum(arm.rows or 0 for arm in self.arms if arm.name in self.left_out)
            yield (
                f"{left:,} of {every:,} rows were left out: a held-out query has their query or "
                "positive."
            )
        for name, rows in self.sampled.items():
            yield f"{self._shown.get(name, name)} has {rows:,} rows; a sample was read."

    def lines(self) -> Iterator[str]:
        """Write the table for a terminal."""
        yield self.title()
        yield from aligned([tuple(self.head()), *map(tuple, self.body())])
        yield from self.notes()


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("s" if number != 1 else "")


def shown(apart: Difference) -> str:
    """Write a difference with its interval, which is symmetric; a star where it excludes 0."""
    star = " *" if apart["low"] > 0 or apart["high"] < 0 else ""
    return f"{apart['mean']:+.4f} ± {apart['high'] - apart['mean']:.4f}{star}"


def arms_of(
    runs: Mapping[str, Sequence[Run]], rows: Mapping[str, int], compared: Sequence[str]
) -> list[Arm]:
    """Summarise the students of each arm, and compare them query by query.

    Args:
        runs: by arm, one for each seed.
        rows: by arm; the untrained model has none.
        compared: the arms that all others are compared with.
    """
    by_seed = {
        name: {measure: np.array([run.measures[measure] for run in own]) for measure in MEASURES}
        for name, own in runs.items()
    }
    return [
        Arm(
            name,
            rows.get(name),
            len(own),
            {measure: float(by_seed[name][measure].mean()) for measure in MEASURES},
            {
                other: difference(by_seed[name][NDCG], by_seed[other][NDCG])
                for other in compared
                if other != name
            },
        )
        for name, own in runs.items()
    ]
