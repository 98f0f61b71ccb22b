from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
import rank_bm25
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.errors import UsageError
from hnmine.index.bm25 import formula
from hnmine.index.bm25.build import _create, count_documents, merge_counts
from hnmine.index.bm25.common import add_common
from hnmine.index.bm25.reference import RankBM25
from hnmine.index.bm25.search import BM25Index
from hnmine.index.bm25.selection import TILE
from hnmine.index.bm25.settings import BM25Settings
from hnmine.index.bm25.topk_bounds import floor_of, folded
from hnmine.index.bm25.vocabulary import find_terms, union_of, vocabulary_of
from hnmine.index.tokenise import Tokeniser

SPLIT = Tokeniser("whitespace", "none")
SMALL = settings(max_examples=200, deadline=None)

words = st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"])
texts = st.lists(words, max_size=7).map(" ".join)
corpora = st.lists(texts, max_size=14)
queries = st.lists(
    st.lists(words | st.sampled_from(["unknown", "zz"]), max_size=6).map(" ".join), max_size=5
)
numbers = st.tuples(st.sampled_from([0.5, 1.2, 1.5, 3.0]), st.sampled_from([0.0, 0.4, 0.75, 1.0]))


def build(documents, setting, directory, cuts=()):
    """Write an index of the documents, cut into shards at the given positions."""
    bounds = [0, *sorted(cuts), len(documents)]
    paths = []
    for number, (first, last) in enumerate(pairwise(bounds)):
        paths.append(directory / f"{number}.counts")
        count_documents(iter(documents[first:last]), setting.tokeniser, paths[-1])
    (directory / "index").mkdir()
    return merge_counts(paths, setting, directory / "index")


def index_of(documents, setting, threads=1):
    directory = Path(tempfile.mkdtemp(dir=index_of.root))
    build(documents, setting, directory)
    return BM25Index(directory / "index", threads)


@pytest.fixture(autouse=True, scope="module")
def _root(tmp_path_factory):
    index_of.root = tmp_path_factory.mktemp("indexes")


def lucene(documents, query, k1, b):
    """The formula, written out term by term and document by document."""
    counted = [Counter(text.split()) for text in documents]
    average = sum(map(Counter.total, counted)) / max(len(counted), 1)
    scores = []
    for counts in counted:
        parts = []
        for term in query.split():
            df = sum(term in other for other in counted)
            idf = math.log(1 + (len(counted) - df + 0.5) / (df + 0.5))
            if term in counts:
                length = k1 * (1 - b + b * counts.total() / average)
                parts.append(idf * counts[term] / (counts[term] + length))
        scores.append(math.fsum(parts))
    return np.array(scores)


RANK_BM25 = {
    "okapi": rank_bm25.BM25Okapi,
    "plus": rank_bm25.BM25Plus,
    "l": rank_bm25.BM25L,
}


def by_rank_bm25(variant, documents, query, k1, b):
    """Scores of rank-bm25, and what it scores a document without any of the terms."""
    split = [text.split() for text in documents]
    if not any(split):
        return np.zeros(len(documents)), 0.0
    model = RANK_BM25[variant](split, k1=k1, b=b)
    with np.errstate(invalid="ignore"):
        scores = model.get_scores(query.split())
    absent = 0.0
    if variant == "plus":
        absent = sum(model.idf.get(term, 0.0) for term in query.split())
    # An empty document has 0 / 0 if b is 1.
    return np.nan_to_num(scores, nan=absent), absent


def check(found, query, k, documents, expected, absent):
    """Compare one list with the scores of all documents, where those differ by more than 1e-9."""
    mine = slice(found.offsets[query], found.offsets[query + 1])
    slots, scores = found.slots[mine], found.scores[mine]
    np.testing.assert_allclose(scores, expected[slots], rtol=1e-9, atol=1e-9)
    assert len(set(slots.tolist())) == len(slots)
    surely = int((expected - absent > 1e-9).sum())
    assert min(k, surely) <= len(slots) <= min(k, int((expected - absent > -1e-9).sum()))
    steps = list(zip(-scores, slots, strict=True))
    assert steps == sorted(steps)
    left = sorted(set(range(len(documents))) - set(slots.tolist()))
    if left and 0 < len(slots) == k:
        assert expected[left].max() <= expected[slots].min() + 1e-9
    # Equal texts have equal scores to the last bit, so none may be passed over for a later one.
    last = {documents[slot]: slot for slot in sorted(slots.tolist())}
    assert all(slot > last.get(documents[slot], -1) for slot in left)


@SMALL
@given(corpora, queries, numbers, st.data())
@pytest.mark.parametrize("variant", ["okapi", "plus", "l"])
def test_equals_rank_bm25(variant, documents, asked, k1_b, data):
    k1, b = k1_b
    setting = BM25Settings(variant, k1, b, tokeniser=SPLIT)
    k = np.array([data.draw(st.integers(0, 20)) for _ in asked], dtype=np.int64)
    own, wrapped = index_of(documents, setting), RankBM25(documents, setting)
    everything = np.tile(np.arange(len(documents)), len(asked))
    offsets = np.arange(len(asked) + 1) * len(documents)
    for engine in (own, wrapped):
        found = engine.search(asked, k)
        pairs = engine.score(asked, offsets, everything).reshape(len(asked), len(documents))
        for query, text in enumerate(asked):
            expected, absent = by_rank_bm25(variant, documents, text, k1, b)
            check(found, query, k[query], documents, expected, absent)
            np.testing.assert_allclose(pairs[query], expected, rtol=1e-9, atol=1e-9)


@SMALL
@given(corpora, queries, numbers, st.data())
def test_lucene_equals_its_formula(documents, asked, k1_b, data):
    k1, b = k1_b
    index = index_of(documents, BM25Settings("lucene", k1, b, tokeniser=SPLIT))
    k = np.array([data.draw(st.integers(0, 20)) for _ in asked], dtype=np.int64)
    found = index.search(asked, k)
    for query, text in enumerate(asked):
        expected = lucene(documents, text, k1, b)
        check(found, query, k[query], documents, expected, 0.0)
        held = set(text.split())
        matching = sum(not held.isdisjoint(document.split()) for document in documents)
        assert found.offsets[query + 1] - found.offsets[query] == min(k[query], matching)


def test_lucene_by_hand():
    documents = ["cat sat", "cat cat mat on", "dog"]
    found = index_of(documents, BM25Settings(tokeniser=SPLIT)).search(
        ["cat cat dog"], np.array([9])
    )
    cat, dog = math.log(1 + 1.5 / 2.5), math.log(1 + 2.5 / 1.5)
    average = 7 / 3
    expected = [
        dog / (1 + 1.5 * (0.25 + 0.75 / average)),
        2 * cat * 2 / (2 + 1.5 * (0.25 + 3 / average)),
        2 * cat / (1 + 1.5 * (0.25 + 1.5 / average)),
    ]
    assert found.slots.tolist() == [1, 2, 0] or found.slots.tolist() == [2, 1, 0]
    np.testing.assert_allclose(np.sort(found.scores), np.sort(expected), rtol=1e-14)


def test_delta_changes_the_scores_as_in_rank_bm25():
    documents = ["a b", "a a c", "d e f g", "h i"]
    for variant in ("plus", "l"):
        found = index_of(documents, BM25Settings(variant, delta=0.2, tokeniser=SPLIT))
        model = RANK_BM25[variant]([text.split() for text in documents], delta=0.2)
        expected = model.get_scores(["a", "f"])
        assert not np.allclose(expected, by_rank_bm25(variant, documents, "a f", 1.5, 0.75)[0])
        scores = found.score(["a f"], np.array([0, 4]), np.arange(4))
        np.testing.assert_allclose(scores, expected, rtol=1e-12)
        wrapped = RankBM25(documents, BM25Settings(variant, delta=0.2, tokeniser=SPLIT))
        assert wrapped.score(["a f"], np.array([0, 4]), np.arange(4)).tolist() == expected.tolist()


def test_documents_and_queries_go_through_the_same_tokeniser():
    setting = BM25Settings("plus")
    documents = ["The dogs barked.", "A cat; asleep", "Nothing here"]
    for engine in (index_of(documents, setting), RankBM25(documents, setting)):
        assert engine.search(["BARKING dog!"], np.array([5])).slots.tolist() == [0]


@pytest.mark.parametrize("documents", [[], ["", ""], [" ", "..."]])
@pytest.mark.parametrize("variant", ["lucene", "okapi", "plus", "l"])
def test_nothing_to_find(variant, documents):
    setting = BM25Settings(variant)
    engines = [index_of(documents, setting)]
    if variant != "lucene":
        engines.append(RankBM25(documents, setting))
    for engine in engines:
        found = engine.search(["a b", ""], np.array([3, 3]))
        assert found.offsets.tolist() == [0, 0, 0]
        assert (len(found.slots), len(found.scores)) == (0, 0)
        scores = engine.score(["a"], np.array([0, len(documents)]), np.arange(len(documents)))
        assert scores.tolist() == [0.0] * len(documents)
        assert engine.search([], np.zeros(0, np.int64)).offsets.tolist() == [0]


def test_no_shard_at_all(tmp_path):
    assert merge_counts([], BM25Settings(), tmp_path) == {
        "documents": 0,
        "tokens": 0,
        "terms": 0,
        "postings": 0,
    }
    assert len(BM25Index(tmp_path).search(["a"], np.array([1])).slots) == 0


def test_score_takes_pairs_in_any_order_with_repetitions():
    documents = ["a b", "c", "a a", "b", ""]
    for variant in ("lucene", "plus"):
        index = index_of(documents, BM25Settings(variant, tokeniser=SPLIT))
        every = index.score(["a b"], np.array([0, 5]), np.arange(5))
        slots = np.array([4, 2, 0, 0, 3, 1, 2])
        found = index.score(["zz", "a b", "", "a b"], np.array([0, 1, 5, 5, 7]), slots)
        assert found.tolist() == [0.0, *every[slots[1:]]]
        assert (every[[1, 4]] == 0).all() == (variant == "lucene")


def test_search_and_score_report_the_same_numbers():
    documents, asked = zipf(3000, 50, seed=3)
    for variant in ("lucene", "plus"):
        index = index_of(documents, BM25Settings(variant, tokeniser=SPLIT))
        found = index.search(asked, np.full(len(asked), 20))
        assert index.score(asked, found.offsets, found.slots).tolist() == found.scores.tolist()


# --- The path by block maxima and histograms ------------------------------------------------------


def zipf(documents, asked, seed, vocabulary=3000):
    """Documents and queries whose words follow Zipf's law."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, vocabulary + 1)
    share /= share.sum()

    def text(low, high):
        return " ".join(f"w{w}" for w in rng.choice(vocabulary, rng.integers(low, high), p=share))

    return [text(5, 40) for _ in range(documents)], [text(1, 12) for _ in range(asked)]


class Brute:
    """Scores of all documents, summed in float64 from a dense table of term frequencies."""

    def __init__(self, documents):
        split = [text.split() for text in documents]
        self.terms = {t: n for n, t in enumerate(sorted({t for text in split for t in text}))}
        self.tf = np.zeros((len(self.terms), len(documents)), dtype=np.float32)
        for number, text in enumerate(split):
            for term in text:
                self.tf[self.terms[term], number] += 1
        lengths = self.tf.sum(axis=0, dtype=np.float64)
        self.norm = 1.5 * (0.25 + 0.75 * lengths / lengths.mean())

    def __call__(self, query):
        scores = np.zeros(self.tf.shape[1])
        for term, times in sorted(Counter(query.split()).items()):
            tf = self.tf[self.terms[term]].astype(np.float64)
            df = (tf > 0).sum()
            idf = math.log1p((len(tf) - df + 0.5) / (df + 0.5))
            scores += times * idf * (tf / (tf + self.norm))
        return scores


@pytest.fixture(scope="module")
def large():
    documents, asked = zipf(20_000, 150, seed=1)
    # A handful of rare words only: the short lists that are walked twice.
    documents[77] += " rare1 rare2"
    documents[19_999] += " rare2"
    asked += ["rare1", "rare2 rare1", "rare2", "w0", "w0 w1", "w0 w0 w0 w1"]
    # Fewer documents hold the rare word than are wanted, so the common ones must not be left out.
    asked += ["rare1 w0", "rare2 w1 w0 w0", "rare1 rare2 w0 w2"]
    return documents, asked, Brute(documents)


@pytest.mark.parametrize("k", [1, 10, 100, 5000])
def test_large_corpus_equals_brute_force(large, k):
    documents, asked, brute = large
    known = [" ".join(w for w in text.split() if w in brute.terms) for text in asked]
    found = large_index(documents).search(asked, np.full(len(asked), k))
    for query, text in enumerate(known):
        scores = brute(text)
        mine = slice(found.offsets[query], found.offsets[query + 1])
        assert mine.stop - mine.start == min(k, int((scores > 0).sum()))
        # Scores agree to rounding; the k-th place decides which documents may be in the list.
        best = -np.sort(-scores)[: mine.stop - mine.start]
        np.testing.assert_allclose(found.scores[mine], best, rtol=1e-12)
        np.testing.assert_allclose(found.scores[mine], scores[found.slots[mine]], rtol=1e-12)
        order = np.lexsort((found.slots[mine], -found.scores[mine]))
        assert (order == np.arange(len(order))).all()


def large_index(documents, threads=1):
    if not hasattr(large_index, "directory"):
        large_index.directory = Path(tempfile.mkdtemp(dir=index_of.root))
        build(documents, BM25Settings(tokeniser=SPLIT), large_index.directory)
    return BM25Index(large_index.directory / "index", threads)


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_threads_do_not_change_the_result(large, threads):
    documents, asked, _ = large
    k = np.arange(len(asked)) % 30
    one = large_index(documents).search(asked, k)
    many = large_index(documents, threads).search(asked, k)
    for name in ("offsets", "slots", "scores"):
        assert np.array_equal(getattr(one, name), getattr(many, name))
    assert (np.diff(one.offsets)[:150] == k[:150]).sum() > 100


def test_a_query_does_not_see_the_one_before_it(large):
    documents, asked, _ = large
    index = large_index(documents)
    together = index.search(asked, np.full(len(asked), 7))
    for query in range(0, len(asked), 10):
        alone = index.search([asked[query]], np.array([7]))
        mine = slice(together.offsets[query], together.offsets[query + 1])
        assert alone.slots.tolist() == together.slots[mine].tolist()


def test_long_documents_whose_gains_are_not_tabulated():
    rng = np.random.default_rng(4)
    documents, asked = zipf(8000, 60, seed=6, vocabulary=400)
    for place in rng.choice(len(documents), 300, replace=False):
        documents[place] += " w0" * int(rng.integers(10, 400)) + " w1" * int(rng.integers(250, 260))
    for place in rng.choice(len(documents), 5, replace=False):
        documents[place] += " w2" * 5000
    brute = Brute(documents)
    found = index_of(documents, BM25Settings(tokeniser=SPLIT)).search(asked, np.full(60, 20))
    for query, text in enumerate(asked):
        scores = brute(text)
        mine = slice(found.offsets[query], found.offsets[query + 1])
        best = -np.sort(-scores)[: mine.stop - mine.start]
        np.testing.assert_allclose(found.scores[mine], best, rtol=1e-12)
        np.testing.assert_allclose(found.scores[mine], scores[found.slots[mine]], rtol=1e-12)


def test_an_index_without_common_terms_has_no_table_to_read():
    # A name that each document has alone is common in none.
    index = index_of([f"name{n}" for n in range(200)], BM25Settings())
    postings, statistics, _, _, common = index._index
    assert len(common[0]) == len(common[1]) == 0
    none, scores = np.empty(0, np.int64), np.ones(2)
    documents = np.array([0, 199], np.int32)
    # Compiled code reads what is not there without a word; Python's own does not.
    add_common.py_func(
        none, none, none.astype(np.float64), documents, postings, statistics, common, scores
    )
    assert scores.tolist() == [1.0, 1.0]


def test_more_documents_than_a_tile_holds():
    documents, asked = zipf(TILE // 10 + 1000, 40, seed=8)
    one, k = len(documents), 30
    # Every score occurs in ten places, in all tiles.
    index = index_of(documents * 10, BM25Settings(tokeniser=SPLIT))
    found = index.search(asked, np.full(len(asked), k))
    offsets, first = np.arange(len(asked) + 1) * one, np.tile(np.arange(one), len(asked))
    every = index.score(asked, offsets, first).reshape(len(asked), one)
    for query in range(len(asked)):
        scores = np.tile(every[query], 10)
        order = np.lexsort((np.arange(len(scores)), -scores))[:k]
        mine = slice(found.offsets[query], found.offsets[query + 1])
        assert found.slots[mine].tolist() == order[scores[order] > 0].tolist()
        assert found.scores[mine].tolist() == scores[order[scores[order] > 0]].tolist()


def test_ties_at_k_go_to_the_lowest_slots():
    documents = ["x y", "x z", "q q"] * 5000
    for variant in ("lucene", "okapi", "plus", "l"):
        documents[-1] = "x"
        found = index_of(documents, BM25Settings(variant, tokeniser=SPLIT)).search(
            ["x", "y", "y", "z q"], np.array([1000, 37, 15000, 0])
        )
        best = [n for n in range(15_000) if n % 3 != 2]
        # Okapi's idf of x is negative before its floor, and positive after.
        assert found.slots[:1000].tolist() == [14_999, *best[:999]]
        assert found.slots[1000:1037].tolist() == list(range(0, 111, 3))
        assert found.slots[1037:].tolist() == list(range(0, 15_000, 3))


@given(
    values=st.lists(st.floats(0, 2.0**20, width=32), min_size=1, max_size=300),
    k=st.integers(1, 300),
    low=st.floats(0, 2.0**21),
)
def test_a_floor_is_just_below_the_kth_value(values, k, low):
    array = np.array(values, np.float32)
    kth = float(np.sort(array)[-k]) if k <= len(values) else 0.0
    floor = floor_of(array, k, low)
    assert low <= floor <= max(low, kth)
    assert floor >= kth - 2.0**-11 * max(values)


@given(
    values=st.lists(st.floats(0, 2.0**20, width=32), min_size=1, max_size=40), k=st.integers(1, 9)
)
def test_a_floor_of_maxima_is_not_above_the_kth_value(values, k):
    array = np.resize(np.array(values, np.float32), 64 * 7)
    maxima = folded(array, k)
    assert len(maxima) < len(array)
    assert floor_of(maxima, k, 0.0) <= float(np.sort(array)[-k])


def test_float32_cannot_decide_the_order():
    # With so small a b, documents of almost the same length differ in the ninth digit.
    shuffled = np.random.default_rng(5).permutation(60)
    documents = [f"x {'p ' * (20 + int(extra))}" for extra in shuffled] + ["q"] * 300
    index = index_of(documents, BM25Settings(b=2e-7, tokeniser=SPLIT))
    impacts = np.load(index_of_files(index) / "impacts.npy")
    indptr = np.load(index_of_files(index) / "indptr.npy")
    terms = bytes(np.load(index_of_files(index) / "vocabulary.npy")).decode()
    x = terms.index("x")
    assert len(np.unique(impacts[indptr[x] : indptr[x + 1]])) < 30
    found = index.search(["x"] * 60, np.arange(1, 61))
    ranked = sorted(range(60), key=lambda n: shuffled[n])
    for k in range(1, 61):
        assert found.slots[found.offsets[k - 1] : found.offsets[k]].tolist() == ranked[:k]
    assert (np.diff(found.scores[found.offsets[59] :]) < 0).all()


def test_float32_sums_swap_documents():
    # The weight of "a" is so high that float32 loses every single "t", but not "b".
    rare = " ".join(f"t{n}" for n in range(1000))
    documents = [f"a b {rare}"] * 30 + [f"a {rare} {rare} {rare}"] * 30
    documents += [f"b {rare}"] * 330 + [rare] * 110
    setting = BM25Settings(b=0.0, tokeniser=SPLIT)
    index = index_of(documents, setting)
    found = index.search([f"{'a ' * 24_000} b {rare}"], np.array([30]))
    assert found.slots.tolist() == list(range(30, 60))


def test_absent_constant_makes_ties():
    # The constant is so large that documents whose own parts differ have the same score.
    lengths = np.random.default_rng(2).permutation(300)
    documents = [f"x {'p ' * (20 + int(extra))}" for extra in lengths] + ["q"] * 100
    index = index_of(documents, BM25Settings("plus", b=1e-4, delta=1e11, tokeniser=SPLIT))
    every = index.score(["x"], np.array([0, 300]), np.arange(300))
    assert 1 < (every == every.max()).sum() < 300
    order = np.lexsort((np.arange(300), -every))
    found = index.search(["x"] * 300, np.arange(1, 301))
    for k in range(1, 301):
        mine = slice(found.offsets[k - 1], found.offsets[k])
        assert found.slots[mine].tolist() == order[:k].tolist()


def test_terms_that_cancel():
    # Of five words four are in most documents: rank-bm25's floor of the idf is negative.
    documents = ["x x y u"] + ["y u v w"] * 7 + ["y u v w x2"]
    index = index_of(documents, BM25Settings("okapi", tokeniser=SPLIT))
    scores = index.score(["x", "y"], np.array([0, 1, 2]), np.array([0, 0]))
    x, y = scores[0], -scores[1]
    assert y > 0
    small = np.float32(x), np.float32(y)
    i = np.arange(1, 20_000)
    j = np.floor(i * x / y)
    above = i * x - j * y > 1e-12 * i
    above32 = i.astype(np.float32) * small[0] > j.astype(np.float32) * small[1]
    lost = np.flatnonzero(above & ~above32)[:5]
    assert len(lost)
    asked = ["x " * int(i[n]) + "y " * int(j[n]) for n in lost]
    found = index.search(asked, np.full(len(asked), 9))
    assert found.slots.tolist() == [0] * len(asked)


def index_of_files(index):
    return index._files._directory


# --- The files ------------------------------------------------------------------------------------


def digest(directory):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.iterdir())
    }


@settings(max_examples=40, deadline=None)
@given(corpora, st.data(), st.sampled_from(formula.VARIANTS))
def test_shards_do_not_change_a_bit(documents, data, variant):
    setting = BM25Settings(variant, tokeniser=SPLIT)
    cuts = data.draw(st.lists(st.integers(0, len(documents)), max_size=4))
    whole, cut = (Path(tempfile.mkdtemp(dir=index_of.root)) for _ in range(2))
    assert build(documents, setting, whole) == build(documents, setting, cut, cuts)
    assert digest(whole / "index") == digest(cut / "index")


def test_shards_do_not_change_a_bit_of_a_large_index(large, tmp_path):
    documents = large[0]
    build(documents, BM25Settings(tokeniser=SPLIT), tmp_path, [1, 1, 7000, 19_000])
    large_index(documents)
    assert digest(tmp_path / "index") == digest(large_index.directory / "index")


def test_counting_twice_writes_the_same_bytes(tmp_path):
    script = (
        "import sys, pathlib\n"
        "from hnmine.index.bm25.build import count_documents\n"
        "from hnmine.index.tokenise import Tokeniser\n"
        "texts, path = ['The dogs', 'cats cat the'], pathlib.Path(sys.argv[1])\n"
        "print(count_documents(texts, Tokeniser(), path))"
    )
    for name, seed in (("one", "1"), ("two", "2")):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / name)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[1])},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "{'documents': 2, 'tokens': 5}\n"
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_disk_is_taken_before_it_is_written_through_a_map(tmp_path):
    """Writing into a hole of a mapped file on a full disk ends the process with SIGBUS."""
    _create(tmp_path, "documents", np.int32, 1 << 20)
    taken = (tmp_path / "documents.npy").stat()
    assert taken.st_blocks * 512 >= taken.st_size > 4 << 20
    assert np.load(tmp_path / "documents.npy").shape == (1 << 20,)


def test_files_of_an_index(tmp_path):
    documents = ["b a b", "", "é " * 300, "a"]
    numbers = build(documents, BM25Settings("plus", 1.2, tokeniser=SPLIT), tmp_path)
    assert numbers == {"documents": 4, "tokens": 304, "terms": 3, "postings": 4}
    directory = tmp_path / "index"
    header = json.loads((directory / "settings.json").read_text())
    assert header["settings"]["k1"] == 1.2 and header["settings"]["tokeniser"]["stemmer"] == "none"
    assert BM25Index(directory).settings == BM25Settings("plus", 1.2, tokeniser=SPLIT)
    load = {path.stem: np.load(path) for path in directory.glob("*.npy")}
    assert bytes(load["vocabulary"]).decode() == "abé"
    assert load["vocabulary_offsets"].tolist() == [0, 1, 2, 4]
    assert load["indptr"].tolist() == [0, 2, 3, 4]
    assert load["documents"].tolist() == [0, 3, 0, 2]
    assert load["frequencies"].tolist() == [1, 1, 2, 300]
    assert load["lengths"].tolist() == [3, 0, 300, 1]
    types = {name: str(array.dtype) for name, array in load.items()}
    assert types == {
        "vocabulary": "uint8",
        "vocabulary_offsets": "int64",
        "indptr": "int64",
        "documents": "int32",
        "frequencies": "uint16",
        "impacts": "float32",
        "peaks": "float32",
        "lengths": "int32",
        "idf": "float64",
    }


@given(st.lists(st.text("ab\u00e9\uffee\U0001d518", min_size=1, max_size=3), max_size=8), st.data())
@settings(max_examples=200, deadline=None)
def test_find_terms(vocabulary, data):
    vocabulary = sorted(set(vocabulary))
    asked = data.draw(st.lists(st.text("ab\u00e9\uffee\U0001d518", max_size=3), max_size=8))

    def packed(terms):
        coded = [term.encode() for term in terms]
        ends = np.cumsum([0, *map(len, coded)], dtype=np.int64)
        return ends, np.frombuffer(bytearray(b"".join(coded)), dtype=np.uint8)

    found = find_terms(*packed(vocabulary), *packed(asked))
    place = {term: number for number, term in enumerate(vocabulary)}
    assert found.tolist() == [place.get(term, -1) for term in asked]


# --- Settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"variant": "bm26"}, "'bm26'"),
        ({"k1": -0.1}, "k1=-0.1"),
        ({"k1": math.nan}, "k1=nan"),
        ({"b": 1.01}, "b=1.01"),
        ({"variant": "plus", "delta": -1.0}, "delta=-1.0"),
        ({"variant": "okapi", "delta": 1.0}, "okapi"),
    ],
)
def test_wrong_settings_are_refused(wrong, named):
    with pytest.raises(UsageError) as caught:
        BM25Settings(**wrong)
    assert named in caught.value.what
    assert caught.value.fix


@pytest.mark.parametrize(
    ("setting", "fix"),
    [(BM25Settings(), "okapi, plus or l"), (BM25Settings("okapi", k1=0.0), "k1 above 0")],
)
def test_rank_bm25_refuses_what_it_cannot_do(setting, fix):
    with pytest.raises(UsageError, match=fix):
        RankBM25(["a"], setting)


def test_k1_of_zero_counts_presence_only():
    index = index_of(["a a a", "a b", "b", "c c"], BM25Settings(k1=0.0, tokeniser=SPLIT))
    found = index.search(["a b"], np.array([9]))
    assert found.slots.tolist() == [1, 0, 2]
    assert found.scores[1] == found.scores[2] == math.log1p(2.5 / 2.5)


@given(st.lists(st.lists(st.text("abé\U0001f600", min_size=1, max_size=3)), max_size=6))
def test_a_union_of_vocabularies_holds_every_term_once_in_order(lists):
    vocabularies = [vocabulary_of(sorted(set(terms))) for terms in lists]
    offsets, letters = union_of(vocabularies)
    terms = sorted({term for terms in lists for term in terms})
    assert offsets.tolist() == list(accumulate((len(t.encode()) for t in terms), initial=0))
    assert letters.tobytes() == "".join(terms).encode()
