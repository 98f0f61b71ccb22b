"""What people's data lies in: packed files, JSON arrays, saved and cloned data sets, partitions."""

from __future__ import annotations

import bz2
import gzip
import json
import random
import re

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hnmine as api
from hnmine.errors import InputError
from hnmine.inputs.data_files import DataFile
from hnmine.inputs.formats import json_lines
from hnmine.inputs.listing import list_files
from hnmine.inputs.records import pair_records, text_records
from hnmine.inputs.splits import fits
from hnmine.inputs.table_reader import BadRows, Table
from hnmine.runner import incidents

ROWS = [{"id": f"d{n}", "text": f'text {n} [of] {{a}} "kettle"\n\\ é🙂'} for n in range(50)]


def zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstd}


def find_files(path):
    return [file.path for file in list_files(path)]


def lines(rows=ROWS):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def read(path, bad=None, **more):
    """Return the ids and texts of a corpus."""
    table = Table.open("corpus", str(path), **more)
    bad = bad or BadRows("error")
    batches = list(text_records(table, bad))
    bad.settle()
    return [pair for batch in batches for pair in zip(batch.ids, batch.texts, strict=True)]


def plain(rows=ROWS):
    return [(row["id"], row["text"]) for row in rows]


def refused(work, *said):
    with pytest.raises(InputError) as caught:
        work()
    for part in said:
        assert part in str(caught.value)


def said(work):
    incidents.drain()
    work()
    return "\n".join(incidents.drain())


# Packed files


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("name", ["c.jsonl", "c.json", "c.ndjson", "c.csv", "c.tsv"])
def test_packed_files_are_read_like_those_that_are_not(tmp_path, packing, name):
    content = lines()
    if name.endswith("sv"):
        sign = "," if name.endswith(".csv") else "\t"
        rows = [("id", "text"), *((row["id"], f"text {n}") for n, row in enumerate(ROWS))]
        content = "".join(sign.join(row) + "\n" for row in rows).encode()
    (tmp_path / name).write_bytes(content)
    expected = read(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / (name + packing)).write_bytes(PACK[packing](content))
    assert read(tmp_path / (name + packing)) == read(tmp_path) == expected


@pytest.mark.parametrize("packing", PACK)
def test_a_packed_file_that_is_cut_or_goes_on_is_refused(tmp_path, packing):
    whole = PACK[packing](lines())
    file = tmp_path / f"c.jsonl{packing}"
    for content in (*(whole[:end] for end in (20, len(whole) // 2, -1)), whole + b"garbage"):
        file.write_bytes(content)
        refused(lambda: read(file), str(file))
    file.write_bytes(whole + whole)
    assert len(Table.open("corpus", str(file)).files[0].types) == 2
    assert DataFile.open(file).count_rows() == 2 * len(ROWS)


def test_a_bomb_ends_in_a_clear_error(tmp_path, monkeypatch):
    for module in ("text", "json_layout"):
        monkeypatch.setattr(f"hnmine.inputs.formats.{module}.LONGEST_VALUE", 1 << 20)
    monkeypatch.setattr(json_lines, "JSON_BLOCK", 1 << 18)
    for start, what in ((b'{"id": "1", "text": "', "Line 1"), (b'[{"text": "', "Line 1")):
        (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(start + b"x" * (1 << 24)))
        refused(lambda: read(tmp_path / "c.jsonl.gz"), what, "longer than 1,048,576 bytes")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("c.parquet.gz", "pack their own columns"),
        ("c.jsonl.lz4", "are unpacked"),
        ("c.jsonl.xz", "are unpacked"),
        ("c.zip", "c.jsonl.gz"),
        ("c.gz", "c.jsonl.gz"),
    ],
)
def test_what_is_packed_otherwise_is_named(tmp_path, name, what):
    (tmp_path / name).write_bytes(b"x")
    refused(lambda: find_files(str(tmp_path / name)), name[1:], what)


def test_a_file_that_is_there_packed_and_unpacked_is_not_read_twice(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(lines())
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines()))
    refused(lambda: find_files(str(tmp_path)), "packed and unpacked")


# JSON that is not one object a line


ARRAYS = {
    "one line": json.dumps(ROWS),
    "a row a line": "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
    "pretty": json.dumps(ROWS, indent=2),
    "with a BOM": "\ufeff" + json.dumps(ROWS, indent=1, ensure_ascii=False),
    "in an object": json.dumps({"data": ROWS}),
    "in a pretty object": json.dumps({"rows": ROWS}, indent=2),
    "data beside others": json.dumps({"version": 2, "data": ROWS, "info": {"a": [1]}}, indent=2),
    "objects that follow": "\n".join(json.dumps(row, indent=2) for row in ROWS),
    "lines": lines().decode(),
    "lines with blanks": "\n" + lines().decode().replace("\n", "\r\n\n"),
}


@pytest.mark.parametrize("name", ["c.json", "c.json.gz"])
@pytest.mark.parametrize("layout", ARRAYS)
@pytest.mark.parametrize("block", [50, 1 << 24])
def test_json_is_read_however_its_rows_lie(tmp_path, monkeypatch, layout, name, block):
    monkeypatch.setattr(json_lines, "JSON_BLOCK", block)
    monkeypatch.setattr("hnmine.inputs.formats.json_layout.READ", block)
    content = ARRAYS[layout].encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert read(tmp_path / name) == plain()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (json.dumps(ROWS)[:-1], "Line 1: the file ends too early"),
        (json.dumps(ROWS, indent=1)[:-9], "a string does not end"),
        (json.dumps(ROWS)[:-1] + ",]", "','"),
        (json.dumps(ROWS) + json.dumps(ROWS), "more follows the list"),
        ("[{}\n, 5]", "Line 2: ', 5' stands where a row"),
        (json.dumps({"data": ROWS})[:-1], "ends before its first object does"),
        (json.dumps({"train": ROWS, "test": ROWS}), "jq -c '.train[]' c.json"),
        ('{"id": {"0": "a", "1": "b"}, "text": {"0": "x", "1": "y"}}', "orient='records'"),
        ('{"columns": ["id"], "index": [0], "data": [["a"]]}', "orient='records'"),
        ('{"id": ["a", "b"], "text": ["x", "y"]}', "orient='records'"),
        (json.dumps({row["id"]: row for row in ROWS}), "to_entries[]"),
        (json.dumps({f"q{n}": "text" for n in range(200)}), "text: .value"),
        ('[{"id": "1", "text": "a\nb"}]', "Line 1: a string does not end"),
        (json.dumps(ROWS).encode("utf-16-le"), "--encoding utf-16-le"),
    ],
)
def test_json_that_is_no_list_of_rows_is_named_with_the_fix(tmp_path, content, what):
    file = tmp_path / "c.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(lambda: read(file), str(file), what)


def test_a_byte_order_mark_says_the_encoding(tmp_path):
    (tmp_path / "c.json").write_bytes(json.dumps(ROWS).encode("utf-16"))
    assert read(tmp_path / "c.json") == plain()


def test_what_is_left_out_of_an_object_is_said(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"version": 1, "data": ROWS}))
    assert "'version' is left out" in said(lambda: read(tmp_path / "c.json"))


# Lines that are no rows


BAD = {
    2: b'{"id": "a", "text": "cut',
    4: b'{"id": "b", "text": "\xff"}',
    5: b'["no", "object"]',
    7: b'{"id": "c", "text": "x", "text": "y"}',
    8: b'{"id": "d", "text": "\\ud83d"}',
    9: b'{"id": "e", "text": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    11: b'{"id": "f", "text": ["a list"]}',
    12: b'{"id": "g", "text": {"an": "object"}}',
    14: b'{"id": "h", "text": "two"} {"id": "i", "text": "rows"}',
}


@pytest.mark.parametrize("block", [300, 1 << 24])
def test_bad_lines_are_named_by_their_line_or_skipped_and_counted(tmp_path, monkeypatch, block):
    monkeypatch.setattr(json_lines, "JSON_BLOCK", block)
    good = [json.dumps(row).encode() for row in ROWS]
    for line, content in BAD.items():
        good.insert(line - 1, content)
    (tmp_path / "c.jsonl").write_bytes(b"\n".join(good))
    refused(lambda: read(tmp_path / "c.jsonl"), "Line 2: ", "Line 4: ", "--on-bad-row skip")
    bad = BadRows("skip")
    assert read(tmp_path / "c.jsonl", bad) == plain()
    assert bad.counts.total() == len(BAD)
    named = [int(line) for line in re.findall(r"[Ll]ine (\d+)", "\n".join(bad.examples))]
    assert set(named) <= set(BAD) and len(named) == len(set(named))
    index = api.build_index(
        corpus=str(tmp_path / "c.jsonl"), index=tmp_path / "i", dense=False, on_bad_row="skip"
    )
    assert sum(n for name, n in index.counts.items() if name.startswith("skipped")) == len(BAD)
    assert index.counts["documents_rows"] == len(ROWS)


def test_a_bad_line_far_down_is_named_by_its_line_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "JSON_BLOCK", 1 << 12)
    content = [json.dumps({"id": n, "text": f"text {n}"}) for n in range(2000)]
    content[1700] = '{"id": 1, "text": '
    (tmp_path / "c.jsonl").write_text("\n".join(content))
    refused(lambda: read(tmp_path / "c.jsonl"), "Line 1701: it is not one whole JSON object")


def test_a_bad_row_of_an_array_is_named_by_the_line_where_it_begins(tmp_path):
    rows = json.dumps(ROWS[:3], indent=1).replace('"d1"', '"\\ud800"')
    (tmp_path / "c.json").write_text(rows)
    refused(lambda: read(tmp_path / "c.json"), "Line 6: half of a surrogate pair")
    bad = BadRows("skip")
    assert read(tmp_path / "c.json", bad) == plain([ROWS[0], ROWS[2]])


# Types that change


@pytest.mark.parametrize("block", [60, 1 << 24])
@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([1, "x1", 2], ["1", "x1", "2"]),
        ([17293822569102704640, 17293822569102704641], None),
        ([2**64, 2**64 + 1, 5], None),
        ([-(2**63) - 1, 2**63], None),
        ([2**53 + 1, "7"], None),
    ],
)
def test_ids_keep_every_digit(tmp_path, monkeypatch, values, kept, block):
    monkeypatch.setattr(json_lines, "JSON_BLOCK", block)
    rows = [{"id": value, "text": f"text {n}"} for n, value in enumerate(values)]
    (tmp_path / "c.jsonl").write_bytes(lines(rows))
    assert [name for name, _ in read(tmp_path / "c.jsonl")] == (kept or list(map(str, values)))


@pytest.mark.parametrize("block", [60, 1 << 24])
@pytest.mark.parametrize(
    "values",
    [
        ["1999", 1999, None, 19.5],
        [True, 1, "x"],
        [[1, "x"], {"a": 1}, "x"],
        [{"a": 1}, {"a": "x"}, {"b": [None, 2.5]}],
        [2**60 + 1, 1.5],
        [float("nan"), "x"],
    ],
)
def test_metadata_of_several_types_is_no_fault(tmp_path, monkeypatch, values, block):
    monkeypatch.setattr(json_lines, "JSON_BLOCK", block)
    rows = [row | {"year": value} for row, value in zip(ROWS, values, strict=False)]
    (tmp_path / "c.jsonl").write_bytes(lines(rows))
    table = Table.open("corpus", str(tmp_path / "c.jsonl"))
    found = [row for batch in text_records(table, BadRows("error")) for row in batch.metadata]
    assert len(found) == len(values)
    api.build_index(corpus=str(tmp_path / "c.jsonl"), index=tmp_path / "i", dense=False)
    if {str, int} <= set(map(type, values)):
        assert str(found[1].as_py()["year"]) in ("1999", "1")
        notes = said(lambda: Table.open("corpus", str(tmp_path / "c.jsonl")))
        assert "'year' holds values of several types" in notes


def test_positives_may_be_a_text_or_a_list(tmp_path):
    rows = [
        {"query": "a", "positive": "one"},
        {"query": "b", "positive": ["two", "three"]},
        {"query": "c", "positive": {"text": "no"}},
    ]
    (tmp_path / "p.jsonl").write_bytes(lines(rows[:2]))
    table = Table.open("pairs", str(tmp_path / "p.jsonl"))
    [batch] = pair_records(table, BadRows("error"))
    assert batch.positives == ["one", "two", "three"]
    (tmp_path / "p.jsonl").write_bytes(lines(rows))
    table = Table.open("pairs", str(tmp_path / "p.jsonl"))
    refused(lambda: list(pair_records(table, BadRows("error"))), "Line 3", "'positive'")


def test_nan_is_a_number_and_no_text(tmp_path):
    (tmp_path / "c.jsonl").write_text(
        '{"id": "a", "text": "x", "title": NaN, "n": NaN}\n'
        '{"id": "b", "text": "y", "title": "T", "n": Infinity}\n'
    )
    assert read(tmp_path / "c.jsonl") == [("a", "x"), ("b", "T y")]


# Folders


def test_a_saved_data_set_is_read_without_its_library(tmp_path):
    pairs = [
        {"query": f"q{n}", "positive": f"p{n}", "score": 1.5, "tags": ["x"]} for n in range(90)
    ]
    saved = datasets.Dataset.from_list(pairs).filter(lambda row: row["query"] != "q7")
    saved.save_to_disk(tmp_path / "saved", num_shards=3)
    (tmp_path / "saved" / "cache-1234.arrow").write_bytes(b"left by a map")
    table = Table.open("pairs", str(tmp_path / "saved"))
    assert table.count_rows() == 89
    queries = [query for batch in pair_records(table, BadRows("error")) for query in batch.queries]
    assert queries == [f"q{n}" for n in range(90) if n != 7]
    (tmp_path / "saved" / "data-00001-of-00003.arrow").unlink()
    folder = str(tmp_path / "saved")
    refused(lambda: find_files(folder), "data-00001-of-00003.arrow", "does not exist")


def test_a_saved_data_set_with_splits(tmp_path):
    one = datasets.Dataset.from_list([{"query": "q", "positive": "p"}])
    datasets.DatasetDict({"hard": one, "easy": one}).save_to_disk(tmp_path)
    refused(lambda: find_files(str(tmp_path)), "'easy' (1 file), 'hard' (1 file)", "--split easy")
    [file] = list_files(str(tmp_path), ["hard"])
    assert file.path.parent.name == "hard"


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_arrow_files_that_are_cut_anywhere_are_refused(tmp_path, kind):
    table = pa.table({"id": [str(n) for n in range(300)], "text": ["a text"] * 300})
    file = tmp_path / "c.arrow"
    make = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with make(str(file), table.schema) as writer:
        writer.write_table(table, max_chunksize=50)
    assert len(read(file)) == 300
    whole = file.read_bytes()
    for end in range(0, len(whole), 97):
        file.write_bytes(whole[:end])
        refused(lambda: read(file), str(file))


CARD = """---
configs:
- config_name: pairs
  data_files:
  - split: train
    path: ["pairs/train-*"]
  - {split: test, path: pairs/test.jsonl}
- config_name: corpus
  data_files: corpus/*.jsonl
---
"""


@pytest.fixture
def clone(tmp_path):
    for name in ("pairs/train-1", "pairs/train-2", "pairs/test", "corpus/a", "other/b"):
        file = tmp_path / "clone" / f"{name}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(lines([row | {"query": "q", "positive": name} for row in ROWS[:2]]))
    for name in (".git/x.jsonl", "dataset_infos.json", "README.md", ".gitattributes"):
        (tmp_path / "clone" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "clone" / name).write_text("{}")
    return tmp_path / "clone"


def names(found, root):
    return [file.path.relative_to(root).as_posix() for file in found]


def test_the_card_of_a_clone_says_which_files_are_what(clone):
    (clone / "README.md").write_text(CARD)
    refused(lambda: find_files(str(clone)), "'pairs/train' (2 files)", "'corpus/train' (1 file)")
    chosen = {
        "pairs/train": ["pairs/train-1.jsonl", "pairs/train-2.jsonl"],
        "test": ["pairs/test.jsonl"],
        "corpus": ["corpus/a.jsonl"],
        "pairs/train,pairs/test": [
            "pairs/train-1.jsonl",
            "pairs/train-2.jsonl",
            "pairs/test.jsonl",
        ],
    }
    for split, expected in chosen.items():
        assert names(list_files(str(clone), split.split(",")), clone) == expected
    refused(lambda: list_files(str(clone), ["pairs"]), "several splits")
    refused(lambda: list_files(str(clone), ["nothing"]), "no split 'nothing'")


@pytest.mark.parametrize(
    "card",
    [
        "no front matter",
        "---\n{[\n---\n",
        "---\nconfigs: 5\n---\n",
        "---\nconfigs: [5, {data_files: [5, {split: x}]}]\n---\n",
        "---\nconfigs: [{data_files: ../../etc/passwd}]\n---\n",
        "---\nconfigs: [{data_files: '/etc/*'}]\n---\n",
        f"---\nconfigs: [{{data_files: '{'*a' * 200}'}}]\n---\n",
        "---\nconfigs: [{data_dir: ../.., config_name: x}]\n---\n",
        "---\nconfigs: [{data_files: '[z-a]['}]\n---\n",
    ],
)
def test_a_card_that_says_nothing_of_use_is_passed_over(clone, card):
    (clone / "README.md").write_text(card)
    found = list_files(str(clone), ["all"])
    assert len(found) == 5


@pytest.mark.parametrize(
    ("name", "pattern", "so"),
    [
        ("a/b.csv", "a/*", True),
        ("a/b/c.csv", "a/*", False),
        ("a/b/c.csv", "a/**", True),
        ("c.csv", "**/*.csv", True),
        ("c.csv", "./c.csv", True),
        ("c1.csv", "c[0-9].csv", True),
        ("c1.csv", "c[!0-9].csv", False),
        ("c.csv", "c?csv", True),
        ("cxcsv", "c.csv", False),
    ],
)
def test_patterns_of_a_card(name, pattern, so):
    assert fits(name, pattern) is so


@pytest.mark.parametrize(
    "layout",
    [
        ["train.jsonl", "test.jsonl"],
        ["train/a.jsonl", "test/a.jsonl"],
        ["data/x-train-00000-of-00002.jsonl", "data/x_test.jsonl"],
        ["beir/qrels-train.jsonl", "beir/qrels-dev.jsonl", "beir/qrels-test.jsonl"],
        ["queries-00000-of-00001.jsonl", "corpus-00000-of-00001.jsonl"],
    ],
)
def test_splits_in_one_folder_must_be_chosen(tmp_path, layout):
    for name in layout:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(lines())
    refused(lambda: find_files(str(tmp_path)), "has several splits", "--split")
    refused(lambda: find_files(f"{tmp_path}/**/*.jsonl"), "has several splits")
    assert len(list_files(str(tmp_path), ["all"])) == len(layout)
    if "train" in layout[0]:
        assert len(list_files(str(tmp_path), ["train"])) == 1
        assert len(list_files(str(tmp_path), ["train", "test"])) == 2
    assert find_files(str(tmp_path / layout[0])) == [tmp_path / layout[0]]


def test_one_split_is_read_and_said(tmp_path):
    for name in ("train-1.jsonl", "train-2.jsonl"):
        (tmp_path / name).write_bytes(lines())
    notes = said(lambda: Table.open("corpus", str(tmp_path)))
    assert "reads 'train', the only split" in notes
    assert len(list_files(str(tmp_path), ["training"])) == 2
    refused(lambda: list_files(str(tmp_path), ["test"]), "no split 'test'", "'train' (2 files)")
    assert len(list_files(str(tmp_path), ["test"], strict=False)) == 2


def test_names_of_one_split_and_none_are_one_input(tmp_path):
    for name in ("train-stations.jsonl", "rivers.jsonl"):
        (tmp_path / name).write_bytes(lines())
    assert len(find_files(str(tmp_path))) == 2


def test_split_is_a_setting_of_the_commands(tmp_path):
    for name in ("train", "test"):
        rows = [{"query": f"{name} {n}", "positive": f"{name} text {n}"} for n in range(3)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    shared = {"pairs": str(tmp_path), "dense": False}
    refused(lambda: api.build_index(**shared, index=tmp_path / "i"), "'test' (1 file)")
    for split, count in (("test", 3), ("train,test", 6), ("all", 6)):
        built = api.build_index(**shared, index=tmp_path / "i", split=split, overwrite=True)
        assert built.counts["documents_rows"] == count


def test_folders_named_after_values_are_columns(tmp_path):
    for lang in ("en", "de", "__HIVE_DEFAULT_PARTITION__", "a%2Fb"):
        folder = tmp_path / f"lang={lang}" / "year=2024"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"id": [lang], "text": ["t"]}), folder / "part-0.parquet")
        (folder / ".part-0.parquet.crc").write_bytes(b"x")
    (tmp_path / "_SUCCESS").write_bytes(b"")
    for path in (str(tmp_path), f"{tmp_path}/*/*/*.parquet", f"{tmp_path}/lang=*"):
        table = Table.open("corpus", path)
        found = [row.as_py() for b in text_records(table, BadRows("error")) for row in b.metadata]
        assert {row["lang"] for row in found} == {"en", "de", None, "a/b"}
        assert {row["year"] for row in found} == {"2024"}
    given = Table.open("corpus", str(tmp_path), {"title": "year"})
    texts = [text for batch in text_records(given, BadRows("error")) for text in batch.texts]
    assert texts == ["2024 t"] * 4
    before = Table.open("corpus", str(tmp_path)).fingerprint()
    (tmp_path / "lang=en").rename(tmp_path / "lang=fr")
    assert Table.open("corpus", str(tmp_path)).fingerprint() != before


@pytest.mark.parametrize(
    "about", ["dataset_infos.json", "metadata.json", "README.md", "_SUCCESS", ".c.crc", "notes.txt"]
)
def test_files_about_the_data_are_no_data(tmp_path, about):
    pq.write_table(pa.table({"id": ["1"], "text": ["x"]}), tmp_path / "c.parquet")
    (tmp_path / about).write_text('{"default": {"splits": {}}}')
    assert find_files(str(tmp_path)) == [tmp_path / "c.parquet"]
    assert find_files(f"{tmp_path}/*") == [tmp_path / "c.parquet"]


def test_json_rows_beside_parquet_are_two_formats(tmp_path):
    pq.write_table(pa.table({"id": ["1"], "text": ["x"]}), tmp_path / "c.parquet")
    for content in (lines(), json.dumps(ROWS).encode()):
        (tmp_path / "more.json").write_bytes(content)
        refused(lambda: find_files(str(tmp_path)), "Cannot tell the format")


def test_a_pointer_of_git_lfs_is_named(tmp_path):
    (tmp_path / "c.parquet").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    )
    refused(lambda: read(tmp_path / "c.parquet"), "git lfs pull")


# Damage


def test_a_damaged_byte_never_loses_rows(tmp_path):
    """Right rows, or an error: of every container, whatever byte is flipped or cut."""
    rng = random.Random(1)
    table = pa.table({"id": [row["id"] for row in ROWS], "text": [row["text"] for row in ROWS]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=9)
    whole = {
        "c.arrow": sink.getvalue().to_pybytes(),
        "a.json": json.dumps(ROWS, indent=1).encode(),
        "o.json": json.dumps({"data": ROWS}).encode(),
        **{f"c.jsonl{end}": pack(lines()) for end, pack in PACK.items()},
    }
    read_whole = 0
    for name, content in whole.items():
        for number in range(150):
            damaged = bytearray(content)
            at = rng.randrange(len(damaged))
            if number % 3:
                damaged[at] ^= 1 << rng.randrange(8)
            else:
                del damaged[at:]
            (tmp_path / name).write_bytes(damaged)
            try:
                found = read(tmp_path / name)
            except InputError:
                continue
            assert len(found) == len(ROWS), (name, number)
            read_whole += 1
    assert read_whole > 20


def test_a_list_where_others_have_text_is_a_bad_row(tmp_path):
    rows = [{"id": "a", "text": "apple"}, {"id": "b", "text": ["x"]}, {"id": "c", "text": "fine"}]
    (tmp_path / "c.jsonl").write_bytes(lines(rows))
    refused(lambda: read(tmp_path / "c.jsonl"), "Line 2", "--on-bad-row skip")
    assert read(tmp_path / "c.jsonl", BadRows("skip")) == [("a", "apple"), ("c", "fine")]


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_a_packed_file_whose_name_does_not_say_so_is_named(tmp_path, packing):
    (tmp_path / "c.jsonl").write_bytes(PACK[packing](lines()))
    refused(lambda: read(tmp_path / "c.jsonl"), f"c.jsonl{packing}")


def test_whole_floats_among_ids_are_whole_numbers(tmp_path):
    rows = [{"id": 2.0, "text": "a"}, {"id": "x", "text": "b"}, {"id": 3, "text": "c"}]
    (tmp_path / "c.jsonl").write_bytes(lines(rows))
    assert [one for one, _ in read(tmp_path / "c.jsonl")] == ["2", "x", "3"]
