"""`--threads` binds the linear algebra of NumPy and SciPy too, and a Python caller has it back."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from conftest import write
from threadpoolctl import threadpool_info, threadpool_limits

from hnmine.commands import COMMANDS
from hnmine.commands.configuration import settings_for
from hnmine.commands.run import STAGES, run
from hnmine.commands.sharing import share_of
from hnmine.config import MineSettings
from hnmine.runner.blas_threads import VARIABLE, blas_threads

MANY = 3


def threads_of_blas(*given):
    return [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def many():
    """The process has more threads, as on a machine with more cores."""
    with threadpool_limits(MANY, user_api="blas"):
        assert set(threads_of_blas()) == {MANY}
        yield


def mining(**given):
    return MineSettings.parse({"index": "i", "pairs": "p.parquet", "output": "o", **given})


@pytest.mark.parametrize(("given", "found"), [({"threads": 1}, 1), ({"threads": 2}, 2), ({}, MANY)])
def test_a_command_has_as_many_as_it_was_given(given, found):
    command = replace(COMMANDS["mine"], run=threads_of_blas)
    assert set(command.run_with(mining(**given))) == {found}
    assert set(threads_of_blas()) == {MANY}


def test_a_run_binds_every_stage(tmp_path, monkeypatch):
    write(tmp_path / "c.parquet", id=["a", "b"], text=["one", "two"])
    write(tmp_path / "p.parquet", query=["one?"], positive=["one"])
    seen = []
    stages = tuple(
        replace(stage, run=lambda *given: seen.append(set(threads_of_blas()))) for stage in STAGES
    )
    monkeypatch.setattr("hnmine.commands.run.STAGES", stages)
    flags = {"corpus": [str(tmp_path / "c.parquet")], "pairs": str(tmp_path / "p.parquet")}
    given = {**flags, "dense": False, "output": tmp_path / "r", "threads": 1}
    run(settings_for("run", {}, given))
    assert seen == [{1}] * len(STAGES)
    assert set(threads_of_blas()) == {MANY}


def test_a_command_without_threads_runs():
    command = replace(COMMANDS["init"], run=threads_of_blas)
    assert set(command.run_with(command.settings.parse({}))) == {MANY}


def test_each_of_several_processes_has_its_share():
    assert set(share_of(threads_of_blas, mining(threads=8), 0, 4, 2)()) == {2}


def test_all_have_their_number_back_after_an_error(monkeypatch):
    for before in (None, "7"):
        monkeypatch.delenv(VARIABLE, raising=False)
        if before:
            monkeypatch.setenv(VARIABLE, before)
        with pytest.raises(ValueError, match="in between"), blas_threads(1):
            raise ValueError("in between")
        assert set(threads_of_blas()) == {MANY}
        assert os.environ.get(VARIABLE) == before


FOUND = """
import sys
from threadpoolctl import threadpool_info
def found():
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}
"""
USUAL = "import numpy; print(found())"
MEANWHILE = """
from hnmine.runner.blas_threads import blas_threads
assert "numpy" not in sys.modules
with blas_threads(1):
    import scipy.linalg
    print(found())
print(found())
"""


def printed(script):
    done = subprocess.run(
        [sys.executable, "-c", FOUND + script], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_what_is_loaded_meanwhile_is_bound_and_set_free():
    assert printed(MEANWHILE) == ["{1}", *printed(USUAL)]
