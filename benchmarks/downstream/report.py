"""What the students reached: means over seeds, and paired differences over queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.downstream.arms import IN_BATCH, PEER, RANDOM_ARM
from hnmine.training.retrieval_measures import NDCG as MEASURE
from hnmine.training.retrieval_measures import difference
from hnmine.training.runs import Run

Runs = Mapping[str, Mapping[str, Sequence[Run]]]
"""By collection, by arm, one for each seed."""

COMPARED = (IN_BATCH, RANDOM_ARM, PEER)


def summary(
    results: Runs, compared: Sequence[str] = COMPARED
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return each measure's mean, and the difference from the arms to beat, of each arm."""
    return {
        collection: {
            name: {
                "seeds": len(runs),
                "chosen": runs[0].about,
                **{
                    measure: float(np.mean([run.measures[measure] for run in runs]))
                    for measure in runs[0].measures
                },
                "over": {
                    other: difference(_of_queries(runs), _of_queries(arms[other]))
                    for other in compared
                    if other in arms and other != name
                },
            }
            for name, runs in arms.items()
        }
        for collection, arms in results.items()
    }


def over_the_best(
    total: Mapping[str, Mapping[str, Mapping[str, Any]]],
    name: str,
    compared: Sequence[str] = COMPARED,
) -> float | None:
    """Return an arm's margin over the best of those to beat, as a geometric mean of collections.

    None where a collection lacks the arm, or all of those to beat.
    """
    ratios = []
    for found in total.values():
        beaten = [found[other][MEASURE] for other in compared if other in found]
        if name not in found or not beaten:
            return None
        ratios.append(found[name][MEASURE] / max(beaten))
    return float(stats.gmean(ratios)) - 1


def markdown(total: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Lay out a row for each arm: nDCG@10 by collection, and what it is over random negatives."""
    arms = list(dict.fromkeys(name for found in total.values() for name in found))
    lines = [
        f"{MEASURE}; behind it the difference from random negatives, with its 95 % interval over "
        "queries; rows to train on. Last, the margin over the best of "
        f"{', '.join(COMPARED)} on each collection, as a geometric mean.\n",
        "| negatives | " + " | ".join(total) + " | over the best of the three |",
        "|---|" + "---|" * (len(total) + 1),
    ]
    for name in arms:
        cells = [_cell(found[name]) if name in found else "-" for found in total.values()]
        margin = over_the_best(total, name)
        cells.append("-" if margin is None else f"{margin:+.2%}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(arm: Mapping[str, Any]) -> str:
    text = f"**{arm[MEASURE]:.4f}**"
    if over := arm["over"].get(RANDOM_ARM):
        text += f" {over['mean']:+.4f} ({over['low']:+.4f} to {over['high']:+.4f})"
    rows = arm["chosen"].get("rows")
    return f"{text}, {rows} rows" if rows else text


def _of_queries(runs: Sequence[Run]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.mean([run.measures[MEASURE] for run in runs], axis=0)
    return found
