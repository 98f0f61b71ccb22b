r"""Train an embedding model from Parquet files, and measure it before and after.

Queries are split by a hash of their texts. The gain is measured on the held-out ones.

    python examples/train_embedder.py --corpus corpus.parquet \
        --queries queries.parquet --qrels qrels.parquet --model MODEL --output runs/embedder
"""

from __future__ import annotations

import argparse
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from sentence_transformers import SentenceTransformer

from hnmine import build_index, filter_negatives, mine
from hnmine.encode.devices import device_for
from hnmine.training.held_out import LEAST, HeldOut
from hnmine.training.retrieval_measures import NDCG, difference
from hnmine.training.student_rows import Rows
from hnmine.training.students import Recipe, load, move_toward, train, weights_of

HALF = 0.5

HELD_OUT = 0.3
"""Share of the queries, by a hash of their texts: no text is on both sides."""


def main(given: list[str] | None = None) -> None:
    """Split, mine, filter, train, and measure before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--corpus", "--queries", "--qrels", "--output"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--model", required=True, help="bi-encoder that mines and is then trained")
    parser.add_argument("--train", type=int, help="maximum training queries (default: all)")
    parser.add_argument("--held-out", type=int, help="maximum held-out queries (default: all)")
    parser.add_argument("--documents", type=int, help="judged documents and this many others")
    parser.add_argument("--max-length", type=int, default=96, help="maximum tokens per text")
    parser.add_argument("--steps", type=int, help="steps (default: one epoch)")
    arguments = parser.parse_args(given)
    output = arguments.output
    split(arguments)
    build_index(corpus=output / "corpus.parquet", encoder=arguments.model, index=output / "index")
    given_ = {name: output / "train" / f"{name}.parquet" for name in ("queries", "qrels")}
    mine(index=output / "index", **given_, output=output / "candidates")
    chosen = filter_negatives(
        candidates=output / "candidates",
        output=output / "mined",
        format="n-tuple",
        num_negatives=3,
        overwrite=True,
    )
    rows, held_out = Rows.read(output / "mined"), HeldOut.read(output / "held-out")
    recipe = Recipe(
        arguments.model,
        arguments.steps or -(-len(rows) // Recipe.batch),
        max_length=arguments.max_length,
        device=device_for("auto"),
    )
    model = load(recipe)
    before = held_out.measure(model)[NDCG]
    back = train_and_choose(model, rows, recipe, seed=0)
    after = held_out.measure(model)[NDCG]
    model.save_pretrained(str(output / "model"))
    gain = difference(after, before)
    print(f"{chosen.counts['negatives']:,} negatives")
    print("half-way weights between base and trained" if back else "trained weights")
    print(f"nDCG@10 of {len(before):,} held-out queries: {before.mean():.4f} before,")
    print(f"{after.mean():.4f} after: {gain['mean']:+.4f}")
    print(f"(95 % interval {gain['low']:+.4f} to {gain['high']:+.4f}), saved to {output / 'model'}")


def train_and_choose(model: SentenceTransformer, rows: Rows, recipe: Recipe, seed: int) -> float:
    """Train a student, and keep its weights or those half-way back, whichever retrieve better.

    Half-way weights keep more of what the base model could do (WiSE-FT, Wortsman et al. 2022;
    LM-Cocktail, Xiao et al. 2023). Whether that helps depends on the data.

    A tenth of the queries is set aside to choose by, and not trained on. Their positives stay where
    other queries have them too: new queries will ask for known documents as well. Too few queries
    leave the trained weights.

    Args:
        model: the student; it is changed.
        rows: to train on and to choose by.
        recipe: how; without `toward_base`.
        seed: as in `train`.

    Returns:
        How far the weights went back, 0 or 0.5.
    """
    aside = HeldOut.set_aside(rows)
    if len(aside.queries) < LEAST:
        train(model, [rows], recipe, seed)
        return 0.0
    base = weights_of(model)
    train(model, [aside.without_queries(rows)], recipe, seed)
    trained, whole = weights_of(model), aside.measure(model)[NDCG].mean()
    move_toward(model, base, HALF)
    if aside.measure(model)[NDCG].mean() > whole:
        return HALF
    move_toward(model, trained, 1.0)
    return 0.0


def split(arguments: argparse.Namespace) -> None:
    """Write the corpus, and the queries and judgements for training and evaluation."""
    texts = read(arguments.queries, "text")
    judged = [
        row
        for row in pq.read_table(arguments.qrels).to_pylist()
        if row["score"] >= 1 and str(row["query_id"]) in texts
    ]
    asked = by_hash({str(row["query_id"]): texts[str(row["query_id"])] for row in judged})
    sides = {
        "train": [query for query, place in asked if place >= HELD_OUT][: arguments.train],
        "held-out": [query for query, place in asked if place < HELD_OUT][: arguments.held_out],
    }
    needed: set[str] = set()
    for side, queries in sides.items():
        own = set(queries)
        rows = [row for row in judged if str(row["query_id"]) in own]
        needed |= {str(row["corpus_id"]) for row in rows}
        (arguments.output / side).mkdir(parents=True, exist_ok=True)
        table = pa.table({"_id": queries, "text": [texts[query] for query in queries]})
        pq.write_table(table, arguments.output / side / "queries.parquet")
        pq.write_table(pa.Table.from_pylist(rows), arguments.output / side / "qrels.parquet")
    corpus = read(arguments.corpus, "title", "text")
    others = [(key, text) for key, text in corpus.items() if key not in needed]
    some = [key for key, _ in by_hash(dict(others))][: arguments.documents]
    kept = [key for key in corpus if key in needed | set(some)]
    table = pa.table({"_id": kept, "text": [corpus[key] for key in kept]})
    for folder in (arguments.output, arguments.output / "held-out"):
        pq.write_table(table, folder / "corpus.parquet")


def read(path: Path, *columns: str) -> dict[str, str]:
    """Read non-blank texts by id."""
    there = [name for name in columns if name in pq.read_schema(path).names]
    rows = pq.read_table(path, columns=["_id", *there]).to_pylist()
    found = {str(row["_id"]): " ".join(row[name] or "" for name in there).strip() for row in rows}
    return {key: text for key, text in found.items() if text}


def by_hash(texts: dict[str, str]) -> list[tuple[str, float]]:
    """Return ids with a position from 0 to 1 by the hash of their texts, sorted by position."""
    hashes = {key: sha256(text.casefold().encode()).digest() for key, text in texts.items()}
    found = [(key, int.from_bytes(hashed[:8]) / 2**64) for key, hashed in hashes.items()]
    return sorted(found, key=lambda one: (one[1], one[0]))


if __name__ == "__main__":
    main()
