"""Cells of a sheet for people: a spreadsheet program must not take a text for a formula."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHEET_COLUMNS = {"query_id", "doc_id", "verdict"}
"""A CSV file with these columns is a sheet of hnmine's."""

_FORMULA = re.compile(r"[\s']*[=+\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n]")
"""What a spreadsheet program may run (OWASP, CSV injection), behind apostrophes or not."""


def is_sheet(columns: Iterable[str]) -> bool:
    """Tell whether a CSV file with these columns holds cells of `as_cell`."""
    return set(columns) >= SHEET_COLUMNS


def as_cell(text: str) -> str:
    """Return a text with an apostrophe in front where it would be a formula without."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """Return the text that `as_cell` wrote; a program may have dropped the apostrophe already."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell, 1) else cell
