"""Write the files of a mined directory: tables, training data and the dataset card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hnmine import schema
from hnmine.array_files import load_array, save_array
from hnmine.directories.candidates import Candidates, write_candidates
from hnmine.directories.never_negatives import check_table
from hnmine.exports import EXPORTS
from hnmine.exports.card import dataset_card
from hnmine.exports.training_rows import Chosen
from hnmine.expressions.evaluation import evaluate
from hnmine.guarantee.statement import read_guarantee
from hnmine.ragged import Floats, offsets_of
from hnmine.relevance.evidence import numbers
from hnmine.runner.plan import Task, canonical_json
from hnmine.runner.run_directory import Counts, Tick
from hnmine.schema import STATE
from hnmine.selection.cascade import Cascade
from hnmine.selection.criteria import Rules
from hnmine.selection.hardness import (
    HARDNESS,
    Hardness,
    sums_of,
    sums_of_ranks,
    sums_of_shortcuts,
)
from hnmine.selection.scored_parts import USES, Part, Selection
from hnmine.selection.vector_sums import GROUP, sums_of_vectors
from hnmine.selection.verdicts import NOT_SCORED, RELABELLED, USED_UP, Verdicts

SHORTFALLS = f"{STATE}/shortfall"
"""Folder for the shortfall of each part, until the run is finished."""

OF_HARDNESS = "hardness_"
"""Prefix of the counts that add up to `HARDNESS`."""

NO_CANDIDATES = "no-candidates"


def write(selection: Selection, layout: str, output_scores: bool) -> dict[str, int]:
    """Write the tables and the training data, and return the counts.

    Args:
        selection: all parts, with what may be chosen settled.
        layout: of train/.
        output_scores: whether train/ has scores.
    """
    run, candidates = selection.run, selection.candidates
    dense = candidates.has_dense_scores
    similarity = candidates.index.encoder.similarity if dense else "cosine"

    def write_part(task: Task, outputs: list[Path], tick: Tick) -> Counts:
        part = selection.parts[task.index]
        verdicts = selection.verdicts(part)
        negative, positive = verdicts.selected, verdicts.serves_as_positive
        check_table(part.scored.candidates, verdicts.table, negative, positive)
        write_candidates(verdicts.scored(), outputs[0])
        asked = selection.choice.num_negatives
        train = (
            EXPORTS[layout].load().layout(training_rows(verdicts, candidates), asked, output_scores)
        )
        # A file without rows has no row group: `datasets` cannot read an empty one.
        with pq.ParquetWriter(outputs[1], train.schema, compression="zstd") as out:
            if len(train):
                out.write_table(train)
        short = shortfall_of(verdicts)
        pq.write_table(short, outputs[2], compression="zstd")
        with outputs[3].open("wb") as file:
            save_array(file, candidates.index.documents.slots(verdicts.uses.document))
        sources = candidates.sources
        sums = sums_of(verdicts.table, verdicts.query, positive, negative, sources, similarity)
        if sums:
            scores = _shortcut_scores(verdicts, candidates)
            sums |= sums_of_shortcuts(verdicts.query, positive, negative, scores)
            sums |= sums_of_ranks(_places(verdicts, part, selection.rules)[negative])
            sums |= _sums_of_vectors(verdicts, part)
        hardness = {f"{OF_HARDNESS}{name}": value for name, value in sums.items()}
        rows = {"train_rows": len(train), "queries_short": len(short)}
        return counts_of(verdicts) | hardness | rows | _scored(verdicts, part.scored.cascade)

    tasks = _part_tasks(selection)
    counts = run.run("filter", "candidates", tasks, write_part)
    sums = {
        name.removeprefix(OF_HARDNESS): counts.pop(name)
        for name in sorted(counts)
        if name.startswith(OF_HARDNESS)
    }

    def write_hardness(task: Task, outputs: list[Path], tick: Tick) -> Counts:
        chosen = [run.path / part.outputs[3] for part in tasks]
        hardness = Hardness.of(sums, _most_uses(chosen, len(candidates.index.documents.canonical)))
        text = canonical_json(hardness.as_json() if hardness else {})
        outputs[0].write_text(text, encoding="utf-8")
        return {}

    run.run("filter", "files", [Task("hardness", (HARDNESS,), 1)], write_hardness)

    def merge_shortfalls(task: Task, outputs: list[Path], tick: Tick) -> Counts:
        with pq.ParquetWriter(outputs[0], schema.SHORTFALL, compression="zstd") as writer:
            for part in tasks:
                writer.write_table(pq.read_table(run.path / part.outputs[2]))
        return {}

    shortfall = Task("shortfall", ("shortfall.parquet",), len(tasks))
    run.run("filter", "parts", [shortfall], merge_shortfalls)
    return counts


def _scored(verdicts: Verdicts, cascade: Cascade | None) -> dict[str, int]:
    """Count the pairs that the cross-encoders scored, and those that a cascade spared."""
    if cascade is None:
        return {}
    spared = verdicts.table[min(cascade.costly)].null_count
    return {"pairs_scored": len(verdicts.table) - spared, "pairs_not_scored": spared}


def _shortcut_scores(verdicts: Verdicts, candidates: Candidates) -> dict[str, Floats]:
    """Return the scores of `sums_of_shortcuts`, of the positives and the chosen ones alone."""
    rows = np.flatnonzero(verdicts.serves_as_positive | verdicts.selected)
    length = np.full(len(verdicts.query), np.nan)
    documents = verdicts.table["doc_row"].to_numpy()[rows]
    length[rows] = candidates.index.documents.sizes(documents)
    return {"bm25": numbers(verdicts.table["bm25_score"]), "length": length}


def _places(verdicts: Verdicts, part: Part, rules: Rules) -> Floats:
    """Return how deep each candidate is."""
    place = part.scored.place
    if rules.derive.get("depth") == place:
        return numbers(verdicts.table["depth"])
    found = evaluate(verdicts.table, {"place": place}, verdicts.is_candidate)
    return numbers(found["place"])


def _sums_of_vectors(verdicts: Verdicts, part: Part) -> dict[str, int]:
    table, directions = verdicts.table, part.scored.directions
    if directions is None:
        return {}
    group = None
    if GROUP in table.column_names:
        texts = pc.fill_null(table[GROUP].cast(pa.string()), "")
        group = np.asarray(texts.to_numpy(), dtype=np.str_)
    documents = table["doc_row"].to_numpy()
    return sums_of_vectors(verdicts.query, documents, verdicts.selected, directions, group)


def _most_uses(files: Sequence[Path], slots: int) -> int:
    """Return how many queries share the most used negative.

    Args:
        files: the slots chosen from each part, each once for each query.
        slots: number of documents.
    """
    uses = np.zeros(slots, dtype=np.int32)
    for file in files:
        chosen, counts = np.unique(
            load_array(file, np.int64, low=0, below=slots, mapped=False), return_counts=True
        )
        uses[chosen] += counts.astype(np.int32)
    return int(uses.max(initial=0))


def write_card(selection: Selection, counts: Mapping[str, int]) -> None:
    """Write the dataset card, once all counts of the manifest are known."""
    run, candidates = selection.run, selection.candidates
    mined = {**run.plan, "counts": dict(counts)}

    def work(task: Task, outputs: list[Path], tick: Tick) -> Counts:
        train = [run.path / part.outputs[1] for part in _part_tasks(selection)]
        hardness = Hardness.read(run.path / HARDNESS)
        said = hardness.sentences() if hardness else ()
        card = dataset_card(candidates, mined, train, read_guarantee(run.path), said)
        outputs[0].write_text(card, encoding="utf-8")
        return {}

    run.run("filter", "files", [Task("card", ("README.md",), 1)], work)


def _part_tasks(selection: Selection) -> list[Task]:
    """Return the tasks that write a part of scored/, of train/ and of the shortfall."""
    train = "train/train-{:05d}" + f"-of-{len(selection.parts):05d}.parquet"
    chosen = USES + "/chosen/{:05d}.npy"
    names = ("scored/{:05d}.parquet", train, SHORTFALLS + "/{:05d}.parquet", chosen)
    return selection.tasks("filter", names)


def training_rows(verdicts: Verdicts, candidates: Candidates) -> Chosen:
    """Return the texts of the positives and of the chosen negatives."""
    positives, negatives = np.flatnonzero(verdicts.serves_as_positive), verdicts.best_first
    rows = np.concatenate([positives, negatives])
    queries = len(verdicts.first_rows)
    return Chosen(
        candidates.queries.texts.text_array(
            verdicts.table["query_row"].to_numpy()[verdicts.first_rows]
        ),
        candidates.index.documents.text_array(verdicts.table["doc_row"].to_numpy()[rows]),
        numbers(verdicts.table["score"])[rows],
        np.arange(len(positives)),
        offsets_of(np.bincount(verdicts.query[positives], minlength=queries)),
        np.arange(len(negatives)) + len(positives),
        offsets_of(np.bincount(verdicts.query[negatives], minlength=queries)),
        {name: values.take(pa.array(rows)) for name, values in verdicts.for_training.items()},
    )


def shortfall_of(verdicts: Verdicts) -> pa.Table:
    """Return the queries with fewer negatives than asked, as `schema.SHORTFALL`."""
    queries, chosen, asked = len(verdicts.first_rows), verdicts.chosen_counts, verdicts.asked
    short = np.flatnonzero(chosen < asked)
    names = [name for name, _ in verdicts.expressions if name != "positive"]
    names += [RELABELLED, USED_UP, NOT_SCORED]
    dropped = np.stack(
        [np.bincount(verdicts.query[verdicts.reason == name], minlength=queries) for name in names]
    )
    candidates = np.bincount(verdicts.query[~verdicts.is_positive], minlength=queries)
    worst = np.array([*names, NO_CANDIDATES])[
        np.where(dropped.any(axis=0), dropped.argmax(axis=0), len(names))
    ]
    return pa.Table.from_arrays(
        [
            verdicts.table["query_id"].take(pa.array(verdicts.first_rows[short])),
            pa.array(asked[short], pa.int32()),
            pa.array(chosen[short], pa.int32()),
            pa.array(candidates[short], pa.int32()),
            pa.array(worst[short]),
        ],
        schema=schema.SHORTFALL,
    )


def counts_of(verdicts: Verdicts) -> dict[str, int]:
    """Count rows by their verdict; `negatives_missing` are those asked for and not chosen."""
    dropped = Counter(verdicts.reason[~verdicts.keep & ~verdicts.is_positive].tolist())
    asked, chosen = int(verdicts.asked.sum()), int(verdicts.selected.sum())
    unused = int((~verdicts.used[verdicts.first_rows]).sum())
    return {
        "queries": len(verdicts.first_rows),
        **({"queries_not_used": unused} if verdicts.choice.query_where else {}),
        "positives": int(verdicts.is_positive.sum()),
        "candidates": int((~verdicts.is_positive).sum()),
        **{f"dropped_{name}": count for name, count in sorted(dropped.items())},
        "kept": int(verdicts.keep.sum()),
        "negatives_asked": asked,
        "negatives": chosen,
        "negatives_missing": asked - chosen,
    }
