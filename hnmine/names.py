"""Names of columns: those that hnmine reserves, and checks of new ones.

DuckDB and many trainers do not tell upper from lower case, so names are compared without it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache

from hnmine.errors import UsageError

DEFAULT_SOURCES = ("bm25", "dense")
"""Where candidates come from if nothing else is asked for."""

REASONS = (
    "positive",
    "query",
    "near-copy",
    "not-finite",
    "rank",
    "same-score",
    "margin",
    "relative-margin",
    "max-score",
    "min-score",
    "verdict",
    "relabelled",
    "max-uses",
    "not-scored",
    "no-candidates",
)
"""Why a candidate is dropped, where no rule of the user's did it."""

_OTHERS = (
    *("ce", "owner", "previous", "previous_selected", "positive_similarity", "depth"),
    *("id", "doc", "document", "metadata", "kind", "fate", "drawn", "disagreement"),
)
"""Names of judges, of what `mine --previous` and the default choice add, and of what reports do."""

LAYOUT = re.compile(r"query|positive|negative(_\d+)?|passages?|labels?|scores?")
"""Columns that the layouts of train/ have."""


def column_of(source: str) -> str:
    """Return what a source's columns begin with."""
    return source.replace("-", "_")


def rank_of(source: str) -> str:
    """Return the column of the ranks in a source's list."""
    return f"{column_of(source)}_rank"


def score_of(source: str) -> str:
    """Return the column of a source's scores."""
    return f"{column_of(source)}_score"


def folded(name: str) -> str:
    """Return the form in which two names are the same name."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


@cache
def reserved() -> frozenset[str]:
    """Return every name of the schema, of a rule, of a source and of a judge, folded."""
    from hnmine import schema  # Heavy, and only new columns need it.
    from hnmine.sources import SOURCES

    tables = (
        schema.CANDIDATES, schema.VERDICTS, schema.ESTIMATES, schema.SHORTFALL,
        schema.BATCHES, schema.MADE, schema.MIXED,
    )  # fmt: skip
    with_columns = (*SOURCES.own, "ce", "owner", "previous", "verdict")
    names = [
        *(name for table in tables for name in table.names),
        *(name for source in with_columns for name in (rank_of(source), score_of(source))),
        *(name for one in (*SOURCES.own, *REASONS, *_OTHERS) for name in (one, column_of(one))),
    ]
    return frozenset(map(folded, names))


def check_name(name: str) -> None:
    """Check that a new column may have a name.

    Raises:
        ValueError: with the name and why it may not.
    """
    if not name.strip() or name != name.strip() or not name.isprintable() or '"' in name:
        raise ValueError(
            f"{name!r} cannot be a name: it is blank, or has quotation marks or control characters"
        )
    plain = folded(name)
    if plain.startswith("_"):
        raise ValueError(f"{name} begins with _, which hnmine reserves")
    if LAYOUT.fullmatch(plain):
        raise ValueError(f"{name} is a column name of train/; choose another name")
    if plain in reserved():
        raise ValueError(f"hnmine itself uses the name {name}; choose another")


def check_names(given: Mapping[str, str], *, hand_on: bool = False) -> None:
    """Check that new columns may have their names.

    Args:
        given: expression by name.
        hand_on: let a column of the schema be handed on under its own name, as in `weight=weight`.

    Raises:
        ValueError: one may not, or two are one name.
    """
    for name, text in given.items():
        if not (hand_on and name == text and not LAYOUT.fullmatch(folded(name))):
            check_name(name)
    if again := repeated(given):
        raise ValueError(f"{again} is given twice; names are compared without case")


def repeated(names: Iterable[str], taken: Collection[str] = ()) -> str | None:
    """Return the first name that is taken, whatever its case; None if all differ."""
    seen = set(map(folded, taken))
    for name in names:
        if folded(name) in seen:
            return name
        seen.add(folded(name))
    return None


def check_new(name: str, taken: Collection[str]) -> None:
    """Refuse to derive a column that exists."""
    if repeated([name], taken):
        raise UsageError(
            f"--derive {name}: the candidates already have this column.",
            why=f"Their columns: {', '.join(taken)}.",
            fix="Choose another name.",
        )


def in_order(sources: Iterable[str], columns: Sequence[str]) -> list[str]:
    """Return the sources whose ranks are among the columns of a table, in the order of these."""
    place = {column: n for n, column in enumerate(columns)}
    there = (source for source in sources if rank_of(source) in place)
    return sorted(there, key=lambda source: place[rank_of(source)])
