"""`hnmine judge`: draw a sheet, ask a machine judge, and report how far it can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from hnmine.config.judge_settings import JudgeSettings
from hnmine.judging.acceptance import ACCEPTANCE, Accepted, accept, pairs, triples
from hnmine.judging.beside_the_sheet import AnswerCache
from hnmine.judging.judge_result import Judged
from hnmine.judging.judged_rows import JudgedRows
from hnmine.judging.judging import judge_sheet, to_ask
from hnmine.judging.machine_judge import MachineJudge
from hnmine.judging.open_machine_judge import open_machine_judge
from hnmine.printable import aligned
from hnmine.results import Result
from hnmine.review.sheet_to_judge import sheet_to_judge
from hnmine.sheets.sheet import Sheet

CHARACTERS_PER_TOKEN = 4
"""About, in English."""


def judge(settings: JudgeSettings) -> Judged | Accepted:
    """Draw rows, add them to the sheet, and fill it with verdicts; or run the acceptance set.

    Raises:
        HnmineError: the target or the judge cannot be used; earlier answers are cached.
    """
    who = _who(settings)
    if _is_acceptance(settings):
        return accept(who, progress=settings.progress)
    sheet = sheet_to_judge(settings)
    if settings.target.is_dir():
        Sheet.join(sheet.path, sheet.table)
    return judge_sheet(sheet.path, who, budget=settings.budget, progress=settings.progress)


def _is_acceptance(settings: JudgeSettings) -> bool:
    return str(settings.target) == ACCEPTANCE and not settings.target.exists()


def _who(settings: JudgeSettings) -> MachineJudge:
    return open_machine_judge(
        settings.endpoint or settings.model or "",
        settings.llm,
        prompt=settings.prompt,
        api_key_env=settings.api_key_env,
        max_tokens=settings.max_tokens,
        timeout=settings.timeout,
        requests=settings.requests,
        model_use=settings.model_use,
        threads=settings.cpu_threads,
    )


@dataclass(frozen=True, repr=False)
class JudgingForecast(Result):
    """What `hnmine judge` would ask.

    Attributes:
        rows: rows of the sheet.
        rows_of_known_truth: rows that measure the judge.
        pairs_to_ask: pairs without an answer, within the budget; each is one request to a server,
            and two where the first answer has no grade.
        characters: of the texts that the judge reads.
        about_tokens: of them, at four characters a token; answers come on top.
    """

    rows: int
    rows_of_known_truth: int
    pairs_to_ask: int
    characters: int
    about_tokens: int

    def lines(self) -> Iterator[str]:
        """Return the lines for a terminal."""
        yield from aligned((name.replace("_", " "), f"{n:,}") for name, n in asdict(self).items())


def forecast(settings: JudgeSettings) -> JudgingForecast:
    """Count what a judge would be asked; nothing is written and no server is asked.

    Raises:
        HnmineError: the target or the judge cannot be used.
    """
    who = _who(settings)
    if _is_acceptance(settings):
        asked, rows, controls = pairs(triples()), 0, 0
    else:
        sheet = sheet_to_judge(settings)
        of_sheet = JudgedRows(sheet.table)
        asked = to_ask(of_sheet, AnswerCache.peek(sheet.path, who), settings.budget)
        rows, controls = of_sheet.table.num_rows, int(of_sheet.controls.sum())
    characters = sum(len(who.prompt_of(item)) for item in asked)
    return JudgingForecast(
        rows, controls, len(asked), characters, -(-characters // CHARACTERS_PER_TOKEN)
    )
