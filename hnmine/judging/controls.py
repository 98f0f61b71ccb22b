"""Controls: rows of a sheet whose truth is known, by which a machine judge is measured.

Half are known positives that look like the sampled negatives, because a judge that looks at the
same evidence as the choice of the negatives misses the positives that score low. The other half are
random documents.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from hnmine.directories.candidates import Candidates
from hnmine.directories.never_negatives import never_negatives
from hnmine.guarantee.certify import Pair
from hnmine.judges.verdict_file import DRAWN
from hnmine.keyed_noise import keyed_noise
from hnmine.ragged import Bools, Floats, Ints
from hnmine.runner.incidents import note
from hnmine.sheets.sheet import with_texts

POSITIVE, RANDOM = "known positive", "random document"
"""How controls are drawn, as the column `drawn` of a sheet has it."""

ANY = "any candidate"
"""The draw of candidates with equal probability, whether or not they became negatives."""

HIGHEST = 0.95
"""Quantile of the sampled negatives' relevance up to which a known positive is like them."""

TRIES = 100
"""Draws of a random document for one query before the query is left out."""

QUERIES_PER_DOCUMENT = 4
"""Queries to draw from for each random document; more would only take time."""


@dataclass(frozen=True)
class KnownPositives:
    """The known positives to draw from.

    Attributes:
        query_ids, doc_ids: of each; a copy of a positive under another id counts too.
        relevance: of each, by the same score as the sampled negatives'; NaN where unknown.
    """

    query_ids: Sequence[str]
    doc_ids: Sequence[str]
    relevance: Floats


def controls_for(
    candidates: Candidates,
    known: KnownPositives,
    sampled: Floats,
    count: int,
    *,
    seed: int,
    present: Collection[Pair] = (),
    held: tuple[int, int] = (0, 0),
) -> pa.Table:
    """Return rows of a sheet whose truth is known: half known positives, half random documents.

    The same arguments give the same rows. A note says if fewer known positives than asked look like
    the sampled negatives.

    Args:
        candidates: that hold the texts; a mined directory need not exist.
        known: the positives of the queries whose negatives were sampled.
        sampled: relevance of the sampled negatives, shape (n,); NaN where unknown.
        count: number of rows, with those that the sheet holds.
        seed: of the draw.
        present: pairs that the sheet holds, which are not drawn again.
        held: how many of them are known positives, and random documents, drawn before.

    Returns:
        Columns query_id, doc_id, query, positive, document, drawn, seed, relevance and verdict,
        which is null.
    """
    wanted, others = max(count // 2 - held[0], 0), max(count - count // 2 - held[1], 0)
    positives = matched(known, sampled, wanted, seed, present)
    if len(positives) < wanted:
        found = held[0] + len(positives)
        note(
            f"Only {found:,} of {held[0] + wanted:,} known positives to measure the judge with: "
            "the others are scored as more relevant than the sampled negatives."
        )
    queries = list(dict.fromkeys(known.query_ids))
    pairs = random_documents(candidates, queries, others, seed, present)
    drawn = [POSITIVE] * len(positives) + [RANDOM] * len(pairs)
    ids = [(known.query_ids[n], known.doc_ids[n]) for n in positives.tolist()] + pairs
    relevance = [*known.relevance[positives].tolist(), *[np.nan] * len(pairs)]
    columns = {
        "query_id": pa.array([query for query, _ in ids], pa.string()),
        "doc_id": pa.array([document for _, document in ids], pa.string()),
        DRAWN: pa.array(drawn, pa.string()),
        "seed": pa.repeat(pa.scalar(seed, pa.int64()), len(ids)),
        "relevance": pa.array(relevance, pa.float64(), from_pandas=True),
    }
    return with_texts(candidates, columns)


def alike(known: KnownPositives, sampled: Floats) -> Bools:
    """Return which known positives are scored like sampled negatives; none without a score."""
    finite = sampled[np.isfinite(sampled)]
    highest = np.quantile(finite, HIGHEST) if len(finite) else -np.inf
    like: Bools = np.asarray(known.relevance, np.float64) <= highest  # NaN is not.
    return like


def matched(
    known: KnownPositives, sampled: Floats, count: int, seed: int, present: Collection[Pair]
) -> Ints:
    """Return positions of known positives that look like the sampled negatives.

    Each is the nearest by relevance to a sampled negative drawn at random, without replacement.
    Those above the 95th percentile of the negatives' relevance are left out.
    """
    like = alike(known, sampled)
    if not like.any():
        return np.empty(0, np.int64)
    finite = np.sort(sampled[np.isfinite(sampled)])
    relevance, held = np.asarray(known.relevance, np.float64), set(present)
    new = [pair not in held for pair in zip(known.query_ids, known.doc_ids, strict=True)]
    free = np.flatnonzero(like & np.array(new, bool))
    noise = keyed_noise(
        seed, *([ids[n] for n in free.tolist()] for ids in (known.query_ids, known.doc_ids))
    )
    free = free[np.argsort(noise, kind="stable")]  # Ties are broken at random.
    chosen: list[int] = []
    for target in np.random.default_rng(seed).choice(finite, min(count, len(free))):
        at = int(np.argmin(np.abs(relevance[free] - target)))
        chosen.append(int(free[at]))
        free = np.delete(free, at)
    return np.array(chosen, np.int64)


def random_documents(
    candidates: Candidates,
    query_ids: Sequence[str],
    count: int,
    seed: int,
    present: Collection[Pair],
) -> list[Pair]:
    """Return pairs of a query and a random document: no known positive of it, copy, or itself."""
    documents, held, found = candidates.index.documents, set(present), list[Pair]()
    noise = keyed_noise(seed, query_ids, [""] * len(query_ids))
    most = QUERIES_PER_DOCUMENT * (count + len(held))
    order = [query_ids[n] for n in np.argsort(noise, kind="stable")[:most]]
    rows = candidates.queries.texts.find_ids(order)
    offsets, slots = never_negatives(candidates, rows)
    never = [set(slots[a:b].tolist()) for a, b in pairwise(offsets.tolist())]
    for turn in range(TRIES * (1 + count // max(len(order), 1))):
        if len(found) >= count:
            break
        at = keyed_noise(seed, order, [str(turn)] * len(order)) % np.uint64(
            len(documents.canonical)
        )
        ids = documents.id_array(documents.canonical[at]).to_pylist()
        for query, slot in enumerate(at.tolist()):
            pair = (order[query], ids[query])
            if slot not in never[query] and pair not in held and len(found) < count:
                held.add(pair)
                found.append(pair)
    return found
