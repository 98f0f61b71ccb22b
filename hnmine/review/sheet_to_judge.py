"""The sheet that `hnmine judge` fills: drawn from a directory, with rows of known truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from hnmine.config.judge_settings import JudgeSettings
from hnmine.directories.candidates import Candidates
from hnmine.directories.manifests import CandidatesManifest
from hnmine.directories.mined import Mined
from hnmine.directories.scored_view import ScoredView
from hnmine.errors import InputError, UsageError
from hnmine.judging.controls import ANY, POSITIVE, RANDOM, KnownPositives, controls_for
from hnmine.judging.judged_rows import JudgedRows
from hnmine.ragged import Floats
from hnmine.relevance.evidence import numbers
from hnmine.review.doubtful import choose
from hnmine.runner.manifest import MANIFEST, read_json
from hnmine.sheets.draw import EVEN, draw_noise, drawn_rows
from hnmine.sheets.sheet import Sheet, beside, with_texts

KNOWN_TRUTH = 3
"""Other rows for each row of known truth: a quarter of all rows measure the judge."""

IDS = ("query_id", "doc_id")


def sheet_to_judge(settings: JudgeSettings) -> Sheet:
    """Return the sheet with the rows that the settings ask for; it is not saved yet.

    Raises:
        HnmineError: the target, the candidates or the sheet cannot be used.
    """
    target = settings.target
    if target.is_file():
        if settings.sheet or settings.sample or settings.doubtful:
            raise UsageError(
                f"{target} is a sheet; --sheet, --sample and --doubtful are for directories.",
                fix="Pass the mined directory instead, and this sheet with --sheet.",
            )
        return Sheet.open(target)
    path = settings.sheet or beside(target, "-verdicts.parquet")
    stage = (read_json(target / MANIFEST) or {}).get("stage")
    drawn = _of_candidates if stage == CandidatesManifest.stage else _of_mined
    candidates, rows, known = drawn(settings)
    sheet = Sheet.open(path) if path.exists() else Sheet(path, rows)
    sheet.add(rows)
    rows_there = JudgedRows(sheet.table)
    others = ~rows_there.controls
    more = controls_for(
        candidates,
        known,
        rows_there.numbers("relevance")[others],
        -(-int(others.sum()) // KNOWN_TRUTH),
        seed=settings.seed,
        present=sheet.pairs,
        held=(int(rows_there.drawn(POSITIVE).sum()), int(rows_there.drawn(RANDOM).sum())),
    )
    sheet.add(more)
    if not sheet.table.num_rows:
        raise UsageError(
            f"No row of {target} is left to judge.",
            why="--sample and --doubtful choose none.",
            fix="Raise --sample or --doubtful.",
        )
    return sheet


DRAWN_FROM = pa.schema(
    {**dict.fromkeys(IDS, pa.string()), "scale": pa.float64(), "noise": pa.uint64()}
)

Drawn = tuple[Candidates, pa.Table, KnownPositives]
"""The candidates, the rows to judge, and the positives to draw controls from."""


def _of_mined(settings: JudgeSettings) -> Drawn:
    mined = Mined(settings.target, settings.candidates, settings.index)
    columns = [*IDS, "is_positive", "is_query", "selected", "relevance", "score"]
    scale = _relevance(mined)
    known, found, scores = _read(lambda: mined.read(columns), "selected", settings, scale)
    parts = [drawn_rows(mined.candidates, found, scores, EVEN, settings.seed)]
    if settings.doubtful:
        with mined.sql(settings.cpu_threads) as scored:
            chosen = choose(scored, settings.doubtful, 0, settings.seed)
            chosen["relevance"] = _look_up(scored, chosen, scale)
        parts.append(with_texts(mined.candidates, chosen))
    return mined.candidates, pa.concat_tables(parts, promote_options="permissive"), known


def _of_candidates(settings: JudgeSettings) -> Drawn:
    if settings.doubtful:
        raise UsageError(
            f"--doubtful needs a directory of `hnmine filter`; {settings.target} is one of `mine`.",
            fix="Leave --doubtful out, or filter first.",
        )
    candidates = Candidates(settings.target, settings.index)
    score = "dense_score" if candidates.has_dense_scores else "bm25_score"
    columns = [*IDS, "is_positive", "is_query", score]

    def parts() -> Iterator[pa.Table]:
        for part in range(len(candidates.parts)):
            yield candidates.read(part, columns)

    known, found, scores = _read(parts, None, settings, score)
    return candidates, drawn_rows(candidates, found, scores, ANY, settings.seed), known


def _look_up(scored: ScoredView, chosen: dict[str, pa.Array], scale: str) -> pa.Array:
    """Return the scores of chosen pairs by which controls are matched to them."""
    scored.ask("create or replace temp table chosen (query_id text, doc_id text)")
    scored.add("chosen", pa.table({name: chosen[name] for name in IDS}))
    found = scored.ask(
        f"select query_id, doc_id, {scale} from scored semi join chosen using (query_id, doc_id)"
    )
    by_pair = {(query, document): score for query, document, score in found}
    pairs = zip(*(chosen[name].to_pylist() for name in IDS), strict=True)
    return pa.array([by_pair[pair] for pair in pairs], pa.float64(), from_pandas=True)


def _relevance(mined: Mined) -> str:
    """Return the column by which known positives are matched to negatives."""
    parts = mined.read(["relevance"])
    known = any(part["relevance"].null_count < part.num_rows for part in parts)
    return "relevance" if known else "score"


def _read(
    parts: Callable[[], Iterator[pa.Table]], chosen: str | None, settings: JudgeSettings, scale: str
) -> tuple[KnownPositives, list[tuple[str, str]], Floats]:
    """Return the known positives, the evenly drawn pairs in the order of the draw, and their scale.

    Args:
        parts: the tables to draw from.
        chosen: the column of the rows to draw from; None for all candidates.
        settings: with the number of rows and the seed.
        scale: the column that orders rows by relevance.
    """
    drawn = DRAWN_FROM.empty_table()
    positives = []
    for part in parts():
        itself, positive = (part[name].to_numpy() for name in ("is_query", "is_positive"))
        known, eligible = positive & ~itself, ~positive & ~itself
        if chosen:
            eligible &= part[chosen].to_numpy()
        table = pa.table(
            {name: part[name].cast(pa.string()) for name in IDS} | {"scale": numbers(part[scale])}
        )
        positives.append(table.filter(pa.array(known)))
        rows = table.filter(pa.array(eligible))
        noise = draw_noise(settings.seed, *(rows[name].to_pylist() for name in IDS))
        rows = pa.concat_tables([drawn, rows.append_column("noise", pa.array(noise))])
        order = np.argsort(rows["noise"].to_numpy(), kind="stable")
        drawn = rows.take(pa.array(order[: settings.drawn_evenly]))
    if not positives:
        raise InputError(f"{settings.target} holds no rows.", fix="Run the command again.")
    every = pa.concat_tables(positives)
    query_ids, doc_ids = (every[name].to_pylist() for name in IDS)
    pairs = list(zip(*(drawn[name].to_pylist() for name in IDS), strict=True))
    found = KnownPositives(query_ids, doc_ids, every["scale"].to_numpy())
    return found, pairs, drawn["scale"].to_numpy()
