"""Marks on the examples of a page, as rows of a sheet of verdicts."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.csv

from hnmine.inputs.spreadsheet_cells import as_cell
from hnmine.report.facts import Example

COLUMNS = ("query_id", "doc_id", "query", "positive", "document", "drawn", "fate")
NUMBERS = ("relevance", "margin")
GIVEN = ("verdict", "judge")
"""Columns that the page fills in."""

HEADER = ",".join(f'"{name}"' for name in (*COLUMNS, *NUMBERS, *GIVEN))
"""First line of the sheet."""


def row(example: Example) -> str:
    """Return the row of an example without `GIVEN`, as a JSON string in ASCII."""
    values = (
        example.query_id,
        example.candidate.doc_id,
        example.query or "",
        (example.positive and example.positive.text) or "",
        example.candidate.text or "",
        example.kind,
        example.dropped_by or example.verdict,
    )
    columns = {name: [as_cell(value)] for name, value in zip(COLUMNS, values, strict=True)}
    numbers = {name: pa.array([getattr(example, name)], from_pandas=True) for name in NUMBERS}
    written = io.BytesIO()
    options = pa.csv.WriteOptions(include_header=False)
    pa.csv.write_csv(pa.table(columns | numbers), written, options)
    return json.dumps(written.getvalue().decode().removesuffix("\n"))
