"""Every file in configs/recipes: it says what it is, runs, and keeps what all must keep."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import write

import hnmine as api
from hnmine import schema
from hnmine.config import BatchSettings, FilterSettings, MineSettings
from hnmine.configfile import batching, read_yaml
from hnmine.verdict import Verdicts

RECIPES = sorted((Path(__file__).parent.parent / "configs" / "recipes").glob("*.yaml"))
HEADINGS = ("# What: ", "# Constants: ", "# Not reproduced: ")


def table_of(queries=12, candidates=260, seed=0):
    """Candidates with the three scores, correlated with each other, as `filter` judges them."""
    rng = np.random.default_rng(seed)
    rows = []
    for query in range(queries):
        truth = np.sort(rng.normal(0.2, 0.25, candidates))[::-1]
        bm25 = np.argsort(np.argsort(-(truth + rng.normal(0, 0.2, candidates))))
        for place in range(-1, candidates):
            dense = float(truth[place] if place >= 0 else 0.55)
            rows.append(
                {
                    **dict.fromkeys(schema.CANDIDATES.names),
                    "query_id": f"q{query}",
                    "doc_id": f"d{query}-{place}",
                    "rank": place if place >= 0 else None,
                    "rrf_score": 1.0,
                    "bm25_score": dense * 20,
                    "bm25_rank": int(bm25[place]) if place >= 0 else 3,
                    "dense_score": dense,
                    "dense_rank": place if place >= 0 else 4,
                    "near_copy": 0.0 if place >= 0 else None,
                    "is_positive": place < 0,
                    "is_query": False,
                    "query_row": query,
                    "doc_row": len(rows),
                }
            )
    table = pa.Table.from_pylist(rows, schema=schema.CANDIDATES)
    logits = np.array([10 * row["dense_score"] - 4 for row in rows]) + rng.normal(0, 2, len(rows))
    for name, values in {"ce_score": logits, "p_relevant": 1 / (1 + np.exp(-logits))}.items():
        table = table.append_column(schema.judged(name), pa.array(values, pa.float32()))
    return table


def settings_of(recipe):
    given = yaml.safe_load(recipe.read_text())["filter"]
    return FilterSettings.parse(
        {"candidates": "c", "output": "o", "cross_encoder": "m", "score": "ce", **given}
    )


def negatives(verdicts):
    return set(map(tuple, verdicts.table.filter(verdicts.selected).select(
        ["query_id", "doc_id"]).to_pandas().to_numpy().tolist()))  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
class TestEach:
    def test_it_says_what_it_is_and_its_settings_are_known(self, recipe):
        comment = [line for line in recipe.read_text().splitlines() if line.startswith("#")]
        for heading in HEADINGS:
            assert any(line.startswith(heading) for line in comment), heading
        sections = yaml.safe_load(recipe.read_text())
        assert set(sections) <= {"mine", "filter", "batch"}
        mine = {"index": "i", "output": "o", "pairs": "p", **sections.get("mine", {})}
        MineSettings.parse(mine)
        settings_of(recipe)
        if "batch" in sections:
            BatchSettings.parse({"mined": "m", "output": "o", **sections["batch"]})

    def test_it_keeps_the_promises_that_all_keep(self, recipe):
        table, settings = table_of(), settings_of(recipe)
        verdicts = Verdicts(table, settings)
        found = negatives(verdicts)
        scored = verdicts.scored().to_pylist()
        assert found, "it finds nothing"
        chosen = [row for row in scored if row["selected"]]
        assert not any(row["is_positive"] for row in chosen)
        assert all(np.isfinite(row["score"]) and row["weight"] >= 0 for row in chosen)
        counts = {f"q{n}": 0 for n in range(12)}
        for row in chosen:
            counts[row["query_id"]] += 1
        short = {row["query_id"]: row["found"] for row in verdicts.shortfall().to_pylist()}
        for n, (query, count) in enumerate(counts.items()):
            assert count == short.get(query, verdicts.asked[n])
        # The same from parts, and from rows in another order.
        parts = [table.filter(pa.array(np.array(table["query_row"]) == n)) for n in range(12)]
        assert set().union(*(negatives(Verdicts(part, settings)) for part in parts)) == found
        swapped = pa.concat_tables(parts[::-1])
        assert negatives(Verdicts(swapped, settings)) == found


def recipe(name):
    return settings_of(next(path for path in RECIPES if path.stem == name))


def test_there_are_as_many_as_the_readme_says():
    assert len(RECIPES) == 30


class TestWhatEachIsAbout:
    """The property of methods.md that sets a recipe apart."""

    def chosen(self, name):
        verdicts = Verdicts(table_of(), recipe(name))
        return [row for row in verdicts.scored().to_pylist() if row["selected"]]

    def test_windows(self):
        for name, low, high in (("bge", 10, 210), ("kalm", 50, 100), ("sfr", 30, 100)):
            assert all(low <= row["rank"] < high for row in self.chosen(name)), name
        assert min(row["rank"] for row in self.chosen("nv-retriever-shifted")) == 10
        assert max(row["rank"] for row in self.chosen("nv-retriever-topk")) == 3

    def test_anchored_rules(self):
        for row in self.chosen("nv-retriever-percpos"):
            assert row["score"] <= 0.95 * row["positive_score"]
        for row in self.chosen("unime"):
            assert row["score"] <= row["positive_score"] + 0.1
        for row in self.chosen("semi-hard-triplet"):
            assert row["positive_score"] - 0.2 < row["score"] < row["positive_score"]
        for row in self.chosen("gist"):
            assert row["ce_score"] < row["positive_score"]

    def test_rocketqa_keeps_what_the_cross_encoder_is_sure_of(self):
        for row in self.chosen("rocketqa"):
            assert 1 / (1 + np.exp(-row["ce_score"])) < 0.1

    def test_simans_gathers_around_its_centre(self):
        distance = {
            name: np.mean([abs(row["score"] - row["positive_score"]) for row in self.chosen(name)])
            for name in ("simans-marco", "ance")
        }
        assert distance["simans-marco"] < distance["ance"]

    def test_hcl_prefers_the_similar(self):
        drawn = np.mean([row["score"] for row in self.chosen("hcl")])
        assert drawn > np.mean([row["score"] for row in self.chosen("ance")])

    def test_sieve_keeps_half(self):
        verdicts = Verdicts(table_of(), recipe("passage-sieve"))
        assert 0.3 < verdicts.keep.sum() / (~verdicts.is_positive).sum() < 0.7

    def test_rlhn_makes_positives_of_false_negatives(self):
        verdicts = Verdicts(table_of(), recipe("rlhn"))
        above = [row for row in verdicts.scored().to_pylist() if row["reason"] == "relabelled"]
        assert above and all(row["ce_score"] > row["positive_score"] for row in above)
        assert all(row["label"] == 1 for row in above)

    def test_tas_takes_turns_between_the_bins(self):
        verdicts = Verdicts(table_of(), recipe("tas-balanced"))
        first = verdicts.table.filter(pa.array(verdicts.query == 0))
        gap = np.array(first["positive_score"]) - np.array(first["score"])
        candidate = verdicts.is_candidate[verdicts.query == 0]
        edges = np.linspace(gap[candidate].min(), gap[candidate].max(), 11)
        taken = np.digitize(gap[verdicts.selected[verdicts.query == 0]], edges[1:-1])
        assert len(set(taken.tolist())) == 5

    def test_batches_are_of_one_cluster_of_small_ones_or_of_neighbours(self):
        found = {
            path.stem: settings
            for path in RECIPES
            if (settings := batching({"output": "o", **read_yaml(path)}, {}))
        }
        assert {name: settings.by for name, settings in found.items()} == {
            "tas-balanced": "cluster",
            "ngame": "balanced-cluster",
            "sample4geo": "greedy",
        }
        sizes = found["ngame"].cluster_size
        assert sizes[0] == 1 and all(b == 2 * a for a, b in itertools.pairwise(sizes))
        assert found["ngame"].passes == len(sizes)

    def test_dart_gives_more_to_harder_queries(self):
        table = table_of()
        late = np.where(np.array(table["is_positive"]), np.array(table["query_row"]) * 3, 0)
        ranks = np.where(np.array(table["is_positive"]), late, np.array(table["dense_rank"]))
        place = table.column_names.index("dense_rank")
        table = table.set_column(
            place, schema.CANDIDATES.field("dense_rank"), pa.array(ranks, pa.int32())
        )
        asked = Verdicts(table, recipe("dart")).asked
        assert (np.diff(asked) >= 0).all() and asked[0] == 2 and asked[-1] == 8

    def test_cet_is_the_posterior_by_bayes_rule(self):
        for row in self.chosen("cet"):
            rho, sigma = 1 / (1 + np.exp(-row["ce_score"])), 1 / (2 + row["bm25_rank"])
            expected = rho * (1 - sigma) / (rho * (1 - sigma) + (1 - rho))
            assert row["false_negative"] == pytest.approx(expected)
            assert row["weight"] == pytest.approx(1 - expected)


def test_a_recipe_runs_from_its_file(tmp_path):
    """With its own settings, on files; BM25 stands for the dense index."""
    words = itertools.product(("oak", "fox", "tin", "rye", "sea"), ("jam", "cup", "elk", "fig"))
    texts = [f"story {n} of the {a} and the {b}" for n, (a, b) in enumerate(words)]
    corpus = write(tmp_path / "c.parquet", _id=[f"d{n}" for n in range(20)], text=texts)
    pairs = write(
        tmp_path / "p.parquet", query=["oak jam", "sea fig"], positive=[texts[0], texts[19]]
    )
    api.build_index(corpus=str(corpus), index=tmp_path / "i", dense=False)
    api.mine(index=tmp_path / "i", pairs=str(pairs), output=tmp_path / "c")
    given = yaml.safe_load((RECIPES[0].parent / "passage-sieve.yaml").read_text())["filter"]
    api.filter(candidates=tmp_path / "c", output=tmp_path / "m", **{
        key.replace("-", "_"): value for key, value in {**given, "score": "bm25"}.items()
    })  # fmt: skip
    rows = pq.read_table(tmp_path / "m" / "scored").to_pylist()
    assert any(row["reason"] == "score < avg(score)" for row in rows)
    assert any(row["selected"] for row in rows)
