"""Parquet, JSONL and CSV in: which column is what, ids as strings, bad rows named or counted."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from hnmine.data.files import DataFile, explained, find_files
from hnmine.data.formats.base import Asked
from hnmine.data.identity import normalise
from hnmine.data.unchanged import Unchanged
from hnmine.errors import InputError, UsageError
from hnmine.tasks.incidents import note

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
        "corpus_id": ("corpus-id", "corpus_id", "doc_id", "docid", "pid", "docno"),
        "score": ("score", "relevance", "grade", "verdict"),
    },
    "run": {
        "query_id": ("query-id", "query_id", "qid"),
        "corpus_id": ("corpus-id", "corpus_id", "doc_id", "docid", "pid", "docno"),
        "score": ("score", "relevance", "grade", "verdict"),
        "rank": ("rank",),
    },
    "written": {
        "query_id": ("query_id", "query-id", "qid"),
        "query": ("query", "anchor", "question"),
        "text": ("text", "negative", "passage", "document"),
    },
}
"""Column names found without a flag, first match wins (BEIR, MTEB, sentence-transformers)."""

KNOWN = frozenset(
    name for roles in CONVENTIONS.values() for names in roles.values() for name in names
)

MOST_NAMES = 30
"""Columns that an error lists."""

ANY_ENDING = {"qrels", "run"}
"""Tables that a file of any ending may hold, such as `qrels.trec8`."""

OPTIONAL = {
    "corpus": {"id", "title"},
    "pairs": {"query_id", "positive_id"},
    "queries": set[str](),
    "qrels": {"score"},
    "run": {"score", "rank"},
    "written": {"query_id", "query"},
}


class Reading(Protocol):
    """How the user wants text files read."""

    @property
    def quoting(self) -> str:
        """`auto`, `csv` or `none`."""

    @property
    def encoding(self) -> str:
        """The encoding of text files without a byte order mark."""


def asked_for(
    kind: str, given: Mapping[str, str] | None = None, reading: Reading | None = None
) -> Asked:
    """Return what a file is read for, as a table of a kind."""
    asked = Asked(
        kind, CONVENTIONS[kind], frozenset(CONVENTIONS[kind]) - OPTIONAL[kind], given or {}, KNOWN
    )
    if reading is None:
        return asked
    return replace(asked, quoting=reading.quoting, encoding=reading.encoding)


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
        path: the file, directory or glob as the user gave it; several with commas.
        files: in the order in which they are read.
        columns: role to column name; absent optional roles are left out.
        metadata: the type of each further column that is kept: all that a corpus has, and of
            another table those asked for; the same in all files.
    """

    kind: str
    path: str
    files: list[DataFile]
    columns: Mapping[str, str]
    metadata: Mapping[str, pa.DataType]

    @classmethod
    def open(
        cls,
        kind: str,
        path: str | Sequence[str],
        given: Mapping[str, str] | None = None,
        also: Collection[str] = (),
        *,
        reading: Reading | None = None,
        aloud: bool = True,
    ) -> Table:
        """Open an input and find its columns.

        Args:
            kind: `corpus`, `pairs`, `queries` or `qrels`.
            path: a file, a directory or a glob, or several.
            given: column names by role that the user set, such as `{"text": "body"}`.
            also: columns without a role to keep where they are there, if it is no corpus.
            reading: how to read text files.
            aloud: note how text files are read where that had to be found out.

        Raises:
            InputError: nothing is there, it cannot be read, a column is missing, or files
                contradict each other.
        """
        places = [path] if isinstance(path, str) else list(dict.fromkeys(path))
        path = ", ".join(places)
        asked = asked_for(kind, given, reading)
        files = [
            DataFile.open(file, asked)
            for place in places
            for file in find_files(place, any_ending=kind in ANY_ENDING)
        ]
        names = list(dict.fromkeys(name for file in files for name in file.types))
        columns = find_columns(kind, path, names, given or {})
        for file in files:
            for role, name in columns.items():
                if role not in OPTIONAL[kind] and name not in file.types:
                    raise InputError(
                        f"{file.path} has no column {name!r} for the {role} of {kind}.",
                        why=f"Other files of {path} have it; its columns are: "
                        f"{_listed(list(file.types))}.",
                        fix="Give files with the same columns.",
                    )
        for said in dict.fromkeys(line for file in files for line in file.said if aloud):
            note(said)
        others = [name for name in names if name not in columns.values()]
        metadata = {
            name: _common_type(name, files) for name in others if kind == "corpus" or name in also
        }
        return cls(kind, path, files, columns, metadata)

    @property
    def metadata_columns(self) -> list[str]:
        """Columns that have no role; kept beside a document as its metadata."""
        return list(self.metadata)

    def fingerprint(self) -> str:
        """Hash the content of all files (xxh3, 128 bits), in the order in which they are read."""
        return content_hash(file.content for file in self.files)

    def count_rows(self) -> int:
        """Count rows, from the footers where the format has them."""
        return sum(file.count_rows() for file in self.files)

    def batches(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Stream the columns with a role, and metadata of a corpus, with their first row's number.

        An optional column that a file lacks is null there. Columns with a role keep the type that
        they have in their file; metadata has one type throughout.

        Raises:
            InputError: a file turned out to be damaged or of another type half-way.
        """
        # One column may have two roles: a query's text is its id too.
        names = list(dict.fromkeys([*self.columns.values(), *self.metadata]))
        start = 0
        for file in self.files:
            for batch in file.batches(names):
                there = batch.schema.names
                columns = {
                    name: batch[name] if name in there else pa.nulls(batch.num_rows)
                    for name in names
                }
                with explained(file.path):
                    for name, kind in self.metadata.items():
                        columns[name] = columns[name].cast(kind)
                yield start, pa.RecordBatch.from_pydict(columns)
                start += batch.num_rows
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


def content_hash(contents: Iterable[Unchanged]) -> str:
    """Hash the content of files (xxh3, 128 bits), one after the other."""
    digest = xxhash.xxh3_128()
    for content in contents:
        with explained(content.path):
            for block in content.blocks():
                digest.update(block)
    return digest.hexdigest()


def _common_type(name: str, files: list[DataFile]) -> pa.DataType:
    """Find the type that holds a metadata column of all files."""
    found = {kind: file for file in files for kind in file.types.get(name, ())}
    fields = []
    for kind, file in found.items():
        with explained(file.path):  # Names inside a struct need not be UTF-8.
            fields.append(pa.schema([pa.field(name, _storable(kind))]))
    try:
        return pa.unify_schemas(fields, promote_options="permissive").field(0).type
    except pa.ArrowException as error:
        kinds = ", ".join(f"{kind} in {file.path}" for kind, file in list(found.items())[:3])
        raise InputError(
            f"Column {name!r} has types that cannot stand in one column.",
            why=f"It holds {kinds}.",
            fix="Cast it to one type in all files, or leave it out: it is only kept as metadata.",
        ) from error


def _storable(kind: pa.DataType) -> pa.DataType:
    """Return the type in which metadata is kept: plain, and without a limit of 2 GiB a shard."""
    is_ = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _storable(kind.storage_type)
    if is_.is_dictionary(kind) or is_.is_run_end_encoded(kind):
        return _storable(kind.value_type)
    if is_.is_string(kind) or is_.is_string_view(kind):
        return pa.large_string()
    if is_.is_binary(kind) or is_.is_binary_view(kind):
        return pa.large_binary()
    if is_.is_list(kind) or is_.is_large_list(kind):
        # Not list views: Arrow 26 casts those with nulls to wrong lists.
        return pa.large_list(_storable(kind.value_type))
    if is_.is_struct(kind):
        return pa.struct([pa.field(field.name, _storable(field.type)) for field in kind])
    return kind


def _is_list(kind: pa.DataType) -> bool:
    is_ = pa.types
    return bool(
        is_.is_list(kind)
        or is_.is_large_list(kind)
        or is_.is_list_view(kind)
        or is_.is_large_list_view(kind)
        or is_.is_fixed_size_list(kind)
    )


def _listed(names: list[str]) -> str:
    """Name columns, but no more than fit on a screen."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


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
            close = [near for name in wanted for near in difflib.get_close_matches(name, names, 1)]
            raise InputError(
                f"{path} has no column {' or '.join(map(repr, wanted))} for the {role} of {kind}.",
                why=f"Its columns are: {_listed(names)}." if names else "It has no columns.",
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
    with explained(path):
        return column.cast(pa.large_string())


def as_string_lists(column: pa.Array, name: str, path: str) -> tuple[pa.Array, pa.Array]:
    """Flatten text, or lists of text, into (row of each value, values).

    A null or an empty list gives its row one null, so that no row is lost without a reason.
    """
    if not _is_list(column.type):
        values = as_strings(column, name, path)
        return pa.array(range(len(values)), pa.int64()), values
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    owner = np.repeat(np.arange(len(column)), np.maximum(lengths, 1))
    empty = lengths[owner] == 0
    place = np.cumsum(~empty) - 1
    values = as_strings(pc.list_flatten(column), name, path)
    return pa.array(owner), values.take(pa.array(place, mask=empty))


def is_blank(text: str | None) -> bool:
    """Tell whether nothing is left of a text once it is normalised."""
    return text is None or not (text.strip() and normalise(text))


def content_id(text: str) -> str:
    """Name a text that has no id by its content, so that its id does not depend on row order."""
    return xxhash.xxh3_64_hexdigest(text.encode("utf-8", "surrogatepass"))
