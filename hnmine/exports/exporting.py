"""`hnmine export`: mined negatives as the files that a trainer reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hnmine.config import ExportSettings
from hnmine.directories.mined import Mined
from hnmine.errors import UsageError
from hnmine.exports import EXPORTS
from hnmine.exports.card import export_card
from hnmine.exports.examples import Material
from hnmine.exports.format import Format
from hnmine.exports.row_files import write_rows
from hnmine.results import StageResult, base_plan
from hnmine.runner.plan import Task
from hnmine.runner.run_directory import Counts, RunDirectory, Tick
from hnmine.runner.urls import name_of

CARD = "README.md"


def export(settings: ExportSettings) -> StageResult:
    """Write the files of a format, or resume; no model is loaded.

    Raises:
        HnmineError: the directory, its candidates or a setting cannot be used.
    """
    mined = Mined(settings.mined, settings.candidates, settings.index)
    form: Format = EXPORTS[settings.to].load()
    if settings.prompt is not None and not form.prompt:
        raise UsageError(
            f"prompt: {settings.to} has no field for it.",
            fix=f"Give it to the trainer, or export to {_own(lambda other: other.prompt)}.",
        )
    if form.vectors and not mined.candidates.has_dense_scores:
        raise UsageError(
            f"to: {settings.to} holds the vectors of the index, and this index has none.",
            fix="Build one without --no-dense, and mine from it.",
        )
    settings = settings.model_copy(update={"scores": _scores(settings, form, mined)})
    packages = EXPORTS.packages([settings.to])
    plan = base_plan("export", settings, packages=packages) | {"mined": mined.hash}
    material = Material(mined, settings.scores, settings.prompt)
    with RunDirectory.open(settings.output, plan, **settings.manner) as run:
        if not run.complete:
            counts = _write(run, form, material)
            run.finish(counts, mined=name_of(mined.path))
        manifest = run.manifest
    notes = [*_left_out(mined, form, settings), *form.notes(material)]
    return StageResult(settings.output, manifest["counts"], manifest, notes)


def _left_out(mined: Mined, form: Format, settings: ExportSettings) -> Iterator[str]:
    """Yield how many queries the files leave out, and why."""
    if form.full == "own":
        return
    asked = mined.manifest.settings.num_negatives
    with mined.sql(settings.cpu_threads) as scored:
        [(queries, unanswered, without, short)] = scored.ask(LEFT_OUT, asked)
    needs_all = form.full == "always" or (form.full == "scored" and settings.scores is not None)
    reasons = {
        "without a positive": unanswered,
        "without a negative": without,
        f"with fewer than {asked} negatives": short,
    }
    if not needs_all:
        del reasons[f"with fewer than {asked} negatives"]
    said = [f"{count:,} {reason}" for reason, count in reasons.items() if count]
    if said:
        yield f"Left out of {queries:,} queries: {', '.join(said)}."


LEFT_OUT = """
select count(*), count(*) filter (where p = 0), count(*) filter (where p and n = 0),
    count(*) filter (where p and n and n < ?)
from (
    select count(*) filter (where label = 1) as p, count(*) filter (where selected) as n
    from scored group by query_id
)"""
"""Counts the queries, those without a positive or a negative, and those with too few negatives."""


def _scores(settings: ExportSettings, form: Format, mined: Mined) -> str | None:
    if form.scores == "none" and settings.scores is not None:
        raise UsageError(
            f"scores: {settings.to} has no scores.",
            fix="Leave --scores out, or choose a format with scores: "
            f"{_own(lambda other: other.scores != 'none')}.",
        )
    # The rules may have compared an expression; the column `score` holds its values.
    return settings.scores or ("score" if form.scores == "always" else None)


def _own(meet: Callable[[Format], bool]) -> str:
    return ", ".join(name for name, entry in EXPORTS.own.items() if meet(entry.load()))


def _write(run: RunDirectory, form: Format, material: Material) -> Counts:
    rows = material.mined.rows
    files = form.names(material.splits if form.by_split else ())
    names = list(files)

    def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
        name = names[task.index]
        own, split = files[name]
        rows_of = form.files[own](material.of_split(split, tick))
        return {name: write_rows(outputs[0], name, rows_of)}

    tasks = [Task(name.replace("/", "-"), (name,), rows, n) for n, name in enumerate(names)]
    counts = run.run("export", "candidates", tasks, work)

    def describe(task: Task, outputs: list[Path], tick: Tick) -> Counts:
        card = export_card(run.plan, counts, form.configs)
        outputs[0].write_text(card, encoding="utf-8")
        return {}

    run.run("export", "files", [Task("card", (CARD,), 1)], describe)
    return counts
