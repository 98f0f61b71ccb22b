"""The columns that rules add to the candidates before they drop any."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from hnmine import schema
from hnmine.expressions.evaluation import evaluate
from hnmine.expressions.syntax import bracketed
from hnmine.names import check_new
from hnmine.ragged import Bools
from hnmine.selection.criteria import Rules

ANCHORS = {"min": "pos", "max": "posmax", "mean": "posmean", "parent": "parent"}
"""The function of the query that `positive_score` names."""


def with_columns(table: pa.Table, rules: Rules, among: Bools) -> pa.Table:
    """Return candidates with `score`, `positive_score` and the derived columns.

    Args:
        table: the candidates.
        rules: that name them.
        among: the rows that functions of the query see.

    Raises:
        UsageError: an expression cannot be used, or a derived column has the name of another.
    """
    for name, text in _scores(rules):
        column = evaluate(table, {name: text}, among)[name]
        if name in table.column_names:
            table = table.drop_columns(name)
        table = table.append_column(name, column)
    for name, text in rules.derive.items():
        check_new(name, table.column_names)
        table = table.append_column(name, evaluate(table, {name: text}, among)[name])
    return table


def definitions(rules: Rules) -> dict[str, str]:
    """Return the expressions of these columns, by name in lower case."""
    return {name.lower(): text for name, text in (*_scores(rules), *rules.derive.items())}


def _scores(rules: Rules) -> Iterator[tuple[str, str]]:
    score = schema.SCORES.get(rules.score, rules.score)
    yield "score", f"{bracketed(score)}::double"
    yield "positive_score", f"{ANCHORS[rules.positive_score]}(score)"
