"""Where compiled code is kept if it cannot be kept where Numba would, as in a sealed container."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from factor import FACTOR
from hnmine.compiled import compiled


@compiled()
def times(x):
    return FACTOR * x


assert times(21) == FACTOR * 21
print(sum(times.stats.cache_hits.values()), sum(times.stats.cache_misses.values()))
"""


@pytest.fixture
def sealed(tmp_path) -> Path:
    """A module that nothing can be written beside."""
    (tmp_path / "sealed").mkdir()
    # Permissions do not stop root; a file in the way stops everybody.
    (tmp_path / "sealed" / "__pycache__").touch()
    module = tmp_path / "sealed" / "module.py"
    module.write_text(MODULE)
    module.with_name("factor.py").write_text("FACTOR = 2")
    (tmp_path / "temporary").mkdir()
    return module


def run(module: Path, **more: str) -> list[int]:
    """Run the module with a home that is none; return how often code was found, and missed."""
    environment = {**os.environ, "HOME": os.devnull, "XDG_CACHE_HOME": os.devnull}
    environment |= {"TMPDIR": str(module.parent.parent / "temporary"), **more}
    done = subprocess.run(
        [sys.executable, "-B", module], capture_output=True, check=False, env=environment, text=True
    )
    assert done.returncode == 0, done.stderr
    return [int(number) for number in done.stdout.split()]


def folder(module: Path) -> Path:
    return module.parent.parent / "temporary" / f"hnmine-{os.getuid()}"


def test_code_is_kept_among_the_temporary_files(sealed):
    assert run(sealed) == [0, 1]
    assert folder(sealed).stat().st_mode & 0o777 == 0o700
    assert run(sealed) == [1, 0]


def test_code_is_made_anew_when_another_module_changes(sealed):
    assert run(sealed) == [0, 1]
    sealed.with_name("factor.py").write_text("FACTOR = 345")
    assert run(sealed) == [0, 1]
    assert run(sealed) == [1, 0]


def test_the_user_says_where_it_is_kept(sealed, tmp_path):
    elsewhere = {"NUMBA_CACHE_DIR": str(tmp_path / "elsewhere")}
    assert run(sealed, **elsewhere) == [0, 1]
    assert run(sealed, **elsewhere) == [1, 0]
    assert not folder(sealed).exists()


def test_code_is_not_taken_from_where_others_lead(sealed, tmp_path):
    (tmp_path / "theirs").mkdir()
    folder(sealed).symlink_to(tmp_path / "theirs")
    assert run(sealed) == run(sealed) == [0, 1]
    assert not list((tmp_path / "theirs").iterdir())


def test_without_any_place_it_runs_all_the_same(sealed):
    folder(sealed).touch()
    assert run(sealed) == run(sealed) == [0, 1]


def test_code_beside_a_module_is_found_where_it_is_not_written(sealed, tmp_path):
    """As in an image whose functions another user compiled."""
    beside = sealed.with_name("__pycache__")
    beside.unlink()
    assert run(sealed) == [0, 1]
    elsewhere = {"NUMBA_CACHE_DIR": str(tmp_path / "elsewhere")}
    assert run(sealed, **elsewhere) == [1, 0]
    assert not list((tmp_path / "elsewhere").rglob("*.nbi"))
    sealed.with_name("factor.py").write_text("FACTOR = 345")
    assert run(sealed, **elsewhere) == [0, 1]
    assert list((tmp_path / "elsewhere").rglob("*.nbi"))


def test_another_time_of_the_same_text_is_no_reason_to_compile(sealed):
    """Images keep the times of files to the second."""
    assert run(sealed) == [0, 1]
    for module in sealed.parent.glob("*.py"):
        os.utime(module, (1, 1))
    assert run(sealed) == [1, 0]


MINES = """
import sys

import pyarrow as pa
from numba.core.dispatcher import Dispatcher

from hnmine import build_index, mine

folder = sys.argv[1]
texts = [f"a boat {n} of the lake, été" if n % 2 else f"a boat {n}" for n in range(50)]
corpus = pa.table({"id": [str(n) for n in range(50)], "text": texts})
pairs = pa.table({"query": ["which boat", "quel été"], "positive": texts[:2]})
build_index(corpus=corpus, pairs=pairs, dense=False, index=folder + "/index", progress=False)
mine(index=folder + "/index", pairs=pairs, source=["bm25"], output=folder + "/c", progress=False)
modules = [module for name, module in list(sys.modules.items()) if name.startswith("hnmine.")]
found = [one for module in modules for one in vars(module).values() if isinstance(one, Dispatcher)]
print(len(found) > 20, {one.__name__ for one in found if one.stats.cache_misses})
"""


def test_what_mining_needs_is_compiled_ahead(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    how = {"capture_output": True, "check": False, "env": environment, "text": True}
    ahead = subprocess.run([sys.executable, "-m", "hnmine.compile_ahead"], **how)
    assert ahead.returncode == 0, ahead.stderr
    assert str(tmp_path / "cache") in ahead.stderr
    mined = subprocess.run([sys.executable, "-c", MINES, tmp_path], **how)
    assert mined.stdout.splitlines()[-1:] == ["True set()"], mined.stdout + mined.stderr
