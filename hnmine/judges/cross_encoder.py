"""Cross-encoder logits for every candidate, cached beside the candidates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.array_files import load_array, save_array
from hnmine.config import FilterSettings
from hnmine.directories.candidates import Candidates
from hnmine.encode import load_cross_encoder
from hnmine.encode.interface import CrossEncoder
from hnmine.encode.spec import ModelSpec
from hnmine.errors import InputError
from hnmine.judges.judge import place_of, scores_plan, spec_for
from hnmine.runner.plan import Task, blocks
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.runner.storage import fetch_run
from hnmine.runner.task_share import Share
from hnmine.schema import PAIRS_PER_TASK

ENOUGH = 32
"""With at least this many pairs and no finite score, the model is at fault, not the texts."""

SHOWN = 60
"""Characters of a query that an error shows."""


class CrossEncoderJudge:
    """Scores candidates by the raw logits of one cross-encoder, in files of a few thousand."""

    def __init__(
        self, candidates: Candidates, spec: ModelSpec, threads: int, column: str = "ce_score"
    ) -> None:
        self.candidates, self.spec, self.threads, self.column = candidates, spec, threads, column
        self.path = place_of(candidates, spec, "cross-encoder")

    @classmethod
    def open(
        cls, candidates: Candidates, model: str, settings: FilterSettings, column: str
    ) -> CrossEncoderJudge:
        """Open the judge as the settings of `filter` say."""
        spec = spec_for(candidates, model, settings, "cross-encoder")
        return CrossEncoderJudge(candidates, spec, settings.cpu_threads, column)

    def plan(self) -> dict[str, Any]:
        """Return what the logits depend on."""
        return self.spec.model_dump() | {"activation": "none"}

    @cached_property
    def _model(self) -> CrossEncoder:
        return load_cross_encoder(self.spec, self.threads)

    def compute(self, *, progress: bool, share: Share) -> Counts:
        """Score the pairs that are not cached; the model is loaded only for those."""
        plan = scores_plan(
            self.candidates, self.spec, activation="none", pairs_per_task=PAIRS_PER_TASK
        )
        with RunDirectory.open(self.path, plan, progress=progress, share=share, inner=True) as run:
            if not run.complete:
                counts = run.run("cross-encoder", "pairs", self._tasks(), self._score)
                self._check_some_finite(counts)
                run.finish(counts, model=self.spec.model)
            self._check_some_finite(run.manifest.get("counts", {}))
        fetch_run(self.path)
        return {"pairs_scored": sum(self.candidates.part_rows)}

    def read(self, part: int) -> NDArray[np.float32]:
        """Return the logits of one part of the candidates, row by row."""
        # Not from a listing: with many queries the folder holds hundreds of thousands of files.
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
        queries = self.candidates.queries.texts.texts(rows["query_row"].to_numpy())
        documents = self.candidates.index.documents.texts(rows["doc_row"].to_numpy())
        scores = self._model.score(queries, documents, tick)
        if len(scores) and not np.isfinite(scores).any() and self._is_at_fault(len(scores)):
            first = rows.slice(0, 1)
            ids = (
                self.candidates.queries.texts.id_array(first["query_row"].to_numpy())[0],
                self.candidates.index.documents.id_array(first["doc_row"].to_numpy())[0],
            )
            example = f"query {ids[0]} ({queries[0][:SHOWN]!r}) with document {ids[1]}"
            raise self._no_finite_score(len(scores), f", such as {example}")
        return scores

    def _is_at_fault(self, pairs: int) -> bool:
        """Return whether the model gives no finite score for plain texts either."""
        if pairs >= ENOUGH:
            return True
        plain = self._model.score(["What is it?"], ["It is this."], lambda done: None)
        return not np.isfinite(plain).all()

    def _check_some_finite(self, counts: Mapping[str, Any]) -> None:
        if 0 < counts.get("pairs", 0) == counts.get("not_finite", 0):
            raise self._no_finite_score(counts["pairs"])

    def _no_finite_score(self, pairs: int, example: str = "") -> InputError:
        dtype, backend = self.spec.dtype, self.spec.backend
        damaged = "the model is damaged (NaN in its weights): copy it again, or use another."
        return InputError(
            f"{self.spec.model} gave no finite score (NaN or infinite) for any of {pairs:,} pairs"
            f"{example}.",
            why=f"It ran in {dtype} on {backend}. Half precision can overflow, and a damaged model "
            "gives NaN.",
            fix="Pass --dtype fp32."
            if dtype != "fp32"
            else f"Pass --backend torch. If no score is finite there either, {damaged}"
            if backend == "openvino"
            else damaged[0].upper() + damaged[1:],
        )
