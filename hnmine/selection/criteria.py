"""What `filter` is asked for, as narrow objects that are built from its settings here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, TypeVar

from hnmine.config import FilterSettings
from hnmine.expressions.evaluation import compares_candidates, number
from hnmine.relevance.learned import Learned
from hnmine.selection.rules import by_text, rules

T = TypeVar("T")


@dataclass(frozen=True)
class Goals:
    """What is to be learned about the candidates; the fields are those of the settings.

    Attributes:
        chooses_otherwise: whether candidates are not chosen by relevance and depth.
    """

    chooses_otherwise: bool
    depth: float | None
    max_false: float | None
    num_negatives: int
    cpu_threads: int
    strata: str | None
    quota: Mapping[str, int]


@dataclass(frozen=True)
class Rules:
    """What drops a candidate.

    Attributes:
        score: name of the score that rules compare, or an expression.
        positive_score: the query's score among those of its positives.
        derive: further columns, expression by name.
        expressions: (reason, expression to keep by), in the order in which they are asked.
        relabel: candidates for which it is true become positives.
        relabel_judged: whether candidates that were judged relevant become positives.
        lazy: whether candidates may have no cross-encoder score yet.
    """

    score: str
    positive_score: Literal["min", "max", "mean", "parent"]
    derive: Mapping[str, str]
    expressions: tuple[tuple[str, str], ...]
    relabel: str | None
    relabel_judged: bool
    lazy: bool


@dataclass(frozen=True)
class Choice:
    """Which survivors become negatives; the fields are those of the settings."""

    num_negatives: int
    per_query: str | None
    query_where: str | None
    within: str | None
    order: str
    sampling: str
    strata: str | None
    quota: Mapping[str, int]
    diversity: float
    seed: int
    weight: str | None
    train_column: Mapping[str, str]

    @property
    def keeps_what_it_holds(self) -> bool:
        """Whether a query's choice stays the same while no document of it is taken away."""
        looks = (self.per_query, self.query_where, self.within, self.strata)
        ranked = self.sampling in ("top", "random") and not compares_candidates(self.order)
        return ranked and not any(looks) and not self.quota and not self.diversity


def narrow(kind: type[T], settings: FilterSettings) -> T:
    """Return an object with only those settings that its fields name."""
    return kind(**{field.name: getattr(settings, field.name) for field in fields(kind)})  # type: ignore[arg-type]


def default_order(price: float) -> str:
    """Return the order of the default choice: the chance of relevance, and prices for the rest."""
    return f"ln(1 + exp(relevance)) + {number(price)} * depth + shortcut"


def criteria(settings: FilterSettings, learned: Learned | None = None) -> tuple[Rules, Choice]:
    """Return the rules and the choice that settings ask for.

    Where they name neither, it is the default choice: the least relevant for their depth.

    Args:
        settings: with score and margins resolved.
        learned: about the candidates; None with `compat` and `lazy`.
    """
    if learned and not settings.chooses_otherwise:
        update = {
            "where": [*settings.where, *learned.where],
            # A column, because functions in --order see survivors only.
            "derive": settings.derive | {"depth": learned.place},
            "order": default_order(learned.price_of_depth),
        }
        settings = settings.model_copy(update=update)
    expressions = [*rules(settings).items(), *by_text(settings.where)]
    return (
        Rules(
            settings.score or "dense",
            settings.positive_score,
            settings.derive,
            tuple(expressions),
            settings.relabel,
            settings.relabel_judged,
            settings.lazy,
        ),
        narrow(Choice, settings),
    )
