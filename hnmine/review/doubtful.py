"""Choose candidates for a person to judge: doubtful ones, and an even sample of the others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import pyarrow as pa

from hnmine.directories.scored_view import DROPPED, KEPT, MARGIN, NEGATIVE, Row, ScoredView, quoted
from hnmine.keyed_noise import hashes
from hnmine.relevance.model import NOT_EVIDENCE
from hnmine.report.margin_examples import DOUBTFUL_FIRST, NO_MATTER_OF_DEGREE
from hnmine.sheets.draw import EVEN, draw_order

NEGATIVES, NARROWLY, DISAGREEMENT = "doubtful negative", "narrowly dropped", "judges disagree"
PER_QUERY = 3
"""Most candidates of one query and one kind of doubt: a hard query must not fill the sheet."""

NO_DOUBT = (*NO_MATTER_OF_DEGREE, "near-copy", "same-score", "min-score", "relabelled", "verdict")
"""Rules whose drops say nothing about relevance."""

NARROWEST_FIRST = f"{MARGIN} desc nulls last, query_id, doc_id"

FATE = f"case when kind = '{DROPPED}' then kind || ': ' || reason else kind end"

LIKELIEST_FIRST = "relevance desc nulls last, disagreement desc, query_id, doc_id"


def choose(scored: ScoredView, doubtful: int, even: int, seed: int) -> dict[str, pa.Array]:
    """Choose candidates without a verdict.

    Args:
        scored: the view of a mined directory.
        doubtful: number of doubtful ones, of three kinds in turns: negatives that look most
            relevant, candidates dropped narrowly, and those on which the judges disagree.
        even: number of other negatives, drawn with equal probability.
        seed: of that draw, and of the order of the queries.

    Returns:
        Columns of a sheet. Evenly drawn rows are in the order of the draw, among them the others
        in no order of doubt: a person who stops early has judged a random sample, and some doubts.
    """
    scored.ask("create or replace temp table picked (query_id text, doc_id text, drawn text)")
    _add(scored, _doubtful(scored, doubtful))
    _add(scored, _evenly(scored, even, seed))
    found = scored.rows(
        f"select query_id, doc_id, picked.drawn, {FATE} as fate, relevance, {MARGIN} as margin "
        "from picked join scored using (query_id, doc_id)"
    )
    for row in found:
        row["seed"] = seed if row["drawn"] == EVEN else None
    found = _mixed(*_in_order(found, seed))
    kinds = {"seed": pa.int64(), "relevance": pa.float64(), "margin": pa.float64()}
    return {
        name: pa.array([row[name] for row in found], kinds.get(name, pa.string()))
        for name in ("query_id", "doc_id", "drawn", "seed", "fate", "relevance", "margin")
    }


def _in_order(rows: list[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """Return the even rows in the order of their draw, and the others with their queries."""
    even = [row for row in rows if row["drawn"] == EVEN]
    ids = ([row[name] for row in even] for name in ("query_id", "doc_id"))
    doubtful = [row for row in rows if row["drawn"] != EVEN]
    turn = hashes([row["query_id"] for row in doubtful], seed).tolist()
    keys = [(turn[n], row["query_id"], row["doc_id"]) for n, row in enumerate(doubtful)]
    order = sorted(range(len(doubtful)), key=keys.__getitem__)
    return [even[n] for n in draw_order(seed, *ids)], [doubtful[n] for n in order]


def _mixed(*lists: list[Row]) -> list[Row]:
    """Spread lists over each other, each in its order."""
    placed = [((n + 0.5) / len(one), row) for one in lists for n, row in enumerate(one)]
    return [row for _, row in sorted(placed, key=lambda item: item[0])]


def _add(scored: ScoredView, rows: list[tuple[str, str, str]]) -> None:
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    names = ("query_id", "doc_id", "drawn")
    arrays = (pa.array(column, pa.string()) for column in columns)
    scored.add("picked", pa.table(dict(zip(names, arrays, strict=True))))


def _not_judged(scored: ScoredView) -> str:
    # NaN without a verdict.
    return "coalesce(isnan(verdict), true)" if "verdict" in scored.columns else "true"


def _doubtful(scored: ScoredView, count: int) -> list[tuple[str, str, str]]:
    """Take the kinds of doubt in turns until `count` are found."""
    reasons = ", ".join(f"'{reason}'" for reason in NO_DOUBT)
    open_to_doubt = (
        f"kind in ('{NEGATIVE}', '{KEPT}', '{DROPPED}') and coalesce(reason, '') not in ({reasons})"
    )
    kinds = {
        NEGATIVES: _first(scored, f"kind = '{NEGATIVE}'", DOUBTFUL_FIRST, count),
        NARROWLY: _first(scored, f"kind = '{DROPPED}' and {open_to_doubt}", NARROWEST_FIRST, count),
        DISAGREEMENT: list(_disagreement(scored, open_to_doubt, count)),
    }
    found: dict[tuple[str, str], str] = {}
    for turn in zip_longest(*kinds.values()):
        for drawn, pair in zip(kinds, turn, strict=True):
            if pair:
                found.setdefault(pair, drawn)
    return [(*pair, drawn) for pair, drawn in found.items()][:count]


def _first(
    scored: ScoredView, condition: str, order: str, count: int, table: str = "scored"
) -> list[tuple[str, str]]:
    rows = scored.ask(
        f"select query_id, doc_id from {table} where {condition} and {_not_judged(scored)} "
        f"qualify row_number() over (partition by query_id order by {order}) <= {PER_QUERY} "
        f"order by {order} limit ?",
        count,
    )
    return [(query, document) for query, document in rows]


def _disagreement(scored: ScoredView, condition: str, count: int) -> Iterator[tuple[str, str]]:
    """Yield candidates that one judge scores above the query's positives and another below.

    Those with the highest relevance come first: of 100 of worldtree, judged by BM25 and one
    bi-encoder, 36 were relevant; in the order of disagreement 2 were. Without relevance the
    largest disagreement comes first. It is the smaller of the largest distances above and below
    the lowest positive, in standard deviations of the judge's scores.
    """
    judges = [name for name in scored.scores if name != "score"]
    judges += [name for name in scored.judges if name not in (*judges, *NOT_EVIDENCE)]
    if len(judges) < 2:
        return
    distances = [
        f"({quoted(judge)} - min({quoted(judge)}) filter (where is_positive) "
        f"over (partition by query_id)) / nullif(stddev_pop({quoted(judge)}) over (), 0)"
        for judge in judges
    ]
    listed = ", ".join(distances)
    table = f"(select *, least(greatest({listed}), -least({listed})) as disagreement from scored)"
    condition += " and disagreement > 0"
    yield from _first(scored, condition, LIKELIEST_FIRST, count, table)


def _evenly(scored: ScoredView, count: int, seed: int) -> list[tuple[str, str, str]]:
    """Draw from the negatives that are neither picked nor judged."""
    found = scored.arrays(
        f"select query_id, doc_id from scored where kind = '{NEGATIVE}' "
        f"and {_not_judged(scored)} and not exists (from picked where picked.query_id = "
        "scored.query_id and picked.doc_id = scored.doc_id) order by query_id, doc_id"
    )
    ids = [list(map(str, found[name])) for name in ("query_id", "doc_id")]
    return [(ids[0][n], ids[1][n], EVEN) for n in draw_order(seed, *ids)[:count]]
