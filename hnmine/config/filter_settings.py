"""Settings of `hnmine filter`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator, model_validator

from hnmine.config.mined_settings import moved_index
from hnmine.config.output import OutputSettings
from hnmine.config.proof_settings import ProofSettings
from hnmine.config.server_settings import ServerSettings
from hnmine.config.setting import MANY, flag_of, path, seed, setting
from hnmine.config.shared import Count, ModelSettings, Pooling, assignments
from hnmine.exports import LAYOUTS, check_layout
from hnmine.names import check_names
from hnmine.runner.urls import mirrored

DEFAULT_MARGIN = 3.0
"""Margin in logits that --lazy applies if no rule is given."""

NOT_LAZY = (
    "sampling", "order", "within", "strata", "quota", "per_query", "relabel", "relabel_judged",
    "query_where", "deepen", "max_uses", "compat", "max_false", "diversity",
)  # fmt: skip
"""Settings that need the scores of candidates that are not chosen."""


class FilterSettings(ProofSettings, ServerSettings, ModelSettings, OutputSettings):
    """Settings of `hnmine filter`."""

    command = "filter"

    candidates: Path = path("Directory that `hnmine mine` wrote.", common=True)
    output: Path = path("Directory for training data and scores.", group="Output", common=True)
    index: Path | None = moved_index()
    cross_encoder: str | None = setting(
        "Models",
        "Cross-encoder: hub name, folder, pkg:package/folder or http://HOST.",
        None,
        value="MODEL",
        common=True,
    )
    judge: list[str] = setting(
        "Models",
        "Another model that estimates relevance, or a file of verdicts: query id, document id, "
        "score from 0 to 1.",
        list,
        value="MODEL",
        common=True,
    )
    pooling: Pooling | None = setting(
        "Models",
        "Pooling of ONNX bi-encoders used as judges. [default: the model's own, else mean]",
        None,
    )
    score: str | None = setting(
        "Which are kept",
        "Score that the rules compare: ce, dense, bm25, or an expression. [default: ce with "
        "--cross-encoder, else dense, else bm25]",
        None,
    )
    positive_score: Literal["min", "max", "mean", "parent"] = setting(
        "Which are kept",
        "Positive score of a query: the lowest, highest or mean of its positives; parent: for a "
        "generated text, that of its origin.",
        "min",
    )
    margin: float | None = setting(
        "Which are kept",
        "Keep a candidate if score <= positive - MARGIN.",
        None,
        common=True,
    )
    relative_margin: float | None = setting(
        "Which are kept",
        "Keep a candidate if score <= positive - |positive| * MARGIN.",
        None,
        common=True,
    )
    max_score: float | None = setting(
        "Which are kept", "Keep a candidate if score <= MAX_SCORE.", None
    )
    min_score: float | None = setting(
        "Which are kept", "Keep a candidate if score >= MIN_SCORE.", None
    )
    near_copy: float = setting(
        "Which are kept",
        "Drop a candidate if this share of its words, or of a positive's, is a verbatim copy of "
        "the other; above 1: off.",
        0.9,
        ge=0,
    )
    range_min: int = setting(
        "Which are kept", "Drop candidates of rank < RANGE_MIN.", 0, common=True, ge=0, le=MANY
    )
    range_max: int | None = setting(
        "Which are kept", "Drop candidates of rank >= RANGE_MAX.", None, common=True, ge=1, le=MANY
    )
    derive: dict[str, str] = setting(
        "Which are kept", "Add a column, as NAME=EXPRESSION, for other expressions to use.", dict
    )
    where: list[str] = setting(
        "Which are kept",
        "Keep a candidate if this expression is true, such as 'bm25_rank > 5'.",
        list,
        common=True,
    )
    relabel: str | None = setting(
        "Which are kept",
        "Make a candidate a positive if this expression is true, such as 'score > positive_score "
        "+ 2'.",
        None,
    )
    relabel_judged: bool = setting(
        "Which are kept",
        "Make a candidate a positive if a verdict of --judge FILE or for --max-false finds it "
        "relevant; otherwise it is dropped.",
        False,
    )
    depth: float | None = setting(
        "Which are chosen",
        "Mean rank to aim at: deeper negatives are safer but easier. [default: twice the typical "
        "rank of a known positive, or what a trial picks]",
        None,
        common=True,
        ge=0,
    )
    default_rule: bool = setting(
        "Which are chosen",
        "Choose the least doubtful candidates for their depth if no rule, no sampling and no "
        "order is given.",
        True,
    )
    num_negatives: int = setting(
        "Which are chosen",
        "Number of negatives per query.",
        5,
        common=True,
        ge=1,
        le=MANY,
    )
    per_query: str | None = setting(
        "Which are chosen",
        "Expression for the number of negatives of a query, at most --num-negatives.",
        None,
    )
    sampling: str = setting(
        "Which are chosen",
        "How to choose: top, random, or an expression for the weights in a draw.",
        "top",
        common=True,
    )
    order: str = setting(
        "Which are chosen",
        "Expression to sort by, smallest first.",
        "rank",
        common=True,
    )
    within: str | None = setting(
        "Which are chosen",
        "Choose only among kept candidates for which this expression is true; its aggregates "
        "cover kept candidates only.",
        None,
    )
    strata: str | None = setting(
        "Which are chosen",
        "Expression that groups the candidates; the groups take turns, so that each is chosen "
        "equally often.",
        None,
    )
    quota: dict[str, Count] = setting(
        "Which are chosen",
        "Negatives of one kind, such as 'bm25_rank is not null=2'; replaces --num-negatives.",
        dict,
        value="EXPRESSION=N",
    )
    diversity: float = setting(
        "Which are chosen",
        "How much a query's negatives should differ: 0 follows the order alone, 1 the distance "
        "to those chosen before (MMR).",
        0.0,
        ge=0,
        le=1,
    )
    weight: str | None = setting(
        "Which are chosen", "Expression for the weight of a chosen negative. [default: 1]", None
    )
    query_where: str | None = setting(
        "Which are chosen",
        'Use a query only if this expression is true, such as "count(*) filter (where reason = '
        "'relabelled') <= 7\".",
        None,
    )
    train_column: dict[str, str] = setting(
        "Output",
        "Add a column to train/, as NAME=EXPRESSION over the scored columns, such as "
        "negative_id=doc_id.",
        dict,
    )
    format: str = setting(
        "Output",
        f"Layout of train/: {', '.join(LAYOUTS)}, or one that a package adds.",
        LAYOUTS[0],
        common=True,
    )
    output_scores: bool = setting(
        "Output", "Add the scores that distillation losses need.", False, common=True
    )
    deepen: int = setting(
        "Which are chosen",
        "Mine queries with too few negatives again, up to DEEPEN times as deep as `mine` did.",
        1,
        ge=1,
        le=MANY,
    )
    max_uses: int | None = setting(
        "Which are chosen",
        "Cap how many queries share a negative, independent of row order; 0: no cap. [default: "
        "ten times the mean, at least 5, for the default choice; else 0]",
        None,
        ge=0,
    )
    lazy: bool = setting(
        "Which are chosen",
        "Stop the cross-encoder once a query has its negatives; the default rule is --margin 3.",
        False,
        common=True,
    )
    seed: int = seed("Random seed for sampling.")
    compat: Literal["sentence-transformers"] | None = setting(
        "Which are chosen",
        "Choose as mine_hard_negatives of sentence-transformers does: by score, without default "
        "rules, ranges over kept candidates.",
        None,
    )

    @field_validator("format")
    @classmethod
    def _check_format(cls, value: str) -> str:
        check_layout(value)
        return value

    @field_validator("derive", "train_column", "quota", mode="before")
    @classmethod
    def _parse_assignments(cls, value: Any, info: ValidationInfo) -> Any:
        shape = "EXPRESSION=N" if info.field_name == "quota" else "NAME=EXPRESSION"
        return assignments(value, shape)

    @field_validator("derive", "train_column")
    @classmethod
    def _check_names(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        check_names(value, hand_on=info.field_name == "train_column")
        return value

    @model_validator(mode="after")
    def _check(self) -> FilterSettings:
        if self.score == "ce" and not self.cross_encoder:
            raise ValueError("score: ce needs --cross-encoder")
        if self.compat and self.max_false is not None:
            raise ValueError("max-false: cannot be combined with --compat, which has no order")
        if self.max_false is not None and not self.sheet and mirrored(self.output):
            raise ValueError("max-false: needs --sheet FILE for an output at a URL")
        if self.relabel_judged and not self.judge and self.max_false is None:
            raise ValueError("relabel-judged: needs --judge FILE or --max-false")
        if self.quota and (self.per_query or self.strata):
            raise ValueError("quota: cannot be combined with --per-query or --strata")
        if self.quota:
            self._settle("num_negatives", sum(self.quota.values()))
        if not 0 < self.num_negatives <= MANY:
            raise ValueError(f"quota: asks for {self.num_negatives:,} negatives")
        if self.range_max is not None and self.range_max <= self.range_min:
            raise ValueError("range-max: must be greater than range-min")
        window = (self.range_max or 10**9) - self.range_min
        if self.num_negatives > window:
            raise ValueError(
                f"num-negatives: asks for {self.num_negatives}, but --range-min and --range-max "
                f"leave {window} candidates"
            )
        return self

    @model_validator(mode="after")
    def _compute_as_compared(self) -> FilterSettings:
        """With --compat, take the precision in which sentence-transformers loads a model."""
        if self.compat and self.dtype is None:
            self._settle("dtype", "fp32")
        return self

    @property
    def chooses_otherwise(self) -> bool:
        """Whether the settings replace the default choice."""
        chosen = self.order != "rank" or self.sampling != "top"
        return chosen or self.rules_given or not self.default_rule

    @property
    def notes(self) -> list[str]:
        """What the settings turn off without naming it, a sentence each."""
        given = [("--order", self.order != "rank"), ("--sampling", self.sampling != "top")]
        flags = " and ".join(flag for flag, is_given in given if is_given)
        if not flags or self.compat or self.lazy:
            return []
        return [
            f"{flags} replaced the default choice, so nothing but the rules given kept false "
            "negatives out. --where 'relevance <= X' drops the most doubtful candidates."
        ]

    @property
    def rules_given(self) -> bool:
        """Whether a rule about the score is given."""
        rules = (self.margin, self.relative_margin, self.max_score)
        return any(rule is not None for rule in rules)

    @model_validator(mode="after")
    def _check_lazy(self) -> FilterSettings:
        if not self.lazy:
            return self
        if not self.cross_encoder or self.score not in (None, "ce"):
            raise ValueError("lazy: needs --cross-encoder, and its logits as --score")
        for name in NOT_LAZY:
            field = type(self).model_fields[name]
            if getattr(self, name) != field.get_default(call_default_factory=True):
                raise ValueError(
                    f"lazy: cannot be combined with {flag_of(name)}, which needs all scores"
                )
        if self.default_rule and not self.rules_given:
            self._settle("margin", DEFAULT_MARGIN)
        return self

    def _settle(self, name: str, value: object) -> None:
        """Set a value that another setting implies, before further checks."""
        object.__setattr__(self, name, value)
