"""Parquet, JSONL and CSV in: which column is what, ids as strings, bad rows named or counted."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.json
import xxhash

from hnmine.errors import InputError, UsageError
from hnmine.identity import normalise

BATCH_ROWS = 8192
CSV_DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (".parquet", ".jsonl", ".json", ".ndjson", *CSV_DELIMITERS)

CONVENTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "corpus": {
        "id": ("_id", "id", "doc_id", "docid", "corpus_id", "corpus-id"),
        "text": ("text", "document", "passage", "contents"),
        "title": ("title",),
    },
    "pairs": {
        "query": ("query", "anchor", "question", "sentence1"),
        "positive": ("positive", "answer", "document", "passage", "text", "sentence2"),
        "query_id": ("query_id", "query-id", "qid"),
        "positive_id": ("positive_id", "positive_ids", "positive-id", "doc_id"),
    },
    "queries": {
        "id": ("_id", "id", "query_id", "query-id", "qid"),
        "text": ("text", "query", "question"),
    },
    "qrels": {
        "query_id": ("query-id", "query_id", "qid"),
        "corpus_id": ("corpus-id", "corpus_id", "doc_id", "docid"),
        "score": ("score", "relevance", "grade"),
    },
}
"""Column names found without a flag, first match wins (BEIR, MTEB, sentence-transformers)."""

OPTIONAL = {
    "corpus": {"id", "title"},
    "pairs": {"query_id", "positive_id"},
    "queries": set[str](),
    "qrels": {"score"},
}


@dataclass
class BadRows:
    """Rows that cannot be used: an error that names them, or a count of what was skipped."""

    mode: Literal["error", "skip"]
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Record rows that share a reason."""
        self.counts[reason] += count
        if len(self.examples) < 10:
            self.examples.append(f"  {example}: {reason}")

    def settle(self) -> dict[str, int]:
        """Raise if rows were bad and may not be skipped; else return the counts by reason."""
        if self.counts and self.mode == "error":
            total = sum(self.counts.values())
            summary = ", ".join(f"{count:,} {reason}" for reason, count in self.counts.items())
            raise InputError(
                f"{total:,} bad {'row' if total == 1 else 'rows'}: {summary}.",
                why="\n".join(self.examples),
                fix="Mend the input, or pass --on-bad-row skip to leave these rows out and count "
                "them.",
            )
        return dict(self.counts)


@dataclass(frozen=True)
class Table:
    """One input: the files behind a path and the columns that carry each role.

    Attributes:
        kind: `corpus`, `pairs`, `queries` or `qrels`.
        path: the file, directory or glob as the user gave it.
        dataset: the files, opened.
        columns: role to column name; absent optional roles are left out.
    """

    kind: str
    path: str
    dataset: ds.Dataset
    columns: Mapping[str, str]

    @classmethod
    def open(cls, kind: str, path: str, given: Mapping[str, str] | None = None) -> Table:
        """Open an input and find its columns.

        Args:
            kind: `corpus`, `pairs`, `queries` or `qrels`.
            path: a file, a directory or a glob.
            given: column names by role that the user set, such as `{"text": "body"}`.

        Raises:
            InputError: nothing is there, it cannot be read, or a column is missing.
        """
        files = find_files(path)
        try:
            dataset = ds.dataset([str(file) for file in files], format=_format(files))
            names = dataset.schema.names
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        return cls(kind, path, dataset, find_columns(kind, path, names, given or {}))

    @property
    def metadata_columns(self) -> list[str]:
        """Columns that have no role; kept beside a document as its metadata."""
        return [name for name in self.dataset.schema.names if name not in self.columns.values()]

    def fingerprint(self) -> str:
        """Hash the content of all files (xxh3, 128 bits), in the order in which they are read."""
        digest = xxhash.xxh3_128()
        for file in self.dataset.files:
            with Path(file).open("rb") as stream:
                while block := stream.read(1 << 22):
                    digest.update(block)
        return digest.hexdigest()

    def count_rows(self) -> int:
        """Count rows, from the footers where the format has them."""
        return int(self.dataset.count_rows())

    def batches(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Stream the columns with a role, and metadata of a corpus, with their first row's number.

        Raises:
            InputError: a file turned out to be damaged or of another type half-way.
        """
        names = list(self.columns.values())
        if self.kind == "corpus":
            names += self.metadata_columns
        start = 0
        try:
            for batch in self.dataset.to_batches(columns=names, batch_size=BATCH_ROWS):
                if batch.num_rows:
                    yield start, batch
                    start += batch.num_rows
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(self.path, error) from error
        if start == 0:
            raise InputError(f"{self.path} has no rows.", fix="Check the path.")

    def text(self, batch: pa.RecordBatch, role: str) -> pa.Array | None:
        """Return a role's column as strings; None where the table has no such column.

        Raises:
            InputError: the column holds something that is neither text nor a whole number.
        """
        if role not in self.columns:
            return None
        return as_strings(batch[self.columns[role]], self.columns[role], self.path)


def find_files(path: str) -> list[Path]:
    """List the data files of a file, directory or glob, sorted.

    Raises:
        InputError: nothing is there, or the files are of several or unknown formats.
    """
    place = Path(path)
    if place.is_dir():
        files = sorted(
            file
            for file in place.rglob("*")
            if file.name.endswith(SUFFIXES) and not file.name.startswith((".", "_"))
        )
    elif place.is_file():
        files = [place]
    else:
        files = sorted(_matches(place))
    if not files:
        nearby = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
        close = difflib.get_close_matches(place.name, nearby, n=3)
        raise InputError(
            f"No data found at {path}.",
            why="There is no such file or directory."
            if not place.is_dir()
            else f"The directory holds no file that ends in {', '.join(SUFFIXES)}.",
            fix=f"Did you mean {' or '.join(close)}?" if close else "Check the path.",
        )
    suffixes = {file.suffix for file in files}
    if len(suffixes) > 1 or not suffixes <= set(SUFFIXES):
        raise InputError(
            f"Cannot tell the format of {path}: it has files ending in "
            f"{', '.join(sorted(suffix or 'nothing' for suffix in suffixes))}.",
            fix=f"Give files of one kind: {', '.join(SUFFIXES)}.",
        )
    return files


def _matches(pattern: Path) -> Iterator[Path]:
    """Yield the files of a glob; the part before the first wildcard says where to look."""
    parts = pattern.parts
    wild = next((n for n, part in enumerate(parts) if any(sign in part for sign in "*?[")), None)
    if wild is not None:
        yield from Path(*parts[:wild]).glob(str(Path(*parts[wild:])))


def _format(files: list[Path]) -> ds.FileFormat:
    suffix = files[0].suffix
    if suffix == ".parquet":
        return ds.ParquetFileFormat()
    if suffix in CSV_DELIMITERS:
        delimiter = CSV_DELIMITERS[suffix]
        with files[0].open(encoding="utf-8-sig") as stream:
            header = stream.readline().rstrip("\r\n").split(delimiter)
        # Without this, Arrow would read the id "007" as the number 7.
        types = {name.strip('"'): pa.string() for name in header}
        return ds.CsvFileFormat(
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True),
            read_options=pa.csv.ReadOptions(block_size=1 << 26),
        )
    return ds.JsonFileFormat(read_options=pa.json.ReadOptions(block_size=1 << 26))


def _unreadable(path: str, error: Exception) -> InputError:
    return InputError(
        f"Cannot read {path}.",
        why=str(error).strip().splitlines()[0] if str(error).strip() else repr(error),
        fix="Check that the file is whole and what its ending says: Parquet, JSONL, CSV or TSV.",
    )


def find_columns(
    kind: str, path: str, names: list[str], given: Mapping[str, str]
) -> dict[str, str]:
    """Match roles to column names: what the user gave, else the first conventional name there.

    Raises:
        UsageError: the user named a role that this kind of table does not have.
        InputError: a column is missing; the error lists the columns that are there.
    """
    roles = CONVENTIONS[kind]
    unknown = [role for role in given if role not in roles]
    if unknown:
        raise UsageError(
            f"--column {kind}.{unknown[0]} is not known.",
            fix=f"The columns of {kind} are: {', '.join(f'{kind}.{role}' for role in roles)}.",
        )
    found = {}
    for role, conventional in roles.items():
        wanted = (given[role],) if role in given else conventional
        name = next((name for name in wanted if name in names), None)
        if name is not None:
            found[role] = name
        elif role in given or role not in OPTIONAL[kind]:
            close = difflib.get_close_matches(wanted[0], names, n=1)
            raise InputError(
                f"{path} has no column {' or '.join(map(repr, wanted))} for the {role} of {kind}.",
                why=f"Its columns are: {', '.join(names)}.",
                fix=f"Pass --column {kind}.{role}={close[0] if close else 'NAME'}.",
            )
    return found


def as_strings(column: pa.Array, name: str, path: str) -> pa.Array:
    """Cast text or whole numbers to large_string.

    Raises:
        InputError: the type is another; a float id, for one, cannot be cast without guessing.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if not (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_null(kind)
    ):
        raise InputError(
            f"Column {name!r} of {path} holds {kind}, not text.",
            fix="Cast it to string, or name another column with --column.",
        )
    try:
        return column.cast(pa.large_string())
    except pa.ArrowException as error:
        raise _unreadable(path, error) from error


def as_string_lists(column: pa.Array, name: str, path: str) -> tuple[pa.Array, pa.Array]:
    """Flatten text, or lists of text, into (row of each value, values).

    A null or an empty list gives its row one null, so that no row is lost without a reason.
    """
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind)):
        values = as_strings(column, name, path)
        return pa.array(range(len(values)), pa.int64()), values
    if pa.types.is_list_view(kind):
        column = column.cast(pa.large_list(kind.value_type))
    empty = pc.fill_null(pc.equal(pc.list_value_length(column), 0), True)
    column = pc.if_else(empty, pa.scalar([None], type=column.type), column)
    return (
        pc.list_parent_indices(column).cast(pa.int64()),
        as_strings(pc.list_flatten(column), name, path),
    )


def is_blank(text: str | None) -> bool:
    """Tell whether nothing is left of a text once it is normalised."""
    return text is None or not (text.strip() and normalise(text))


def content_id(text: str) -> str:
    """Name a text that has no id by its content, so that its id does not depend on row order."""
    return xxhash.xxh3_64_hexdigest(text.encode("utf-8", "surrogatepass"))
