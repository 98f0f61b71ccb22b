"""Files as users have them: what is read, what is refused, and what must never be lost silently."""

from __future__ import annotations

import gzip
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hnmine.encode.locate import find_model, read_json
from hnmine.errors import InputError
from hnmine.index.factory import build_faiss
from hnmine.inputs.formats.json_lines import DEEPEST
from hnmine.inputs.listing import list_files
from hnmine.inputs.records import pair_records, text_records
from hnmine.inputs.table_reader import BadRows, Table

ROW = {"id": ["a"], "text": ["x"]}


def find_files(path):
    return [file.path for file in list_files(path)]


def corpus(path, bad=None):
    """Read a corpus: ids, texts and metadata of its rows."""
    batches = list(text_records(Table.open("corpus", str(path)), bad or BadRows("error")))
    assert Table.open("corpus", str(path)).count_rows() >= sum(len(batch.ids) for batch in batches)
    metadata = [batch.metadata for batch in batches if batch.metadata is not None]
    return (
        [name for batch in batches for name in batch.ids],
        [text for batch in batches for text in batch.texts],
        [row for array in metadata for row in array.to_pylist()],
    )


def refused(path, *said):
    with pytest.raises(InputError) as caught:
        corpus(path)
    for part in said:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('id,text\n1,"a\n2,b\n3,c\n', "Line 2: a quote is opened and never closed"),
        ('id,text\n1,"a\n2,b\n3,"c\n4,d\n', "expected after"),
        ("id,text\n1,a\n2,b,c\n", "Line 3: It has 3 columns"),
        ("\n\n", "empty"),
    ],
)
def test_a_quote_left_open_swallows_no_rows(tmp_path, text, said):
    (tmp_path / "c.csv").write_text(text)
    refused(tmp_path / "c.csv", "c.csv", said)


def test_csv_of_more_than_one_batch_and_values_of_megabytes(tmp_path):
    values = [f"text {n}" for n in range(20_000)]
    values[7] = "word, " * 500_000
    with (tmp_path / "c.csv").open("w") as file:
        file.write("id,text\n\n")
        file.writelines(f'{n},"{value}"\n' for n, value in enumerate(values))
    ids, texts, _ = corpus(tmp_path / "c.csv")
    assert (ids, texts) == ([str(n) for n in range(20_000)], values)


@pytest.mark.parametrize("depth", [DEEPEST - 5, 500, 100_000])
@pytest.mark.parametrize("signs", ['{"a":}', "[]"])
def test_json_nested_so_deeply_that_arrow_would_crash(tmp_path, depth, signs):
    nested = signs[:-1] * depth + "1" + signs[-1] * depth
    (tmp_path / "c.jsonl").write_text(f'{{"id": "1", "text": "x", "deep": {nested}}}\n')
    if depth < DEEPEST:
        assert corpus(tmp_path / "c.jsonl")[0] == ["1"]
    else:
        refused(tmp_path / "c.jsonl", "Line 1", "nested")


def test_brackets_in_a_text_are_no_nesting(tmp_path):
    text = '[{"\\' * 5000
    (tmp_path / "c.jsonl").write_text(json.dumps({"id": "1", "text": text}) + "\n")
    assert corpus(tmp_path / "c.jsonl")[1] == [text]


@pytest.mark.parametrize("line", ["null", "[]", '{"id": "2", "text": "y"', '{"id":\n"2"}', "x"])
def test_a_line_that_is_no_object_is_named(tmp_path, line):
    (tmp_path / "c.jsonl").write_text(f'\n{{"id": "1", "text": "x"}}\n{line}\n')
    refused(tmp_path / "c.jsonl", "Line 3")


def test_jsonl_of_several_blocks_may_change_its_columns(tmp_path, monkeypatch):
    monkeypatch.setattr("hnmine.inputs.formats.json_lines.JSON_BLOCK", 200)
    lines: list[dict[str, object]] = [{"id": n, "text": f"x {n}", "n": n} for n in range(50)]
    lines += [{"id": f"s{n}", "text": "2024-01-01", "title": "T", "n": 0.5} for n in range(50)]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ids, texts, metadata = corpus(tmp_path / "c.jsonl")
    assert ids == [str(row["id"]) for row in lines]
    assert texts == [f"x {n}" for n in range(50)] + ["T 2024-01-01"] * 50
    assert metadata == [{"n": row["n"]} for row in lines]


def test_metadata_of_every_type_is_kept(tmp_path):
    plain = pa.table({"id": ["a", "b"], "text": ["x", "y"], "metadata": ["m", None], "a.b": [1, 2]})
    category = pa.array(["u", "v"]).dictionary_encode()
    columns = {
        "category": category,
        "nested": pa.StructArray.from_arrays([category], names=["c"]),
        "view": pa.array([["u"], None], pa.list_view(pa.string())),
        "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
        "fixed": pa.array([[1, 2], None], pa.list_(pa.int8(), 2)),
        "bytes": pa.array([b"\xff", None]),
        "null": pa.nulls(2),
        "": pa.array(["e", "e"]),
    }
    for name, column in columns.items():
        plain = plain.append_column(name, column)
    pq.write_table(plain, tmp_path / "c.parquet")
    expected = plain.drop_columns(["id", "text"]).to_pylist()
    assert corpus(tmp_path / "c.parquet")[2] == expected


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ({"m": [1]}, {"m": [1.5]}, [{"m": 1.0}, {"m": 1.5}]),
        ({"m": [None]}, {"m": ["s"]}, [{"m": None}, {"m": "s"}]),
        ({"m": [1]}, {"k": ["s"]}, [{"m": 1, "k": None}, {"m": None, "k": "s"}]),
        (
            {"m": [{"a": 1}]},
            {"m": [{"b": 2}]},
            [{"m": {"a": 1, "b": None}}, {"m": {"a": None, "b": 2}}],
        ),
        ({"m": [1]}, {"m": ["s"]}, None),
    ],
)
def test_metadata_of_files_that_differ_has_one_type_or_is_refused(tmp_path, first, second, kept):
    pq.write_table(pa.table(ROW | first), tmp_path / "0.parquet")
    pq.write_table(pa.table({"id": ["b"], "text": ["y"]} | second), tmp_path / "1.parquet")
    if kept is None:
        refused(tmp_path, "'m'", "int64", "string", "1.parquet")
    else:
        assert corpus(tmp_path)[2] == kept


def test_a_file_without_a_column_that_the_others_have_is_named(tmp_path):
    pq.write_table(pa.table(ROW), tmp_path / "0.parquet")
    pq.write_table(pa.table({"id": ["b"], "body": ["y"]}), tmp_path / "1.parquet")
    refused(tmp_path, "1.parquet", "'text'", "id, body")
    pq.write_table(pa.table({"text": ["y"]}), tmp_path / "1.parquet")
    bad = BadRows("error")
    assert corpus(tmp_path, bad)[0] == ["a"]
    with pytest.raises(InputError, match="1 bad row with null or blank id"):
        bad.settle()


def test_two_columns_of_one_name_are_named(tmp_path):
    columns = [pa.array(["1"])] * 3
    pq.write_table(
        pa.Table.from_arrays(columns, names=["id", "text", "text"]), tmp_path / "c.parquet"
    )
    refused(tmp_path / "c.parquet", "two columns named 'text'")
    (tmp_path / "c.csv").write_text("id,text,text\n1,a,b\n")
    refused(tmp_path / "c.csv", "two columns named 'text'")


def test_row_groups_without_rows(tmp_path):
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(tmp_path / "c.parquet", schema) as writer:
        for table in (schema.empty_table(), pa.table(ROW), schema.empty_table()):
            writer.write_table(table)
    assert corpus(tmp_path)[:2] == (["a"], ["x"])


def test_a_folder_is_read_whole_or_not_at_all(tmp_path):
    """What is hidden, or hnmine's own, is no data; what is packed, or spelt LIKE.THIS, is."""
    for name in ("a.parquet", "sub/b.parquet", ".hidden/c.parquet", "_old/d.parquet", "E.PARQUET"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table(ROW), tmp_path / name)
    (tmp_path / "run" / ".hnmine").mkdir(parents=True)
    (tmp_path / "run" / "manifest.json").write_text("{}")
    (tmp_path / "README.md").write_text("text")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    names = [str(file.relative_to(tmp_path)) for file in find_files(str(tmp_path))]
    assert names == ["E.PARQUET", "a.parquet", "sub/b.parquet"]
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b"{}"))
    refused(tmp_path, ".gz", "unpacked")


def test_a_glob_finds_the_folders_that_spark_writes(tmp_path):
    (tmp_path / "c.parquet").mkdir()
    pq.write_table(pa.table(ROW), tmp_path / "c.parquet" / "part-0.snappy.parquet")
    (tmp_path / "c.parquet" / "_SUCCESS").touch()
    for pattern in ("*.parquet", "**/*.parquet", "c.parquet"):
        assert len(find_files(str(tmp_path / pattern))) == 1


def test_a_folder_with_a_broken_link_is_refused(tmp_path):
    pq.write_table(pa.table(ROW), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").symlink_to("gone.parquet")
    refused(tmp_path, "b.parquet")


def test_a_file_that_grows_while_it_is_read_is_an_error(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"id": "1", "text": "x"}\n')
    table = Table.open("corpus", str(path))
    path.write_text('{"id": "1", "text": "x"}\n' * 2)
    with pytest.raises(InputError, match=r"c\.jsonl changed while it was read"):
        list(table.batches())


def test_rows_with_another_number_of_ids_are_skipped_and_counted(tmp_path):
    columns = {
        "query": ["a", "b", "c"],
        "positive": [["x", "y"], ["z"], ["w"]],
        "positive_ids": [["1"], ["2"], ["3"]],
    }
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    bad = BadRows("skip")
    (batch,) = pair_records(Table.open("pairs", str(tmp_path)), bad)
    assert (batch.positive_ids, batch.positives, batch.rows) == (["2", "3"], ["z", "w"], [1, 2])
    assert sum(bad.counts.values()) == 2


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_a_damaged_file_of_a_model_is_named(tmp_path, content):
    from hnmine.errors import MissingModel

    (tmp_path / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(MissingModel, match=r"config\.json is damaged"):
        read_json(tmp_path, "config.json")
    for name in ("pkg:", "pkg:.x/y", "pkg:no.such/x", "pkg:json/no"):
        with pytest.raises(MissingModel):
            find_model(name)


def test_an_index_that_faiss_cannot_write_can_be_gone_on_with(tmp_path):
    import numpy as np

    from hnmine.errors import PartialRun

    np.save(tmp_path / "v.npy", np.eye(8, dtype=np.float32))
    with pytest.raises(PartialRun, match="cannot write"):
        build_faiss("HNSW4", [tmp_path / "v.npy"], tmp_path / "no" / "index.faiss", 1)


if os.geteuid() != 0:  # Root is above permission bits.

    def test_a_folder_that_may_not_be_read_is_not_passed_over(tmp_path):
        pq.write_table(pa.table(ROW), tmp_path / "a.parquet")
        (tmp_path / "closed").mkdir(mode=0)
        refused(tmp_path, "closed")


def test_names_that_are_no_unicode(tmp_path):
    info = pa.array([{"name_in_it": 1}])
    pq.write_table(pa.table(ROW | {"info": info}), tmp_path / "c.parquet", store_schema=False)
    whole = (tmp_path / "c.parquet").read_bytes()
    (tmp_path / "c.parquet").write_bytes(whole.replace(b"name_in_it", b"name\xee\xff_it"))
    refused(tmp_path, "c.parquet")
