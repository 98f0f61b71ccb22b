"""Queries that run out of survivors are mined deeper; documents are shared out among queries."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ENCODER, content
from hypothesis import given
from hypothesis import strategies as st

import hnmine as api
from hnmine.directories.candidates import Candidates
from hnmine.index import dense_index
from hnmine.runner.plan import canonical_json
from hnmine.selection import verdicts as verdicts_module
from hnmine.selection.document_cap import FEWEST_USES, DocumentCap, DocumentUses, default_cap
from hnmine.selection.scored_parts import Selection
from hnmine.selection.verdicts import Verdicts


@pytest.fixture(scope="module")
def index(stdlib, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deeper") / "index"
    api.build_index(
        corpus=str(stdlib / "corpus.parquet"), index=folder, encoder=ENCODER, max_length=48
    )
    return folder


def mine(index, stdlib, output, **settings):
    given = {"index": index, "pairs": str(stdlib / "pairs.parquet"), "output": output}
    return api.mine(**{**given, **settings})


def negatives(mined):
    """The chosen negatives of each query, best first."""
    found = {}
    for file in sorted((mined / "scored").glob("*.parquet")):
        for row in pq.read_table(file).to_pylist():
            found.setdefault(row["query_id"], [])
            if row["selected"]:
                found[row["query_id"]].append(row["doc_id"])
    return found


RULE = {"relative_margin": 0.4, "num_negatives": 3}


class TestDeepen:
    def test_a_query_gets_what_mining_so_deep_would_have_given(self, index, stdlib, tmp_path):
        wanted, factors = {}, (1, 2, 4, 6)
        for factor in factors:
            mine(index, stdlib, tmp_path / f"c{factor}", top_k=4 * factor)
            output = tmp_path / f"m{factor}"
            api.filter(candidates=tmp_path / f"c{factor}", output=output, **RULE)
            short = pq.read_table(output / "shortfall.parquet")["query_id"].to_pylist()
            for query, found in negatives(output).items():
                # The first depth that is enough settles a query; the last one settles the rest.
                if query not in wanted and (query not in short or factor == factors[-1]):
                    wanted[query] = found
        result = api.filter(candidates=tmp_path / "c1", output=tmp_path / "m", deepen=6, **RULE)
        assert negatives(tmp_path / "m") == wanted
        shallow = pq.read_table(tmp_path / "m1" / "shortfall.parquet")
        assert result.counts["queries_deepened"] == len(shallow) > 5
        assert result.counts["queries_short"] < len(shallow)
        assert result.counts["queries"] == len(wanted)

    def test_it_goes_on_where_it_was_and_does_nothing_twice(self, index, stdlib, tmp_path):
        mine(index, stdlib, tmp_path / "c", top_k=4, block_size=16)
        settings = {"candidates": tmp_path / "c", "deepen": 4, **RULE}
        api.filter(output=tmp_path / "a", **settings)
        stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / "c").rglob("*.parquet")}
        api.filter(output=tmp_path / "b", **settings)
        assert content(tmp_path / "a") == content(tmp_path / "b")
        assert stamps == {
            file: file.stat().st_mtime_ns for file in (tmp_path / "c").rglob("*.parquet")
        }

    def test_it_searches_on_its_own_device(self, index, stdlib, tmp_path, monkeypatch):
        """The candidates were mined on a device that this machine lacks."""
        monkeypatch.setattr(dense_index, "WORTHWHILE", 0)
        mine(index, stdlib, tmp_path / "c", top_k=4)
        file = tmp_path / "c" / "manifest.json"
        manifest = json.loads(file.read_text())
        manifest["settings"]["device"] = "cuda:99"
        file.write_text(canonical_json(manifest))
        settings = {"candidates": tmp_path / "c", "deepen": 2, "device": "cpu", **RULE}
        result = api.filter(output=tmp_path / "m", **settings)
        assert result.counts["queries_deepened"] > 5


class TestMaxUses:
    @pytest.fixture(scope="class")
    def candidates(self, index, stdlib, tmp_path_factory):
        folder = tmp_path_factory.mktemp("uses")
        pairs = pq.read_table(stdlib / "pairs.parquet")
        for name, order in (("c", range(len(pairs))), ("shuffled", range(len(pairs))[::-1])):
            pq.write_table(pairs.take(pa.array(list(order))), folder / f"{name}.parquet")
            mine(index, stdlib, folder / name, pairs=str(folder / f"{name}.parquet"), block_size=16)
        return folder

    @pytest.mark.parametrize("most", [1, 2])
    def test_no_document_is_used_more_often(self, candidates, tmp_path, most):
        free = api.filter(candidates=candidates / "c", output=tmp_path / "free", num_negatives=3)
        capped = api.filter(
            candidates=candidates / "c", output=tmp_path / "m", num_negatives=3, max_uses=most
        )
        uses = {
            name: Counter(one for found in negatives(tmp_path / name).values() for one in found)
            for name in ("free", "m")
        }
        assert max(uses["free"].values()) > most
        assert max(uses["m"].values()) == most
        # Whoever lost a document has its next best.
        assert capped.counts["negatives"] == free.counts["negatives"]

    def test_a_choice_that_is_ranked_once_is_the_one_that_is_made_again(
        self, candidates, tmp_path, monkeypatch
    ):
        found, rounds = [], []
        grant = DocumentCap.grant
        monkeypatch.setattr(DocumentCap, "grant", lambda *given: rounds.append(1) or grant(*given))
        for name, query_where in (("ranked", None), ("again", "true")):
            rounds.clear()
            api.filter(
                candidates=candidates / "c",
                output=tmp_path / name,
                num_negatives=3,
                max_uses=1,
                query_where=query_where,
            )
            found.append((negatives(tmp_path / name), len(rounds)))
        assert found[0] == found[1]
        assert found[0][1] > 2

    @pytest.mark.parametrize(
        "given",
        [
            {
                "query_where": "true",
                "derive": {"far": "rank(dense_score) > 9"},
                "where": ["rank > 1"],
            },
            {"diversity": 0.5, "relabel": "dense_score > 0.9"},
            {"quota": {"rank < 9": 1, "rank >= 9": 2}, "deepen": 4},
            {"per_query": "least(3, count(*))", "sampling": "exp(rank)"},
            {},
        ],
    )
    def test_rules_are_asked_once_and_choose_as_if_asked_in_every_round(
        self, candidates, tmp_path, monkeypatch, given
    ):
        asked, rounds = [], []
        ask, grant, verdicts = verdicts_module.reasons, DocumentCap.grant, Selection.verdicts
        monkeypatch.setattr(
            verdicts_module, "reasons", lambda *of: asked.append(of[0].num_rows) or ask(*of)
        )
        monkeypatch.setattr(DocumentCap, "grant", lambda *of: rounds.append(1) or grant(*of))
        given = {"candidates": candidates / "c", "max_uses": 1, "num_negatives": 3, **given}
        api.filter(output=tmp_path / "once", **given)
        assert len(rounds) > 2
        times = 1 + len(Candidates(candidates / "c").parts)  # Once to learn from a sample.
        if "deepen" not in given:  # It asks who is short, and mines new parts.
            assert sum(rows > 0 for rows in asked) == times

        monkeypatch.setattr(
            Selection, "verdicts", lambda self, part: verdicts(self, replace(part, judged=None))
        )
        api.filter(output=tmp_path / "anew", **given)
        assert content(tmp_path / "once") == content(tmp_path / "anew")

    def test_nothing_is_ranked_where_no_document_reaches_the_cap(
        self, candidates, tmp_path, monkeypatch
    ):
        def refused(*given):
            raise AssertionError("All candidates would be written.")

        monkeypatch.setattr(Verdicts, "ranked", property(refused))
        result = api.filter(candidates=candidates / "c", output=tmp_path / "m", max_uses=10**6)
        assert not [name for name in result.counts if "share_out" in name]

    def test_the_default_choice_has_a_cap_that_0_takes_away(self, candidates, tmp_path):
        def most(name, **given):
            api.filter(candidates=candidates / "c", output=tmp_path / name, **given)
            settings = json.loads((tmp_path / name / "manifest.json").read_text())["settings"]
            return settings["max_uses"]

        opened = Candidates(candidates / "c")
        queries, documents = len(opened.mined), len(opened.index.documents.canonical)
        assert most("default") == default_cap(queries, 5, documents) >= FEWEST_USES
        assert most("three", num_negatives=3) == default_cap(queries, 3, documents)
        assert most("off", max_uses=0) == 0
        assert most("ranked", order="dense_rank") is None

    def test_whoever_comes_first_has_no_advantage(self, candidates, tmp_path):
        found = []
        for name in ("c", "shuffled"):
            output = tmp_path / name
            api.filter(candidates=candidates / name, output=output, max_uses=1, sampling="random")
            found.append(negatives(output))
        assert found[0] == found[1]

    def test_a_query_without_another_document_is_short_and_says_why(self, index, stdlib, tmp_path):
        mine(index, stdlib, tmp_path / "c", top_k=3)
        api.filter(
            candidates=tmp_path / "c",
            output=tmp_path / "m",
            max_uses=1,
            default_rule=False,
            num_negatives=3,
        )
        short = pq.read_table(tmp_path / "m" / "shortfall.parquet").to_pylist()
        assert {row["reason"] for row in short} >= {"max-uses"}
        used = Counter(one for found in negatives(tmp_path / "m").values() for one in found)
        assert max(used.values()) == 1


@pytest.mark.parametrize(
    ("queries", "negatives", "documents", "cap"),
    [(160, 5, 4153, 5), (1000, 5, 10_000, 5), (1000, 5, 9999, 6), (10**7, 5, 10**5, 5000)],
)
def test_the_default_cap_grows_with_the_mean_use(queries, negatives, documents, cap):
    assert default_cap(queries, negatives, documents) == cap


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), unique=True, min_size=1),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_granted_documents_are_kept_and_never_too_many(pairs, most, seed):
    query, slot = map(np.array, zip(*pairs, strict=True))
    noise = np.random.default_rng(seed).integers(0, 2**63, len(pairs)).astype(np.uint64)
    cap, settled = DocumentCap.start(5).grant(DocumentUses(query, slot, noise), most)
    again, _ = cap.grant(DocumentUses(query, slot, noise[::-1].copy()), most)
    users = np.bincount(cap.granted % 5, minlength=5)
    wanted = np.bincount(slot, minlength=5)
    np.testing.assert_array_equal(users, np.minimum(wanted, most))
    assert settled == bool((wanted <= most).all())
    # Another draw takes nothing away.
    np.testing.assert_array_equal(again.granted, cap.granted)
    over = cap.over(query, slot)
    np.testing.assert_array_equal(
        over, (wanted[slot] >= most) & ~np.isin(query * 5 + slot, cap.granted)
    )
    assert cap.close().over(query, slot).sum() == len(pairs) - len(cap.granted)


def test_whoever_holds_a_document_keeps_it_whatever_the_lot_of_others():
    uses = {"query": np.array([5]), "document": np.array([0]), "noise": np.array([9], np.uint64)}
    cap, settled = DocumentCap.start(1).grant(DocumentUses(**uses), 2)
    assert settled and not cap.full[0]
    more = DocumentUses(np.array([3, 4, 5]), np.array([0, 0, 0]), np.array([1, 2, 9], np.uint64))
    cap, settled = cap.grant(more, 2)
    assert not settled
    assert cap.granted.tolist() == [3, 5]
