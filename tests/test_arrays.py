"""The jobs of an array, as the examples start them: what they write is what one process writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, rows
from faults import write_inputs
from held import HANG

import hnmine as api

SLURM = ROOT / "examples" / "slurm" / "mine.sh"
KUBERNETES = ROOT / "examples" / "kubernetes" / "mine.yaml"


@pytest.fixture
def run(tmp_path) -> Path:
    """An index to mine from, the inputs, what one process mines, and a `hnmine` for a path."""
    inputs = write_inputs(tmp_path / "inputs", 400, 120)
    root = tmp_path / "run"
    root.mkdir()
    (inputs / "pairs.parquet").rename(root / "pairs.parquet")
    corpus = str(inputs / "corpus.parquet")
    api.build_index(corpus=corpus, index=root / "index", dense=False, progress=False)
    given = {"index": root / "index", "pairs": str(root / "pairs.parquet"), "progress": False}
    api.mine(**given, output=tmp_path / "alone")
    script = tmp_path / "bin" / "hnmine"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m hnmine "$@" --block-size 16\n')
    script.chmod(0o755)
    return root


def start(command: list[str], run: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a job that finds `hnmine` on its path."""
    path = f"{run.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "RUN": str(run), "PATH": path, **environment}
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                            text=True)  # fmt: skip


def end(jobs: list[subprocess.Popen[str]]) -> None:
    for job in jobs:
        _, said = job.communicate(timeout=HANG)
        assert job.returncode == 0, said


def same(run: Path) -> bool:
    """Tell whether the rows are those of one process, which had blocks of another size."""
    alone, shared = (
        rows(root / "candidates") for root in (run.parent / "alone", run / "candidates")
    )
    return alone == shared and len(shared) > 120


def test_the_jobs_of_a_slurm_array_write_what_one_process_does(run):
    def job(**environment: str) -> subprocess.Popen[str]:
        return start(["bash", str(SLURM)], run, **environment)

    early = job()
    _, said = early.communicate(timeout=HANG)
    assert early.returncode == 4
    assert "are not done" in said
    end([job(SLURM_ARRAY_TASK_ID=str(n), SLURM_ARRAY_TASK_COUNT="2") for n in range(2)])
    assert same(run)
    end([job()])


def test_a_slurm_array_goes_on_without_a_job_that_was_lost(run):
    lost = start(["bash", str(SLURM)], run, SLURM_ARRAY_TASK_ID="0", SLURM_ARRAY_TASK_COUNT="2")
    lost.kill()
    lost.communicate()
    end([start(["bash", str(SLURM)], run, SLURM_ARRAY_TASK_ID="1", SLURM_ARRAY_TASK_COUNT="2")])
    assert same(run)


def test_the_pods_of_a_kubernetes_job_write_what_one_process_does(run):
    job = yaml.safe_load(KUBERNETES.read_text("utf-8"))["spec"]
    pod = job["template"]["spec"]["containers"][0]
    given = {entry["name"]: entry["value"] for entry in pod["env"]}
    assert job["completionMode"] == "Indexed"
    assert int(given["OF"]) == job["completions"] == job["parallelism"]
    command = [*pod["command"], *pod["args"]]
    end([start(command, run, OF="2", JOB_COMPLETION_INDEX=str(n)) for n in range(2)])
    assert same(run)
