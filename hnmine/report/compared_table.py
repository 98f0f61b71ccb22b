"""The table of mined directories: a row for each measure, a column for each directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from string import ascii_uppercase

from hnmine.printable import aligned
from hnmine.report.measures import FalseShare, Measured
from hnmine.report.overlap import Overlap
from hnmine.selection.hardness import EASY

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: of the measure.
        meaning: of its numbers.
        cells: of each directory.
    """

    name: str
    meaning: str
    cells: list[str]


Cell = Callable[[Measured], str]

MEASURES: tuple[tuple[str, str, Cell], ...] = (
    ("queries", "queries that were filtered", lambda one: f"{one.queries:,}"),
    ("negatives", "chosen negatives", lambda one: f"{one.negatives:,}"),
    (
        "yield",
        "negatives chosen, of those asked for",
        lambda one: _percent(one.negatives / one.asked if one.asked else None),
    ),
    (
        "mean rank",
        "place of a negative among the candidates, from 0",
        lambda one: _number(one.rank),
    ),
    ("initial loss", "mean loss of a row before training", lambda one: _number(one.loss)),
    (
        "gradient",
        "mean gradient of a row before training, of the maximum",
        lambda one: _percent(one.push),
    ),
    (
        "too easy",
        f"rows with a gradient below {100 * EASY:.0f} % of the maximum",
        lambda one: _percent(one.easy),
    ),
    (
        "overtaken",
        "rows where a negative scores as high as the positive",
        lambda one: _percent(one.overtaken),
    ),
    (
        "AUC of BM25",
        "how well BM25 alone tells positives from negatives; 0.5 is chance",
        lambda one: _number(one.shortcuts.get("bm25")),
    ),
    (
        "AUC of length",
        "how well length alone tells positives from negatives; 0.5 is chance",
        lambda one: _number(one.shortcuts.get("length")),
    ),
    (
        "most uses",
        "queries that the most used negative serves",
        lambda one: UNKNOWN if one.most_uses is None else f"{one.most_uses:,}",
    ),
    (
        "doubtful",
        "negatives with a relevance above 0: likelier on a known positive than on a candidate",
        lambda one: _percent(one.doubtful),
    ),
    (
        "false",
        "false negatives by judgements, with the 95 % interval",
        lambda one: _false(one.false),
    ),
)


@dataclass(frozen=True)
class Table:
    """The table, for a terminal and for a page.

    Attributes:
        letters: the directories, each with its letter.
        rows: of the table.
        caption: what a reader must know.
        notes: what limits the comparison, and why something is unknown, a sentence each.
    """

    letters: list[tuple[str, Measured]]
    rows: list[Row]
    caption: str
    notes: list[str]

    @classmethod
    def of(cls, directories: Sequence[Measured], shared: Overlap) -> Table:
        """Return the table of directories and what they share."""
        letters = list(zip(ascii_uppercase, directories, strict=False))
        return cls(
            letters,
            list(_rows(letters, shared)),
            ("No directory is better by these numbers alone. " if len(letters) > 1 else "")
            + "Loss and gradient are those of the bi-encoder that mined, before training.",
            list(_notes(letters, shared)),
        )

    def lines(self) -> Iterator[str]:
        """Write the table for a terminal."""
        yield from (f"{letter}  {one.path}" for letter, one in self.letters)
        yield ""
        head = ("", *(letter for letter, _ in self.letters))
        body = ((row.name, *row.cells) for row in self.rows)
        yield from aligned([head, *body], "<" + ">" * len(self.letters))
        yield ""
        yield self.caption
        yield from self.notes


def _rows(letters: Sequence[tuple[str, Measured]], shared: Overlap) -> Iterator[Row]:
    for name, meaning, cell in MEASURES:
        yield Row(name, meaning, [cell(one) for _, one in letters])
    for other, (letter, _) in enumerate(letters if len(letters) > 1 else []):
        shares = [found[other] for found in shared.negatives]
        cells = ["" if one == other else _percent(share) for one, share in enumerate(shares)]
        meaning = f"negatives that {letter} chose too, on queries that both have"
        yield Row(f"also in {letter}", meaning, cells)


def _notes(letters: Sequence[tuple[str, Measured]], shared: Overlap) -> Iterator[str]:
    directories = [one for _, one in letters]
    if len({one.candidates for one in directories}) > 1:
        yield (
            "The directories were filtered from different candidates: mining may explain a "
            "difference as well as filtering."
        )
        indexes = {one.index for one in directories}
        if None in indexes:
            yield "Not every index can be opened: equal document ids may name different texts."
        elif len(indexes) > 1:
            yield "They were mined from different indexes: equal ids may name different texts."
    if any(shared.in_all < shared.queries[n][n] for n in range(len(directories))):
        yield (
            f"{shared.in_all:,} queries are in every directory, by their ids. Shared negatives are "
            "counted on shared queries, all else on all queries of a directory."
        )
    named = dict[str, list[str]]()
    for letter, one in letters:
        for note in one.notes:
            named.setdefault(note, []).append(letter)
    yield from (f"{', '.join(which)}: {note}" for note, which in named.items())


def _percent(share: float | None) -> str:
    return f"{100 * share:.1f} %" if share is not None and isfinite(share) else UNKNOWN


def _number(value: float | None) -> str:
    return f"{value:,.2f}" if value is not None and isfinite(value) else UNKNOWN


def _false(found: FalseShare | None) -> str:
    if found is None:
        return UNKNOWN
    low, high = _percent(found.low), _percent(found.high)
    if found.basis == "proof" or (not found.rate and found.rate is not None):
        return f"at most {high}"
    return f"{low} to {high}" if found.rate is None else f"{_percent(found.rate)} ({low} to {high})"
