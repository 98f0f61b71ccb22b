from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.directories.queries import Queries
from hnmine.errors import InputError
from hnmine.inputs.identity import normalise
from hnmine.inputs.records import PairBatch, TextBatch, pair_records, qrel_records
from hnmine.inputs.table_reader import BadRows, Table
from hnmine.inputs.texts import Texts, write_texts
from hnmine.sources.positives import write_grades, write_positives

PROPERTY = settings(max_examples=60, deadline=None)


def store(directory, texts, bad=None):
    batch = TextBatch(list(texts), list(texts.values()), True)
    write_texts(lambda _: [batch], directory, 3, bad or BadRows("error"), lambda rows: None)
    return Texts(directory)


class World:
    """Queries and documents, by id, in a folder of their own."""

    def __init__(self, folder, queries, documents):
        self.folder = folder
        self.queries = store(folder / "queries", queries)
        self.documents = store(folder / "documents", documents)

    def join(self, batches, bad=None):
        return write_positives(
            batches, self.queries, self.documents, "pairs.parquet", bad or BadRows("error")
        )

    def positives(self, rows=None):
        """The rows of each query's positives."""
        joined = Queries(self.folder / "queries", self.documents)
        rows = np.arange(len(self.queries)) if rows is None else np.array(rows, dtype=np.int64)
        offsets, documents = joined.positives(rows)
        assert len(offsets) == len(rows) + 1
        return [documents[offsets[n] : offsets[n + 1]].tolist() for n in range(len(rows))]


def by_id(*pairs):
    queries, documents = zip(*pairs, strict=True)
    return PairBatch(list(range(len(pairs))), list(queries), None, list(documents), None)


def by_text(*pairs):
    queries, documents = zip(*pairs, strict=True)
    return PairBatch(list(range(len(pairs))), list(queries), None, None, list(documents))


@pytest.fixture
def world(tmp_path):
    return World(
        tmp_path,
        {"q0": "what is x", "q1": "who is y", "q2": "What  is X", "q3": "unjudged"},
        {"d0": "alpha", "d1": "Beta", "d2": "gamma", "d3": "ALPHA ", "d4": "beta"},
    )


def test_duplicate_pairs_are_one_positive(world):
    counts = world.join([by_id(*[("q1", "d2")] * 50), by_id(("q1", "d2"), ("q1", "d0"))])
    assert world.positives() == [[], [0, 2], [], []]
    assert counts == {"pairs": 52, "positives": 2}


def test_copies_under_another_id_are_one_positive_and_a_given_id_stands_for_them(world):
    world.join([by_id(("q1", "d3"), ("q1", "d4"), ("q1", "d1"))])
    assert world.positives([1]) == [[3, 1]]


def test_queries_of_one_text_share_their_positives(world):
    world.join([by_id(("q0", "d0"), ("q2", "d2"), ("q1", "d1"))])
    assert world.positives() == [[0, 2], [1], [0, 2], []]
    assert Queries(world.folder / "queries", world.documents).mined.tolist() == [0, 1, 2]


def test_positives_are_given_in_the_order_of_the_rows_asked(world):
    world.join([by_id(("q0", "d0"), ("q1", "d1"), ("q1", "d2"))])
    assert world.positives([3, 1, 1, 0, 3]) == [[], [1, 2], [1, 2], [0], []]
    assert world.positives([]) == []


def test_a_positive_given_as_text_is_its_own_row_or_else_one_that_is_the_same(world):
    world.join([by_text(("q0", "ALPHA "), ("q1", "alpha"), ("q3", "\uff22\uff25\uff34\uff21"))])
    assert world.positives() == [[3], [0], [3], [1]]


def test_an_id_that_is_not_there_falls_back_on_the_text(world):
    batch = PairBatch([0, 1], ["q0", "q1"], None, ["unknown", "d2"], ["beta", "gamma"])
    world.join([batch])
    assert world.positives([0, 1]) == [[4], [2]]


@pytest.mark.parametrize(
    ("pair", "said"), [(("nobody", "d0"), "query"), (("q0", "nothing"), "positive")]
)
def test_a_missing_query_or_positive_is_named_or_counted(world, pair, said):
    batch = PairBatch([7, 8], ["q0", pair[0]], None, ["d0", pair[1]], None)
    with pytest.raises(InputError) as error:
        world.join([batch])
    assert "pairs.parquet, row 8" in str(error.value)
    assert said in str(error.value)
    assert "row 7" not in str(error.value)
    bad = BadRows("skip")
    assert world.join([batch], bad) == {"pairs": 1, "positives": 1}
    assert world.positives()[0] == [0]
    assert list(bad.counts.values()) == [1]


def test_no_pairs_at_all_leave_nothing_to_mine_for(world):
    assert world.join([]) == {"pairs": 0, "positives": 0}
    assert world.positives() == [[], [], [], []]
    assert Queries(world.folder / "queries", world.documents).mined.tolist() == []


@pytest.mark.parametrize(("min_grade", "expected"), [(1.0, [1, 2]), (2.0, [2]), (0.0, [0, 1, 2])])
def test_graded_judgements_below_the_grade_are_no_positives(world, min_grade, expected):
    path = world.folder / "qrels.parquet"
    columns = {
        "query-id": ["q1"] * 4 + ["q3"],
        "corpus-id": ["d0", "d1", "d2", "d3", "d0"],
        "score": [0, 1, 2, -1, -2],
    }
    pq.write_table(pa.table(columns), path)
    bad = BadRows("error")
    world.join(qrel_records(Table.open("qrels", str(path)), min_grade, bad), bad)
    assert world.positives([1]) == [expected]
    assert Queries(world.folder / "queries", world.documents).mined.tolist() == [1]


def test_the_highest_grade_of_what_is_the_same_counts_and_what_is_unknown_is_left_out(world):
    judged = [
        *(("q0", "d0", 1.0), ("q2", "d3", 2.0), ("q0", "d0", 0.0)),  # One query, one document.
        *(("q0", "d4", -1.0), ("q0", "d1", -3.0), ("q1", "d1", 0.0), ("q1", "d2", 0.5)),
        *(("nobody", "d2", 3.0), ("q1", "nothing", 3.0), ("nobody", "nothing", 3.0)),
    ]
    batches = [
        PairBatch([0], [query], None, [document], None, [grade])
        for query, document, grade in judged
    ]
    world.join([by_id(("q0", "d0"))])
    write_grades(batches, world.queries, world.documents)
    queries = Queries(world.folder / "queries", world.documents)
    offsets, rows, grades = queries.judgements(np.array([0, 1, 2, 3]))
    assert offsets.tolist() == [0, 2, 4, 6, 6]
    assert rows.tolist() == [0, 1, 1, 2, 0, 1]
    assert grades.tolist() == [2.0, -1.0, 0.0, 0.5, 2.0, -1.0]


@pytest.mark.parametrize("text", ["alpha", "ALPHA  of much", "pha"])
def test_a_positive_that_is_part_of_the_document_or_holds_it_is_that_document(world, text):
    world.join([PairBatch([0], ["q0"], None, ["d0"], [text])])
    assert world.positives([0]) == [[0]]


def test_an_id_whose_document_has_another_text_is_refused_or_left_out(world):
    batch = PairBatch([0, 1, 2], ["q3", "q0", "q1"], None, ["d0", "d2", "d1"], ["alpha", "x", "y"])
    with pytest.raises(InputError, match="another text") as error:
        world.join([batch])
    assert "row 1" in str(error.value) and "row 0" not in str(error.value)
    bad = BadRows("skip")
    assert world.join([batch], bad) == {"pairs": 1, "positives": 1}
    assert world.positives() == [[], [], [], [0]]
    assert list(bad.counts.values()) == [2]


def test_a_row_that_contradicts_another_lends_it_no_positive(tmp_path):
    """With --on-bad-row skip the row is left out, so its positive is not that of the first."""
    path = tmp_path / "pairs.parquet"
    columns = {
        "query_id": ["q0", "q0"],
        "query": ["what is x", "who is y"],
        "positive": ["alpha", "beta"],
    }
    pq.write_table(pa.table(columns), path)
    table = Table.open("pairs", str(path))
    bad = BadRows("skip")

    def queries(bad):
        for batch in pair_records(table, bad):
            yield TextBatch(batch.query_ids, batch.queries, True)

    write_texts(queries, tmp_path / "queries", 4, bad, lambda rows: None)
    documents = store(tmp_path / "documents", {"d0": "alpha", "d1": "beta"})
    written = Texts(tmp_path / "queries")
    write_positives(pair_records(table, BadRows("skip")), written, documents, str(path), bad)
    _, rows = Queries(tmp_path / "queries", documents).positives(np.array([0]))
    assert documents.texts(rows) == ["alpha"]


names = st.sampled_from(["alpha", "Alpha", "ALPHA ", "beta", "be\u200bta", "gamma", "delta"])


@PROPERTY
@given(
    st.lists(names, min_size=1, max_size=8),
    st.lists(names, min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 9), st.booleans()), max_size=15),
)
def test_positives_are_what_joining_by_hand_gives(tmp_path_factory, documents, queries, pairs):
    world = World(
        tmp_path_factory.mktemp("world"),
        {f"q{n}": text for n, text in enumerate(queries)},
        {f"d{n}": text for n, text in enumerate(documents)},
    )
    batches, expected, missing = [], defaultdict(dict), 0
    normal = [normalise(text) for text in documents]
    for query, document, as_text in pairs:
        there = query < len(queries) and document < len(documents)
        missing += (query >= len(queries)) + (document >= len(documents))
        if as_text and document < len(documents):
            batches.append(by_text((f"q{query}", documents[document])))
            document = documents.index(documents[document])
        else:
            batches.append(by_id((f"q{query}", f"d{document}")))
        if there:
            group = expected[normalise(queries[query])]
            group[normal[document]] = min(document, group.get(normal[document], document))
    bad = BadRows("skip")
    counts = world.join(batches, bad)
    assert sum(bad.counts.values()) == missing
    assert counts["positives"] == sum(map(len, expected.values()))
    for found, text in zip(world.positives(), queries, strict=True):
        assert sorted(found) == sorted(expected[normalise(text)].values())
    mined = [n for n, text in enumerate(queries) if expected[normalise(text)]]
    assert Queries(world.folder / "queries", world.documents).mined.tolist() == mined
