"""`hnmine run`: the commands, one after the other, from one configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import create_model

from hnmine.commands import batch, build_index, filter, generate, mine, mix
from hnmine.commands.command import Command
from hnmine.commands.pipeline_settings import Pipeline
from hnmine.config import Settings
from hnmine.runner.urls import name_of

if TYPE_CHECKING:
    from hnmine.results import StageResults
    from hnmine.validate.dry_run import Forecast

STAGES = (build_index.COMMAND, mine.COMMAND, filter.COMMAND)
"""What `hnmine run` always runs, in this order."""

OPTIONAL = (generate.COMMAND, batch.COMMAND, mix.COMMAND)
"""What it runs where the file has a section for it."""


def run(settings: Pipeline) -> StageResults:
    """Build the index, mine and filter, and what else is asked; what is done is not done again.

    What is generated joins the corpus.

    Raises:
        HnmineError: see the commands.
    """
    from hnmine.results import StageResults
    from hnmine.schema import MADE_FILE
    from hnmine.validate.used_models import check_models

    check_models(settings.stages)
    index, results = settings.index, []
    if made := settings.generate:
        results.append(generate.run(made))
        corpus = [*index.corpus, name_of(made.output / MADE_FILE)]
        index = index.model_copy(update={"corpus": corpus})
    results += [build_index.run(index), mine.run(settings.mine), filter.run(settings.filter)]
    if settings.batch:
        results.append(batch.run(settings.batch))
    if settings.mix:
        results.append(mix.run(settings.mix))
    return StageResults(results)


def forecast(settings: Pipeline) -> Forecast:
    """Say what the three stages would do and need."""
    from hnmine.validate.dry_run import dry_run

    return dry_run(settings.stages)


def _fields() -> dict[str, Any]:
    """Return the settings of all stages; their directories are all derived from `output`."""
    fields: dict[str, Any] = {"output": mine.COMMAND.settings.model_fields["output"]}
    derived = {name for stage in STAGES for name in stage.places}
    for stage in STAGES:
        own = stage.settings.model_fields
        fields |= {name: own[name] for name in own if name not in derived}
    return {name: (field.annotation, field) for name, field in fields.items()}


class _Run(Settings):
    command = "run"


RunSettings: type[Settings] = create_model("RunSettings", __base__=_Run, **_fields())

COMMAND = Command(
    settings=RunSettings,
    summary="Build the index, mine and filter from one configuration, into index/, candidates/ and "
    "mined/ in --output; generated/, batches/ and mixed/ too where the file has a section "
    "`generate`, `batch` or `mix`.",
    example="hnmine run --config configs/demo.yaml --output runs/demo --num-negatives 3",
    run=run,
    forecast=forecast,
)
