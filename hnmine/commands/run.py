"""`hnmine run`: the commands, one after the other, from one configuration."""

from __future__ import annotations

from hnmine.config import (
    BatchSettings,
    BuildIndexSettings,
    FilterSettings,
    GenerateSettings,
    MineSettings,
    MixSettings,
)
from hnmine.extras.batches.batch import batch as make_batches
from hnmine.extras.generation.generate import generate as make_texts
from hnmine.extras.mixing.mix import mix as make_mixtures
from hnmine.index.building import build_index
from hnmine.results import StageResult
from hnmine.runner.urls import name_of
from hnmine.runner.worker import check_models
from hnmine.schema import MADE_FILE
from hnmine.selection.pipeline import filter
from hnmine.sources.mining import mine


def run(
    settings: tuple[BuildIndexSettings, MineSettings, FilterSettings],
    *,
    generate: GenerateSettings | None = None,
    batch: BatchSettings | None = None,
    mix: MixSettings | None = None,
) -> list[StageResult]:
    """Build the index, mine and filter, and what else is asked; what is done is not done again.

    What is generated joins the corpus.

    Raises:
        HnmineError: see the commands.
    """
    index, mining, filtering = settings
    check_models(settings)
    results = []
    if generate:
        results.append(make_texts(generate))
        corpus = [*index.corpus, name_of(generate.output / MADE_FILE)]
        index = index.model_copy(update={"corpus": corpus})
    results += [build_index(index), mine(mining), filter(filtering)]
    if batch:
        results.append(make_batches(batch))
    if mix:
        results.append(make_mixtures(mix))
    return results
