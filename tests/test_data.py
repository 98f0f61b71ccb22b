from __future__ import annotations

import csv
import datetime
import json
import uuid
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.errors import InputError, UsageError
from hnmine.inputs.columns import find_columns
from hnmine.inputs.listing import list_files
from hnmine.inputs.records import text_records
from hnmine.inputs.table_reader import BadRows, Table, content_id
from hnmine.inputs.values import as_string_lists, as_strings

PROPERTY = settings(max_examples=50, deadline=None)
FORMATS = ["parquet", "jsonl", "json", "ndjson", "csv", "tsv"]
DELIMITER = {"csv": ",", "tsv": "\t"}

CONVENTIONS = [
    *(("corpus", {"id": name, "text": "text"}) for name in ("_id", "id", "doc_id")),
    ("corpus", {"id": "_id", "title": "title", "text": "text"}),
    ("corpus", {"text": "text"}),
    *(
        ("pairs", {"query": query, "positive": positive})
        for query, positive in (
            ("query", "positive"),
            ("anchor", "positive"),
            ("question", "answer"),
            ("sentence1", "text"),
            ("query", "document"),
            ("anchor", "passage"),
        )
    ),
    (
        "pairs",
        {
            "query_id": "query_id",
            "positive_id": "positive_id",
            "query": "query",
            "positive": "text",
        },
    ),
    ("pairs", {"positive_id": "positive_ids", "query": "anchor", "positive": "answer"}),
    *(("queries", {"id": name, "text": "text"}) for name in ("_id", "id", "query_id")),
    ("qrels", {"query_id": "query-id", "corpus_id": "corpus-id", "score": "score"}),
    ("qrels", {"query_id": "query_id", "corpus_id": "corpus_id"}),
]


def find_files(path):
    return [file.path for file in list_files(path)]


def write(path, columns):
    """Write columns of plain values in the format that the ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix[1:]
    if suffix == "parquet":
        pq.write_table(pa.table(columns), path)
        return path
    table = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    with path.open("w", encoding="utf-8", newline="") as file:
        if suffix in DELIMITER:
            writer = csv.DictWriter(
                file, list(columns), delimiter=DELIMITER[suffix], quoting=csv.QUOTE_ALL
            )
            writer.writeheader()
            writer.writerows(table)
        else:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table)
    return path


def read(table, role):
    return [text for _, batch in table.batches() for text in table.text(batch, role).to_pylist()]


def refused(work, *said):
    """Assert that work ends in an InputError that says all of this."""
    with pytest.raises(InputError) as caught:
        work()
    for part in said:
        assert part in str(caught.value)


def consume(kind, path):
    table = Table.open(kind, str(path))
    table.count_rows()
    return [{role: read(table, role) for role in table.columns}]


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path, suffix):
    columns = {
        "id": ["007", "1e5", "a b", "-0"],
        "text": ["plain", 'says "so", twice', "two\nlines\tand a tab", "漢字 é 🙂"],
    }
    table = Table.open("corpus", str(write(tmp_path / f"c.{suffix}", columns)))
    assert read(table, "id") == columns["id"]
    assert read(table, "text") == columns["text"]
    assert table.count_rows() == 4


@PROPERTY
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=1),
    st.sampled_from(FORMATS),
)
def test_texts_come_through_every_format_unchanged(tmp_path_factory, texts, suffix):
    texts = [f"<{text}>" for text in texts]
    path = write(tmp_path_factory.mktemp("format") / f"c.{suffix}", {"text": texts})
    assert read(Table.open("corpus", str(path)), "text") == texts


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl"])
@pytest.mark.parametrize("word", ["NA", "null", "nan", "None"])
def test_words_that_look_like_null_are_text(tmp_path, suffix, word):
    path = write(tmp_path / f"c.{suffix}", {"id": [word, "b"], "text": ["Namibia", word]})
    table = Table.open("corpus", str(path))
    assert (read(table, "id"), read(table, "text")) == ([word, "b"], ["Namibia", word])


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_strings_that_look_like_dates_are_text(tmp_path, suffix):
    days = ["2024-01-01", "2024-02-02 10:00:00"]
    table = Table.open("corpus", str(write(tmp_path / f"c.{suffix}", {"id": days, "text": days})))
    assert (read(table, "id"), read(table, "text")) == (days, days)


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path, suffix):
    path = write(tmp_path / f"c.{suffix}", {"id": ["007"], "text": ["a"]})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read(Table.open("corpus", str(path)), "id") == ["007"]


def test_unquoted_csv_numbers_stay_as_they_are_written(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("id,text\n007,1\n1.50,2\n0x1F,true\n12345678901234567890123,\x31e3\n")
    table = Table.open("corpus", str(path))
    assert read(table, "id") == ["007", "1.50", "0x1F", "12345678901234567890123"]
    assert read(table, "text") == ["1", "2", "true", "1e3"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_directory_and_a_glob_are_read_in_the_order_of_their_names(tmp_path, suffix):
    for name in ("b", "a", "sub/c"):
        write(tmp_path / f"data/{name}.{suffix}", {"id": [name], "text": [f"text {name}"]})
    (tmp_path / "data" / "notes.txt").write_text("not data")
    (tmp_path / "data" / "_SUCCESS").write_text("")
    assert read(Table.open("corpus", str(tmp_path / "data")), "id") == ["a", "b", "sub/c"]
    assert read(Table.open("corpus", str(tmp_path / f"data/*.{suffix}")), "id") == ["a", "b"]
    assert read(Table.open("corpus", str(tmp_path / f"da?a/[b-z].{suffix}")), "id") == ["b"]
    assert len(find_files(str(tmp_path / f"data/**/*.{suffix}"))) == 3


@pytest.mark.parametrize("pattern", ["", "*.parquet", "**/*.parquet"])
def test_hidden_files_are_no_data(tmp_path, pattern):
    write(tmp_path / "a.parquet", {"text": ["x"]})
    (tmp_path / ".a.parquet").write_text("left by a killed copy")
    assert [file.name for file in find_files(str(tmp_path / pattern))] == ["a.parquet"]


def test_relative_paths_and_globs_are_found(tmp_path, monkeypatch):
    write(tmp_path / "a.parquet", {"text": ["x"]})
    monkeypatch.chdir(tmp_path)
    for path in ("a.parquet", "*.parquet", ".", "./*.parquet"):
        assert [file.name for file in find_files(path)] == ["a.parquet"]


def test_a_file_whose_name_looks_like_a_glob_is_found(tmp_path):
    path = write(tmp_path / "a[1].parquet", {"text": ["x"]})
    assert find_files(str(path)) == [path]


def test_a_missing_path_suggests_names_that_are_near(tmp_path):
    write(tmp_path / "corpus.parquet", {"text": ["x"]})
    refused(
        lambda: find_files(str(tmp_path / "corpsu.parquet")), "corpsu.parquet", "corpus.parquet"
    )
    refused(lambda: find_files(str(tmp_path / "no" / "such" / "folder.parquet")), "folder.parquet")
    refused(lambda: find_files(str(tmp_path / "*.csv")), "*.csv")
    (tmp_path / "empty").mkdir()
    refused(lambda: find_files(str(tmp_path / "empty")), "empty", ".parquet")


def test_mixed_and_unknown_formats_are_refused(tmp_path):
    write(tmp_path / "a.parquet", {"text": ["x"]})
    (tmp_path / "a.doc").write_text("x")
    refused(lambda: find_files(str(tmp_path / "a.doc")), ".doc", ".parquet")
    (tmp_path / "noending").write_text("x")
    refused(lambda: find_files(str(tmp_path / "noending")))
    write(tmp_path / "b.csv", {"text": ["x"]})
    refused(lambda: find_files(str(tmp_path)), ".csv", ".parquet")


@pytest.mark.parametrize(("kind", "columns"), CONVENTIONS)
def test_conventional_columns_are_found(kind, columns):
    assert find_columns(kind, "f", [*reversed(columns.values()), "other"], {}) == columns


@pytest.mark.parametrize(("kind", "columns"), CONVENTIONS)
def test_given_columns_win_over_conventions(kind, columns):
    for role, name in columns.items():
        names = [*columns.values(), "mine"]
        assert find_columns(kind, "f", names, {role: "mine"}) == {**columns, role: "mine"}, name


@pytest.mark.parametrize(
    ("kind", "names", "role"),
    [
        ("corpus", ["id", "body"], "text"),
        ("pairs", ["query", "label"], "positive"),
        ("pairs", ["id", "positive"], "query"),
        ("queries", ["text", "number"], "id"),
        ("qrels", ["query-id", "grade"], "corpus_id"),
    ],
)
def test_a_missing_column_is_an_error_that_lists_the_columns_there_are(tmp_path, kind, names, role):
    path = write(tmp_path / "t.parquet", {name: ["x"] for name in names})
    refused(lambda: Table.open(kind, str(path)), *names, f"--column {kind}.{role}=")


def test_a_given_column_that_is_not_there_is_an_error_even_where_a_convention_fits(tmp_path):
    path = write(tmp_path / "t.parquet", {"query": ["x"], "positive": ["y"], "anchor_text": ["z"]})
    wrong = {"query": "anchor_txt"}
    refused(
        lambda: Table.open("pairs", str(path), wrong), "anchor_txt", "query, positive, anchor_text"
    )
    refused(lambda: Table.open("pairs", str(path), {"query_id": "qid"}), "qid")


def test_an_unknown_role_is_a_usage_error_that_lists_the_roles(tmp_path):
    path = write(tmp_path / "t.parquet", {"text": ["x"]})
    with pytest.raises(UsageError, match=r"corpus\.text"):
        Table.open("corpus", str(path), {"body": "text"})


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_whole_number_ids_become_strings(tmp_path, suffix):
    path = write(tmp_path / f"c.{suffix}", {"id": [7, -1, 2**62], "text": ["a", "b", "c"]})
    assert read(Table.open("corpus", str(path)), "id") == ["7", "-1", str(2**62)]


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.int16(), pa.uint8(), pa.uint32(), pa.int64(), pa.uint64()], ids=str
)
def test_integers_of_every_width_become_strings(tmp_path, kind):
    top = 2**64 - 1 if kind == pa.uint64() else 100
    path = write(tmp_path / "c.parquet", {"id": pa.array([top, 1], kind), "text": ["a", "b"]})
    assert read(Table.open("corpus", str(path)), "id") == [str(top), "1"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (pa.array([1.5]), "1.5 is no id"),
        (pa.array([float("inf")]), "inf is no id"),
        (pa.array([2.0**53]), "cannot tell neighbouring numbers apart"),
        (pa.array([2.0**24], pa.float32()), "cannot tell neighbouring numbers apart"),
        (pa.array([Decimal("1.50")]), "no whole number"),
        (pa.array([b"caf\xe9"]), r"caf\\xe9"),
        (pa.array([b"\xff" * 15], pa.binary(15)), "not UTF-8"),
        (pa.array([b"\xff" * 16], pa.binary(16)), "not UTF-8"),
        (pa.array([True]), "holds bool"),
        (pa.array([{"a": 1}]), r"--column corpus\.id=id\.a"),
        (pa.array([["x"]]), "holds lists"),
        (pa.array([0], pa.timestamp("s")), "Write it as text"),
    ],
    ids=str,
)
def test_ids_that_are_neither_text_nor_whole_numbers_are_refused(tmp_path, values, said):
    path = write(tmp_path / "c.parquet", {"id": values, "text": ["a"]})
    with pytest.raises(InputError, match=said) as caught:
        read(Table.open("corpus", str(path)), "id")
    assert "'id'" in str(caught.value) and str(path) in str(caught.value)
    assert "Cast it to string" not in str(caught.value)


SOME_UUID = uuid.UUID("c73b91cf-cb19-4472-a447-454c5160b4d4")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1.0, None, float("nan"), -0.0]), ["1", None, None, "0"]),
        (pa.array([2.0**53 - 1, -7.0]), [str(2**53 - 1), "-7"]),
        (pa.array([16.0], pa.float16()), ["16"]),
        (pa.array([Decimal(10**37), None, Decimal(-3)], pa.decimal128(38, 0)), None),
        (pa.array([Decimal("2.00")], pa.decimal128(9, 2)), ["2"]),
        (pa.array([Decimal(10**60)], pa.decimal256(76, 0)), [str(10**60)]),
        (pa.array([Decimal(5)], pa.decimal32(9, 0)), ["5"]),
        (pa.array([b"a", None, "é".encode()]), ["a", None, "é"]),
        (pa.array([b"a"], pa.large_binary()), ["a"]),
        (pa.array([b"a"], pa.binary_view()), ["a"]),
        (pa.array([b"abcdefghijklmnop"], pa.binary(16)), ["abcdefghijklmnop"]),
        (pa.array([SOME_UUID.bytes, None], pa.binary(16)), [str(SOME_UUID), None]),
        (pa.array([SOME_UUID.bytes, None], pa.uuid()), [str(SOME_UUID), None]),
        (pa.array([datetime.date(2020, 1, 2)]), ["2020-01-02"]),
        (pa.array(["b", "b", "a"]).dictionary_encode(), ["b", "b", "a"]),
    ],
    ids=str,
)
def test_the_types_of_warehouses_become_strings(values, expected):
    expected = expected or [str(10**37), None, "-3"]
    assert as_strings(values, "id", "f").to_pylist() == expected
    assert as_strings(values[1:], "id", "f").to_pylist() == expected[1:]


def test_what_duckdb_writes_is_read(tmp_path):
    kinds = {"i": "uuid", "h": "hugeint", "u": "ubigint", "b": "blob", "e": "enum('x')"}
    values = f"'{SOME_UUID}', 7, {2**64 - 1}, 'blob', 'x'"
    columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    duckdb.sql(f"create table t ({columns}); insert into t values ({values})")
    duckdb.sql(f"copy t to '{tmp_path / 't.parquet'}'")
    table = pq.read_table(tmp_path / "t.parquet").to_batches()[0]
    found = [as_strings(table[name], name, "f").to_pylist() for name in kinds]
    assert found == [[str(SOME_UUID)], ["7"], [str(2**64 - 1)], ["blob"], ["x"]]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    ],
    ids=str,
)
def test_strings_of_every_arrow_type_are_read(tmp_path, kind):
    values = ["b", "a", None, "b"]
    columns = {"id": pa.array(values).cast(kind), "text": pa.array(values).cast(kind)}
    table = Table.open("corpus", str(write(tmp_path / "c.parquet", columns)))
    assert read(table, "id") == read(table, "text") == values


LIST_ROWS = [["a", "b"], [], None, ["c", None], ["d"]]
FLAT = ([0, 0, 1, 2, 3, 3, 4], ["a", "b", None, None, "c", None, "d"])


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.large_list(pa.string()),
        pa.list_(pa.large_string()),
        pa.list_(pa.string_view()),
        pa.list_view(pa.string()),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
    ],
    ids=str,
)
def test_lists_of_every_arrow_type_are_flattened_and_no_row_is_lost(tmp_path, kind):
    columns = {"query": list("abcde"), "positive": pa.array(LIST_ROWS, kind)}
    table = Table.open("pairs", str(write(tmp_path / "p.parquet", columns)))
    ((_, batch),) = table.batches()
    owner, values = as_string_lists(batch["positive"], "positive", table.path)
    assert (owner.to_pylist(), values.to_pylist()) == FLAT


def test_a_slice_of_a_list_column_is_flattened_by_its_own_rows():
    column = pa.array([["z"], *LIST_ROWS], pa.list_(pa.string()))[1:]
    owner, values = as_string_lists(column, "positive", "f")
    assert (owner.to_pylist(), values.to_pylist()) == FLAT


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["a", None]), (["a", None])),
        (pa.array([1, 2]), (["1", "2"])),
        (pa.array([[], []], pa.list_(pa.null())), [None, None]),
        (pa.array([[1, 2]], pa.list_(pa.int32())), ["1", "2"]),
        (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
    ],
)
def test_what_is_no_list_of_strings_is_flattened_all_the_same(column, expected):
    assert as_string_lists(column, "positive", "f")[1].to_pylist() == expected


@PROPERTY
@given(st.lists(st.none() | st.lists(st.none() | st.text(max_size=2), max_size=3), max_size=8))
def test_flattened_lists_keep_owner_and_order(rows):
    owner, values = as_string_lists(pa.array(rows, pa.list_(pa.string())), "positive", "f")
    expected = [(n, value) for n, row in enumerate(rows) for value in (row or [None])]
    assert list(zip(owner.to_pylist(), values.to_pylist(), strict=True)) == expected


def damaged(tmp_path, case):
    """Write a file that cannot be used, or a folder whose second file cannot."""
    whole = write(
        tmp_path / "whole.parquet", {"id": ["1"] * 50, "text": ["text"] * 50}
    ).read_bytes()
    invalid = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    )
    contents = {
        "truncated.parquet": whole[:-30],
        "half.parquet": whole[: len(whole) // 2],
        "text.parquet": b"id,text\n1,a\n",
        "empty.parquet": b"",
        "empty.csv": b"",
        "empty.tsv": b"",
        "empty.jsonl": b"",
        "header-only.csv": b"id,text\n",
        "blank-lines.jsonl": b"\n\n",
        "ragged.csv": b"id,text\n1,a\n2\n",
        "array.json": b'[{"id": "1", "text": "a"}, {"id": "2", "te',
        "broken.jsonl": b'{"id": "1", "text": "a"}\n{"id": "2", "te',
        "mixed.jsonl": b'{"id": "1", "text": "a"}\n{"id": "2", "text": ["b"]}\n',
        "parquet.jsonl": whole,
        "parquet.csv": whole,
        "not-utf8.csv": b"id,text\n1,\xff\xfe\n",
        "not-utf8.jsonl": b'{"id": "1", "text": "\xff\xfe"}\n',
    }
    path = tmp_path / case
    if case in contents:
        path.write_bytes(contents[case])
    elif case == "no-rows.parquet":
        write(path, {"id": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    elif case == "no-columns.parquet":
        write(path, {})
    elif case == "not-utf8.parquet":
        write(path, {"id": ["1"], "text": invalid})
    elif case == "twice.parquet":
        pq.write_table(
            pa.Table.from_arrays([pa.array(["1"])] * 3, names=["id", "text", "text"]), path
        )
    elif case == "data-damaged.parquet":
        end_of_data = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
        path.write_bytes(b"PAR1" + b"\xff" * (end_of_data - 4) + whole[end_of_data:])
    elif case == "second-truncated":
        path.mkdir()
        (path / "0.parquet").write_bytes(whole)
        (path / "1.parquet").write_bytes(whole[:-30])
    elif case == "second-ragged":
        path.mkdir()
        (path / "0.csv").write_text("id,text\n1,a\n")
        (path / "1.csv").write_text("id,text\n2,b,c\n")
    return path


@pytest.mark.parametrize(
    "case",
    [
        "truncated.parquet",
        "half.parquet",
        "text.parquet",
        "empty.parquet",
        "empty.csv",
        "empty.tsv",
        "empty.jsonl",
        "header-only.csv",
        "blank-lines.jsonl",
        "ragged.csv",
        "array.json",
        "broken.jsonl",
        "mixed.jsonl",
        "parquet.jsonl",
        "parquet.csv",
        "not-utf8.csv",
        "not-utf8.jsonl",
        "not-utf8.parquet",
        "no-rows.parquet",
        "no-columns.parquet",
        "twice.parquet",
        "data-damaged.parquet",
        "second-truncated",
        "second-ragged",
    ],
)
def test_what_cannot_be_read_is_an_input_error_that_names_it(tmp_path, case):
    path = damaged(tmp_path, case)
    refused(lambda: consume("corpus", path), str(path))


def test_rows_are_counted_over_batches_and_files(tmp_path):
    for name, count in (("a", 9000), ("b", 1), ("c", 8192)):
        write(tmp_path / f"{name}.parquet", {"text": [f"{name}{n}" for n in range(count)]})
    table = Table.open("corpus", str(tmp_path))
    position = 0
    for start, batch in table.batches():
        assert start == position
        position += batch.num_rows
    assert position == table.count_rows() == 17193


def test_files_of_a_folder_may_order_their_columns_differently(tmp_path):
    (tmp_path / "a.csv").write_text("id,text\n007,one\n")
    (tmp_path / "b.csv").write_text("text,id\ntwo,008\n")
    table = Table.open("corpus", str(tmp_path))
    assert (read(table, "id"), read(table, "text")) == (["007", "008"], ["one", "two"])


def test_a_column_that_only_a_later_file_has_is_not_dropped_in_silence(tmp_path):
    write(tmp_path / "0.parquet", {"id": ["1"], "text": ["one"]})
    write(tmp_path / "1.parquet", {"id": ["2"], "text": ["two"], "title": ["Title"]})
    try:
        table = Table.open("corpus", str(tmp_path))
        titles = read(table, "title") if "title" in table.columns else None
    except InputError:
        return
    assert titles == [None, "Title"]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (pa.array([1], pa.int32()), pa.array([2**40]), ["1", str(2**40)]),
        (pa.array(["1"]), pa.array([2]), ["1", "2"]),
        (pa.array(["1"]), pa.array(["2"], pa.large_string()), ["1", "2"]),
        (pa.array(["1"]), pa.array(["2"]).dictionary_encode(), ["1", "2"]),
    ],
    ids=["int32 and int64", "string and int", "string and large string", "string and dictionary"],
)
def test_ids_of_files_with_other_types_become_strings(tmp_path, first, second, expected):
    write(tmp_path / "0.parquet", {"id": first, "text": ["a"]})
    write(tmp_path / "1.parquet", {"id": second, "text": ["b"]})
    assert read(Table.open("corpus", str(tmp_path)), "id") == expected


@pytest.mark.parametrize("values", [[2.5], [True]], ids=["float", "bool"])
def test_a_later_file_with_ids_of_a_refused_type_is_refused(tmp_path, values):
    write(tmp_path / "0.parquet", {"id": ["1"], "text": ["a"]})
    write(tmp_path / "1.parquet", {"id": values, "text": ["b"]})
    refused(lambda: consume("corpus", tmp_path))


def test_a_column_that_is_null_in_the_first_file_is_read_in_the_second(tmp_path):
    write(tmp_path / "0.parquet", {"id": ["1"], "text": ["a"], "title": pa.nulls(1)})
    write(tmp_path / "1.parquet", {"id": ["2"], "text": ["b"], "title": ["Title"]})
    assert read(Table.open("corpus", str(tmp_path)), "title") == [None, "Title"]


def test_metadata_columns_are_those_without_a_role(tmp_path):
    path = write(tmp_path / "c.parquet", {"url": ["u"], "id": ["1"], "text": ["a"], "n": [3]})
    assert list(Table.open("corpus", str(path)).metadata) == ["url", "n"]
    assert list(Table.open("corpus", str(path), {"text": "url"}).metadata) == ["text", "n"]


def test_a_fingerprint_is_of_the_content_not_of_the_name_or_the_time(tmp_path):
    one = write(tmp_path / "one.csv", {"id": ["1"], "text": ["a"]})
    same = write(tmp_path / "same.csv", {"id": ["1"], "text": ["a"]})
    other = write(tmp_path / "other.csv", {"id": ["1"], "text": ["b"]})
    prints = [Table.open("corpus", str(path)).fingerprint() for path in (one, same, other)]
    assert prints[0] == prints[1] != prints[2]


def test_a_content_id_depends_on_the_text_alone():
    assert content_id("a") == content_id("a") != content_id("a ")
    assert content_id("\ud800")


def test_bad_rows_are_an_error_that_names_them_or_a_count():
    for mode in ("error", "skip"):
        bad = BadRows(mode)
        for row in range(25):
            bad.add("with null text" if row % 2 else "with null id", f"f.parquet, row {row}")
        if mode == "skip":
            assert bad.settle() == {"with null text": 12, "with null id": 13}
        else:
            refused(
                bad.settle, "25 bad rows", "12 with null text", "13 with null id", "row 0", "skip"
            )
    assert BadRows("error").settle() == {}
    bad = BadRows("error")
    for row in range(12):
        bad.add("with null text", f"f.parquet, row {row}")
    with pytest.raises(InputError, match=r"^12 bad rows with null text\.") as error:
        bad.settle()
    assert error.value.why == "\n".join(f"  f.parquet, row {row}" for row in range(10))


def test_a_column_may_have_two_roles(tmp_path):
    file = tmp_path / "q.parquet"
    pq.write_table(pa.table({"ask": ["why?", "how?"], "topic": ["a", "b"]}), file)
    table = Table.open("queries", str(file), {"id": "ask", "text": "ask"}, ["topic"])
    [found] = text_records(table, BadRows("error"))
    assert found.ids == found.texts == ["why?", "how?"]
    assert found.metadata.to_pylist() == [{"topic": "a"}, {"topic": "b"}]
