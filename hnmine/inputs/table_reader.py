"""An input as one table: its files, the column of each role, and its rows in batches."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import xxhash

from hnmine.config.reading_options import AS_IT_IS, Reading
from hnmine.errors import InputError
from hnmine.inputs.bad_rows import BadRows as BadRows
from hnmine.inputs.columns import (
    ANY_ENDING,
    OPTIONAL,
    Passages,
    asked_for,
    check_types,
    find_columns,
    find_negatives,
    listed,
    merged,
)
from hnmine.inputs.data_files import DataFile
from hnmine.inputs.formats.json_values import cast
from hnmine.inputs.identity import normalise
from hnmine.inputs.likely_columns import seen
from hnmine.inputs.nested import at_path, top_of
from hnmine.inputs.unchanged import Unchanged, explained
from hnmine.inputs.values import as_strings, is_list, last_values
from hnmine.runner.incidents import note_once

LISTS = {"positive", "positive_id"}
"""Roles whose columns may hold lists."""


@dataclass(frozen=True)
class Table:
    """One input: the files behind a path and the columns that carry each role.

    Attributes:
        kind: `corpus`, `pairs`, `queries` or `qrels`.
        path: the file, directory or glob as the user gave it; several with commas.
        files: in the order in which they are read.
        columns: role to the name or the path of its column; absent optional roles are left out.
        metadata: the type of each further column that is kept: all that a corpus or written texts
            have, and of another table those asked for; the same in all files.
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
        *,
        reading: Reading = AS_IT_IS,
        aloud: bool = True,
    ) -> Table:
        """Open an input and find its columns.

        Args:
            kind: `corpus`, `pairs`, `queries` or `qrels`.
            path: a file, a directory or a glob, or several; or a file that is open.
            given: column names by role that the user set, such as `{"text": "body"}`.
            also: columns without a role to keep where they are there, if it is no corpus.
            reading: how to read its files.
            aloud: note how text files are read where that had to be found out.

        Raises:
            InputError: nothing is there, it cannot be read, a column is missing, or files
                contradict each other.
        """
        if isinstance(path, DataFile):
            files, path = [path], str(path.path)
        else:
            places = [path] if isinstance(path, str) else list(dict.fromkeys(path))
            path = ", ".join(places)
            asked = asked_for(kind, given, reading)
            how = {"strict": kind != "corpus", "any_ending": kind in ANY_ENDING}
            files = [file for place in places for file in DataFile.open_all(place, asked, **how)]
        types = merged(file.types for file in files)
        columns = find_columns(kind, path, list(types), given or {}, types, lambda: seen(files[0]))
        # Rows that hold a list where others hold text are bad rows, not the whole column.
        mixed = {name for file in files for name in file.reader.mixed}
        check_types(kind, path, columns, {name: types[name] for name in types if name not in mixed})
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
        for said in dict.fromkeys(line for file in files for line in file.reader.said if aloud):
            note_once(said)
        negatives = find_negatives(types) if kind == "pairs" else []
        negatives = [found for found in negatives if not {*found.paths} & {*columns.values()}]
        others = [name for name in types if name not in tops.values()]
        metadata = {
            name: _common_type(path, name, files)
            for name in others
            if kind in ("corpus", "written") or name in also
        }
        return cls(kind, path, files, columns, metadata, negatives)

    @property
    def negatives_named(self) -> str:
        """The columns of negatives, for a message."""
        return listed([found.text or found.id or "" for found in self.negatives])

    def fingerprint(self) -> str:
        """Hash the content of all files (xxh3, 128 bits), in the order in which they are read.

        What the names of their folders say of the rows is content, too.
        """
        content = content_hash(content for file in self.files for content in file.contents)
        named = [dict(file.partitions) for file in self.files]
        if not any(named):
            return content
        return xxhash.xxh3_128_hexdigest(json.dumps([content, named], sort_keys=True).encode())

    def count_rows(self) -> int:
        """Count rows, from the footers where the format has them."""
        return sum(file.count_rows() for file in self.files)

    def batches(
        self, bad: BadRows | None = None, also: Sequence[str] = ()
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Stream the columns with a role, and metadata of a corpus, with their first row's number.

        An optional column that a file lacks is null there. Columns with a role keep the type that
        they have in their file; metadata has one type throughout.

        Args:
            bad: records lines of JSON files that are no rows, if they may be skipped.
            also: paths of further columns.

        Raises:
            InputError: a file turned out to be damaged or of another type half-way.
        """
        # One column may have two roles: a query's text is its id too.
        names = list(dict.fromkeys([*self.columns.values(), *self.metadata, *also]))
        several = {name for role, name in self.columns.items() if role in LISTS}
        single = {*self.columns.values()} - several
        start = 0
        for file in self.files:
            needed = [top for name in names if (top := top_of(name, file.types)) is not None]
            for batch in file.batches(list(dict.fromkeys(needed)), bad, single, several):
                with explained(file.path):
                    columns = {name: at_path(batch, name) for name in names}
                    for name, kind in self.metadata.items():
                        columns[name] = cast(columns[name], kind)
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


def _common_type(path: str, name: str, files: list[DataFile]) -> pa.DataType:
    """Find the type that holds a metadata column of all files."""
    found = {kind: file for file in files for kind in file.types.get(name, ())}
    fields = []
    for kind, file in found.items():
        with explained(file.path):  # Names inside a struct need not be UTF-8.
            fields.append(pa.schema([pa.field(name, _storable(kind))]))
    mixed = any(name in file.reader.mixed for file in files)
    changing = mixed or any(len(file.types.get(name, ())) > 1 for file in files)
    try:
        kind = pa.unify_schemas(fields, promote_options="permissive").field(0).type
        if mixed:
            kept = "text" if pa.types.is_large_string(kind) else kind
            note_once(f"{path}: column {name!r} holds values of several types; kept as {kept}.")
        return kind
    except pa.ArrowException as error:
        if changing:  # JSON: a column of one file has one type in every other format.
            note_once(f"{path}: column {name!r} holds values of several types; kept as text.")
            return pa.large_string()
        kinds = ", ".join(f"{kind} in {file.path}" for kind, file in list(found.items())[:3])
        raise InputError(
            f"Column {name!r} has different types that hnmine cannot merge.",
            why=f"It holds {kinds}.",
            fix="Cast it to one type in all files, or remove it: hnmine keeps it as metadata only.",
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
