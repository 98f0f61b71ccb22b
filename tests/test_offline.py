"""Nothing that runs here talks to another machine, and nothing is left in the user's home."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
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


SERVER = """
import json, os, sys
import hnmine.cli, sentence_transformers

for line in sys.stdin:
    if not os.fork():
        for stream, opened in ((0, os.devnull), (1, "said"), (2, "said")):
            os.dup2(os.open(opened, os.O_RDWR | os.O_CREAT | os.O_APPEND), stream)
        sys.argv[1:] = json.loads(line)
        hnmine.cli.main()
        sys.exit()
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""
"""Each command runs in a process of its own, and the libraries are imported once."""


@pytest.fixture(scope="module")
def environment(home):
    """Without what keeps the libraries of the models from the network."""
    kept = {name: value for name, value in os.environ.items() if "OFFLINE" not in name}
    paths = {"HOME": "home", "PYTHONPATH": "watch", "ASKED": "asked"}
    return kept | {name: str(home / path) for name, path in paths.items()}


@pytest.fixture(scope="module")
def hnmine(home, environment):
    """Run a command line there, by a Python that was started in this environment."""
    given = {"cwd": home, "env": environment, "text": True}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **given
    ) as server:

        def run(*arguments):
            server.stdin.write(json.dumps(list(map(str, arguments))) + "\n")
            server.stdin.flush()
            assert server.stdout.readline() == "0\n", (home / "said").read_text()

        yield run
        server.stdin.close()


def asked(home):
    """Return what was asked of the network since the last call."""
    noted = home / "asked"
    found = noted.read_text().splitlines() if noted.exists() else []
    noted.unlink(missing_ok=True)
    return found


def test_what_is_asked_of_the_network_is_noticed(home, environment):
    script = "import socket, subprocess, sys; socket.gethostbyname('localhost'); "
    script += "subprocess.run([sys.executable, '-c', 'import socket; socket.getaddrinfo(None, 1)'])"
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
    assert len(asked(home)) == 2


@pytest.fixture(scope="module")
def data(home, stdlib):
    """The flags of a corpus and pairs."""
    pairs = pq.read_table(stdlib / "pairs.parquet").slice(0, 12)
    corpus = pq.read_table(stdlib / "corpus.parquet")
    of_pairs = pc.is_in(corpus["id"], pairs["positive_id"])
    both = [corpus.filter(of_pairs), corpus.filter(pc.invert(of_pairs)).slice(0, 60)]
    pq.write_table(pa.concat_tables(both), home / "corpus.parquet")
    pq.write_table(pairs, home / "pairs.parquet")
    return ["--corpus", home / "corpus.parquet", "--pairs", home / "pairs.parquet"]


def test_no_stage_asks_anything_of_the_network(home, hnmine, data):
    given = ["--no-progress", *data, "--encoder", ENCODER]
    given += ["--top-k", "10", "--num-negatives", "2"]
    run = home / "run"
    hnmine("run", *given, "--backend", "openvino", "--output", run)
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
        hnmine(*command)
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
    import torch
    from safetensors.torch import load_file

    old = home / "models" / "old"  # With weights as PyTorch saves them.
    shutil.copytree(home / "enc", old)
    torch.save(load_file(old / "model.safetensors"), old / "pytorch_model.bin")
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
    models, hnmine, data, encoder, cross_encoder, judges, backend
):
    out = models / "out" / encoder.replace("/", "-")
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
        hnmine(*command)
        assert asked(models) == [], command[0]
