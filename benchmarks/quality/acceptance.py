"""`python -m benchmarks.quality.acceptance`: the default choice on the acceptance set.

All texts of the set are the corpus, and each query has one known positive. The candidates are mined
and filtered as by default. Of the paraphrases and of the edits among the candidates: how many were
dropped by a rule, how many became negatives, and how often `evidence` and `relevance` put the
paraphrase above the edit.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import hnmine
from benchmarks.quality.__main__ import CROSS_ENCODER, ENCODER
from hnmine.judging.acceptance import triples


def main() -> None:
    """Print the counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default=ENCODER)
    parser.add_argument("--cross-encoder", default=CROSS_ENCODER)
    parser.add_argument("--num-negatives", type=int, default=5)
    parser.add_argument("--margin", type=float, help="instead of the default choice")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/acceptance"))
    arguments = parser.parse_args()
    corpus, pairs = _written(arguments.out)
    index, candidates = arguments.out / "index", arguments.out / "candidates"
    hnmine.build_index(corpus=corpus, pairs=pairs, encoder=arguments.encoder, index=index)
    hnmine.mine(index=index, pairs=pairs, output=candidates, top_k=30)
    name = "default" if arguments.margin is None else f"margin-{arguments.margin:g}"
    hnmine.filter_negatives(
        candidates=candidates,
        cross_encoder=arguments.cross_encoder,
        num_negatives=arguments.num_negatives,
        margin=arguments.margin,
        output=arguments.out / name,
    )
    print(json.dumps({name: _counted(arguments.out / name)}, indent=2))


def _written(out: Path) -> tuple[str, str]:
    out.mkdir(parents=True, exist_ok=True)
    given = triples()
    texts = {
        f"{kind}-{n}": getattr(triple, kind)
        for n, triple in enumerate(given)
        for kind in ("positive", "paraphrase", "edit")
    }
    corpus = pa.table({"id": list(texts), "text": list(texts.values())})
    pq.write_table(corpus, out / "corpus.parquet")
    pairs = {
        "query_id": [f"q{n}" for n in range(len(given))],
        "query": [triple.query for triple in given],
        "positive_id": [f"positive-{n}" for n in range(len(given))],
        "positive": [triple.positive for triple in given],
    }
    pq.write_table(pa.table(pairs), out / "pairs.parquet")
    return str(out / "corpus.parquet"), str(out / "pairs.parquet")


def _counted(mined: Path) -> dict[str, int]:
    parts = [pq.read_table(file) for file in sorted((mined / "scored").glob("*.parquet"))]
    rows = {(row["query_id"], row["doc_id"]): row for row in pa.concat_tables(parts).to_pylist()}
    found: dict[str, int] = {"triples": len(triples())}
    for kind in ("paraphrase", "edit"):
        own = [row for n in range(len(triples())) if (row := rows.get((f"q{n}", f"{kind}-{n}")))]
        found |= {
            f"{kind}s_mined": len(own),
            f"{kind}s_dropped": sum(not row["keep"] for row in own),
            f"{kind}s_chosen": sum(row["selected"] for row in own),
        }
    for score in ("evidence", "relevance", "ce_score", "dense_score"):
        both = [
            (one[score], other[score])
            for n in range(len(triples()))
            if (one := rows.get((f"q{n}", f"paraphrase-{n}")))
            and (other := rows.get((f"q{n}", f"edit-{n}")))
            and None not in (one[score], other[score])
        ]
        found[f"pairs_with_{score}"] = len(both)
        found[f"paraphrase_above_edit_by_{score}"] = sum(one > other for one, other in both)
    return found


if __name__ == "__main__":
    main()
