"""What a model was paid for once is there for every later filter, and is not mixed with other."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, ENCODER, mined_by_words

import hnmine as api
from hnmine.encode.locate import find_model
from hnmine.encode.spec import ModelSpec
from hnmine.errors import InputError
from hnmine.runner.manifest import DONE, MANIFEST, PLAN

BI_ENCODER = {"cross_encoder": None, "score": "bm25", "judge": [ENCODER]}
LAZY = {"lazy": True, "margin": 2.0}


@pytest.fixture(scope="module")
def mined(stdlib, tmp_path_factory):
    """Some 30 pairs: each test scores them several times."""
    folder = tmp_path_factory.mktemp("scores")
    shutil.copy(stdlib / "corpus.parquet", folder)
    pq.write_table(pq.read_table(stdlib / "pairs.parquet").slice(0, 6), folder / "pairs.parquet")
    return mined_by_words(folder, folder, top_k=4)


@pytest.fixture
def candidates(mined, tmp_path):
    return shutil.copytree(mined, tmp_path / "candidates")


def folders_after(candidates, name, model=CROSS_ENCODER, **more):
    """Filter with a model; return the folders that scores are kept in."""
    settings = {"max_length": 24, "progress": False, "cross_encoder": model} | more
    api.filter(candidates=candidates, output=candidates.parent / name, **settings)
    return list((candidates / "scores").iterdir())


def judged(*arguments, **more):
    """Filter with the only model; return the folder that its scores are kept in."""
    (folder,) = folders_after(*arguments, **more)
    return folder


def written(folder):
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*.np[yz]")}


def made_by_another_version(folder):
    for name in (PLAN, MANIFEST):
        if (folder / name).exists():
            found = json.loads((folder / name).read_text())
            found["libraries"]["numpy"] = "1.0"
            (folder / name).write_text(json.dumps(found))


@pytest.mark.parametrize("more", [{}, LAZY], ids=["all", "lazy"])
def test_a_model_is_known_by_its_content_wherever_it_is(candidates, tmp_path, monkeypatch, more):
    first = written(judged(candidates, "first", **more))
    shutil.copytree(find_model(CROSS_ENCODER), tmp_path / "elsewhere" / "another-name")
    monkeypatch.chdir(tmp_path / "elsewhere")
    for number, model in enumerate((find_model(CROSS_ENCODER), "another-name", "./another-name/")):
        assert written(judged(candidates, f"again{number}", str(model), **more)) == first


def test_the_same_of_a_bi_encoder(candidates):
    first = written(judged(candidates, "first", **BI_ENCODER))
    elsewhere = BI_ENCODER | {"judge": [str(find_model(ENCODER))]}
    assert written(judged(candidates, "again", **elsewhere)) == first


def test_another_content_is_scored(candidates, tmp_path):
    judged(candidates, "first")
    copy = shutil.copytree(find_model(CROSS_ENCODER), tmp_path / find_model(CROSS_ENCODER).name)
    (copy / "added.txt").write_text("more")
    assert len(folders_after(candidates, "again", str(copy))) == 2


def test_finished_scores_outlive_the_versions_that_made_them(candidates):
    folder = judged(candidates, "first")
    first = written(folder)
    made_by_another_version(folder)
    assert written(judged(candidates, "again")) == first
    assert json.loads((folder / MANIFEST).read_text())["libraries"]["numpy"] == "1.0"


@pytest.mark.parametrize("more", [{}, LAZY], ids=["all", "lazy"])
def test_unfinished_scores_are_not_mixed_with_those_of_another_version(candidates, more):
    folder = judged(candidates, "first", **more)
    made_by_another_version(folder)
    (folder / MANIFEST).unlink(missing_ok=True)
    assert any((folder / DONE).iterdir())
    with pytest.raises(InputError, match=r'numpy: "1.0" -> .*\nRemove it to write it again'):
        judged(candidates, "again", **more)
    shutil.rmtree(folder)
    assert written(judged(candidates, "again", **more))


@pytest.fixture
def torch_scores(candidates):
    """The folder of a bi-encoder's scores, made by another back end than runs it by default."""
    return judged(candidates, "first", **BI_ENCODER, backend="torch", dtype="fp32")


def test_what_settings_leave_open_is_as_it_was_made(candidates, torch_scores):
    first = written(torch_scores)
    assert ModelSpec.find(ENCODER).backend != "torch"
    assert written(judged(candidates, "again", **BI_ENCODER)) == first
    manifest = json.loads((candidates.parent / "again" / MANIFEST).read_text())
    assert [judge["backend"] for judge in manifest["judges"].values()] == ["torch"]


@pytest.mark.parametrize(
    "more", [{"backend": "openvino"}, {"batch_tokens": 512}, {"dtype": "bf16"}, {"max_length": 16}]
)
def test_what_settings_say_is_made_so(candidates, torch_scores, more, caplog):
    made = {"backend": "torch", "batch_tokens": 1024, "dtype": "fp32", "max_length": 24}
    assert len(folders_after(candidates, "again", **BI_ENCODER | more)) == 2
    (name,) = more
    assert f"the cached scores were made with {name} {made[name]}. Pass" in caplog.text
    caplog.clear()
    assert len(folders_after(candidates, "third", **BI_ENCODER | more)) == 2
    assert not caplog.text


@pytest.mark.parametrize("lost", [MANIFEST, "00000.npy"])
def test_unfinished_and_damaged_scores_bind_nobody(candidates, torch_scores, lost):
    (torch_scores / lost).unlink()
    assert len(folders_after(candidates, "again", **BI_ENCODER)) == 2


def test_scores_as_they_would_be_made_here_are_preferred(candidates, torch_scores):
    folders_after(candidates, "here", **BI_ENCODER, backend="openvino")
    folders_after(candidates, "again", **BI_ENCODER)
    manifest = json.loads((candidates.parent / "again" / MANIFEST).read_text())
    assert [judge["backend"] for judge in manifest["judges"].values()] == ["openvino"]
