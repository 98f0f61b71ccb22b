"""Nothing that runs here talks to another machine, and nothing is left in the user's home."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
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


def python(home, *arguments):
    """Run Python without what keeps the libraries of the models from the network."""
    environment = {name: value for name, value in os.environ.items() if "OFFLINE" not in name}
    environment |= {
        "HOME": str(home / "home"),
        "PYTHONPATH": str(home / "watch"),
        "ASKED": str(home / "asked"),
    }
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True, check=False, env=environment, text=True, timeout=300,
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
    # Matplotlib and the libraries of the models may have caches there.
    left = [path.name for path in (home / "home").iterdir()]
    assert set(left) <= {".cache", ".config"}
