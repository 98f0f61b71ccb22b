"""Open the sources, scores, conditions and attributes that `mine` searches with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from hnmine.directories.same_pairs import SamePairs
from hnmine.names import column_of
from hnmine.ragged import Bools, Ints
from hnmine.sources import SOURCES
from hnmine.sources.fuse import Recipe
from hnmine.sources.previous import Previous
from hnmine.sources.queryvectors import Owners
from hnmine.sources.source import Mining, Source


def open_recipe(
    mining: Mining, depths: Mapping[str, int], scores: Sequence[str], previous: Previous | None
) -> Recipe:
    """Open sources and conditions.

    Args:
        mining: the opened index and queries.
        depths: candidates to take from each source for each query.
        scores: the sources that score all candidates.
        previous: an earlier round.

    Raises:
        HnmineError: one cannot be opened, or a condition names an unknown column.
    """
    facts, documents = mining.facts, mining.index.documents
    if previous:
        previous = previous.joined_by(SamePairs(mining.queries.texts, documents))
    for text in [*mining.constraint, mining.matching]:
        facts.check(text)
    for text in mining.attribute.values():
        facts.check(text, one_value=True)
    opened = {name: _open(name, mining) for name in dict.fromkeys([*depths, *scores])}
    score = {column_of(name): one.score for name, one in opened.items() if one.score}
    if "dense" in scores:
        score["owner"] = Owners(mining).score

    def eligible(query_rows: Ints, doc_rows: Ints) -> Bools:
        meet = [facts.holds(text, query_rows, doc_rows) for text in mining.constraint]
        eligible: Bools = np.logical_and.reduce(meet)
        return eligible

    def derived(query_rows: Ints, doc_rows: Ints) -> dict[str, pa.ChunkedArray]:
        columns = {
            name: facts.values(text, query_rows, doc_rows)
            for name, text in mining.attribute.items()
        }
        if previous:
            ids = mining.queries.texts.id_array(query_rows), documents.id_array(doc_rows)
            columns |= previous.columns(*ids)
        return columns

    return Recipe(
        {column_of(name): opened[name] for name in depths},
        {column_of(name): depth for name, depth in depths.items()},
        score,
        eligible if mining.constraint else None,
        derived,
    )


def _open(name: str, mining: Mining) -> Source:
    """Open one source; a name that no source has is that of a run."""
    if name in SOURCES:
        source: Source = SOURCES[name].load()(mining)
    else:
        source = SOURCES["run"].load()(name, mining)
    return source
