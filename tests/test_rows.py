"""What rows mean: labels, negatives, nested columns, folders of tables, ids that are near."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import hnmine, rows, write

import hnmine as api
from hnmine.errors import InputError, UsageError
from hnmine.inputs.nearest import near
from hnmine.inputs.records import pair_records, text_records
from hnmine.inputs.table_reader import BadRows, Table

QUERIES = [f"how is a {thing} cleaned" for thing in ("teapot", "lantern", "bicycle")]
POSITIVES = [f"A {thing} is cleaned with warm water." for thing in ("teapot", "lantern", "bicycle")]
OTHERS = [f"The {thing} was sold in 1871." for thing in ("teapot", "lantern", "bicycle")]


def labelled(path, labels, name="label", **more):
    """A table with a positive and another text for each query, labels by turns."""
    queries = [query for query in QUERIES for _ in range(2)]
    texts = [text for both in zip(POSITIVES, OTHERS, strict=True) for text in both]
    return write(path, query=queries, passage=texts, **{name: labels}, **more)


def mined(root, pairs, **settings):
    where = {"pairs": str(pairs), "column": settings.get("column", {})}
    api.build_index(**where, dense=False, index=root / "i")
    result = api.mine(**{**where, **settings}, index=root / "i", output=root / "c")
    return result.counts, rows(root / "c" / "candidates")


BOTH = [1, 0] * 3


@pytest.mark.parametrize("name", ["label", "score", "is_duplicate", "gold_label", "Relevance"])
@pytest.mark.parametrize(
    "labels",
    [
        pa.array(BOTH),
        pa.array([1, -1] * 3, pa.int8()),
        pa.array([1.0, 0.0] * 3),
        pa.array([True, False] * 3),
        pa.array(["1", "0"] * 3),
        pa.array(["1.0", " 0.0 "] * 3),
        pa.array(["True", "false"] * 3),
        pa.array(["1", "0"] * 3).dictionary_encode(),
    ],
    ids=str,
)
def test_labels_say_which_rows_are_positives(tmp_path, name, labels, capsys):
    counts, found = mined(tmp_path, labelled(tmp_path / "p.parquet", labels, name))
    assert (counts["pairs"], counts["positives"], counts["known_negatives"]) == (3, 3, 3)
    assert {row["doc_id"] for row in found if row["is_positive"]} == {
        row["doc_id"] for row in found if row["grade"] == 1
    }


def test_what_was_made_of_labels_is_said_and_known_negatives_are_candidates(tmp_path):
    path = labelled(tmp_path / "p.parquet", BOTH)
    ran = hnmine("build-index", "--pairs", path, "--no-dense", "--index", tmp_path / "i")
    assert "label: says which rows are positives" in ran.stderr
    arguments = ("--index", tmp_path / "i", "--pairs", path, "--source", "judged")
    ran = hnmine("mine", *arguments, "--output", tmp_path / "c")
    assert "label: 3 of 6 rows are positives; 3 are known negatives" in ran.stderr
    found = [row for row in rows(tmp_path / "c" / "candidates") if not row["is_positive"]]
    assert [row["grade"] for row in found] == [0, 0, 0]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_labels_of_text_files_count(tmp_path, suffix):
    path = tmp_path / f"p.{suffix}"
    table = rows(labelled(tmp_path / "p.parquet", BOTH))
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table))
    else:
        lines = [list(table[0]), *(map(str, row.values()) for row in table)]
        path.write_text(
            "".join(("," if suffix == "csv" else "\t").join(line) + "\n" for line in lines)
        )
    assert mined(tmp_path, path)[0]["positives"] == 3


@pytest.mark.parametrize(
    ("labels", "settings", "positives"),
    [
        ([1] * 6, {}, 6),
        ([3, 2, 1, 0, 3, 0], {"min_grade": 2}, 3),
        ([0.9, 0.2, 0.85, 0.8, 0.1, 0.9], {"min_grade": 0.8}, 4),
        ([5, 1] * 3, {"column": {"pairs.label": ""}}, 6),
    ],
)
def test_other_labels_take_a_threshold_or_are_left_out(tmp_path, labels, settings, positives):
    counts, _ = mined(tmp_path, labelled(tmp_path / "p.parquet", labels), **settings)
    assert counts["positives"] == positives


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0.9, 0.2] * 3, r"min_grade=0\.8"),
        ([0, 1, 2] * 2, "min_grade N"),
        ([4.2, 1.5] * 3, "similarities"),
        (["entailment", "neutral"] * 3, "in words: entailment, neutral"),
        (["1", "maybe"] * 3, "in words"),
        ([0] * 6, "No row of"),
        ([-1] * 6, "may hide its labels"),
        ([1, None] * 3, "3 bad rows with null or blank label"),
        ([1.0, float("nan")] * 3, "3 bad rows with null or blank label"),
    ],
)
def test_labels_that_do_not_say_it_are_an_error_that_asks(tmp_path, labels, said):
    path = labelled(tmp_path / "p.parquet", labels)
    with pytest.raises(InputError, match=said):
        mined(tmp_path, path)


def test_classes_of_inference_are_no_labels(tmp_path):
    table = {"premise": QUERIES, "hypothesis": POSITIVES, "label": [0, 1, 0]}
    with pytest.raises(InputError, match="entailment"):
        mined(tmp_path, write(tmp_path / "p.parquet", **table))


def test_null_labels_are_skipped_and_counted(tmp_path):
    path = labelled(tmp_path / "p.parquet", [1, None] * 3)
    counts, _ = mined(tmp_path, path, on_bad_row="skip")
    assert counts["positives"] == counts["skipped with null or blank label"] == 3


@pytest.mark.parametrize(
    "negatives",
    [
        {"negative": OTHERS},
        {"negatives": [[text] for text in OTHERS]},
        {"negative_1": OTHERS, "negative_2": [None] * 3},
        {"hard_negatives": [[text, None] for text in OTHERS]},
        {"neg": [[text] for text in OTHERS]},
    ],
    ids=lambda table: " ".join(table),
)
def test_negatives_of_triplets_are_known_negatives(tmp_path, negatives):
    path = write(tmp_path / "p.parquet", anchor=QUERIES, positive=POSITIVES, **negatives)
    counts, found = mined(tmp_path, path, source=["judged"])
    assert (counts["positives"], counts["known_negatives"]) == (3, 3)
    assert sum(row["grade"] == 0 and not row["is_positive"] for row in found) == 3


def test_judged_needs_judgements(tmp_path):
    path = write(tmp_path / "p.parquet", query=QUERIES, positive=POSITIVES)
    with pytest.raises(UsageError, match="pairs with labels or negatives"):
        mined(tmp_path, path, source=["judged"])


LAYOUTS = {
    "tevatron": lambda n: {
        "query_id": f"q{n}",
        "query": QUERIES[n],
        "positive_passages": [{"docid": f"d{n}", "title": "T", "text": POSITIVES[n]}],
        "negative_passages": [{"docid": f"n{n}", "title": "", "text": OTHERS[n]}],
    },
    "dpr": lambda n: {
        "question": QUERIES[n],
        "answers": ["water"],
        "positive_ctxs": [{"title": "T", "text": POSITIVES[n], "passage_id": n}],
        "hard_negative_ctxs": [{"title": "", "text": OTHERS[n], "passage_id": n + 10}],
    },
    "flagembedding": lambda n: {"query": QUERIES[n], "pos": [POSITIVES[n]], "neg": [OTHERS[n]]},
    "hard negatives": lambda n: {
        "anchor": QUERIES[n],
        "positive": POSITIVES[n],
        "negative_1": OTHERS[n],
    },
    "inline": lambda n: {"query": QUERIES[n], "pos_doc": POSITIVES[n], "neg_doc": [OTHERS[n]]},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_of_trainers_are_pairs_and_runs(tmp_path, name):
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(LAYOUTS[name](n)) + "\n" for n in range(3)))
    counts, _ = mined(tmp_path, path, source=["run"], from_run=[str(path)])
    assert (counts["positives"], counts["run_hits"], counts["known_negatives"]) == (3, 3, 3)
    (batch, *_) = pair_records(Table.open("pairs", str(path)), BadRows("error"))
    title = "T " if name in ("tevatron", "dpr") else ""
    assert (batch.queries, batch.positives) == (QUERIES, [title + text for text in POSITIVES])


def test_pairs_may_name_positives_by_id_alone(tmp_path):
    write(tmp_path / "c.parquet", id=["a", "b", "c", "d"], text=[*POSITIVES, OTHERS[0]])
    path = tmp_path / "p.jsonl"
    table = [
        {"question": QUERIES[n], "pos_doc": [{"id": "abc"[n]}], "neg_doc": [{"id": "d"}]}
        for n in range(3)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in table))
    with pytest.raises(InputError, match="Pass the documents with corpus"):
        api.build_index(pairs=str(path), dense=False, index=tmp_path / "i")
    api.build_index(corpus=str(tmp_path / "c.parquet"), dense=False, index=tmp_path / "i")
    counts = api.mine(
        index=tmp_path / "i", pairs=str(path), from_run=[str(path)], output=tmp_path / "c"
    ).counts
    assert (counts["positives"], counts["known_negatives"], counts["run_hits"]) == (3, 3, 3)


def test_tables_of_a_warehouse_are_a_folder_of_pairs(tmp_path):
    folder = tmp_path / "arctic"
    folder.mkdir()
    ids = pa.array([1, 2, 2**64 - 1], pa.uint64())
    write(folder / "queries.parquet", QUERY_ID=ids, QUERY_TEXT=QUERIES)
    write(folder / "documents.parquet", DOCUMENT_ID=ids, DOCUMENT_TEXT=POSITIVES)
    labels = {"DOCUMENT_ID": ids, "RELEVANCE": [1.0, 1.0, -1.0]}
    write(folder / "labels.parquet", QUERY_ID=ids, **labels)
    counts, _ = mined(tmp_path, folder)
    assert (counts["positives"], counts["known_negatives"]) == (2, 1)


def documents(path, **columns):
    batches = text_records(Table.open("corpus", str(path), columns), BadRows("error"))
    return [row for batch in batches for row in zip(batch.ids, batch.texts, strict=True)]


def test_a_column_inside_a_struct_goes_by_its_path(tmp_path):
    structs = [{"title": "T", "body": "x"}, None, {"title": None, "body": "y"}]
    path = write(tmp_path / "c.parquet", id=["1", "2", "3"], document=structs)
    bad = BadRows("skip")
    table = Table.open("corpus", str(path), {"text": "document.body", "title": "document.title"})
    found = [text for batch in text_records(table, bad) for text in batch.texts]
    assert (found, bad.counts) == (["T x", "y"], {"with null or blank text": 1})
    path = write(tmp_path / "d.parquet", id=["1"], document=[{"head": "T", "tail": "x"}])
    with pytest.raises(InputError, match=r"document\.head, document\.tail"):
        documents(path)
    dotted = {"id": ["1"], "a.b": ["flat"], "a": [{"b": "nested"}]}
    pq.write_table(pa.table(dotted), tmp_path / "e.parquet")
    assert documents(tmp_path / "e.parquet", text="a.b") == [("1", "flat")]


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        ("4", "0004"), ("d0 ", "d0"), ("D0", "d0"), ("doc4", "4"), ("4", "doc4"), ("4.0", "4"),
        ("4", "4.0"), ("0004", "4"), ("'d0'", "d0"), ("http://x/d0", "d0"), ("d0", "d0 "),
        ("cafe\u0301", "caf\u00e9"), ("C73B91CFCB194472A447454C5160B4D4",
        "c73b91cf-cb19-4472-a447-454c5160b4d4"),
    ],
)  # fmt: skip
def test_an_id_that_is_not_there_shows_the_one_that_is_near(wanted, there):
    others = ["doc7", "unlike"] if there.startswith("doc") else ["unlike"]
    assert near(wanted, [*others, there], "there is") == f" (there is {there!r})"


def test_an_id_like_none_shows_what_ids_are_like():
    assert near("???", ["d0", "d1"]) == " (the index has ids such as 'd0', 'd1')"


@pytest.mark.parametrize("by_text", [True, False])
def test_the_advice_to_add_positives_is_for_texts(tmp_path, by_text):
    write(tmp_path / "c.parquet", id=["0004", "0005"], text=POSITIVES[:2])
    api.build_index(corpus=str(tmp_path / "c.parquet"), dense=False, index=tmp_path / "i")
    write(tmp_path / "q.parquet", id=["q"], text=QUERIES[:1])
    write(tmp_path / "r.parquet", query_id=["q"], corpus_id=[4])
    write(tmp_path / "p.parquet", query=QUERIES[:1], positive=["unheard of"])
    given = {"queries": str(tmp_path / "q.parquet"), "qrels": str(tmp_path / "r.parquet")}
    given = {"pairs": str(tmp_path / "p.parquet")} if by_text else given
    with pytest.raises(InputError) as caught:
        api.mine(index=tmp_path / "i", **given, output=tmp_path / "c")
    assert ("adds positives" in str(caught.value)) is by_text
    assert ("'4' (the index has '0004')" in str(caught.value)) is not by_text


def test_answers_are_no_passages(tmp_path, caplog):
    queries = [f"is the {n} clean?" for n in range(20)]
    contexts = [f"The number {n} is cleaned every day, and by night as well." for n in range(20)]
    table = {"question": queries, "answer": ["yes", "no"] * 10, "context": contexts}
    path = write(tmp_path / "p.parquet", **table)
    mined(tmp_path / "a", path)
    assert "'no' is a positive of 10 of 20 queries" in caplog.text
    assert "--column pairs.positive=context" in caplog.text
    caplog.clear()
    mined(tmp_path / "b", path, column={"pairs.positive": "context"})
    assert "answers" not in caplog.text


def test_a_missing_column_shows_the_longest_texts(tmp_path):
    path = write(tmp_path / "p.parquet", question=QUERIES, id=["1", "2", "3"], story=POSITIVES)
    with pytest.raises(
        InputError, match="longest texts are in 'story', such as 'A teapot"
    ) as found:
        Table.open("pairs", str(path))
    assert "--column pairs.positive=story" in str(found.value)


@pytest.mark.parametrize(
    "kind, columns, named, value",
    [
        ("pairs", {"ask": QUERIES, "good": POSITIVES, "n": [1, 2, 3]}, "pairs.query=ask", 0),
        ("pairs", {"good": POSITIVES, "ask": QUERIES}, "pairs.query=ask", 0),
        ("pairs", {"query": QUERIES, "n": [1, 2, 3], "good": POSITIVES}, "pairs.positive=good", 0),
        ("corpus", {"key": [1, 2, 3], "body": POSITIVES}, "corpus.text=body", 0),
        ("corpus", {"n": [1.5, 2.5, 3.5]}, "corpus.text=NAME", None),
        ("queries", {"text": QUERIES, "w": [0.5, 1, 2], "key": [7, 8, 9]}, "queries.id=key", 0),
        ("qrels", {"s": [1, 1, 1], "corpus-id": ["a", "b", "c"]}, "qrels.query_id=s", 0),
        ("qrels", {"q": ["x", "y", "z"], "d": ["a", "b", "c"]}, "qrels.query_id=q", 0),
    ],
)
def test_a_missing_column_is_suggested_by_its_values(tmp_path, kind, columns, named, value):
    path = write(tmp_path / "t.parquet", **columns)
    with pytest.raises(InputError) as found:
        Table.open(kind, str(path))
    assert f"--column {named}." in str(found.value)
    column = named.partition("=")[2]
    assert value is None or repr(str(columns[column][value])) in str(found.value)


@pytest.mark.parametrize("column", ["positive", "negatives"])
def test_lists_that_are_written_as_text_are_refused(tmp_path, column):
    """As pandas writes a column of lists to CSV."""
    lists = ['["p one", "p two"]', "['it''s', 'n two']"]
    values = {"query": ["a b", "c d"], "positive": ["one text", "another"], column: lists}
    done = hnmine(
        "build-index", "--pairs", write(tmp_path / "p.parquet", **values), "--no-dense",
        "--index", tmp_path / "i",
    )  # fmt: skip
    assert done.returncode == 3
    assert f"Column {column!r}" in done.stderr
    assert "Parquet or JSONL" in done.stderr


def test_a_few_short_answers_are_named_too(tmp_path):
    long = ["The tower is in Paris, and it is very high.", "He was a painter of that time."]
    path = write(
        tmp_path / "p.parquet", question=["where", "who"], answer=["Paris", "Bob"], context=long
    )
    done = hnmine("build-index", "--pairs", path, "--no-dense", "--index", tmp_path / "i")
    assert "--column pairs.positive=context" in done.stderr
