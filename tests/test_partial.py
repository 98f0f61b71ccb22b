"""What a task has computed is kept: a kill or Ctrl-C loses what is being computed, and no more."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import forked
import numpy as np
import pytest
from conftest import CROSS_ENCODER, ENCODER, ONNX_ENCODER, content, mined_by_words
from faults import write_inputs
from held import HANG, let_work, stopped, taken

import hnmine as api
from hnmine.runner.checkpoints import Partial, computed, key_of, on_threads

SHARED = {"threads": 2, "progress": False, "device": "cpu"}


def keys(partial, *names):
    return [partial.get(name.encode().ljust(16)) for name in names]


def keep(path, plan="p", **results):
    with Partial(path, plan) as partial:
        for name, result in results.items():
            partial.keep(name.encode().ljust(16), result, 1)
    return path


class TestFile:
    def test_results_of_several_processes_are_read_again(self, tmp_path):
        path = keep(tmp_path / "partial" / "t", a=b"one", b=b"")
        keep(path, c=b"three")
        partial = Partial(path, "p")
        assert keys(partial, "a", "b", "c", "d") == [b"one", b"", b"three", None]
        assert partial.items == 3

    def test_another_plan_has_none_of_them(self, tmp_path):
        path = keep(tmp_path / "partial" / "t", a=b"one")
        assert keys(Partial(path, "q"), "a") == [None]
        keep(path, plan="q", b=b"two")
        assert keys(Partial(path, "q"), "a", "b") == [None, b"two"]

    def test_cut_off_anywhere_the_whole_ones_stay_and_others_follow(self, tmp_path):
        path = keep(tmp_path / "partial" / "t", a=b"one", b=b"two")
        whole = path.read_bytes()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            kept = keys(Partial(path, "p"), "a", "b")
            assert kept in ([None, None], [b"one", None])
            keep(path, c=b"three")
            assert keys(Partial(path, "p"), "a", "b", "c") == [*kept, b"three"]
        assert kept == [b"one", None]

    def test_a_byte_that_flipped_anywhere_makes_no_result_another(self, tmp_path):
        path = keep(tmp_path / "partial" / "t", a=b"one", b=b"two")
        whole = path.read_bytes()
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            one, two = keys(Partial(path, "p"), "a", "b")
            assert one in (None, b"one") and two in (None, b"two")

    @pytest.mark.parametrize("link", ["file", "folder"])
    def test_a_link_is_never_followed(self, tmp_path, link):
        """A directory that somebody sent may hold links to anywhere."""
        victim = tmp_path / "mine" / "t"
        victim.parent.mkdir()
        victim.write_text("important")
        path = tmp_path / "partial" / "t"
        if link == "file":
            path.parent.mkdir()
            path.symlink_to(victim)
        else:
            path.parent.symlink_to(victim.parent)
        Partial(path, "p").remove()
        assert keys(Partial(keep(path, a=b"one"), "p"), "a") == [b"one"]
        assert victim.read_text() == "important"

    def test_nothing_is_written_after_the_task_was_left(self, tmp_path):
        with Partial(tmp_path / "partial" / "t", "p") as partial:
            partial.keep(b"a" * 16, b"one", 1)
        partial.keep(b"b" * 16, b"two", 1)
        assert Partial(tmp_path / "partial" / "t", "p").items == 1

    def test_keys_tell_where_a_text_ends(self):
        assert key_of(["ab", "c"]) != key_of(["a", "bc"])
        assert key_of(["\ud800"]) != key_of([""])


class Pool(ThreadPoolExecutor):
    """Knows when the last of so many items is done or given up."""

    def __init__(self, threads, items):
        super().__init__(threads)
        self.over, self.to_come = threading.Event(), items

    def submit(self, *work):
        future = super().submit(*work)
        self.to_come -= 1
        if not self.to_come:
            future.add_done_callback(lambda _: self.over.set())
        return future


class TestThreads:
    def test_what_stops_early_begins_nothing_more(self):
        begun = []

        def work(item):
            begun.append(item)
            if item:
                pool.over.wait(HANG)

        def interrupted(item):
            raise KeyboardInterrupt

        with Pool(2, 1000) as pool, pytest.raises(KeyboardInterrupt):
            on_threads(pool, work, range(1000), interrupted)
        assert set(begun) <= {0, 1, 2}

    def test_only_what_is_missing_is_computed_and_what_was_begun_is_kept(self, tmp_path):
        asked = []

        def work(item):
            asked.append(item)
            if item == 6:
                raise RuntimeError
            if item == 7:  # Begun before the failure of 6 is seen, which gives up the others.
                pool.over.wait(HANG)
            return str(item).encode()

        def run(items):
            key = lambda n: key_of([str(n)])  # noqa: E731
            return computed(pool, work, items, key, lambda n: 2, ticks.append)

        path, ticks = tmp_path / "partial" / "t", []
        with Pool(1, 10) as pool:
            with pytest.raises(RuntimeError), Partial(path, "p"):
                run(range(10))
            assert asked == [*range(7)] or asked == [*range(8)]
            asked.clear()
            with Partial(path, "p") as partial:
                before = partial.items
                assert run([5, 8, 4, 9]) == [b"5", b"8", b"4", b"9"]
            assert before >= 12
            assert {8, 9} >= set(asked) >= {9}
            assert sum(ticks[-4:]) == 8
            assert run([3]) == [b"3"]  # Outside of a task, nothing is looked up.
            assert asked[-1] == 3


def dies_after(monkeypatch, results):
    """Let a task die once so many results of it are kept; return all that are kept from then on."""
    kept, keep, one_by_one = [], Partial.keep, threading.Lock()

    def keeping(self, key, result, items):
        with one_by_one:
            if len(kept) == results:
                raise KeyboardInterrupt
            keep(self, key, result, items)
            kept.append(key)

    monkeypatch.setattr(Partial, "keep", keeping)
    return kept


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def index(inputs, tmp_path_factory):
    root = tmp_path_factory.mktemp("index")
    api.build_index(**index_settings(inputs, root, ENCODER))
    candidates = {"index": root / "index", "pairs": str(inputs / "pairs.parquet"), "top_k": 8}
    api.mine(**SHARED, **candidates, output=root / "candidates")
    return root


def index_settings(inputs, root, encoder, **more):
    given = {"corpus": str(inputs / "corpus.parquet"), "pairs": str(inputs / "pairs.parquet")}
    small = {"encoder": encoder, "max_length": 16, "index": root / "index"}
    batches = {} if encoder == ONNX_ENCODER else {"batch_tokens": 64}
    return {**SHARED, **given, **small, **batches, **more}


def build(root, inputs, index, encoder, **more):
    api.build_index(**index_settings(inputs, root, encoder, **more))
    return root / "index"


def mine(root, inputs, index):
    pairs = str(inputs / "pairs.parquet")
    api.mine(**SHARED, index=index / "index", pairs=pairs, output=root / "c", top_k=8)
    return root / "c"


def filter(root, inputs, index, **more):
    if not (root / "c").exists():
        shutil.copytree(index / "candidates", root / "c", ignore=shutil.ignore_patterns("scores"))
    api.filter(**SHARED, candidates=root / "c", output=root / "mined", max_length=32, **more)
    return root


STEPS = {
    "torch": (build, {"encoder": ENCODER, "backend": "torch"}, 9),
    "openvino": (build, {"encoder": ENCODER, "backend": "openvino"}, 9),
    "onnx": (build, {"encoder": ONNX_ENCODER}, 29),
    "queries": (mine, {}, 0),
    "cross-encoder": (filter, {"cross_encoder": CROSS_ENCODER}, 50),
    "waves": (filter, {"cross_encoder": CROSS_ENCODER, "lazy": True, "margin": 1.0}, 30),
    "bi-encoder": (filter, {"judge": [ENCODER], "batch_tokens": 64, "score": "bm25"}, 12),
}


@pytest.mark.parametrize("step", STEPS)
def test_stopped_in_a_task_it_computes_only_the_rest_of_the_same_batches(
    step, inputs, index, tmp_path, monkeypatch
):
    act, settings, results = STEPS[step]
    for name in ("undisturbed", "stopped"):
        (tmp_path / name).mkdir()
    whole = act(tmp_path / "undisturbed", inputs, index, **settings)
    every = dies_after(monkeypatch, -1)
    again = tmp_path / "again"
    again.mkdir()
    act(again, inputs, index, **settings)
    monkeypatch.undo()
    kept = dies_after(monkeypatch, results)
    with pytest.raises(KeyboardInterrupt):
        act(tmp_path / "stopped", inputs, index, **settings)
    assert len(kept) == results
    monkeypatch.undo()
    rest = dies_after(monkeypatch, -1)
    stopped = act(tmp_path / "stopped", inputs, index, **settings)
    assert sorted([*kept, *rest]) == sorted(every)
    assert content(stopped) == content(whole)
    assert not [*stopped.rglob(".hnmine/partial/*")]


@pytest.fixture(scope="module")
def candidates(stdlib, tmp_path_factory):
    return mined_by_words(stdlib, tmp_path_factory.mktemp("partial"), top_k=12)


STOP = """
import os, signal
from hnmine.runner.checkpoints import Partial
_keep = Partial.keep
def _stopping(self, *given):
    before = self.items
    _keep(self, *given)
    if before < {results} <= self.items:
        os.kill(os.getpid(), signal.SIGSTOP)
Partial.keep = _stopping
"""


class Filter:
    """`hnmine filter` with a cross-encoder, that stops once so many logits are kept in a task."""

    def __init__(self, candidates, folder, stops_at=None):
        self.candidates, self.output = folder / "candidates", folder / "mined"
        if not folder.exists():
            shutil.copytree(candidates, self.candidates)
        arguments = ["filter", "--candidates", self.candidates, "--output", self.output]
        arguments += ["--cross-encoder", CROSS_ENCODER, "--max-length", "48"]
        before = STOP.format(results=stops_at) if stops_at else ""
        self.process = forked.Running(before + forked.COMMAND_LINE, arguments)
        if stops_at:
            stopped(self.process)

    def end(self):
        said = self.process.communicate()[1]
        return self.process.returncode, said


def test_interrupted_it_keeps_what_it_scored_and_says_how_much(candidates, tmp_path):
    assert Filter(candidates, tmp_path / "undisturbed").end()[0] == 0
    run = Filter(candidates, tmp_path / "stopped", stops_at=40)
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGCONT)
    code, said = run.end()
    assert code == 130, said
    (line,) = (line for line in said.splitlines() if line.startswith("Kept of the step"))
    scored, total = (int(word.replace(",", "")) for word in line.split() if word[0].isdigit())
    assert "'scores: cross-encoder'" in line and "pairs" in line
    assert 40 <= scored < total
    # Then killed, some results later.
    run = Filter(candidates, tmp_path / "stopped", stops_at=scored + 40)
    run.process.kill()
    assert run.end()[0] == -signal.SIGKILL
    assert Filter(candidates, tmp_path / "stopped").end()[0] == 0
    for folder in ("mined", "candidates"):
        expected = content(tmp_path / "undisturbed" / folder)
        assert content(tmp_path / "stopped" / folder) == expected


def test_a_second_interrupt_stops_compiled_code_at_once():
    script = (
        "import hashlib, sys\n"
        "from hnmine.runner import interrupts\n"
        "interrupts.listen()\n"
        "print('begins', flush=True)\n"
        "hashlib.pbkdf2_hmac('sha256', b'a', b'b', (1 << 31) - 1)\n"  # Takes longer than a wait.
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begins\n"
    try:
        let_work(process, 0.3)
        process.send_signal(signal.SIGINT)
        taken(process, signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=HANG) == 130
    finally:
        process.kill()
    assert "Interrupted again" in process.stderr.read()


def test_arrays_come_back_to_the_bit(tmp_path):
    values = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    keep(tmp_path / "partial" / "t", a=values.tobytes())
    (found,) = keys(Partial(tmp_path / "partial" / "t", "p"), "a")
    assert np.frombuffer(found, np.float32).reshape(3, 5).tobytes() == values.tobytes()
