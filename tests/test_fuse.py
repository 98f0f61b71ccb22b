from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine import schema
from hnmine.directories.queries import Queries
from hnmine.index.topk import top_k
from hnmine.inputs.identity import normalise
from hnmine.inputs.records import PairBatch, TextBatch
from hnmine.inputs.table_reader import BadRows
from hnmine.inputs.texts import Texts, write_texts
from hnmine.sources.fuse import Recipe, mine_block
from hnmine.sources.positives import write_positives
from hnmine.sources.source import Asked, Source

PROPERTY = settings(max_examples=40, deadline=None)


def store(directory, texts, prefix):
    batch = TextBatch([f"{prefix}{n}" for n in range(len(texts))], list(texts), True)
    write_texts(lambda _: [batch], directory, 5, BadRows("error"), lambda rows: None)
    return Texts(directory)


class World:
    """Documents, queries and positives on disk, and sources that score everything they know.

    Args:
        folder: empty.
        documents: texts by row.
        queries: texts by row.
        pairs: (query row, document row) of the known positives.
        scores: by source name, `{(query row, document row): score}`; a source does not find what
            is not in it, and scores it 0. A copy has the score of the first row of its text.
    """

    def __init__(self, folder, documents, queries, pairs, scores):
        self.documents = store(folder / "documents", documents, "d")
        batch = PairBatch(
            list(range(len(pairs))),
            [f"q{query}" for query, _ in pairs],
            None,
            [f"d{document}" for _, document in pairs],
            None,
        )
        written = store(folder / "queries", queries, "q")
        write_positives([batch], written, self.documents, "pairs", BadRows("error"))
        self.queries = Queries(folder / "queries", self.documents)
        self.texts, self.query_texts, self.pairs, self.scores = documents, queries, pairs, scores
        self.asked = {}

    def source(self, name):
        canonical = self.documents.canonical
        row_of_text = {text: row for row, text in enumerate(self.query_texts)}

        known = self.scores[name]

        def search(asked):
            owner = [row_of_text[text] for text in asked.texts]

            def best(k):
                self.asked[name] = k
                hits = [
                    (n, slot, known[query, row])
                    for n, query in enumerate(owner)
                    for slot, row in enumerate(canonical.tolist())
                    if (query, row) in known
                ]
                query, slots, scores = (
                    np.array([hit[part] for hit in hits], dtype=kind)
                    for part, kind in enumerate((np.int64, np.int64, np.float64))
                )
                return top_k(query, slots, scores, k)

            return best

        def score(asked):
            owner = [row_of_text[text] for text in asked.texts]

            def scores(offsets, slots):
                query = np.repeat(np.arange(len(owner)), np.diff(offsets))
                return np.array(
                    [
                        known.get((owner[n], int(canonical[slot])), 0.0)
                        for n, slot in zip(query, slots, strict=True)
                    ]
                )

            return scores

        return Source(search, score)

    def mine(self, rows, k, eligible=None):
        sources = {name: self.source(name) for name in self.scores}
        scores = {name: source.score for name, source in sources.items()}
        asked = Asked(np.array(rows, dtype=np.int64), self.queries)
        recipe = Recipe(sources, dict.fromkeys(sources, k), scores, eligible)
        return mine_block(asked, self.documents, recipe)

    def positive_rows(self, query):
        """The first row given for each text that is positive for this text of a query."""
        text = normalise(self.query_texts[query])
        rows = {}
        for owner, document in sorted(self.pairs, key=lambda pair: pair[1]):
            if normalise(self.query_texts[owner]) == text:
                rows.setdefault(normalise(self.texts[document]), document)
        return rows


def candidates_of(world, query, k):
    """What the table must say of one query, worked out by hand, in order."""
    normal = [normalise(text) for text in world.texts]
    canonical = [row for row, text in enumerate(normal) if normal.index(text) == row]
    positive = world.positive_rows(query)
    itself = normalise(world.query_texts[query])
    ranks, lists = {}, {}
    for name, known in world.scores.items():
        found = [row for row in canonical if (query, row) in known]
        found.sort(key=lambda row: (-known[query, row], row))
        free = [row for row in found if normal[row] not in positive and normal[row] != itself]
        last = found.index(free[k - 1]) if len(free) >= k else len(found)
        lists[name] = found[: last + 1]
        ranks[name] = {row: place for place, row in enumerate(lists[name])}
    wanted = {row for found in lists.values() for row in found}
    wanted |= {row for row in canonical if normal[row] in positive}
    rows = []
    for row in wanted:
        fused = np.round(sum(1 / (61 + at[row]) for at in ranks.values() if row in at), 14)
        given = positive.get(normal[row], row)
        rows.append(
            {
                "query_id": f"q{query}",
                "doc_id": f"d{given}",
                "query_row": query,
                "doc_row": given,
                "rrf_score": fused,
                "is_positive": normal[row] in positive,
                "is_query": normal[row] == itself,
                **{
                    f"{name}_{what}": None
                    for name in ("bm25", "dense")
                    for what in ("score", "rank")
                },
                **{f"{name}_score": world.scores[name].get((query, row), 0.0) for name in lists},
                **{f"{name}_rank": ranks[name].get(row) for name in lists},
                "first": row,
                "owner_score": None,
                "grade": None,
            }
        )
    rows.sort(key=lambda row: (-row["rrf_score"], row["first"]))
    place = 0
    for row in rows:
        free = not (row["is_positive"] or row["is_query"])
        row["rank"] = place if free else None
        place += free
        del row["first"]
    return rows


score_values = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.5, 0.75, 1.0])
document_texts = st.sampled_from([f"{word}{n}" for word in ("a", "A", "a\u200b") for n in range(9)])


@st.composite
def worlds(draw):
    documents = draw(st.lists(document_texts, min_size=1, max_size=14))
    queries = draw(
        st.lists(
            document_texts | st.sampled_from(["q", "r", "s"]), min_size=1, max_size=4, unique=True
        )
    )
    pairs = [
        (query, document)
        for query in range(len(queries))
        for document in draw(st.lists(st.integers(0, len(documents) - 1), min_size=1, max_size=5))
    ]
    every = [
        (query, document) for query in range(len(queries)) for document in range(len(documents))
    ]
    found = st.dictionaries(st.sampled_from(every), score_values)
    full = st.fixed_dictionaries(dict.fromkeys(every, score_values))
    names = draw(st.sampled_from([["bm25"], ["dense"], ["bm25", "dense"]]))
    return documents, queries, pairs, {name: draw(found | full) for name in names}


@PROPERTY
@given(worlds(), st.integers(1, 6), st.randoms())
def test_the_table_is_what_working_it_out_by_hand_gives(tmp_path_factory, parts, k, random):
    world = World(tmp_path_factory.mktemp("world"), *parts)
    rows = random.sample(range(len(world.query_texts)), len(world.query_texts))
    table = world.mine(rows, k)
    assert table.schema.equals(schema.CANDIDATES, check_metadata=True)
    expected = [row for query in rows for row in candidates_of(world, query, k)]
    copies = ("near_copy", "contained", "contains")
    by_hand = [name for name in table.schema.names if name not in copies]
    assert table.select(by_hand).to_pylist() == [
        {name: row[name] for name in by_hand} for row in expected
    ]


@pytest.mark.parametrize("earlier", [(4, 56), (17, 29)])
def test_votes_that_are_equal_are_a_tie_however_they_add_up(tmp_path, earlier):
    # 1/65 + 1/117 = 1/78 + 1/90, but not in float64.
    later = {(4, 56): (17, 29), (17, 29): (4, 56)}[earlier]
    rest = range(2, 60)
    scores = {}
    for part, name in enumerate(("bm25", "dense")):
        others = iter(rest)
        at = {earlier[part]: 0, later[part]: 1}
        order = [at[rank] if rank in at else next(others) for rank in range(60)]
        scores[name] = {(0, row): -float(rank) for rank, row in enumerate(order)}
    texts = [f"t{n}" for n in range(61)]
    table = World(tmp_path, texts, ["q"], [(0, 60)], scores).mine([0], 60)
    found = {row["doc_id"]: row for row in table.to_pylist()}
    assert [found["d0"][f"{name}_rank"] for name in scores] == list(earlier)
    assert found["d0"]["rrf_score"] == found["d1"]["rrf_score"]
    assert found["d0"]["rank"] + 1 == found["d1"]["rank"]


@PROPERTY
@given(worlds(), st.integers(1, 4), st.sets(st.tuples(st.integers(0, 4), st.integers(0, 9))))
def test_a_condition_costs_no_depth(tmp_path_factory, parts, k, barred):
    world = World(tmp_path_factory.mktemp("world"), *parts)
    rows = range(len(world.query_texts))

    def eligible(query_rows, doc_rows):
        pairs = zip(query_rows.tolist(), doc_rows.tolist(), strict=True)
        return np.array([pair not in barred for pair in pairs], dtype=bool)

    found = world.mine(rows, k, eligible).to_pylist()
    world.scores = {
        name: {
            pair: score
            for pair, score in known.items()
            if pair not in barred or normalise(world.texts[pair[1]]) in world.positive_rows(pair[0])
        }
        for name, known in world.scores.items()
    }
    without = world.mine(rows, k).to_pylist()
    for name in world.scores:
        for table in (found, without):
            table.sort(
                key=lambda row, of=f"{name}_rank": (row["query_row"], row[of] is None, row[of])
            )
        lists = [
            [
                (row["query_id"], row["doc_id"])
                for row in table
                if row[f"{name}_rank"] is not None and row["rank"] is not None
            ]
            for table in (found, without)
        ]
        assert lists[0] == lists[1]


@PROPERTY
@given(worlds(), st.integers(1, 4))
def test_a_query_has_the_same_candidates_alone_and_in_a_block(tmp_path_factory, parts, k):
    world = World(tmp_path_factory.mktemp("world"), *parts)
    rows = range(len(world.query_texts))
    together = world.mine(rows, k).to_pylist()
    assert together == [row for query in rows for row in world.mine([query], k).to_pylist()]


@PROPERTY
@given(worlds(), st.integers(1, 6))
def test_what_must_never_be_a_negative_has_no_rank_and_all_else_has(tmp_path_factory, parts, k):
    world = World(tmp_path_factory.mktemp("world"), *parts)
    table = world.mine(range(len(world.query_texts)), k).to_pylist()
    for row in table:
        query, text = row["query_row"], normalise(world.texts[row["doc_row"]])
        positive = text in world.positive_rows(query)
        itself = text == normalise(world.query_texts[query])
        assert row["is_positive"] == positive
        assert row["is_query"] == itself
        assert (row["rank"] is None) == (positive or itself)
        assert (row["near_copy"] is None) == positive
    for query in range(len(world.query_texts)):
        rows = [row for row in table if row["query_row"] == query]
        seen = [normalise(world.texts[row["doc_row"]]) for row in rows]
        assert len(set(seen)) == len(seen)
        assert set(world.positive_rows(query)) <= set(seen)
        ranks = [row["rank"] for row in rows if row["rank"] is not None]
        assert ranks == list(range(len(ranks)))


def descending(queries, documents):
    return {(query, row): -float(row) for query in range(queries) for row in range(documents)}


@pytest.mark.parametrize("k", [1, 7, 50])
def test_k_candidates_are_left_behind_thousands_of_positives_that_come_first(tmp_path, k):
    positives = [(0, row) for row in range(2000)]
    world = World(
        tmp_path,
        [f"text {n}" for n in range(2200)],
        ["q", "r"],
        [*positives, (1, 0)],
        {"bm25": descending(2, 2200), "dense": descending(2, 2200)},
    )
    table = world.mine([0, 1], k).to_pylist()
    many = [row for row in table if row["query_row"] == 0]
    assert sum(row["is_positive"] for row in many) == 2000
    assert [row["doc_row"] for row in many if row["rank"] is not None] == list(
        range(2000, 2000 + k)
    )
    few = [row["doc_row"] for row in table if row["query_row"] == 1 and row["rank"] is not None]
    assert few == list(range(1, 1 + k))
    assert world.asked["bm25"].tolist() == [2000 + k, 1 + k]


def test_the_query_and_copies_of_positives_take_no_place_among_the_k(tmp_path):
    texts = ["The Query", "p", "P ", "p\u200b", "the query", "n0", "n1", "n2"]
    world = World(tmp_path, texts, ["the  query"], [(0, 3)], {"dense": descending(1, 8)})
    table = world.mine([0], 3).to_pylist()
    assert [(row["doc_id"], row["rank"]) for row in table] == [
        ("d0", None),
        ("d3", None),
        ("d5", 0),
        ("d6", 1),
        ("d7", 2),
    ]
    assert [row["is_query"] for row in table] == [True, False, False, False, False]
    assert [row["is_positive"] for row in table] == [False, True, False, False, False]
    assert [row["dense_rank"] for row in table] == [0, 1, 2, 3, 4]


def test_a_positive_that_is_the_query_itself_is_marked_as_both(tmp_path):
    world = World(tmp_path, ["same", "n"], ["SAME"], [(0, 0)], {"bm25": descending(1, 2)})
    both = world.mine([0], 1).to_pylist()[0]
    assert (both["doc_id"], both["is_positive"], both["is_query"]) == ("d0", True, True)
    assert world.asked["bm25"].tolist() == [2]


def test_a_positive_that_no_source_found_is_there_with_its_scores_and_comes_last(tmp_path):
    scores = {"bm25": {(0, 1): 2.0}, "dense": {(0, 1): 0.5, (0, 2): 0.75}}
    world = World(tmp_path, ["p", "n0", "n1"], ["q"], [(0, 0)], scores)
    last = world.mine([0], 5).to_pylist()[-1]
    assert (last["doc_id"], last["is_positive"], last["rrf_score"]) == ("d0", True, 0.0)
    assert (last["bm25_rank"], last["dense_rank"], last["rank"]) == (None, None, None)
    assert (last["bm25_score"], last["dense_score"]) == (0.0, 0.0)


def test_a_document_has_the_score_of_a_source_whose_cut_left_it_out(tmp_path):
    bm25 = {(0, row): float(10 - row) for row in range(6)}
    dense = {(0, row): row / 8 for row in range(6)}
    world = World(
        tmp_path, [f"t{n}" for n in range(6)], ["q"], [(0, 2)], {"bm25": bm25, "dense": dense}
    )
    table = {row["doc_row"]: row for row in world.mine([0], 1).to_pylist()}
    assert set(table) == {0, 2, 5}
    assert (table[0]["bm25_rank"], table[0]["dense_rank"]) == (0, None)
    assert (table[5]["bm25_rank"], table[5]["dense_rank"]) == (None, 0)
    for row, found in table.items():
        assert (found["bm25_score"], found["dense_score"]) == (bm25[0, row], dense[0, row])


def test_a_corpus_of_positives_alone_has_no_candidates(tmp_path):
    world = World(tmp_path, ["p", "r"], ["q"], [(0, 0), (0, 1)], {"bm25": descending(1, 2)})
    table = world.mine([0], 10)
    assert table["is_positive"].to_pylist() == [True, True]
    assert table["rank"].to_pylist() == [None, None]


def test_all_rank_ties_are_broken_by_document_row(tmp_path):
    scores = dict.fromkeys(((0, row) for row in range(9)), 1.0)
    world = World(tmp_path, [f"t{n}" for n in range(9)], ["q"], [(0, 4)], {"bm25": scores})
    table = world.mine([0], 3).to_pylist()
    assert [row["doc_row"] for row in table] == [0, 1, 2, 4]


def test_a_near_copy_of_any_positive_of_its_own_query_is_told_from_other_texts(tmp_path):
    passage = "the quick brown fox jumps over the lazy dog and runs away into the deep dark wood"
    other = "an entirely different passage that shares no run of five words with any of the rest"
    texts = [
        passage,
        passage.replace("wood", "forest"),
        other,
        "short positive",
        passage + " again",
    ]
    world = World(tmp_path, texts, ["q", "r"], [(0, 0), (0, 3), (1, 2)], {"bm25": descending(2, 5)})
    table = {
        (row["query_row"], row["doc_row"]): row["near_copy"]
        for row in world.mine([0, 1], 5).to_pylist()
    }
    assert table[0, 0] is table[0, 3] is table[1, 2] is None
    assert 0.9 < table[0, 1] < 1
    assert table[0, 4] == 1
    assert table[0, 2] == table[1, 0] == table[1, 1] == table[1, 3] == table[1, 4] == 0


def test_an_excerpt_of_the_positive_is_told_from_a_page_that_holds_it(tmp_path):
    words = [f"word{n}" for n in range(60)]
    positive, page = " ".join(words[10:40]), " ".join(words)
    excerpt, half = " ".join(words[15:25]), " ".join(words[25:55])
    texts = [positive, excerpt, page, half, "something else that no other text here has a word of"]
    world = World(tmp_path, texts, ["q"], [(0, 0)], {"bm25": descending(1, 5)})
    rows = {row["doc_row"]: row for row in world.mine([0], 5).to_pylist()}
    shares = {at: (row["contained"], row["contains"]) for at, row in rows.items()}
    assert shares[0] == (None, None)
    assert shares[1] == (1, pytest.approx(6 / 26))
    assert shares[2] == (pytest.approx(26 / 56), 1)
    assert shares[3] == (pytest.approx(11 / 26),) * 2
    assert shares[4] == (0, 0)
    assert all(row["near_copy"] == max(shares[at]) for at, row in rows.items() if at)
