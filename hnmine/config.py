"""Every setting, once: its name, type, default and help; from flags, a YAML file, or keywords."""

from __future__ import annotations

import difflib
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hnmine.errors import UsageError

MANY = 2**31 - 1
"""The largest number of documents that anything is counted in."""

NOT_IN_PLAN: dict[str, Any] = {"in_plan": False}
"""Marks settings on which the result does not depend, or that the plan holds by content."""

Dtype = Literal["fp32", "bf16", "fp16"]
Pooling = Literal["mean", "cls"]


def _path(help: str, default: Any = ...) -> Any:
    return Field(default, description=help, json_schema_extra=NOT_IN_PLAN)


class Settings(BaseModel):
    """What all commands share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threads: int | None = Field(
        None, ge=1, description="CPU threads. [default: all]", json_schema_extra=NOT_IN_PLAN
    )
    progress: bool = Field(
        True,
        description="Show progress bars on stderr, where that is a terminal.",
        json_schema_extra=NOT_IN_PLAN,
    )

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Any:
        """Check settings, all errors at once.

        Raises:
            UsageError: naming every setting that is unknown, missing or wrong.
        """
        known = cls.model_fields
        try:
            return cls.model_validate(
                {key.replace("-", "_"): value for key, value in values.items()}
            )
        except ValidationError as error:
            problems = [_problem(item, known) for item in error.errors()]
            command = next(name for name, settings in COMMANDS.items() if settings is cls)
            raise UsageError("\n".join(problems), fix=f"See `hnmine {command} --help`.") from error

    @property
    def cpu_threads(self) -> int:
        """The CPU threads to use: those given, else those that this process may run on."""
        allowed = getattr(os, "sched_getaffinity", None)  # Linux alone knows it.
        return self.threads or (len(allowed(0)) if allowed else os.cpu_count() or 1)

    def plan(self) -> dict[str, Any]:
        """Return the settings on which the result depends, as JSON values."""
        hidden = {
            name
            for name, field in type(self).model_fields.items()
            if field.json_schema_extra == NOT_IN_PLAN
        }
        return self.model_dump(mode="json", exclude=hidden)


def _short(value: Any) -> str:
    shown = reprlib.repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}..."


def _problem(item: Any, known: Mapping[str, Any]) -> str:
    name = ".".join(map(str, item["loc"])).replace("_", "-")
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name.replace("-", "_"), known, n=1)
        hint = f" Did you mean {close[0].replace('_', '-')}?" if close else ""
        return f"{name}: no such setting.{hint}"
    if item["type"] == "missing":
        return f"{name}: must be given."
    message = item["msg"].removeprefix("Value error, ")
    given = "" if item["type"] == "value_error" else f" (given: {_short(item['input'])})"
    return f"{name}: {message}{given}" if name else message


class OutputSettings(Settings):
    """How a directory is written."""

    overwrite: bool = Field(
        False,
        description="Replace what a run with other settings wrote to the output directory.",
        json_schema_extra=NOT_IN_PLAN,
    )


class InputSettings(Settings):
    """How input tables are read."""

    column: dict[str, str] = Field(
        default_factory=dict,
        description="Name a column that is not found by convention, as TABLE.ROLE=NAME, such as "
        "corpus.text=body. Tables: corpus, pairs, queries, qrels. May be repeated.",
    )
    on_bad_row: Literal["error", "skip"] = Field(
        "error", description="What to do with rows that are null, blank or contradict others."
    )

    @field_validator("column", mode="before")
    @classmethod
    def _parse_columns(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return value
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list of TABLE.ROLE=NAME")
        parsed = {}
        for item in value:
            role, equals, name = str(item).partition("=")
            if not equals or "." not in role:
                raise ValueError(f"{item!r} is not of the form TABLE.ROLE=NAME")
            parsed[role] = name
        return parsed

    @field_validator("column")
    @classmethod
    def _check_tables(cls, value: dict[str, str]) -> dict[str, str]:
        for role in value:
            if role.partition(".")[0] not in ("corpus", "pairs", "queries", "qrels"):
                raise ValueError(f"{role!r} names no table: use corpus, pairs, queries or qrels")
        return value

    def columns(self, table: str) -> dict[str, str]:
        """Return the column names given for one table, by role."""
        return {
            role.partition(".")[2]: name
            for role, name in self.column.items()
            if role.partition(".")[0] == table
        }


class ModelSettings(Settings):
    """How a model runs."""

    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps.")
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "fp32",
        description="Number format of the model's weights; auto: bf16 where the machine computes "
        "in it, else fp32.",
    )
    batch_tokens: int | None = Field(
        None,
        ge=1,
        description="Tokens in one forward pass, about. [default: 2048 on a CPU, 32768 on a GPU]",
    )
    max_length: int | None = Field(
        None, ge=1, description="Tokens after which a text is cut. [default: the model's]"
    )


class BuildIndexSettings(InputSettings, ModelSettings, OutputSettings):
    """Settings of `hnmine build-index`."""

    corpus: str | None = _path("Corpus: a Parquet, JSONL or CSV file, a directory or a glob.", None)
    pairs: str | None = _path(
        "Pairs whose positives are added to the corpus; without --corpus they are the corpus.", None
    )
    index: Path = _path("Directory to write the index to.")
    bm25: bool = Field(True, description="Build the BM25 index.")
    dense: bool = Field(True, description="Build the dense index.")
    encoder: str | None = Field(
        None,
        description="Bi-encoder: a hub name, a folder, or pkg:package/folder. Needed for --dense.",
    )
    query_prompt: str | None = Field(
        None, description="Put before every query. [default: the model's own]"
    )
    document_prompt: str | None = Field(
        None, description="Put before every document. [default: the model's own]"
    )
    pooling: Pooling | None = Field(
        None, description="Pooling of an ONNX encoder. [default: the model's own, else mean]"
    )
    faiss: str = Field("Flat", description="FAISS index-factory string; Flat is exact.")
    bm25_variant: Literal["lucene", "okapi", "plus", "l"] = Field(
        "lucene", description="BM25 formula; okapi, plus and l are those of rank-bm25."
    )
    k1: float = Field(1.5, ge=0, description="BM25 term frequency saturation.")
    b: float = Field(0.75, ge=0, le=1, description="BM25 length normalisation.")
    tokenizer: Literal["word", "whitespace"] = Field(
        "word", description="BM25 tokens: lower-cased words, or the text split at white space."
    )
    stemmer: str = Field(
        "english", description="Snowball stemmer of the BM25 tokens: a language, or none."
    )
    shard_size: int = Field(
        16384, ge=1, le=MANY, description="Documents in one shard: the most that a kill can lose."
    )

    @model_validator(mode="after")
    def _check(self) -> BuildIndexSettings:
        if self.corpus is None and self.pairs is None:
            raise ValueError("corpus: give --corpus, or --pairs whose positives are the corpus")
        if not (self.bm25 or self.dense):
            raise ValueError("dense: --no-bm25 and --no-dense leave nothing to build")
        if self.dense and not self.encoder:
            raise ValueError(
                "encoder: must be given for the dense index; --no-dense builds BM25 alone"
            )
        return self


class JudgedSettings(InputSettings):
    """Which judgements count, and how deep to look for candidates."""

    qrels: str | None = _path("Judgements: query id, corpus id and, if graded, score.", None)
    min_grade: float = Field(1.0, description="Judgements below this grade are not positives.")
    top_k: int = Field(
        100, ge=1, le=MANY, description="Candidates from each source for each query."
    )


class MineSettings(JudgedSettings, OutputSettings):
    """Settings of `hnmine mine`."""

    index: Path = _path("Directory that `hnmine build-index` wrote.")
    output: Path = _path("Directory to write the candidates to.")
    pairs: str | None = _path("(query, positive) pairs as text: file, directory or glob.", None)
    queries: str | None = _path("Queries with ids; needs --qrels.", None)
    source: list[Literal["bm25", "dense"]] = Field(
        default_factory=list,
        description="Where candidates come from; may be repeated. [default: all in the index]",
    )
    bm25_engine: Literal["hnmine", "rank-bm25"] = Field(
        "hnmine", description="What searches: hnmine's index, or the package rank-bm25 (slow)."
    )
    device: str = Field("auto", description="Of the encoder: auto, cpu, cuda, cuda:1 or mps.")
    faiss_search: str | None = Field(
        None, description="FAISS search parameters of an approximate index, such as nprobe=32."
    )
    block_size: int = Field(
        512, ge=1, le=MANY, description="Queries in one task: the most that a kill can lose."
    )

    @model_validator(mode="after")
    def _check(self) -> MineSettings:
        if self.pairs is None and (self.queries is None or self.qrels is None):
            raise ValueError("pairs: give --pairs, or --queries and --qrels")
        if self.pairs is not None and (self.queries or self.qrels):
            raise ValueError("pairs: give --pairs or --queries and --qrels, not both")
        return self


class FilterSettings(ModelSettings, OutputSettings):
    """Settings of `hnmine filter`."""

    candidates: Path = _path("Directory that `hnmine mine` wrote.")
    output: Path = _path("Directory to write the mined negatives to.")
    index: Path | None = _path(
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
    depth: float = Field(
        20.0,
        ge=0,
        description="Mean rank of the negatives that the default choice aims at: the deeper, the "
        "surer and the easier they are.",
    )
    default_rule: bool = Field(
        True,
        description="Where no rule and no order is given, choose what is least likely relevant for "
        "its depth; where there are too few positives to learn that from, --margin 3 on "
        "cross-encoder logits, --relative-margin 0.05 on other scores.",
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
    quota: dict[str, int] = Field(
        default_factory=dict,
        description="Negatives of one kind, as EXPRESSION=N, such as 'bm25_rank is not null=2'; "
        "together they replace --num-negatives. May be repeated.",
    )
    weight: str | None = Field(
        None, description="Expression for the weight of a chosen negative. [default: 1]"
    )
    format: Literal["triplet", "n-tuple", "labeled-pair", "labeled-list"] = Field(
        "triplet", description="Layout of train/, as in sentence-transformers."
    )
    output_scores: bool = Field(
        False, description="Add the column `scores` (or `score`) that distillation losses take."
    )
    seed: int = Field(0, description="Seed of every random choice.")
    compat: Literal["sentence-transformers"] | None = Field(
        None,
        description="Choose as mine_hard_negatives of sentence-transformers does: ranges count "
        "survivors, the best by score come first, no rule is on by default.",
    )

    @field_validator("where", "judge", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("derive", "quota", mode="before")
    @classmethod
    def _parse_assignments(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, Mapping):
            return value
        parsed = {}
        for item in value if isinstance(value, list | tuple) else [value]:
            # The name is before the first =, the number after the last.
            split = str(item).partition if info.field_name == "derive" else str(item).rpartition
            name, equals, rest = split("=")
            if not (equals and name.strip() and rest.strip()):
                shape = "NAME=EXPRESSION" if info.field_name == "derive" else "EXPRESSION=N"
                raise ValueError(f"{item!r} is not of the form {shape}")
            parsed[name.strip()] = rest.strip()
        return parsed

    @model_validator(mode="after")
    def _check(self) -> FilterSettings:
        if self.score == "ce" and not self.cross_encoder:
            raise ValueError("score: ce needs --cross-encoder")
        if self.calibrate_by and self.target_fn_rate is None:
            raise ValueError("calibrate-by: needs --target-fn-rate")
        if self.quota and (self.budget or self.strata):
            raise ValueError("quota: cannot be combined with --budget or --strata")
        if self.quota and self.num_negatives != sum(self.quota.values()):
            return self.model_copy(update={"num_negatives": sum(self.quota.values())})
        if self.range_max is not None and self.range_max <= self.range_min:
            raise ValueError("range-max: must be greater than range-min")
        window = (self.range_max or 10**9) - self.range_min
        if self.num_negatives > window:
            raise ValueError(
                f"num-negatives: asks for {self.num_negatives}, but --range-min and --range-max "
                f"leave {window} candidates"
            )
        return self


class ValidateSettings(JudgedSettings, ModelSettings):
    """Settings of `hnmine validate`."""

    corpus: str | None = _path("Corpus: a file, a directory or a glob.", None)
    pairs: str | None = _path("(query, positive) pairs as text.", None)
    queries: str | None = _path("Queries with ids.", None)
    encoder: str | None = Field(
        None, description="Bi-encoder whose length limit, vectors and time are estimated."
    )
    cross_encoder: str | None = Field(
        None, description="Cross-encoder whose time is estimated, at its own length limit."
    )
    calibrate: bool = Field(
        True, description="Run the models on a few texts, to estimate the time that they need."
    )
    seed: int = Field(0, description="Seed of the samples that lengths and near copies are from.")


class AuditSettings(Settings):
    """Settings of `hnmine audit`."""

    mined: Path = _path("Directory that `hnmine filter` wrote.")
    qrels: str | None = _path("Fuller judgements than those that were mined with.", None)
    min_grade: float = Field(1.0, description="Judgements from this grade on are relevant.")
    verdicts: str | None = _path("A sheet that --sample wrote, with verdicts filled in.", None)
    sample: int | None = Field(
        None, ge=1, description="Draw this many negatives for a person, or a model, to judge."
    )
    sheet: Path | None = _path("File to write the sample to: .csv or .parquet.", None)
    seed: int = Field(0, description="Seed of the sample.")


STAGES: dict[str, type[Settings]] = {
    "build-index": BuildIndexSettings,
    "mine": MineSettings,
    "filter": FilterSettings,
}
"""The commands that `hnmine run` runs, in their order."""

COMMANDS: dict[str, type[Settings]] = {
    **STAGES,
    "validate": ValidateSettings,
    "audit": AuditSettings,
}
PLACES = {"index", "candidates", "output"}
"""Directories of a single command; in a file, all are derived from its `output`."""
