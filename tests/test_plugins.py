"""Sources, judges, exports and recipes that another package adds through entry points."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import forked
import pytest
from conftest import hnmine, rows, write

from hnmine import schema
from hnmine.exports import EXPORTS
from hnmine.judges import JUDGES
from hnmine.recipes import RECIPES
from hnmine.registry import NAME
from hnmine.sources import SOURCES

REGISTRIES = {"source": SOURCES, "judge": JUDGES, "export": EXPORTS, "recipe": RECIPES}

CODE = '''
import numpy as np
import pyarrow as pa

from hnmine.exports.format import of_layout, of_lines
from hnmine.index.topk import top_k
from hnmine.sources.source import Source


def open_first(mining):
    """The first documents of the index, whatever the query is."""
    count = len(mining.index.documents.canonical)

    def search(asked):
        query = np.repeat(np.arange(len(asked.rows)), count)
        slots = np.tile(np.arange(count), len(asked.rows))
        return lambda k: top_k(query, slots, -slots.astype(np.float64), k)

    return Source(search, by_relevance=False)


class Lengths:
    """Scores a candidate by the number of its letters, times a factor."""

    def __init__(self, candidates, value, settings, column):
        self.candidates, self.factor, self.column = candidates, float(value or 1), column

    def plan(self):
        return {"factor": self.factor}

    def compute(self, *, progress, share):
        return {}

    def read(self, part):
        found = self.candidates.read(part, ["doc_row"])["doc_row"].to_numpy()
        texts = self.candidates.index.documents.texts(found)
        return np.array([len(text) * self.factor for text in texts], dtype=np.float32)


def names(material):
    for example in material.examples():
        yield {"query": example.id, "negatives": [one.id for one in example.negatives]}


NAMES = of_lines(names)


def positives(chosen, num_negatives, with_scores):
    return pa.table({"positive": chosen.text(chosen.positive_rows()[1])})


POSITIVES = of_layout(positives)
'''

DATA = ["--corpus", "corpus.parquet", "--pairs", "pairs.parquet", "--no-dense"]

POINTS = {
    "sources": "first = toy:open_first",
    "judges": "lengths = toy:Lengths",
    "exports": "names = toy:NAMES",
    "recipes": "toy-recipe = toy",
}


def install(folder: Path, points: dict[str, str], name: str = "hnmine-toy") -> dict[str, str]:
    """Install a distribution into a folder; return the environment in which Python finds it."""
    info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    text = "".join(f"[hnmine.{group}]\n{line}\n" for group, line in points.items())
    (info / "entry_points.txt").write_text(text)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture
def toy(tmp_path):
    """An environment with a package that adds one of each."""
    package = tmp_path / "site" / "toy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(CODE)
    (package / "toy-recipe.yaml").write_text(
        "mine:\n  source: [first]\n  top-k: 4\n"
        "filter:\n  judge: ['lengths:2']\n  score: judge_lengths_2\n  num-negatives: 1\n"
        "  where: ['score > 0']\n  order: score\n"
    )
    return install(tmp_path / "site", POINTS)


@pytest.fixture
def data(tmp_path):
    texts = ["one", "two and more", "three", "four and more", "five"]
    write(tmp_path / "corpus.parquet", id=list("abcde"), text=texts)
    write(tmp_path / "pairs.parquet", query=["which is five, five or four?"], positive=["five"])
    return DATA


def run(tmp_path, env, *arguments):
    done = hnmine(*arguments, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    return done


def test_a_run_fails_before_its_first_stage(tmp_path, data):
    (tmp_path / "site").mkdir()
    points = {"judges": "lengths = gone", "sources": "first = gone"}
    env = install(tmp_path / "site", points)
    for judged in (["--judge", "lengths"], ["--source", "first"]):
        done = hnmine("run", *data, *judged, "--output", "r", cwd=tmp_path, env=env)
        assert done.returncode == 5
        assert "The package hnmine-toy 1.2" in done.stderr
        assert not (tmp_path / "r").exists()


def test_one_of_each_runs_from_end_to_end(tmp_path, toy, data):
    run(tmp_path, toy, "run", "--recipe", "toy-recipe", *data, "--output", "r")
    scored = {row["doc_id"]: row for row in rows(tmp_path / "r/mined/scored")}
    assert [scored[name]["first_rank"] for name in "abcd"] == [0, 1, 2, 3]
    assert scored["a"]["judge_lengths_2"] == 6
    assert [name for name in scored if scored[name]["selected"]] == ["a"]
    run(tmp_path, toy, "export", "--mined", "r/mined", "--to", "names", "--output", "e")
    (line,) = (tmp_path / "e/train.jsonl").read_text().splitlines()
    assert json.loads(line)["negatives"] == ["a"]
    for place in ("r/candidates", "r/mined", "e"):
        manifest = json.loads((tmp_path / place / "manifest.json").read_text())
        assert manifest["libraries"]["hnmine-toy"] == "1.2"
    index = json.loads((tmp_path / "r/index/manifest.json").read_text())
    assert "hnmine-toy" not in index["libraries"]


def test_without_a_value_and_with_a_file_of_that_name(tmp_path, toy, data):
    run(tmp_path, toy, "run", "--recipe", "toy-recipe", *data, "--output", "r")
    filtered = ["filter", "--candidates", "r/candidates", "--output", "m", "--overwrite"]
    run(tmp_path, toy, *filtered, "--judge", "lengths")
    assert rows(tmp_path / "m/scored")[0]["judge_lengths"] > 0
    (tmp_path / "lengths").write_text("query_id\tdoc_id\tscore\nq\ta\t0\n")
    run(tmp_path, toy, *filtered, "--judge", "lengths")
    assert "judge_lengths" not in rows(tmp_path / "m/scored")[0]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["mine", "--source", "firt", "--index", "i", "--pairs", "p"], "first"),
        (["export", "--mined", "m", "--to", "nams"], "names"),
        (["run", "--recipe", "toy-recip"], "toy-recipe"),
    ],
)
def test_a_wrong_name_lists_what_packages_add(tmp_path, toy, arguments, shown):
    done = hnmine(*arguments, "--output", "o", cwd=tmp_path, env=toy)
    assert done.returncode == 2
    assert f"Did you mean {shown}" in done.stderr


def test_train_is_written_in_a_layout_of_another_package(tmp_path, toy, data):
    install(tmp_path / "site", {"exports": "positives = toy:POSITIVES"}, "hnmine-layouts")
    run(tmp_path, toy, "run", *data, "--output", "r", "--format", "positives")
    assert rows(tmp_path / "r/mined/train") == [{"positive": "five"}]
    manifest = json.loads((tmp_path / "r/mined/manifest.json").read_text())
    assert manifest["libraries"]["hnmine-layouts"] == "1.2"
    run(tmp_path, None, "inspect", "--mined", "r/mined", "--text", "five")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("names", "'names' is no layout of train/"),
        ("trec", "'trec' is no layout of train/"),
        ("positive", "Did you mean positives"),
        ("n-tupel", "Did you mean n-tuple"),
    ],
)
def test_a_format_without_a_layout_is_refused_before_anything_runs(tmp_path, toy, data, name, said):
    install(tmp_path / "site", {"exports": "positives = toy:POSITIVES"}, "hnmine-layouts")
    done = hnmine("run", *data, "--output", "r", "--format", name, cwd=tmp_path, env=toy)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "r").exists()


def test_the_help_lists_what_packages_add(tmp_path, toy):
    added = {
        "mine": "--source first",
        "filter": "--judge lengths",
        "export": "--to names",
        "run": "--judge lengths",
    }
    for command, shown in added.items():
        text = " ".join(run(tmp_path, toy, command, "--help").stdout.split())
        assert f"{shown} from the package hnmine-toy (hnmine-toy 1.2)" in text
        assert "Added by packages" not in run(tmp_path, None, command, "--help").stdout


BROKEN = [
    ({"exports": "names = toy:NAMES"}, ["export", "--mined", "r/mined", "--to", "names"]),
    ({"sources": "first = toy:open_first"}, ["mine", "--source", "first"]),
    ({"judges": "lengths = toy:Lengths"}, ["filter", "--judge", "lengths"]),
    ({"recipes": "toy-recipe = toy"}, ["run", "--recipe", "toy-recipe"]),
]


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mined")
    write(folder / "corpus.parquet", id=list("ab"), text=["one", "two"])
    write(folder / "pairs.parquet", query=["which is one, one or two?"], positive=["one"])
    run(folder, None, "run", *DATA, "--output", "r")
    return folder


@pytest.mark.parametrize("code", ["import nothing_like_it", ""])
@pytest.mark.parametrize(("points", "arguments"), BROKEN)
def test_what_cannot_be_loaded_is_an_error_that_names_the_package(
    tmp_path, mined, points, arguments, code
):
    tmp_path = Path(shutil.copytree(mined, tmp_path / "work"))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "toy.py").write_text(code)
    env = install(tmp_path / "site", points)
    where = {
        "mine": ["--index", "r/index", "--pairs", "pairs.parquet"],
        "filter": ["--candidates", "r/candidates"],
    }
    given = [*arguments, *where.get(arguments[0], []), "--output", "o"]
    done = hnmine(*given, cwd=tmp_path, env=env)
    assert done.returncode == 5, done.stderr
    assert "The package hnmine-toy 1.2" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()


REFUSED = [
    ("sources", "bm25", "hnmine uses that name itself"),
    ("sources", "owner", "hnmine uses that name itself"),
    ("sources", "First", "lower-case"),
    ("exports", "dpr", "hnmine uses that name itself"),
    ("exports", "../names", "lower-case"),
    ("judges", "cross-encoder", "hnmine uses that name itself"),
    ("judges", "pkg", "hnmine uses that name itself"),
    ("recipes", "bge", "hnmine uses that name itself"),
]


@pytest.mark.parametrize(("group", "name", "why"), REFUSED)
def test_a_name_that_is_taken_or_is_none_is_refused(tmp_path, group, name, why):
    env = install(tmp_path / "site", {group: f"{name} = toy"})
    asked = {
        "sources": ["mine", "--source", "dense", "--index", "i", "--pairs", "p", "--output", "o"],
        "exports": ["export", "--mined", "m", "--to", "beir", "--output", "o"],
        "recipes": ["run", "--recipe", "bge"],
    }
    if group == "judges":  # They are read once the candidates are open.
        done = forked.run(f"from hnmine.judges import JUDGES; JUDGES['{name}']", env=env)
    else:
        done = hnmine(*asked[group], cwd=tmp_path, env=env)
        assert done.returncode == 2
    assert f"The package hnmine-toy 1.2 may not add the {group[:-1]} {name!r}." in done.stderr
    assert why in done.stderr


def test_two_packages_may_not_add_the_same_name(tmp_path):
    install(tmp_path / "site", {"recipes": "mine = toy"}, "hnmine-other")
    env = install(tmp_path / "site", {"recipes": "mine = toy"})
    done = hnmine("run", "--recipe", "mine", cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert "hnmine-other 1.2" in done.stderr and "hnmine-toy 1.2" in done.stderr


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_entry_of_ours_has_a_description_and_loads(kind):
    for name, entry in REGISTRIES[kind].own.items():
        assert NAME.fullmatch(name)
        assert entry.description and not entry.description.endswith(" ")
        assert entry.load()
        assert entry.target.startswith(f"hnmine.{kind}s"), "its folder is the one of its registry"


def test_no_source_can_take_the_name_of_another_column():
    taken = {*SOURCES.own, *SOURCES._taken}
    for table in (schema.CANDIDATES, schema.VERDICTS, schema.ESTIMATES):
        for name in table.names:
            if name.endswith(("_rank", "_score")):
                assert name.rpartition("_")[0].replace("_", "-") in taken, name
