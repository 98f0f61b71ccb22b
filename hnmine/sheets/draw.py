"""The order in which negatives are drawn for judging, and whether a sheet keeps to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.directories.candidates import Candidates
from hnmine.guarantee.certify import Pair
from hnmine.judges.verdict_file import DRAWN
from hnmine.keyed_noise import keyed_noise, mixed
from hnmine.ragged import Floats, Ints
from hnmine.runner.plan import digest
from hnmine.sheets.sheet import PAIR, with_texts

EVEN = "even"
"""How a row was drawn that every negative had the same chance to be; other draws are no sample."""


def draw_noise(seed: int, query_ids: Sequence[str], doc_ids: Sequence[str]) -> NDArray[np.uint64]:
    """Return a random number for each pair; its rank is the pair's place in the draw.

    It depends on the ids and the seed alone, so that anyone can check a sample. It is mixed once
    more, because `--sampling` chooses by the same noise.
    """
    return mixed(keyed_noise(seed, query_ids, doc_ids))


def draw_order(seed: int, query_ids: Sequence[str], doc_ids: Sequence[str]) -> Ints:
    """Return the positions of pairs in the order of the draw; any prefix is a random sample."""
    return np.argsort(draw_noise(seed, query_ids, doc_ids), kind="stable")


def seed_of_draw(seed: int, verdicts: Sequence[object]) -> int:
    """Return the seed of a draw that knows nothing of the verdicts behind the choice.

    These may be on the first pairs of an earlier draw. With its seed, the choice would have lost
    those that are relevant, and the same pairs would seem to be a sample.

    Args:
        seed: as given.
        verdicts: hashes of the files of verdicts that choose.
    """
    return int(digest({"seed": seed, "verdicts": verdicts})[:7], 16) if verdicts else seed


def drawn_rows(
    candidates: Candidates, pairs: Sequence[Pair], relevance: Floats, how: str, seed: int
) -> pa.Table:
    """Return drawn pairs as rows of a sheet.

    Args:
        candidates: that hold the texts.
        pairs: in the order of the draw.
        relevance: of each; NaN where unknown.
        how: they were drawn.
        seed: of the draw.
    """
    columns = {
        name: pa.array([pair[end] for pair in pairs], pa.string()) for end, name in enumerate(PAIR)
    }
    columns |= {
        DRAWN: pa.repeat(pa.scalar(how), len(pairs)),
        "seed": pa.repeat(pa.scalar(seed, pa.int64()), len(pairs)),
        "relevance": pa.array(relevance, pa.float64(), from_pandas=True),
    }
    return with_texts(candidates, columns)


@dataclass(frozen=True)
class Draw:
    """The judged sample of a sheet, among the negatives that it was drawn from.

    Attributes:
        population: negatives that could be drawn, and judged ones that are not negatives now.
        size: pairs in the sample, judged or not.
        judged: of these.
        relevant: of the judged.
        fault: why it is no random sample; empty if it is one.
    """

    population: int
    size: int
    judged: int
    relevant: int
    fault: str = ""


def check_draw(
    negatives: Sequence[Pair],
    drawn: Mapping[Pair, tuple[str | None, int | None]],
    judged: Mapping[Pair, bool],
    used_up: Sequence[Pair],
) -> Draw:
    """Return the sample of a sheet: the negatives up to the last judged one in the draw's order.

    Args:
        negatives: the chosen negatives of a directory.
        drawn: by pair of the sheet: how it was drawn, and the seed of the draw.
        judged: by judged pair: whether it is relevant.
        used_up: pairs that are no negatives any more because they were judged relevant.
    """
    seeds = {seed for how, seed in drawn.values() if how == EVEN}
    open_to_draw = [pair for pair in negatives if drawn.get(pair, (EVEN, None))[0] == EVEN]
    gone = [pair for pair in used_up if pair in judged and drawn.get(pair, ("", 0))[0] == EVEN]
    population = len(open_to_draw) + len(gone)
    seed = next(iter(seeds), None)
    if len(seeds) != 1 or seed is None:
        return Draw(population, 0, 0, 0, _without_seed(seeds))
    sample = [pair in judged and drawn.get(pair, ("", 0))[0] == EVEN for pair in open_to_draw]
    every = [*open_to_draw, *gone]
    noise = draw_noise(seed, *_ids(every))
    taken = np.array([*sample, *[True] * len(gone)], dtype=bool)
    prefix = noise <= noise[taken].max() if taken.any() else taken
    # The sheet may hold the verdict of such a pair under the ids of a copy.
    known = [pair for pair, is_in in zip(every, prefix, strict=True) if is_in and pair in judged]
    size = int(prefix.sum())
    missing = size - len(known)
    return Draw(
        population,
        size,
        len(known),
        sum(judged[pair] for pair in known),
        f"{missing:,} of the first {size:,} in the order of the draw have no verdict"
        if missing
        else "",
    )


def _without_seed(seeds: set[int | None]) -> str:
    if not seeds:
        return "the sheet holds no pair that was drawn evenly"
    if seeds == {None}:
        return "the sheet does not record the seed of its draw"
    return "the sheet holds pairs of several draws"


def _ids(pairs: Sequence[Pair]) -> tuple[list[str], list[str]]:
    return [query for query, _ in pairs], [document for _, document in pairs]
