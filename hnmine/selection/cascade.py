"""The cascade: rules that need no cross-encoder drop candidates before it scores the others.

It is taken only where it cannot change the choice, which the expressions themselves tell. A score
that was not needed is null in scored/, whatever an earlier run has cached.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache

import pyarrow as pa

from hnmine import schema
from hnmine.config import FilterSettings
from hnmine.expressions.evaluation import compares_candidates, references
from hnmine.expressions.syntax import nodes, parse
from hnmine.ragged import Bools
from hnmine.selection.criteria import Choice, Rules
from hnmine.selection.derived_columns import definitions, with_columns
from hnmine.selection.rules import KEPT, reasons

ALWAYS = ("positive", "query", "near-copy", "not-finite", "same-score")
"""Rules of every choice. They drop too few candidates to be worth a cascade."""


@dataclass(frozen=True)
class Cascade:
    """What is known before the cross-encoders have scored.

    Attributes:
        costly: columns of their scores.
        rules: those that need none of them.
    """

    costly: frozenset[str]
    rules: Rules

    @classmethod
    def of(
        cls, settings: FilterSettings, rules: Rules, choice: Choice, costly: Collection[str]
    ) -> Cascade | None:
        """Return the cascade; None where the choice could need every score, or nothing is spared.

        Args:
            settings: of `filter`.
            rules: what drops a candidate.
            choice: which survivors are chosen.
            costly: columns of cross-encoders.
        """
        # The default choice, and what is to be proved, are learned from the scores of all.
        learns = not settings.chooses_otherwise or settings.max_false is not None
        # What is relabelled is written with its score, whatever rule drops it.
        relabels = rules.relabel is not None or rules.relabel_judged
        if not costly or learns or relabels or settings.compat or settings.lazy:
            return None
        known = _Needs(rules, costly)
        if not known.spare(rules, choice):
            return None
        cheap = [rule for rule in rules.expressions if not known.is_costly(rule[1])]
        if {name for name, _ in cheap} <= {*ALWAYS}:
            return None
        return cls(
            frozenset(costly),
            replace(
                rules,
                score="0" if known.is_costly("score") else rules.score,
                derive={n: text for n, text in rules.derive.items() if not known.is_costly(n)},
                expressions=tuple(cheap),
            ),
        )

    def in_order(self, rules: Rules) -> Rules:
        """Return rules with those first that are asked before there is a score."""
        first = self.rules.expressions
        rest = tuple(rule for rule in rules.expressions if rule not in first)
        return replace(rules, expressions=(*first, *rest))

    def needed(self, table: pa.Table) -> Bools:
        """Return which rows of a part need scores: positives, and what the rules leave.

        Args:
            table: the part, without scores of the cross-encoders.
        """
        positive = table["is_positive"].to_numpy()
        among = ~positive & ~table["is_query"].to_numpy()
        table = with_columns(table, self.rules, among)
        needed: Bools = positive | (reasons(table, self.rules.expressions, among) == KEPT)
        return needed


class _Needs:
    """Which expressions need the scores of cross-encoders."""

    def __init__(self, rules: Rules, costly: Collection[str]) -> None:
        self._of = definitions(rules)
        self._costly = {name.lower() for name in costly}

    def spare(self, rules: Rules, choice: Choice) -> bool:
        """Return whether no expression can see the score of a candidate that other rules drop."""
        of_all = [text for _, text in rules.expressions]
        of_all += [rules.score, *rules.derive.values()]
        of_chosen = [choice.order, *choice.quota, *choice.train_column.values()]
        of_chosen += [choice.sampling] if choice.sampling not in ("top", "random") else []
        of_chosen += [t for t in (choice.within, choice.strata, choice.weight) if t is not None]
        # Evaluated at a row that a rule may drop, or over all of them.
        of_query = [t for t in (choice.per_query, choice.query_where) if t is not None]
        every = [*of_all, *of_chosen, *of_query]
        estimates = {name.lower() for name in schema.ESTIMATES.names}
        return not (
            any(estimates & self._columns(text) for text in every)
            or any(map(self.is_costly, of_query))
            or any(self.is_costly(text) and self._compares(text) for text in of_all)
            or any(self.is_costly(text) and _looks_around(text) for text in of_chosen)
        )

    def is_costly(self, text: str) -> bool:
        return bool(self._costly & self._columns(text))

    def _columns(self, text: str) -> set[str]:
        """Return all columns that an expression depends on, in lower case."""
        found: set[str] = set()
        waiting = [text]
        while waiting:
            for name in _names(waiting.pop()):
                if name not in found:
                    found.add(name)
                    waiting += [self._of[name]] if name in self._of else []
        return found

    def _compares(self, text: str) -> bool:
        """Return whether an expression looks at other candidates; its columns are asked apart."""
        return compares_candidates(text) is not None or _looks_around(text)


@lru_cache(maxsize=256)
def _names(text: str) -> frozenset[str]:
    """Return the columns that an expression names, in lower case."""
    return frozenset(names[0].lower() for names in references(text))


@lru_cache(maxsize=256)
def _looks_around(text: str) -> bool:
    """Return whether an expression looks beyond the candidates that its functions are limited to.

    An aggregate with a filter of its own does, and so does a window.
    """
    return any(
        node["class"] == "WINDOW" or (node["class"] == "FUNCTION" and node.get("filter"))
        for node in nodes(parse(text))
    )
