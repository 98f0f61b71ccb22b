"""Sets of negatives: diversity by MMR, the numbers of a set, and the acceptance set of judges."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, ENCODER, hnmine
from hypothesis import given
from hypothesis import strategies as st

import hnmine as api
from hnmine.audit.estimate import Audit
from hnmine.choose import COPY, choose, choose_varied
from hnmine.directories.mined import Mined
from hnmine.errors import InputError, UsageError
from hnmine.inputs.identity import normalise
from hnmine.judging.acceptance import Accepted, accept, triples
from hnmine.judging.machine_judge import Answer, MachineJudge
from hnmine.runner.manifest import record
from hnmine.selection.vector_sums import Groups, diversity_of, sums_of_vectors


@st.composite
def worlds(draw):
    """Queries with candidates, unit vectors among which some are copies, orders with ties."""
    counts = draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    query = np.repeat(np.arange(len(counts)), counts)
    size = len(query)
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    vectors = random.normal(size=(max(1, draw(st.integers(1, 8))), 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors[random.integers(0, len(vectors), size)].astype(np.float32)
    keep = random.random(size) < 0.8
    order = random.integers(0, 4, size)
    n = random.integers(0, 5, len(counts))
    return query, keep, order, n, vectors


def slowly(query, keep, order, n, vectors, weight):
    """Maximal marginal relevance, worked out pair by pair."""
    chosen = set()
    for one in range(len(n)):
        pool = [row for row in range(len(query)) if query[row] == one and keep[row]]
        pool.sort(key=lambda row: order[row])
        place = {row: at / len(pool) for at, row in enumerate(pool)}
        own = []
        for _ in range(n[one]):
            near = {
                row: max((float(vectors[row] @ vectors[other]) for other in own), default=0.0)
                for row in pool
            }
            left = [row for row in pool if row not in own and near[row] < COPY]
            if not left:
                break
            cost = [(1 - weight) * place[row] + weight * max(0.0, near[row]) for row in left]
            own.append(left[int(np.argmin(cost))])
        chosen |= set(own)
    return chosen


@given(worlds(), st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
def test_a_varied_choice_is_greedy_without_copies_and_plain_at_weight_zero(world, weight):
    query, keep, order, n, vectors = world
    marked = choose_varied(weight, vectors.__getitem__, query, keep, order, n)
    assert not (marked & ~keep).any()
    if weight == 0:
        assert marked.tolist() == choose(query, keep, order, n).tolist()
        return
    assert set(np.flatnonzero(marked).tolist()) == slowly(*world, weight)
    for one in range(len(n)):
        rows = np.flatnonzero(marked & (query == one))
        assert len(rows) <= n[one]
        for left, right in itertools.combinations(rows, 2):
            assert vectors[left] @ vectors[right] < COPY


@given(worlds(), st.data())
def test_the_sums_of_a_set_are_those_of_its_pairs(world, data):
    query, negative, _, _, vectors = world
    names = data.draw(
        st.lists(st.sampled_from(["a", "b", ""]), min_size=len(query), max_size=len(query))
    )
    group = np.array(names, dtype=np.str_)
    rows = np.arange(len(query))
    found = sums_of_vectors(query, rows, negative, vectors.__getitem__, group)
    plain = sums_of_vectors(query, rows, negative, vectors.__getitem__)
    assert plain == {name: found[name] for name in ("apart", "sets")}
    apart, same, other, spread = [], [], [], []
    for one in np.unique(query):
        chosen = [row for row in rows if query[row] == one and negative[row]]
        pairs = [1 - float(vectors[a] @ vectors[b]) for a, b in itertools.combinations(chosen, 2)]
        apart += [np.mean(pairs)] if pairs else []
        known = [row for row in rows if query[row] == one and group[row]]
        for a, b in itertools.combinations(known, 2):
            cosine = float(vectors[a].astype(float) @ vectors[b].astype(float))
            (same if group[a] == group[b] else other).append(cosine)
            spread.append(np.exp(-4 + 4 * cosine))
    if apart:
        assert diversity_of(found) == pytest.approx(np.mean(apart), abs=1e-5)
    else:
        assert diversity_of(found) is None
    groups = Groups.of(found)
    if not spread:
        assert groups is None
        return
    assert groups.tolerance == (pytest.approx(np.mean(same), abs=1e-5) if same else None)
    assert groups.across == (pytest.approx(np.mean(other), abs=1e-5) if other else None)
    assert groups.uniformity == pytest.approx(np.log(np.mean(spread)), rel=1e-3, abs=1e-4)


@pytest.fixture(scope="module")
def candidates(stdlib, tmp_path_factory):
    """Candidates of 40 queries, grouped by the first word of the module."""
    root = tmp_path_factory.mktemp("sets")
    where = {"pairs": str(stdlib / "pairs.parquet"), "index": root / "index"}
    api.build_index(**where, corpus=str(stdlib / "corpus.parquet"), encoder=ENCODER)
    group = {"group": "split_part(doc.id, '.', 1)", "split": "if(query.id < '2', 'test', 'train')"}
    api.mine(**where, output=root / "candidates", top_k=20, attribute=group)
    return root / "candidates"


def filtered(candidates, output, **settings):
    api.filter_negatives(candidates=candidates, output=output, **settings)
    scored = pa.concat_tables(
        [pq.read_table(file) for file in sorted((output / "scored").glob("*.parquet"))]
    )
    chosen = [(row["query_id"], row["doc_id"]) for row in scored.to_pylist() if row["selected"]]
    return chosen, json.loads((output / "hardness.json").read_text())


def test_diversity_raises_the_distance_within_a_set(candidates, tmp_path):
    plain, before = filtered(candidates, tmp_path / "plain")
    none, same = filtered(candidates, tmp_path / "none", diversity=0)
    varied, after = filtered(candidates, tmp_path / "varied", diversity=0.7)
    assert (none, same) == (plain, before)
    assert set(varied) != set(plain)
    assert after["diversity"] > before["diversity"] > 0
    groups = before["groups"]
    assert groups["tolerance"] > groups["across"]
    assert groups["uniformity"] < 0
    ran = hnmine("filter", "--candidates", candidates, "--output", tmp_path / "said", "--json")
    assert f"mean cosine {groups['tolerance']:.2f} within a group" in ran.stdout


def test_diversity_without_vectors_names_what_is_missing(stdlib, tmp_path):
    where = {"pairs": str(stdlib / "pairs.parquet"), "index": tmp_path / "index"}
    api.build_index(**where, corpus=str(stdlib / "corpus.parquet"), dense=False)
    api.mine(**where, output=tmp_path / "candidates", top_k=5)
    with pytest.raises(UsageError, match="diversity needs vectors"):
        filtered(tmp_path / "candidates", tmp_path / "mined", diversity=0.5)


class ByWords(MachineJudge):
    """Scores by the share of common words."""

    name, batch, identity = "by words", 50, MappingProxyType({})

    def judge(self, items):
        both = [(words(item.query), words(item.document)) for item in items]
        return [Answer(score=len(a & b) / len(a | b)) for a, b in both]


class Verdicts(MachineJudge):
    """Finds relevant what is among some texts, and answers nothing about one."""

    name, batch, identity = "verdicts", 7, MappingProxyType({})

    def __init__(self, relevant, unknown):
        self.relevant, self.unknown = relevant, unknown

    def judge(self, items):
        return [
            Answer()
            if item.document == self.unknown
            else Answer(verdict=float(item.document in self.relevant))
            for item in items
        ]


def words(text):
    return set(re.findall(r"\w+", text.lower()))


class TestAcceptance:
    def test_the_set_has_hundreds_of_triples_of_all_kinds_without_a_repeated_text(self):
        given = triples()
        assert len(given) >= 200
        texts = [text for one in given for text in (one.positive, one.paraphrase, one.edit)]
        texts += [one.query for one in given]
        assert len({" ".join(text.lower().split()) for text in texts}) == len(texts)
        assert all(text == text.strip() and 10 < len(text) < 200 for text in texts)
        kinds = [one.kind for one in given]
        assert set(kinds) == {"swap", "change", "negate", "scope"}
        assert all(kinds.count(kind) >= len(given) / 8 for kind in set(kinds))
        assert len({one.language for one in given}) >= 5

    def test_neither_words_nor_length_tell_a_paraphrase_from_an_edit(self):
        given = triples()

        def above(measure):
            pairs = [(measure(one, one.paraphrase), measure(one, one.edit)) for one in given]
            return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)

        def common(one, text):
            return len(words(one) & words(text)) / len(words(one) | words(text))

        assert 0.35 < above(lambda one, text: common(one.positive, text)) < 0.65
        assert 0.35 < above(lambda one, text: common(one.query, text)) < 0.65
        assert 0.35 < above(lambda one, text: len(text)) < 0.65

    def test_scores_are_compared_with_the_positives_by_each_rule(self):
        found = accept(ByWords(), progress=False)
        positive, paraphrase, edit = found.values
        flagged, kept = found.rules["--margin 0"]
        assert flagged.number == sum(paraphrase > positive)
        assert kept.number == sum(edit <= positive)
        flagged, kept = found.rules["--relative-margin 0.05"]
        assert flagged.number == sum(paraphrase > 0.95 * positive)
        assert kept.number == sum(edit <= 0.95 * positive)
        assert "--margin 1" not in found.rules
        logits = Accepted("logits", found.kinds, 10 * found.values, True)
        assert logits.rules["--margin 3"][0].number == sum(10 * paraphrase > 10 * positive - 3)
        assert sum(n.number for name, n in found.above.items() if name != "all") == (
            found.above["all"].number
        )

    def test_verdicts_count_as_they_are_and_a_missing_answer_leaves_its_triple_out(self):
        given = triples()
        relevant = {one.paraphrase for one in given[:50]} | {one.edit for one in given[50:60]}
        found = accept(Verdicts(relevant, given[0].edit), progress=False)
        flagged, kept = found.rules["relevant"]
        assert (flagged.number, flagged.of) == (49, len(given) - 1)
        assert (kept.number, kept.of) == (len(given) - 11, len(given) - 1)
        json.dumps(found.as_json(), allow_nan=False)

    def test_the_command_reports_a_cross_encoder(self, tmp_path):
        ran = hnmine("judge", "acceptance", "--model", CROSS_ENCODER, "--dry-run", cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        assert f"{3 * len(triples()):,}" in ran.stdout
        assert not list(tmp_path.iterdir())


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def judgements(path):
    return [line.split("\t") for line in path.read_text().splitlines()[1:]]


@pytest.fixture(scope="module")
def mined(candidates, tmp_path_factory):
    output = tmp_path_factory.mktemp("mined") / "mined"
    filtered(candidates, output)
    return output


def labelled(mined, label):
    found = pa.concat_tables(map(pq.read_table, sorted((mined / "scored").glob("*.parquet"))))
    return [row for row in found.to_pylist() if row["label"] == label]


def test_judgements_are_written_by_the_split_of_the_query(mined, tmp_path):
    api.export(mined=mined, to="beir", output=tmp_path / "beir")
    wanted = {}
    for row in labelled(mined, 1) + labelled(mined, 0):
        grades = wanted.setdefault(row["split"], set())
        grades.add((row["query_id"], row["doc_id"], str(row["label"])))
    assert set(wanted) == {"train", "test"}
    files = sorted((tmp_path / "beir" / "qrels").iterdir())
    assert [file.name for file in files] == ["test.tsv", "train.tsv"]
    for file in files:
        assert set(map(tuple, judgements(file))) == wanted[file.stem]
    asked = {row["_id"] for row in lines(tmp_path / "beir" / "queries.jsonl")}
    assert asked == {query for grades in wanted.values() for query, _, _ in grades}


def sealed(directory: Path) -> None:
    """Note the changed files of a directory as if they had been written like that."""
    for marker in (directory / ".hnmine" / "done").glob("*.json"):
        noted = json.loads(marker.read_bytes())
        noted["outputs"] = {name: record(directory / name) for name in noted["outputs"]}
        marker.write_text(json.dumps(noted))


@pytest.mark.parametrize(
    ("split", "said"),
    [("'../out'", "names no file"), ("null", "names no file"), ("doc_id", "is in the splits")],
)
def test_a_split_that_names_no_file_or_differs_within_a_query_is_refused(
    candidates, tmp_path, split, said
):
    wrong = tmp_path / "candidates"
    shutil.copytree(candidates, wrong)
    for file in (wrong / "candidates").glob("*.parquet"):
        table = pq.read_table(file)
        values = {"'../out'": ["../out"] * len(table), "null": [None] * len(table)}
        values["doc_id"] = table["doc_id"].to_pylist()
        at = table.column_names.index("split")
        column = pa.array(values[split], pa.string())
        pq.write_table(table.set_column(at, "split", column), file)
    sealed(wrong)
    filtered(wrong, tmp_path / "mined", index=candidates.parent / "index")
    with pytest.raises(InputError, match=said):
        api.export(mined=tmp_path / "mined", to="beir", output=tmp_path / "beir")


def test_no_document_of_the_unanswered_set_is_a_positive_or_a_copy(mined, tmp_path):
    api.export(mined=mined, to="beir-unanswered", output=tmp_path / "beir")
    answers = {row["doc_id"] for row in labelled(mined, 1)}
    corpus = {row["_id"]: row["text"] for row in lines(tmp_path / "beir" / "corpus.jsonl")}
    every = Mined(mined).candidates.index.documents
    texts = dict(
        zip(
            every.id_array(np.arange(len(every))).to_pylist(),
            every.texts(np.arange(len(every))),
            strict=True,
        )
    )
    known = {normalise(texts[name]) for name in answers}
    assert corpus and not known & set(map(normalise, corpus.values()))
    assert set(corpus) == {name for name, text in texts.items() if normalise(text) not in known}
    graded = [row for file in (tmp_path / "beir" / "qrels").iterdir() for row in judgements(file)]
    assert {grade for _, _, grade in graded} == {"0"}
    negatives = {(row["query_id"], row["doc_id"]) for row in labelled(mined, 0)}
    assert {(query, name) for query, name, _ in graded} == {
        pair for pair in negatives if pair[1] in corpus
    }


def test_both_directions_are_compared_in_one_table(stdlib, tmp_path):
    where = {"index": tmp_path / "index", "corpus": str(stdlib / "corpus.parquet")}
    pairs = str(stdlib / "pairs.parquet")
    api.build_index(**where, pairs=pairs, dense=False)
    api.mine(index=where["index"], pairs=pairs, output=tmp_path / "c", top_k=10)
    swapped = {"pairs.query": "positive", "pairs.positive": "query"}
    texts = pq.read_table(pairs).select(["query", "positive"])
    pq.write_table(texts, tmp_path / "texts.parquet")
    back = {"pairs": str(tmp_path / "texts.parquet"), "column": swapped, "index": tmp_path / "back"}
    api.build_index(**back, dense=False)
    api.mine(**back, output=tmp_path / "back-c", top_k=10)
    for name, found in (("there", "c"), ("back-mined", "back-c")):
        api.filter_negatives(candidates=tmp_path / found, output=tmp_path / name)
    queries = set(pq.read_table(pairs)["query"].to_pylist())
    train = pq.read_table(tmp_path / "back-mined" / "train")
    assert set(train["negative"].to_pylist()) <= queries
    assert not any(
        row["query"] == row["negative"] or row["positive"] == row["negative"]
        for row in train.to_pylist()
    )
    ran = hnmine("compare", tmp_path / "there", tmp_path / "back-mined")
    assert ran.returncode == 0, ran.stderr
    assert "there" in ran.stdout and "back-mined" in ran.stdout


def test_the_mixture_takes_a_third_each_of_hard_medium_and_easy(candidates, tmp_path):
    ran = hnmine(
        "filter", "--recipe", "mixture", "--candidates", candidates, "--output", tmp_path / "mined"
    )
    assert ran.returncode == 0, ran.stderr
    found = pa.concat_tables(
        map(pq.read_table, sorted((tmp_path / "mined" / "scored").glob("*.parquet")))
    ).to_pylist()
    checked = 0
    for _, rows in itertools.groupby(found, key=lambda row: row["query_id"]):
        kept = [row for row in rows if row["keep"]]
        kept.sort(key=lambda row: -row["dense_score"])
        if len(kept) < 9:
            continue
        checked += 1
        thirds = [min(3 * at // len(kept), 2) for at, row in enumerate(kept) if row["selected"]]
        assert len(thirds) == 6
        assert max(map(thirds.count, range(3))) - min(map(thirds.count, range(3))) <= 1
    assert checked > 5


def test_candidates_of_an_earlier_version_have_no_shares_with_positives(candidates, tmp_path):
    earlier = tmp_path / "candidates"
    shutil.copytree(candidates, earlier)
    for file in (earlier / "candidates").glob("*.parquet"):
        table = pq.read_table(file).drop_columns(["contained", "contains"])
        pq.write_table(table, file)
    sealed(earlier)
    given = {"index": candidates.parent / "index", "where": ["coalesce(contained < 0.9, true)"]}
    chosen, _ = filtered(earlier, tmp_path / "mined", **given)
    assert chosen == filtered(candidates, tmp_path / "now", where=given["where"])[0]


def test_ranks_that_the_filter_does_not_clean_are_named_by_judgements_alone():
    count = 400
    rank = np.where(np.arange(count) % 2, "from 0", "from 20")
    values = np.where((rank == "from 20") & (np.arange(count) % 4 == 0), 1.0, 0.0)
    judged = Audit("runs/mined", count)
    judged.add_judged(values, np.arange(count), {"rank": rank})
    (line,) = judged.uncleaned_lines()
    assert line.startswith("warning: of the negatives at ranks from 20, 50.0% are false")
    assert "25.0%" in line and line in list(judged.lines())
    alike = Audit("runs/mined", count)
    alike.add_judged(np.zeros(count), np.arange(count), {"rank": rank})
    assert not list(alike.uncleaned_lines())
    unknown = Audit("runs/mined", count)
    unknown.add_judged(np.full(count, np.nan), np.arange(count), {"rank": rank})
    assert not list(unknown.uncleaned_lines())
