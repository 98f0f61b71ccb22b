"""Every recipe: it says what it is, runs, and keeps what all must keep."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import CROSS_ENCODER, ENCODER, write

import hnmine as api
from hnmine import schema
from hnmine.commands.configuration import optional, read_yaml
from hnmine.config import BatchSettings, FilterSettings, GenerateSettings, MineSettings, MixSettings
from hnmine.directories.mined import Mined
from hnmine.exports import LAYOUTS
from hnmine.recipes import RECIPES as REGISTRY
from hnmine.recipes import recipe_file
from hnmine.selection.criteria import criteria
from hnmine.selection.verdicts import Verdicts
from hnmine.selection.writing import shortfall_of

RECIPES = list(map(recipe_file, REGISTRY.own))
HEADINGS = ("# What: ", "# Constants: ", "# Not reproduced: ")


INPUT = {"queries": "q", "qrels": "r"}

LOOSER = {
    "margin": -1.0,
    "relative_margin": -0.2,
    "max_score": 0.2,
    "min_score": -0.2,
    "range_min": -200,
    "range_max": 200,
}
"""Rules, and in which direction each lets more through."""


@cache
def table_of(queries=12, candidates=260, seed=0):
    """Candidates with the three scores, correlated with each other, as `filter` judges them."""
    rng = np.random.default_rng(seed)
    rows = []
    for query in range(queries):
        truth = np.sort(rng.normal(0.2, 0.25, candidates))[::-1]
        bm25 = np.argsort(np.argsort(-(truth + rng.normal(0, 0.2, candidates))))
        for place in range(-1, candidates):
            dense = float(truth[place] if place >= 0 else 0.5 + 0.04 * query)
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
                    "dense_rank": 4 if place < 0 else place if place < 230 else None,
                    "near_copy": 0.0 if place >= 0 else None,
                    "is_positive": place < 0,
                    "is_query": False,
                    "query_row": query,
                    "doc_row": len(rows),
                }
            )
    table = pa.Table.from_pylist(rows, schema=schema.CANDIDATES)
    logits = np.array([10 * row["dense_score"] - 4 for row in rows]) + rng.normal(0, 2, len(rows))
    for name in ("ce_score", "relevance"):
        table = table.append_column(schema.judged(name), pa.array(logits, pa.float32()))
    candidate = ~np.array(table["is_positive"])
    some = rng.random(len(rows)) < 0.3
    more = {
        # What sources, attributes and an earlier round add.
        "random_rank": pa.array(np.arange(len(rows)), pa.int32(), mask=~some),
        "matching_rank": pa.array(np.arange(len(rows)), pa.int32(), mask=some),
        "previous_score": pa.array(np.array(table["dense_score"]) + rng.normal(0, 0.1, len(rows))),
        "previous_selected": pa.array(candidate & (rng.random(len(rows)) < 0.005)),
        "same_type": pa.array(rng.random(len(rows)) < 0.5),
        "generated": pa.array(candidate & (rng.random(len(rows)) < 0.1)),
        "has_answer": pa.array(~candidate | (rng.random(len(rows)) < 0.2)),
        "positive_similarity": pa.array(np.array(table["dense_score"]) + rng.normal(-0.1, 0.1)),
    }
    own = [f"d{row['query_row']}--1" for row in rows]
    more["parent"] = pa.array(own, mask=~np.array(more["generated"]))
    for name, values in more.items():
        table = table.append_column(name, values)
    grade = np.where(candidate, rng.integers(0, 2, len(rows)), 2).astype(np.float32)
    for name, values in (("grade", grade), ("owner_score", rng.random(len(rows)))):
        place, field = table.column_names.index(name), schema.CANDIDATES.field(name)
        values = pa.array(values.astype(np.float32), mask=candidate & ~some)
        table = table.set_column(place, field, values)
    return table


@cache
def table_for(recipe):
    """The same, with what a recipe needs besides."""
    table = table_of()
    logits = np.array(table["ce_score"])
    if recipe.stem == "arhn-judge":
        verdicts = pa.array((logits > 1).astype(np.float32))
        table = table.append_column(schema.judged("verdict"), verdicts)
    if recipe.stem == "cadet":  # Half of the queries have their own document first.
        first = np.array(table["is_positive"]) & (np.array(table["query_row"]) < 6)
        place = table.column_names.index("ce_score")
        logits = pa.array(np.where(first, 99, logits), pa.float32())
        table = table.set_column(place, schema.judged("ce_score"), logits)
    return table


@cache
def settings_of(recipe):
    given = yaml.safe_load(recipe.read_text())["filter"]
    return FilterSettings.parse(
        {"candidates": "c", "output": "o", "cross_encoder": "m", "score": "ce", **given}
    )


@cache
def verdicts_of(recipe):
    return Verdicts(table_for(recipe), *criteria(settings_of(recipe)))


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
        assert set(sections) <= {"generate", "mine", "filter", "batch", "mix"}
        MineSettings.parse({**INPUT, "index": "i", "output": "o", **sections.get("mine", {})})
        settings_of(recipe)
        if "generate" in sections:
            GenerateSettings.parse({"pairs": "p", "output": "o", **sections["generate"]})
        if "mix" in sections:
            MixSettings.parse({"mined": "m", "output": "o", **sections["mix"]})
        if "batch" in sections:
            BatchSettings.parse({"mined": "m", "output": "o", **sections["batch"]})

    def test_it_keeps_the_promises_that_all_keep(self, recipe):
        table, settings, verdicts = table_for(recipe), settings_of(recipe), verdicts_of(recipe)
        found = negatives(verdicts)
        scored = verdicts.scored().to_pylist()
        assert found, "it finds nothing"
        chosen = [row for row in scored if row["selected"]]
        assert not any(row["is_positive"] for row in chosen)
        assert all(np.isfinite(row["score"]) and row["weight"] >= 0 for row in chosen)
        counts = {f"q{n}": 0 for n in range(12)}
        for row in chosen:
            counts[row["query_id"]] += 1
        short = {row["query_id"]: row["found"] for row in shortfall_of(verdicts).to_pylist()}
        for n, (query, count) in enumerate(counts.items()):
            assert count == short.get(query, verdicts.asked[n])
        # The same from parts, and from rows in another order.
        parts = [table.filter(pa.array(np.array(table["query_row"]) // 4 == n)) for n in range(3)]
        assert (
            set().union(*(negatives(Verdicts(part, *criteria(settings))) for part in parts))
            == found
        )
        swapped = pa.concat_tables(parts[::-1])
        assert negatives(Verdicts(swapped, *criteria(settings))) == found

    def test_a_seed_changes_what_is_drawn_and_nothing_else(self, recipe):
        table, settings = table_for(recipe), settings_of(recipe)
        found = negatives(verdicts_of(recipe))
        assert negatives(Verdicts(table, *criteria(settings))) == found
        others = [
            negatives(Verdicts(table, *criteria(settings.model_copy(update={"seed": seed}))))
            for seed in (1, 2)
        ]
        count = Counter(query for query, _ in found)
        assert all(Counter(query for query, _ in other) == count for other in others)
        assert (others[0] == others[1] == found) == (settings.sampling == "top")

    def test_what_a_looser_rule_keeps_holds_what_a_stricter_keeps(self, recipe):
        table, settings = table_for(recipe), settings_of(recipe)
        kept = verdicts_of(recipe).keep
        for rule, change in LOOSER.items():
            value = getattr(settings, rule)
            if value is not None:
                looser = Verdicts(
                    table, *criteria(settings.model_copy(update={rule: value + change}))
                )
                assert (looser.keep >= kept).all(), rule
                stricter = Verdicts(
                    table, *criteria(settings.model_copy(update={rule: value - change}))
                )
                assert (stricter.keep <= kept).all(), rule
                assert stricter.keep.sum() < looser.keep.sum(), rule


def path_of(name):
    return next(path for path in RECIPES if path.stem == name)


def recipe(name):
    return settings_of(path_of(name))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_weight_is_written_for_the_trainer(recipe):
    settings = settings_of(recipe)
    assert ("weight" in settings.train_column) == (settings.weight is not None)


def test_there_are_as_many_as_the_readme_says():
    assert len(RECIPES) == 54


class TestWhatEachIsAbout:
    """The property of methods.md that sets a recipe apart."""

    def chosen(self, name):
        verdicts = verdicts_of(path_of(name))
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
            assert row["dense_score"] < row["positive_score"]
            assert row["positive_similarity"] < row["positive_score"]
            assert row["owner_score"] is None or row["owner_score"] < row["positive_score"]

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
        verdicts = Verdicts(table_of(), *criteria(recipe("passage-sieve")))
        assert 0.3 < verdicts.keep.sum() / (~verdicts.is_positive).sum() < 0.7

    def test_rlhn_makes_positives_of_false_negatives(self):
        verdicts = Verdicts(table_of(), *criteria(recipe("rlhn")))
        above = [row for row in verdicts.scored().to_pylist() if row["reason"] == "relabelled"]
        assert above and all(row["ce_score"] > row["positive_score"] for row in above)
        found = Counter(row["query_id"] for row in above)
        assert min(found.values()) <= 7 < max(found.values())
        for row in above:
            assert row["label"] == (1 if found[row["query_id"]] <= 7 else None)

    def test_tas_takes_turns_between_the_bins(self):
        verdicts = Verdicts(table_of(), *criteria(recipe("tas-balanced")))
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
            if (settings := optional(BatchSettings, {"output": "o", **read_yaml(path)}, {}))
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
        ranks = np.where(
            np.array(table["is_positive"]), late, np.array(table["dense_rank"].fill_null(999))
        )
        place = table.column_names.index("dense_rank")
        table = table.set_column(
            place, schema.CANDIDATES.field("dense_rank"), pa.array(ranks, pa.int32())
        )
        asked = Verdicts(table, *criteria(recipe("dart"))).asked
        assert (np.diff(asked) >= 0).all() and asked[0] == 2 and asked[-1] == 8

    @pytest.mark.parametrize("found", [0, 3])
    def test_dart_passes_over_positives_that_are_not_found(self, found):
        """Each query has a second positive beyond the list."""
        table = table_of()
        second = table.filter(table["is_positive"]).to_pylist()
        rows = table.to_pylist()
        for row in rows:
            if row["is_positive"]:
                row["dense_rank"] = found
        unfound = [row | {"doc_id": f"{row['doc_id']}-b", "dense_rank": None} for row in second]
        rows = sorted([*rows, *unfound], key=lambda row: row["query_row"])
        both = pa.Table.from_pylist(rows, schema=table.schema)
        asked = Verdicts(both, *criteria(recipe("dart"))).asked
        assert set(asked.tolist()) == {2 if found == 0 else 6}
        alone = pa.Table.from_pylist(
            [row | ({"dense_rank": None} if row["is_positive"] else {}) for row in rows],
            schema=table.schema,
        )
        assert set(Verdicts(alone, *criteria(recipe("dart"))).asked.tolist()) == {8}

    def test_stratified_lists_cover_the_range_of_the_teacher(self):
        """They reach further down and up than as many drawn evenly, and than the first ones."""
        rows = [row for row in verdicts_of(path_of("stratified")).scored().to_pylist()]
        span = {}
        for _, query in itertools.groupby(rows, key=lambda row: row["query_id"]):
            query = [row for row in query if not row["is_positive"]]
            every = np.array([row["ce_score"] for row in query])
            taken = np.array([row["ce_score"] for row in query if row["selected"]])
            edges = np.linspace(every.min(), every.max(), 11)
            filled = set(np.digitize(every, edges[1:-1]).tolist())
            assert len(set(np.digitize(taken, edges[1:-1]).tolist())) == min(9, len(filled))
            span[query[0]["query_id"]] = np.ptp(taken) / np.ptp(every)
        assert np.mean(list(span.values())) > 0.7

    def test_cadet_keeps_queries_whose_own_document_is_first(self):
        verdicts = verdicts_of(path_of("cadet"))
        used = {row["query_id"] for row in verdicts.scored().to_pylist() if row["selected"]}
        assert used == {f"q{n}" for n in range(6)}
        assert set(verdicts.chosen_counts.tolist()) == {0, 19}

    def test_arhn_asks_the_judge_first_and_the_ranker_then(self):
        for row in verdicts_of(path_of("arhn-judge")).scored().to_pylist():
            if row["is_positive"]:
                continue
            above = row["ce_score"] > row["positive_score"]
            if row["verdict"] >= 0.5:
                assert not row["selected"]
                assert (row["reason"] == "relabelled") == above
            else:
                assert row["reason"] != "relabelled"

    def test_both_conditions_of_oracle_hold(self):
        for row in self.chosen("oracle"):
            assert row["dense_score"] > row["positive_score"]
            assert row["dense_score"] > row["positive_similarity"]

    def test_arctic_drops_queries_with_fewer_than_ten(self):
        found = Counter(row["query_id"] for row in self.chosen("arctic-finetune"))
        assert found and set(found.values()) == {10}
        table = table_of().filter(pa.array(np.array(table_of()["dense_score"]) > 0.45))
        few = Verdicts(table, *criteria(recipe("arctic-finetune")))
        assert set(few.chosen_counts.tolist()) <= {0, 10}

    def test_cacr_weighs_the_near_and_pulls_the_far(self):
        table = table_of()
        second = [
            row | {"doc_id": f"{row['doc_id']}-b", "dense_score": row["dense_score"] - 0.3}
            for row in table.filter(table["is_positive"]).to_pylist()
        ]
        rows = sorted([*table.to_pylist(), *second], key=lambda row: row["query_row"])
        verdicts = Verdicts(
            pa.Table.from_pylist(rows, schema=table.schema), *criteria(recipe("cacr"))
        )
        train = verdicts.for_training
        for query in range(12):
            here = verdicts.query == query
            scores = np.array(verdicts.table["score"])
            chosen, positive = here & verdicts.selected, here & verdicts.is_positive
            weight, pull = (np.array(train[name]) for name in ("weight", "pull"))
            for rows_, values, sign in ((chosen, weight, 1), (positive, pull, -1)):
                expected = np.exp(sign * scores[rows_])
                assert values[rows_] == pytest.approx(expected / expected.mean(), rel=1e-5)

    def test_rcal_takes_no_outlier_for_the_anchor_and_names_it(self):
        table = table_of()
        more = [
            row | {"doc_id": f"{row['doc_id']}-{n}", "dense_score": row["dense_score"] + shift}
            for row in table.filter(table["is_positive"]).to_pylist()
            for n, shift in enumerate((0.01, 0.02, -2.0))
        ]
        rows = sorted([*table.to_pylist(), *more], key=lambda row: row["query_row"])
        verdicts = Verdicts(
            pa.Table.from_pylist(rows, schema=table.schema), *criteria(recipe("rcal"))
        )
        outlier = np.array(verdicts.for_training["outlier"])
        scores = np.array(verdicts.table["dense_score"])
        assert (outlier == (verdicts.is_positive & (scores < -1))).all()
        assert set(verdicts.chosen_counts.tolist()) == {5}
        assert (verdicts.keep.sum() > 0) and not (verdicts.keep & verdicts.is_positive).any()

    def test_el2n_keeps_the_harder_half(self):
        verdicts = Verdicts(table_of(), *criteria(recipe("el2n").model_copy(
            update={"num_negatives": 999, "query_where": None})))  # fmt: skip
        kept = np.bincount(verdicts.query[verdicts.keep])
        assert (abs(verdicts.chosen_counts - kept / 2) <= 1).all()
        for query in range(12):
            here = (verdicts.query == query) & verdicts.keep
            scores = np.array(verdicts.table["score"])
            chosen = here & verdicts.selected
            assert scores[chosen].min() >= scores[here & ~verdicts.selected].max()

    def test_mixtures_take_one_of_each(self):
        for name, kinds in (
            ("star", ("dense", "random")),
            ("skill-taxonomy", ("matching", "bm25", "dense")),
        ):
            per_query = itertools.groupby(self.chosen(name), key=lambda row: row["query_id"])
            for _, rows in per_query:
                rows = list(rows)
                assert len(rows) == len(kinds)
                for kind in kinds:
                    assert any(row[f"{kind}_rank"] is not None for row in rows)

    def test_mm_embed_takes_near_ones_of_the_other_type_and_far_ones_of_the_same(self):
        found = Counter()
        for row in self.chosen("mm-embed"):
            found[row["same_type"]] += 1
            if row["same_type"]:
                assert row["dense_rank"] >= 45
            else:
                assert row["score"] > row["positive_score"]
        assert found[True] == 12 and found[False] > 0

    def test_of_four_negatives_at_most_one_is_generated_and_it_is_an_imposter(self):
        rows = self.chosen("generate")
        generated = Counter(row["query_id"] for row in rows if row["generated"])
        assert generated and max(generated.values()) == 1
        assert set(Counter(row["query_id"] for row in rows).values()) == {4}
        anchor = {f"q{query}": 0.5 + 0.04 * query for query in range(12)}
        for row in rows:
            assert row["ce_score"] <= row["positive_score"] - 3
            if row["generated"]:
                assert row["dense_score"] >= 0.8 * anchor[row["query_id"]] - 1e-6

    def test_no_answer_gets_through(self):
        for name in ("arhn", "has-answer"):
            assert not any(row["has_answer"] for row in self.chosen(name))
        relabelled = [
            row
            for row in Verdicts(table_of(), *criteria(recipe("arhn"))).scored().to_pylist()
            if row["reason"] == "relabelled"
        ]
        assert relabelled and all(row["has_answer"] for row in relabelled)

    def test_conan_keeps_what_has_not_become_easy(self):
        verdicts = Verdicts(table_of(), *criteria(recipe("conan")))
        kept = verdicts.table.filter(pa.array(verdicts.keep)).to_pylist()
        before = {row["doc_id"] for row in kept if row["previous_selected"]}
        chosen = {row["doc_id"] for row in self.chosen("conan")}
        assert before and before <= chosen < {row["doc_id"] for row in kept}
        for row in self.chosen("conan"):
            assert 1.15 * row["score"] >= row["previous_score"] or abs(row["score"]) >= 0.8

    def test_el2n_leaves_out_the_easy_queries(self):
        verdicts = Verdicts(table_of(), *criteria(recipe("el2n")))
        table, norms = verdicts.table, {}
        scores = np.array(table["score"])
        for query in range(12):
            of_query = verdicts.query == query
            chosen = scores[of_query & verdicts.selected]
            if len(chosen):
                p = np.exp(np.append(scores[of_query & verdicts.is_positive], chosen) / 0.05)
                p /= p.sum()
                norms[query] = np.linalg.norm(p - np.eye(len(p))[0])
        assert norms and min(norms.values()) >= 0.1

    def test_judged_negatives_come_first(self):
        rows = self.chosen("graded")
        assert any(row["grade"] == 0 for row in rows)
        for row in rows:
            margin = {0: -9, 1: 0.1, None: 0.05}[row["grade"]]
            assert row["score"] <= row["positive_score"] - margin + 1e-6

    def test_adore_hands_on_the_ranks(self):
        verdicts = Verdicts(table_of(), *criteria(recipe("adore")))
        ranks = np.array(verdicts.for_training["dense_rank"])[verdicts.selected]
        assert sorted(ranks[:200].tolist()) == list(range(200))

    def test_owner_queries_that_ask_the_same_are_avoided(self):
        for row in self.chosen("saha"):
            assert row["owner_score"] is None or row["owner_score"] < 0.9

    def test_cet_is_the_posterior_by_bayes_rule(self):
        for row in self.chosen("cet"):
            rho, sigma = 1 / (1 + np.exp(-row["ce_score"])), 1 / (2 + row["bm25_rank"])
            expected = rho * (1 - sigma) / (rho * (1 - sigma) + (1 - rho))
            assert row["false_negative"] == pytest.approx(expected)
            assert row["weight"] == pytest.approx(1 - expected)


@pytest.fixture(scope="module")
def data(stdlib, tmp_path_factory):
    """The documents and queries of the demo, with all the columns that some recipe needs."""
    folder = tmp_path_factory.mktemp("recipes")
    corpus = pq.read_table(stdlib / "corpus.parquet").slice(0, 300).to_pylist()
    texts = {row["id"]: row["text"] for row in corpus}
    pairs = pq.read_table(stdlib / "pairs.parquet").to_pylist()
    pairs = [pair for pair in pairs if pair["positive_id"] in texts][:8]
    names = list(texts)
    write(
        folder / "corpus.parquet",
        id=names,
        text=list(texts.values()),
        type=["method" if name.count(".") > 1 else "function" for name in names],
        links=[names[n + 1 : n + 6] for n in range(len(names))],
        concepts=[[name[:1], name[-1:]] for name in names],
        parent=[name.rpartition(".")[0] for name in names],
        date=list(range(len(names))),
    )
    write(
        folder / "queries.parquet",
        id=[f"q{n}" for n in range(8)],
        text=[pair["query"] for pair in pairs],
        type=["function"] * 8,
        date=[250] * 8,
        answer=[pair["positive_id"].rpartition(".")[2] for pair in pairs],
    )
    write(
        folder / "qrels.parquet",
        query_id=[f"q{n}" for n in range(8)] * 2,
        doc_id=[pair["positive_id"] for pair in pairs] + names[:8],
        score=[2] * 8 + [0] * 8,
    )
    api.build_index(
        corpus=str(folder / "corpus.parquet"),
        index=folder / "index",
        encoder=ENCODER,
        max_length=48,
    )
    inputs = {name: str(folder / f"{name}.parquet") for name in ("queries", "qrels")}
    mine = {**inputs, "index": folder / "index", "min_grade": 2, "top_k": 60}
    api.mine(**mine, output=folder / "first", source=["dense"])
    api.filter(candidates=folder / "first", output=folder / "previous")
    return mine, folder / "previous"


def with_generated(given, inputs, folder):
    """Generate texts, and index them with the corpus, as `hnmine run` does."""
    given = {key.replace("-", "_"): value for key, value in given.items()}
    corpus = str(Path(inputs["index"]).parent / "corpus.parquet")
    asked = {name: inputs[name] for name in ("queries", "qrels", "min_grade")}
    api.generate(corpus=corpus, output=folder / "g", **asked, **given)
    both = [corpus, str(folder / "g" / "generated.parquet")]
    api.build_index(corpus=both, index=folder / "i", encoder=ENCODER, max_length=64)
    return {**inputs, "index": folder / "i"}


def mined_as(given, inputs, previous):
    """Mine as a recipe says, to a depth that is cut for the sake of time."""
    mine = {key.replace("-", "_"): value for key, value in given.items()}
    mine["source"] = [name.partition(":")[0] for name in mine.get("source", ["dense"])]
    mine = {**inputs, **mine, "top_k": min(60, mine.get("top_k", 60))}
    if "clusters" in mine:
        mine["clusters"] = 10
    if previous:
        mine["previous"] = previous
    return mine


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    """Mine with some settings, once for all recipes with them: they share the scores, too."""

    @cache
    def directory(settings):
        found = tmp_path_factory.mktemp("mined") / "candidates"
        api.mine(**json.loads(settings), output=found)
        return found

    return lambda settings: directory(json.dumps(settings, sort_keys=True, default=str))


def rows_of(folder):
    return [row for file in sorted(folder.glob("*")) for row in pq.read_table(file).to_pylist()]


def check_sources(name, found, inputs):
    """A condition on the positive holds for each positive of the query."""
    if name not in ("car", "bica"):
        return
    corpus = pq.read_table(Path(inputs["index"]).parent / "corpus.parquet").to_pylist()
    by_id = {row["id"]: row for row in corpus}
    positives = {}
    for row in found:
        if row["is_positive"]:
            positives.setdefault(row["query_id"], []).append(row["doc_id"])
    for row in found:
        for positive in () if row["is_positive"] else positives[row["query_id"]]:
            one, other = by_id[row["doc_id"]], by_id[positive]
            if name == "car":
                assert not set(one["concepts"]) & set(other["concepts"])
            if name == "bica":
                assert one["id"] in other["links"] or positive in one["links"]


def check_weights(mined, train, layout):
    """Every written weight is that of scored/, and a positive has the weight 1."""
    found = Mined(mined)
    documents, queries = found.candidates.index.documents, found.candidates.queries.texts
    expected = {}
    for row in pq.read_table(mined / "scored").to_pylist():
        if row["label"] is not None:
            query = queries.texts(queries.find_ids([row["query_id"]]))[0]
            document = documents.texts(documents.find_ids([row["doc_id"]]))[0]
            expected[query, document] = 1.0 if row["label"] == 1 else row["weight"]
    assert len(set(expected.values())) > 2
    written = {}
    for row in pq.read_table(train).to_pylist():
        names = {
            "triplet": ["negative"],
            "n-tuple": [name for name in row if name.startswith("negative_")],
            "labeled-pair": ["passage"],
            "labeled-list": ["passages"],
        }[layout]
        texts = [text for name in names for text in np.ravel(row[name]).tolist()]
        weights = np.ravel(row["weight"]).tolist()
        written |= {(row["query"], text): w for text, w in zip(texts, weights, strict=True)}
    assert written.items() <= expected.items()
    assert written or layout == "n-tuple"  # Queries with fewer negatives have no row there.


WEIGHTED = [path for path in RECIPES if settings_of(path).weight is not None]


def layouts_for(recipe):
    """All layouts of the first recipe with weights; of each further one another layout."""
    place = WEIGHTED.index(recipe)
    return LAYOUTS if place == 0 else [LAYOUTS[place % len(LAYOUTS)]]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_it_runs_on_real_data_from_its_file(recipe, data, candidates, tmp_path):
    """Its depths are cut, for the sake of time; all else is as the file has it."""
    inputs, previous = data
    given = yaml.safe_load(recipe.read_text())
    if "generate" in given:
        inputs = with_generated(given["generate"], inputs, tmp_path)
    mine = mined_as(given.get("mine", {}), inputs, recipe.stem == "conan" and previous)
    mined = candidates(mine)
    check_sources(recipe.stem, rows_of(mined / "candidates"), inputs)
    filter_ = {key.replace("-", "_"): value for key, value in given["filter"].items()}
    if "ce_score" in str(filter_) or filter_.get("score", "ce") == "ce":
        filter_ |= {"cross_encoder": CROSS_ENCODER, "max_length": 32}
    if "judge" in filter_:
        pairs = pq.read_table(inputs["qrels"]).select(["query_id", "doc_id"])
        verdicts = pairs.append_column("verdict", pa.array([1.0] * pairs.num_rows))
        pq.write_table(verdicts, tmp_path / "v.parquet")
        filter_["judge"] = [str(tmp_path / "v.parquet")]
    result = api.filter(candidates=mined, output=tmp_path / "m", **filter_)
    assert result.counts["queries"] == 8
    positives = pq.read_table(inputs["qrels"]).to_pylist()
    known = {(row["query_id"], row["doc_id"]) for row in positives if row["score"] == 2}
    rows = [
        row for file in (tmp_path / "m/scored").glob("*") for row in pq.read_table(file).to_pylist()
    ]
    chosen = {(row["query_id"], row["doc_id"]) for row in rows if row["selected"]}
    assert not chosen & known
    assert len(chosen) == result.counts["negatives"]
    if "weight" in filter_:
        for layout in layouts_for(recipe):
            again = tmp_path / layout
            api.filter(candidates=mined, output=again, **filter_ | {"format": layout})
            export = tmp_path / f"{layout}-export"
            api.export(mined=again, to=layout, output=export, index=inputs["index"])
            check_weights(again, again / "train", layout)
            check_weights(again, export / "train.parquet", layout)
    if "mix" in given:
        mixed = api.mix(mined=tmp_path / "m", output=tmp_path / "x", **given["mix"])
        assert mixed.counts["mixtures"] > 0
    if "generate" in given:
        made = {row["doc_id"]: row["query_id"] for row in rows if row["generated"]}
        edits = {
            row["id"]: row
            for row in pq.read_table(tmp_path / "g" / "generated.parquet").to_pylist()
        }
        assert made and made == {name: edits[name]["made_for"] for name in made}
