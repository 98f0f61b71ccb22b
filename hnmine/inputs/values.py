"""Values as text: whatever type a file or a warehouse gave to texts, ids and whole numbers."""

from __future__ import annotations

import uuid

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hnmine.errors import InputError
from hnmine.inputs.unchanged import explained

UUID_BYTES = 16
EXACT = {pa.float16(): 2**11, pa.float32(): 2**24, pa.float64(): 2**53}
"""Whole numbers from which on neighbours share one value, by type."""

_is = pa.types


def is_list(kind: pa.DataType) -> bool:
    """Tell whether a type is a list of any kind."""
    return bool(
        _is.is_list(kind)
        or _is.is_large_list(kind)
        or _is.is_list_view(kind)
        or _is.is_large_list_view(kind)
        or _is.is_fixed_size_list(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a type is text, or bytes that may be text."""
    if _is.is_dictionary(kind) or _is.is_run_end_encoded(kind):
        kind = kind.value_type
    return bool(
        _is.is_string(kind)
        or _is.is_large_string(kind)
        or _is.is_string_view(kind)
        or _is_bytes(kind)
    )


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        _is.is_binary(kind)
        or _is.is_large_binary(kind)
        or _is.is_binary_view(kind)
        or _is.is_fixed_size_binary(kind)
    )


def as_strings(column: pa.Array, name: str, path: str) -> pa.Array:
    """Cast texts, whole numbers, UUIDs and dates to large_string; a NaN is a null.

    Raises:
        InputError: the type is another, or a value is no whole number, or is no UTF-8.
    """
    is_uuid = isinstance(column.type, pa.UuidType)
    with explained(path):
        column = _plain(column)
        kind = column.type
        if is_uuid:
            return _uuids(column)
        if _is_bytes(kind):
            return _decoded(column, name, path)
        if _is.is_floating(kind):
            return _whole(column, name, path)
        if _is.is_decimal(kind):
            return _whole_decimals(column, name, path)
        if is_text(kind) or _is.is_integer(kind) or _is.is_null(kind) or _is.is_date(kind):
            return column.cast(pa.large_string())
    raise InputError(
        f"Column {name!r} of {path} holds {kind}, not text.",
        why="" if _is.is_boolean(kind) else f"Its first value is {_sample(column)}.",
        fix=_advice(kind),
    )


def as_string_lists(column: pa.Array, name: str, path: str) -> tuple[pa.Array, pa.Array]:
    """Flatten text, or lists of text, into (row of each value, values).

    A null or an empty list gives its row one null, so that no row is lost without a reason. Of
    a list of lists, as of messages of a chat, each inner list gives its last value.
    """
    if not is_list(column.type):
        values = as_strings(column, name, path)
        return pa.array(range(len(values)), pa.int64()), values
    owner, place = flat_places(column)
    inner = pc.list_flatten(column)
    if is_list(inner.type):
        inner = last_values(inner)
    return pa.array(owner), as_strings(inner, name, path).take(place)


def flat_places(column: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Return (row of each value, its place among the flattened values) of a column of lists.

    A null or an empty list has one place, which is null.
    """
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    owner = np.repeat(np.arange(len(column)), np.maximum(lengths, 1))
    empty = lengths[owner] == 0
    return owner, pa.array(np.cumsum(~empty) - 1, mask=empty)


def last_values(column: pa.Array) -> pa.Array:
    """Return the last value of each list; null if it has none."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    last = np.cumsum(lengths) - 1
    return pc.list_flatten(column).take(pa.array(last, mask=lengths == 0))


def _plain(column: pa.Array) -> pa.Array:
    if isinstance(column.type, pa.BaseExtensionType):
        return _plain(column.storage)
    if _is.is_dictionary(column.type):
        return _plain(column.dictionary_decode())
    if _is.is_run_end_encoded(column.type):
        return _plain(pc.run_end_decode(column))
    return column


def _uuids(column: pa.Array) -> pa.Array:
    values = column.to_pylist()
    return pa.array(
        [None if value is None else str(uuid.UUID(bytes=value)) for value in values],
        pa.large_string(),
    )


def _decoded(column: pa.Array, name: str, path: str) -> pa.Array:
    """Decode UTF-8; bytes of the width and the shape of UUIDs, as DuckDB writes, are such."""
    try:
        return column.cast(pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:
        values = [value for value in column.to_pylist() if value is not None]
    if _is.is_fixed_size_binary(column.type) and all(map(_like_uuid, values)):
        return _uuids(column)
    wrong = next(value for value in values if not _is_utf8(value))
    raise InputError(
        f"Column {name!r} of {path} holds bytes that are not UTF-8 text.",
        why=f"One value is {wrong[:40]!r}.",
        fix="Decode them when you write the file, by the encoding that they are in; "
        "write hashes as hexadecimal digits, as HEX() of SQL does.",
    )


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _like_uuid(value: bytes) -> bool:
    if len(value) != UUID_BYTES:
        return False
    known = uuid.UUID(bytes=value)
    return known.variant == uuid.RFC_4122 or not known.int


def _whole(column: pa.Array, name: str, path: str) -> pa.Array:
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    there = ~np.isnan(values)
    limit = EXACT[column.type]
    wrong = there & ~((np.abs(values) < limit) & (np.trunc(values) == values))
    if wrong.any():
        value = float(values[wrong][0])
        beyond = abs(value) >= limit
        raise InputError(
            f"Column {name!r} of {path} holds {column.type}, and {value!r} is no id.",
            why=f"From {limit:,} on, {column.type} cannot tell neighbouring numbers apart."
            if beyond
            else "It is no whole number.",
            fix="Write the ids as integers or as text where they come from, before they become "
            "floating-point numbers (in pandas: read the column with dtype='string' or 'Int64')."
            if beyond
            else "Name another column with --column.",
        )
    whole = np.where(there, values, 0).astype(np.int64)
    return pa.array(whole, mask=~there).cast(pa.large_string())


def _whole_decimals(column: pa.Array, name: str, path: str) -> pa.Array:
    digits = 38 if column.type.byte_width <= UUID_BYTES else 76
    whole = pa.decimal128(digits, 0) if digits == 38 else pa.decimal256(digits, 0)
    try:
        values = column.cast(whole).to_pylist()
    except pa.ArrowInvalid as error:
        raise InputError(
            f"Column {name!r} of {path} holds {column.type}, and some of it is no whole number.",
            why=str(error),
            fix="Name another column with --column, or write whole numbers or text.",
        ) from error
    return pa.array(
        [None if value is None else f"{value:f}" for value in values], pa.large_string()
    )


def _sample(column: pa.Array) -> str:
    found = next((value for value in column if value.is_valid), None)
    return "null" if found is None else repr(str(found)[:80])


def _advice(kind: pa.DataType) -> str:
    if is_list(kind):
        return (
            "Write one row for each value, or join the values of a list into one text; "
            "of pairs, only positives, negatives and their ids may be lists."
        )
    if _is.is_temporal(kind):
        return "Write it as text, in the form in which the other files have it."
    return "Name another column with --column."
