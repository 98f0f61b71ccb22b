"""`python -m benchmarks.quality.recipes --data FOLDER`: every recipe under the same protocol."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

from benchmarks.quality.__main__ import CROSS_ENCODER, ENCODER
from benchmarks.quality.protocol import GRADES, Judged, read_judged, split
from benchmarks.quality.runs import hnmine
from benchmarks.quality.table import slots_of
from hnmine.directories.index import Index
from hnmine.recipes import RECIPES, recipe_file

VERBS = {
    "derive": ("derive",),
    "filter": (
        "where",
        "margin",
        "relative-margin",
        "max-score",
        "min-score",
        "range-min",
        "range-max",
        "query-where",
    ),
    "relabel": ("relabel",),
    "pick": ("sampling", "order", "within", "strata", "quota", "per-query", "max-uses", "deepen"),
    "weigh": ("weight",),
}
"""The settings of `filter` that are steps, by what they do to a candidate."""


def main(given: list[str] | None = None) -> None:
    """Run all recipes on some collections and write recipes.json and recipes.md."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.recipes", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder of collections")
    parser.add_argument("--collections", nargs="+", required=True, help="NAME or NAME:QUERIES")
    parser.add_argument("--queries", type=int, default=50, help="at most so many of each")
    parser.add_argument("--depth", type=int, default=60, help="no source gives more candidates")
    parser.add_argument("--max-length", type=int, default=256, help="of the cross-encoder's input")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/recipes"))
    arguments = parser.parse_args(given)
    found: dict[str, dict[str, Any]] = {}
    for item in arguments.collections:
        name, _, queries = item.partition(":")
        for recipe, result in measure_all(
            arguments.data / name,
            arguments.out / name,
            int(queries or arguments.queries),
            arguments.depth,
            arguments.max_length,
        ):
            found.setdefault(recipe, {})[name] = result
            print(name, recipe, result, file=sys.stderr)
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "recipes.json").write_text(json.dumps(found, indent=2) + "\n")
        (arguments.out / "recipes.md").write_text(table(found))
    print(table(found))


def measure_all(
    collection: Path, home: Path, queries: int, depth: int, max_length: int
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Yield what each recipe gives on a collection; None where that lacks what it needs."""
    grade = GRADES.get(collection.name, 1.0)
    split(collection, home, queries, 0, grade)
    judged = read_judged(collection, home, grade)
    skip = ("--on-bad-row", "skip")
    index = home / "index"
    corpus = collection / "corpus.parquet"
    hnmine("build-index", "--corpus", corpus, "--encoder", ENCODER, "--index", index, *skip)
    for recipe in map(recipe_file, RECIPES.own):
        yield recipe.stem, measured(recipe, home, judged, depth, max_length)


def measured(
    recipe: Path, home: Path, judged: Judged, depth: int, max_length: int
) -> dict[str, Any] | None:
    """Return what a recipe gives; None, and why on stderr, where the commands refuse it."""
    try:
        return measure(recipe, home, judged, depth, max_length)
    except RuntimeError as error:
        print(f"{recipe.stem}: {str(error).splitlines()[1]}", file=sys.stderr)
        return None


def measure(
    recipe: Path, home: Path, judged: Judged, depth: int, max_length: int
) -> dict[str, Any]:
    """Mine and filter as a recipe says, and count what it let through."""
    sections = yaml.safe_load(recipe.read_text())
    mine = _shallow(sections.get("mine", {}), depth)
    # Recipes that look in the same places share their candidates, and the logits for them.
    name = hashlib.sha256(json.dumps(mine, sort_keys=True).encode()).hexdigest()[:10]
    candidates, mined = home / "candidates" / name, home / "mined" / recipe.stem
    config = home / "config" / f"{recipe.stem}.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    # A derived column may need the one before it.
    sections = {"mine": mine, "filter": sections["filter"]}
    config.write_text(yaml.safe_dump(sections, sort_keys=False))
    given = ("--queries", home / "queries.parquet", "--qrels", home / "qrels.parquet")
    hnmine("mine", "--config", config, "--index", home / "index", *given, "--output", candidates)
    filter_ = sections["filter"]
    model: tuple[object, ...] = ()
    if by_logit(filter_):
        model = ("--cross-encoder", CROSS_ENCODER, "--max-length", max_length)
    places = ("--candidates", candidates, "--output", mined, "--overwrite")
    hnmine("filter", "--config", config, *places, *model)
    counts = json.loads((mined / "manifest.json").read_text())["counts"]
    rows = pq.read_table(mined / "scored").to_pylist()
    chosen = [row for row in rows if row["selected"]]
    opened = Index(home / "index")
    hidden = {
        (query, slot)
        for query, documents in judged.hidden.items()
        for slot in slots_of(opened, sorted(documents)).tolist()
    }
    slots = slots_of(opened, [row["doc_id"] for row in chosen]).tolist()
    cosines = [row["dense_score"] for row in chosen if row["dense_score"] is not None]
    ranks = [row["rank"] for row in chosen if row["rank"] is not None]
    counted = [
        (row["query_id"], slot) in hidden
        for row, slot in zip(chosen, slots, strict=True)
        if judged.hidden[row["query_id"]]
    ]
    return {
        "rate": float(np.mean(counted)) if counted else None,
        "yield": counts["negatives"] / counts["negatives_asked"],
        "similarity": float(np.mean(cosines)) if cosines else None,
        "rank": float(np.mean(ranks)) if ranks else None,
        "cross_encoder_calls": counts.get("pairs_scored", 0) / len(judged.texts),
    }


def by_logit(filter_: dict[str, Any]) -> bool:
    """Tell whether a recipe asks the cross-encoder."""
    return filter_.get("score", "ce") == "ce" or "ce_score" in json.dumps(filter_)


def steps(recipe: Path) -> str:
    """Name the steps of a recipe, in the order in which they are taken."""
    sections = yaml.safe_load(recipe.read_text())
    mine, filter_ = sections.get("mine", {}), sections["filter"]
    sources = mine.get("source", ["bm25", "dense"])
    found = ["generate"] if "generate" in sections else []
    found.append("source " + " + ".join(source.partition(":")[0] for source in sources))
    found += [name for name in ("matching", "constraint", "attribute") if name in mine]
    found += ["score ce"] if by_logit(filter_) else []
    for verb, names in VERBS.items():
        given = [name for name in names if name in filter_]
        found += [" ".join(dict.fromkeys([verb, ", ".join(given)]))] if given else []
    found += [name for name in ("batch", "mix") if name in sections]
    return "; ".join(found)


def _shallow(mine: dict[str, Any], depth: int) -> dict[str, Any]:
    """Return the settings of mine with no source deeper than `depth`."""
    top_k = min(depth, mine.get("top-k", 100))
    sources = []
    for source in mine.get("source", []):
        name, colon, k = source.partition(":")
        sources.append(f"{name}:{min(depth, int(k))}" if colon else name)
    return {**mine, "top-k": top_k} | ({"source": sources} if sources else {})


def table(found: dict[str, dict[str, Any]]) -> str:
    """Lay out a row for each recipe: its steps, what it gives by collection, then the cost."""
    collections = list(dict.fromkeys(name for results in found.values() for name in results))
    lines = [
        "False-negative rate, yield, mean similarity and mean rank of what is chosen; logits for "
        "each query.\n",
        "| recipe | steps | " + " | ".join(collections) + " | logits |",
        "|---|---|" + "---|" * len(collections) + "---:|",
    ]
    for recipe, results in found.items():
        some = [result for result in results.values() if result]
        calls = f"{np.mean([one['cross_encoder_calls'] for one in some]):.0f}" if some else "-"
        cells = [steps(recipe_file(recipe)), *map(_cell, map(results.get, collections))]
        lines.append(f"| {recipe} | " + " | ".join(cells) + f" | {calls} |")
    return "\n".join(lines) + "\n"


def _cell(result: dict[str, Any] | None) -> str:
    if not result:
        return "-"
    rate, similarity, rank = (
        "-" if result[name] is None else f"{result[name]:.{digits}f}"
        for name, digits in (("rate", 3), ("similarity", 2), ("rank", 0))
    )
    return f"**{rate}**, {result['yield']:.2f}, {similarity}, {rank}"


if __name__ == "__main__":
    main()
