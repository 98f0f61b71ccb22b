"""`hnmine judge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config.judge_settings import JudgeSettings

if TYPE_CHECKING:
    from hnmine.judging.acceptance import Accepted
    from hnmine.judging.judge_result import Judged
    from hnmine.review.judge_command import JudgingForecast


def run(settings: JudgeSettings) -> Judged | Accepted:
    """Let a model judge a sample, or hnmine's acceptance set."""
    from hnmine.review.judge_command import judge

    return judge(settings)


def _forecast(settings: JudgeSettings) -> JudgingForecast:
    from hnmine.review.judge_command import forecast

    return forecast(settings)


COMMAND = Command(
    settings=JudgeSettings,
    example="hnmine judge runs/mined --endpoint http://localhost:8000/v1 --llm qwen3",
    run=run,
    places={"target": "mined"},
    arguments=("target",),
    forecast=_forecast,
    more_help="\b\nAcceptance set: hnmine judge acceptance --model MODEL",
)
