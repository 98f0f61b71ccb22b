"""Checks of a table's first rows: lists written as text, bare answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterator
from statistics import median
from typing import TYPE_CHECKING, TypeVar

from hnmine.errors import InputError
from hnmine.inputs.bad_rows import BadRows
from hnmine.inputs.identity import normalise
from hnmine.inputs.likely_columns import SAMPLED, SHOWN, seen, shown
from hnmine.inputs.values import as_string_lists
from hnmine.printable import shortened

if TYPE_CHECKING:
    from hnmine.inputs.table_reader import Table

Item = TypeVar("Item")

FEW_WORDS, FEW_CHARACTERS = 4, 40
"""Up to here a positive is an answer rather than a passage."""

MANY_QUERIES, MANY_SHARE = 5, 0.1
"""From so many queries, and so large a share of them, on, one positive serves very many."""

TIMES_LONGER = 3

WRITTEN_LIST = re.compile(r"\s*\[\s*([\"']).*\1\s*\]\s*", re.DOTALL)
"""A list of texts as Python or JSON writes it."""


def _first(rows: Iterator[Item]) -> Item | None:
    """Return the first item, and let the file behind it go."""
    found = next(rows, None)
    if isinstance(rows, Generator):
        rows.close()
    return found


def refuse_written_lists(table: Table) -> None:
    """Refuse pairs whose passages are lists written as text, as pandas writes them to CSV."""
    own = table.columns.get("positive")
    paths = [*([own] if own else []), *(one.text for one in table.negatives if one.text)]
    read = _first(table.batches(BadRows("skip"), paths)) if paths else None
    for path in paths if read else ():
        assert read
        _, texts = as_string_lists(read[1].slice(0, SAMPLED)[path], path, table.path)
        values = [text for text in texts.to_pylist() if text]
        if values and all(map(WRITTEN_LIST.fullmatch, values)):
            raise InputError(
                f"Column {path!r} of {table.path} holds lists that are written as text.",
                why=f"Its first value is {shortened(values[0], SHOWN)}",
                fix="Write the table as Parquet or JSONL, which keep lists.",
            )


def answers(table: Table) -> str | None:
    """Say why the positives of pairs may be answers and no passages; None if they are not."""
    positive = table.columns.get("positive")
    if positive is None:
        return None
    read = _first(table.batches(BadRows("skip")))
    if read is None:
        return None
    batch = read[1].slice(0, SAMPLED)
    owner, texts = as_string_lists(batch[positive], positive, table.path)
    queries = table.text(batch, "query")
    asked_by = queries.take(owner).to_pylist() if queries is not None else []
    pairs = {
        (normalise(query or ""), normalise(text))
        for query, text in zip(asked_by, texts.to_pylist(), strict=True)
        if text
    }
    if not pairs:
        return None
    counts = Counter(text for _, text in pairs)
    common, uses = min(counts.items(), key=lambda item: (-item[1], item[0]))
    asked = len({query for query, _ in pairs})
    words = median(len(text.split()) for _, text in pairs)
    characters = median(len(text) for _, text in pairs)
    short = words <= FEW_WORDS and characters <= FEW_CHARACTERS
    shared = uses >= max(MANY_QUERIES, MANY_SHARE * asked) and len(common) <= FEW_CHARACTERS
    used = [*table.columns.values(), *(path for one in table.negatives for path in one.paths)]
    texts = [one for one in seen(table.files[0]) if one.text] if short or shared else []
    others = (one for one in texts if one.name not in used)
    other = max(others, key=lambda one: one.mean, default=None)
    longer = other is not None and other.mean >= TIMES_LONGER * characters
    if not shared and not (short and longer):
        return None
    said = [f"{table.path}: {positive} may hold answers, not passages."]
    if short:
        said.append(f"Half of them have no more than {words:g} words.")
    if shared:
        said.append(f"{shown(common)} is a positive of {uses:,} of {asked:,} queries.")
    if other is not None and longer:
        said.append(
            f"The texts of {other.name} are longer, such as {shown(other.value)}: "
            f"--column pairs.positive={other.name} takes them."
        )
    return " ".join(said)
