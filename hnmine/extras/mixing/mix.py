"""`hnmine mix`: mix vectors of queries and hard negatives into synthetic negatives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hnmine import schema
from hnmine.array_files import save_array
from hnmine.config import MixSettings
from hnmine.directories.mined import Mined
from hnmine.directories.never_negatives import check_negatives
from hnmine.directories.parts import read_part, rows_of
from hnmine.errors import UsageError
from hnmine.extras.mixing.mixtures import Mixture, Parents, materialise, mixtures
from hnmine.ragged import Bools, Floats, Ints
from hnmine.results import Json, StageResult, base_plan
from hnmine.runner.plan import Task
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.sources.queryvectors import QueryVectors

SCORED = ["query_id", "doc_id", "rank", "label", "weight", "grade"]


def mix(settings: MixSettings) -> StageResult:
    """Mix vectors, or resume.

    Raises:
        HnmineError: the mined directory, its candidates or its index cannot be used.
    """
    mined = Mined(settings.mined, settings.candidates, settings.index)
    mixing = _Mixing(settings, mined)
    plan = base_plan("mixed", settings) | {"mined": mined.hash}
    with RunDirectory.open(settings.output, plan, **settings.manner) as run:
        if not run.complete:
            run.finish(run.run("mix", "rows", mixing.tasks(), mixing.work))
        manifest = run.manifest
    return StageResult(settings.output, manifest["counts"], manifest)


class _Mixing:
    """The tasks of a run and the data that they share."""

    def __init__(self, settings: MixSettings, mined: Mined) -> None:
        self.settings, self.candidates = settings, mined.candidates
        if not self.candidates.has_dense_scores:
            raise UsageError(
                "The candidates have no vectors to mix.",
                why=f"The candidates at {self.candidates.path} were mined without an encoder.",
                fix="Build the index with --encoder, and mine with --source dense.",
            )
        threads = settings.cpu_threads
        self.documents = self.candidates.index.documents
        self.document_vectors = self.candidates.index.vectors(threads)
        self.query_vectors = QueryVectors(
            self.candidates.paths,
            self.candidates.queries,
            threads,
            self.candidates.index.encoder.similarity,
        )
        self.parts = mined.parts

    def tasks(self) -> list[Task]:
        tasks = []
        for n, part in enumerate(self.parts):
            outputs: tuple[str, ...] = (f"mixtures/{n:05d}.parquet",)
            if self.settings.vectors:
                outputs += (f"vectors/{n:05d}.npy",)
            tasks.append(Task(f"mix-{n:05d}", outputs, rows_of(part), n))
        return tasks

    def work(self, task: Task, outputs: list[Path], tick: Tick) -> Counts:
        table = read_part(self.parts[task.index], SCORED)
        table = table.filter(pc.is_valid(table["label"]))
        query_ids = table["query_id"].to_pylist()
        queries = self.candidates.queries.texts.find_ids(query_ids)
        documents = self.documents.find_ids(table["doc_id"].to_pylist())
        self._check(table["label"].to_numpy() == 0, queries, documents)
        starts = [n for n in range(len(query_ids)) if n == 0 or query_ids[n] != query_ids[n - 1]]
        rows: list[Json] = []
        vectors: list[Floats] = []
        short = 0
        for start, stop in zip(starts, [*starts[1:], len(query_ids)], strict=False):
            part = table.slice(start, stop - start)
            found, mixed = self._of_query(part, queries[start : start + 1], documents[start:stop])
            rows += found
            vectors.append(mixed)
            short += len(found) < sum(self.settings.mixtures.values())
            tick(stop - start)
        pq.write_table(pa.Table.from_pylist(rows, schema.MIXED), outputs[0], compression="zstd")
        if self.settings.vectors:
            empty = np.empty((0, self.document_vectors.dimension))
            with outputs[1].open("wb") as file:
                save_array(file, np.concatenate([empty, *vectors]).astype(np.float32))
        return {"mixtures": len(rows), "queries": len(vectors), "queries_short": short}

    def _check(self, negative: Bools, query: Ints, document: Ints) -> None:
        check_negatives(
            self.candidates,
            self.settings.mined,
            (query[negative], document[negative]),
            (query[~negative], document[~negative]),
        )

    def _of_query(self, table: pa.Table, row: Ints, documents: Ints) -> tuple[list[Json], Floats]:
        """Return the recipes of one query, and their vectors, shape (mixtures, dimension).

        Args:
            table: its labelled rows of scored/.
            row: of the query in queries/, shape (1,).
            documents: the rows of its documents in the index, shape (rows,).
        """
        query_id, ids = table["query_id"][0].as_py(), table["doc_id"].to_pylist()
        slots = self.documents.slots(documents)
        label = table["label"].to_numpy()
        rank = table["rank"].fill_null(-1).to_numpy()
        parents = Parents(
            query_id,
            self.query_vectors.directions(row)[0].astype(np.float64),
            self.document_vectors.directions(slots).astype(np.float64),
            sorted(np.flatnonzero(label == 0).tolist(), key=lambda at: int(rank[at])),
            np.flatnonzero(label == 1).tolist(),
        )
        made: list[tuple[str, Mixture]] = [
            (by, mixture)
            for by, n in self.settings.mixtures.items()
            for mixture in mixtures(by, n, parents, self.settings.seed, self.settings.neighbours)
        ]
        weight, grade = _of_parents(table, parents.positives)
        recipes = [
            {
                "query_id": query_id,
                "by": by,
                "first_id": None if one.first is None else ids[one.first],
                "second_id": ids[one.second],
                "first_weight": one.first_weight,
                "second_weight": one.second_weight,
                "weight": one.mean(weight),
                "grade": _known(one.mean(grade)),
            }
            for by, one in made
        ]
        pool = np.concatenate([parents.documents, parents.query[None]])
        vectors = materialise(
            pool[[-1 if one.first is None else one.first for _, one in made]],
            pool[[one.second for _, one in made]],
            np.array([one.first_weight for _, one in made]),
            np.array([one.second_weight for _, one in made]),
        )
        return recipes, vectors


def _of_parents(table: pa.Table, positives: list[int]) -> tuple[Floats, Floats]:
    """Return the weight and the grade of each parent, NaN if unknown, the query's own last.

    The query and its positives have the weight 1. The query has the grade of its best positive.
    """
    weight = table["weight"].cast(pa.float64()).fill_null(1.0).to_numpy()
    grade = table["grade"].cast(pa.float64()).fill_null(np.nan).to_numpy()
    graded = grade[positives][~np.isnan(grade[positives])]
    return np.append(weight, 1.0), np.append(grade, graded.max() if len(graded) else np.nan)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
