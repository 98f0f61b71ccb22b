"""Parquet, JSONL and CSV in: which column is what, ids as strings, bad rows named or counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa
import xxhash

from hnmine.data.columns import (
    OPTIONAL,
    Passages,
    check_types,
    find_columns,
    find_negatives,
    listed,
    merged,
)
from hnmine.data.files import DataFile, explained, find_files
from hnmine.data.identity import normalise
from hnmine.data.nested import at_path, top_of
from hnmine.data.samples import longest
from hnmine.data.unchanged import Unchanged
from hnmine.data.values import as_strings, is_list, last_values
from hnmine.errors import InputError

EXAMPLES = 10
"""Bad rows that an error names."""


@dataclass
class BadRows:
    """Rows that cannot be used: an error that names them, or a count of what was skipped."""

    mode: Literal["error", "skip"]
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def shows_more(self) -> bool:
        """Whether the next example is kept."""
        return len(self.examples) < EXAMPLES

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Record rows that share a reason."""
        self.counts[reason] += count
        if self.shows_more:
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
        columns: role to the name or the path of its column; absent optional roles are left out.
        metadata: the type of each further column that is kept: all that a corpus has, and of
            another table those asked for; the same in all files.
        negatives: of pairs, the columns of negatives, the hardest first.
    """

    kind: str
    path: str
    files: list[DataFile]
    columns: Mapping[str, str]
    metadata: Mapping[str, pa.DataType]
    negatives: Sequence[Passages] = ()

    @classmethod
    def open(
        cls,
        kind: str,
        path: str | Sequence[str] | DataFile,
        given: Mapping[str, str] | None = None,
        also: Collection[str] = (),
    ) -> Table:
        """Open an input and find its columns.

        Args:
            kind: `corpus`, `pairs`, `queries` or `qrels`.
            path: a file, a directory or a glob, or several; or a file that is open.
            given: column names by role that the user set, such as `{"text": "body"}`.
            also: columns without a role to keep where they are there, if it is no corpus.

        Raises:
            InputError: nothing is there, it cannot be read, a column is missing, or files
                contradict each other.
        """
        if isinstance(path, DataFile):
            files, path = [path], str(path.path)
        else:
            places = [path] if isinstance(path, str) else list(dict.fromkeys(path))
            path = ", ".join(places)
            files = [DataFile.open(file) for place in places for file in find_files(place)]
        types = merged(file.types for file in files)
        columns = find_columns(
            kind, path, list(types), given or {}, types, lambda: longest(files[0])
        )
        check_types(kind, path, columns, types)
        tops = {role: top_of(name, types) for role, name in columns.items()}
        for file in files:
            for role, name in tops.items():
                if role not in OPTIONAL[kind] and name not in file.types:
                    raise InputError(
                        f"{file.path} has no column {name!r} for the {role} of {kind}.",
                        why=f"Other files of {path} have it; its columns are: "
                        f"{listed(list(file.types))}.",
                        fix="Give files with the same columns.",
                    )
        negatives = find_negatives(types) if kind == "pairs" else []
        negatives = [found for found in negatives if not {*found.paths} & {*columns.values()}]
        others = [name for name in types if name not in tops.values()]
        metadata = {
            name: _common_type(name, files) for name in others if kind == "corpus" or name in also
        }
        return cls(kind, path, files, columns, metadata, negatives)

    @property
    def negatives_named(self) -> str:
        """The columns of negatives, for a message."""
        return listed([found.text or found.id or "" for found in self.negatives])

    @property
    def metadata_columns(self) -> list[str]:
        """Columns that have no role; kept beside a document as its metadata."""
        return list(self.metadata)

    def fingerprint(self) -> str:
        """Hash the content of all files (xxh3, 128 bits), in the order in which they are read."""
        return content_hash(content for file in self.files for content in file.contents)

    def count_rows(self) -> int:
        """Count rows, from the footers where the format has them."""
        return sum(file.count_rows() for file in self.files)

    def batches(self, also: Sequence[str] = ()) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Stream the columns with a role, and metadata of a corpus, with their first row's number.

        An optional column that a file lacks is null there. Columns with a role keep the type that
        they have in their file; metadata has one type throughout.

        Args:
            also: paths of further columns.

        Raises:
            InputError: a file turned out to be damaged or of another type half-way.
        """
        # One column may have two roles: a query's text is its id too.
        names = list(dict.fromkeys([*self.columns.values(), *self.metadata, *also]))
        start = 0
        for file in self.files:
            needed = [top for name in names if (top := top_of(name, file.types))]
            for batch in file.batches(list(dict.fromkeys(needed))):
                with explained(file.path):
                    columns = {name: at_path(batch, name) for name in names}
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
        column = batch[self.columns[role]]
        if self.columns[role].startswith("messages.") and is_list(column.type):
            column = last_values(column)  # Of a chat: what the user said.
        return as_strings(column, self.columns[role], self.path)


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


def is_blank(text: str | None) -> bool:
    """Tell whether nothing is left of a text once it is normalised."""
    if text is not None and text[:1].isascii() and text[:1].isalnum():
        return False  # As nearly all are; to normalise a text takes longer.
    return text is None or not (text.strip() and normalise(text))


def content_id(text: str) -> str:
    """Name a text that has no id by its content, so that its id does not depend on row order."""
    return xxhash.xxh3_64_hexdigest(text.encode("utf-8", "surrogatepass"))
