"""Whether the first line of a text file names its columns, by what stands below it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hnmine.errors import InputError
from hnmine.inputs.formats.headerless import CODE, is_number, name_columns
from hnmine.inputs.formats.reader import Asked

NEGATIVE = re.compile(r"neg|negatives?|negative_\d+")
NAME = re.compile(r"[^\W\d][\w.-]{0,39}")
SENTENCE = 3
"""Words from which on a cell is no name of a column."""

SHOWN = 200

Rows = Sequence[Sequence[str]]


def find_names(path: str, rows: Rows, asked: Asked) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first row holds them.

    Args:
        path: to name in errors.
        rows: the first rows of the file, of one length.
        asked: what the file is read for.

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
    names = None if asked.given else name_columns(path, rows, asked.kind)
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
        if all(map(is_number, values)) and (values or is_number(cell)):
            strong.append(not is_number(cell))
        elif values and all(map(CODE.fullmatch, values)):
            strong.append(not re.search(r"\d", cell))
        elif len(cell.split()) >= SENTENCE:
            weak.append(False)
        elif NAME.fullmatch(cell) and sum(" " in value for value in values) > len(values) / 2:
            weak.append(True)
    return strong, weak
