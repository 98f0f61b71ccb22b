"""Scores of an additional bi-encoder: cosines, or dot products if its own files say so."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnmine.array_files import load_array, save_array
from hnmine.config import FilterSettings
from hnmine.directories.candidates import Candidates
from hnmine.encode import load_encoder
from hnmine.encode.declared import explained
from hnmine.encode.interface import Encoder
from hnmine.encode.spec import ModelSpec
from hnmine.index.dense_index import DenseIndex
from hnmine.index.stored import write_vectors
from hnmine.judges.judge import place_of, scores_plan, spec_for
from hnmine.ragged import offsets_of
from hnmine.runner import incidents
from hnmine.runner.plan import Task, blocks
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.runner.storage import fetch_run
from hnmine.runner.task_share import Share
from hnmine.schema import STATE

DOCUMENTS_PER_TASK = 4096
DOCUMENTS = f"{STATE}/documents"
"""Folder of the documents' vectors, until all scores are computed."""


class BiEncoderJudge:
    """Scores candidates by the similarity of one bi-encoder's vectors."""

    def __init__(self, candidates: Candidates, spec: ModelSpec, threads: int, column: str) -> None:
        self.candidates, self.spec, self.threads, self.column = candidates, spec, threads, column
        self.path = place_of(candidates, spec, "encoder")

    @classmethod
    def open(
        cls, candidates: Candidates, model: str, settings: FilterSettings, column: str
    ) -> BiEncoderJudge:
        """Open the judge as the settings of `filter` say."""
        spec = spec_for(candidates, model, settings, "encoder")
        return BiEncoderJudge(candidates, spec, settings.cpu_threads, column)

    def plan(self) -> dict[str, Any]:
        """Return what the scores depend on."""
        return self.spec.model_dump()

    def compute(self, *, progress: bool, share: Share) -> Counts:
        """Encode each candidate document once, then the queries, and cache the scores."""
        plan = scores_plan(
            self.candidates, self.spec, ["compiled"], documents_per_task=DOCUMENTS_PER_TASK
        )
        with RunDirectory.open(
            self.path, plan, progress=progress, share=share, passing=(DOCUMENTS,), inner=True
        ) as run:
            if not run.complete:
                if share.index == 0 and (said := explained(self.spec)):
                    incidents.note(said)
                run.finish(self._run(run))
        fetch_run(self.path)
        return {}

    def read(self, part: int) -> NDArray[np.float32]:
        """Return the scores of one part of the candidates, row by row."""
        rows = self.candidates.part_rows[part]
        return load_array(self.path / f"{part:05d}.npy", np.float32, (rows,), mapped=False)

    @cached_property
    def _encoder(self) -> Encoder:
        return load_encoder(self.spec, self.threads)

    def _run(self, run: RunDirectory) -> Counts:
        candidates, documents = self.candidates, self.candidates.index.documents
        listed = f"{DOCUMENTS}/slots.npy"

        def find(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            wanted = np.zeros(len(documents.canonical), dtype=bool)
            for part, rows in enumerate(candidates.part_rows):
                doc_rows = candidates.read(part, ["doc_row"])["doc_row"].to_numpy()
                wanted[documents.slots(doc_rows)] = True
                tick(rows)
            with outputs[0].open("wb") as file:
                save_array(file, np.flatnonzero(wanted))
            return {"documents": int(wanted.sum())}

        all_rows = sum(candidates.part_rows)
        counts = dict(run.run(self.column, "rows", [Task("slots", (listed,), all_rows)], find))
        slots = load_array(
            run.path / listed, np.int64, low=0, below=len(documents.canonical), ascending=True
        )

        def encode(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            rows = documents.canonical[slots[task.index : task.index + task.size]]
            return write_vectors(iter(documents.texts(rows)), self._encoder, outputs[0], tick)

        shards = [
            Task(f"vectors-{n}", (f"{DOCUMENTS}/vectors/{n:05d}.npy",), len(block), block.start)
            for n, block in enumerate(blocks(len(slots), DOCUMENTS_PER_TASK))
        ]
        counts |= run.run(self.column, "documents", shards, encode)
        vectors = DenseIndex(run.path / DOCUMENTS, self.threads, count=len(slots))

        def compare(task: Task, outputs: list[Path], tick: Tick) -> Counts:
            table = candidates.read(task.index, ["query_row", "doc_row"])
            rows, counts_of_rows = np.unique(table["query_row"].to_numpy(), return_counts=True)
            queries = self._encoder.encode(candidates.queries.texts.texts(rows), "query")
            positions = np.searchsorted(slots, documents.slots(table["doc_row"].to_numpy()))
            scores = vectors.score(queries, offsets_of(counts_of_rows), positions)
            with outputs[0].open("wb") as file:
                save_array(file, scores.astype(np.float32))
            unknown = int(np.isnan(scores).sum())
            return {"pairs": len(scores)} | ({"pairs_without_vector": unknown} if unknown else {})

        parts = [
            Task(f"cosines-{part:05d}", (f"{part:05d}.npy",), rows, part)
            for part, rows in enumerate(candidates.part_rows)
        ]
        return counts | run.run(self.column, "pairs", parts, compare)
