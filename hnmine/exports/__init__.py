"""Layouts of train/, each one function: text columns only, in the order that trainers want.

sentence-transformers takes a column named label, labels, score or scores as the label, and every
other column as an input, by order: so no ids here, and scores only where they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from hnmine.exports.chosen import Chosen
from hnmine.exports.labeled import labeled_list, labeled_pair
from hnmine.exports.tuples import n_tuple, triplet

Export = Callable[[Chosen, int, bool], pa.Table]
"""Takes what was chosen, the negatives asked for, and whether scores are wanted."""

FORMATS: dict[str, Export] = {
    "triplet": triplet,
    "n-tuple": n_tuple,
    "labeled-pair": labeled_pair,
    "labeled-list": labeled_list,
}
