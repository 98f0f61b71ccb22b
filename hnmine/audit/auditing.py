"""`hnmine audit`: estimate the share of false negatives, and draw samples for a person to judge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hnmine.audit.estimate import MOST_DOUBTFUL, WORST_QUERIES, Audit, Doubtful, of_sheet
from hnmine.audit.shortcuts import Labelled, shortcuts
from hnmine.config import AuditSettings
from hnmine.directories.candidates import Candidates
from hnmine.directories.mined import Mined
from hnmine.directories.same_pairs import SamePairs
from hnmine.errors import HnmineError, UsageError
from hnmine.guarantee.certify import Pair
from hnmine.guarantee.statement import Guarantee, read_guarantee
from hnmine.inputs.table_reader import Table
from hnmine.judges.verdict_file import (
    DRAWN,
    JUDGE,
    SEED,
    read_drawn,
    read_grades,
    read_judges,
    read_verdicts,
    say_if_unknown,
)
from hnmine.keyed_noise import hashes
from hnmine.names import rank_of
from hnmine.printable import shell
from hnmine.ragged import Floats
from hnmine.relevance.evidence import numbers
from hnmine.schema import RELEVANT
from hnmine.selection.hardness import origins_of
from hnmine.sheets.draw import EVEN, check_draw, draw_order
from hnmine.sheets.sheet import Sheet, with_texts

RANK_BANDS = (0, 5, 10, 20, 50, 100)
MARGIN_BANDS = 4
SELECTED = (
    *("query_id", "doc_id", "selected", "rank"),
    *("score", "positive_score", "relevance", "reason"),
)
BY_VERDICT = ("verdict", "relabelled")
"""Reasons of drops that follow from a verdict."""

ELSEWHERE = "from another choice"
"""How pairs were drawn that a proof needed of choices other than the written one."""

Drawn = tuple[str | None, int | None]

SHORTCUT_QUERIES = 4000
"""Queries that shortcuts are measured on, drawn by a hash of their ids."""


def audit(settings: AuditSettings) -> Audit:
    """Estimate the share of false negatives; with --sample, write a sheet to judge.

    Raises:
        HnmineError: the directory, the judgements or the verdicts cannot be used.
    """
    mined = Mined(settings.mined, settings.candidates, settings.index)
    table, used_up = _selected(mined)
    asked = mined.manifest.settings.max_false is not None  # Else the file is of another directory.
    guarantee = read_guarantee(mined.path) if asked else None
    proved = list(guarantee.sentences()) if guarantee else []
    found = Audit(str(settings.mined), table.num_rows, proved=proved)
    if not table.num_rows:
        return found
    query_ids, doc_ids = (table[name].to_pylist() for name in ("query_id", "doc_id"))
    found.doubtful = _doubtful(table, mined)
    same = SamePairs.among(mined.texts if settings.qrels or settings.verdicts else None)
    if (settings.qrels or settings.verdicts) and mined.texts is None:
        found.notes.append(
            f"Judgements are joined by ids, as no text can be read: {mined.no_texts} So those of "
            "copies under other ids do not count."
        )
    if settings.qrels:
        names, query = np.unique(np.array(query_ids, dtype=object).astype(str), return_inverse=True)
        judged = _judged(settings, mined, same, list(zip(query_ids, doc_ids, strict=True)))
        found.add_judged(judged, query, _groups(table, mined.sources))
        false = np.bincount(query, np.nan_to_num(judged)).astype(int)
        worst = np.argsort(-false, kind="stable")[:WORST_QUERIES]
        found.worst = {str(names[row]): int(false[row]) for row in worst if false[row]}
    if settings.verdicts:
        pairs = list(zip(query_ids, doc_ids, strict=True))
        _add_verdicts(found, settings.verdicts, same, pairs, used_up, guarantee)
    if settings.sample:
        _write_sheet(settings, table, mined.candidates)
    if settings.shortcuts:
        found.shortcuts = shortcuts(_labelled(mined, settings.seed))
    return found


def _selected(mined: Mined) -> tuple[pa.Table, list[tuple[str, str]]]:
    """Return the chosen negatives, and the pairs that verdicts alone kept from being some."""
    negatives: list[pa.Table] = []
    used_up: list[tuple[str, str]] = []
    ranks = [rank_of(source) for source in mined.sources]
    for table in mined.read(SELECTED, also=ranks):
        negatives.append(table.filter(table["selected"]))
        dropped = table.filter(pc.is_in(table["reason"], pa.array(BY_VERDICT)))
        ids = (dropped[name].to_pylist() for name in ("query_id", "doc_id"))
        used_up += zip(*ids, strict=True)
    return pa.concat_tables(negatives), used_up


def _doubtful(table: pa.Table, mined: Mined) -> list[Doubtful]:
    """Return the most doubtful negatives, as the report shows them: by relevance, then margin."""
    relevance = numbers(table["relevance"])
    margin = numbers(table["positive_score"]) - numbers(table["score"])
    first = np.lexsort((margin, -relevance))[:MOST_DOUBTFUL]
    queries, documents = (
        table[name].take(pa.array(first)).to_pylist() for name in ("query_id", "doc_id")
    )
    texts = map(mined.query_text, queries)
    values = (relevance[first].tolist(), margin[first].tolist(), texts)
    return [Doubtful(*row) for row in zip(queries, documents, *values, strict=True)]


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
    settings: AuditSettings, mined: Mined, same: SamePairs, negatives: list[Pair]
) -> Floats:
    """Return 1 for negatives judged relevant, 0 for the others of queries with judgements.

    NaN for queries without judgements. NaN for all if these judgements were given to `mine` too:
    their relevant documents are positives, so none is a negative.
    """
    table = Table.open("qrels", settings.qrels or "", reading=settings.reading)
    if _mined_with(table, settings.min_grade, mined):
        return np.full(len(negatives), np.nan)
    given = same.highest(read_grades(table))
    pairs = same.of(negatives)
    say_if_unknown(table.path, given, {query for query, _ in pairs}, 0)
    judged = {query for query, _ in given}
    return np.array(
        [
            float(given.get(pair, -np.inf) >= settings.min_grade) if pair[0] in judged else np.nan
            for pair in pairs
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


def _add_verdicts(
    found: Audit,
    path: str,
    same: SamePairs,
    negatives: list[Pair],
    used_up: list[Pair],
    guarantee: Guarantee | None,
) -> None:
    """Add the estimate from a sheet, and what limits it.

    A sheet stays valid for a directory that was filtered with it: evenly drawn negatives that were
    judged relevant are no negatives there, but still count as a sample of the unjudged ones.
    """
    table = Table.open("qrels", path, also=[DRAWN, SEED, JUDGE])
    known = [*negatives, *used_up]
    highest = same.highest(read_verdicts(table))
    say_if_unknown(table.path, highest, {query for query, _ in same.of(negatives)}, 0)
    given = same.known(highest, known)
    drawn = same.named(read_drawn(table), known)
    relevant = {pair: verdict >= RELEVANT for pair, verdict in given.items()}
    draw = check_draw(negatives, drawn, relevant, used_up)
    if draw.fault and guarantee:
        drawn = _for_this_choice(drawn, negatives, used_up, guarantee)
        draw = check_draw(negatives, drawn, relevant, used_up)
    verdicts = np.array([given.get(pair, np.nan) for pair in negatives], dtype=np.float64)
    waiting = sum(
        pair not in given and drawn.get(pair, (EVEN, None))[0] != EVEN for pair in negatives
    )
    found.estimates["verdicts"] = of_sheet(verdicts, draw, waiting)
    unjudged = int(np.isnan(verdicts).sum())
    if draw.fault and unjudged and unjudged < len(verdicts):
        found.notes.append(
            f"The judged pairs are no random sample: {draw.fault}. So the range is all that is "
            f"possible. `{shell(['hnmine', 'review', found.mined])}` draws a random sample."
        )
    there = set(negatives)
    if others := sum(drawn[pair][0] == EVEN and pair not in there for pair in drawn):
        found.notes.append(f"{others:,} pairs of the sheet are no negatives here any more.")
    machines = same.named(read_judges(table), known)
    by_machine = [machines[pair] for pair in negatives if pair in machines and pair in given]
    if by_machine:
        names = ", ".join(sorted(set(by_machine)))
        found.notes.append(
            f"{len(by_machine):,} verdicts are by {names}: the interval leaves out its errors, "
            "which `hnmine judge` measures on pairs of known relevance."
        )


def _for_this_choice(
    drawn: dict[Pair, Drawn], negatives: list[Pair], used_up: list[Pair], guarantee: Guarantee
) -> dict[Pair, Drawn]:
    """Return how pairs were drawn, without the draws from choices that were not written."""
    chosen_once = set(used_up)  # A twin that is refuted need not have been chosen.
    every = [*negatives, *(pair for pair in guarantee.refuted if pair in chosen_once)]
    order = draw_order(guarantee.seed, *zip(*every, strict=True))
    sample = {every[n] for n in order[: guarantee.written.judged]}
    return {
        pair: (how if how != EVEN or pair in sample else ELSEWHERE, seed)
        for pair, (how, seed) in drawn.items()
    }


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


def _write_sheet(settings: AuditSettings, table: pa.Table, candidates: Candidates) -> None:
    """Write a sample of the negatives with texts and an empty column for verdicts."""
    if settings.sheet is None:
        raise UsageError(
            "Missing option --sheet: --sample writes one.", fix="Add --sheet FILE.csv."
        )
    ids = (table[name].to_pylist() for name in ("query_id", "doc_id"))
    first = draw_order(settings.seed, *ids)[: settings.sample]
    chosen = table.take(pa.array(first))
    known = {name: chosen[name] for name in ("query_id", "doc_id", "relevance")}
    drawn = {DRAWN: pa.repeat(EVEN, len(first)), SEED: pa.repeat(settings.seed, len(first))}
    Sheet(settings.sheet, with_texts(candidates, {**known, **drawn})).save()
