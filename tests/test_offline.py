"""Nothing that runs here talks to another machine, and nothing is left in the user's home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from checkpoints import plain
from conftest import CROSS_ENCODER, ENCODER

WATCH = """
import os
import sys

ASKED = {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}


def watch(event, arguments):
    if event in ASKED and "127.0.0.1" not in str(arguments):
        with open(os.environ["ASKED"], "a") as file:
            print(event, *arguments, file=file)


sys.addaudithook(watch)
"""
"""Python runs it at its start, in each process that is started by another, too."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An empty home, with a Python that notes what it asks of the network."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "watch").mkdir()
    (folder / "watch" / "sitecustomize.py").write_text(WATCH)
    (folder / "home").mkdir()
    return folder


def python(home, *arguments, cwd=None):
    """Run Python without what keeps the libraries of the models from the network."""
    environment = {name: value for name, value in os.environ.items() if "OFFLINE" not in name}
    environment |= {
        "HOME": str(home / "home"),
        "PYTHONPATH": str(home / "watch"),
        "ASKED": str(home / "asked"),
    }
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True, check=False, cwd=cwd, env=environment, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def asked(home):
    """Return what was asked of the network since the last call."""
    noted = home / "asked"
    found = noted.read_text().splitlines() if noted.exists() else []
    noted.unlink(missing_ok=True)
    return found


def test_what_is_asked_of_the_network_is_noticed(home):
    script = "import socket, subprocess, sys; socket.gethostbyname('localhost'); "
    script += "subprocess.run([sys.executable, '-c', 'import socket; socket.getaddrinfo(None, 1)'])"
    python(home, "-c", script)
    assert len(asked(home)) == 2


def test_no_stage_asks_anything_of_the_network(home, stdlib):
    given = ["--no-progress", "--pairs", stdlib / "pairs.parquet", "--encoder", ENCODER]
    given += ["--corpus", stdlib / "corpus.parquet", "--top-k", "10", "--num-negatives", "2"]
    run = home / "run"
    python(home, "-m", "hnmine", "run", *given, "--backend", "openvino", "--output", run)
    mined = run / "mined"
    judged = ["--candidates", run / "candidates", "--max-length", "64"]
    judged += ["--cross-encoder", CROSS_ENCODER]
    for command in (
        ["filter", *judged, "--output", home / "judged"],
        ["audit", "--mined", mined],
        ["batch", "--mined", mined, "--output", home / "batches"],
        ["export", "--mined", mined, "--to", "flagembedding", "--output", home / "exported"],
        ["report", mined],
        ["models"],
    ):
        python(home, "-m", "hnmine", *command)
    assert asked(home) == []
    # The libraries of the models may have caches there.
    left = [path.name for path in (home / "home").iterdir()]
    assert set(left) <= {".cache", ".config"}


CACHE = ".cache/huggingface/hub/models--tiny--{0}"
"""Where the hub's client keeps a model, below the home."""


@pytest.fixture(scope="module")
def models(home):
    """A bi-encoder and a cross-encoder without modules.json, as folders and in the hub's cache."""
    for name, judges in (("enc", False), ("ce", True)):
        folder = plain(home / "models" / name, judges=judges)
        shutil.copytree(folder, home / name)
        cache, commit = home / "home" / CACHE.format(name), "0" * 40
        (cache / "refs").mkdir(parents=True)
        (cache / "refs" / "main").write_text(commit)
        shutil.copytree(folder, cache / "snapshots" / commit)
    old = home / "models" / "old"  # With weights as PyTorch saves them.
    shutil.copytree(home / "enc", old)
    script = "import sys, torch; from safetensors.torch import load_file as l; "
    script += "torch.save(l(sys.argv[1]), sys.argv[2])"
    python(home, "-c", script, old / "model.safetensors", old / "pytorch_model.bin")
    (old / "model.safetensors").unlink()
    return home


@pytest.mark.parametrize(
    ("encoder", "cross_encoder", "judges", "backend"),
    [
        ("enc", "ce", ("models/enc", "models/ce"), "torch"),
        ("models/enc", "models/ce", ("enc",), "openvino"),
        ("tiny/enc", "tiny/ce", ("tiny/enc",), "auto"),
        ("models/old", "./ce", ("models/old",), "auto"),
    ],
)
def test_no_stage_takes_a_folder_for_a_name_on_the_hub(
    models, stdlib, encoder, cross_encoder, judges, backend, request
):
    out = models / "out" / encoder.replace("/", "-")
    data = ["--corpus", stdlib / "corpus.parquet", "--pairs", stdlib / "pairs.parquet"]
    named = ["--encoder", encoder, "--cross-encoder", cross_encoder]
    more = ["--backend", backend, "--max-length", "32", "--top-k", "5", "--output", out]
    more += [word for judge in judges for word in ("--judge", judge)]
    commands = [["run", *data, *named, *more], ["validate", *data, *named]]
    if encoder == "enc":
        mined = ["--mined", out / "mined"]
        commands += [
            ["models", "--folder", "models"],
            ["audit", *mined],
            ["export", *mined, "--to", "flagembedding", "--output", out / "exported"],
            ["report", out / "mined"],
            ["batch", *mined, "--output", out / "batches"],
        ]
    for command in commands:
        python(models, "-m", "hnmine", *command, cwd=models)
        assert asked(models) == [], command[0]
