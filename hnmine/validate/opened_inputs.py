"""The inputs of `hnmine validate`, all read, whichever of them are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from hnmine.config import ValidateSettings
from hnmine.errors import InputError, UsageError
from hnmine.inputs.columns import CONVENTIONS
from hnmine.inputs.labels import Labels
from hnmine.inputs.opening import (
    kinds_of,
    labels_of,
    read_documents,
    read_pairs,
    read_queries,
)
from hnmine.inputs.records import PairBatch, TextBatch
from hnmine.inputs.samples import answers
from hnmine.inputs.table_reader import BadRows, Table
from hnmine.inputs.unchanged import explained
from hnmine.validate.findings import Report

Batch = TypeVar("Batch")


def _joined(path: str | list[str]) -> str:
    return path if isinstance(path, str) else ", ".join(path)


class Given:
    """The opened inputs; an error in one becomes a fault in the report and hides no other.

    Attributes:
        tables: by kind, those that could be opened.
        bad: the bad rows of each, once it has been read.
        unread: kinds that could not be opened or not be read to the end.
        corpus_rows: usable rows of the corpus, once it has been read.
    """

    def __init__(self, settings: ValidateSettings, paths: Sequence[str], report: Report) -> None:
        self.settings, self.report = settings, report
        self.tables: dict[str, Table] = {}
        self.bad: dict[str, BadRows] = {}
        self.unread = set[str]()
        self.corpus_rows = 0
        for kind, path in self._kinds(paths).items():
            self._open(kind, path)

    def _kinds(self, paths: Sequence[str]) -> dict[str, str | list[str]]:
        named = ((kind, getattr(self.settings, kind, None)) for kind in CONVENTIONS)
        given = {kind: path for kind, path in named if path}
        if not given and not paths:
            raise UsageError(
                "Nothing to validate.", fix="Give paths, or --corpus, --pairs, --queries, --qrels."
            )
        return given | kinds_of(paths, self.settings, given, self.report.fault)

    def _open(self, kind: str, path: str | list[str]) -> None:
        columns, reading = self.settings.columns(kind), self.settings.reading
        try:
            with explained(_joined(path)):
                table = Table.open(kind, path, columns, reading=reading)
                rows = table.count_rows()
                if kind == "pairs" and rows and (doubt := answers(table)):
                    self.report.warn(doubt)
        except InputError as error:
            self._unreadable(kind, error)
            return
        self.tables[kind] = table
        facts = {"path": table.path, "columns": dict(table.columns), "rows": rows}
        self.report.inputs[kind] = facts

    def _unreadable(self, kind: str, error: InputError) -> None:
        if kind not in self.unread:
            self.unread.add(kind)
            self.report.fault(error)

    def _guarded(self, kind: str, batches: Iterator[Batch]) -> Iterator[Batch]:
        try:
            yield from batches
        except InputError as error:
            self._unreadable(kind, error)

    def bad_rows(self) -> BadRows:
        """Make a record of bad rows that may be skipped or not, as the settings say."""
        return BadRows(self.settings.on_bad_row)

    def _bad(self, kind: str) -> BadRows:
        """Return what records the bad rows of a table: the first reading counts, no later one."""
        if kind in self.bad:
            return BadRows("skip")
        return self.bad.setdefault(kind, self.bad_rows())

    def _kind(self, own: str) -> str:
        """Return which input has something: its own table, else the pairs."""
        return own if own in {*self.tables, *self.unread} else "pairs"

    def _labels(self) -> Labels | None:
        """Return what the labels of pairs mean; what they do not say is a fault."""
        bad = BadRows("skip")
        try:
            labels = labels_of(self.tables, self.settings, bad)
        except InputError as error:
            self._unreadable("pairs", error)
            return None
        if labels:
            self.bad["pairs"].counts.update(bad.counts)
            self.bad["pairs"].examples.extend(bad.examples)
            self.report.inputs["pairs"]["rows that are no positives"] = (
                labels.rows - labels.positives
            )
        return labels

    def documents(self) -> Iterator[TextBatch]:
        """Stream what `hnmine build-index` indexes: the corpus, then the passages of pairs."""
        rows = 0
        for kind in ("corpus", "pairs"):
            if kind in self.tables:
                inputs: dict[str, Table] = {kind: self.tables[kind]}
                read = read_documents(inputs, self._bad(kind))
                for batch in self._guarded(kind, read):
                    rows += len(batch.ids)
                    if kind == "corpus":
                        self.corpus_rows = max(self.corpus_rows, rows)
                    yield batch

    def queries(self) -> Iterator[TextBatch]:
        """Stream what `hnmine mine` takes for queries."""
        kind = self._kind("queries")
        if kind in self.tables:
            inputs = {kind: self.tables[kind]}
            yield from self._guarded(kind, read_queries(inputs, self._bad(kind)))

    def judgements(self) -> Iterator[PairBatch]:
        """Stream which document is a positive of which query."""
        kind = self._kind("qrels")
        if kind not in self.tables:
            return
        facts, bad = self.report.inputs[kind], self._bad(kind)
        labels = self._labels() if kind == "pairs" else None
        inputs, below = {kind: self.tables[kind]}, facts["rows"]
        read = read_pairs(inputs, self.settings.min_grade, bad, labels)
        for batch in self._guarded(kind, read):
            below -= len(batch.rows)
            yield batch
        if kind == "qrels":
            facts["rows below --min-grade"] = below - bad.counts.total()
