"""The notebook of the demo runs, by a kernel where one is installed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from conftest import CROSS_ENCODER, ENCODER, ROOT

NOTEBOOK = ROOT / "examples" / "demo.ipynb"
MODELS = {
    "sentence-transformers/all-MiniLM-L6-v2": ENCODER,
    "cross-encoder/ms-marco-MiniLM-L6-v2": CROSS_ENCODER,
}
"""The hub's models, and those of packages that tests use instead."""

RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=None).execute()
nbformat.validate(notebook)
for cell in notebook.cells:
    for output in cell.get("outputs", ()):
        print(output.get("text") or output["data"]["text/plain"])
"""


@pytest.fixture
def small(tmp_path):
    """The notebook with installed models, and without its cell for pip."""
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    first = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert first["source"] == ['%pip install -q "hnmine[datasets]"']
    notebook["cells"].remove(first)
    text = json.dumps(notebook)
    for name, packaged in MODELS.items():
        assert name in text
        text = text.replace(name, packaged)
    file = tmp_path / "demo.ipynb"
    file.write_text(text)
    return file


def test_it_runs(small, tmp_path):
    if importlib.util.find_spec("nbclient") and importlib.util.find_spec("ipykernel"):
        command = [sys.executable, "-c", RUN, str(small)]
    else:
        cells = json.loads(small.read_text("utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        command = [sys.executable, "-c", "\n".join(code)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "triplets by default" in done.stdout
    assert (tmp_path / "runs" / "steps" / "mined" / "report.html").is_file()


def test_it_holds_no_outputs():
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count")
