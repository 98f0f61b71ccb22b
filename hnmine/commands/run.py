"""`hnmine run`: several commands from one configuration."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import create_model
from pydantic.fields import FieldInfo

from hnmine.commands import batch, build_index, filter, generate, mine, mix
from hnmine.commands.command import Command
from hnmine.config import (
    BatchSettings,
    BuildIndexSettings,
    FilterSettings,
    GenerateSettings,
    MineSettings,
    MixSettings,
    Settings,
)
from hnmine.config.setting import about, setting
from hnmine.runner.urls import name_of

if TYPE_CHECKING:
    from hnmine.results import StageResult, StageResults
    from hnmine.validate.dry_run import Forecast

STAGES = (build_index.COMMAND, mine.COMMAND, filter.COMMAND)
"""What `hnmine run` always runs, in this order."""


@dataclass(frozen=True)
class Pipeline:
    """The settings of each step; None if the file has no section for a further one.

    Attributes:
        output: the directory that holds those of the steps.
        budget: the time that the three stages may take, such as 2h.
    """

    index: BuildIndexSettings
    mine: MineSettings
    filter: FilterSettings
    generate: GenerateSettings | None = None
    batch: BatchSettings | None = None
    mix: MixSettings | None = None
    output: Path = Path()
    budget: str | None = None

    @property
    def stages(self) -> tuple[BuildIndexSettings, MineSettings, FilterSettings]:
        """The settings of the three stages, in their order."""
        return self.index, self.mine, self.filter


def run(settings: Pipeline) -> StageResults:
    """Build the index, mine, filter, and run the further steps; finished work is kept.

    Generated texts join the corpus.

    Raises:
        HnmineError: see the commands.
    """
    from hnmine.encode.address import is_served
    from hnmine.results import StageResults
    from hnmine.schema import MADE_FILE
    from hnmine.validate.used_models import check_models

    check_models(settings.stages)
    settings, results = _within_budget(settings), []
    index = settings.index
    if made := settings.generate:
        results.append(_ran(generate.COMMAND, made))
        corpus = [*index.corpus, name_of(made.output / MADE_FILE)]
        index = index.model_copy(update={"corpus": corpus})
    asked = settings.mine
    if index.dense and index.encoder and is_served(index.encoder) and not asked.has_query_vectors:
        asked = asked.model_copy(update={"query_encoder": index.encoder})
    stages = zip(STAGES, (index, asked, settings.filter), strict=True)
    results += [_ran(command, stage) for command, stage in stages]
    if settings.batch:
        results.append(_ran(batch.COMMAND, settings.batch))
    if settings.mix:
        results.append(_ran(mix.COMMAND, settings.mix))
    return StageResults(results)


def _ran(command: Command, settings: Settings) -> StageResult:
    return cast("StageResult", command.run_with(settings))


def forecast(settings: Pipeline) -> Forecast:
    """Predict the tasks, memory, disk and time of the three stages."""
    from hnmine.validate.dry_run import dry_run

    return dry_run(_within_budget(settings, write=False).stages)


def _within_budget(settings: Pipeline, *, write: bool = True) -> Pipeline:
    """Return settings that fit in --budget, if it is given."""
    if settings.budget is None:
        return settings
    from hnmine.validate.within_budget import within_budget

    index, mining, filtering = within_budget(
        settings.stages, settings.budget, settings.output, write=write
    )
    return replace(settings, index=index, mine=mining, filter=filtering)


FIRST_PAGE = (
    *("output", "corpus", "pairs", "queries", "qrels", "column", "encoder", "cross_encoder"),
    *("judge", "margin", "relative_margin", "num_negatives", "depth", "top_k", "format"),
    *("overwrite", "workers", "budget"),
)
"""The settings on the first page of the help, fewer than the stages show there."""

DIRECTORIES = {"index", "candidates", "output"}
"""Directories of a single command; a run derives them from its `output`, or takes its `index`."""


def _fields() -> dict[str, Any]:
    """Return the settings of all stages, without their directories."""
    output = copy(mine.COMMAND.settings.model_fields["output"])
    output.description = "Directory for index/, candidates/, mined/ and further steps."
    index = copy(mine.COMMAND.settings.model_fields["index"])
    index.description = "Index to share with other runs. [default: OUTPUT/index]"
    index.default, index.annotation = None, Path | None
    fields: dict[str, FieldInfo] = {"output": output, "index": index}
    for stage in STAGES:
        own = stage.settings.model_fields
        fields |= {name: own[name] for name in own if name not in DIRECTORIES}
    fields["budget"] = setting(
        "Scale-out",
        "Time for the run, such as 90m, 2h or 1d: settings that fit are chosen. A number limits "
        "the judgements for --max-false. [default: no limit]",
        None,
        in_plan=False,
        value="TIME|N",
    )
    fields["budget"].annotation = int | str | None
    for name, field in fields.items():
        fields[name] = field = copy(field)
        field.json_schema_extra = replace(about(field), common=name in FIRST_PAGE)
    return {name: (field.annotation, field) for name, field in fields.items()}


class _Run(Settings):
    command = "run"


RunSettings: type[Settings] = create_model("RunSettings", __base__=_Run, **_fields())

COMMAND = Command(
    settings=RunSettings,
    example="hnmine run corpus.parquet pairs.parquet --output runs/first",
    run=run,
    takes_paths=True,
    takes_recipe=True,
    registries=dict(item for stage in STAGES for item in stage.registries.items()),
    forecast=forecast,
)
