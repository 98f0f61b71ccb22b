"""Cross-encoder logits of only the pairs that a choice needs, cached for every later choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hnmine.array_files import check_values, load_archive, load_array, save_array
from hnmine.errors import damage_explained
from hnmine.judges.cross_encoder import CrossEncoderJudge
from hnmine.judges.judge import Judge, scores_plan
from hnmine.ragged import Ints
from hnmine.runner.manifest import MANIFEST
from hnmine.runner.plan import Task, blocks
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.runner.storage import fetch_run
from hnmine.runner.task_share import Share
from hnmine.schema import PAIRS_PER_TASK

Wanted = Callable[[], Sequence[Ints]]
"""Returns the rows of each part that must be scored next, given the cached logits."""


class LazyCrossEncoderJudge(CrossEncoderJudge):
    """Scores pairs in waves, as a choice asks for them.

    Each wave first writes its pairs and then their logits, some thousands at a time, so that an
    interrupted run resumes with the same batches. Another choice adds waves of its own.
    """

    def __init__(self, full: CrossEncoderJudge) -> None:
        super().__init__(full.candidates, full.spec, full.threads, full.column)
        self.path = full.path.with_name(f"{full.path.name}-waves")
        self._wave = lru_cache(maxsize=1)(self._pairs)

    def compute(self, *, progress: bool, share: Share) -> Counts:
        """Do nothing: the choice decides what is scored; see `score_what`."""
        return {}

    def score_what(self, wanted: Wanted, *, progress: bool, share: Share) -> Counts:
        """Score wave after wave until nothing more is needed."""
        plan = scores_plan(
            self.candidates, self.spec, activation="none", pairs_per_wave_task=PAIRS_PER_TASK
        )
        fetch_run(self.path)
        total: Counter[str] = Counter()
        with RunDirectory.open(self.path, plan, progress=progress, share=share, inner=True) as run:
            for number in count():
                wave = Task(f"wave-{number:04d}", (f"waves/{number:04d}.npz",), 1)
                # `wanted` depends on the cached scores: other processes must not add some.
                with run.hold("plan a wave"):
                    if run.missing(wave):
                        rows = wanted()
                        if not any(map(len, rows)):
                            break
                        run.run("plan a wave", "waves", [wave], _writer(rows))
                pairs = len(self._wave(number)[0])
                tasks = [
                    Task(
                        f"logits-{number:04d}-{n:05d}",
                        (f"logits/{number:04d}-{n:05d}.npy",),
                        len(block),
                        block.start,
                    )
                    for n, block in enumerate(blocks(pairs, PAIRS_PER_TASK))
                ]
                counts = run.run(f"cross-encoder, wave {number + 1}", "pairs", tasks, self._score)
                for name in ("pairs", "not_finite"):
                    total[name] += counts.get(name, 0)
                self.__dict__.pop("_known", None)
        self._check_some_finite(total)
        scored = sum(len(rows) for _, rows, _ in self._known)
        everything = sum(self.candidates.part_rows)
        return {"pairs_scored": scored, "pairs_not_scored": everything - scored}

    def read(self, part: int) -> pa.Array:
        """Return the logits of one part of the candidates; null for pairs that were not scored."""
        logits = np.zeros(self.candidates.part_rows[part], dtype=np.float32)
        unknown = np.ones(len(logits), dtype=bool)
        for bounds, rows, found in self._known:
            mine = slice(*bounds[part : part + 2])
            logits[rows[mine]], unknown[rows[mine]] = found[mine], False
        return pa.array(logits, mask=unknown)

    @cached_property
    def _known(self) -> list[tuple[Ints, NDArray[np.int32], NDArray[np.float32]]]:
        """Of every scored wave: where the pairs of each part begin, their rows and logits."""
        known = []
        for wave in sorted(self.path.glob("waves/[0-9][0-9][0-9][0-9].npz")):
            parts, rows = self._pairs(int(wave.stem))
            files = {
                self.path / "logits" / f"{wave.stem}-{n:05d}.npy": (len(block),)
                for n, block in enumerate(blocks(len(parts), PAIRS_PER_TASK))
            }
            # A planned wave may not be scored yet.
            if all(file.exists() for file in files):
                logits = [
                    load_array(file, np.float32, shape, mapped=False)
                    for file, shape in files.items()
                ]
                bounds = np.searchsorted(parts, np.arange(len(self.candidates.part_rows) + 1))
                found = np.concatenate([np.empty(0, np.float32), *logits])
                known.append((bounds, rows.astype(np.int32), found))
        return known

    def _pairs(self, wave: int) -> tuple[Ints, Ints]:
        path = self.path / "waves" / f"{wave:04d}.npz"
        found = load_archive(path, {"part": np.int64, "row": np.int64})
        parts, rows = found["part"], found["row"]
        with damage_explained(path):
            count = self.candidates.part_rows
            check_values(parts, low=0, below=len(count), ascending=True)
            check_values(rows, low=0)
            if (rows >= np.array(count, dtype=np.int64)[parts]).any():
                raise ValueError("It names rows that do not exist.")
        return parts, rows

    def _score(self, task: Task, outputs: list[Path], tick: Tick) -> dict[str, int]:
        wave = int(task.name.split("-")[1])
        block = slice(task.index, task.index + task.size)
        parts, rows = (column[block] for column in self._wave(wave))
        tables = [
            self.candidates.read(part, ["query_row", "doc_row"]).take(pa.array(rows[parts == part]))
            for part in np.unique(parts)
        ]
        logits = self._logits(pa.concat_tables(tables), tick)
        with outputs[0].open("wb") as file:
            save_array(file, logits)
        return {"pairs": task.size, "not_finite": int((~np.isfinite(logits)).sum())}


def only_as_asked(judge: Judge) -> Judge:
    """Return a cross-encoder that scores the pairs that are asked for; others as they are.

    So is a cross-encoder that has scored all pairs.
    """
    if not isinstance(judge, CrossEncoderJudge) or (judge.path / MANIFEST).exists():
        return judge
    return LazyCrossEncoderJudge(judge)


def _writer(rows: Sequence[Ints]) -> Callable[[Task, list[Path], Tick], dict[str, Any]]:
    def write(task: Task, outputs: list[Path], tick: Tick) -> dict[str, Any]:
        part = np.repeat(np.arange(len(rows)), [len(of_part) for of_part in rows])
        with outputs[0].open("wb") as file:
            np.savez(file, part=part, row=np.concatenate(rows))
        return {}

    return write
