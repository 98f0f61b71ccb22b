"""Train a model on each of several mined directories, and measure it on held-out queries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path

from hnmine.config import CompareSettings
from hnmine.directories.mined import Mined
from hnmine.encode.declared import OF_DOCUMENTS
from hnmine.errors import InputError
from hnmine.progress import progress_bar
from hnmine.results import Json, library_versions
from hnmine.runner import interrupts
from hnmine.runner.plan import digest
from hnmine.training.baselines import random_negatives
from hnmine.training.held_out import DOCUMENTS, HeldOut
from hnmine.training.reached import BESIDE, IN_BATCH, RANDOM, UNTRAINED, Students, arms_of
from hnmine.training.runs import Run, known, once
from hnmine.training.student_rows import Rows, rows_in
from hnmine.training.students import Recipe, encode, load, student_of, train

log = logging.getLogger("hnmine")

LONGEST = 256
"""Tokens of a text, where the model takes more: training on longer ones takes a GPU."""

MOST_ROWS = 100_000
"""Of a directory: training on more takes hours, and all of their texts are in memory."""

TRIED_STEPS, TRIED_TEXTS = 2, 64
"""What is timed for the estimate, after a first step that warms up."""


@dataclass(frozen=True)
class _Comparison:
    """Everything that is trained: a name, and rows for each seed; None leaves the model alone."""

    folder: Path
    recipe: Recipe
    model: str
    held_out: HeldOut
    sets: Mapping[str, Callable[[int], Rows]]
    seeds: int

    @property
    def students(self) -> list[tuple[str, int]]:
        """The arm and the seed of each student; the untrained model needs one seed."""
        others = product(range(self.seeds), self.sets)
        return [(UNTRAINED, 0), *((name, seed) for seed, name in others)]

    def setting(self, name: str, seed: int) -> Json:
        """Return all that the result of a student depends on."""
        setting: Json = {
            **{"model": self.model, "max_length": self.recipe.max_length},
            **{"held_out": self.held_out.fingerprint, "libraries": library_versions(["torch"])},
        }
        if name not in self.sets:
            return setting
        recipe = {key: value for key, value in asdict(self.recipe).items() if key != "model"}
        return {**setting, **recipe, "rows": self.sets[name](seed).fingerprint, "seed": seed}

    def file(self, name: str, seed: int) -> Path:
        return self.folder / f"{digest(name)[:16]}-{seed}.json"

    def train(self, name: str, seed: int, tick: Callable[[], None]) -> Run:
        start = time.monotonic()
        model = load(self.recipe)
        if name in self.sets:
            train(model, [self.sets[name](seed)], self.recipe, seed, tick)
        measures = self.held_out.measure(model)
        return Run(measures, {"arm": name, "seconds": round(time.monotonic() - start, 1)})

    def expected_seconds(self, left: Sequence[tuple[str, int]]) -> float:
        """Predict how long some students take, by training one for a few steps."""
        model = load(self.recipe)
        times: list[float] = []
        tried = Recipe(**{**asdict(self.recipe), "steps": TRIED_STEPS + 1})
        rows = list(self.sets.values())[-1](0)
        train(model, [rows], tried, 0, lambda: times.append(time.monotonic()))
        step = (times[-1] - times[0]) / max(1, len(times) - 1)
        start = time.monotonic()
        some = self.held_out.documents[:: max(1, len(self.held_out.documents) // TRIED_TEXTS)]
        encode(model, some, OF_DOCUMENTS)
        text = (time.monotonic() - start) / len(some)
        texts = len(self.held_out.documents) + len(self.held_out.queries)
        trained = sum(name in self.sets for name, _ in left)
        return trained * step * self.recipe.steps + len(left) * text * texts


def measure_students(directories: Sequence[Mined], settings: CompareSettings) -> Students:
    """Train a model on each directory, and measure what it retrieves.

    Beside them stand the untrained model, one trained without negatives, and one with random
    negatives. Each student's figures are kept in a file: a second call trains only what is missing.

    Args:
        directories: mined; the first has the corpus, and the pairs of the arms beside them.
        settings: of `hnmine compare`, with --train and --output.

    Raises:
        InputError: a directory has no rows for this, or there are too few held-out queries.
        MissingModel: the model is not on this machine, or cannot be trained.
        UsageError: the model is no bi-encoder.
    """
    assert settings.train and settings.output
    spec = student_of(settings.train, settings.device)
    names = [_name(one.path) for one in directories]
    every = [Rows.read(one.path, MOST_ROWS) for one in directories]
    candidates = directories[0].candidates
    if settings.held_out:
        held_out = HeldOut.read(settings.held_out, candidates.index.documents, DOCUMENTS)
    else:
        held_out = HeldOut.draw(directories, every)
    held_out.check_enough()
    clean = [held_out.without_leaks(rows) for rows in every]
    left_out = {
        name: len(before) - len(after)
        for name, before, after in zip(names, every, clean, strict=True)
    }
    if empty := [name for name, rows in zip(names, clean, strict=True) if not len(rows)]:
        raise InputError(
            f"{empty[0]} has no row to train on.",
            why="Held-out queries have all of its queries or positives.",
            fix="Pass --held-out FOLDER with other queries.",
        )
    recipe = Recipe(
        settings.train,
        settings.steps or -(-min(map(len, clean)) // Recipe.batch),
        max_length=min(spec.max_length or LONGEST, LONGEST),
        device=spec.device,
    )
    of_directory = dict(zip(names, clean, strict=True))
    sets: dict[str, Callable[[int], Rows]] = {
        IN_BATCH: _always(clean[0].in_batch()),
        RANDOM: partial(random_negatives, clean[0], candidates),
        **{name: _always(own) for name, own in of_directory.items()},
    }
    comparison = _Comparison(
        settings.output / "students", recipe, spec.content, held_out, sets, settings.seeds
    )
    return Students(
        settings.train,
        recipe.steps,
        len(held_out.queries),
        held_out.said,
        left_out,
        arms_of(
            _train_all(comparison, settings),
            {name: len(own(0)) for name, own in sets.items()},
            [UNTRAINED, *([RANDOM, names[0]] if len(names) > 1 else [IN_BATCH, RANDOM])],
        ),
        {
            n: rows_in(one.path)
            for n, one in zip(names, directories, strict=True)
            if rows_in(one.path) > MOST_ROWS
        },
    )


def _name(directory: Path) -> str:
    """Return the path of a directory, which is no name of another arm."""
    return f"./{directory}" if str(directory) in BESIDE else str(directory)


def _always(rows: Rows) -> Callable[[int], Rows]:
    return lambda seed: rows


def _train_all(comparison: _Comparison, settings: CompareSettings) -> dict[str, list[Run]]:
    """Train the students that are missing; return the runs of each arm."""
    import torch

    torch.set_num_threads(settings.cpu_threads)
    queries = len(comparison.held_out.queries)
    there = {
        one: known(comparison.file(*one), comparison.setting(*one), queries)
        for one in comparison.students
    }
    left = [one for one, run in there.items() if run is None]
    if left:
        minutes = comparison.expected_seconds(left) / 60
        device = "this CPU" if comparison.recipe.device == "cpu" else comparison.recipe.device
        log.warning(
            f"{len(left)} of {len(there)} models to train and measure: about "
            f"{max(1, round(minutes)):,} min on {device}."
        )
    steps = comparison.recipe.steps
    total = steps * sum(name in comparison.sets for name, _ in there)
    done = total - steps * sum(name in comparison.sets for name, _ in left)
    runs: dict[str, list[Run]] = {}

    def how_far() -> str:
        return f"{sum(map(len, runs.values()))} of {len(there)} models are trained."

    with progress_bar("compare", "steps", total, done, settings.progress) as bar:

        def tick() -> None:
            bar.update(1)
            interrupts.check()

        with interrupts.saying(how_far):
            for name, seed in comparison.students:
                make = partial(comparison.train, name, seed, tick)
                setting = comparison.setting(name, seed)
                run = once(comparison.file(name, seed), setting, make, queries)
                runs.setdefault(name, []).append(run)
    return runs
