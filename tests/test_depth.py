"""The depth that the default choice aims at, on real text with real vectors."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ENCODER, hnmine, spread

import hnmine as api
from hnmine.choose import first
from hnmine.ragged import offsets_of
from hnmine.relevance.depth_price import chosen_depths
from hnmine.relevance.depth_rule import SHALLOW, USUAL
from hnmine.relevance.depth_trial import APART, DEPTHS, FEWEST
from hnmine.relevance.kept_trial import FOLDER, LARGEST
from hnmine.relevance.learned import DepthTrial, read_learned
from hnmine.relevance.probes import compare
from hnmine.schema import STATE

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


def others_of(rule):
    """The depths that a trial compares with that of the rule."""
    return [
        depth
        for depth in DEPTHS
        if depth <= rule["pool"] / 2
        and max(depth, rule["depth"]) > APART * min(depth, rule["depth"])
    ]


@pytest.fixture(scope="module")
def tried(world):
    """What the default choice learns of the candidates in small parts, and says."""
    return filtered(world / "candidates-20", world / "tried")


def test_depths_are_tried_and_the_reason_is_said(world, tried):
    found, notes = tried
    trial = found["trial"]
    assert trial["queries"] == PAIRS >= FEWEST
    usual = found["rule"]["depth"]
    assert trial["usual"] == usual
    gains = {float(depth): at["gain"] for depth, at in trial["over_usual"].items()}
    assert set(gains) == set(others_of(found["rule"]))
    assert any(gains.values())
    better = {
        float(depth): at["gain"]
        for depth, at in trial["over_usual"].items()
        if at["gain"] > 2 * at["error"]
    }
    best = max(better, key=better.get, default=usual)
    surest = trial.get("below_the_positive", {"gain": 0.0, "error": 0.0})
    sure = best > SHALLOW or surest["gain"] > 2 * surest["error"]
    assert found["depth"] == (best if sure else usual)
    learned = read_learned(world / "tried" / "relevance.json")
    sentences, headlines = learned.sentences, learned.headlines
    assert sentences
    assert notes[: len(sentences)] == sentences  # Then how hard they are.
    command = ("filter", "--candidates", world / "candidates-20", "--output", world / "tried")
    said = hnmine(*command, "--num-negatives", "3").stdout.splitlines()
    first = said.index(headlines[0])
    assert said[first : first + len(headlines)] == headlines
    why = sentences[len(headlines) :]
    assert why  # --json has it.
    assert not set(why) & set(said)
    assert said[-1] == notes[-1]
    assert len(said) <= 8
    said = hnmine(*command, "--num-negatives", "3", "--json").stdout
    assert json.loads(said)["notes"] == notes


def test_shallow_depths_are_tried_below_the_positive_too(world, tmp_path, monkeypatch):
    seen = []

    def watched(data, usual, by_depth, below):
        seen.append((data, usual, by_depth, below))
        return compare(data, usual, by_depth, below)

    monkeypatch.setattr("hnmine.relevance.depth_trial.compare", watched)
    forget(world / "candidates-20")
    found, _ = filtered(world / "candidates-20", tmp_path / "watched")
    ((data, usual, by_depth, below),) = seen
    cosines = data.queries @ data.vectors.T
    query, document = data.asked
    anchors = np.full(len(cosines), np.inf)
    np.minimum.at(anchors, query, cosines[query, document])
    error = 0.1  # Of cosines in fewer dimensions.

    def above(lists):
        query, place = np.nonzero(lists >= 0)
        assert len(query)
        return int((cosines[query, lists[query, place]] > anchors[query] + error).sum())

    assert set(by_depth) == {usual, *others_of(found["rule"])}
    assert set(below) == {depth for depth in by_depth if depth <= SHALLOW}
    assert above(by_depth[0.0]) > 0
    assert not any(above(lists) for lists in below.values())


@pytest.mark.parametrize("depth", [0.0, 10.0, USUAL, 40.0])
def test_and_taken_below_it(world, tmp_path, monkeypatch, depth):
    monkeypatch.setattr("hnmine.selection.learning.try_depths", lambda *given: (depth, None))
    found, notes = filtered(world / "candidates-20", tmp_path / "mined")
    said = any("negatives must score below the positive." in note for note in notes)
    assert said == (depth <= SHALLOW)
    rule = "dense_score < pos(dense_score)"
    assert found["where"] == ([rule] if depth <= SHALLOW else [])
    rows = pq.read_table(tmp_path / "mined" / "scored").to_pylist()
    anchors = {row["query_id"]: row["dense_score"] for row in rows if row["is_positive"]}
    above = {
        (row["reason"], row["selected"])
        for row in rows
        if row["rank"] is not None and row["dense_score"] > anchors[row["query_id"]]
    }
    if depth <= SHALLOW:
        assert (rule, False) in above
        assert not any(selected for _, selected in above)
    else:
        assert rule not in {reason for reason, _ in above}


def test_the_depths_that_lost_are_said_in_the_order_of_their_numbers():
    no_better = {"gain": -0.1, "error": 0.01}
    # As relevance.json has them: in the order of their letters.
    others = {depth: no_better for depth in sorted(f"{other:g}" for other in (0, 5, 10, 40))}
    trial = {"queries": 300, "over_usual": others, "over_random": {"gain": 0.1, "error": 0.01}}
    sentences = DepthTrial.model_validate(trial).sentences(USUAL)
    assert sentences == [
        "Depth 20 by rule: at 0, 5, 10, 40 linear probes did not rank significantly better "
        "on 300 queries."
    ]


@pytest.mark.parametrize(
    "gain, error, says",
    [
        (0.005, 0.004, "Random negatives teach as much here: probes of the chosen ones rank "),
        (-0.005, 0.004, "Random negatives teach as much here: "),
        (0.005, 0.01, ""),
        (0.05, 0.01, ""),
        (-0.05, 0.01, "Random negatives trained better probes (5.0 standard errors). "),
    ],
)
def test_random_negatives_are_named_where_they_surely_teach_as_much(gain, error, says):
    trial = {"queries": 300, "over_usual": {}, "over_random": {"gain": gain, "error": error}}
    said = DepthTrial.model_validate(trial).sentences(USUAL)[1:]
    assert [sentence[: len(says)] for sentence in said] == ([says] if says else [])
    assert all("`filter --order random_rank`" in sentence for sentence in said)


def trials_of(candidates):
    return sorted((candidates / STATE / FOLDER).glob("*"))


def _read(path):
    return path.read_text()


def forget(candidates):
    for path in trials_of(candidates):
        path.unlink()


@pytest.fixture
def counted(monkeypatch):
    """How many trials were made."""
    made = []

    def counting(*given):
        made.append(given)
        return compare(*given)

    monkeypatch.setattr("hnmine.relevance.depth_trial.compare", counting)
    return made


class TestCache:
    def test_a_trial_is_reused_where_nothing_that_it_saw_differs(self, world, tmp_path, counted):
        candidates = world / "candidates-20"
        forget(candidates)
        first = filtered(candidates, tmp_path / "one")
        again = filtered(candidates, tmp_path / "two", seed=5, max_uses=3)
        assert (len(counted), again[0]) == (1, first[0])
        assert len(trials_of(candidates)) == 1

    def test_another_rule_makes_another_trial(self, world, tmp_path, counted):
        candidates = world / "candidates-20"
        forget(candidates)
        filtered(candidates, tmp_path / "one")
        filtered(candidates, tmp_path / "two", where=["rank >= 5"])
        api.filter(candidates=candidates, output=tmp_path / "three", num_negatives=2)
        assert len(counted) == len(trials_of(candidates)) == 3

    @pytest.mark.parametrize(
        "damage",
        [
            lambda path: path.write_text("{"),
            lambda path: path.write_text("[" * 10**5),
            lambda path: path.write_bytes(b"\xff"),
            lambda path: path.write_text(path.read_text() + " " * LARGEST),
            lambda path: path.write_text(path.read_text().replace('"depth": ', '"depth": -')),
            lambda path: path.write_text(path.read_text().replace('"of": "', '"of": "0')),
            lambda path: path.write_text(path.read_text().replace('"gain": ', '"gain": 1e9')),
            lambda path: path.write_text(re.sub('"depth": [0-9.]+', '"depth": 7.5', _read(path))),
            lambda path: path.write_text(re.sub('"usual": [0-9.]+', '"usual": 7.5', _read(path))),
        ],
    )
    def test_a_file_that_is_not_that_trial_is_made_again(self, world, tmp_path, counted, damage):
        candidates = world / "candidates-20"
        forget(candidates)
        first = filtered(candidates, tmp_path / "one")
        (path,) = trials_of(candidates)
        whole = path.read_bytes()
        damage(path)
        assert path.read_bytes() != whole
        again = filtered(candidates, tmp_path / "two")
        assert (len(counted), again[0], path.read_bytes()) == (2, first[0], whole)

    def test_a_folder_with_its_name_is_no_error(self, world, tmp_path):
        candidates = world / "candidates-20"
        forget(candidates)
        first = filtered(candidates, tmp_path / "one")
        (path,) = trials_of(candidates)
        path.unlink()
        path.mkdir()
        try:
            assert filtered(candidates, tmp_path / "two")[0] == first[0]
        finally:
            path.rmdir()

    def test_a_link_is_neither_read_nor_followed(self, world, tmp_path, counted):
        candidates = world / "candidates-20"
        forget(candidates)
        first = filtered(candidates, tmp_path / "one")
        folder, elsewhere = candidates / STATE / FOLDER, tmp_path / "elsewhere"
        folder.rename(elsewhere)
        folder.symlink_to(elsewhere)
        try:
            before = [path.stat().st_mtime_ns for path in elsewhere.iterdir()]
            again = filtered(candidates, tmp_path / "two")
            assert (len(counted), again[0]) == (2, first[0])
            assert [path.stat().st_mtime_ns for path in elsewhere.iterdir()] == before
        finally:
            folder.unlink()

    def test_where_it_cannot_be_written_the_result_is_the_same(self, world, tmp_path, monkeypatch):
        candidates = world / "candidates-20"
        forget(candidates)
        first = filtered(candidates, tmp_path / "one")
        forget(candidates)

        def refused(*given):
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr("hnmine.relevance.kept_trial.write_text", refused)
        again = filtered(candidates, tmp_path / "two")
        assert (again[0], trials_of(candidates)) == (first[0], [])


def test_the_trial_does_not_depend_on_how_the_candidates_are_cut(world, tried):
    other, _ = filtered(world / "candidates-1000", world / "of-1000")
    assert tried[0] == other


@pytest.mark.parametrize("given", [{"depth": 7}, {"margin": 0.1}, {"order": "dense_rank"}])
def test_nothing_is_tried_where_the_choice_is_another(world, given):
    found, notes = filtered(world / "candidates-20", world / f"mined-{given}", **given)
    assert found["depth"] == given.get("depth", USUAL)
    assert not {"trial", "rule"} & set(found)
    assert not any(note.startswith("Depth") for note in notes)


def test_without_vectors_it_is_the_usual_one_within_the_pool(world, tmp_path):
    pairs, index = str(world / "pairs.parquet"), tmp_path / "index"
    api.build_index(pairs=pairs, dense=False, index=index)
    api.mine(index=index, pairs=pairs, output=tmp_path / "candidates")
    found, notes = filtered(tmp_path / "candidates", tmp_path / "mined")
    assert found["depth"] == min(USUAL, round(found["rule"]["pool"] / 2, 1))
    assert found["place"] == "rank"
    assert "trial" not in found
    said = "no bi-encoder says where the positives are"
    assert notes[0].startswith(f"Depth {found['depth']:g} by rule: {said}")


@pytest.mark.parametrize("top_k", [5, 30])
def test_with_few_queries_the_rule_decides_and_says_so(world, tmp_path, top_k):
    pairs = tmp_path / "pairs.parquet"
    pq.write_table(pq.read_table(world / "pairs.parquet").slice(0, FEWEST - 1), pairs)
    candidates = tmp_path / "candidates"
    api.mine(index=world / "index", pairs=str(pairs), top_k=top_k, output=candidates)
    found, notes = filtered(candidates, tmp_path / "mined")
    assert "trial" not in found
    rule = found["rule"]
    assert (rule["queries"], found["depth"]) == (FEWEST - 1, rule["depth"])
    assert notes[0].startswith(f"Depth {rule['depth']:g} by rule: known positives have a typical ")
    rows = pq.read_table(tmp_path / "mined" / "scored")
    assert sum(rows["selected"].to_pylist()) >= 2.7 * (FEWEST - 1)


@pytest.mark.parametrize("seed", range(30))
def test_chosen_depths_are_those_of_the_first_rows_by_their_whole_cost(seed):
    random = np.random.default_rng(seed)
    counts = random.integers(0, 12, size=20)
    offsets, rows = offsets_of(counts), int(counts.sum())
    base, depth = random.integers(6, size=rows) / 4, random.integers(9, size=rows).astype(float)
    base[random.random(rows) < 0.1] = np.nan
    depth[random.random(rows) < 0.2] = np.nan
    penalty, n = np.nan_to_num(depth), random.integers(0, 5, size=20)
    for price in (0.0, 0.1, 0.25, 100.0):
        marked = first(offsets, base + price * penalty, n)
        wanted = depth[marked & np.isfinite(depth)]
        assert np.array_equal(chosen_depths(offsets, base, penalty, depth, n, price), wanted)
