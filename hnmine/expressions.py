"""Expressions over the candidates, in SQL: what rules, weights and derived columns are made of.

DuckDB parses and evaluates them, with one addition: functions that look at all candidates of the
query. Those of `OF_QUERY` and `SHORT` do, and so does every aggregate without OVER: `avg(x)` is the
mean over the query's candidates. Floating-point columns are float64 inside, and NaN is null there:
a comparison with it is no more true than in SQL with any other unknown.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine.duck import connection, functions, one, varies
from hnmine.errors import UsageError

Node = dict[str, Any]
"""Part of a syntax tree, as DuckDB's json_serialize_sql gives it."""

_QUERY = (
    "over (partition by query_row order by _row "
    "rows between unbounded preceding and unbounded following)"
)
_CANDIDATES = "filter (where _candidate)"
_POSITIVES = "filter (where is_positive)"


def _anchor(aggregate: str) -> str:
    # SQL's min passes over null, but a positive that could not be scored must not be forgotten.
    known = f"bool_and(coalesce(isfinite({{0}}), false)) {_POSITIVES} {_QUERY}"
    return f"case when {known} then {aggregate}({{0}}) {_POSITIVES} {_QUERY} end"


OF_QUERY = {
    "pos": _anchor("min"),
    "posmax": _anchor("max"),
    "posmean": _anchor("avg"),
    "rank": f"case when isfinite({{0}}) then count(*) {_CANDIDATES} over (partition by query_row "
    "order by case when isfinite({0}) then {0} end desc nulls last, _row "
    "rows between unbounded preceding and current row exclude current row) end",
}
"""The lowest, highest, mean x of the query's positives; how many candidates have a higher x."""

SHORT = {
    "zscore": "(x - avg(x)) / nullif(stddev_pop(x), 0)",
    "softmax": "exp(x - max(x)) / sum(exp(x - max(x)))",
    "bins": "case when max(x) > min(x) "
    "then least(floor((x - min(x)) / (max(x) - min(x)) * y), y - 1) else 0 end",
}
"""Functions of x, and y, that stand for longer expressions."""


def parse(text: str) -> Node:
    """Return the syntax tree of one expression.

    Raises:
        UsageError: it is none, with the place; or its value could differ between two runs.
    """
    found = json.loads(one("select json_serialize_sql(?)", f"select {text}"))
    if found["error"]:
        place = int(found["position"]) - len("select ") if "position" in found else None
        raise _refused(text, found["error_message"], place)
    query = found["statements"][0]["node"]
    plain = query["type"] == "SELECT_NODE" and query["from_table"]["type"] == "EMPTY"
    if len(found["statements"]) > 1 or not plain or len(query["select_list"]) > 1:
        raise _refused(text, "it is more than one expression")
    (tree,) = query["select_list"]
    for node in _nodes(tree):
        name = node.get("function_name", "")
        if node["class"] in ("SUBQUERY", "STAR", "PARAMETER"):
            raise _refused(text, f"it holds a {node['class'].lower()}", _place(node, text))
        if name and varies(name, len(node["arguments" if "arguments" in node else "children"])):
            raise _refused(text, f"{name}() gives another value each time", _place(node, text))
    return tree


def references(text: str) -> list[tuple[str, ...]]:
    """Return the columns that an expression is about, each by its name and those of its fields.

    Raises:
        UsageError: it is no expression.
    """
    columns = (node for node in _nodes(parse(text)) if node["class"] == "COLUMN_REF")
    return list(dict.fromkeys(tuple(node["column_names"]) for node in columns))


def join(left: pa.Table, right: pa.Table, condition: str) -> pa.Table:
    """Return the columns `left` and `right` of all pairs of rows for which a condition holds.

    Args:
        left: its column `left` numbers its rows; the others are what the condition is about.
        right: the same.
        condition: an expression.
    """
    parse(condition)
    cursor = connection().cursor()
    try:
        cursor.register("one", left)
        cursor.register("other", right)
        sql = f'select "left", "right" from one join other on coalesce(({condition}), false)'
        return cursor.sql(sql).to_arrow_table()
    except duckdb.Error as error:
        raise _refused(condition, str(error)) from error
    finally:
        cursor.close()


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
        UsageError: an expression is wrong, or names a column that is not there.
    """
    texts = tuple(expressions.values())
    trees, compiled, layers = _compiled(texts)
    for tree, text in zip(trees, texts, strict=True):
        _check_columns(tree, text, table.column_names)
    cursor = connection().cursor()
    try:
        cursor.register("candidates", _wide(table, among))
        source = "candidates"
        for column, layer in layers.items():
            source = f"(select *, {layer} as {column} from {source})"
        try:
            named = zip(expressions, compiled, strict=True)
            select = ", ".join(f'{sql} as "{name}"' for name, sql in named)
            found = cursor.sql(f"select {select} from {source} order by _row").to_arrow_table()
        except duckdb.Error as error:
            if len(expressions) > 1:  # Alone, the wrong one is found, and can be named.
                for name, text in expressions.items():
                    evaluate(table, {name: text})
            raise _refused(next(iter(expressions.values())), str(error)) from error
    finally:
        cursor.close()
    return _without_decimals(found)


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
    return trees, [_text(layers.rewrite(tree)) for tree in trees], layers.columns


class _Layers:
    """Columns computed before the expressions: a window function cannot hold another."""

    def __init__(self) -> None:
        self.columns: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def rewrite(self, node: Any) -> Any:
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
            return self._column(OF_QUERY[name].format(_text(argument)))
        if name in functions("function_type = 'aggregate'"):
            only = "" if node["filter"] else _CANDIDATES
            return self._column(f"{_text(node)} {only} {_QUERY}")
        return node

    def _column(self, sql: str) -> Node:
        name = self._names.setdefault(sql, f"_{len(self._names)}")
        self.columns[name] = sql
        return copy.deepcopy(parse(name))


def _arguments(node: Node, count: int) -> list[Node]:
    """Return a call's arguments."""
    arguments: list[Node] = node["arguments" if "arguments" in node else "children"]
    if len(arguments) != count:
        name = node["function_name"]
        raise _refused(_text(node), f"{name}() takes {count}, not {len(arguments)}")
    return [item.get("expression", item) for item in arguments]


def _substitute(node: Any, values: Mapping[str, Node]) -> Any:
    if isinstance(node, list):
        return [_substitute(item, values) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("class") == "COLUMN_REF" and node["column_names"][0] in values:
        return values[node["column_names"][0]]
    return {key: _substitute(value, values) for key, value in node.items()}


def _nodes(tree: Any) -> Iterator[Node]:
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for item in tree:
            yield from _nodes(item)


def _text(tree: Node) -> str:
    """Return the SQL of a tree."""
    statement = json.loads(one("select json_serialize_sql(?)", "select 1"))
    statement["statements"][0]["node"]["select_list"] = [tree]
    written: str = one("select json_deserialize_sql(?)", json.dumps(statement))
    return written.removeprefix("SELECT ")


def _wide(table: pa.Table, among: NDArray[np.bool_] | None) -> pa.Table:
    """Return the table with its rows numbered, in float64 where it is floating-point."""
    columns = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_floating(column.type):
            column = column.cast(pa.float64())
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        columns[name] = column
    rows = table.num_rows
    columns["_row"] = pa.array(np.arange(rows))
    columns["_candidate"] = pa.array(np.ones(rows, dtype=bool) if among is None else among)
    return pa.table(columns)


def compares_candidates(text: str) -> str | None:
    """Return the first function in an expression that looks at all candidates of the query.

    Raises:
        UsageError: it is no expression.
    """
    names = [node.get("function_name", "") for node in _nodes(parse(text))]
    aggregates = functions("function_type = 'aggregate'")
    candidates = {"rank", *SHORT}
    return next((name for name in names if name in candidates or name in aggregates), None)


def logarithm(text: str) -> str:
    """Return the expression of another's natural logarithm; that of exp(x) is x, at any size."""
    tree = parse(text)
    if tree.get("function_name") == "exp":
        (inside,) = _arguments(tree, 1)
        return _text(inside)
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


def _check_columns(tree: Node, text: str, columns: list[str]) -> None:
    known = {name.lower(): name for name in columns}
    inside = {
        id(part) for node in _nodes(tree) if node["class"] == "LAMBDA" for part in _nodes(node)
    }
    for node in _nodes(tree):
        if node["class"] == "COLUMN_REF" and id(node) not in inside:
            name = node["column_names"][0]
            if name.lower() not in known:
                close = difflib.get_close_matches(name.lower(), known, n=1)
                hint = f" Did you mean {known[close[0]]}?" if close else ""
                raise _refused(
                    text,
                    f"there is no column {name!r}.{hint}",
                    _place(node, text),
                    f"Columns: {', '.join(columns)}.",
                )


def _place(node: Node, text: str) -> int | None:
    """Return where a node stands in its expression."""
    place = int(node.get("query_location", -1)) - len("select ")
    return place if 0 <= place <= len(text.encode()) else None


def _refused(text: str, message: str, place: int | None = None, fix: str = "") -> UsageError:
    """Explain what is wrong with an expression, with a mark under the place."""
    lines = [f"  {text}"]
    if place is not None and "\n" not in text:
        lines.append("  " + " " * len(text.encode()[:place].decode(errors="ignore")) + "^")
    first = message.splitlines()[0].removeprefix("Binder Error: ") if message else "it is empty"
    return UsageError(
        f"This expression cannot be used: {first}",
        why="\n".join(lines),
        fix=fix or "It is SQL, as DuckDB understands it, over the columns of the candidates.",
    )
