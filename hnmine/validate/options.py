"""Faster ways to do the same run: what each gives up, the flags, and its estimated time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from hnmine.results import Json
from hnmine.validate.forecast import Costs, Load, steps

Changes = Mapping[str, object]
"""Settings that an option changes, by name."""

LAZY: Changes = {"lazy": True}
UNJUDGED: Changes = {"cross_encoder": None}
TOP_K = (50, 30)
"""Candidates per source that options ask for, unless the run asks for fewer."""

ALL = frozenset({"top_k", "lazy", "cross_encoder"})

LAZY_PAIRS = 2.0
"""Pairs that --lazy scores for a negative, about: half of the candidates survive."""

GIVEN_UP = {
    "top_k": "{} candidates per source instead of {}",
    "lazy": "scores that the choice does not need, and the default choice by all evidence",
    "cross_encoder": "the cross-encoder: the bi-encoder and BM25 choose alone",
}
"""What a change of each setting costs; the fields are the new and the old value."""


@dataclass(frozen=True)
class Option:
    """A way to do a run.

    Attributes:
        changes: settings that differ from those given, by name.
        flags: the same as flags; empty for the run as given.
        gives_up: what it costs, a phrase for each change.
        time_seconds: the estimated time of build-index, mine and filter.
    """

    changes: Changes
    flags: str
    gives_up: list[str]
    time_seconds: float

    def as_json(self) -> Json:
        """Return everything as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Work:
    """A run as given, and what may change.

    Attributes:
        load: the work to do.
        costs: of units.
        threads: that work at once.
        top_k: candidates per query from each source.
        sources: of candidates.
        num_negatives: per query.
        lazy: whether the cross-encoder stops once a query has its negatives.
        positives: pairs of a query and a known positive.
        changeable: settings that options may change.
    """

    load: Load
    costs: Costs
    threads: int
    top_k: int
    sources: int
    num_negatives: int
    lazy: bool
    positives: int
    changeable: frozenset[str] = field(default=ALL)

    def seconds(self, changes: Changes) -> float:
        """Estimate the time of the run with some settings changed."""
        top_k = changes.get("top_k", self.top_k)
        assert isinstance(top_k, int)
        pairs = pairs_of(self.load, self.sources, top_k) + self.positives
        lazy = changes.get("lazy", self.lazy)
        load = replace(
            self.load,
            pairs=pairs,
            judged=self.load.judged and "cross_encoder" not in changes,
            scored=lazy_pairs(self.load, pairs, self.num_negatives, self.positives)
            if lazy
            else None,
        )
        return sum(step.seconds(1, self.threads) for step in steps(load, self.costs))

    def may(self, changes: Changes) -> bool:
        """Tell whether an option may change these settings, and whether that changes anything."""
        if not changes.keys() <= self.changeable:
            return False
        if changes.keys() & {"lazy", "cross_encoder"} and not self.load.judged:
            return False
        return not ("lazy" in changes and self.lazy)


def pairs_of(load: Load, sources: int, top_k: int) -> int:
    """Return the candidates of all queries, at most."""
    return load.queries * sources * min(top_k, load.distinct)


def lazy_pairs(load: Load, pairs: int, num_negatives: int, positives: int) -> int:
    """Estimate the pairs that --lazy scores: the positives, and enough for the negatives."""
    return min(pairs, positives + int(load.queries * num_negatives * LAZY_PAIRS))


def options(work: Work) -> list[Option]:
    """Return the run as given, and its faster ways: those that give up least come first."""
    fewer: list[Changes] = [
        {"top_k": k} for k in TOP_K if k < work.top_k and k >= 2 * work.num_negatives
    ]
    # What changes how negatives are chosen, comes last: alone, and with the least search.
    last = [{**less, **how} for how in (LAZY, UNJUDGED) for less in ({}, *fewer[-1:])]
    return [_option(work, changes) for changes in [{}, *fewer, *last] if work.may(changes)]


def _option(work: Work, changes: Changes) -> Option:
    flags = {
        "top_k": f"--top-k {changes.get('top_k')}",
        "lazy": "--lazy",
        "cross_encoder": "without --cross-encoder",
    }
    values = {"top_k": (changes.get("top_k"), work.top_k)}
    return Option(
        changes,
        " ".join(flags[name] for name in flags if name in changes),
        [GIVEN_UP[name].format(*values.get(name, ())) for name in flags if name in changes],
        work.seconds(changes),
    )


def fitting(found: list[Option], seconds: float) -> Option | None:
    """Return the first option that takes no longer; None if all do."""
    return next((option for option in found if option.time_seconds <= seconds), None)
