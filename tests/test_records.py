from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.errors import InputError
from hnmine.inputs.records import pair_records, qrel_records, text_records
from hnmine.inputs.table_reader import BadRows, Table, content_id

PROPERTY = settings(max_examples=50, deadline=None)
BLANK = [None, "", " ", "\t\n", "\u3000", "\u200b", "\ufeff \u00ad"]


def open_table(folder, kind, columns, given=None):
    path = folder / f"{kind}.parquet"
    pq.write_table(pa.table(columns), path)
    return Table.open(kind, str(path), given)


def documents(table, bad=None):
    batches = list(text_records(table, bad or BadRows("error")))
    return [pair for batch in batches for pair in zip(batch.ids, batch.texts, strict=True)]


def pairs(table, bad=None):
    rows = []
    for batch in pair_records(table, bad or BadRows("error")):
        ids = batch.positive_ids or [None] * len(batch.rows)
        columns = (batch.rows, batch.query_ids, batch.queries, ids, batch.positives)
        rows += zip(*columns, strict=True)
    return rows


def judgements(table, min_grade=1.0, bad=None):
    batches = qrel_records(table, min_grade, bad or BadRows("error"))
    return [
        pair for batch in batches for pair in zip(batch.query_ids, batch.positive_ids, strict=True)
    ]


@pytest.mark.parametrize(
    ("title", "text", "joined"),
    [
        ("Title", "text", "Title text"),
        (" Title ", " text ", "Title text"),
        (None, "text", "text"),
        ("", "text", "text"),
        ("  ", "text", "text"),
    ],
)
def test_a_title_is_joined_before_the_text(tmp_path, title, text, joined):
    columns = {"_id": ["1"], "text": [text], "title": pa.array([title], pa.string())}
    assert documents(open_table(tmp_path, "corpus", columns)) == [("1", joined)]


def test_other_columns_are_kept_as_metadata_of_their_own_rows(tmp_path):
    columns = {
        "url": ["u0", "u1", "u2", None],
        "id": [10, 11, 12, 13],
        "text": ["a", " ", "c", "d"],
        "n": [0, 1, 2, 3],
    }
    bad = BadRows("skip")
    (batch,) = text_records(open_table(tmp_path, "corpus", columns), bad)
    assert batch.has_own_id
    assert batch.ids == ["10", "12", "13"]
    assert batch.metadata.to_pylist() == [
        {"url": "u0", "n": 0},
        {"url": "u2", "n": 2},
        {"url": None, "n": 3},
    ]


def test_documents_without_ids_are_named_by_their_content(tmp_path):
    (batch,) = text_records(
        open_table(tmp_path, "corpus", {"text": ["a", "b", "a"]}), BadRows("error")
    )
    assert not batch.has_own_id
    assert batch.ids == [content_id("a"), content_id("b"), content_id("a")]


@pytest.mark.parametrize("blank", BLANK)
@pytest.mark.parametrize(
    ("kind", "columns", "column"),
    [
        ("corpus", {"id": ["1", "2", "3"], "text": ["a", "b", "c"]}, "text"),
        ("corpus", {"id": ["1", "2", "3"], "text": ["a", "b", "c"]}, "id"),
        ("queries", {"_id": ["1", "2", "3"], "text": ["a", "b", "c"]}, "text"),
        ("queries", {"_id": ["1", "2", "3"], "text": ["a", "b", "c"]}, "_id"),
        ("pairs", {"query": ["1", "2", "3"], "positive": ["a", "b", "c"]}, "query"),
        ("pairs", {"query": ["1", "2", "3"], "positive": ["a", "b", "c"]}, "positive"),
        (
            "pairs",
            {"query": list("123"), "positive": list("abc"), "query_id": list("xyz")},
            "query_id",
        ),
        (
            "pairs",
            {"query": list("123"), "positive": list("abc"), "positive_id": list("xyz")},
            "positive_id",
        ),
        ("qrels", {"query-id": ["1", "2", "3"], "corpus-id": ["a", "b", "c"]}, "query-id"),
        ("qrels", {"query-id": ["1", "2", "3"], "corpus-id": ["a", "b", "c"]}, "corpus-id"),
    ],
)
def test_blank_values_are_an_error_that_names_the_row_or_a_count(
    tmp_path, kind, columns, column, blank
):
    values = [columns[column][0], blank, columns[column][2]]
    table = open_table(tmp_path, kind, {**columns, column: pa.array(values, pa.string())})
    reader = {
        "corpus": text_records,
        "queries": text_records,
        "pairs": pair_records,
        "qrels": lambda table, bad: qrel_records(table, 1.0, bad),
    }[kind]
    bad = BadRows("skip")
    (batch,) = reader(table, bad)
    assert len(batch.ids if kind in ("corpus", "queries") else batch.rows) == 2
    assert list(bad.settle().values()) == [1]
    bad = BadRows("error")
    list(reader(table, bad))
    with pytest.raises(InputError) as error:
        bad.settle()
    assert "row 1" in str(error.value)
    assert "blank" in str(error.value)


@pytest.mark.parametrize("grade", [float("nan"), float("inf"), -float("inf"), None])
def test_a_grade_that_is_not_finite_makes_a_bad_row(tmp_path, grade):
    ids = {"query-id": ["a", "b", "c", " "], "corpus-id": ["1", "2", "3", "4"]}
    table = open_table(tmp_path, "qrels", {**ids, "score": [2.0, grade, 0.0, grade]})
    bad = BadRows("skip")
    assert judgements(table, 1.0, bad) == [("a", "1")]
    assert bad.settle() and bad.counts.total() == 2  # What has two faults is one bad row.
    assert judgements(table, -float("inf"), BadRows("skip")) == [("a", "1"), ("c", "3")]
    bad = BadRows("error")
    judgements(table, 1.0, bad)
    with pytest.raises(InputError, match="2 bad rows") as error:
        bad.settle()
    assert "row 1: with " in str(error.value)
    assert "grade" in str(error.value)


def test_a_bad_row_far_into_the_file_is_named_by_its_number(tmp_path):
    texts = [f"text {n}" for n in range(20_000)]
    texts[8192] = texts[19_999] = " "
    bad = BadRows("error")
    documents(open_table(tmp_path, "corpus", {"text": texts}), bad)
    with pytest.raises(InputError) as error:
        bad.settle()
    assert "row 8192\n" in str(error.value)
    assert "row 19999\n" in str(error.value)


def test_only_rows_left_by_skipping_come_through_and_are_counted_by_reason(tmp_path):
    columns = {
        "_id": ["1", None, "3", "4", " "],
        "text": ["a", "b", None, "\u200b", "e"],
    }
    bad = BadRows("skip")
    (batch,) = text_records(open_table(tmp_path, "queries", columns), bad)
    assert (batch.ids, batch.texts, batch.has_own_id) == (["1"], ["a"], True)
    assert sum(bad.settle().values()) == 4
    assert {reason.split()[-1]: count for reason, count in bad.counts.items()} == {
        "id": 2,
        "text": 2,
    }


def test_a_row_of_pairs_is_one_pair(tmp_path):
    table = open_table(tmp_path, "pairs", {"query": ["a", "b"], "positive": ["x", "y"]})
    assert pairs(table) == [
        (0, content_id("a"), "a", None, "x"),
        (1, content_id("b"), "b", None, "y"),
    ]


def test_ids_keep_spaces_and_become_strings(tmp_path):
    columns = {
        "query_id": [1, 2],
        "query": ["a", "b"],
        "positive_id": ["doc one", " 007 "],
        "positive": ["x", "y"],
    }
    assert pairs(open_table(tmp_path, "pairs", columns)) == [
        (0, "1", "a", "doc one", "x"),
        (1, "2", "b", " 007 ", "y"),
    ]


def test_lists_of_positives_are_pairs_of_their_row_and_empty_ones_are_bad(tmp_path):
    columns = {
        "query": ["a", "b", "c", "d"],
        "positive": pa.array([["x", "y"], [], None, ["z", None, " "]], pa.list_(pa.string())),
    }
    bad = BadRows("skip")
    table = open_table(tmp_path, "pairs", columns)
    assert [(row, query, positive) for row, _, query, _, positive in pairs(table, bad)] == [
        (0, "a", "x"),
        (0, "a", "y"),
        (3, "d", "z"),
    ]
    assert list(bad.settle().values()) == [4]
    bad = BadRows("error")
    pairs(table, bad)
    with pytest.raises(InputError) as error:
        bad.settle()
    for row in (1, 2, 3):
        assert f"row {row}\n" in str(error.value)


def test_lists_of_ids_go_with_lists_of_positives(tmp_path):
    columns = {
        "query": ["a", "b"],
        "positive": [["x", "y"], ["z"]],
        "positive_ids": [[1, 2], [3]],
    }
    found = pairs(open_table(tmp_path, "pairs", columns))
    assert [row[3:] for row in found] == [("1", "x"), ("2", "y"), ("3", "z")]


@pytest.mark.parametrize("ids", [[["1"], ["2"]], [["1", "2", "3"], ["4"]], [["1"], ["2", "3"]]])
def test_another_number_of_ids_than_positives_is_an_error_that_names_the_row(tmp_path, ids):
    columns = {"query": ["a", "b"], "positive": [["x", "y"], ["z"]], "positive_ids": ids}
    table = open_table(tmp_path, "pairs", columns)
    with pytest.raises(InputError, match="row 0"):
        pairs(table)


def test_jsonl_lists_that_are_all_empty_are_bad_rows(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"query": "a", "positive": []}\n' * 2)
    bad = BadRows("skip")
    assert pairs(Table.open("pairs", str(path)), bad) == []
    assert list(bad.settle().values()) == [2]


@pytest.mark.parametrize(
    ("min_grade", "expected"),
    [(1.0, "bce"), (2.0, "ce"), (0.0, "abce"), (-1.0, "abcde"), (3.5, "")],
)
def test_judgements_below_the_grade_are_no_positives(tmp_path, min_grade, expected):
    columns = {
        "query-id": ["q"] * 5,
        "corpus-id": ["a", "b", "c", "d", "e"],
        "score": [0, 1, 3, -1, 2],
    }
    found = judgements(open_table(tmp_path, "qrels", columns), min_grade)
    assert "".join(document for _, document in found) == expected


@pytest.mark.parametrize(
    "grades",
    [
        pa.array([0.99, 1.0, -1.0, 2.5]),
        pa.array([0, 1, 0, 1], pa.int8()),
        pa.array(["0", "1", "-1", "2"]),
    ],
    ids=["float", "int8", "string"],
)
def test_grades_of_every_type_are_compared_as_numbers(tmp_path, grades):
    columns = {"query-id": [1] * 4, "corpus-id": [10, 11, 12, 13], "score": grades}
    found = judgements(open_table(tmp_path, "qrels", columns))
    assert found == [("1", "11"), ("1", "13")]


def test_judgements_without_a_grade_are_all_positives(tmp_path):
    columns = {"query_id": ["q", "q"], "corpus_id": ["a", "b"]}
    assert judgements(open_table(tmp_path, "qrels", columns), 5.0) == [("q", "a"), ("q", "b")]


@pytest.mark.parametrize("grades", [["x", "1"], [[1], [1]]], ids=["text", "list"])
def test_grades_that_are_no_numbers_are_refused(tmp_path, grades):
    columns = {"query-id": ["q", "q"], "corpus-id": ["a", "b"], "score": grades}
    with pytest.raises(InputError, match="score"):
        judgements(open_table(tmp_path, "qrels", columns))


def test_the_beir_layout_is_read_as_it_is_distributed(tmp_path):
    (tmp_path / "corpus.jsonl").write_text(
        json.dumps({"_id": "007", "title": "T", "text": "x", "metadata": {"url": "u"}}) + "\n"
    )
    (tmp_path / "queries.jsonl").write_text(
        json.dumps({"_id": "1", "text": "q", "metadata": {}}) + "\n"
    )
    (tmp_path / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\t007\t1\n1\t008\t0\n")
    assert documents(Table.open("corpus", str(tmp_path / "corpus.jsonl"))) == [("007", "T x")]
    (queries,) = text_records(
        Table.open("queries", str(tmp_path / "queries.jsonl")), BadRows("error")
    )
    assert (queries.ids, queries.texts) == (["1"], ["q"])
    assert judgements(Table.open("qrels", str(tmp_path / "test.tsv"))) == [("1", "007")]


values = st.none() | st.sampled_from(["", " ", "\u200b", "a", "b c", "é"])


@PROPERTY
@given(
    st.lists(st.tuples(values, st.none() | st.lists(values, max_size=3)), min_size=1, max_size=8)
)
def test_every_pair_is_either_there_or_counted(tmp_path_factory, rows):
    columns = {
        "query": pa.array([query for query, _ in rows], pa.string()),
        "positive": pa.array([positives for _, positives in rows], pa.list_(pa.string())),
    }
    table = open_table(tmp_path_factory.mktemp("pairs"), "pairs", columns)
    bad = BadRows("skip")
    found = [(row, query, positive) for row, _, query, _, positive in pairs(table, bad)]
    every = [(n, query, text) for n, (query, texts) in enumerate(rows) for text in texts or [None]]
    usable = [pair for pair in every if all(text in ("a", "b c", "é") for text in pair[1:])]
    assert found == usable
    assert sum(bad.settle().values()) == len(every) - len(usable)
