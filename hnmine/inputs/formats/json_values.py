"""JSON values as Arrow columns where one column holds values of several types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from hnmine.runner.plan import Json

MIXED = b"hnmine.mixed"
"""Key of the metadata of a field with values of several types.

It holds, as JSON, the rows where the value is a list or an object, with their lines in the file.
"""

NO_OBJECT = "that are not one JSON object"
TOO_DEEP = "that are nested too deeply"

INT64 = range(-(1 << 63), 1 << 63)
UINT64 = range(1 << 64)

EXACT = float(1 << 53)
"""From here on, a float may stand for a whole number that it is not."""

NO_UTF_8 = "that are no UTF-8"


class NoRow(ValueError):
    """A line that is no row.

    Attributes:
        reason: what it shares with others, to be counted: such as `that are no UTF-8`.
    """

    def __init__(self, reason: str, what: str) -> None:
        self.reason = reason
        super().__init__(what)


def load_row(line: bytes) -> Json:
    """Parse one JSON object.

    Raises:
        NoRow: it is not an object, has a key twice, or its text is no Unicode.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start + 1}, 0x{line[error.start]:02x}, is no UTF-8"
        raise NoRow(NO_UTF_8, byte) from error
    if not (text.startswith("{") and text.endswith("}")):
        raise NoRow(NO_OBJECT, "it is not one whole JSON object")
    try:
        row: Json = json.loads(text, object_pairs_hook=_without_twins)
    except json.JSONDecodeError as error:
        what = f"it is no JSON at column {error.colno}: {error.msg}"
        raise NoRow(NO_OBJECT, what) from error
    except RecursionError as error:
        raise NoRow(TOO_DEEP, "its objects and lists are nested too deeply") from error
    except NoRow:
        raise
    except ValueError as error:  # A number of thousands of digits.
        raise NoRow(NO_OBJECT, "a number has too many digits") from error
    if "\\u" in text:
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            what = "half of a surrogate pair is no character"
            raise NoRow("with half of a surrogate pair", what) from error
    return row


def _without_twins(pairs: list[tuple[str, object]]) -> Json:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise NoRow("with a key twice", f"it has the key {twin!r} twice")
    return row


def to_batch(rows: Sequence[Json], lines: Sequence[int]) -> pa.RecordBatch:
    """Return rows as columns, each of one type.

    Whole numbers keep their digits. A column of several types is text: strings as they are, other
    values as JSON. Where single values and lists are mixed, all are lists.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    fields, columns = [], []
    for name in names:
        values = [row.get(name) for row in rows]
        column, mixed = _column(values)
        marks = None
        if mixed:
            nested = {
                n: lines[n] for n, value in enumerate(values) if isinstance(value, list | dict)
            }
            marks = {MIXED: json.dumps(nested).encode()}
        fields.append(pa.field(name, column.type, metadata=marks))
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _column(values: list[Any]) -> tuple[pa.Array, bool]:
    """Return values as an array of one type, and whether they were of several."""
    kinds = {type(value) for value in values} - {type(None)}
    if float in kinds and not kinds <= {int, float}:  # NaN stands for no value, as in pandas.
        values = [None if value != value else value for value in values]
        kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {str}:
        return pa.array(values, pa.string()), False
    if kinds == {bool}:
        return pa.array(values, pa.bool_()), False
    if kinds == {int}:
        return _integers(values), False
    if kinds == {int, float} or kinds == {float}:
        try:
            return pa.array(values, pa.float64()), False
        except pa.ArrowInvalid:  # A whole number would lose digits.
            return pa.array([to_text(value) for value in values], pa.string()), True
    if kinds == {list}:
        return _lists(values), False
    if kinds == {dict}:
        return _structs(values), False
    if list in kinds and dict not in kinds and not _hold_nested(values):
        wrapped = [v if v is None or isinstance(v, list) else [v] for v in values]
        return _lists(wrapped), True
    return pa.array([to_text(value) for value in values], pa.string()), True


def _integers(values: list[int | None]) -> pa.Array:
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    if low in INT64 and high in INT64:
        return pa.array(values, pa.int64())
    if low in UINT64 and high in UINT64:
        return pa.array(values, pa.uint64())
    return pa.array([to_text(value) for value in values], pa.string())


def _hold_nested(values: list[object]) -> bool:
    lists = [value for value in values if isinstance(value, list)]
    return any(isinstance(item, list | dict) for value in lists for item in value)


def _lists(values: list[list[Any] | None]) -> pa.Array:
    items, _ = _column([item for value in values for item in value or ()])
    offsets: list[int | None] = []
    end = 0
    for value in values:
        offsets.append(None if value is None else end)
        end += len(value or ())
    return pa.ListArray.from_arrays(pa.array([*offsets, end], pa.int32()), items)


def _structs(values: list[Json | None]) -> pa.Array:
    names = list(dict.fromkeys(name for value in values for name in value or ()))
    columns = [_column([(value or {}).get(name) for value in values])[0] for name in names]
    empty = pa.array([value is None for value in values], pa.bool_())
    if not names:
        return pa.array(values, pa.struct([]))
    return pa.StructArray.from_arrays(columns, names=names, mask=empty)


def to_text(value: object) -> str | None:
    """Return a value as text: a string as it is, another as JSON; None stays None.

    A whole float is written without its point, as ids in a column of floats are.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        value = int(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cast a column; what text cannot be cast from becomes JSON."""
    nested = pa.types.is_nested(column.type) or pa.types.is_boolean(column.type)
    if pa.types.is_large_string(kind) and (nested or pa.types.is_floating(column.type)):
        return pa.array([to_text(value) for value in column.to_pylist()], kind)
    return column.cast(kind)
