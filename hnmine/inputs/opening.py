"""The documents, queries, pairs and judgements that the inputs hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hnmine.config import GenerateSettings
from hnmine.config.reading_options import AS_IT_IS, InputSettings, JudgedSettings, Reading
from hnmine.errors import InputError, UsageError
from hnmine.inputs.columns import CONVENTIONS
from hnmine.inputs.labels import Labels, read_labels
from hnmine.inputs.layouts import find_layout
from hnmine.inputs.records import (
    PairBatch,
    TextBatch,
    pair_records,
    qrel_records,
    text_records,
)
from hnmine.inputs.samples import answers, refuse_written_lists
from hnmine.inputs.table_reader import BadRows, Table, content_id
from hnmine.runner.incidents import note


def open_inputs(
    settings: InputSettings, kinds: Sequence[str], also: Collection[str] = ()
) -> dict[str, Table]:
    """Open the inputs of a stage; pairs may be a folder of a corpus, queries and judgements.

    Raises:
        InputError: one cannot be read, or pairs name documents of no corpus.
    """
    paths = {kind: path for kind in kinds if (path := getattr(settings, kind, None))}
    layout = find_layout(paths["pairs"]) if "pairs" in paths else None
    if layout is not None:
        folder = paths.pop("pairs")
        parts = {
            kind: part
            for kind in ("corpus", "queries", "qrels", "pairs")
            if (part := getattr(layout, kind))
        }
        if not {"queries", "pairs"} & parts.keys():
            raise InputError(
                f"{folder} holds judgements by ids, and no texts.",
                why=f"It has {', '.join(sorted(entry.name for entry in Path(folder).iterdir()))}.",
                fix="Pass its judgements with --qrels, besides --queries with texts.",
            )
        paths = parts | paths
        note(f"{folder}: read as its parts: {', '.join(sorted(parts))}.")
    for kind in paths.keys() - {"pairs"}:
        paths[kind] = _part(kind, paths[kind])
    tables = {
        kind: Table.open(kind, path, settings.columns(kind), also, reading=settings.reading)
        for kind, path in paths.items()
        if kind in kinds
    }
    pairs = tables.get("pairs")
    if pairs:
        refuse_written_lists(pairs)
    if pairs and (doubt := answers(pairs)):
        note(doubt)
    if "corpus" in kinds and "corpus" not in tables and pairs and "positive" not in pairs.columns:
        raise InputError(
            f"{pairs.path} names positives by their ids in {pairs.columns['positive_id']!r}, and "
            "has no texts of them.",
            fix="Pass the documents with --corpus, or name the texts with --column "
            "pairs.positive=NAME.",
        )
    return tables


def _part(kind: str, path: object) -> object:
    """Return what a folder that holds several kinds of tables has of one."""
    one = path[0] if isinstance(path, list) and len(path) == 1 else path
    layout = find_layout(one) if isinstance(one, str) else None
    return (layout and getattr(layout, kind)) or path


def read_documents(inputs: Mapping[str, Table], bad: BadRows) -> Iterator[TextBatch]:
    """Stream the documents: the corpus, then the positives of pairs and the known negatives.

    Passages of pairs without ids go by their content.
    """
    if "corpus" in inputs:
        yield from text_records(inputs["corpus"], bad)
    for batch in pair_records(inputs["pairs"], bad, negatives=True) if "pairs" in inputs else ():
        texts, ids = batch.positives or [], batch.positive_ids
        if texts:  # Else the ids are those of a corpus.
            own = ids or list(map(content_id, texts))
            beside = "corpus" in inputs
            yield TextBatch(own, texts, ids is not None, beside_corpus=beside)


def read_queries(inputs: Mapping[str, Table], bad: BadRows) -> Iterator[TextBatch]:
    """Stream the queries: those of their own table, or of the pairs."""
    if "queries" in inputs:
        yield from text_records(inputs["queries"], bad)
        return
    own_ids = "query_id" in inputs["pairs"].columns
    for batch in pair_records(inputs["pairs"], bad):
        yield TextBatch(batch.query_ids, batch.queries or [], own_ids, batch.metadata)


def read_pairs(
    inputs: Mapping[str, Table], min_grade: float, bad: BadRows, labels: Labels | None = None
) -> Iterator[PairBatch]:
    """Stream which document is a positive of which query: pairs, or judgements from a grade on."""
    if "pairs" in inputs:
        records = pair_records(inputs["pairs"], bad, labels)
        return (batch.only_positives for batch in records)
    return qrel_records(inputs["qrels"], min_grade, bad)


def read_judgements(
    inputs: Mapping[str, Table], labels: Labels | None = None
) -> Iterator[PairBatch] | None:
    """Stream judgements of any grade; None if only positives are known.

    A positive without a label has the grade 1, and a known negative 0.
    """
    if "qrels" in inputs:
        graded = "score" in inputs["qrels"].columns
        return qrel_records(inputs["qrels"], -math.inf, BadRows("skip")) if graded else None
    pairs = inputs["pairs"]
    if labels is None and not pairs.negatives:
        return None
    low = min(0.0, labels.threshold - 1) if labels else 0.0
    records = pair_records(pairs, BadRows("skip"), labels, negatives=True)
    return (_graded(batch, low) for batch in records)


def _graded(batch: PairBatch, low: float) -> PairBatch:
    if batch.grades is not None:
        return batch
    return replace(batch, grades=[1.0 if batch.relevant is None else low] * len(batch.rows))


def labels_of(
    inputs: Mapping[str, Table], settings: JudgedSettings | GenerateSettings, bad: BadRows
) -> Labels | None:
    """Return what the labels of pairs mean, and say it; None if there are none.

    Raises:
        InputError: they do not say which rows are positives.
    """
    table = inputs.get("pairs")
    if table is None:
        return None
    if table.negatives:
        note(f"{table.path}: {table.negatives_named}: read as known negatives (grade 0).")
    is_given = "min_grade" in settings.model_fields_set
    labels = read_labels(table, settings.min_grade, is_given, bad)
    if labels:
        note(f"{table.path}: {labels.said}")
    return labels


def say_indexed(inputs: Mapping[str, Table]) -> None:
    """Say which passages of pairs are indexed besides the positives."""
    table = inputs.get("pairs")
    if table is None:
        return
    if any(found.text for found in table.negatives):
        note(f"{table.path}: {table.negatives_named}: known negatives, indexed too.")
    if label := table.columns.get("label"):
        note(
            f"{table.path}: {label}: says which rows are positives in `mine`; all are indexed here."
        )


def kinds_of(
    paths: Sequence[str],
    settings: InputSettings,
    named: Mapping[str, object],
    fault: Callable[[InputError], object] | None = None,
) -> dict[str, str]:
    """Tell what tables hold, and return their paths by kind.

    Args:
        paths: of the tables.
        settings: how they are read.
        named: the inputs whose kind is known.
        fault: takes the error of a table that cannot be told, which is then left out.

    Raises:
        InputError: see `guess_kind`.
        UsageError: two inputs are of one kind.
    """
    columns = {kind: settings.columns(kind) for kind in CONVENTIONS}
    found: dict[str, str] = {}
    for path in paths:
        try:
            kind = guess_kind(path, columns, settings.reading)
        except InputError as error:
            if fault is None:
                raise
            fault(error)
            continue
        if other := found.get(kind, named.get(kind)):
            other = ", ".join(other) if isinstance(other, list) else other
            raise UsageError(
                f"Two inputs are {kind}: {other} and, by its columns, {path}.",
                fix="Say what they are with --corpus, --pairs, --queries and --qrels.",
            )
        found[kind] = path
    return found


def guess_kind(
    path: str, columns: Mapping[str, Mapping[str, str]], reading: Reading = AS_IT_IS
) -> str:
    """Tell by its columns, and last by its name, what a table holds.

    Raises:
        InputError: nothing is there, it cannot be read, or it has not the columns of any table.
    """
    tables = {}
    for kind in ("pairs", "qrels", "corpus", "queries"):
        with suppress(InputError):
            tables[kind] = Table.open(kind, path, columns[kind], reading=reading, aloud=False)
    if not tables:
        asked = next((kind for kind in columns if columns[kind]), None)
        try:  # Raises: nothing is there, or it says what columns there are.
            Table.open(asked or "corpus", path, columns[asked or "corpus"], reading=reading)
        except InputError as refused:
            raise refused if asked else _of_no_kind(path, refused) from refused.__cause__
    if tables.keys() == {"corpus", "queries"}:
        named = "quer" in Path(path).name.lower()
        return "queries" if named and "title" not in tables["corpus"].columns else "corpus"
    return next(iter(tables))


def _of_no_kind(path: str, refused: InputError) -> InputError:
    """Return the error for a table that is nothing by its columns.

    Args:
        path: of the table.
        refused: why it is no corpus; returned if no name of a column would help.
    """
    if not refused.fix.startswith("Pass --column "):
        return refused
    return InputError(
        f"The columns of {path} do not tell what it is.",
        why=refused.why,
        fix=f"For a corpus, p{refused.fix[1:]}\n"
        "For pairs, pass --column pairs.query=NAME --column pairs.positive=NAME.",
    )
