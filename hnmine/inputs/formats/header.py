"""The names of a text file's columns: in its first line, or those of a well-known layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median

from hnmine.errors import InputError
from hnmine.inputs.formats.reader import Asked

NEGATIVE = re.compile(r"neg|negatives?|negative_\d+")
NAME = re.compile(r"[^\W\d][\w.-]{0,39}")
SENTENCE = 3
"""Words from which on a cell is no name of a column."""

SHOWN = 200

CODE = re.compile(r"(?=.*\d)[!-~]{1,100}")
"""An id: printable ASCII with a digit in it and no blank."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)", re.IGNORECASE)
WHOLE = re.compile(r"[+-]?\d+")
GRADE = re.compile(r"[+-]?\d(\.\d+)?|10")
MOST_GRADES = 8
"""Different grades in one file; more are ids or scores."""

Column = Sequence[str]
Rows = Sequence[Column]


def find_names(path: str, rows: Rows, asked: Asked) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first row holds them.

    Raises:
        InputError: it cannot be told, or there is no header and the columns are not recognised.
    """
    first = [cell.strip() for cell in rows[0]]
    there = _is_header(first, rows[1:], asked)
    if there:
        return first, True
    if _by_number(asked):
        return [str(number) for number in range(1, len(first) + 1)], False
    line = " | ".join(cell[: SHOWN // len(first)] for cell in first)
    roles = [role for role in asked.roles if role in asked.required] or list(asked.roles)
    numbers = " ".join(
        f"--column {asked.kind}.{role}={number}" for number, role in enumerate(roles, 1)
    )
    if there is None:
        raise InputError(
            f"Cannot tell whether the first line of {path} is a header.",
            why=f"It is: {line}",
            fix=f"Add a header that names the columns, or pass their names with --column "
            f"{asked.kind}.{roles[0]}=NAME. If the line is data, pass numbers: {numbers}.",
        )
    names = None if asked.given else _name_columns(path, rows, asked.kind)
    if names is None:
        raise InputError(
            f"{path} has no header, and its {len(first)} columns are not known as {asked.kind}.",
            why=f"The first line is: {line}",
            fix=f"Add a header, or say which column is what by number, such as {numbers}.",
        )
    return names, False


def _by_number(asked: Asked) -> bool:
    return bool(asked.given) and all(name.isdecimal() for name in asked.given.values())


def _is_header(first: list[str], below: Rows, asked: Asked) -> bool | None:
    """Tell whether a first row names columns; None if nothing tells."""
    if not asked.kind:
        return True
    known = [cell for cell in first if cell in asked.known or NEGATIVE.fullmatch(cell)]
    given = {name for name in asked.given.values() if not name.isdecimal()} & set(first)
    strong, weak = _votes(first, below)
    if given or len(known) > 1 or (len(known) == len(first)):
        return True
    if known and not (strong and not any(strong)):
        return True
    for votes in (strong, weak):
        if votes and all(votes):
            return True
        if votes and not any(votes):
            return False
        if votes:
            break
    return False if _by_number(asked) else None


def _votes(first: list[str], below: Rows) -> tuple[list[bool], list[bool]]:
    """Return for columns whether the first cell differs from all below it, as a name does.

    The first list is of columns of numbers and ids, the second of columns of texts.
    """
    strong, weak = [], []
    for place, cell in enumerate(first):
        values = [row[place] for row in below if row[place]]
        if not cell:
            continue
        if all(map(_is_number, values)) and (values or _is_number(cell)):
            strong.append(not _is_number(cell))
        elif values and all(map(CODE.fullmatch, values)):
            strong.append(not re.search(r"\d", cell))
        elif len(cell.split()) >= SENTENCE:
            weak.append(False)
        elif NAME.fullmatch(cell) and sum(" " in value for value in values) > len(values) / 2:
            weak.append(True)
    return strong, weak


def _is_number(cell: str) -> bool:
    return NUMBER.fullmatch(cell.strip()) is not None


def _anything(_column: Column, _columns: Rows) -> bool:
    return True


def _text(column: Column, _columns: Rows) -> bool:
    return not all(CODE.fullmatch(cell) or _is_number(cell) or not cell for cell in column)


def _long_text(column: Column, columns: Rows) -> bool:
    """Tell whether a column is text, and much longer than the only other one beside the id."""
    (other,) = (one for one in columns[1:] if one is not column)
    return _text(column, columns) and sum(map(len, column)) > 2 * sum(map(len, other))


def _phrase(column: Column, columns: Rows) -> bool:
    phrases = sum(" " in cell or not cell.isascii() for cell in column)
    return _text(column, columns) and phrases >= len(column) / 2


def _url(column: Column, _columns: Rows) -> bool:
    return all(re.match(r"https?://|$", cell) for cell in column)


def _id(column: Column, _columns: Rows) -> bool:
    return all(len(cell.split()) == 1 for cell in column)


def _iteration(column: Column, _columns: Rows) -> bool:
    return set(column) <= {"0", "Q0", "q0"}


def _document(column: Column, columns: Rows) -> bool:
    return _id(column, columns) and not _iteration(column, columns)


def _number(column: Column, _columns: Rows) -> bool:
    return all(map(_is_number, column))


def _grade(column: Column, _columns: Rows) -> bool:
    return len(set(column)) <= MOST_GRADES and all(map(GRADE.fullmatch, column))


def _like_ids(column: Column, columns: Rows) -> bool:
    """Tell whether a column holds ids of the same kind as the second one, and no grades."""
    ids = columns[1]
    if not all(map(WHOLE.fullmatch, column)):
        return not all(map(_is_number, column)) and all(map(CODE.fullmatch, column))
    if not all(map(WHOLE.fullmatch, ids)) or len(set(column)) <= MOST_GRADES:
        return False
    half, other = (median(map(int, found)) for found in (column, ids))
    return bool(set(column) & set(ids)) or (half > 100 and other / 3 < half < other * 3)


def _rank(column: Column, columns: Rows) -> bool:
    return _order(columns[0], column) == "rank"


def _score(column: Column, columns: Rows) -> bool:
    return _order(columns[0], column) == "score"


def _order(queries: Column, column: Column) -> str | None:
    """Tell whether a column holds ranks or scores; None if it may be either."""
    if not all(map(_is_number, column)):
        return None
    values = [float(cell) for cell in column]
    hits = zip(queries, values, strict=True)
    lists = [[value for _, value in group] for _, group in groupby(hits, lambda hit: hit[0])]
    whole = all(map(WHOLE.fullmatch, column))
    if whole and all(found == _counted(found) for found in lists):
        return "rank"
    if all(found == sorted(found, reverse=True) for found in lists):
        return "score"
    if whole and all(sorted(found) == _counted(found) for found in lists[:-1] or lists):
        return "rank"
    rising = all(found == sorted(found) for found in lists)
    return None if whole or rising else "score"


def _counted(found: list[float]) -> list[float]:
    """Count from the smallest, if that is 0 or 1, as ranks do."""
    start = int(min(found)) if min(found) in (0, 1) else 1
    return [float(rank) for rank in range(start, start + len(found))]


Shape = Mapping[str, Callable[[Column, Rows], bool]]

_PAIR: Shape = {"query": _phrase, "positive": _text}
_JUDGED: Shape = {"query_id": _id, "corpus_id": _id}
_TREC: Shape = {"query_id": _id, "iteration": _iteration, "corpus_id": _id}
_LISTED: Shape = {"query_id": _id, "corpus_id": _document}

SHAPES: dict[str, tuple[Shape, ...]] = {
    "corpus": (
        {"text": _text},
        {"id": _id, "text": _text},
        {"id": _id, "title": _anything, "text": _long_text},
        {"id": _id, "text": _long_text, "title": _text},
        {"id": _id, "url": _url, "title": _anything, "text": _text},  # MS MARCO's documents.
    ),
    "queries": ({"id": _id, "text": _text},),
    "pairs": (_PAIR, {**_PAIR, "negative": _text}),
    "qrels": (
        _JUDGED,
        {**_LISTED, "score": _grade},
        {**_LISTED, "negative_id": _like_ids},
        {**_TREC, "score": _number},
    ),
    "triples": (_JUDGED, {**_LISTED, "negative_id": _id}, {**_TREC, "score": _number}),
    "run": (
        {**_JUDGED, "rank": _rank},
        {**_JUDGED, "score": _score},
        {**_TREC, "rank": _rank},
        {**_TREC, "score": _score},
        {**_LISTED, "rank": _rank, "score": _number},
        {**_LISTED, "score": _number, "rank": _rank},
        {**_TREC, "rank": _id, "score": _number},  # The lines of a TREC run, without the tag.
        {**_TREC, "iteration": _id, "rank": _id, "score": _number, "tag": _anything},
    ),
}
"""Well-known files without a header (MS MARCO, TREC, ColBERT, Tevatron): what their columns hold.

The first that fits names the columns of a table of a kind.
"""


def _name_columns(path: str, rows: Rows, kind: str) -> list[str] | None:
    """Return names of the columns of a table without a header; None for an unknown layout."""
    columns = [[cell.strip() for cell in column] for column in zip(*rows, strict=True)]
    if kind == "qrels" and "triple" in Path(path).name.lower():
        kind = "triples"
    for shape in SHAPES.get(kind, ()):
        if len(shape) == len(columns):
            tests = zip(shape.values(), columns, strict=True)
            if all(test(column, columns) for test, column in tests):
                return list(shape)
    return None
