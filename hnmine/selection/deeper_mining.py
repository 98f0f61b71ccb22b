"""Mine deeper for some queries: more candidates from every source."""

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


class DeeperCandidates(Candidates):
    """Candidates of some of the queries, from deeper in the ranking of every source."""

    def __init__(self, base: Candidates, path: Path, rows: Ints) -> None:
        self.path, self.paths = path, CandidatePaths(path)
        self.manifest = CandidatesManifest.read(path, "filter")
        self.index, self.queries, self._rows = base.index, base.queries, rows
        self._reach = base.manifest.sources

    @property
    def reach(self) -> dict[str, int]:
        """By source: how many candidates the shallower list of a query has."""
        return self._reach

    @property
    def mined(self) -> Ints:
        """The rows of the queries that were mined deeper."""
        return self._rows


def mine_deeper(
    base: Candidates,
    rows: Ints,
    factor: int,
    *,
    threads: int,
    device: str,
    progress: bool,
    share: Share,
) -> DeeperCandidates:
    """Mine some queries again, `factor` times as deep, or resume such a run.

    The result is cached beside the candidates, for every later `filter`.

    Args:
        base: the candidates; their queries, vectors and runs are reused.
        rows: of the queries, ascending.
        factor: by which the depth of each source is multiplied.
        threads: CPU threads.
        device: that searches vectors; it may be none of the machine that mined.
        progress: show a progress bar.
        share: the tasks that this process takes.
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
            here = {"threads": threads, "device": device}
            settings = manifest.settings.model_copy(update=here)
            mining = Mining.of(base.index, base.queries, base.paths, settings)
            previous = Previous(base.previous) if base.previous else None
            recipe = open_recipe(mining, depths, manifest.scores, previous)
            tasks = [
                Task(f"candidates-{n:05d}", (f"candidates/{n:05d}.parquet",), len(block), n * size)
                for n, block in enumerate(blocks(len(rows), size))
            ]
            run.finish(run.run(f"mine x{factor}", "queries", tasks, work))
    return DeeperCandidates(base, path, rows)
