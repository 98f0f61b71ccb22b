"""Choices of negatives from the safest to the one asked for, each with a random draw from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hnmine.errors import damage_explained
from hnmine.expressions.evaluation import number
from hnmine.guarantee.certify import Draw, Pair
from hnmine.ragged import Bools, Floats
from hnmine.relevance.evidence import numbers
from hnmine.runner.plan import Task
from hnmine.runner.run_directory import Counts, Tick
from hnmine.schema import STATE
from hnmine.selection.criteria import default_order
from hnmine.selection.scored_parts import Selection
from hnmine.selection.verdicts import Verdicts
from hnmine.sheets.draw import draw_noise

DRAWS = f"{STATE}/draws"
"""Folder for the draws of each step, until the run is finished."""

ABOVE = (0.75, 0.5, 0.3, 0.15, 0.05)
"""Of a choice without a price of depth, shares of its negatives whose relevance is above the
highest that a safer step allows. More steps would need more judgements."""

LEAST_YIELD = 0.9
"""Share of the negatives of the choice asked for that a step must find."""

MOST_DRAWN = 1 << 14
"""Pairs of a step that may be drawn."""

ROWS = pa.schema(
    {
        "query_id": pa.string(),
        "doc_id": pa.string(),
        "order": pa.uint64(),
        "relevance": pa.float32(),
    }
)


@dataclass(frozen=True)
class Step:
    """A choice, and the first pairs of a random draw from it.

    Attributes:
        selection: that makes the choice.
        highest: relevance above which no candidate is chosen; None without this rule.
        negatives: number of chosen pairs.
        mean_depth: of the chosen pairs.
        asked: negatives that were asked for.
        rows: the first pairs, as `ROWS`.
    """

    selection: Selection
    highest: float | None
    negatives: int
    mean_depth: float
    asked: int
    rows: pa.Table

    @property
    def draw(self) -> Draw:
        """The pairs as ids."""
        return Draw(self.negatives, pairs_of(self.rows))


def pairs_of(rows: pa.Table) -> list[Pair]:
    """Return the ids of rows."""
    return list(zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True))


def safest_first(
    selection: Selection, seed: int, most_uses: int | None, prices: Sequence[float]
) -> list[Step]:
    """Return the steps that find enough negatives, the safest first.

    Neither verdicts nor known positives decide which steps there are.

    Args:
        selection: the choice asked for, with what may be chosen settled.
        seed: of the draw.
        most_uses: queries that may share a document.
        prices: of depth, at which the default choice is made more safely, ascending; empty for
            another choice.
    """
    asked = _draw(selection, None, "asked", seed)
    steps = []
    for place, (safer, highest) in enumerate(_safer(selection, prices)):
        safer.cap_documents(most_uses, f"step-{place}/")
        step = _draw(safer, highest, f"{place}", seed)
        if step.negatives >= LEAST_YIELD * asked.negatives:
            steps.append(step)
    return [*steps, asked]


def _safer(
    selection: Selection, prices: Sequence[float]
) -> Iterator[tuple[Selection, float | None]]:
    """Yield the safer selections, the safest first, and the highest relevance that each allows."""
    if prices:
        for price in prices:
            yield selection.altered(order=default_order(price)), None
        return
    of_asked = _relevance(selection)
    for above in ABOVE if len(of_asked) else ():
        highest = float(np.float32(np.quantile(of_asked, 1 - above)))
        rule = ("max-false", f"relevance <= {number(highest)}")
        yield selection.altered(rule), highest


def known_positives(selection: Selection, seed: int) -> pa.Table:
    """Return some known positives in random order, as `ROWS`."""

    def rows(verdicts: Verdicts) -> pa.Table:
        return _first(verdicts, verdicts.is_positive, seed)

    return _merged(_run(selection, "positives", rows)[1])


def _relevance(selection: Selection) -> Floats:
    """Return the relevance of the chosen negatives."""
    folder = f"{DRAWS}/relevance"

    def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
        verdicts = selection.verdicts(selection.parts[task.index])
        values = verdicts.table["relevance"].filter(pa.array(verdicts.selected))
        pq.write_table(pa.table({"relevance": values}), outputs[0])
        return {}

    tasks = selection.tasks("relevance", (f"{folder}/{{:05d}}.parquet",))
    selection.run.run("measure relevance", "candidates", tasks, work)
    files = [selection.run.path / task.outputs[0] for task in tasks]
    return np.concatenate([numbers(_read(file)["relevance"]) for file in files])


def _draw(selection: Selection, highest: float | None, name: str, seed: int) -> Step:
    def rows(verdicts: Verdicts) -> pa.Table:
        return _first(verdicts, verdicts.selected, seed)

    counts, tables = _run(selection, name, rows)
    depth = counts["depth"] / max(1, counts["negatives"])
    negatives, asked = counts["negatives"], counts["asked"]
    return Step(selection, highest, negatives, depth, asked, _merged(tables))


def _run(
    selection: Selection, name: str, rows_of: Callable[[Verdicts], pa.Table]
) -> tuple[Counts, Iterator[pa.Table]]:
    def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
        verdicts = selection.verdicts(selection.parts[task.index])
        pq.write_table(rows_of(verdicts), outputs[0], compression="zstd")
        depth = "depth" if "depth" in verdicts.table.column_names else "rank"
        depths = numbers(verdicts.table[depth])[verdicts.selected]
        return {
            "negatives": int(verdicts.selected.sum()),
            "depth": round(float(np.nan_to_num(depths).sum())),
            "asked": int(verdicts.asked.sum()),
        }

    tasks = selection.tasks(f"draw-{name}", (f"{DRAWS}/{name}/{{:05d}}.parquet",))
    counts = selection.run.run("draw negatives", "candidates", tasks, work)
    return counts, (_read(selection.run.path / task.outputs[0]) for task in tasks)


def _first(verdicts: Verdicts, among: Bools, seed: int) -> pa.Table:
    """Return the first rows of a random draw, in its order."""
    rows = verdicts.table.filter(pa.array(among)).select(["query_id", "doc_id", "relevance"])
    order = draw_noise(seed, rows["query_id"].to_pylist(), rows["doc_id"].to_pylist())
    rows = rows.add_column(2, "order", pa.array(order)).cast(ROWS)
    return _in_order(rows)


def _in_order(rows: pa.Table) -> pa.Table:
    by = [("order", "ascending"), ("query_id", "ascending"), ("doc_id", "ascending")]
    return rows.sort_by(by).slice(0, MOST_DRAWN)


def _merged(tables: Iterator[pa.Table]) -> pa.Table:
    merged = ROWS.empty_table()
    for table in tables:
        merged = _in_order(pa.concat_tables([merged, table]))
    return merged


def _read(file: Path) -> pa.Table:
    with damage_explained(file):
        return pq.read_table(file)
