"""From judged candidates to training data: deeper where needed, shared out, chosen, written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hnmine import schema
from hnmine.array_files import load_array, save_array
from hnmine.config import FilterSettings
from hnmine.directories.candidates import write_candidates
from hnmine.directories.never_negatives import check_table
from hnmine.exports import LAYOUTS
from hnmine.exports.card import dataset_card
from hnmine.expressions.evaluation import number
from hnmine.judges import open_judges
from hnmine.judges.lazy import LazyCrossEncoderJudge
from hnmine.ragged import Ints
from hnmine.relevance.model import Relevance
from hnmine.runner.plan import Task, canonical_json
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.schema import STATE
from hnmine.selection import tally
from hnmine.selection.deeper_mining import deepen
from hnmine.selection.document_cap import Shares, Uses
from hnmine.selection.hardness import HARDNESS, Hardness
from hnmine.selection.scored_candidates import Evidence
from hnmine.selection.verdicts import Verdicts

SHORTFALLS, SHORT, USES = PASSING = tuple(
    f"{STATE}/{name}" for name in ("shortfall", "short", "uses")
)
"""Where each part leaves what the next step needs, until the run is over."""

OF_HARDNESS = "hardness_"
"""Begins the names of what the parts add up for `HARDNESS`."""

MOST_TURNS = 20
"""Turns to share documents out; whoever has less than asked after them, stays short."""


def settle(settings: FilterSettings, learned: Mapping[str, Any]) -> FilterSettings:
    """Fill in the rule and the order that apply where none is given.

    Args:
        settings: with the score resolved.
        learned: what was learned about the candidates; with `--compat` nothing.
    """
    if not learned or settings.chooses_otherwise:
        return settings
    price = number(learned["price_of_depth"])
    return settings.model_copy(
        update={
            "where": [*settings.where, *learned["where"]],
            # A column, as functions in --order would count survivors alone.
            "derive": settings.derive | {"depth": learned["place"]},
            "order": f"ln(1 + exp(relevance)) + {price} * depth",
            "max_p_relevant": settings.highest_p_relevant,
        }
    )


@dataclass(frozen=True)
class _Part:
    """A part of the candidates, and the queries in it that a deeper part answers for."""

    evidence: Evidence
    number: int
    rows: int
    left_to_deeper: Ints


class Filtering:
    """The tasks of a mined directory and what they share."""

    def __init__(
        self,
        settings: FilterSettings,
        evidence: Evidence,
        learned: Mapping[str, Any],
        run: RunDirectory,
    ) -> None:
        self.settings, self.run = settle(settings, learned), run
        self.candidates = evidence.candidates
        self.model = Relevance.from_json(learned) if learned else None
        cut = {"target-fn-rate": learned["cut_rule"]} if "cut_rule" in learned else {}
        self.more_rules: dict[str, str] = cut
        self.parts = _parts(evidence)
        self.shares: Shares | None = None

    def deepen(self) -> Counts:
        """Mine deeper for the queries that have too few survivors, as far as it is allowed."""
        counts: Counter[str] = Counter()
        settled: list[_Part] = []
        newest, factor = self.parts, 1
        while factor < self.settings.deepen:
            factor = min(2 * factor, self.settings.deepen)
            short = self._short(newest, f"{SHORT}/x{factor}")
            if not len(short):
                break
            settings = self.settings
            deeper = deepen(
                self.candidates,
                short,
                factor,
                settings.cpu_threads,
                progress=settings.progress,
                share=settings.share,
            )
            judges = open_judges(deeper, settings)
            for judge in judges:
                with self.run.timed(judge.column):
                    scored = judge.compute(progress=settings.progress, share=settings.share)
                counts["pairs_scored_deeper"] += scored.get("pairs_scored", 0)
            counts["queries_deepened"] = max(counts["queries_deepened"], len(short))
            settled += [replace(part, left_to_deeper=short) for part in newest]
            newest = _parts(Evidence(deeper, judges))
        self.parts = settled + newest
        return counts

    def _short(self, parts: Sequence[_Part], folder: str) -> Ints:
        """Return the rows of the queries that get too few negatives, ascending."""

        def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            verdicts = self._verdicts(parts[task.index])
            with outputs[0].open("wb") as file:
                save_array(file, verdicts.short_queries)
            return {}

        tasks = _tasks(folder.replace("/", "-"), folder + "/{:05d}.npy", parts)
        self.run.run("look for shortfall", "candidates", tasks, work)
        most = len(self.candidates.queries.texts)
        files = [self.run.path / task.outputs[0] for task in tasks]
        rows = [load_array(file, np.int64, low=0, below=most, mapped=False) for file in files]
        return np.sort(np.concatenate(rows))

    def score_lazily(self) -> Counts:
        """Score with the cross-encoder what the choice needs, with --lazy."""
        judges = self.parts[0].evidence.judges if self.parts else []
        lazy = [judge for judge in judges if isinstance(judge, LazyCrossEncoderJudge)]
        counts: Counts = {}
        for judge in lazy:
            with self.run.timed(judge.column):
                counts = judge.score_what(
                    lambda: [self._verdicts(part).to_score for part in self.parts],
                    progress=self.settings.progress,
                    share=self.settings.share,
                )
        return counts

    def share_out(self) -> Counts:
        """Settle which queries may use a document that too many have chosen."""
        most = self.settings.max_uses
        if most is None:
            return {}
        documents = self.candidates.index.documents
        self.shares = Shares.none(len(documents.canonical))

        def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            query, rows, noise = self._verdicts(self.parts[task.index]).uses
            with outputs[0].open("wb") as file:
                np.savez(file, query=query, slot=documents.slots(rows), noise=noise)
            return {}

        for turn in range(MOST_TURNS):
            folder = f"{USES}/{turn}"
            tasks = _tasks(folder.replace("/", "-"), folder + "/{:05d}.npz", self.parts)
            self.run.run(f"share out {turn + 1}", "candidates", tasks, work)
            files = [self.run.path / task.outputs[0] for task in tasks]
            uses = Uses.read(files, len(documents.canonical))
            self.shares, settled = self.shares.after(uses, most)
            if settled:
                return {"turns_to_share_out": turn + 1}
        self.shares = self.shares.closed()
        return {"turns_to_share_out": MOST_TURNS}

    def _verdicts(self, part: _Part) -> Verdicts:
        table = part.evidence.estimated(part.evidence.read(part.number), self.model)
        if len(part.left_to_deeper):
            here = ~np.isin(table["query_row"].to_numpy(), part.left_to_deeper)
            table = table.filter(pa.array(here))
        barred = None
        if self.shares is not None:
            slots = self.candidates.index.documents.slots(table["doc_row"].to_numpy())
            barred = self.shares.barred(table["query_row"].to_numpy(), slots)
        rank = "dense_rank" if self.settings.compat else "rank"
        sources = self.candidates.sources
        return Verdicts(table, self.settings, rank, self.more_rules, barred, sources)

    def write(self) -> Counts:
        """Write the tables and the training data."""
        run, tasks = self.run, self._final
        counts = run.run("filter", "candidates", tasks, self._write_part)
        hard = {
            name.removeprefix(OF_HARDNESS): counts.pop(name)
            for name in sorted(counts)
            if name.startswith(OF_HARDNESS)
        }

        def judge(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            found = Hardness.of(hard)
            about = canonical_json(found.as_json() if found else {})
            outputs[0].write_text(about, encoding="utf-8")
            return {}

        run.run("filter", "files", [Task("hardness", (HARDNESS,), 1)], judge)

        def merge(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            with pq.ParquetWriter(outputs[0], schema.SHORTFALL, compression="zstd") as writer:
                for part in tasks:
                    writer.write_table(pq.read_table(run.path / part.outputs[2]))
            return {}

        run.run("filter", "parts", [Task("shortfall", ("shortfall.parquet",), len(tasks))], merge)
        return counts

    def describe(self, counts: Mapping[str, Any]) -> None:
        """Write the card, once all that stands in the manifest is known."""
        manifest = {**self.run.plan, "counts": dict(counts)}

        def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            train = [self.run.path / part.outputs[1] for part in self._final]
            outputs[0].write_text(dataset_card(self.candidates, manifest, train), encoding="utf-8")
            return {}

        self.run.run("filter", "files", [Task("card", ("README.md",), 1)], work)

    @property
    def _final(self) -> list[Task]:
        """The tasks that write a part of scored/, of train/ and of the shortfall."""
        train = "train/train-{:05d}" + f"-of-{len(self.parts):05d}.parquet"
        names = ("scored/{:05d}.parquet", train, SHORTFALLS + "/{:05d}.parquet")
        return _tasks("filter", names, self.parts)

    def _write_part(self, task: Task, outputs: list[Path], tick: Tick) -> Counts:
        part = self._verdicts(self.parts[task.index])
        origin = self.parts[task.index].evidence.candidates
        check_table(origin, part.table, part.selected, part.serves_as_positive)
        write_candidates(part.scored(), outputs[0])
        train = LAYOUTS[self.settings.format](
            part.chosen(self.candidates), self.settings.num_negatives, self.settings.output_scores
        )
        pq.write_table(train, outputs[1], compression="zstd")
        short = tally.shortfall(part)
        pq.write_table(short, outputs[2], compression="zstd")
        dense = self.candidates.has_dense_scores
        sums = part.hardness(self.candidates.index.encoder.similarity if dense else "cosine")
        hard = {f"{OF_HARDNESS}{name}": value for name, value in sums.items()}
        return tally.counts(part) | hard | {"train_rows": len(train), "queries_short": len(short)}


def _parts(evidence: Evidence) -> list[_Part]:
    return [
        _Part(evidence, number, rows, np.empty(0, dtype=np.int64))
        for number, rows in enumerate(evidence.candidates.part_rows)
    ]


def _tasks(stage: str, outputs: str | Sequence[str], parts: Sequence[_Part]) -> list[Task]:
    """Make a task for each part; `{}` in the outputs is its number."""
    names = [outputs] if isinstance(outputs, str) else outputs
    return [
        Task(f"{stage}-{n:05d}", tuple(name.format(n) for name in names), part.rows, n)
        for n, part in enumerate(parts)
    ]
