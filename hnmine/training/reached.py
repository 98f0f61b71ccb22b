"""What students reached, arm by arm, and which differences are no chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from hnmine.printable import aligned
from hnmine.results import Json
from hnmine.training.retrieval_measures import MEASURES, NDCG, Difference, difference
from hnmine.training.runs import Run

UNTRAINED, IN_BATCH, RANDOM = "(untrained)", "(in-batch only)", "(random)"


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
    """

    model: str
    steps: int
    held_out: int
    searched: str
    left_out: dict[str, int]
    arms: list[Arm]

    def as_json(self) -> Json:
        """Return everything as JSON values."""
        return asdict(self)

    @property
    def _compared(self) -> list[str]:
        return list(dict.fromkeys(name for arm in self.arms for name in arm.over))

    def head(self) -> list[str]:
        """Return the heads of the table's columns."""
        return ["trained on", "rows", *MEASURES, *(f"{NDCG} over {one}" for one in self._compared)]

    def body(self) -> Iterator[list[str]]:
        """Return the cells of the table, arm by arm."""
        for arm in self.arms:
            yield [
                arm.name,
                "-" if arm.rows is None else f"{arm.rows:,}",
                *(f"{arm.means[name]:.4f}" for name in MEASURES),
                *(shown(arm.over[one]) if one in arm.over else "-" for one in self._compared),
            ]

    def notes(self) -> Iterator[str]:
        """Say what the figures mean, in sentences."""
        yield self.searched
        yield (
            "Differences have a 95 % interval over queries; * marks those whose interval "
            "excludes 0."
        )
        if left := sum(self.left_out.values()):
            yield f"{left:,} rows were left out: a held-out query has their query or positive."

    def lines(self) -> Iterator[str]:
        """Write the table for a terminal."""
        yield f"{self.model} trained on each directory, {self.steps:,} steps"
        yield from aligned([tuple(self.head()), *map(tuple, self.body())])
        yield from self.notes()


def shown(apart: Difference) -> str:
    """Write a difference with its interval; a star where it is no chance."""
    star = " *" if is_real(apart) else ""
    return f"{apart['mean']:+.4f} ({apart['low']:+.4f} to {apart['high']:+.4f}){star}"


def is_real(apart: Difference) -> bool:
    """Tell whether the interval of a difference excludes 0."""
    return apart["low"] > 0 or apart["high"] < 0


def arms_of(
    runs: Mapping[str, Sequence[Run]], rows: Mapping[str, int], compared: Sequence[str]
) -> list[Arm]:
    """Summarise the students of each arm, and compare them query by query.

    Args:
        runs: by arm, one for each seed.
        rows: by arm; the untrained model has none.
        compared: the arms that all others are compared with.
    """
    by_query = {
        name: {
            measure: np.mean([run.measures[measure] for run in own], axis=0) for measure in MEASURES
        }
        for name, own in runs.items()
    }
    return [
        Arm(
            name,
            rows.get(name),
            len(own),
            {measure: float(by_query[name][measure].mean()) for measure in MEASURES},
            {
                other: difference(by_query[name][NDCG], by_query[other][NDCG])
                for other in compared
                if other != name
            },
        )
        for name, own in runs.items()
    ]
