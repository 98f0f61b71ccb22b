"""The syntax trees of expressions, and why some are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

import duckdb

from hnmine.errors import UsageError
from hnmine.expressions.duck import (
    MORE_ROWS,
    OF_ROWS,
    LimitExceededError,
    definitions,
    functions,
    one,
    varies,
)

Node = dict[str, Any]
"""Part of a syntax tree, as DuckDB's json_serialize_sql gives it."""

OWN_FUNCTIONS = frozenset(
    ["pos", "parent", "posmax", "posmean", "rank", "zscore", "softmax", "bins"]
)
"""Those that hnmine adds."""

ONE = "it is more than one expression"
TOO_DEEP = "it is nested too deeply"

CLASSES = (
    *("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT"),
    *("FUNCTION", "LAMBDA", "OPERATOR", "TYPE", "WINDOW"),
)
"""What an expression may hold, as DuckDB's parser names it."""


def parse(text: str) -> Node:
    """Return the syntax tree of one expression.

    Raises:
        UsageError: it is no expression, or its value could differ between runs.
    """
    try:
        tree = _only(text)
        for node in nodes(tree):
            if objection := _objection(node):
                raise refused(text, objection, place_of(node, text))
    except RecursionError as error:
        raise refused(text, TOO_DEEP) from error
    return tree


@lru_cache(maxsize=256)
def bracketed(text: str) -> str:
    """Return an expression in brackets, to be part of another.

    Raises:
        UsageError: it is no expression by itself.
    """
    parse(text)
    return _in_brackets(text)


def _in_brackets(text: str) -> str:
    """Return a text in brackets; the line end keeps a comment from holding the second one."""
    return f"({text}\n)"


def _only(text: str) -> Node:
    """Return the tree of an expression, which must be all that a text holds."""
    statement = _statement(text, text)
    query: Node = statement["node"]
    trees: list[Node] = query.pop("select_list", [])
    extra = [key for key, value in query.items() if _without_places(value) != _bare().get(key)]
    if extra or len(trees) != 1 or trees[0]["alias"]:
        raise refused(text, ONE)
    if _holds_star(text):
        raise refused(text, "it holds a star")
    # What the parser reads and forgets, such as a named window, cannot stand in brackets.
    inside = _statement(_in_brackets(text), text, ONE)["node"]["select_list"]
    if _without_places(inside) != _without_places(trees):
        raise refused(text, ONE)
    return trees[0]


def _holds_star(text: str) -> bool:
    """Tell whether an expression holds a star as an argument, which its tree does not show."""
    tokens, written = duckdb.tokenize(text), text.encode()
    ends = [*(place for place, _ in tokens[1:]), len(written)]
    words = [
        written[place:end].strip().lower()
        for (place, kind), end in zip(tokens, ends, strict=True)
        if kind != duckdb.token_type.comment
    ]
    before = zip([b"", b"", *words], [b"", *words], words, strict=False)
    stars = (name for name, bracket, word in before if word == b"*" and bracket in (b"(", b","))
    return any(name != b"count" for name in stars)


def _statement(sql: str, text: str, message: str = "") -> Node:
    """Return the statement that selects something; `message` explains the error otherwise."""
    try:
        found = json.loads(one("select json_serialize_sql(?)", f"select {sql}"))
    except duckdb.Error as error:
        raise refused(text, str(error)) from error
    except LimitExceededError as error:
        raise beyond(error, [text]) from error
    if found["error"]:
        place = int(found["position"]) - len("select ") if "position" in found else None
        raise refused(text, message or found["error_message"], None if message else place)
    if len(found["statements"]) > 1:
        raise refused(text, ONE)
    statement: Node = found["statements"][0]
    return statement


@cache
def _select_one() -> str:
    """Return the statement that selects one expression and nothing else, as JSON."""
    written: str = one("select json_serialize_sql(?)", "select 1")
    return written


@cache
def _bare() -> Node:
    """Return what that statement says."""
    query: Node = json.loads(_select_one())["statements"][0]
    return dict(_without_places(query["node"]))


def _without_places(tree: object) -> Any:
    if isinstance(tree, list):
        return [_without_places(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        key: _without_places(value)
        for key, value in tree.items()
        if not key.startswith("query_location")
    }


def _objection(node: Node) -> str:
    """Say why part of an expression is refused: its value is not one of the row's columns alone."""
    if (kind := node["class"]) not in CLASSES:
        return f"it holds a {kind.lower().replace('_', ' ')}"
    name = node.get("function_name", "").lower()
    if not name:
        return ""
    if varies(name, len(node["arguments" if "arguments" in node else "children"])):
        return f"{name}() gives another value each time"
    if name in MORE_ROWS:
        return f"{name}() gives more than one value"
    elsewhere = name in functions(f"not ({OF_ROWS})") - functions(OF_ROWS) - OWN_FUNCTIONS
    if elsewhere or name.startswith("__internal"):
        return f"{name}() is not a function of columns"
    return _objection_to_macro(name)


@cache
def _objection_to_macro(name: str) -> str:
    """Say why a macro is refused: what it stands for would be, or is not about its parameters."""
    for parameters, text in definitions(name):
        tree = _only(text)
        own = columns(tree, frozenset(map(str.lower, parameters)))
        about = [f"it is about {node['column_names'][0]}" for node in own]
        if found := next(filter(None, map(_objection, nodes(tree))), about and about[0]):
            return f"{name}() cannot be used: {found}"
    return ""


def nodes(tree: object) -> Iterator[Node]:
    """Return a tree and all its parts."""
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for item in tree:
            yield from nodes(item)


def columns(tree: object, bound: frozenset[str] = frozenset()) -> Iterator[Node]:
    """Return the references to columns, but for those to parameters of functions in the tree."""
    if isinstance(tree, list):
        for item in tree:
            yield from columns(item, bound)
    if not isinstance(tree, dict):
        return
    if tree.get("class") == "LAMBDA":
        named = [node["column_names"] for node in columns(tree["lhs"])]
        if all(len(names) == 1 for names in named):  # Else it is the -> of JSON.
            bound |= {names[0].lower() for names in named}
    if tree.get("class") == "COLUMN_REF" and tree["column_names"][0].lower() not in bound:
        yield tree
    for value in tree.values():
        yield from columns(value, bound)


def text_of(tree: Node) -> str:
    """Return the SQL of a tree."""
    statement = json.loads(_select_one())
    statement["statements"][0]["node"]["select_list"] = [tree]
    written: str = one("select json_deserialize_sql(?)", json.dumps(statement))
    return written.removeprefix("SELECT ")


def place_of(node: Node, text: str) -> int | None:
    """Return where a node stands in its expression."""
    place = int(node.get("query_location", -1)) - len("select ")
    return place if 0 <= place <= len(text.encode()) else None


def refused(text: str, message: str, place: int | None = None, fix: str = "") -> UsageError:
    """Explain what is wrong with an expression, with a mark under the place."""
    lines = [f"  {text}"]
    if place is not None and "\n" not in text:
        lines.append("  " + " " * len(text.encode()[:place].decode(errors="ignore")) + "^")
    first = message.splitlines()[0].removeprefix("Binder Error: ") if message else "it is empty"
    return UsageError(
        f"This expression cannot be used: {first}",
        why="\n".join(lines),
        fix=fix or "Write DuckDB SQL over the columns of the candidates.",
    )


def beyond(limit: LimitExceededError, texts: Sequence[str]) -> UsageError:
    """Explain that expressions take more memory or time than they may."""
    return UsageError(
        f"This expression takes more than {limit}: {' / '.join(texts)}",
        why="hnmine limits the memory and time of each expression.",
        fix="Use functions that make shorter texts and lists, or compute the column before mining.",
    )
