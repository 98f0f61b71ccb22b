"""What is measured of a mined directory, for a table of several."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from hnmine.audit.auditing import audit
from hnmine.config import AuditSettings
from hnmine.directories.mined import Mined
from hnmine.directories.scored_view import NEGATIVE, ScoredView
from hnmine.errors import HnmineError
from hnmine.guarantee.statement import read_guarantee
from hnmine.selection.hardness import HARDNESS, Hardness, why_unknown
from hnmine.sheets.sheet import beside

BESIDE = ("-verdicts.parquet", "-review.csv")
"""Ends of the sheets that `judge` and `review` write beside a directory."""

_NEGATIVES = f"""
select avg(rank), avg((relevance > 0)::int) filter (where isfinite(relevance))
from scored where kind = '{NEGATIVE}'
"""
_MOST_USES = f"""
select max(uses)
from (select count(*) as uses from scored where kind = '{NEGATIVE}' group by doc_id)
"""
_BM25 = """
select avg(won) from (
    select avg(case when p.x > n.x then 1.0 when p.x = n.x then 0.5 else 0.0 end) as won
    from (select query_id, bm25_score as x from scored where label = 1) p
    join (select query_id, bm25_score as x from scored where label = 0) n using (query_id)
    where isfinite(p.x) and isfinite(n.x)
    group by query_id
)
"""


@dataclass(frozen=True)
class FalseShare:
    """What is known of the share of false negatives.

    Attributes:
        basis: `verdicts` of a sheet, or the `proof` of `filter --max-false`.
        rate: the share; None if what was judged is no random sample, or only a bound is proved.
        low, high: the 95 % interval of verdicts, or what is possible at all; of a proof, its bound.
        judged: negatives that were judged.
    """

    basis: str
    rate: float | None
    low: float
    high: float
    judged: int


@dataclass(frozen=True)
class Measured:
    """A mined directory in numbers; None is unknown.

    Attributes:
        path: the directory.
        hash: of its manifest.
        candidates: hash of the candidates that it was filtered from.
        index: hash of the index that these were mined from; None if they cannot be opened.
        queries: number of queries.
        negatives: number of chosen negatives.
        asked: number of negatives asked for.
        rank: mean rank of the negatives, from 0.
        loss, push, easy, overtaken: as in `Hardness`.
        shortcuts: AUC of "bm25" and of "length" alone, where known.
        most_uses: queries that the most used negative serves.
        doubtful: share of the negatives with a relevance above 0.
        false: what judgements say of the negatives.
        notes: why something is unknown, a sentence each.
    """

    path: str
    hash: str
    candidates: str
    index: str | None
    queries: int
    negatives: int
    asked: int
    rank: float | None = None
    loss: float | None = None
    push: float | None = None
    easy: float | None = None
    overtaken: float | None = None
    shortcuts: dict[str, float] = field(default_factory=dict)
    most_uses: int | None = None
    doubtful: float | None = None
    false: FalseShare | None = None
    notes: list[str] = field(default_factory=list)


def measured(scored: ScoredView, hardness: Hardness | None, *, use_recorded: bool) -> Measured:
    """Measure a mined directory.

    Args:
        scored: its view.
        hardness: what `filter` measured.
        use_recorded: take what `filter` recorded; else measure the rank, the AUC of BM25 and the
            most used negative here. Both ways differ a little, so that a table has one of them.

    Raises:
        InputError: a file is damaged.
    """
    mined, counts = scored.mined, scored.mined.manifest.counts
    rank, doubtful = scored.ask(_NEGATIVES)[0]
    if use_recorded and hardness:
        rank, shortcuts, most_uses = hardness.rank, hardness.shortcuts, hardness.most_uses
    else:
        shortcuts, most_uses = _shortcuts(scored), scored.ask(_MOST_USES)[0][0]
    false, notes = _false_share(mined)
    if hardness is None:
        notes.append(why_unknown(mined.sources))
    return Measured(
        path=str(mined.path),
        hash=mined.hash,
        candidates=mined.manifest.candidates,
        index=mined.texts.manifest.index if mined.texts else None,
        queries=counts["queries"],
        negatives=counts["negatives"],
        asked=counts["negatives_asked"],
        rank=rank,
        loss=hardness.loss if hardness else None,
        push=hardness.push if hardness else None,
        easy=hardness.easy if hardness else None,
        overtaken=hardness.overtaken if hardness else None,
        shortcuts=shortcuts,
        most_uses=most_uses,
        doubtful=doubtful,
        false=false,
        notes=notes,
    )


def hardness_of(mined: Mined) -> Hardness | None:
    """Return what `filter` measured of a directory; None if nothing."""
    return Hardness.read(mined.path / HARDNESS)


def _shortcuts(scored: ScoredView) -> dict[str, float]:
    """Return the AUC of BM25 alone, either way round, as `filter` records it."""
    found = scored.ask(_BM25)[0][0] if "bm25_score" in scored.columns else None
    return {} if found is None else {"bm25": max(found, 1 - found)}


def _false_share(mined: Mined) -> tuple[FalseShare | None, list[str]]:
    """Return what a proof says, else a sheet beside the directory, and why one says nothing."""
    asked = mined.manifest.settings.max_false is not None  # Else the file is of another directory.
    if asked and (guarantee := read_guarantee(mined.path)):
        return FalseShare("proof", None, 0.0, guarantee.max_false, guarantee.written.judged), []
    sheets = (beside(mined.path, ending) for ending in BESIDE)
    notes = []
    for sheet in filter(Path.is_file, sheets):
        try:
            audited = audit(AuditSettings(mined=mined.path, verdicts=str(sheet), shortcuts=False))
        except HnmineError as error:
            notes.append(f"The verdicts in {sheet} are left out. {error.what}")
            continue
        found = audited.estimates.get("verdicts")
        if found and found.known:
            rate = found.rate if isfinite(found.rate) else None
            return FalseShare("verdicts", rate, found.low, found.high, found.known), notes
        notes.append(f"The sheet {sheet} has no verdict on a negative.")
    return None, notes
