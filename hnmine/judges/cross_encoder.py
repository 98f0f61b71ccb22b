"""Cross-encoder logits for every candidate, kept beside the candidates and never computed twice."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.candidates import Candidates
from hnmine.data.arrays import load_array
from hnmine.encode import load_cross_encoder
from hnmine.encode.base import CrossEncoder
from hnmine.encode.spec import ModelSpec
from hnmine.judges.base import place_of, scores_plan
from hnmine.tasks.arrays import save_array
from hnmine.tasks.plan import PAIRS_PER_TASK, Task, blocks
from hnmine.tasks.run import Counts, RunDirectory, Tick
from hnmine.tasks.share import Share
from hnmine.tasks.storage import fetch_run


class CrossEncoderJudge:
    """The raw logits of one cross-encoder, in files of a few thousand."""

    def __init__(
        self, candidates: Candidates, spec: ModelSpec, threads: int, column: str = "ce_score"
    ) -> None:
        self.candidates, self.spec, self.threads, self.column = candidates, spec, threads, column
        self.path = place_of(candidates, spec, "cross-encoder")

    def plan(self) -> dict[str, Any]:
        """Return what the logits depend on."""
        return self.spec.model_dump() | {"activation": "none"}

    @cached_property
    def _model(self) -> CrossEncoder:
        return load_cross_encoder(self.spec, self.threads)

    def compute(self, *, progress: bool, share: Share) -> Counts:
        """Score what has no score yet; without anything to do, the model is not even loaded."""
        plan = scores_plan(
            self.candidates, self.spec, activation="none", pairs_per_task=PAIRS_PER_TASK
        )
        with RunDirectory.open(self.path, plan, progress=progress, share=share, inner=True) as run:
            if not run.complete:
                run.finish(run.run("cross-encoder", "pairs", self._tasks(), self._score))
        fetch_run(self.path)
        return {"pairs_scored": sum(self.candidates.part_rows)}

    def read(self, part: int) -> NDArray[np.float32]:
        """Return the logits of one part of the candidates, row by row."""
        # The folder is not listed: with many queries it holds hundreds of thousands of files.
        parts = [
            load_array(
                self.path / f"{part:05d}-{n:05d}.npy", np.float32, (len(block),), mapped=False
            )
            for n, block in enumerate(blocks(self.candidates.part_rows[part], PAIRS_PER_TASK))
        ]
        return np.concatenate([np.empty(0, np.float32), *parts])

    def _tasks(self) -> list[Task]:
        return [
            Task(f"{part:05d}-{n:05d}", (f"{part:05d}-{n:05d}.npy",), len(block), part)
            for part, rows in enumerate(self.candidates.part_rows)
            for n, block in enumerate(blocks(rows, PAIRS_PER_TASK))
        ]

    def _score(self, task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
        start = int(task.name.partition("-")[2]) * PAIRS_PER_TASK
        rows = self.candidates.read(task.index, ["query_row", "doc_row"]).slice(start, task.size)
        logits = self._logits(rows, tick)
        with outputs[0].open("wb") as file:
            save_array(file, logits)
        return {"pairs": task.size, "not_finite": int((~np.isfinite(logits)).sum())}

    def _logits(self, rows: pa.Table, tick: Tick) -> NDArray[np.float32]:
        """Score rows of the candidates."""
        queries = self.candidates.queries.texts.texts(rows["query_row"].to_numpy())
        documents = self.candidates.index.documents.texts(rows["doc_row"].to_numpy())
        return self._model.score(queries, documents, tick)
