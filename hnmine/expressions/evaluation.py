"""Expressions over the candidates, in SQL: what rules, weights and derived columns are made of.

DuckDB parses and evaluates them, with one addition: functions that look at all candidates of the
query. Those of `OF_QUERY` and `SHORT` do, and so does every aggregate without OVER: `avg(x)` is the
mean over the query's candidates. Floating-point columns are float64 inside, and NaN is null there:
a comparison with it is no more true than in SQL with any other unknown.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine.errors import UsageError, did_you_mean
from hnmine.expressions.duck import LimitExceededError, counting, functions, select
from hnmine.expressions.syntax import (
    TOO_DEEP,
    Node,
    beyond,
    bracketed,
    columns,
    nodes,
    parse,
    place_of,
    refused,
    text_of,
)

_QUERY = (
    "over (partition by query_row order by _row "
    "rows between unbounded preceding and unbounded following)"
)
WORK_ROOM = 16
"""Bytes that DuckDB may take for each of a table, and of each column computed before others."""

SECONDS_PER_ROW = 1e-3
SECONDS_PER_PAIR, BYTES_OF_PAIR = 1e-6, 24

_CANDIDATES = "filter (where _candidate)"
_POSITIVES = "filter (where is_positive)"


def _anchor(aggregate: str) -> str:
    # SQL's min passes over null, but a positive that could not be scored must not be forgotten.
    known = f"bool_and(coalesce(isfinite({{0}}), false)) {_POSITIVES} {_QUERY}"
    return f"case when {known} then {aggregate}({{0}}) {_POSITIVES} {_QUERY} end"


PARENT = "parent"
"""Column with the id of the positive that a document was made from; null for other documents."""

OF_FUNCTIONS = frozenset(["query_row", "doc_id", "is_positive", PARENT])
"""Columns that functions of the query may read."""

_FAMILY = f"over (partition by query_row, coalesce({PARENT}::varchar, doc_id))"

OF_QUERY = {
    "pos": _anchor("min"),
    "parent": f"coalesce(max({{0}}) {_POSITIVES} {_FAMILY}, {_anchor('min')})",
    "posmax": _anchor("max"),
    "posmean": _anchor("avg"),
    "rank": f"case when isfinite({{0}}) then count(*) {_CANDIDATES} over (partition by query_row "
    "order by case when isfinite({0}) then {0} end desc nulls last, _row "
    "rows between unbounded preceding and current row exclude current row) end",
}
"""The lowest x of the query's positives, that of the positive that a document was made from (the
lowest for other documents), the highest, the mean; how many candidates have a higher x."""

SHORT = {
    "zscore": "(x - avg(x)) / nullif(stddev_pop(x), 0)",
    "softmax": "exp(x - max(x)) / sum(exp(x - max(x)))",
    "bins": "case when max(x) > min(x) "
    "then least(floor((x - min(x)) / (max(x) - min(x)) * y), y - 1) else 0 end",
}
"""Functions of x, and y, that stand for longer expressions."""


@lru_cache(maxsize=256)
def references(text: str) -> tuple[tuple[str, ...], ...]:
    """Return the columns that an expression is about, each by its name and those of its fields.

    Raises:
        UsageError: it is no expression.
    """
    return tuple(dict.fromkeys(tuple(node["column_names"]) for node in columns(parse(text))))


def read_by(texts: Iterable[str], names: Sequence[str]) -> list[str]:
    """Return the columns, of those there are, that expressions read.

    All, if an expression is about another: the error then lists them.

    Raises:
        UsageError: a text is no expression.
    """
    asked = {found[0].lower() for text in texts for found in references(text)}
    if not asked <= {name.lower() for name in names}:
        return list(names)
    return [name for name in names if name.lower() in asked | OF_FUNCTIONS]


def join(left: pa.Table, right: pa.Table, condition: str) -> pa.Table:
    """Return the columns `left` and `right` of all pairs of rows for which a condition holds.

    Args:
        left: its column `left` numbers its rows; the others are what the condition is about.
        right: the same.
        condition: an expression.
    """
    pairs = left.num_rows * right.num_rows
    sql = f'select "left", "right" from one join other on coalesce({bracketed(condition)}, false)'
    try:
        return select(
            sql,
            {"one": left, "other": right},
            WORK_ROOM * (left.nbytes + right.nbytes) + BYTES_OF_PAIR * pairs,
            pairs * SECONDS_PER_PAIR,
        )
    except LimitExceededError as limit:
        raise beyond(limit, [condition]) from limit
    except duckdb.Error as error:
        raise refused(condition, str(error)) from error


def evaluate(
    table: pa.Table,
    expressions: Mapping[str, str],
    among: NDArray[np.bool_] | None = None,
) -> pa.Table:
    """Return a table with one column for each expression.

    Args:
        table: its columns are what the expressions are about; functions of the query need
            `query_row`, and those of positives `is_positive`, among them.
        expressions: by the name of the column that they become.
        among: the rows that aggregates and ranks are taken over, shape (rows,).

    Raises:
        UsageError: an expression is wrong, or names an unknown column.
    """
    texts = tuple(expressions.values())
    try:
        trees, compiled, layers = _compiled(texts)
    except RecursionError as error:
        raise refused(" / ".join(texts), TOO_DEEP) from error
    for tree, text in zip(trees, texts, strict=True):
        _check_columns(tree, text, table.column_names)
    source = "candidates"
    for column, layer in layers.items():
        source = f"(select *, {layer} as {column} from {source})"
    selected = ", ".join(f"{sql} as _{place}" for place, sql in enumerate(compiled))
    sql = f"select {selected} from {source} order by _row"
    wide = _wide(table, read_by(texts, table.column_names), among)
    room = WORK_ROOM * (1 + len(layers)) * (2 * table.nbytes + wide.nbytes)
    with counting():
        try:
            found = select(sql, {"candidates": wide}, room, wide.num_rows * SECONDS_PER_ROW)
        except (duckdb.Error, LimitExceededError) as error:
            if len(expressions) > 1:  # Alone, the wrong one is found, and can be named.
                for name, text in expressions.items():
                    evaluate(table, {name: text}, among)
            if isinstance(error, LimitExceededError):
                raise beyond(error, texts) from error
            raise refused(texts[0], str(error)) from error
    if found.num_rows != table.num_rows:
        raise refused(" / ".join(texts), "it gives another number of rows")
    _check_types(found, texts)
    return _without_decimals(found.rename_columns(list(expressions)))


def _check_types(found: pa.Table, texts: Sequence[str]) -> None:
    """Refuse results that no training table can hold."""
    for field, text in zip(found.schema, texts, strict=True):
        if _unloadable(field.type):
            raise refused(text, f"its type is {field.type}, which training tables cannot hold")


def _unloadable(kind: pa.DataType) -> bool:
    """Tell whether Parquet cannot store a type, or `datasets` cannot load it, on any level."""
    if pa.types.is_interval(kind) or pa.types.is_union(kind) or pa.types.is_map(kind):
        return True
    return any(_unloadable(kind.field(n).type) for n in range(kind.num_fields))


def truth(values: pa.ChunkedArray, text: str) -> NDArray[np.bool_]:
    """Return where an expression is true.

    Raises:
        UsageError: its values are not true and false.
    """
    if not (pa.types.is_boolean(values.type) or pa.types.is_null(values.type)):
        raise UsageError(
            f"This expression is neither true nor false: {text}",
            why=f"It gives {values.type}.",
            fix="Compare it with something, as in `rank < 30`.",
        )
    found: NDArray[np.bool_] = pc.fill_null(values.cast(pa.bool_()), False).to_numpy()
    return found


@lru_cache(maxsize=256)
def _compiled(texts: tuple[str, ...]) -> tuple[list[Node], list[str], dict[str, str]]:
    """Return the trees of expressions, their SQL, and the columns to compute before them."""
    layers = _Layers()
    trees = [parse(text) for text in texts]
    return trees, [text_of(layers.rewrite(tree)) for tree in trees], layers.columns


class _Layers:
    """Columns computed before the expressions: a window function cannot hold another."""

    def __init__(self) -> None:
        self.columns: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def rewrite(self, node: object) -> Any:
        """Return a tree in which every function of the query has become a column."""
        if isinstance(node, list):
            return [self.rewrite(item) for item in node]
        if not isinstance(node, dict):
            return node
        name = node.get("function_name", "") if node.get("class") == "FUNCTION" else ""
        if name in SHORT:
            parameters = "xy" if name == "bins" else "x"
            values = dict(zip(parameters, _arguments(node, len(parameters)), strict=True))
            return self.rewrite(_substitute(parse(SHORT[name]), values))
        node = {key: self.rewrite(value) for key, value in node.items()}
        if name in OF_QUERY:
            (argument,) = _arguments(node, 1)
            return self._column(OF_QUERY[name].format(text_of(argument)))
        if name in functions("function_type = 'aggregate'"):
            only = "" if node["filter"] else _CANDIDATES
            return self._column(f"{text_of(node)} {only} {_QUERY}")
        return node

    def _column(self, sql: str) -> Node:
        name = self._names.setdefault(sql, f"_{len(self._names)}")
        self.columns[name] = sql
        return copy.deepcopy(parse(name))


def _arguments(node: Node, count: int) -> list[Node]:
    arguments: list[Node] = node["arguments" if "arguments" in node else "children"]
    if len(arguments) != count:
        name = node["function_name"]
        raise refused(text_of(node), f"{name}() takes {count}, not {len(arguments)}")
    return [item.get("expression", item) for item in arguments]


def _substitute(node: object, values: Mapping[str, Node]) -> Any:
    if isinstance(node, list):
        return [_substitute(item, values) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("class") == "COLUMN_REF" and node["column_names"][0] in values:
        return values[node["column_names"][0]]
    return {key: _substitute(value, values) for key, value in node.items()}


def _wide(table: pa.Table, names: Iterable[str], among: NDArray[np.bool_] | None) -> pa.Table:
    """Return columns of a table with its rows numbered, in float64 where they are floating-point.

    Args:
        table: of any columns.
        names: those to take.
        among: the rows that functions of the query see.
    """
    wide = {}
    for name in names:
        column = table[name]
        if pa.types.is_floating(column.type):
            column = column.cast(pa.float64())
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        wide[name] = column
    rows = table.num_rows
    wide["_row"] = pa.array(np.arange(rows))
    wide["_candidate"] = pa.array(np.ones(rows, dtype=bool) if among is None else among)
    return pa.table(wide)


def compares_candidates(text: str) -> str | None:
    """Return the first function in an expression that looks at all candidates of the query.

    Raises:
        UsageError: it is no expression.
    """
    names = [node.get("function_name", "") for node in nodes(parse(text))]
    aggregates = functions("function_type = 'aggregate'")
    candidates = {"rank", *SHORT}
    return next((name for name in names if name in candidates or name in aggregates), None)


def logarithm(text: str) -> str:
    """Return the expression of another's natural logarithm; that of exp(x) is x, at any size."""
    tree = parse(text)
    if tree.get("function_name") == "exp":
        (inside,) = _arguments(tree, 1)
        return text_of(inside)
    return f"case when ({text}) > 0 then ln({text}) when ({text}) = 0 then '-infinity'::double end"


def number(value: float) -> str:
    """Return a number in SQL; without an exponent DuckDB would read a decimal, not a float64."""
    shown = repr(float(value))
    return f"'{shown}'::double" if "n" in shown else shown if "e" in shown else f"{shown}e0"


def _without_decimals(table: pa.Table) -> pa.Table:
    """Return the table in float64 where DuckDB answers in decimals, as it does to sums."""
    fields = [
        field.with_type(pa.float64()) if pa.types.is_decimal(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _check_columns(tree: Node, text: str, names: list[str]) -> None:
    known = {name.lower() for name in names}
    if PARENT not in known and any(node.get("function_name") == PARENT for node in nodes(tree)):
        raise refused(
            text,
            f"{PARENT}() needs a column {PARENT!r}",
            fix=f"Mine with --attribute {PARENT}=doc.made_from, over texts of `hnmine generate`.",
        )
    for node in columns(tree):
        name = node["column_names"][0]
        if name.lower() not in known:
            hint = did_you_mean(name.lower(), known)
            if name.lower() == "p_relevant":
                hint = " It was no probability; relevance orders the candidates instead."
            raise refused(
                text,
                f"there is no column {name!r}.{hint}",
                place_of(node, text),
                f"Columns: {', '.join(names)}.",
            )
