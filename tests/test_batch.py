"""Batches: who may share one, that nobody is lost, and that they are harder than random ones."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ENCODER, ROOT, hnmine, rows, write
from hypothesis import given, settings
from hypothesis import strategies as st

import hnmine as api
from hnmine.commands.configuration import optional, settings_for
from hnmine.config import BatchSettings
from hnmine.errors import InputError, UsageError
from hnmine.extras.batches.arrange import Balanced, Clustered, Greedy, nearest
from hnmine.extras.batches.batch import WORK, _Batching
from hnmine.extras.batches.cluster import balanced_order, cut
from hnmine.extras.batches.false_negative_guard import (
    BELOW_ITS_POSITIVE,
    BY_VERDICT,
    USUAL,
    Guard,
    Vectors,
)
from hnmine.extras.batches.pack import evenly, pack
from hnmine.extras.batches.rows import Rows
from hnmine.index.clusters import k_means
from hnmine.index.dense_index import DenseIndex
from hnmine.inputs.identity import normalise

DIMENSION = 8


def silent(_: int) -> None:
    pass


def unit(values):
    values = np.asarray(values, dtype=np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def index_of(folder: Path, vectors, shard=7):
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "vectors").mkdir(parents=True)
    for n, start in enumerate(range(0, len(vectors), shard)):
        np.save(folder / "vectors" / f"{n:05d}.npy", vectors[start : start + shard])
    return DenseIndex(folder, 1)


def known_rows(folder: Path, query, slots, width, positive, dropped):
    """Rows of an index of so many slots, with (query, slot) pairs that are known and dropped."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, values in {
        "query": query,
        "slots": slots,
        "source": np.arange(len(query)),
        "positives": np.array(sorted(q * width + s for q, s in positive)),
        "dropped": np.array(sorted(q * width + s for q, s in dropped), dtype=np.int64),
        "never": np.array(sorted(q * width + s for q, s in positive)),
        "query_rows": np.arange(int(query[-1]) + 1),
    }.items():
        np.save(folder / f"{name}.npy", values)
    texts = pa.table({"query": [str(q) for q in query], "positive": [""] * len(query)})
    shard = folder / "00000.arrow"
    with pa.OSFile(str(shard), "wb") as file, pa.ipc.new_file(file, texts.schema) as writer:
        writer.write_table(texts)
    return Rows(folder, width)


class World:
    """Random rows, vectors and knowledge, and the guard over them."""

    def __init__(self, folder: Path, seed: int, queries=12, slots=20, most_rows=3, documents=2):
        rng = np.random.default_rng(seed)
        counts = rng.integers(1, most_rows + 1, queries)
        query = np.repeat(np.arange(queries), counts)
        self.slots = rng.integers(0, slots, (len(query), documents))
        self.positive = {(int(q), int(s)) for q, s in zip(query, self.slots[:, 0], strict=True)}
        more = rng.integers(0, [queries, slots], (queries, 2))
        self.dropped = set(map(tuple, more.tolist())) - self.positive
        vectors = unit(rng.normal(size=(slots, DIMENSION)))
        # Near its positive, or nothing could share a batch with it.
        near = vectors[self.slots[np.searchsorted(query, np.arange(queries)), 0]]
        asked = unit(near + rng.normal(0, 0.3, near.shape))
        self.vectors = Vectors(index_of(folder / "q", asked), index_of(folder / "d", vectors))
        one, other = asked.astype(np.float64), vectors.astype(np.float64)
        self.cosines = np.array([[np.float32(a @ b) for b in other] for a in one])
        self.rows = known_rows(
            folder / "rows", query, self.slots, slots, self.positive, self.dropped
        )
        self.query = query
        self.guard = Guard(self.rows, f"{BELOW_ITS_POSITIVE} and {BY_VERDICT}", self.vectors)

    def suits(self, one, other):
        """Whether two rows may share a batch, said plainly."""
        for row, beside in ((one, other), (other, one)):
            query = int(self.query[row])
            for slot in self.slots[beside].tolist():
                if (query, slot) in self.positive or (query, slot) in self.dropped:
                    return False
                if self.cosines[query, slot] >= self.cosines[query, self.slots[row, 0]]:
                    return False
        return bool(self.query[one] != self.query[other])

    def check(self, packed, size):
        """Every row once, and every batch safe."""
        found = [int(row) for batch in packed.batches for row in batch]
        assert sorted(found + packed.left_over) == list(range(len(self.query)))
        for batch in packed.batches:
            assert 2 <= len(batch) <= size
            assert all(
                self.suits(one, other)
                for n, one in enumerate(batch.tolist())
                for other in batch[:n].tolist()
            )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("world")


def arrangements(world, seed, k=3):
    vectors = world.vectors.queries
    near = nearest(vectors, range(vectors.count), min(k, vectors.count - 1), silent)
    return {
        "random": Balanced(np.arange(vectors.count), [1]),
        "balanced-cluster": Balanced(balanced_order(vectors, seed, silent), [2, 4]),
        "cluster": Clustered(k_means(vectors, min(3, vectors.count), seed, silent)),
        "greedy": Greedy(Near(near)),
    }


class Near:
    def __init__(self, near):
        self.near = near

    def of(self, query):
        return self.near[query]


class TestGuard:
    @given(st.integers(0, 10**6), st.integers(1, 3))
    @settings(max_examples=40)
    def test_it_admits_who_suits_everyone_there(self, folder, seed, documents):
        world = World(folder, seed, most_rows=1, documents=documents)
        order = np.random.default_rng(seed).permutation(len(world.query))
        # Members that are there suit each other, as in a batch.
        members, _ = world.guard.admit(order[:0], order[:6], 3)
        proposed = order[6:]
        inside, refused = members.tolist(), 0
        for row in proposed.tolist():
            if len(inside) < len(members) + 4:
                against = sum(not world.suits(row, other) for other in inside)
                refused += against
                inside += [row] * (not against)
        joined, counted = world.guard.admit(members, proposed, 4)
        assert members.tolist() + joined.tolist() == inside
        assert counted == refused

    @pytest.mark.parametrize("expression", USUAL)
    @pytest.mark.parametrize("seed", range(4))
    def test_usual_expressions_allow_what_they_do_in_duckdb(self, folder, expression, seed):
        world = World(folder, seed)
        by_numpy = Guard(world.rows, expression, world.vectors)
        by_duckdb = Guard(world.rows, f"({expression})", world.vectors)
        random = np.random.default_rng(seed)
        some = random.integers(len(world.query), size=9)
        sides = (some, random.integers(20, size=30)), (some[:0], np.arange(20))
        for one, other in zip(by_numpy.allows(*sides), by_duckdb.allows(*sides), strict=True):
            assert one.shape == other.shape
            assert np.array_equal(one, other)

    def test_positives_and_what_was_dropped_are_refused_without_vectors(self, folder):
        world = World(folder, 1, most_rows=1)
        guard = Guard(world.rows, BY_VERDICT, None)
        (allowed,) = guard.allows((np.arange(12), np.arange(20)))
        refused = {(q, s) for q in range(12) for s in range(20) if not allowed[q, s]}
        assert world.dropped and refused == world.positive | world.dropped

    def test_another_expression(self, folder):
        world = World(folder, 2, most_rows=1)
        guard = Guard(world.rows, "dense_score < posmax(dense_score) - 0.3", world.vectors)
        (allowed,) = guard.allows((np.arange(12), np.arange(20)))
        for query in range(12):
            anchor = max(world.cosines[query, s] for q, s in world.positive if q == query)
            for slot in range(20):
                known = (query, slot) in world.positive
                low = world.cosines[query, slot] < np.float64(anchor) - 0.3
                assert allowed[query, slot] == (low and not known)

    @pytest.mark.parametrize(
        ("expression", "message"),
        [
            ("rank(dense_score) > 3", "compares all candidates"),
            ("dense_score < avg(dense_score)", "compares all candidates"),
            ("dense_scor < 1", "Did you mean dense_score"),
            ("dense_score + 1", "neither true nor false"),
        ],
    )
    def test_expressions_that_cannot_be_used(self, folder, expression, message):
        world = World(folder, 3)
        with pytest.raises(UsageError, match=message):
            Guard(world.rows, expression, world.vectors)


class TestOwnPositive:
    """Two rows of each query: one positive is near it, the encoder finds the other one far away."""

    QUERIES = 64

    @pytest.fixture
    def guards(self, folder):
        query = np.repeat(np.arange(self.QUERIES), 2)
        slots = np.arange(len(query))
        near = unit(np.random.default_rng(0).normal(size=(self.QUERIES, DIMENSION)))
        documents = np.stack([near, -near], axis=1).reshape(len(query), DIMENSION)
        positive = set(zip(query.tolist(), slots.tolist(), strict=True))
        known = known_rows(folder / "own", query, slots[:, None], len(query), positive, set())
        vectors = Vectors(index_of(folder / "oq", near), index_of(folder / "od", documents))
        return [
            Guard(known, expression, vectors)
            for expression in (BELOW_ITS_POSITIVE, "dense_score < pos(dense_score)")
        ]

    def test_a_row_is_compared_with_its_own_positive(self, guards):
        own, lowest = guards
        rows_ = own.rows
        every = np.arange(len(rows_))
        cosines = own.vectors.queries.read(rows_.query) @ own.vectors.documents.read(every).T
        others = rows_.query[:, None] != rows_.query[None]
        (allowed,), (before,) = own.allows((every, every)), lowest.allows((every, every))
        below = cosines < cosines[every, rows_.slots[:, 0]][:, None]
        assert ((allowed == below) | ~others).mean() > 0.999
        assert allowed[::2][others[::2]].all() and not allowed[1::2].any() and not before.any()

    def test_so_batches_of_queries_with_several_positives_are_full(self, guards):
        query = guards[0].rows.query
        near = np.arange(0, len(query), 2)
        for guard, full in zip(guards, (True, False), strict=True):
            packed = pack(iter([near]), query, 8, guard)
            assert (len(packed.left_over) < len(near) / 8) == full
            assert (sum(map(len, packed.batches)) > 7 * len(near) / 8) == full


class TestEpochs:
    @given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 4), st.integers(2, 30))
    @settings(max_examples=12)
    def test_every_row_once_and_every_batch_safe(self, folder, seed, size, most_rows, queries):
        world = World(folder, seed, queries=queries, slots=40, most_rows=most_rows)
        for arrangement in arrangements(world, seed % 1000).values():
            for epoch in range(2):
                random = np.random.default_rng([seed, epoch])
                world.check(arrangement.pack(epoch, world.query, size, world.guard, random), size)

    def test_a_row_that_cannot_share_any_batch_is_left_over(self):
        class Nobody:
            def admit(self, members, proposed, room):
                return (proposed[:0], len(members)) if len(members) else (proposed[:1], 0)

        packed = pack(iter([np.arange(5)]), np.arange(5), 3, Nobody())
        assert not packed.batches and sorted(packed.left_over) == list(range(5))

    def test_who_is_alone_in_a_cluster_may_find_others_in_the_rest(self, monkeypatch):
        class OneOfEach:
            def admit(self, members, proposed, room):
                joined = [row for row in proposed if not len(members) or (row < 20) !=
                          (members[0] < 20)][:1]  # fmt: skip
                return np.array(joined, dtype=np.int64), 0

        monkeypatch.setattr("hnmine.extras.batches.pack.MISSES", 8)
        monkeypatch.setattr("hnmine.extras.batches.pack.AT_ONCE", 1)
        clusters = iter([np.arange(20), np.arange(20, 25)])
        packed = pack(clusters, np.arange(25), 2, OneOfEach())
        assert sorted([*np.concatenate(packed.batches), *packed.left_over]) == list(range(25))
        assert [len(batch) for batch in packed.batches] == [2] * 5

    def test_a_query_with_most_of_the_rows_ends(self):
        query = np.array([0] * 3000 + [1, 2, 3])
        packed = pack(iter([np.arange(3003)]), query, 4, Everybody())
        assert len(packed.left_over) == 3000 - sum(
            bool((query[batch] == 0).any()) for batch in packed.batches
        )
        assert all(len(set(query[batch])) == len(batch) for batch in packed.batches)

    def test_what_a_cluster_has_left_shares_batches(self):
        clustered = Clustered(np.repeat(np.arange(10), 7))
        packed = clustered.pack(0, np.arange(70), 4, Everybody(), np.random.default_rng(0))
        assert [len(batch) for batch in packed.batches] == [4] * 17 + [2]
        whole = [len(set(clustered.cluster[batch])) == 1 for batch in packed.batches]
        assert sum(whole[:10]) == 10


class Everybody:
    def admit(self, members, proposed, room):
        return proposed[:room], 0


class TestEvenly:
    @given(
        st.lists(st.integers(1, 6), min_size=1, max_size=30), st.integers(1, 5), st.integers(0, 99)
    )
    def test_the_rows_of_a_query_are_spread_and_a_unit_comes_together(self, counts, units, seed):
        query = np.repeat(np.arange(len(counts)), counts)
        unit_of = np.arange(len(counts)) % units
        time = evenly(query, unit_of, np.random.default_rng(seed))
        own = [set(time[query == n].tolist()) for n in range(len(counts))]
        for n, count in enumerate(counts):
            fewer, more = 1 << (count.bit_length() - 1), 1 << (count - 1).bit_length()
            assert {int(at * fewer) for at in own[n]} == set(range(fewer))
            assert len({int(at * more) for at in own[n]}) == len(own[n]) == count
            for other in range(n):
                shared = own[n] & own[other]
                if unit_of[other] == unit_of[n]:
                    # As many of their rows come together as can.
                    assert len(shared) == min(count, counts[other])
                else:
                    assert not shared

    @pytest.mark.parametrize("counts", [[1] * 64, [1, 2, 3, 5] * 16, [7] + [1] * 63])
    def test_batches_are_of_whole_clusters_whatever_the_numbers_of_positives(self, counts):
        """NGAME: a batch is a union of clusters, so nearly every row has others of its own."""
        query = np.repeat(np.arange(64), counts)
        balanced = Balanced(np.arange(64), [4])
        beside = possible = 0
        for seed in range(10):
            packed = balanced.pack(0, query, 8, Everybody(), np.random.default_rng(seed))
            for batch in packed.batches:
                cluster = query[batch] // 4
                beside += sum(int((cluster == own).sum()) > 1 for own in cluster)
            # The j-th rows of the queries of a cluster come together; a row alone there has none.
            for first in range(0, 64, 4):
                own = np.array(counts[first : first + 4])
                others = [int((own > turn).sum()) for turn in range(own.max())]
                possible += sum(number for number in others if number > 1)
        assert beside > 0.9 * possible


class TestClusters:
    @given(st.integers(1, 300), st.integers(1, 40))
    def test_balanced_clusters_differ_by_at_most_one(self, queries, size):
        starts = cut(queries, size)
        sizes = np.diff([*starts, queries])
        assert starts[0] == 0 and sizes.max() <= size and sizes.max() - sizes.min() <= 1
        # Larger clusters are unions of smaller ones, as the curriculum doubles.
        assert set(cut(queries, 2 * size)) <= set(starts)

    @given(st.integers(2, 60), st.integers(0, 10**6))
    @settings(max_examples=25)
    def test_the_order_is_one_of_all_queries(self, folder, queries, seed):
        vectors = index_of(
            folder / "b", unit(np.random.default_rng(seed).normal(size=(queries, DIMENSION)))
        )
        order = balanced_order(vectors, 3, silent)
        assert sorted(order) == list(range(queries))

    def test_tight_pairs_share_a_cluster(self, folder):
        random = np.random.default_rng(0)
        centres = np.repeat(random.normal(size=(16, DIMENSION)), 2, axis=0)
        vectors = index_of(folder / "c", unit(centres + 1e-3 * random.normal(size=centres.shape)))
        pairs = balanced_order(vectors, 0, silent).reshape(16, 2) // 2
        assert (pairs[:, 0] == pairs[:, 1]).sum() >= 14
        cluster = k_means(vectors, 8, 0, silent)
        assert (cluster[::2] == cluster[1::2]).all()
        assert len(set(cluster.tolist())) == 8

    def test_neighbours_are_the_nearest_without_the_query_itself(self, folder):
        values = unit(np.random.default_rng(5).normal(size=(30, DIMENSION)))
        values[9] = values[4]
        found = nearest(index_of(folder / "n", values), range(3, 20), 6, silent)
        for row, query in zip(found, range(3, 20), strict=True):
            cosine = (values.astype(np.float64) @ values[query].astype(np.float64)).astype("f4")
            others = [n for n in np.lexsort((np.arange(30), -cosine)) if n != query]
            assert row.tolist() == others[:6]


def test_row_zero_is_admitted_as_a_neighbour():
    """Sample4Geo's loop never admits it: `if idx` is false for 0."""
    near = np.array([[1], [0], [3], [2], [5], [4]])
    greedy = Greedy(Near(near))
    seeds = set()
    for seed in range(20):
        random = np.random.default_rng(seed)
        packed = greedy.pack(0, np.arange(6), 2, Everybody(), random)
        assert {frozenset(batch.tolist()) for batch in packed.batches} == {
            frozenset(pair) for pair in ((0, 1), (2, 3), (4, 5))
        }
        seeds |= {int(batch[0]) for batch in packed.batches if 0 in batch}
    assert seeds == {0, 1}


# The command, on real text with a real model.

FLAGS = {
    "random": {"by": "random"},
    "cluster": {"by": "cluster", "clusters": 5},
    "balanced-cluster": {"by": "balanced-cluster", "cluster_size": [4]},
    "greedy": {"by": "greedy", "neighbours": 6},
}


@pytest.fixture(scope="module")
def run(stdlib, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("batch")
    files = {name: str(stdlib / f"{name}.parquet") for name in ("corpus", "pairs")}
    api.build_index(**files, encoder=ENCODER, max_length=64, index=root / "index")
    api.mine(index=root / "index", pairs=files["pairs"], top_k=10, output=root / "candidates")
    api.filter(candidates=root / "candidates", margin=0.0, num_negatives=2, output=root / "mined")
    return root


def batched(run, name, **more):
    given = {"mined": run / "mined", "batch_size": 8, "output": run / name, **more}
    return api.batch(**given)


def table_of(path: Path) -> pa.Table:
    return pa.concat_tables(pq.read_table(file) for file in sorted((path / "train").iterdir()))


@pytest.mark.parametrize("by", FLAGS)
def test_every_training_row_once_an_epoch_in_safe_batches(run, stdlib, by):
    result = batched(run, by, **FLAGS[by], epochs=2)
    found = table_of(run / by)
    assert found.column_names == ["query", "positive", "negative", "epoch", "batch"]
    train = Counter(tuple(row.values()) for row in rows(run / "mined" / "train"))
    left = rows(run / by / "left_over.parquet")
    batches: dict[tuple[int, int], list[dict[str, str]]] = {}
    for epoch in range(2):
        assert train == Counter(
            (row["query"], row["positive"], row["negative"])
            for row in [*found.to_pylist(), *left]
            if row["epoch"] == epoch
        )
    for row in found.to_pylist():
        batches.setdefault((row["epoch"], row["batch"]), []).append(row)
    assert list(batches) == sorted(batches), "a batch's rows stand together"
    known: dict[str, set[str]] = {}
    for pair in rows(stdlib / "pairs.parquet"):
        known.setdefault(normalise(pair["query"]), set()).add(normalise(pair["positive"]))
    for members in batches.values():
        queries = [normalise(row["query"]) for row in members]
        assert len(set(queries)) == len(members) <= 8
        for query, own in zip(queries, members, strict=True):
            beside = {normalise(r[c]) for r in members if r is not own
                      for c in ("positive", "negative")}  # fmt: skip
            assert not beside & known[query]
    counts = result.counts
    assert counts["rows_in_batches"] == len(found)
    assert counts["rows_left_over"] == len(left)
    assert counts["batches"] == len(batches)
    assert counts["short_batches"] == sum(len(members) < 8 for members in batches.values())
    assert counts["pairs_refused"] > 0


def test_batches_are_harder_than_random_ones(run):
    from sentence_transformers import SentenceTransformer

    from hnmine.encode.locate import find_model

    model = SentenceTransformer(str(find_model(ENCODER)), device="cpu")
    queries = list({row["query"] for row in rows(run / "mined" / "train")})
    vectors = dict(zip(queries, model.encode(queries, normalize_embeddings=True), strict=True))
    mean = {}
    for by, flags in FLAGS.items():
        batched(run, f"hard-{by}", **flags, batch_size=4, epochs=4)
        table = table_of(run / f"hard-{by}").to_pandas()
        cosines = [
            float(vectors[table["query"][one]] @ vectors[table["query"][other]])
            for _, members in table.groupby(["epoch", "batch"]).groups.items()
            for one in members
            for other in members
            if one < other
        ]
        mean[by] = np.mean(cosines)
    for by, at_least in (("cluster", 1.5), ("balanced-cluster", 1.1), ("greedy", 1.5)):
        assert mean[by] > at_least * mean["random"], mean


def content(path: Path):
    return {file.name: file.read_bytes() for file in sorted(path.rglob("*.parquet"))} | {
        "manifest": (path / "manifest.json").read_bytes()
    }


def permuted(run, to: Path):
    """The same mined rows in another order; without the hidden folder sizes are not compared."""
    shutil.copytree(run / "mined", to, ignore=shutil.ignore_patterns(".hnmine"))
    for file in [*to.glob("train/*.parquet"), *to.glob("scored/*.parquet")]:
        table = pq.read_table(file)
        order = np.random.default_rng(0).permutation(len(table))
        pq.write_table(table.take(pa.array(order)), file)
    return to


@pytest.mark.parametrize("by", FLAGS)
def test_neither_threads_nor_the_order_of_rows_matter(run, tmp_path, by):
    batched(run, tmp_path / "one", **FLAGS[by], threads=1)
    batched(run, tmp_path / "two", **FLAGS[by], threads=2, mined=permuted(run, tmp_path / "m"))
    one, two = content(tmp_path / "one"), content(tmp_path / "two")
    assert one == two
    batched(run, tmp_path / "other", **FLAGS[by], seed=1)
    assert content(tmp_path / "other") != one


def test_a_run_that_was_stopped_goes_on_with_the_epoch_that_is_missing(run, tmp_path, monkeypatch):
    batched(run, tmp_path / "whole", epochs=3)
    epoch = _Batching._epoch

    def stopped(self, task, outputs, tick):
        if task.index == 1:
            raise KeyboardInterrupt
        return epoch(self, task, outputs, tick)

    with monkeypatch.context() as patch:
        patch.setattr(_Batching, "_epoch", stopped)
        with pytest.raises(KeyboardInterrupt):
            batched(run, tmp_path / "b", epochs=3)
    (first,) = (tmp_path / "b" / "train").iterdir()
    written = first.stat().st_mtime_ns
    batched(run, tmp_path / "b", epochs=3)
    assert first.stat().st_mtime_ns == written
    assert content(tmp_path / "b") == content(tmp_path / "whole")
    assert not (tmp_path / "b" / WORK).exists()


def test_sizes_of_clusters_are_a_curriculum(run, tmp_path):
    given = {"by": "balanced-cluster", "cluster_size": [1, 4]}
    counts = batched(run, tmp_path / "b", **given).counts
    assert counts["rows_in_batches"] + counts["rows_left_over"] == 2 * counts["rows"]
    batched(run, tmp_path / "r", by="random")
    first = pq.read_table(tmp_path / "b" / "train" / "train-00000-of-00002.parquet")
    assert set(first["epoch"].to_pylist()) == {0}


def test_batches_far_below_their_size_are_noted(run, tmp_path, caplog):
    batched(run, tmp_path / "b", batch_size=4)
    assert "A batch has" not in caplog.text
    result = batched(run, tmp_path / "c", batch_size=16, guard="dense_score < 0.05")
    assert result.counts["rows_in_batches"] < 8 * max(1, result.counts["batches"])
    assert "rows on average, not 16" in caplog.text and "--guard kept" in caplog.text
    incidents = json.loads((tmp_path / "c" / "run.json").read_text())["incidents"]
    assert any("rows on average, not 16" in one for one in incidents)


def test_n_tuples_and_the_command_line(run, tmp_path):
    api.filter(
        candidates=run / "candidates", margin=0.0, num_negatives=2, format="n-tuple",
        output_scores=True, output=tmp_path / "m",
    )  # fmt: skip
    done = hnmine(
        "batch", "--mined", tmp_path / "m", "--batch-size", "4", "--by", "balanced-cluster",
        "--cluster-size", "1", "--cluster-size", "2", "--output", tmp_path / "b", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["short_batches"] >= 0
    names = ["query", "positive", "negative_1", "negative_2", "scores", "epoch", "batch"]
    found = table_of(tmp_path / "b")
    assert found.column_names == names
    mined = {row["query"]: row["scores"] for row in rows(tmp_path / "m" / "train")}
    assert all(row["scores"] == mined[row["query"]] for row in found.to_pylist())


class TestErrors:
    def test_formats_without_in_batch_negatives(self, run, tmp_path):
        api.filter(
            candidates=run / "candidates", margin=0.0, format="labeled-pair", output=tmp_path / "m"
        )
        with pytest.raises(UsageError, match="labeled-pair cannot be put in batches"):
            batched(run, tmp_path / "b", mined=tmp_path / "m")

    def test_the_candidates_are_gone_or_others(self, run, tmp_path):
        moved = permuted(run, tmp_path / "m")
        (moved / "run.json").write_text("{}")
        with pytest.raises(InputError, match="does not say which candidates"):
            batched(run, tmp_path / "b", mined=moved)
        pairs = write(tmp_path / "p.parquet", query=["close a file"], positive=["It closes it."])
        api.build_index(corpus=None, pairs=str(pairs), dense=False, index=tmp_path / "i")
        api.mine(index=tmp_path / "i", pairs=str(pairs), output=tmp_path / "c")
        with pytest.raises(InputError, match="not the one that"):
            batched(run, tmp_path / "b", mined=moved, candidates=tmp_path / "c")

    def test_no_vectors_and_no_rows(self, tmp_path):
        texts = ["the oak and the fox", "the oak and the elk", "a cup of rye"]
        pairs = write(tmp_path / "p.parquet", query=["oak fox", "rye"], positive=texts[::2])
        corpus = write(tmp_path / "c.parquet", _id=list("abc"), text=texts)
        api.build_index(corpus=str(corpus), dense=False, index=tmp_path / "i")
        api.mine(index=tmp_path / "i", pairs=str(pairs), output=tmp_path / "c")
        api.filter(candidates=tmp_path / "c", margin=0.0, output=tmp_path / "mined")
        with pytest.raises(UsageError, match="needs vectors of the queries"):
            batched(tmp_path, "b", by="greedy")
        assert batched(tmp_path, "b", by="random").counts["rows"] > 0
        with pytest.raises(UsageError, match="no column 'dense_score'"):
            batched(tmp_path, "g", by="random", guard="dense_score < 1")
        api.filter(candidates=tmp_path / "c", where=["false"], output=tmp_path / "none")
        with pytest.raises(InputError, match="has no training rows"):
            batched(tmp_path, "n", by="random", mined=tmp_path / "none")

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"by": "balanced-cluster"}, "Missing --cluster-size"),
            ({"by": "greedy", "clusters": 3}, "clusters: applies only to --by cluster"),
            ({"by": "balanced-cluster", "cluster_size": [0]}, "greater than or equal to 1"),
            (
                {"by": "balanced-cluster", "cluster_size": [1, 2], "epochs": 1},
                "1 are too few for 2",
            ),
            ({"batch_size": 1}, "greater than or equal to 2"),
        ],
    )
    def test_settings(self, given, message):
        with pytest.raises(UsageError, match=message):
            BatchSettings.parse({"mined": "m", "output": "o", **given})


def test_a_section_of_the_file_is_a_fourth_step():
    file = {"output": "r", "filter": {"seed": 3}, "batch": {"by": "cluster", "batch-size": 32}}
    found = optional(BatchSettings, file, {"output": "s", "num_negatives": 3})
    assert found.mined == Path("s/mined") and found.output == Path("s/batches")
    assert (found.by, found.batch_size, found.seed) == ("cluster", 32, 0)
    assert optional(BatchSettings, {"output": "r"}, {}) is None
    assert settings_for("batch", file, {"by": "random"}).by == "random"


def test_a_trainer_follows_the_batches(run, tmp_path, monkeypatch):
    """One real step for each batch, with the loss that takes the other rows as negatives."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    from hnmine.encode.locate import find_model

    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    from train_in_batches import train

    seen = []
    forward = MultipleNegativesRankingLoss.forward

    def recorded(self, features, labels):
        seen.append(len(next(iter(features))["input_ids"]))
        return forward(self, features, labels)

    monkeypatch.setattr(MultipleNegativesRankingLoss, "forward", recorded)
    batched(run, tmp_path / "b", batch_size=8)
    expected = Counter(table_of(tmp_path / "b")["batch"].to_pylist())
    model = SentenceTransformer(str(find_model(ENCODER)), device="cpu")
    model.max_seq_length = 16
    before = model[0].auto_model.get_input_embeddings().weight.detach().clone()
    found = train(
        tmp_path / "b", model, tmp_path / "o", report_to="none", max_steps=3, use_cpu=True,
        save_strategy="no",
    )  # fmt: skip
    assert found.global_step == 3 and np.isfinite(found.training_loss)
    assert seen == [expected[n] for n in range(3)]
    assert not (before == model[0].auto_model.get_input_embeddings().weight).all()
    sys.modules.pop("train_in_batches")
