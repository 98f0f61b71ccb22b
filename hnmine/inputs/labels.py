"""A column of labels or scores: which rows of pairs are positives, and which known negatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine.errors import InputError
from hnmine.inputs.nested import at_path, top_of
from hnmine.inputs.table_reader import BadRows, Table
from hnmine.inputs.values import as_strings, flat_places, is_list, is_text

Numbers = NDArray[np.float64]

BINARY = {-1.0, 0.0, 1.0}
GRADES = ("relevance", "grade", "rating")
"""Beginnings of names under which whole numbers above 1 are grades, and no classes."""
CLASSES = ("premise", "hypothesis")
"""Columns of natural language inference, whose 0 and 1 are classes."""
WORDS = {"true": "1", "false": "0"}
MOST_VALUES = 1000
SHOWN = 6


@dataclass(frozen=True)
class Labels:
    """From which label on rows are positives.

    Attributes:
        threshold: rows at or above it are positives.
        rows: labelled pairs of a query and a text.
        positives: how many of them are positives.
        column: of the labels.
    """

    threshold: float
    rows: int
    positives: int
    column: str

    @property
    def said(self) -> str:
        """What was made of the labels, in a line."""
        if self.positives == self.rows:
            return f"{self.column}: all {self.rows:,} rows are positives."
        return (
            f"{self.column}: {self.positives:,} of {self.rows:,} rows are positives; "
            f"{self.rows - self.positives:,} are known negatives (grade below "
            f"{self.threshold:g}; --source judged makes them candidates)."
        )


def label_numbers(column: pa.Array, name: str, path: str) -> tuple[NDArray[np.int64], Numbers]:
    """Return (row, number) of each label of a column of numbers or lists of numbers; NaN if null.

    Raises:
        InputError: a label is no number.
    """
    if is_list(column.type):
        owner, place = flat_places(column)
        values = pc.list_flatten(column).take(place)
    else:
        owner, values = np.arange(len(column)), column
    if is_text(values.type):
        texts = as_strings(values, name, path)
        trimmed = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
        for word, number in WORDS.items():
            trimmed = pc.if_else(pc.equal(trimmed, word), number, trimmed)
        values = pc.if_else(pc.equal(trimmed, ""), None, trimmed)
    try:
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        numbers = pc.cast(values, pa.float64(), safe=False)
    except pa.ArrowException:
        found = [str(value) for value in pc.unique(values) if value.is_valid]
        raise _in_words(name, path, ", ".join(found[:SHOWN])) from None
    return owner, pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False)


def read_labels(table: Table, min_grade: float, is_given: bool, bad: BadRows) -> Labels | None:
    """Find out from all labels what they mean; None if the table has none.

    Raises:
        InputError: the labels do not say which rows are positives, or no row is one.
    """
    name = table.columns.get("label")
    if name is None:
        return None
    counts: dict[float, int] = {}
    unread = BadRows(bad.mode)  # The reader of the pairs records bad lines.
    start, least, most, whole = 0, np.inf, -np.inf, True
    rows = positives = 0
    for file in table.files:
        top = top_of(name, file.types)
        for batch in file.batches([top] if top else list(file.types)[:1], unread):
            owner, numbers = label_numbers(at_path(batch, name), name, table.path)
            for row in owner[~np.isfinite(numbers)]:
                bad.add("with null or blank label", f"{table.path}, row {start + row}")
            numbers = numbers[np.isfinite(numbers)]
            rows += len(numbers)
            positives += int((numbers >= min_grade).sum())
            whole = whole and bool((numbers == np.trunc(numbers)).all())
            for value, count in zip(*np.unique(numbers, return_counts=True), strict=True):
                if len(counts) < MOST_VALUES:
                    counts[float(value)] = counts.get(float(value), 0) + int(count)
            least, most = (
                min(least, numbers.min(initial=least)),
                max(most, numbers.max(initial=most)),
            )
            start += batch.num_rows
    binary = counts.keys() <= BINARY
    inferred = {name.lower() for file in table.files for name in file.types} & {*CLASSES}
    graded = whole and name.lower().startswith(GRADES)
    if not is_given and (inferred or not (binary or graded)):
        raise _asks(table, name, counts, whole, bool(inferred), (float(least), float(most)))
    if rows and not positives:
        raise InputError(
            f"No row of {table.path} is a positive: its column {name!r} is below {min_grade:g} "
            "in every row.",
            why=f"Its values are {_values(counts)}. The test split of a benchmark may hide its "
            "labels."
            if counts.keys() == {-1.0}
            else f"Its values are {_values(counts)}.",
            fix=f"Pass --min-grade, or `--column pairs.label=` if {name!r} is no label.",
        )
    return Labels(min_grade, rows, positives, name)


def _values(counts: dict[float, int]) -> str:
    common = sorted(counts, key=lambda value: -counts[value])[:SHOWN]
    more = ", …" if len(counts) > SHOWN else ""
    return ", ".join(f"{value:g}" for value in sorted(common)) + more


def _in_words(name: str, path: str, words: str) -> InputError:
    return InputError(
        f"Column {name!r} of {path} may say which rows are positives, but in words: {words}.",
        why="Positives have the label 1, all others 0 or -1.",
        fix=f"Write numbers instead, or keep the positives only and pass `--column pairs.label=`, "
        f"which leaves {name!r} out.",
    )


def _asks(
    table: Table,
    name: str,
    counts: dict[float, int],
    whole: bool,
    inferred: bool,
    bounds: tuple[float, float],
) -> InputError:
    if inferred:
        why = "They may be classes of inference: in SNLI and MultiNLI, 0 is entailment."
        fix = "Write 1 for the positives and 0 for all others"
    elif whole:
        why = "They may be grades, or numbers of classes."
        fix = "If they are grades, pass --min-grade N: rows at or above N are positives"
    else:
        why = "They may be similarities, which need a threshold."
        near = bounds[0] + 0.8 * (bounds[1] - bounds[0])
        near = 0.8 if bounds[0] >= 0 and bounds[1] <= 1 else near
        fix = f"Pass one, such as --min-grade {near:.2g}: rows at or above it are positives"
    return InputError(
        f"Column {name!r} of {table.path} does not say which rows are positives: "
        f"its values are {_values(counts)}, from {bounds[0]:g} to {bounds[1]:g}.",
        why=why,
        fix=f"{fix}. Or pass `--column pairs.label=`, which leaves {name!r} out: then all rows are "
        "positives.",
    )
