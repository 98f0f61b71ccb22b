"""How alike the documents of a query are, by their vectors: diversity, tolerance, uniformity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hnmine.choose import Directions
from hnmine.ragged import Bools, Ints

MILLION = 10**6
"""Sums are whole millionths, so that they do not depend on the division into parts."""

GROUP = "group"
"""The column of --attribute or --derive that groups the candidates."""

NEARNESS = 2.0
"""Factor of the squared distance in the uniformity, as Wang and Isola (2020) set it."""


def sums_of_vectors(
    query: Ints,
    documents: Ints,
    negative: Bools,
    directions: Directions,
    group: NDArray[np.str_] | None = None,
) -> dict[str, int]:
    """Return sums over queries, which can be added over parts; see `diversity_of`, `Groups.of`.

    Args:
        query: of each candidate, ascending, shape (candidates,).
        documents: rows of the candidates' documents.
        negative: which were chosen as negatives.
        directions: of documents, given by row.
        group: of each candidate, empty where unknown; None without the column.
    """
    found = dict.fromkeys(("apart", "sets"), 0)
    if group is not None:
        found |= dict.fromkeys(("same", "same_pairs", "other", "other_pairs", "spread"), 0)
    bounds = np.flatnonzero(np.diff(query, prepend=-1, append=len(query) + 1))
    for start, stop in pairwise(bounds):
        rows = np.arange(start, stop)
        chosen = rows[negative[start:stop]]
        vectors = directions(documents[rows if group is not None else chosen]).astype(np.float64)
        known = vectors.any(axis=1)
        of_chosen = vectors[known & negative[start:stop]] if group is not None else vectors[known]
        if len(of_chosen) > 1:
            found["apart"] += _millionths(1 - _pairs(of_chosen).mean())
            found["sets"] += 1
        if group is not None:
            known &= group[rows] != ""
            _add_groups(found, vectors[known], group[rows][known])
    return found


def _add_groups(
    found: dict[str, int], vectors: NDArray[np.float64], group: NDArray[np.str_]
) -> None:
    cosines = _pairs(vectors)
    one, other = np.triu_indices(len(vectors), 1)
    same = group[one] == group[other]
    found["same"] += _millionths((1 - cosines[same]).sum())  # Counts are never negative.
    found["same_pairs"] += int(same.sum())
    found["other"] += _millionths((1 - cosines[~same]).sum())
    found["other_pairs"] += int((~same).sum())
    found["spread"] += _millionths(np.exp(-NEARNESS * (2 - 2 * cosines)).sum())


def _pairs(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosines of all pairs of unit vectors."""
    cosines: NDArray[np.float64] = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    return cosines


def _millionths(value: float) -> int:
    return max(0, round(float(value) * MILLION))


def diversity_of(added: Mapping[str, int]) -> float | None:
    """Return the mean distance, 1 - cosine, of a query's negatives; None without two of a query."""
    return added["apart"] / MILLION / added["sets"] if added.get("sets") else None


@dataclass(frozen=True)
class Groups:
    """How the vectors treat the groups of a query's candidates (Wang and Liu, CVPR 2021).

    Attributes:
        tolerance: mean cosine of the pairs in one group; None without one.
        across: mean cosine of the other pairs; None without one.
        uniformity: log of the mean of exp(-2 |x - y|²) over all pairs: lower is more uniform.
    """

    tolerance: float | None
    across: float | None
    uniformity: float

    @classmethod
    def of(cls, added: Mapping[str, int]) -> Groups | None:
        """Return the means of sums over all parts; None without a pair."""
        same, other = added.get("same_pairs", 0), added.get("other_pairs", 0)
        if not (same + other and added["spread"]):
            return None
        return cls(
            1 - added["same"] / MILLION / same if same else None,
            1 - added["other"] / MILLION / other if other else None,
            float(np.log(added["spread"] / MILLION / (same + other))),
        )

    def sentence(self) -> str:
        """Describe them."""
        shown = ["unknown" if x is None else f"{x:.2f}" for x in (self.tolerance, self.across)]
        return (
            f"Groups: mean cosine {shown[0]} within a group (tolerance), {shown[1]} across groups; "
            f"uniformity {self.uniformity:.2f}."
        )
