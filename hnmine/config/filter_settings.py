"""Settings of `hnmine filter`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from hnmine.config.output import OutputSettings
from hnmine.config.shared import MANY, Count, ModelSettings, Pooling, assignments, path, seed
from hnmine.names import check_names

DEFAULT_MARGIN = 3.0
"""Logits below the positive that --lazy asks for where no rule is given."""

MAX_P_RELEVANT = 0.5
"""A candidate that is more likely relevant than not is no negative, however few there are."""

NOT_LAZY = (
    "sampling", "order", "within", "strata", "quota", "budget", "relabel", "query_where",
    "max_p_relevant", "target_fn_rate", "deepen", "max_uses", "compat",
)  # fmt: skip
"""Settings whose outcome depends on the scores of candidates that are not chosen."""


class FilterSettings(ModelSettings, OutputSettings):
    """Settings of `hnmine filter`."""

    command = "filter"

    candidates: Path = path("Directory that `hnmine mine` wrote.")
    output: Path = path("Directory to write the mined negatives to.")
    index: Path | None = path(
        "The index, where it has moved since `hnmine mine`. [default: where it was]", None
    )
    cross_encoder: str | None = Field(
        None, description="Cross-encoder: a hub name, a folder, or pkg:package/folder."
    )
    judge: list[str] = Field(
        default_factory=list,
        description="A further judge of relevance: a bi-encoder or a cross-encoder, or a file of "
        "verdicts (query id, document id, score from 0 to 1). May be repeated.",
    )
    pooling: Pooling | None = Field(
        None,
        description="Pooling of ONNX bi-encoders that judge. [default: the model's own, else mean]",
    )
    score: str | None = Field(
        None,
        description="The score that the rules compare: ce, dense, bm25, or an expression. "
        "[default: ce with --cross-encoder, else dense, else bm25]",
    )
    positive_score: Literal["min", "max", "mean"] = Field(
        "min", description="The query's score among those of its positives."
    )
    margin: float | None = Field(
        None,
        description="Keep a candidate if score <= positive - MARGIN.",
    )
    relative_margin: float | None = Field(
        None, description="Keep a candidate if score <= positive - |positive| * MARGIN."
    )
    max_score: float | None = Field(None, description="Keep a candidate if score <= MAX_SCORE.")
    min_score: float | None = Field(None, description="Keep a candidate if score >= MIN_SCORE.")
    near_copy: float = Field(
        0.9,
        ge=0,
        description="Leave out candidates of which, or of whose positive, this share stands word "
        "for word in the other; above 1: off.",
    )
    range_min: int = Field(
        0, ge=0, le=MANY, description="Leave out the candidates of rank < RANGE_MIN."
    )
    range_max: int | None = Field(
        None, ge=1, le=MANY, description="Leave out the candidates of rank >= RANGE_MAX."
    )
    derive: dict[str, str] = Field(
        default_factory=dict,
        description="Add a column, as NAME=EXPRESSION over the columns there are. May be repeated.",
    )
    where: list[str] = Field(
        default_factory=list,
        description="Keep a candidate if this expression is true. May be repeated.",
    )
    relabel: str | None = Field(
        None,
        description="Make a candidate a positive of its query if this expression is true, such as "
        "'score > positive_score + 2'.",
    )
    max_p_relevant: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Drop the candidates whose estimated chance of being relevant is higher. "
        "[default: 0.5 with the default rule]",
    )
    target_fn_rate: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Drop the candidates with so much evidence of relevance that at most this "
        "share of relevant documents would be left.",
    )
    calibrate_by: str | None = Field(
        None,
        description="Expression whose values get a cut of their own from --target-fn-rate, where "
        "they have positives enough.",
    )
    depth: float | None = Field(
        None,
        ge=0,
        description="Mean rank by the bi-encoder of the negatives that the default choice aims at: "
        "the deeper, the surer and the easier they are. [default: 20, or 0, 5, 10 or 40 where a "
        "trial on the known positives says so]",
    )
    default_rule: bool = Field(
        True,
        description="Where no rule and no order is given, choose what is least likely relevant for "
        "its depth; where there are too few positives to learn that from, all judges count the "
        "same.",
    )
    num_negatives: int = Field(5, ge=1, le=MANY, description="Hard negatives for each query.")
    budget: str | None = Field(
        None,
        description="Negatives for each query as an expression, at most --num-negatives.",
    )
    sampling: str = Field(
        "top",
        description="Among the survivors: top, the first by --order; random; or an expression, the "
        "weight of each in a draw without replacement.",
    )
    order: str = Field(
        "rank", description="Expression by which --sampling top goes, the smallest first."
    )
    within: str | None = Field(
        None,
        description="Choose only among survivors for which this expression is true; its rank(x), "
        "avg(x) and so on count survivors.",
    )
    strata: str | None = Field(
        None, description="Expression whose values take turns, so that each is chosen as often."
    )
    quota: dict[str, Count] = Field(
        default_factory=dict,
        description="Negatives of one kind, as EXPRESSION=N, such as 'bm25_rank is not null=2'; "
        "together they replace --num-negatives. May be repeated.",
    )
    weight: str | None = Field(
        None, description="Expression for the weight of a chosen negative. [default: 1]"
    )
    query_where: str | None = Field(
        None,
        description="Use a query only if this expression is true, such as "
        "\"count(*) filter (where reason = 'relabelled') <= 7\"; it may be about selected and "
        "reason.",
    )
    train_column: dict[str, str] = Field(
        default_factory=dict,
        description="Add a column to train/, as NAME=EXPRESSION over the scored columns, such as "
        "weight=weight or negative_id=doc_id. May be repeated.",
    )
    format: Literal["triplet", "n-tuple", "labeled-pair", "labeled-list"] = Field(
        "triplet", description="Layout of train/, as in sentence-transformers."
    )
    output_scores: bool = Field(
        False, description="Add the column `scores` (or `score`) that distillation losses take."
    )
    deepen: int = Field(
        1,
        ge=1,
        le=MANY,
        description="Mine a query that got too few negatives again, twice as deep and so on, up to "
        "DEEPEN times as deep as `mine` did.",
    )
    max_uses: int | None = Field(
        None,
        ge=1,
        description="Let no document serve as a negative of more than MAX_USES queries; which of "
        "them is drawn, and the others get their next best.",
    )
    lazy: bool = Field(
        False,
        description="Score with the cross-encoder, in order of rank, only until each query has its "
        "negatives. They are the same as without, by --margin and the like (3 logits where none is "
        "given); what needs every score, such as the default rule, cannot be had.",
    )
    seed: int = seed("Seed of every random choice.")
    compat: Literal["sentence-transformers"] | None = Field(
        None,
        description="Choose as mine_hard_negatives of sentence-transformers does: ranges count "
        "survivors, the best by score come first, no rule is on by default.",
    )

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
        if self.calibrate_by and self.target_fn_rate is None:
            raise ValueError("calibrate-by: needs --target-fn-rate")
        if self.quota and (self.budget or self.strata):
            raise ValueError("quota: cannot be combined with --budget or --strata")
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

    @property
    def chooses_otherwise(self) -> bool:
        """Whether something else than the default choice is asked for."""
        chosen = self.order != "rank" or self.sampling != "top"
        return chosen or self.rules_given or not self.default_rule

    @property
    def highest_p_relevant(self) -> float:
        """The chance of being relevant up to which the default choice takes a candidate."""
        return MAX_P_RELEVANT if self.max_p_relevant is None else self.max_p_relevant

    @property
    def rules_given(self) -> bool:
        """Whether a rule about the score is asked for."""
        rules = (self.margin, self.relative_margin, self.max_score)
        return any(rule is not None for rule in rules)

    @model_validator(mode="after")
    def _check_lazy(self) -> FilterSettings:
        """Refuse what needs the scores of all candidates, or chooses by more than rank."""
        if not self.lazy:
            return self
        if not self.cross_encoder or self.score not in (None, "ce"):
            raise ValueError("lazy: needs --cross-encoder, and its logits as --score")
        for name in NOT_LAZY:
            field = type(self).model_fields[name]
            if getattr(self, name) != field.get_default(call_default_factory=True):
                flag = name.replace("_", "-")
                raise ValueError(f"lazy: cannot be combined with --{flag}, which needs all scores")
        if self.default_rule and not self.rules_given:
            self._settle("margin", DEFAULT_MARGIN)
        return self

    def _settle(self, name: str, value: object) -> None:
        """Fill in what another setting says, before what comes next is checked."""
        object.__setattr__(self, name, value)
