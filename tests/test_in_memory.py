"""Tables and models in memory, where the functions take paths."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import rows

import hnmine as api
from hnmine.errors import HnmineError, UsageError
from hnmine.in_memory import is_table, keep_model, record_batches, write_table

CORPUS = {"id": list("abcd"), "text": ["one", "two", "three", "one two"]}
PAIRS = {"query": ["which is one?", "two?"], "positive": ["one", "two"]}


class PyCapsule:
    """A table of a library that Arrow knows nothing about, with views as polars has them."""

    def __init__(self, columns: dict[str, list[str]]) -> None:
        views = {name: pa.array(values, pa.string_view()) for name, values in columns.items()}
        self.table = pa.table(views)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


def as_dataset(columns: dict[str, list[str]]):
    from datasets import Dataset

    return Dataset.from_dict(columns)


def as_streamed(columns: dict[str, list[str]]):
    return as_dataset(columns).to_iterable_dataset()


def as_selection(columns: dict[str, list[str]]):
    """A data set whose rows are picked from a larger one."""
    twice = {name: [text for text in values for _ in (0, 1)] for name, values in columns.items()}
    return as_dataset(twice).select(range(0, 2 * len(next(iter(columns.values()))), 2))


FORMS = {
    "columns": lambda columns: columns,
    "rows": lambda columns: pa.table(columns).to_pylist(),
    "generator": lambda columns: iter(pa.table(columns).to_pylist()),
    "Arrow": pa.table,
    "stream": lambda columns: pa.table(columns).to_reader(),
    "views": PyCapsule,
    "pandas": pd.DataFrame,
    "filtered pandas": lambda columns: pd.DataFrame(columns).iloc[::-1].iloc[::-1],
    "Dataset": as_dataset,
    "IterableDataset": as_streamed,
    "selection": as_selection,
}


def plainly(table: object) -> dict[str, list[object]]:
    return pa.Table.from_batches(record_batches(table)).to_pydict()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_table_has_the_same_rows(form):
    table = FORMS[form](CORPUS)
    assert is_table(table)
    assert plainly(table) == CORPUS


@pytest.mark.parametrize("form", FORMS)
def test_the_file_is_the_same_for_every_plain_form(form, tmp_path):
    write_table("corpus", FORMS[form](CORPUS), tmp_path / "a.parquet")
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert schema.names == ["id", "text"] and not schema.metadata
    assert {str(kind) for kind in schema.types} == {"string"}


def test_rows_with_different_keys_keep_all_of_them():
    assert plainly([{"a": 1}, {"b": [2]}]) == {"a": [1, None], "b": [None, [2]]}


def test_a_named_index_is_a_column():
    frame = pd.DataFrame(CORPUS).set_index("id")
    assert sorted(plainly(frame)) == ["id", "text"]


@pytest.mark.parametrize("path", ["a.parquet", Path("a"), None, ["a", "b"], [], ("a",), b"a"])
def test_paths_are_no_tables(path):
    assert not is_table(path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "the table is empty"),
        ({"id": []}, "the table is empty"),
        ([{"a": 1}, {"a": "x"}], "cannot be read as a table"),
        ([1, 2], "cannot be read as a table"),
        ({"a": [1], "b": [1, 2]}, "cannot be read as a table"),
    ],
)
def test_what_is_no_table(wrong, said, tmp_path):
    with pytest.raises(UsageError, match=f"corpus: .*{said}"):
        write_table("corpus", wrong, tmp_path / "a.parquet")


class TestFunctions:
    def run(self, folder: Path, form: str = "pandas") -> object:
        make = FORMS[form]
        return api.run(
            corpus=make(CORPUS), pairs=make(PAIRS), dense=False, num_negatives=1, output=folder
        )

    def test_a_run_is_that_of_files(self, tmp_path):
        pq.write_table(pa.table(CORPUS), tmp_path / "corpus.parquet")
        pq.write_table(pa.table(PAIRS), tmp_path / "pairs.parquet")
        files = api.run(
            corpus=tmp_path / "corpus.parquet",
            pairs=tmp_path / "pairs.parquet",
            dense=False,
            num_negatives=1,
            output=tmp_path / "files",
        )
        found = self.run(tmp_path / "memory")
        assert found.mined.counts == files.mined.counts
        assert rows(found.mined.path / "scored") == rows(files.mined.path / "scored")

    def test_the_same_table_resumes_and_another_is_refused(self, tmp_path):
        before = self.run(tmp_path)
        times = [(result.path / "manifest.json").stat().st_mtime_ns for result in before]
        again = self.run(tmp_path)
        assert [(result.path / "manifest.json").stat().st_mtime_ns for result in again] == times
        with pytest.raises(HnmineError, match="overwrite"):
            other = pd.DataFrame(CORPUS | {"text": ["one", "two", "three", "four"]})
            api.build_index(corpus=other, index=before[0].path, dense=False)

    def test_no_file_of_a_table_stays(self, tmp_path, monkeypatch):
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        self.run(tmp_path / "run")
        with pytest.raises(HnmineError):
            api.mine(index=tmp_path / "none", pairs=PAIRS, output=tmp_path / "c")
        assert not list(folder.iterdir())

    def test_errors_name_the_table(self, tmp_path):
        with pytest.raises(HnmineError, match="The table corpus has no column 'text'"):
            api.build_index(corpus={"id": ["a"], "b": [1]}, index=tmp_path / "i", dense=False)

    def test_several_tables_and_files_of_one_setting(self, tmp_path):
        pq.write_table(pa.table(CORPUS), tmp_path / "corpus.parquet")
        more = {"id": ["e"], "text": ["five"]}
        built = api.build_index(
            corpus=[tmp_path / "corpus.parquet", pa.table(more), [{"id": "f", "text": "six"}]],
            index=tmp_path / "index",
            dense=False,
        )
        assert built.counts["documents_unique"] == 6

    def test_results_are_paths(self, tmp_path):
        index, candidates, mined = self.run(tmp_path / "run")
        again = api.mine(index, pairs=PAIRS, output=tmp_path / "c")
        assert again.counts == candidates.counts
        assert api.report(mined, html=False).facts

    def test_queries_and_judgements(self, tmp_path):
        index = self.run(tmp_path / "run")[0]
        found = api.mine(
            index,
            queries=[{"id": "q", "text": "one?"}],
            qrels=pd.DataFrame({"query_id": ["q"], "corpus_id": ["a"], "score": [1]}),
            from_run=pa.table({"query_id": ["q"], "doc_id": ["c"], "score": [0.5]}),
            output=tmp_path / "c",
        )
        assert found.counts["queries"] == 1
        with pytest.raises(UsageError, match="a table has no path"):
            api.init(PAIRS)
        assert "corpus" in api.validate(CORPUS, calibrate=False).inputs


def test_a_model_is_kept_by_its_content(tmp_path):
    class Model:
        weights = b"1"

        def save_pretrained(self, path: str, *, create_model_card: bool) -> None:
            Path(path).mkdir()
            (Path(path) / "model.safetensors").write_bytes(self.weights)

    model = Model()
    first = keep_model(model, tmp_path)
    assert keep_model(model, tmp_path) == first
    model.weights = b"2"
    assert keep_model(model, tmp_path) != first
    assert len(list(tmp_path.iterdir())) == 2
