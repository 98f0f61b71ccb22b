"""Candidates from deeper in the lists, for the queries that have too few survivors."""

from __future__ import annotations

from pathlib import Path

import xxhash

from hnmine.directories.candidates import Candidates, write_candidates
from hnmine.directories.manifests import CandidatesManifest
from hnmine.ragged import Ints
from hnmine.runner.plan import Task, blocks, versions_of
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.runner.task_share import Share
from hnmine.schema import VERSION, CandidatePaths
from hnmine.sources.fuse import mine_block
from hnmine.sources.previous import Previous
from hnmine.sources.recipe import open_recipe
from hnmine.sources.source import Asked, Mining


def deepen(
    base: Candidates, rows: Ints, factor: int, threads: int, *, progress: bool, share: Share
) -> Deeper:
    """Mine some queries again, `factor` times as deep, or go on with a run that was begun.

    The result stands beside the candidates that it goes beyond, for every later `filter`.

    Args:
        base: the candidates; their queries, vectors and runs are used again.
        rows: the queries, ascending.
        factor: of the depth of each source.
        threads: CPU threads.
        progress: show a bar.
        share: the part of this process in the run.
    """
    name = f"x{factor}-{xxhash.xxh3_64_hexdigest(rows.tobytes())[:12]}"
    path = base.paths.deeper / name
    manifest = base.manifest
    plan = manifest.recorded | {
        "schema_version": VERSION,
        "stage": "candidates",
        "deeper_than": base.hash,
        "factor": factor,
        "queries": xxhash.xxh3_128_hexdigest(rows.tobytes()),
        "libraries": versions_of(manifest.libraries),
    }
    plan.pop("counts")
    depths = {source: depth * factor for source, depth in manifest.sources.items()}
    size = manifest.settings.block_size

    def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
        asked = Asked(rows[task.index : task.index + task.size], base.queries)
        table = mine_block(asked, base.index.documents, recipe)
        write_candidates(table, outputs[0])
        return {"rows": table.num_rows}

    with RunDirectory.open(path, plan, progress=progress, share=share, inner=True) as run:
        if not run.complete:
            mine_settings = manifest.settings.model_copy(update={"threads": threads})
            mining = Mining(base.index, base.queries, base.paths, mine_settings)
            previous = Previous(base.previous) if base.previous else None
            recipe = open_recipe(mining, depths, manifest.scores, previous)
            tasks = [
                Task(f"candidates-{n:05d}", (f"candidates/{n:05d}.parquet",), len(block), n * size)
                for n, block in enumerate(blocks(len(rows), size))
            ]
            run.finish(run.run(f"mine x{factor}", "queries", tasks, work))
    return Deeper(base, path, rows)


class Deeper(Candidates):
    """Candidates of some of the queries, from deeper in the lists."""

    def __init__(self, base: Candidates, path: Path, rows: Ints) -> None:
        self.path, self.paths = path, CandidatePaths(path)
        self.manifest = CandidatesManifest.read(path, "filter")
        self.index, self.queries, self._rows = base.index, base.queries, rows

    @property
    def mined(self) -> Ints:
        """The rows of the queries that were mined again."""
        return self._rows
