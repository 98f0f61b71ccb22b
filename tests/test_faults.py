"""Killed again and again, at any operation on files: what comes out is the same.

`python tests/faults.py` kills every stage at every operation, and `python -m tests.kills` every
command at random moments, by three signals; here is a sample.
"""

from __future__ import annotations

import random
from pathlib import Path

import faults
import pytest
from kills import COMMANDS, Killer

pytestmark = pytest.mark.xdist_group("faults")

KILLS = 3
"""Of each stage, about: each next run gets as far again."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Path, Path, dict[str, int]]:
    return faults.undisturbed(tmp_path_factory)


@pytest.mark.parametrize("step", faults.STEPS)
def test_killed_at_operations_on_files_every_stage_goes_on_to_the_same_files(
    undisturbed, tmp_path, step
):
    inputs, whole, counts = undisturbed
    faults.before(step, whole, tmp_path / "run")
    kills = 0
    # Each kill comes somewhat later than the last, so that every run makes progress.
    for kill_at in range(counts[step] // (KILLS + 1), 2 * counts[step], counts[step] // 11 + 1):
        if faults.attempt(step, inputs, tmp_path / "run", kill_at=kill_at) is not None:
            break
        kills += 1
    else:
        pytest.fail("It made no progress.")
    assert kills >= KILLS - 1
    assert faults.written(step, tmp_path / "run") == faults.written(step, whole)
    assert not [*tmp_path.rglob(".hnmine/tmp/*"), *tmp_path.rglob("*.tmp")]


@pytest.mark.parametrize("step", faults.STEPS)
def test_a_disk_that_is_full_stops_every_stage_and_leaves_it_whole(undisturbed, tmp_path, step):
    inputs, whole, _ = undisturbed
    root = tmp_path / "run"
    faults.before(step, whole, root)
    stopped = 0
    for room in (0, 1000, 4000):
        stopped += faults.attempt(step, inputs, root, room=room) is None
    assert stopped
    faults.attempt(step, inputs, root)
    assert faults.written(step, root) == faults.written(step, whole)
    assert not [*root.rglob(".hnmine/tmp/*"), *root.rglob("*.tmp")]


def test_killed_at_a_random_moment(undisturbed, tmp_path):
    inputs, whole, _ = undisturbed
    seconds = 0.6
    while not faults.kill_and_go_on("mine", inputs, whole, tmp_path / "run", after=seconds):
        seconds /= 2  # It was faster than the kill.


def test_every_command_that_is_killed_or_interrupted_goes_on_to_the_same_files(
    undisturbed, tmp_path
):
    inputs, whole, counts = undisturbed
    killer = Killer(tmp_path, random.Random(0))
    killer.prepare(COMMANDS, (inputs, whole, tuple(counts)))
    for name in COMMANDS:
        killer.kill_until_done(name)
    assert not killer.wrong, "\n".join(killer.wrong)
    assert {name for (name, _), kills in killer.kills.items() if kills} == {*COMMANDS}
