"""Does `--max-false` hold? Many simulated runs on judged collections, with good and bad judges.

`python -m benchmarks.quality.guarantee --data FOLDER` mines each collection with one known positive
a query, as `benchmarks.quality` does, and filters it. Then it draws, judges and tests in memory,
with the code of `hnmine filter`, for many seeds. A run is wrong if it proves a choice that has more
false negatives than claimed.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.common import add_collections, parsed
from benchmarks.quality.__main__ import CROSS_ENCODER, ENCODER
from benchmarks.quality.protocol import GRADES, read_judged, split
from benchmarks.quality.runs import hnmine
from hnmine.choose import choose
from hnmine.guarantee.certify import Claim, Draw, Pair, certify
from hnmine.guarantee.judge_errors import Hits
from hnmine.judging.controls import KnownPositives, matched
from hnmine.ragged import Bools, Floats, Ints
from hnmine.relevance.depth_price import cost, price_of_depth, safer_prices
from hnmine.relevance.evidence import numbers
from hnmine.relevance.learned import RELEVANCE, read_learned
from hnmine.selection.proof import CONTROLS

CONFIDENCE = 0.95
SHARES = (0.01, 0.02, 0.05)
BUDGET = 400
SIMULATED = ((0.05, 1.0), (0.05, 1.5), (0.05, 2.0))
"""Shares of false negatives in the choice asked for, and separations of the scores."""

Judge = Callable[[Ints, np.random.Generator], Bools]
"""Whether rows are called relevant."""


@dataclass(frozen=True)
class World:
    """The candidates of a collection, with the truth.

    Attributes:
        query: of each row, from 0.
        relevance: by which candidates are ordered.
        price: of depth.
        depth: of each row in the dense list.
        shortcut: what each row costs that BM25 or length tells from the positives.
        eligible: rows that no rule drops.
        positive: the known positives.
        false: rows that are relevant by the judgements.
        logit: of the cross-encoder.
        asked: negatives for each query.
    """

    query: Ints
    relevance: Floats
    price: float
    depth: Floats
    shortcut: Floats
    eligible: Bools
    positive: Bools
    false: Bools
    logit: Floats
    asked: int

    @classmethod
    def read(cls, mined: Path, false_pairs: set[Pair], asked: int) -> World:
        """Read what `hnmine filter` wrote."""
        table = pq.read_table(mined / "scored")
        learned = read_learned(mined / RELEVANCE)
        assert learned
        queries, documents = (table[name].to_pylist() for name in ("query_id", "doc_id"))
        _, query = np.unique(np.array(queries), return_inverse=True)
        relevance, depth = numbers(table["relevance"]), numbers(table["depth"])
        positive = table["is_positive"].to_numpy()
        keep = table["keep"].to_numpy()
        false = np.array([pair in false_pairs for pair in zip(queries, documents, strict=True)])
        logit = numbers(table["ce_score"]) if "ce_score" in table.column_names else relevance
        shortcut, price = numbers(table["shortcut"]), learned.price_of_depth
        false &= keep
        return cls(query, relevance, price, depth, shortcut, keep, positive, false, logit, asked)

    @classmethod
    def simulated(cls, false: float, separation: float, seed: int) -> World:
        """Draw 500 queries with 100 candidates, whose default choice is false to a given share.

        The share of relevant candidates falls with depth. The score is their likelihood ratio, and
        known positives differ from relevant candidates only by being known.

        Args:
            false: share of false negatives in the choice at mean depth 20.
            separation: of the scores of relevant and other candidates, in standard deviations.
            seed: of the draw.
        """
        queries, size = 500, 100
        depth = np.tile(np.arange(size, dtype=np.float64), queries)
        query = np.repeat(np.arange(queries), size)
        low, high = 0.01, 5.0
        for _ in range(30):
            level, rng = np.sqrt(low * high), np.random.default_rng(seed)
            chance = np.minimum(level * np.exp(-depth / 20), 0.9)
            relevant = rng.random(len(depth)) < chance
            odds = np.log(np.maximum(chance, 1e-9) / (1 - chance))
            scores = rng.normal(separation * (relevant - 0.5), 1)
            relevance = separation * scores + odds - odds.mean()
            known = np.zeros(len(depth), bool)
            first = np.flatnonzero(relevant)
            first = first[rng.permutation(len(first))]
            known[first[np.unique(query[first], return_index=True)[1]]] = True
            price = price_of_depth(query, ~known, ~known, relevance, depth, 5, 20.0)
            false_ones, none = relevant & ~known, np.zeros(len(depth))
            world = cls(query, relevance, price, depth, none, ~known, known, false_ones, scores, 5)
            now = world.false[world.chosen(price)].mean()
            low, high = (level, high) if now < false else (low, level)
        return world

    def chosen(self, price: float) -> Bools:
        """Return which rows are chosen at a price of depth."""
        order = cost(self.relevance) + price * self.depth + self.shortcut
        number = np.full(self.query.max() + 1, self.asked)
        return choose(self.query, self.eligible, order, number)

    def steps(self) -> list[Bools]:
        """Return the choices, the safest first, as `hnmine.selection.steps` does."""
        known = (self.query, self.eligible, self.relevance, self.depth, self.asked, self.price)
        safer = safer_prices(*known, self.shortcut)
        return [self.chosen(price) for price in (*safer, self.price)]


@dataclass(frozen=True)
class Run:
    """How one run ended: the choice that it proved, or None; and the judgements that it took."""

    proved: Bools | None
    judgements: int


def run(
    world: World, steps: Sequence[Bools], share: float, judge: Judge, machine: bool, seed: int
) -> Run:
    """Draw, judge and test, until a step is not proved within the budget."""
    rng = np.random.default_rng(seed)
    place = rng.permutation(len(world.query))
    draws = []
    for step in steps:
        rows = np.flatnonzero(step)
        rows = rows[np.argsort(place[rows])]
        draws.append(Draw(len(rows), [("", str(row)) for row in rows[: 2 * BUDGET]]))
    hits, spent = None, 0
    if machine:
        spent = round(CONTROLS * BUDGET)
        known = np.flatnonzero(world.positive)
        ids = [str(row) for row in known]
        sampled = world.relevance[[int(row) for _, row in draws[-1].pairs]]
        positives = KnownPositives(ids, ids, world.relevance[known])
        controls = known[matched(positives, sampled, spent // 2, seed, ())]
        hits = Hits(len(controls), int(judge(controls, rng).sum()))
    claim = Claim(share, 1 - CONFIDENCE, hits)
    judged: dict[Pair, bool] = {}
    while True:
        tests = certify(draws, judged, claim)
        last, draw = tests[-1], draws[len(tests) - 1]
        more = draw.pairs[last.judged : last.judged + (last.to_go or 0)]
        new = [pair for pair in more if pair not in judged]
        if not new or len(more) < (last.to_go or 0) or spent + len(judged) + len(new) > BUDGET:
            break
        rows = np.array([int(row) for _, row in new])
        judged |= dict(zip(new, judge(rows, rng).tolist(), strict=True))
    proved = [n for n, test in enumerate(tests) if test.certified]
    return Run(steps[proved[-1]] if proved else None, spent + len(judged))


def judges_of(world: World) -> dict[str, tuple[Judge, bool]]:
    """Return the judges by name, and whether each is a machine, whose hits are measured."""
    truth = world.false | world.positive

    def perfect(rows: Ints, rng: np.random.Generator) -> Bools:
        return truth[rows]

    def misses(rate: float, alarms: float) -> Judge:
        def judge(rows: Ints, rng: np.random.Generator) -> Bools:
            return rng.random(len(rows)) < np.where(truth[rows], 1 - rate, alarms)

        return judge

    # Half-way between positives and candidates, as a threshold learned on controls would be.
    middle = np.median(world.logit[world.positive]) + np.median(world.logit[world.eligible])

    def cross_encoder(rows: Ints, rng: np.random.Generator) -> Bools:
        return world.logit[rows] > middle / 2

    return {
        "perfect": (perfect, False),
        "perfect, measured": (perfect, True),
        "10 % misses": (misses(0.1, 0.0), True),
        "10 % misses, 5 % alarms": (misses(0.1, 0.05), True),
        "cross-encoder": (cross_encoder, True),
    }


def study(world: World, runs: int, name: str) -> list[dict[str, object]]:
    """Return a row for each judge and share."""
    steps, rows = world.steps(), list[dict[str, object]]()
    total = steps[-1].sum()
    for judge, (answers, machine) in judges_of(world).items():
        for share in SHARES:
            key = zlib.crc32(f"{name} {judge} {share}".encode())
            found = [run(world, steps, share, answers, machine, key + n) for n in range(runs)]
            proved = [one.proved for one in found if one.proved is not None]
            wrong = sum(one.sum() and world.false[one].mean() > share for one in proved)
            rows.append(
                {
                    "collection": name,
                    "judge": judge,
                    "share": share,
                    "asked_false": float(world.false[steps[-1]].mean()),
                    "safest_false": float(world.false[steps[0]].mean()),
                    "proved": len(proved) / runs,
                    "wrong": wrong / runs,
                    "judgements": float(np.mean([one.judgements for one in found])),
                    "yield": float(np.mean([one.sum() / total for one in proved] or [np.nan])),
                    "depth": float(
                        np.mean([world.depth[one].mean() for one in proved] or [np.nan])
                    ),
                    "false": float(
                        np.mean([world.false[one].mean() for one in proved] or [np.nan])
                    ),
                    "asked_depth": float(world.depth[steps[-1]].mean()),
                }
            )
    return rows


def shown(rows: Sequence[dict[str, object]]) -> str:
    """Return a Markdown table."""
    lines = [
        "| collection | judge | at most | false in the choice asked for | proved | wrong | "
        "judgements | yield | false in the proved | depth asked for, proved |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = (
            row["collection"], row["judge"], f"{row['share']:.0%}", f"{row['asked_false']:.1%}",
            f"{row['proved']:.1%}", f"{row['wrong']:.1%}", f"{row['judgements']:.0f}",
            f"{row['yield']:.2f}", f"{row['false']:.2%}",
            f"{row['asked_depth']:.0f}, {row['depth']:.0f}",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main(given: list[str] | None = None) -> None:
    """Measure every collection, print a table and write guarantee.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.guarantee")
    add_collections(parser)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=1, help="draws of the known positives")
    parser.add_argument("--asked", type=int, default=5)
    parser.add_argument("--depth", type=float, default=20)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--simulated", action="store_true", help="simulated collections too")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/quality"))
    parser.add_argument("--encoder", default=ENCODER)
    parser.add_argument("--cross-encoder", default=CROSS_ENCODER)
    arguments = parsed(parser, given)
    rows: list[dict[str, object]] = []
    for folder in arguments.collections:
        for seed in range(arguments.seeds):
            for name, flags in (
                ("both judges", ["--cross-encoder", arguments.cross_encoder]),
                ("bi-encoder", []),
            ):
                world = prepared(arguments, folder, seed, name, flags)
                rows += study(world, arguments.runs, f"{folder}, {name}, draw {seed}")
                (arguments.out / "guarantee.json").write_text(json.dumps(rows, indent=1))
    for false, separation in SIMULATED if arguments.simulated else ():
        world = World.simulated(false, separation, 0)
        name = f"simulated, separation {separation:g}"
        rows += study(world, arguments.runs, name)
        (arguments.out / "guarantee.json").write_text(json.dumps(rows, indent=1))
    print(shown(rows))


def prepared(
    arguments: argparse.Namespace, folder: str, seed: int, name: str, flags: Sequence[str]
) -> World:
    """Mine and filter a collection, or read what was kept."""
    collection, home = arguments.data / folder, arguments.out.resolve() / folder
    index, work = home / "index", home / f"seed-{seed}"
    grade = GRADES.get(folder, 1.0)
    split(collection, work, arguments.queries, seed, grade)
    corpus = collection / "corpus.parquet"
    skip = ("--on-bad-row", "skip")
    hnmine(
        "build-index", "--corpus", corpus, "--encoder", arguments.encoder, "--index", index, *skip
    )
    asked = ("--queries", work / "queries.parquet", "--qrels", work / "qrels.parquet")
    candidates = work / "candidates"
    mine = ("--source", "dense", "--top-k", "60")
    hnmine("mine", "--index", index, *asked, "--output", candidates, *mine)
    mined = work / f"guarantee-{name.replace(' ', '-')}"
    number = ("--num-negatives", arguments.asked, "--depth", arguments.depth, "--overwrite")
    hnmine("filter", "--candidates", candidates, "--output", mined, *number, *flags)
    judged = read_judged(collection, work, grade)
    false = {(query, doc) for query, hidden in judged.hidden.items() for doc in hidden}
    world = World.read(mined, false, arguments.asked)
    if not flags:  # The cross-encoder judges, and had no part in the choice.
        both = World.read(work / "guarantee-both-judges", false, arguments.asked)
        world = World(**{**vars(world), "logit": both.logit})
    return world


if __name__ == "__main__":
    main()
