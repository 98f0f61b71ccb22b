"""A finished directory is an input, whatever versions of libraries made it."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from conftest import CROSS_ENCODER, ENCODER, ONNX_ENCODER, content, hnmine, renamed_inside
from faults import write_inputs

import hnmine as api
from hnmine.encode import spec
from hnmine.errors import InputError
from hnmine.runner import plan as plans
from hnmine.runner.manifest import DONE, MANIFEST, PLAN
from hnmine.runner.plan import canonical_json, digest

SHARED = {"threads": 2, "progress": False}
MORE = {
    "batch": {"batch_size": 4},
    "mix": {"by": ["mochi:2"]},
    "export": {"to": "trec"},
}


def flags(inputs, root):
    return [
        *("run", "--corpus", inputs / "corpus.parquet", "--pairs", inputs / "pairs.parquet"),
        *("--encoder", ENCODER, "--cross-encoder", CROSS_ENCODER, "--output", root, "--json"),
        *("--max-length", 32, "--top-k", 6, "--num-negatives", 2, "--deepen", 2),
    ]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def made(inputs, tmp_path_factory):
    """What `run`, `batch`, `mix` and `export` write."""
    root = tmp_path_factory.mktemp("made")
    done = hnmine(*flags(inputs, root))
    assert done.returncode == 0, done.stderr
    for name, more in MORE.items():
        getattr(api, name)(**SHARED, mined=root / "mined", output=root / name, **more)
    return root


@pytest.fixture
def upgraded(monkeypatch):
    """Another version of every library is installed now."""
    installed = plans.distributions

    class Newer:
        version = "99.9"

    monkeypatch.setattr(
        plans, "distributions", lambda name: [Newer] * bool([*installed(name=name)])
    )


@pytest.fixture
def copy(made, tmp_path):
    return renamed_inside(shutil.copytree(made, tmp_path / "made"), made)


def by_other_versions(folder, *, without=(), **versions):
    """Let a directory be as other versions of libraries would have written it."""
    hashes = {}
    for name in (PLAN, MANIFEST):
        if (folder / name).exists():
            found = json.loads((folder / name).read_text())
            old = digest({key: value for key, value in found.items() if key != "counts"})
            found["libraries"] |= versions
            found = {key: value for key, value in found.items() if key not in without}
            hashes[old] = digest({key: found[key] for key in found if key != "counts"})
            (folder / name).write_text(canonical_json(found))
    for marker in (folder / DONE).glob("*.json"):
        found = json.loads(marker.read_text())
        marker.write_text(canonical_json(found | {"plan": hashes[found["plan"]]}))


def settings(inputs, root):
    given = {"corpus": str(inputs / "corpus.parquet"), "pairs": str(inputs / "pairs.parquet")}
    pairs = given["pairs"]
    yield "build_index", {**given, "encoder": ENCODER, "max_length": 32, "index": root / "index"}
    candidates = root / "candidates"
    yield "mine", {"index": root / "index", "pairs": pairs, "top_k": 6, "output": candidates}
    yield (
        "filter",
        {
            **{"candidates": candidates, "output": root / "mined", "max_length": 32},
            **{"cross_encoder": CROSS_ENCODER, "num_negatives": 2, "deepen": 2},
        },
    )
    for name, more in MORE.items():
        yield name, {"mined": root / "mined", "output": root / name, **more}


def test_after_an_upgrade_every_command_uses_what_is_finished(inputs, copy, upgraded, caplog):
    before = content(copy)
    for name, given in settings(inputs, copy):
        caplog.clear()
        result = getattr(api, name)(**SHARED, **given)
        directory = given.get("output") or given["index"]
        assert result.manifest["libraries"]["numpy"] != "99.9"
        assert f"{directory} was made with other versions, and is used as it is" in caplog.text
        assert 'libraries.numpy: "' in caplog.text and '-> "99.9"' in caplog.text
        assert "--overwrite" in caplog.text
    assert content(copy) == before


def test_run_uses_what_was_finished_and_makes_the_rest(inputs, copy):
    """The index was made long ago; the candidates that it led to are gone."""
    by_other_versions(copy / "index", torch="1.0", numpy="1.0", hnmine="0.0.1")
    shutil.rmtree(copy / "candidates")
    shutil.rmtree(copy / "mined")
    before = content(copy / "index")
    done = hnmine(*flags(inputs, copy))
    assert done.returncode == 0, done.stderr
    assert 'libraries.torch: "1.0" -> ' in done.stderr
    assert content(copy / "index") == before
    manifest = json.loads((copy / "candidates" / MANIFEST).read_text())
    assert manifest["index"] == digest(json.loads((copy / "index" / MANIFEST).read_text()))
    after = content(copy)
    assert hnmine(*flags(inputs, copy)).returncode == 0
    assert content(copy) == after


def test_how_models_run_is_as_it_was_unless_a_setting_says_otherwise(
    inputs, copy, monkeypatch, caplog
):
    """OpenVINO, or a GPU, was there and is gone."""
    before = content(copy)
    find = spec.importlib.util.find_spec
    monkeypatch.setattr(
        spec.importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name)
    )
    for name, given in settings(inputs, copy):
        getattr(api, name)(**SHARED, **given)
    assert content(copy) == before
    assert 'encoder.backend: "openvino" -> "torch"' in caplog.text
    name, given = next(settings(inputs, copy))
    with pytest.raises(InputError, match=r"encoder\.batch_tokens: 1024 -> 512"):
        getattr(api, name)(**SHARED, **given, batch_tokens=512)


def test_a_mined_directory_without_recorded_sources_is_finished_too(inputs, copy):
    by_other_versions(copy / "mined", without=("sources",))
    name, given = list(settings(inputs, copy))[2]
    before = content(copy)
    assert "sources" not in getattr(api, name)(**SHARED, **given).manifest
    assert content(copy) == before


def test_overwrite_makes_it_anew(inputs, copy, upgraded):
    name, given = next(settings(inputs, copy))
    result = getattr(api, name)(**SHARED, **given, overwrite=True)
    assert result.manifest["libraries"]["numpy"] == "99.9"


def test_another_setting_is_still_another_plan(inputs, copy, upgraded):
    name, given = next(settings(inputs, copy))
    with pytest.raises(InputError, match="another plan"):
        getattr(api, name)(**SHARED, **given, shard_size=7)


@pytest.mark.parametrize("state", ["unfinished", "damaged", "damaged by the disk"])
def test_what_is_not_whole_is_no_mixture_of_versions(inputs, copy, upgraded, state):
    shard = copy / "index" / "dense" / "vectors" / "00000.npy"
    if state == "unfinished":
        (copy / "index" / MANIFEST).unlink()
    elif state == "damaged":
        shard.unlink()
    else:
        stamp = shard.stat()
        shard.write_bytes(shard.read_bytes()[:-1] + b"?")
        os.utime(shard, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    before = {file: file.stat().st_mtime_ns for file in (copy / "index").rglob("*.npy")}
    name, given = next(settings(inputs, copy))
    with pytest.raises(InputError, match="with other versions of libraries") as refused:
        getattr(api, name)(**SHARED, **given)
    assert 'libraries.numpy: "' in refused.value.why
    assert "overwrite=True" in refused.value.fix
    assert before == {file: file.stat().st_mtime_ns for file in (copy / "index").rglob("*.npy")}


def test_a_newer_layout_is_not_used(inputs, copy, upgraded):
    manifest = json.loads((copy / "index" / MANIFEST).read_text())
    (copy / "index" / MANIFEST).write_text(json.dumps(manifest | {"schema_version": 99}))
    name, given = next(settings(inputs, copy))
    with pytest.raises(InputError):
        getattr(api, name)(**SHARED, **given)


def test_a_plan_holds_only_the_libraries_that_were_used(inputs, made, tmp_path):
    def used(folder):
        return set(json.loads((folder / MANIFEST).read_text())["libraries"])

    torch = {"torch", "transformers", "tokenizers", "sentence-transformers"}
    models = torch | {"openvino", "onnxruntime"}
    assert torch <= used(made / "index") and "onnxruntime" not in used(made / "index")
    assert not used(made / "mined") & models
    assert not used(made / "mix") & (models | {"faiss-cpu"})
    (scores,) = (made / "candidates" / "scores").iterdir()
    assert used(scores) & models == {"onnxruntime", "tokenizers"}
    given = {"corpus": str(inputs / "corpus.parquet"), "pairs": str(inputs / "pairs.parquet")}
    for name, more in (
        ("words", {"dense": False}),
        ("onnx", {"bm25": False, "encoder": ONNX_ENCODER, "max_length": 8}),
    ):
        api.build_index(**SHARED, **given, index=tmp_path / name, **more)
        candidates = tmp_path / f"{name} candidates"
        api.mine(**SHARED, index=tmp_path / name, pairs=given["pairs"], output=candidates, top_k=3)
    always = {"hnmine", "numpy", "pyarrow"}
    words, vectors = {"numba", "PyStemmer"}, {"onnxruntime", "tokenizers"}
    assert used(tmp_path / "words") == used(tmp_path / "words candidates") == always | words
    assert used(tmp_path / "onnx") == always | vectors
    assert used(tmp_path / "onnx candidates") == always | vectors | {"numba", "faiss-cpu"}
