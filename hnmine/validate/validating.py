"""`hnmine validate`: faults in the inputs, and an estimate of what a run needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hnmine.config import ValidateSettings
from hnmine.errors import InputError
from hnmine.index.given_vectors import open_given
from hnmine.inputs.identity import Lookup, exact_keys
from hnmine.inputs.records import TextBatch
from hnmine.inputs.table_reader import BadRows
from hnmine.printable import shortened
from hnmine.progress import progress_bar, say
from hnmine.validate.advice import advise
from hnmine.validate.copies import NearCopies
from hnmine.validate.estimates import estimate
from hnmine.validate.findings import Report
from hnmine.validate.input_checks import Gathered, Side, gather, ids_without_text, join, pick
from hnmine.validate.opened_inputs import Given

Rows = NDArray[np.int64]
Read = Callable[[], Iterator[TextBatch]]

SHOWN = 60
"""Letters of a text that are shown."""

SHOWN_PAIRS = 3

SOURCES = {"documents": {"corpus", "pairs"}, "queries": {"queries", "pairs"}}
"""Which inputs hold what."""


def validate(settings: ValidateSettings, paths: Sequence[str] = ()) -> Report:
    """Check inputs, and estimate what a run on them will need; nothing is written.

    Raises:
        UsageError: there is nothing to check. The report holds all faults of inputs and models.
    """
    report = Report()
    given = Given(settings, paths, report)
    rows = sum(facts["rows"] for facts in report.inputs.values())
    with progress_bar("validate", "rows", 2 * rows, 0, settings.progress, leave=False) as bar:

        def tick(rows: int) -> None:
            bar.update(rows)

        validator = _Validator(settings, given, report, tick)
        validator.run()
    if settings.progress and settings.calibrate and (settings.encoder or settings.cross_encoder):
        say("validate: timing the models on a few texts")
    validator.estimate()
    return report


class _Validator:
    """Measures the inputs and fills the report."""

    def __init__(
        self,
        settings: ValidateSettings,
        given: Given,
        report: Report,
        tick: Callable[[int], None],
    ) -> None:
        self.settings, self.given, self.report, self.tick = settings, given, report, tick
        self.examples: dict[str, str] = {}
        self.ends: list[Side] = []
        self.mined = 0
        self.found: dict[str, Gathered | None] = {}

    def run(self) -> None:
        conflicts = {"documents": self.given.bad_rows(), "queries": self.given.bad_rows()}
        read = {"documents": self.given.documents, "queries": self.given.queries}
        found = {
            what: gather(read[what](), conflicts[what], self.settings.seed, self.tick)
            for what in read
        }
        joined = self._join(found["queries"], found["documents"])
        for kind, bad in self.given.bad.items():
            facts = self.report.inputs[kind]
            facts |= {f"rows {reason}": count for reason, count in bad.counts.items()}
            if kind not in self.given.unread:
                self._settle(kind, bad)
        for what, rows in found.items():
            if rows:
                self._measure(what, rows, read[what])
                self._settle(what, conflicts[what], self._two_texts(rows, read[what]))
            elif not self.given.unread and self.given.tables.keys() & SOURCES[what]:
                self.report.fault(
                    InputError(f"No row can be used for {what}.", fix="Check the text columns.")
                )
        for end in self.ends:
            self._settle("qrels" if "qrels" in self.given.tables else "pairs", end.bad)
        if joined and found["queries"]:
            self._positives(*joined, found["queries"], found["documents"])
        self.found = found
        self._vectors("vectors", "corpus")
        self._vectors("query_vectors", "queries")

    def estimate(self) -> None:
        estimate(self.report, self.settings, self.found, self.mined)
        advise(self.report, self.settings, self.examples)

    def _vectors(self, setting: str, kind: str) -> None:
        """Check that files of vectors can be read, and those without ids are as many as rows."""
        try:
            source = open_given(getattr(self.settings, setting), self.settings, kind)
        except InputError as error:
            self.report.fault(error)
            return
        if source is None:
            return
        kind = kind if kind in self.given.tables else "pairs"
        rows = self.report.inputs.get(kind, {}).get("rows")
        self.report.measured[setting] = {"rows": source.rows, "dimensions": source.dimension}
        if not source.by_id and rows not in (None, source.rows):
            self.report.fault(
                InputError(
                    f"{source.path} holds {source.rows:,} vectors, and {kind} {rows:,} rows.",
                    why="Vectors without ids go by the order of the rows.",
                    fix="Write one vector for each row, or a Parquet file with ids.",
                )
            )

    def _settle(self, source: str, bad: BadRows, why: str = "") -> None:
        """Make a fault of bad rows, or a warning where they may be skipped."""
        try:
            skipped = bad.settle()
        except InputError as error:
            self.report.fault(
                InputError(f"{source}: {error.what}", why=why or error.why, fix=error.fix)
            )
            return
        for reason, count in skipped.items():
            self.report.warn(f"{source}: {count:,} {reason}: left out.", why=why or bad.shown)

    def _two_texts(self, rows: Gathered, read: Read) -> str:
        """Show ids that stand for two texts."""
        texts = pick(read(), [place for pair in rows.conflicts for place in pair])
        return "\n".join(
            f"{texts[first][0]!r} is {_shown(texts[first][1])} and {_shown(texts[other][1])}"
            for first, other in rows.conflicts
        )

    def _side(self, what: str, rows: Gathered | None, kind: str) -> Side:
        textless = Lookup.build(exact_keys([]))
        table = self.given.tables.get(kind)
        # Only a table with bad rows can have ids without a usable text.
        if rows and table and self.given.bad[kind].counts:
            textless = ids_without_text(table, rows)
        return Side(what, rows, textless, self.given.bad_rows())

    def _join(
        self, queries: Gathered | None, documents: Gathered | None
    ) -> tuple[Rows, Rows] | None:
        """Return the query and the document of each pair, where the inputs allow to join them."""
        given = self.given
        source = "qrels" if "qrels" in {*given.tables, *given.unread} else "pairs"
        if given.unread:
            kinds = ", ".join(sorted(given.unread))
            self.report.warn(
                "Judgements were not checked against queries and documents.",
                why=f"{kinds} cannot be read.",
                fix="Fix that first.",
            )
            return None
        no_documents = documents is None and "corpus" in given.tables
        if source not in given.tables or queries is None or no_documents:
            return None
        query = self._side("query", queries, "queries")
        positive = self._side("positive", documents, "corpus")
        joined = join(given.judgements(), query, positive, given.tables[source].path, self.tick)
        self.ends = [query, positive]
        if not len(joined[0]):
            self.report.fault(
                InputError(
                    "No query has a positive.",
                    why="No pair joins a query with a document.",
                    fix="Check that the inputs belong together, and --min-grade.",
                )
            )
        return joined

    def _measure(self, what: str, rows: Gathered, read: Read) -> None:
        repeats = np.setdiff1d(np.arange(len(rows)), rows.canonical)
        self.report.measured[what] = {
            "rows": len(rows),
            "rows_repeated": rows.repeated,
            "distinct_texts": len(rows.canonical),
            "exact_copies": len(repeats),
            "exact_copies_share": len(repeats) / len(rows),
        }
        if what == "documents":
            self._show("exact copies", rows, rows.identity[repeats], repeats, read)
            if {"corpus", "pairs"} <= self.given.tables.keys():
                added = rows.places[rows.canonical] >= self.given.corpus_rows
                self.report.measured[what]["positives_not_in_the_corpus"] = int(added.sum())
            self._near_copies(rows, read)

    def _near_copies(self, rows: Gathered, read: Read) -> None:
        near = NearCopies(list(rows.sample), list(rows.sample.values()))
        row_of = np.full(rows.read, -1, dtype=np.int64)
        row_of[rows.places[rows.canonical]] = rows.canonical
        start = 0
        for batch in read():
            numbers = row_of[start : start + len(batch.ids)]
            wanted = np.flatnonzero(numbers >= 0)
            near.compare(numbers[wanted], [batch.texts[row] for row in wanted])
            start += len(batch.ids)
            self.tick(len(batch.ids))
        copied = near.found >= 0
        self.report.measured["documents"] |= {
            "near_copies_share": float(copied.mean()),
            "near_copies_looked_for": len(copied),
        }
        self._show("near copies", rows, near.found[copied], near.rows[copied], read)

    def _show(self, what: str, rows: Gathered, left: Rows, right: Rows, read: Read) -> None:
        """Keep a few pairs of texts that are alike, by id."""
        pairs = list(zip(rows.places[left], rows.places[right], strict=True))[:SHOWN_PAIRS]
        texts = pick(read(), [int(place) for pair in pairs for place in pair])
        self.examples[what] = "\n".join(
            f"{texts[one][0]!r} and {texts[other][0]!r}: {_shown(texts[other][1])}"
            for one, other in pairs
        )

    def _positives(
        self, query: Rows, document: Rows, queries: Gathered, documents: Gathered | None
    ) -> None:
        query = queries.identity[query]
        if documents:
            document = documents.identity[document]
        pairs = np.unique(np.stack([query, document]), axis=1)
        counts = np.bincount(pairs[0], minlength=len(queries))
        self.mined = int((counts[queries.identity] > 0).sum())
        facts = self.report.measured["queries"]
        facts["without_positive"] = len(queries) - self.mined
        self.report.measured["positives"] = found = {"pairs": len(query)}
        if not documents or not len(query):
            return
        own = documents.find_identities(queries.identities[queries.canonical])
        facts["also_a_document"] = int((own >= 0).sum())
        found |= {
            "distinct": pairs.shape[1],
            "per_query": pairs.shape[1] / np.count_nonzero(counts),
            "most_for_one_query": int(counts.max()),
            "same_text_as_their_query": int(
                (queries.identities[pairs[0]] == documents.identities[pairs[1]]).sum()
            ),
        }


def _shown(text: str) -> str:
    return repr(shortened(text, SHOWN))
