"""The inputs of `hnmine validate`, all read, whichever of them are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from hnmine.config import ValidateSettings
from hnmine.errors import InputError, UsageError
from hnmine.inputs.columns import CONVENTIONS
from hnmine.inputs.labels import Labels
from hnmine.inputs.opening import documents_of, guess_kind, labels_of, queries_of
from hnmine.inputs.records import (
    PairBatch,
    TextBatch,
    pair_records,
    qrel_records,
    text_records,
)
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
        for path in paths:
            try:
                columns = {kind: self.settings.columns(kind) for kind in CONVENTIONS}
                kind = guess_kind(path, columns, self.settings.reading)
            except InputError as error:
                self.report.fault(error)
                continue
            if kind in given:
                raise UsageError(
                    f"Two inputs are {kind}: {_joined(given[kind])} and, by its columns, {path}.",
                    fix="Say what they are with --corpus, --pairs, --queries and --qrels.",
                )
            given[kind] = path
        return given

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

    def _pairs(self, labels: Labels | None = None, negatives: bool = False) -> Iterator[PairBatch]:
        records = pair_records(self.tables["pairs"], self._bad("pairs"), labels, negatives)
        return self._guarded("pairs", records)

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
        if "corpus" in self.tables:
            rows = 0
            records = text_records(self.tables["corpus"], self._bad("corpus"))
            for batch in self._guarded("corpus", records):
                rows += len(batch.ids)
                self.corpus_rows = max(self.corpus_rows, rows)
                yield batch
        if "pairs" in self.tables:
            yield from map(documents_of, self._pairs(negatives=True))

    def queries(self) -> Iterator[TextBatch]:
        """Stream what `hnmine mine` takes for queries."""
        if "queries" in self.tables:
            records = text_records(self.tables["queries"], self._bad("queries"))
            yield from self._guarded("queries", records)
        elif "pairs" in self.tables and "queries" not in self.unread:
            yield from (queries_of(self.tables["pairs"], batch) for batch in self._pairs())

    def judgements(self) -> Iterator[PairBatch]:
        """Stream which document is a positive of which query."""
        if "qrels" in self.tables:
            grade = self.settings.min_grade
            bad = self._bad("qrels")
            below = self.report.inputs["qrels"]["rows"]
            for batch in self._guarded("qrels", qrel_records(self.tables["qrels"], grade, bad)):
                below -= len(batch.rows)
                yield batch
            self.report.inputs["qrels"]["rows below --min-grade"] = below - bad.counts.total()
        elif "pairs" in self.tables and "qrels" not in self.unread:
            yield from (batch.only_positives for batch in self._pairs(self._labels()))
