import importlib.util
import runpy
import sys
import sysconfig
from pathlib import Path

import pyarrow.parquet as pq
import pytest

SCRIPT = Path(__file__).parents[1] / "examples" / "python_stdlib" / "make_dataset.py"


def make(output, *options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(SCRIPT), "--output", str(output), *options])
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return pq.read_table(output / "corpus.parquet"), pq.read_table(output / "pairs.parquet")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return make(tmp_path_factory.mktemp("stdlib") / "new")


@pytest.fixture(scope="module")
def corpus(tables):
    return dict(zip(tables[0]["id"].to_pylist(), tables[0]["text"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def pairs(tables):
    return tables[1].to_pylist()


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_dataset", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_columns(tables):
    assert tables[0].column_names == ["id", "text"]
    assert tables[1].column_names == ["query_id", "query", "positive_id", "positive"]


def test_corpus_ids_are_unique_and_sorted(tables):
    ids = tables[0]["id"].to_pylist()
    assert ids == sorted(set(ids))
    assert len(ids) > 2000


@pytest.mark.parametrize(
    "name",
    ["json", "json.dumps", "shutil.copytree", "argparse.ArgumentParser", "threading.Thread.join"],
)
def test_well_known_objects_are_present(corpus, name):
    assert name in corpus


def test_private_and_excluded_objects_are_absent(corpus):
    parts = {part for name in corpus for part in name.split(".")}
    assert not [part for part in parts if part.startswith("_")]
    assert not {name.split(".")[0] for name in corpus} & {"test", "idlelib", "lib2to3"}


def test_signatures_open_the_passages(corpus):
    assert corpus["json"].startswith("module json\n")
    assert corpus["json.dumps"].startswith("json.dumps(obj, *, skipkeys=False")
    assert corpus["threading.Thread.join"].startswith("threading.Thread.join(timeout=None)\n")
    assert corpus["threading.Thread"].startswith("class threading.Thread(group=None, target=None")


def test_no_text_is_blank(corpus, pairs):
    assert all(name.strip() and text.strip() for name, text in corpus.items())
    assert all(value.strip() for pair in pairs for value in pair.values())


def test_positives_are_in_the_corpus_with_identical_text(corpus, pairs):
    assert len(pairs) > 1000
    assert len({pair["positive_id"] for pair in pairs}) == len(pairs)
    assert all(corpus[pair["positive_id"]] == pair["positive"] for pair in pairs)


def test_positives_do_not_contain_their_query(pairs):
    for pair in pairs:
        signature, rest = pair["positive"].split("\n", 1)
        assert pair["positive_id"] in signature
        assert pair["query"] not in rest
        assert 4 <= len(pair["query"].split()) <= 40
        assert len(rest.split()) >= 8


def test_equal_queries_share_one_id(pairs):
    queries = {pair["query"] for pair in pairs}
    ids = {pair["query_id"] for pair in pairs}
    assert len(queries) == len(ids) == len({(p["query"], p["query_id"]) for p in pairs})
    assert len(queries) < len(pairs)


def test_second_run_gives_equal_tables(tables, tmp_path):
    corpus, pairs = make(tmp_path)
    assert corpus.equals(tables[0])
    assert pairs.equals(tables[1])


def test_pairs_option_limits_the_pairs_and_keeps_the_corpus(
    tables, corpus, pairs, tmp_path, capsys
):
    small_corpus, small_pairs = make(tmp_path, "--pairs", "240")
    assert capsys.readouterr().out.count("\n") == 1
    assert small_pairs.num_rows == 240
    assert small_corpus["id"].equals(tables[0]["id"])
    texts = dict(zip(small_corpus["id"].to_pylist(), small_corpus["text"].to_pylist(), strict=True))
    chosen = {pair["positive_id"] for pair in small_pairs.to_pylist()}
    for pair in pairs:
        text, start = texts[pair["positive_id"]], pair["query"].split()[:3]
        if pair["positive_id"] in chosen:
            assert text == pair["positive"]
        else:
            assert text.split("\n", 1)[1].split()[:3] == start


@pytest.mark.parametrize("count", ["0", "-1"])
def test_pairs_option_rejects_counts_below_one(tmp_path, count):
    with pytest.raises(SystemExit, match="2"):
        make(tmp_path, "--pairs", count)


def test_interpreter_without_sources_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(SystemExit, match="no documented Python sources"):
        make(tmp_path / "output")
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("doc", "query"),
    [
        (
            "Copy a tree of files. The rest of it needs eight words, no less.",
            "Copy a tree of files.",
        ),
        ("Copy files, e.g. a tree. " + "word " * 8, "Copy files, e.g. a tree."),
        ("Copy files (eg. a tree. Or two). " + "word " * 8, "Copy files (eg. a tree. Or two)."),
        ("Copy a whole tree\n" + "word " * 8, "Copy a whole tree"),
        ("Copy a tree of files.\nToo short.", None),
        ("copytree(src, dst) -> path\n" + "word " * 8, None),
        ("Too short. " + "word " * 8, None),
        ("Copy the following files:\n" + "word " * 8, None),
        ("This method is not abstract. " + "word " * 8, None),
        ("Copy a tree. " + "word " * 8 + "Copy a tree.", None),
        ("Just one sentence and no more", None),
    ],
)
def test_split(script, doc, query):
    pair = script.split(doc)
    assert (pair and pair[0]) == query


def test_definitions(script, tmp_path):
    name = "json"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(
        '"""Package."""\n'
        "try:\n"
        '    def first(a, /, b: int = 1) -> str:\n        """One."""\n'
        "except ImportError:\n"
        '    def first():\n        """Two."""\n'
        "if True:\n"
        "    class Box(dict):\n"
        '        """Box."""\n'
        '        def _hidden(self):\n            """Hidden."""\n'
        '        @property\n        def size(self):\n            """Size."""\n'
        '        @staticmethod\n        def make(a):\n            """Make."""\n'
        '        @classmethod\n        async def load(cls, a):\n            """Load."""\n'
        'if __name__ == "__main__":\n'
        '    def command():\n        """Command."""\n'
    )
    (tmp_path / "not_in_the_library.py").write_text('"""Other."""')
    corpus, pairs = script.build(tmp_path)
    assert corpus.to_pylist() == [
        {"id": "json", "text": "module json\nPackage."},
        {"id": "json.Box", "text": "class json.Box(dict)\nBox."},
        {"id": "json.Box.load", "text": "async json.Box.load(a)\nLoad."},
        {"id": "json.Box.make", "text": "json.Box.make(a)\nMake."},
        {"id": "json.Box.size", "text": "json.Box.size\nSize."},
        {"id": "json.first", "text": "json.first(a, /, b: int=1) -> str\nOne."},
    ]
    assert pairs.num_rows == 0
