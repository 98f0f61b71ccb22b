"""The columns of well-known files without a header: MS MARCO, TREC, ColBERT, Tevatron."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median

CODE = re.compile(r"(?=.*\d)[!-~]{1,100}")
"""An id: printable ASCII with a digit in it and no blank."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)", re.IGNORECASE)
WHOLE = re.compile(r"[+-]?\d+")
GRADE = re.compile(r"[+-]?\d(\.\d+)?|10")
MOST_GRADES = 8
"""Different grades in one file; more are ids or scores."""

Rows = Sequence[Sequence[str]]


def is_number(cell: str) -> bool:
    """Tell whether a cell holds a number."""
    return NUMBER.fullmatch(cell.strip()) is not None


def name_columns(path: str, rows: Rows, kind: str) -> list[str] | None:
    """Return names of the columns of a table without a header; None if it is none that is known.

    Args:
        path: its name tells triples of ids from judgements, where numbers do not.
        rows: the first rows, of one length.
        kind: the kind of table that the user says it is.
    """
    recognise = RECOGNISE.get(kind)
    columns = [[cell.strip() for cell in column] for column in zip(*rows, strict=True)]
    return recognise(columns, "triple" in Path(path).name.lower()) if recognise else None


def _corpus(columns: Rows, _triples: bool) -> list[str] | None:
    if len(columns) == 1:
        return ["text"] if _is_text(columns[0]) else None
    if not _is_id(columns[0]) or not all(map(_is_text, columns[-1:])):
        return None
    if len(columns) == 4 and all(re.match(r"https?://|$", url) for url in columns[1]):
        return ["id", "url", "title", "text"]  # MS MARCO's documents.
    if len(columns) == 3:
        second, third = (sum(map(len, column)) for column in columns[1:])
        if third > 2 * second:
            return ["id", "title", "text"]
        return ["id", "text", "title"] if second > 2 * third else None
    return ["id", "text"] if len(columns) == 2 else None


def _queries(columns: Rows, _triples: bool) -> list[str] | None:
    whole = len(columns) == 2 and _is_id(columns[0]) and _is_text(columns[1])
    return ["id", "text"] if whole else None


def _pairs(columns: Rows, _triples: bool) -> list[str] | None:
    if len(columns) not in (2, 3) or not all(map(_is_text, columns)):
        return None
    phrases = sum(" " in cell or not cell.isascii() for cell in columns[0])
    if phrases < len(columns[0]) / 2:
        return None
    return ["query", "positive", "negative"][: len(columns)]


def _qrels(columns: Rows, triples: bool) -> list[str] | None:
    if not all(map(_is_id, columns)):
        return None
    if len(columns) == 2:
        return ["query_id", "corpus_id"]
    if len(columns) == 3 and not _is_iteration(columns[1]):
        third = set(columns[2])
        graded = len(third) <= MOST_GRADES and all(map(GRADE.fullmatch, third))
        if graded and not triples:
            return ["query_id", "corpus_id", "score"]
        if triples or _are_ids(columns[2], columns[1]):
            return ["query_id", "corpus_id", "negative_id"]
    if len(columns) == 4 and _is_iteration(columns[1]) and all(map(is_number, columns[3])):
        return ["query_id", "iteration", "corpus_id", "score"]
    return None


def _run(columns: Rows, _triples: bool) -> list[str] | None:
    size = len(columns)
    if not 3 <= size <= 6 or not all(map(_is_id, columns[:5])):
        return None
    if size > 4:  # The lines of a TREC run; some leave the tag out.
        score = all(map(is_number, columns[4])) and (size == 6 or _is_iteration(columns[1]))
        names = ["query_id", "iteration", "corpus_id", "rank", "score", "tag"]
        return names[:size] if score else None
    if size == 4 and _is_iteration(columns[1]):
        order = _order(columns[0], columns[3])
        return ["query_id", "iteration", "corpus_id", order] if order else None
    orders = [_order(columns[0], column) for column in columns[2:]]
    if size == 3:
        return ["query_id", "corpus_id", orders[0]] if orders[0] else None
    if orders[0] == "rank" and all(map(is_number, columns[3])):
        return ["query_id", "corpus_id", "rank", "score"]
    if orders[1] == "rank" and all(map(is_number, columns[2])):
        return ["query_id", "corpus_id", "score", "rank"]
    return None


RECOGNISE: dict[str, Callable[[Rows, bool], list[str] | None]] = {
    "corpus": _corpus,
    "queries": _queries,
    "pairs": _pairs,
    "qrels": _qrels,
    "run": _run,
}


def _order(queries: Sequence[str], column: Sequence[str]) -> str | None:
    """Tell whether a column holds ranks or scores; None if it may be either."""
    if not all(map(is_number, column)):
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


def _is_id(column: Sequence[str]) -> bool:
    return not any(len(cell.split()) != 1 for cell in column)


def _are_ids(column: Sequence[str], ids: Sequence[str]) -> bool:
    """Tell whether a column holds ids of the same kind as another, and no grades."""
    if not all(map(WHOLE.fullmatch, column)):
        return not all(map(is_number, column)) and all(map(CODE.fullmatch, column))
    if not all(map(WHOLE.fullmatch, ids)) or len(set(column)) <= MOST_GRADES:
        return False
    half, other = (median(map(int, found)) for found in (column, ids))
    return bool(set(column) & set(ids)) or (half > 100 and other / 3 < half < other * 3)


def _is_iteration(column: Sequence[str]) -> bool:
    return set(column) <= {"0", "Q0", "q0"}


def _is_text(column: Sequence[str]) -> bool:
    return not all(CODE.fullmatch(cell) or is_number(cell) or not cell for cell in column)
