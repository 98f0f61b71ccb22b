"""Choose between trained weights and those half-way back to the base model.

Half-way weights keep more of what the base model could do (WiSE-FT, Wortsman et al. 2022;
LM-Cocktail, Xiao et al. 2023). Whether that helps depends on the data, so training queries that are
set aside decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.training.held_out import LEAST, HeldOut
from hnmine.training.retrieval_measures import NDCG
from hnmine.training.student_rows import Rows
from hnmine.training.students import Recipe, move_toward, train, weights_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

HALF = 0.5


def train_and_choose(model: SentenceTransformer, rows: Rows, recipe: Recipe, seed: int) -> float:
    """Train a student, and keep its weights or those half-way back, whichever retrieve better.

    A tenth of the queries is set aside to choose by, and not trained on. Their positives stay where
    other queries have them too: new queries will ask for known documents as well. Too few queries
    leave the trained weights.

    Args:
        model: the student; it is changed.
        rows: to train on and to choose by.
        recipe: how; without `toward_base`.
        seed: as in `train`.

    Returns:
        How far the weights went back, 0 or 0.5.
    """
    aside = HeldOut.set_aside(rows)
    if len(aside.queries) < LEAST:
        train(model, [rows], recipe, seed)
        return 0.0
    base = weights_of(model)
    train(model, [aside.without_queries(rows)], recipe, seed)
    trained, whole = weights_of(model), aside.measure(model)[NDCG].mean()
    move_toward(model, base, HALF)
    if aside.measure(model)[NDCG].mean() > whole:
        return HALF
    move_toward(model, trained, 1.0)
    return 0.0
