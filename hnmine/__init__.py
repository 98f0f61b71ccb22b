"""Mine hard negatives for training dense retrievers: `build_index`, `mine`, `filter` and more.

Each takes the settings of the command of that name as keywords and returns a `StageResult`: where
it wrote, and the counts. Importing this module imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hnmine.exports.pushing import Pushed
    from hnmine.results import StageResult

__version__ = "0.1.0"
__all__ = ["batch", "build_index", "export", "filter", "generate", "mine", "mix", "push"]


def build_index(**settings: Any) -> StageResult:
    """Build a BM25 and a dense index; the settings are the flags of `hnmine build-index`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    return _call("build-index", settings)


def mine(**settings: Any) -> StageResult:
    """Mine candidates from an index; the settings are the flags of `hnmine mine`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    return _call("mine", settings)


def filter(**settings: Any) -> StageResult:
    """Filter candidates and write training data; the settings are the flags of `hnmine filter`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    return _call("filter", settings)


def batch(**settings: Any) -> StageResult:
    """Put training rows in batches; the settings are the flags of `hnmine batch`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    return _call("batch", settings)


def export(**settings: Any) -> StageResult:
    """Write the files of another trainer; the settings are the flags of `hnmine export`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    from hnmine.config import ExportSettings
    from hnmine.exports.exporting import export as stage

    return stage(ExportSettings.parse(settings))


def push(**settings: Any) -> Pushed:
    """Upload a directory to the Hugging Face hub; the settings are the flags of `hnmine push`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    from hnmine.config import PushSettings
    from hnmine.exports.pushing import push as stage

    return stage(PushSettings.parse(settings))


def generate(**settings: Any) -> StageResult:
    """Make texts that may serve as negatives; the settings are the flags of `hnmine generate`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    return _call("generate", settings)


def mix(**settings: Any) -> StageResult:
    """Mix vectors into synthetic negatives; the settings are the flags of `hnmine mix`.

    Raises:
        HnmineError: with what is wrong, why, and how to fix it.
    """
    return _call("mix", settings)


def _call(command: str, settings: dict[str, Any]) -> Any:
    from hnmine.commands import COMMANDS

    found = COMMANDS[command]
    return found.run(found.settings.parse(settings))
