"""The depth that the default choice aims at, on real text with real vectors."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ENCODER, hnmine, spread

import hnmine as api
from hnmine.relevance.depth_trial import FEWEST, OTHER_DEPTHS, compare
from hnmine.relevance.learned import DEFAULT_DEPTH, DepthTrial, read_learned

PAIRS = 104


@pytest.fixture(scope="module")
def world(docstrings, tmp_path_factory):
    """An index of the positives of some docstrings, and candidates cut into parts of two sizes."""
    root = tmp_path_factory.mktemp("depth")
    made = spread(pq.read_table(docstrings / "pairs.parquet"), PAIRS)
    pq.write_table(made, root / "pairs.parquet")
    pairs, index = str(root / "pairs.parquet"), root / "index"
    api.build_index(pairs=pairs, encoder=ENCODER, max_length=32, index=index)
    for size in (20, 1000):
        output = root / f"candidates-{size}"
        api.mine(index=index, pairs=pairs, top_k=30, block_size=size, output=output)
    return root


def filtered(candidates, output, **given):
    """Filter, and return what was learned and what was said."""
    result = api.filter(candidates=candidates, output=output, num_negatives=3, **given)
    return json.loads((output / "relevance.json").read_text()), result.notes


@pytest.fixture(scope="module")
def tried(world):
    """What the default choice learns of the candidates in small parts, and says."""
    return filtered(world / "candidates-20", world / "tried")


def test_depths_are_tried_and_the_reason_is_said(world, tried):
    found, notes = tried
    trial = found["trial"]
    assert trial["queries"] == PAIRS >= FEWEST
    gains = {float(depth): at["gain"] for depth, at in trial["over_usual"].items()}
    assert set(gains) == set(OTHER_DEPTHS)
    assert any(gains.values())
    better = {
        float(depth): at["gain"]
        for depth, at in trial["over_usual"].items()
        if at["gain"] > 2 * at["error"]
    }
    best = max(better, key=better.get, default=DEFAULT_DEPTH)
    surest = trial.get("below_the_positive", {"gain": 0.0, "error": 0.0})
    sure = best >= DEFAULT_DEPTH or surest["gain"] > 2 * surest["error"]
    assert found["depth"] == (best if sure else DEFAULT_DEPTH)
    sentences = read_learned(world / "tried" / "relevance.json").sentences
    assert sentences
    assert notes[: len(sentences)] == sentences  # Then how hard they are.
    command = ("filter", "--candidates", world / "candidates-20", "--output", world / "tried")
    said = hnmine(*command, "--num-negatives", "3").stdout
    assert said.splitlines()[-len(notes) :] == notes
    said = hnmine(*command, "--num-negatives", "3", "--json").stdout
    assert json.loads(said)["notes"] == notes


def test_less_than_the_usual_depth_is_tried_below_the_positive_too(world, monkeypatch):
    seen = []

    def watched(data, by_depth, below):
        seen.append((data, by_depth, below))
        return compare(data, by_depth, below)

    monkeypatch.setattr("hnmine.relevance.depth_trial.compare", watched)
    filtered(world / "candidates-20", world / "watched")
    ((data, by_depth, below),) = seen
    cosines = data.queries @ data.vectors.T
    anchors = cosines[np.arange(len(cosines)), data.positives]

    def above(lists):
        query, place = np.nonzero(lists >= 0)
        assert len(query)
        return int((cosines[query, lists[query, place]] > anchors[query] + 1e-6).sum())

    assert set(by_depth) == {DEFAULT_DEPTH, *OTHER_DEPTHS}
    assert above(by_depth[0.0]) > 0
    assert {depth: above(lists) for depth, lists in below.items()} == {0.0: 0, 5.0: 0, 10.0: 0}


@pytest.mark.parametrize("depth", [0.0, 10.0, DEFAULT_DEPTH, 40.0])
def test_and_taken_below_it(world, tmp_path, monkeypatch, depth):
    monkeypatch.setattr("hnmine.selection.learning.try_depths", lambda *given: (depth, None))
    found, _ = filtered(world / "candidates-20", tmp_path / "mined")
    rule = "dense_score < pos(dense_score)"
    assert found["where"] == ([rule] if depth < DEFAULT_DEPTH else [])
    rows = pq.read_table(tmp_path / "mined" / "scored").to_pylist()
    anchors = {row["query_id"]: row["dense_score"] for row in rows if row["is_positive"]}
    above = {
        (row["reason"], row["selected"])
        for row in rows
        if row["rank"] is not None and row["dense_score"] > anchors[row["query_id"]]
    }
    if depth < DEFAULT_DEPTH:
        assert (rule, False) in above
        assert not any(selected for _, selected in above)
    else:
        assert rule not in {reason for reason, _ in above}


def test_the_depths_that_lost_are_said_in_the_order_of_their_numbers():
    no_better = {"gain": -0.1, "error": 0.01}
    # As relevance.json has them: in the order of their letters.
    others = {depth: no_better for depth in sorted(f"{other:g}" for other in OTHER_DEPTHS)}
    trial = {"queries": 300, "over_usual": others, "over_random": {"gain": 0.1, "error": 0.01}}
    sentences = DepthTrial.model_validate(trial).sentences(DEFAULT_DEPTH)
    assert sentences[0].startswith("Depth 20: at 0, 5, 10, 40 linear probes ranked no better")


def test_the_trial_does_not_depend_on_how_the_candidates_are_cut(world, tried):
    other, _ = filtered(world / "candidates-1000", world / "of-1000")
    assert tried[0] == other


@pytest.mark.parametrize("given", [{"depth": 7}, {"margin": 0.1}, {"order": "dense_rank"}])
def test_nothing_is_tried_where_the_choice_is_another(world, given):
    found, notes = filtered(world / "candidates-20", world / f"mined-{given}", **given)
    assert found["depth"] == given.get("depth", DEFAULT_DEPTH)
    assert "trial" not in found
    assert not any(note.startswith("Depth") for note in notes)


def test_without_vectors_it_is_the_usual_one(world, tmp_path):
    pairs, index = str(world / "pairs.parquet"), tmp_path / "index"
    api.build_index(pairs=pairs, dense=False, index=index)
    api.mine(index=index, pairs=pairs, output=tmp_path / "candidates")
    found, _ = filtered(tmp_path / "candidates", tmp_path / "mined")
    assert (found["depth"], found["place"]) == (DEFAULT_DEPTH, "rank")
    assert "trial" not in found


def test_with_few_positives_it_is_the_usual_one(world, tmp_path):
    pairs = tmp_path / "pairs.parquet"
    pq.write_table(pq.read_table(world / "pairs.parquet").slice(0, FEWEST - 1), pairs)
    api.mine(index=world / "index", pairs=str(pairs), output=tmp_path / "candidates")
    found, _ = filtered(tmp_path / "candidates", tmp_path / "mined")
    assert found["depth"] == DEFAULT_DEPTH
    assert "trial" not in found
