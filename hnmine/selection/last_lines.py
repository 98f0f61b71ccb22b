"""The last lines of `filter`: what it wrote, what is wrong with it, and what to run next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from hnmine.config import FilterSettings, MineSettings
from hnmine.printable import command_on
from hnmine.relevance.learned import Learned
from hnmine.relevance.shortcut_price import HIGHEST_AUC
from hnmine.selection.hardness import Hardness, why_unknown
from hnmine.selection.verdicts import USED_UP

MOST_MISSING, MOST_EASY, MOST_OVERTAKEN = 0.05, 0.5, 0.5
"""Share of the negatives asked for, and of the rows, above which a finding is printed."""

DIGITS = 2
"""Of a measure, before it is compared with its bound: what is printed decides."""


@dataclass(frozen=True)
class Measured:
    """What is known of a finished run.

    Attributes:
        place: the mined directory.
        counts: of its manifest.
        hardness: of the chosen negatives; None where no bi-encoder scored them.
        learned: about the candidates; None if nothing was.
        settings: of `filter`.
        mined: settings of `mine`.
        scores: sources that scored all candidates.
        sources: that found the candidates.
        documents: in the index; 0 where that is unknown.
    """

    place: str
    counts: Mapping[str, int]
    hardness: Hardness | None
    learned: Learned | None
    settings: FilterSettings
    mined: MineSettings
    scores: list[str]
    sources: list[str]
    documents: int = 0

    @property
    def missing(self) -> float:
        """The share of the negatives asked for that were not found."""
        return self.counts["negatives_missing"] / max(1, self.counts["negatives_asked"])

    @property
    def depth(self) -> float | None:
        """The depth that the default choice aimed at; None for another choice."""
        return None if not self.learned or self.settings.chooses_otherwise else self.learned.depth

    @property
    def is_whole_corpus(self) -> bool:
        """Whether a source was asked for as many documents as there are: no mining is deeper."""
        deepest = max((self.mined.depths or {}).values(), default=self.mined.top_k)
        return 0 < self.documents <= deepest

    @property
    def words(self) -> str:
        """The settings of `mine` that find more candidates by BM25, and as many by the others."""
        depths = self.mined.depths or dict.fromkeys(self.sources, self.mined.top_k)
        more = 2 * depths["bm25"] if "bm25" in depths else self.mined.top_k
        depths |= {"bm25": more}
        return " ".join(f"--source {name}:{depth}" for name, depth in depths.items())

    def command(self, name: str) -> str:
        """Return a command on the mined directory."""
        return f"`{command_on(name, self.place)}`"


def _nearer(run: Measured) -> str:
    if run.depth is None:
        return "lower --range-max, or leave the choice to the default"
    return f"lower --depth (now {run.depth:g})" if run.depth else "mine with a stronger encoder"


def _deeper(run: Measured) -> str:
    return "raise --range-min" if run.depth is None else f"raise --depth (now {run.depth:g})"


def _more(run: Measured) -> str:
    deepen = "" if run.settings.lazy else f", pass --deepen {max(4, 2 * run.settings.deepen)}"
    deeper = "mine deeper (--top-k)"
    if run.is_whole_corpus:
        deepen, deeper = "", f"add documents to the corpus (now {run.documents:,})"
    if run.counts.get(f"dropped_{USED_UP}"):
        return f"raise --max-uses (now {run.settings.max_uses}), or {deeper}"
    return f"{deeper}{deepen}, or loosen the rules"


def _counted(queries: int) -> str:
    return f"{queries:,} {'query' if queries == 1 else 'queries'}"


def _unlike(run: Measured, more: str) -> str:
    if run.depth is None or run.settings.strata or run.settings.quota:
        return "only the default choice, without --strata and --quota, works against that"
    return f"mine with {more}"


def _shortcut(name: str) -> Callable[[Measured], float]:
    return lambda run: run.hardness.shortcuts.get(name, 0.0) if run.hardness else 0.0


Finding = tuple[Callable[[Measured], float], float, Callable[[Measured, float], str]]

FINDINGS: tuple[Finding, ...] = (
    (
        lambda run: run.missing,
        MOST_MISSING,
        lambda run, share: (
            f"{run.counts['negatives_missing']:,} of {run.counts['negatives_asked']:,} negatives "
            f"are missing: {_more(run)}."
        ),
    ),
    (
        lambda run: run.hardness.easy if run.hardness else 0.0,
        MOST_EASY,
        lambda run, share: (
            f"{share:.0%} of the rows give almost no gradient: the negatives are too easy for this "
            f"encoder; {_nearer(run)}."
        ),
    ),
    (
        lambda run: run.hardness.overtaken if run.hardness else 0.0,
        MOST_OVERTAKEN,
        lambda run, share: (
            f"In {share:.0%} of the rows a negative scores as high as the positive: judge some "
            f"with {run.command('review')}, or {_deeper(run)}."
        ),
    ),
    (
        _shortcut("bm25"),
        HIGHEST_AUC,
        lambda run, auc: (
            f"BM25 alone still tells negatives from positives (AUC {auc:.2f}): "
            f"{_unlike(run, run.words)}."
        ),
    ),
    (
        _shortcut("length"),
        HIGHEST_AUC,
        lambda run, auc: (
            f"Length alone still tells negatives from positives (AUC {auc:.2f}): "
            f"{_unlike(run, f'--top-k {2 * run.mined.top_k}')}."
        ),
    ),
)
"""Measure, the bound above which it is a finding, and what is said."""


def last_lines(run: Measured, *, briefly: bool = False) -> Iterator[str]:
    """Yield the verdict, a line each; briefly without what hardness consists of."""
    yield summary(run)
    hardness = run.hardness.sentences() if run.hardness else iter([why_unknown(run.scores)])
    yield from islice(hardness, 1 if briefly else None)
    yield from findings(run)
    if run.counts["negatives"]:
        yield f"Next: {run.command('report')} shows them and the most doubtful; train on train/."


def findings(run: Measured) -> Iterator[str]:
    """Yield what is beyond its bound and the setting that changes it, a sentence each."""
    for measure, bound, says in FINDINGS:
        found = measure(run)
        if round(found, DIGITS) > bound:
            yield says(run, found)


def summary(run: Measured) -> str:
    """Return the counts and measures in a sentence."""
    counts, hardness = run.counts, run.hardness
    said = [f"{counts['negatives']:,} negatives for {_counted(counts['queries'])}"]
    if asked := counts["negatives_asked"]:
        # Rounded down: 100 % would say that none is missing.
        found = 100 * (asked - counts["negatives_missing"]) // asked
        said[0] += f" ({found}% of those asked for)"
    if hardness and hardness.rank is not None:
        said.append(f"mean rank {hardness.rank:.1f}")
    for name, auc in sorted(hardness.shortcuts.items()) if hardness else ():
        said.append(f"AUC of {'BM25' if name == 'bm25' else name} alone {auc:.2f}")
    if hardness and hardness.most_uses is not None:
        said.append(f"no document for more than {_counted(hardness.most_uses)}")
    return ", ".join(said) + "."
