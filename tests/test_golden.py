"""All stages on a few short texts, against what they wrote when golden.json was committed.

A change of golden.json is a change of what users get: its commit says why. To write it again:

    python tests/test_golden.py
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CROSS_ENCODER, ONNX_ENCODER, write

import hnmine as api

GOLDEN = Path(__file__).with_name("golden.json")
THINGS = {
    "lighthouse": ("keeper", "lamp", "rocks", "fog"),
    "bakery": ("baker", "oven", "flour", "bread"),
    "orchard": ("farmer", "pears", "ladder", "harvest"),
    "harbour": ("pilot", "cranes", "tide", "ships"),
    "workshop": ("joiner", "plane", "oak", "chairs"),
    "observatory": ("astronomer", "dome", "stars", "night"),
}
SENTENCES = (
    "The {0} of the {thing} looks after the {1} before the {2} are seen in the {3}.",
    "In the {thing} everybody speaks of the {3}, and of the {1} that the {0} bought.",
    "A {0} knows {2} and {3}; the {thing} has had none for years.",
    "Visitors to the {thing} ask for the {1} and hear about the {2} instead.",
)
QUESTION = "Who looks after the {1} in the {thing}?"
DIGITS = 2e-4
"""By which a mean of model scores may differ between processors."""


def run_all(root: Path) -> Path:
    """Run every stage; return the folder of what they wrote."""
    texts = {
        f"{thing}-{n}": sentence.format(*words, thing=thing)
        for thing, words in THINGS.items()
        for n, sentence in enumerate(SENTENCES)
    }
    asked = [QUESTION.format(*words, thing=thing) for thing, words in THINGS.items()]
    right = [f"{thing}-0" for thing in THINGS]
    corpus = str(write(root / "corpus.parquet", id=list(texts), text=list(texts.values())))
    pairs = str(
        write(
            root / "pairs.parquet",
            query_id=[f"q{n}" for n in range(len(asked))],
            query=asked,
            positive_id=right,
            positive=[texts[name] for name in right],
        )
    )
    out, shared = root / "out", {"threads": 1, "progress": False}
    index = {"index": out / "index", "encoder": ONNX_ENCODER, "max_length": 24, "device": "cpu"}
    api.build_index(corpus=corpus, pairs=pairs, **index, **shared)
    mine = {"index": out / "index", "pairs": pairs, "top_k": 8}
    api.mine(**mine, output=out / "candidates", **shared)
    rules = {"cross_encoder": CROSS_ENCODER, "max_length": 48, "num_negatives": 3}
    rules |= {"margin": 1.0, "max_uses": 4, "output_scores": True}
    api.filter(candidates=out / "candidates", output=out / "mined", **rules, **shared)
    api.export(mined=out / "mined", output=out / "export", to="flagembedding", **shared)
    api.batch(mined=out / "mined", output=out / "batches", batch_size=3, epochs=2, **shared)
    return out


def described(out: Path) -> dict[str, Any]:
    """Return a hash of all that is exact, and two means of each column that models computed."""
    exact, means = hashlib.sha256(), {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.is_file() and ".hnmine" not in path.parts and path.name != "run.json":
            exact.update(name.encode() if "scores/" not in name else path.suffix.encode())
            for part, values in content_of(path):
                numbers = np.asarray(values if isinstance(values, np.ndarray) else 0)
                if numbers.dtype.kind == "f" and numbers.size:
                    weight = np.linspace(1, 2, numbers.size)
                    found = np.nan_to_num(numbers.ravel().astype(np.float64))
                    place = f"{'scores' if 'scores/' in name else name}:{part}"
                    means[place] = [float(found.mean()), float((found * weight).mean())]
                elif isinstance(values, np.ndarray):
                    exact.update(values.tobytes())
                else:
                    exact.update(json.dumps([part, values]).encode())
    return {"hash": exact.hexdigest(), "means": means}


def content_of(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a file by name; floats as arrays."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        yield "schema", [f"{field.name} {field.type}" for field in table.schema]
        for name in table.column_names:
            column = table[name]
            if pa.types.is_list(column.type):
                column = pa.chunked_array([column.combine_chunks().flatten()])
            floats = pa.types.is_floating(column.type)
            yield name, column.to_numpy() if floats else column.to_pylist()
    elif path.suffix == ".npy":
        yield "", np.load(path)
    elif path.suffix == ".jsonl":
        for n, line in enumerate(path.read_text("utf-8").splitlines()):
            yield from parts_of(json.loads(line), str(n))
    elif path.name == "manifest.json":
        found = json.loads(path.read_text("utf-8"))
        yield "manifest", [sorted(found), found["counts"]]
    elif path.suffix == ".json":
        yield from parts_of(json.loads(path.read_text("utf-8")), "")


def parts_of(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield what a JSON value holds, by where it is."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from parts_of(inner, f"{name}/{key}")
    else:
        yield name, np.array([value]) if isinstance(value, float) else value


def test_every_stage_writes_what_it_wrote(tmp_path):
    golden, found = json.loads(GOLDEN.read_text("utf-8")), described(run_all(tmp_path))
    assert found["means"].keys() == golden["means"].keys()
    for name, means in golden["means"].items():
        assert found["means"][name] == pytest.approx(means, abs=DIGITS, rel=DIGITS), name
    assert found["hash"] == golden["hash"], GOLDEN.name + " changes only with a reason"


def test_another_word_or_rank_is_another_hash(tmp_path):
    for name, place in (("one", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "t.parquet", rank=[0, place], score=[0.1, 0.2])
    one, other = (described(tmp_path / name) for name in ("one", "other"))
    assert one["hash"] != other["hash"]
    assert one["means"] == other["means"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made = described(run_all(Path(folder)))
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
