"""`hnmine mine`: find candidates for every query, from every source."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hnmine.array_files import save_array
from hnmine.config import MineSettings
from hnmine.directories.candidates import write_candidates
from hnmine.directories.index import Index
from hnmine.directories.queries import Queries
from hnmine.errors import InputError, UsageError
from hnmine.expressions.evaluation import references
from hnmine.index.clusters import centres_of, nearest_centre
from hnmine.inputs.opening import labels_of, open_inputs, read_judgements, read_pairs, read_queries
from hnmine.inputs.table_reader import BadRows
from hnmine.inputs.texts import Texts, write_texts
from hnmine.names import column_of, rank_of, repeated, score_of
from hnmine.results import StageResult, base_plan
from hnmine.runner.plan import Task, blocks
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.runner.urls import name_of
from hnmine.schema import QUERIES_PER_TASK, CandidatePaths
from hnmine.sources import SOURCES
from hnmine.sources.fuse import mine_block
from hnmine.sources.positives import write_grades, write_positives
from hnmine.sources.previous import Previous
from hnmine.sources.query_encoding import QueryEncoding
from hnmine.sources.recipe import open_recipe
from hnmine.sources.run_file import RunFile, write_run
from hnmine.sources.source import Asked, Mining


def mine(settings: MineSettings) -> StageResult:
    """Mine candidates, or resume such a run.

    Raises:
        HnmineError: an input, the index, a model or a setting cannot be used.
    """
    miner = _Miner(settings)
    plan = base_plan("candidates", settings, miner.uses, SOURCES.packages(miner.depths)) | {
        "inputs": {kind: table.fingerprint() for kind, table in miner.inputs.items()}
        | miner.encoding.fingerprints,
        "index": miner.index.hash,
        "sources": miner.depths,
        "scores": miner.scores,
        "encoder": miner.spec.model_dump() if miner.spec else None,
        "exactness": miner.spec.exactness if miner.spec else None,
        "runs": {run.column: run.fingerprint() for run in miner.runs},
        "previous": miner.previous.hash if miner.previous else None,
    }
    with RunDirectory.open(settings.output, plan, **settings.manner) as run:
        if not run.complete:
            steps = (miner.queries, miner.encode, miner.read_runs, miner.cluster, miner.search)
            counts: dict[str, int] = {}
            for step in steps:
                counts |= step(run)
            previous = settings.previous and name_of(settings.previous)
            run.finish(counts, index=name_of(settings.index), previous=previous)
        manifest = run.manifest
    return StageResult(settings.output, manifest["counts"], manifest)


class _Miner:
    """The steps that write a candidates directory."""

    def __init__(self, settings: MineSettings) -> None:
        self.settings = settings
        self.threads = settings.cpu_threads
        self.paths = CandidatePaths(settings.output)
        self.index = Index(settings.index)
        self.previous = Previous(settings.previous) if settings.previous else None
        self.runs = [
            RunFile(path, settings.columns("run"), settings.reading) for path in settings.from_run
        ]
        self.depths = self._choose_sources()
        self.encoding = QueryEncoding(settings, self.index)
        self.spec = self.encoding.spec
        if "dense" in self.scores:
            self.encoding.check()
        texts = [*settings.constraint, *settings.attribute.values(), settings.matching or "true"]
        asked = {names[1] for text in texts for names in references(text) if len(names) > 1}
        self.inputs = open_inputs(settings, ("pairs", "queries", "qrels"), asked)
        pairs = self.inputs.get("pairs")
        if "judged" in self.depths and pairs and not (pairs.negatives or "label" in pairs.columns):
            raise UsageError(
                "source: judged needs --qrels, or pairs with labels or negatives.",
                why=f"{pairs.path} has neither a column of labels nor one of negatives.",
                fix="Leave --source judged out.",
            )

    def _choose_sources(self) -> dict[str, int]:
        """Return how many candidates to take from each source."""
        settings = self.settings
        built = [name for name in ("bm25", "dense") if getattr(self.index.settings, name)]
        for name in settings.depths:
            SOURCES[name].load()  # What cannot be loaded is to fail before anything is encoded.
            needed = name.partition("-")[0]
            if needed in ("bm25", "dense") and needed not in built:
                raise UsageError(
                    f"--source {name}: the index at {self.index.path} has no {needed} part.",
                    why=f"It was built with: {', '.join(built)}.",
                    fix=f"Leave --source {name} out, or build the index without --no-{needed}.",
                )
        depths = settings.depths or dict.fromkeys(built, settings.top_k)
        if settings.matching:
            depths = {"matching": settings.top_k} | depths
        of_runs = depths.pop("run", settings.top_k)
        for run in self.runs:
            if run.column in map(column_of, depths):
                raise UsageError(
                    f"Two runs would become {run.column}.",
                    why="A run's columns are named after its file.",
                    fix="Rename one file.",
                )
            depths[run.column] = of_runs
        taken = [f(name) for name in depths for f in (rank_of, score_of)]
        if again := repeated(settings.attribute, taken):
            raise UsageError(
                f"--attribute {again} is the name of a source's column.",
                why="A run's columns are named after its file.",
                fix="Choose another name.",
            )
        return depths

    @property
    def scores(self) -> list[str]:
        """The sources that score all candidates.

        The dense index does unless only BM25 is searched, which needs no encoder. BM25 does if it
        is fast or searched anyway.
        """
        words_alone = all(name.startswith("bm25") for name in self.depths)
        dense = self.spec is not None and not words_alone
        fast = self.index.settings.bm25 and self.settings.bm25_engine == "hnmine"
        return ["dense"] * dense + ["bm25"] * (fast or "bm25" in self.depths)

    @property
    def uses(self) -> list[str]:
        """The libraries that the candidates depend on, as keys of `LIBRARIES`."""
        settings, searched = self.settings, {*self.scores, *self.depths}
        words = any(name.startswith("bm25") for name in searched)
        used = {
            "compiled": True,
            "bm25": words,
            "rank-bm25": words and settings.bm25_engine == "rank-bm25",
            "faiss": "dense" in self.scores or settings.clusters is not None,
            "expressions": settings.constraint or settings.attribute or settings.matching,
        }
        encodes = [self.spec.backend] if "dense" in self.scores and self.spec else []
        return [*encodes, *(name for name, is_used in used.items() if is_used)]

    def queries(self, run: RunDirectory) -> Counts:
        rows = sum(table.count_rows() for table in self.inputs.values())

        def work(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            bad = BadRows(self.settings.on_bad_row)
            read = partial(read_queries, self.inputs)
            written = write_texts(read, outputs[0], QUERIES_PER_TASK, bad, tick)
            # Bad rows of pairs were reported when their queries were read.
            again = BadRows("skip") if "pairs" in self.inputs else bad
            queries = Texts(outputs[0])
            labels = labels_of(self.inputs, self.settings, bad)
            pairs = write_positives(
                read_pairs(self.inputs, self.settings.min_grade, again, labels),
                queries,
                self.index.documents,
                self.settings.pairs or self.settings.qrels or "",
                bad,
            )
            known = {}
            if judgements := read_judgements(self.inputs, labels):
                least = self.settings.min_grade
                known = write_grades(judgements, queries, self.index.documents, least)
            mined = len(Queries(outputs[0], self.index.documents).mined)
            if not mined:
                raise InputError(
                    "No query has a positive in the index.",
                    why="\n".join(
                        [
                            f"Of {written['rows']:,} queries, {pairs['pairs']:,} pairs join.",
                            *bad.examples,
                        ]
                    ),
                    fix="Check --min-grade, and that the index was built from the corpus of these "
                    "pairs.",
                )
            skipped = {f"skipped {reason}": count for reason, count in bad.counts.items()}
            return {
                "queries": written["rows"],
                "queries_without_positive": written["rows"] - mined,
                **pairs,
                **known,
                **skipped,
            }

        return run.run("queries", "rows", [Task("queries", ("queries",), 2 * rows)], work)

    @cached_property
    def _written(self) -> Queries:
        """The queries and their positives, after `queries`."""
        return Queries(self.paths.queries, self.index.documents)

    def encode(self, run: RunDirectory) -> Counts:
        """Encode the queries, each distinct text once, or read their vectors."""
        if "dense" not in self.scores:
            return {}
        return self.encoding.write(run, self._written, self.inputs)

    def read_runs(self, run: RunDirectory) -> Counts:
        """Read the runs of other systems."""
        runs = self.runs

        def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            bad = BadRows(self.settings.on_bad_row)
            given = runs[task.index]
            found = write_run(given, outputs[0], self._written, self.index.documents, bad)
            return found | {f"skipped {reason}": count for reason, count in bad.counts.items()}

        tasks = [Task(run.column, (f"runs/{run.column}",), 1, n) for n, run in enumerate(runs)]
        return run.run("read runs", "runs", tasks, work)

    def cluster(self, run: RunDirectory) -> Counts:
        """Cluster the documents by their vectors, with --clusters."""
        clusters = self.settings.clusters
        if clusters is None:
            return {}

        if not self.index.settings.dense:
            raise UsageError("--clusters needs a dense index.", fix="Build one with --encoder.")
        vectors = self.index.vectors(self.threads)
        if vectors.count < clusters:
            raise UsageError(
                f"--clusters {clusters:,} exceeds the number of documents ({vectors.count:,}).",
                fix="Lower --clusters.",
            )

        def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            centres = centres_of(vectors, clusters, self.settings.seed)
            save_array(outputs[0], nearest_centre(vectors, centres, tick))
            save_array(outputs[1], centres)
            return {}

        task = Task("clusters", ("clusters.npy", "centres.npy"), vectors.count)
        return run.run("cluster", "documents", [task], work)

    def search(self, run: RunDirectory) -> Counts:
        """Search for all queries, block by block."""
        queries = self._written
        tasks = [
            Task(f"candidates-{n:05d}", (f"candidates/{n:05d}.parquet",), len(block), n)
            for n, block in enumerate(blocks(len(queries.mined), self.settings.block_size))
        ]
        recipe = open_recipe(
            Mining.of(self.index, queries, self.paths, self.settings),
            self.depths,
            self.scores,
            self.previous,
        )

        def work(task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
            start = task.index * self.settings.block_size
            asked = Asked(queries.mined[start : start + task.size], queries)
            table = mine_block(asked, self.index.documents, recipe)
            write_candidates(table, outputs[0])
            return _count(table, list(recipe.sources))

        return run.run("mine", "queries", tasks, work, passed_on=False)


def _count(table: pa.Table, sources: list[str]) -> dict[str, int]:
    candidate = pc.is_valid(table["rank"])
    total = partial(pc.sum, min_count=0)
    return {
        "candidates": total(candidate).as_py(),
        **{
            f"candidates_from_{name}": total(
                pc.and_(candidate, pc.is_valid(table[rank_of(name)]))
            ).as_py()
            for name in sources
        },
    }
