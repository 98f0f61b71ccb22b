"""The command line under test: build an index, mine, filter once for each arm; resumable."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.protocol import Judged, read_judged, split
from benchmarks.quality.table import Table, load
from hnmine.cli import app


@dataclass(frozen=True)
class Plan:
    """What is run on every collection.

    Args:
        output: where everything is kept; what is there already is used again.
        encoder: the bi-encoder, as `hnmine build-index` takes it.
        cross_encoder: the cross-encoder, as `hnmine filter` takes it.
        mine: further flags of `hnmine mine`.
        arms: flags of `hnmine filter`, by the name under which they are reported.
        grades: from which grade on a judgement means relevant, by collection; 1 for all others.
        queries: at most so many queries of a collection.
        asked: negatives asked for each query.
    """

    output: Path
    encoder: str
    cross_encoder: str
    mine: Sequence[str]
    arms: Mapping[str, Sequence[str]]
    grades: Mapping[str, float]
    queries: int = 300
    asked: int = 5


@dataclass(frozen=True)
class Case:
    """One collection with one seed: what was judged, and what each arm scored and chose."""

    collection: str
    seed: int
    index: Path
    judged: Judged
    tables: dict[str, Table]

    @property
    def table(self) -> Table:
        """The arm with the most judges: all rules are compared on its candidates."""
        return max(self.tables.values(), key=lambda table: len(table.judges))


def run(plan: Plan, collection: Path, seed: int) -> Case | None:
    """Mine a collection with one known positive for each query, and read what came out.

    Returns:
        The case, or None for a collection without a second positive of any query.

    Raises:
        RuntimeError: a command failed; the message is its own.
    """
    home = plan.output / collection.name
    index, work = home / "index", home / f"seed-{seed}"
    grade = plan.grades.get(collection.name, 1.0)
    split(collection, work, plan.queries, seed, grade)
    judged = read_judged(collection, work, grade)
    if not any(judged.hidden.values()):
        return None
    how = ("--on-bad-row", "skip", "--dtype", "fp32")  # The precision of the peers' vectors.
    corpus = collection / "corpus.parquet"
    hnmine("build-index", "--corpus", corpus, "--encoder", plan.encoder, "--index", index, *how)
    given = ("--queries", work / "queries.parquet", "--qrels", work / "qrels.parquet")
    hnmine("mine", "--index", index, *given, "--output", work / "candidates", *plan.mine)
    tables = {}
    for name, flags in plan.arms.items():
        mined = work / "arms" / "".join(c if c.isalnum() else "-" for c in name)
        asked = ("--num-negatives", plan.asked, "--overwrite")
        hnmine("filter", "--candidates", work / "candidates", "--output", mined, *asked, *flags)
        tables[name] = load(mined, index, judged)
    return Case(collection.name, seed, index, judged, tables)


def hnmine(*arguments: object) -> None:
    """Run a command in this process, which loads each model once for all of them.

    Raises:
        RuntimeError: it failed; the message is the command, then its own.
    """
    command = [*map(str, arguments), "--no-progress"]
    said = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(said):
        failed = app(command, standalone_mode=False)
    if failed:
        raise RuntimeError(f"hnmine {' '.join(command)}\n{said.getvalue()}")
