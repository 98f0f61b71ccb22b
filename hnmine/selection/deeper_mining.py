"""Mine deeper for some queries: more candidates from every source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import xxhash

from hnmine.config import MineSettings
from hnmine.directories.candidates import Candidates, write_candidates
from hnmine.directories.manifests import place_named, read_manifest
from hnmine.judges.judge import Judge
from hnmine.ragged import Ints
from hnmine.runner.plan import Task, blocks, versions_of
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.runner.task_share import Share
from hnmine.schema import VERSION, CandidatePaths
from hnmine.sources.fuse import mine_block
from hnmine.sources.previous import Previous
from hnmine.sources.recipe import open_recipe
from hnmine.sources.source import Asked, Mining

JudgeOpener = Callable[[Candidates], Sequence[Judge]]


class DeeperCandidates(Candidates):
    """Candidates of some of the queries, from deeper in the ranking of every source."""

    def __init__(self, base: Candidates, path: Path, rows: Ints) -> None:
        self.path, self.paths = path, CandidatePaths(path)
        self.manifest = read_manifest(path, "candidates", "filter")
        self.index, self.queries, self._rows = base.index, base.queries, rows

    @property
    def mined(self) -> Ints:
        """The rows of the queries that were mined deeper."""
        return self._rows


def mine_deeper(
    base: Candidates, rows: Ints, factor: int, threads: int, *, progress: bool, share: Share
) -> DeeperCandidates:
    """Mine some queries again, `factor` times as deep, or resume such a run.

    The result is cached beside the candidates, for every later `filter`.

    Args:
        base: the candidates; their queries, vectors and runs are reused.
        rows: of the queries, ascending.
        factor: by which the depth of each source is multiplied.
        threads: CPU threads.
        progress: show a progress bar.
        share: the tasks that this process takes.
    """
    name = f"x{factor}-{xxhash.xxh3_64_hexdigest(rows.tobytes())[:12]}"
    path = base.paths.deeper / name
    recorded = base.manifest["settings"]
    plan = base.manifest | {
        "schema_version": VERSION,
        "stage": "candidates",
        "deeper_than": base.hash,
        "factor": factor,
        "queries": xxhash.xxh3_128_hexdigest(rows.tobytes()),
        "libraries": versions_of(base.manifest["libraries"]),
    }
    plan.pop("counts")
    depths = {source: depth * factor for source, depth in base.manifest["sources"].items()}
    size = recorded["block_size"]

    def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
        asked = Asked(rows[task.index : task.index + task.size], base.queries)
        table = mine_block(asked, base.index.documents, recipe)
        write_candidates(table, outputs[0])
        return {"rows": table.num_rows}

    with RunDirectory.open(path, plan, progress=progress, share=share, inner=True) as run:
        if not run.complete:
            # Manifests record no locations; any in this one are ignored.
            known = {k: v for k, v in recorded.items() if k not in MineSettings.places()}
            settings = MineSettings.model_construct(**known | {"threads": threads})
            mining = Mining.of(base.index, base.queries, base.paths, settings)
            earlier = place_named(base.path, "previous")
            previous = Previous(earlier) if earlier else None
            recipe = open_recipe(mining, depths, base.manifest["scores"], previous)
            tasks = [
                Task(f"candidates-{n:05d}", (f"candidates/{n:05d}.parquet",), len(block), n * size)
                for n, block in enumerate(blocks(len(rows), size))
            ]
            run.finish(run.run(f"mine x{factor}", "queries", tasks, work))
    return DeeperCandidates(base, path, rows)
