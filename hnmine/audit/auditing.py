"""`hnmine audit`: estimate the share of false negatives, and draw samples for a person to judge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine.audit.estimate import (
    WORST_QUERIES,
    Audit,
    Estimate,
    even_sample,
    of_sheet,
    over_queries,
)
from hnmine.audit.sheet import EVEN, Sheet, with_texts
from hnmine.audit.shortcuts import Labelled, shortcuts
from hnmine.config import AuditSettings
from hnmine.directories.candidates import Candidates
from hnmine.directories.mined import Mined
from hnmine.errors import HnmineError, UsageError
from hnmine.inputs.table_reader import Table
from hnmine.judges.verdict_file import DRAWN, read_drawn, read_grades, read_verdicts, say_if_unknown
from hnmine.keyed_noise import hashes
from hnmine.ragged import Floats
from hnmine.relevance.evidence import numbers
from hnmine.selection.hardness import origins_of

RANK_BANDS = (0, 5, 10, 20, 50, 100)
MARGIN_BANDS = 4
SELECTED = (
    *("query_id", "doc_id", "selected", "rank"),
    *("score", "positive_score", "p_relevant"),
)

SHORTCUT_QUERIES = 4000
"""Queries that shortcuts are measured on, drawn by a hash of their ids."""


def audit(settings: AuditSettings) -> Audit:
    """Estimate the share of false negatives; with --sample, write a sheet to judge.

    Raises:
        HnmineError: the directory, the judgements or the verdicts cannot be used.
    """
    mined = Mined(settings.mined, settings.candidates, settings.index)
    table = _selected(mined)
    found = Audit(table.num_rows)
    if not table.num_rows:
        return found
    query_ids, doc_ids = (table[name].to_pylist() for name in ("query_id", "doc_id"))
    _, query = np.unique(np.array(query_ids, dtype=object).astype(str), return_inverse=True)
    groups = _groups(table, mined.sources)
    chance = numbers(table["p_relevant"])
    values = chance
    found.add("p_relevant", chance, query, groups)
    if settings.qrels:
        judged = _judged(settings, mined, query_ids, doc_ids)
        if np.isfinite(judged).any():
            values = judged
            found.add("qrels", values, query, groups)
        else:  # The groups keep the estimate by p_relevant.
            found.estimates["qrels"] = over_queries(judged, query)
    if settings.verdicts:
        pairs = list(zip(query_ids, doc_ids, strict=True))
        found.estimates["verdicts"] = _by_verdicts(settings.verdicts, pairs)
    expected = np.bincount(query, np.nan_to_num(values))
    first = np.unique(query, return_index=True)[1]
    for row in np.argsort(-expected, kind="stable")[:WORST_QUERIES]:
        if expected[row] > 0:
            found.worst[query_ids[first[row]]] = float(expected[row])
    if settings.shortcuts or settings.sample:
        if settings.sample:
            _write_sheet(settings, table, chance, mined.candidates)
        if settings.shortcuts:
            found.shortcuts = shortcuts(_labelled(mined, settings.seed))
    return found


def _selected(mined: Mined) -> pa.Table:
    parts = mined.read(needed=SELECTED)
    return pa.concat_tables([table.filter(table["selected"]) for table in parts])


def _groups(table: pa.Table, sources: Sequence[str]) -> dict[str, NDArray[np.str_]]:
    rank = np.searchsorted(RANK_BANDS, numbers(table["rank"]), side="right") - 1
    bands = [f"from {band}" for band in RANK_BANDS]
    margin = numbers(table["positive_score"]) - numbers(table["score"])
    cuts = np.nanquantile(margin, np.linspace(0, 1, MARGIN_BANDS + 1)[:-1])
    band = np.maximum(np.searchsorted(cuts, margin, side="right") - 1, 0)
    return {
        "source": origins_of(table, sources, "+"),
        "rank": np.array(bands)[rank],
        "margin": np.array([f"from {cut:.3g}" for cut in cuts])[band],
    }


def _judged(
    settings: AuditSettings, mined: Mined, query_ids: list[str], doc_ids: list[str]
) -> Floats:
    """Return 1 for negatives judged relevant, 0 for the others of queries with judgements.

    NaN for queries without judgements. NaN for all if these judgements were given to `mine` too:
    their relevant documents are positives, so none is a negative.
    """
    table = Table.open("qrels", settings.qrels or "", reading=settings.reading)
    if _mined_with(table, settings.min_grade, mined):
        return np.full(len(query_ids), np.nan)
    given = read_grades(table)
    say_if_unknown(table.path, given, set(query_ids), 0)
    judged = {query for query, _ in given}
    return np.array(
        [
            float(given.get((query, doc), -np.inf) >= settings.min_grade)
            if query in judged
            else np.nan
            for query, doc in zip(query_ids, doc_ids, strict=True)
        ]
    )


def _mined_with(table: Table, min_grade: float, mined: Mined) -> bool:
    """Return whether `mine` took these judgements as positives."""
    try:
        before = mined.candidates.manifest
    except HnmineError:
        return False  # Unknown, as the candidates are gone.
    same: bool = before.inputs.get("qrels") == table.fingerprint()
    return same and min_grade >= before.settings.min_grade


def _by_verdicts(path: str, negatives: list[tuple[str, str]]) -> Estimate:
    """Return the estimate from a sheet; a sheet without a column of draws was drawn evenly.

    A sheet stays valid for a directory that was filtered with it: evenly drawn negatives that were
    judged relevant are no negatives there, but still count as a sample of the unjudged ones.
    """
    table = Table.open("qrels", path, also=[DRAWN])
    given, drawn = read_verdicts(table), read_drawn(table)
    say_if_unknown(table.path, given, {query for query, _ in negatives}, 0)
    verdicts = np.array([given.get(pair, np.nan) for pair in negatives], dtype=np.float64)
    if not drawn:
        return of_sheet(verdicts, verdicts)
    even = [given.get(pair, np.nan) for pair, how in drawn.items() if how == EVEN]
    waiting = sum(pair not in given and drawn.get(pair, EVEN) != EVEN for pair in negatives)
    return of_sheet(verdicts, np.array(even, dtype=np.float64), waiting)


def _labelled(mined: Mined, seed: int) -> Labelled:
    """Return the positives and the chosen negatives of a sample of the queries."""
    parts = mined.read(["query_id", "doc_id", "label", "bm25_score"])
    table = pa.concat_tables([part.filter(pc.is_valid(part["label"])) for part in parts])
    ids = table["query_id"].combine_chunks().dictionary_encode()
    query = ids.indices.to_numpy()
    noise = hashes(ids.dictionary.to_pylist(), seed)
    drawn = np.argsort(noise, kind="stable")[:SHORTCUT_QUERIES]
    table = table.filter(pa.array(np.isin(query, drawn)))
    documents, queries = mined.candidates.index.documents, mined.candidates.queries.texts
    doc_rows = documents.find_ids(table["doc_id"].to_pylist())
    query_rows = queries.find_ids(table["query_id"].to_pylist())
    return Labelled(
        query_rows,
        documents.slots(doc_rows),
        table["label"].to_numpy() == 1,
        queries.texts(query_rows),
        documents.texts(doc_rows),
        numbers(table["bm25_score"]),
    )


def _write_sheet(
    settings: AuditSettings,
    table: pa.Table,
    chance: Floats,
    candidates: Candidates,
) -> None:
    """Write a sample of the negatives with texts and an empty column for verdicts."""
    if settings.sheet is None:
        raise UsageError(
            "Missing option --sheet: --sample writes one.", fix="Add --sheet FILE.csv."
        )
    chosen = table.take(pa.array(even_sample(chance, settings.sample or 0, settings.seed)))
    known = {name: chosen[name] for name in ("query_id", "doc_id", "p_relevant")}
    drawn = pa.repeat(EVEN, chosen.num_rows)
    Sheet(settings.sheet, with_texts(candidates, {**known, DRAWN: drawn})).save()
