"""Settings of `hnmine filter --max-false`."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from hnmine.config.setting import MANY, key_of, path, setting
from hnmine.config.shared import Settings


class ProofSettings(Settings):
    """What is to be proved of the negatives, and who judges."""

    max_false: float | None = setting(
        "Which are kept",
        "Prove by judgements that at most this share of the negatives is false.",
        None,
        common=True,
        gt=0,
        lt=1,
    )
    confidence: float = setting("Which are kept", "Confidence of --max-false.", 0.95, ge=0.5, lt=1)
    budget: int = setting(
        "Which are kept",
        "Judgements for --max-false, at most.",
        400,
        in_plan=False,
        ge=1,
        le=MANY,
    )
    judge_with: str | None = path(
        "Judge for --max-false: a local model or server. [default: your sheet]",
        None,
        group="Models",
        value="URL|MODEL",
        common=True,
    )
    judge_llm: str | None = setting(
        "Models", "Name of the language model on the server of --judge-with.", None, in_plan=False
    )
    sheet: Path | None = path(
        "Sheet of the pairs to judge for --max-false: .csv or .parquet. [default: "
        "OUTPUT-verdicts.csv]",
        None,
        group="Output",
    )

    @model_validator(mode="after")
    def _check_proof(self) -> ProofSettings:
        if self.max_false is None:
            for name in ("judge_with", "sheet"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{key_of(name)}: needs --max-false")
        if self.judge_llm and not self.judge_with:
            raise ValueError("judge-llm: needs --judge-with")
        return self
