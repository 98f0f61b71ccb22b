"""Mine hard negatives for training dense retrievers: `build_index`, `mine`, `filter` and more.

Each takes the settings of the command of that name as keywords and returns a `StageResult`: where
it wrote, and the counts. Importing this module imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hnmine.commands.push import Pushed
    from hnmine.results import StageResult

__version__ = "0.1.0"
__all__ = ["batch", "build_index", "export", "filter", "generate", "mine", "mix", "push"]


def build_index(**settings: Any) -> StageResult:
    """Build a BM25 and a dense index; the settings are the flags of `hnmine build-index`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    from hnmine.config import BuildIndexSettings
    from hnmine.index.building import build_index as stage

    return stage(BuildIndexSettings.parse(settings))


def mine(**settings: Any) -> StageResult:
    """Mine candidates from an index; the settings are the flags of `hnmine mine`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    from hnmine.config import MineSettings
    from hnmine.sources.mining import mine as stage

    return stage(MineSettings.parse(settings))


def filter(**settings: Any) -> StageResult:
    """Filter candidates and write training data; the settings are the flags of `hnmine filter`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    from hnmine.config import FilterSettings
    from hnmine.selection.pipeline import filter as stage

    return stage(FilterSettings.parse(settings))


def batch(**settings: Any) -> StageResult:
    """Put training rows in batches; the settings are the flags of `hnmine batch`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    from hnmine.config import BatchSettings
    from hnmine.extras.batches.batch import batch as stage

    return stage(BatchSettings.parse(settings))


def export(**settings: Any) -> StageResult:
    """Write the files of another trainer; the settings are the flags of `hnmine export`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    from hnmine.commands.export import export as stage
    from hnmine.config import ExportSettings

    return stage(ExportSettings.parse(settings))


def push(**settings: Any) -> Pushed:
    """Upload a directory to the Hugging Face hub; the settings are the flags of `hnmine push`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    from hnmine.commands.push import push as stage
    from hnmine.config import PushSettings

    return stage(PushSettings.parse(settings))


def generate(**settings: Any) -> StageResult:
    """Make texts that may serve as negatives; the settings are the flags of `hnmine generate`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    from hnmine.config import GenerateSettings
    from hnmine.extras.generation.generate import generate as stage

    return stage(GenerateSettings.parse(settings))


def mix(**settings: Any) -> StageResult:
    """Mix vectors into synthetic negatives; the settings are the flags of `hnmine mix`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    from hnmine.config import MixSettings
    from hnmine.extras.mixing.mix import mix as stage

    return stage(MixSettings.parse(settings))
