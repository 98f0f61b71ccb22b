"""Kill commands at random moments, by SIGKILL, SIGTERM and Ctrl-C, and run them again until they
complete: the files are those of a run that nobody disturbed.

`python -m tests.kills --kills 100` kills that often, over all commands; `test_faults.py` runs a
few. A command is a process forked from a server that has imported everything.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import faults
import forked
from held import HANG

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
INTERRUPTED = 130
AGAIN = 0.4
"""Chance that what goes on is killed too, and that Ctrl-C is pressed twice."""

A_SECOND = 1.0
"""In which a command is killed whose time is not known."""

CONFIG = """\
corpus: {inputs}/corpus.parquet
pairs: {inputs}/pairs.parquet
output: .
threads: 1
progress: false
device: cpu
generate: {{block-size: 5}}
build-index: {{encoder: "{encoder}", max-length: 16, backend: torch, shard-size: 24}}
mine: {{block-size: 5, top-k: 8}}
filter: {{cross-encoder: "{cross_encoder}", max-length: 32, margin: 0.0, max-uses: 4, deepen: 2}}
batch: {{batch-size: 4}}
mix: {{by: ["mochi:2"], vectors: true}}
"""


def flags(settings: dict[str, Any]) -> list[str]:
    """Write settings as the flags of a command line."""
    found = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            found.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            values = value if isinstance(value, list) else [value]
            found += [text for item in values for text in (f"--{flag}", str(item))]
    return found


def command_line(name: str, inputs: Path, root: Path) -> list[str]:
    """Return the arguments of `hnmine` for a step."""
    if name == "run":
        config = root / "hnmine.yaml"
        models = {"encoder": faults.ENCODER, "cross_encoder": faults.CROSS_ENCODER}
        config.write_text(CONFIG.format(inputs=inputs, **models), encoding="utf-8")
        return ["run", "--config", str(config)]
    if name == "report":
        return ["report", "mined", "--no-progress"]
    return [name, *flags(faults.STEPS[name][2](inputs, Path()))]


COMMANDS = (*faults.STEPS, "run", "report")


def _work(arguments: Sequence[str], root: Path, log: Path, ready: Any) -> None:
    from hnmine.cli import main

    # Ctrl-C ends it as it ends a command, also before hnmine listens and after its last step. Else
    # it would depend on the moment what the process of a test does then.
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    os.setsid()
    os.chdir(root)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(written, 1)
    os.dup2(written, 2)
    sys.argv = ["hnmine", *arguments]
    ready.send(True)
    code: object = 0
    try:
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        code = INTERRUPTED
    os._exit(code if isinstance(code, int) else bool(code))


@dataclass
class Killer:
    """Runs commands, and kills them.

    Attributes:
        folder: for everything that is written.
        draw: decides moments and signals.
        kills: by command and signal.
        seconds: how long each command takes undisturbed.
        wrong: exit codes that are none of an interrupted command, files that differ or are left.
    """

    folder: Path
    draw: random.Random
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def prepare(
        self, commands: Sequence[str], done: tuple[Path, Path, Sequence[str]] | None = None
    ) -> None:
        """Run everything undisturbed, and remember how long it took.

        Args:
            commands: that will be killed.
            done: inputs, the root of what is there already, and the commands that wrote it.
        """
        self.inputs, self.whole, known = done or (
            faults.write_inputs(self.folder / "inputs"),
            self.folder / "whole",
            (),
        )
        self.seconds = dict.fromkeys(known, A_SECOND)
        self.whole.mkdir(exist_ok=True)
        (self.folder / "whole-run").mkdir()
        for name in commands:
            for step in (*(faults.earlier(name) if name in faults.STEPS else ()), name):
                self._prepared(step)

    def _prepared(self, name: str) -> None:
        if name in self.seconds:
            return
        if name == "report":
            for step in ("build-index", "mine", "filter"):
                self._prepared(step)
        self._once(name, self.folder / "whole-run" if name == "run" else self.whole)

    def _once(self, name: str, root: Path) -> None:
        start = time.monotonic()
        code = self._attempt(name, root, None)
        self.seconds.setdefault(name, time.monotonic() - start)
        assert code == 0, (name, code, self._log(root))

    def _log(self, root: Path) -> str:
        return root.with_suffix(".log").read_text("utf-8", "replace")[-2000:]

    def _start(self, name: str, root: Path) -> Any:
        began, ready = multiprocessing.Pipe(duplex=False)
        arguments = command_line(name, self.inputs, root), root, root.with_suffix(".log")
        process = forked.process(_work, *arguments, ready)
        process.start()
        ready.close()
        assert began.recv()
        return process

    def _attempt(self, name: str, root: Path, kill: signal.Signals | None) -> int:
        """Run a command, and kill it at a random moment; return its exit code."""
        process = self._start(name, root)
        if kill is not None:
            process.join(self.draw.uniform(0, self.seconds[name]))
            if process.exitcode is None:
                os.kill(process.pid, kill)
                if kill == signal.SIGINT and self.draw.random() < AGAIN:
                    process.join(self.draw.uniform(0, 0.5))
                    if process.exitcode is None:
                        os.kill(process.pid, kill)
        process.join(HANG)
        assert process.exitcode is not None, (name, kill, "did not end", self._log(root))
        return int(process.exitcode)

    def kill_until_done(self, name: str) -> None:
        """Kill a command, and what goes on with it; compare what it leaves in the end."""
        root = self.folder / "root"
        (root.with_suffix(".log")).unlink(missing_ok=True)
        killed = False
        while not killed:
            self._before(name, root)
            start = time.monotonic()
            while True:
                kill = self.draw.choice(SIGNALS)
                code = self._attempt(name, root, kill)
                ended = {signal.SIGKILL: -9, signal.SIGTERM: -15, signal.SIGINT: INTERRUPTED}[kill]
                if code not in (0, ended):
                    self.wrong.append(
                        f"{name} by {kill.name} ended with {code}:\n{self._log(root)}"
                    )
                self.kills[name, kill.name] += code != 0
                killed |= code != 0
                if code == 0 or self.draw.random() >= AGAIN:
                    break
            if not killed:  # It was faster than the kill: the next one comes earlier.
                self.seconds[name] /= 2
        self._once(name, root)
        # Other work on the machine comes and goes, and with it the time that a command takes.
        self.seconds[name] = (self.seconds[name] + time.monotonic() - start) / 2
        written = self._written(name, self.whole), self._written(name, root)
        if differ := faults.wrong_files(*written, root):
            self.wrong.append(f"{name} left {differ}:\n{self._log(root)}")

    def _before(self, name: str, root: Path) -> None:
        """Bring a folder to where a command begins."""
        if name == "report":
            faults.before("export", self.whole, root)  # Which reads what a report reads.
            (root / "mined" / "report.html").unlink(missing_ok=True)
        elif name == "run":
            faults.before("generate", self.whole, root)  # Which reads nothing that was written.
        else:
            faults.before(name, self.whole, root)

    def _written(self, name: str, root: Path) -> dict[str, bytes]:
        if name == "run":
            root = self.folder / "whole-run" if root == self.whole else root
            found = faults.content(root)
            return {file: data for file, data in found.items() if file != "hnmine.yaml"}
        if name == "report":
            return {"report.html": (root / "mined" / "report.html").read_bytes()}
        found = faults.written(name, root)
        found.pop("report.html", None)  # Written later, and not by this.
        return found


def main() -> None:
    """Kill commands in turn, so often in all."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="*", default=list(COMMANDS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        killer = Killer(Path(folder), random.Random(options.seed))
        killer.prepare(options.commands)
        sys.stdout.write(f"undisturbed, in seconds: {killer.seconds}\n")
        while killer.kills.total() < options.kills:
            for name in options.commands:
                killer.kill_until_done(name)
            sys.stdout.write(f"{killer.kills.total()} kills\n")
            sys.stdout.flush()
    for (name, kill), count in sorted(killer.kills.items()):
        sys.stdout.write(f"{count:>4}  {name} by {kill}\n")
    sys.stdout.write("\n".join([f"{killer.kills.total()} kills", *killer.wrong]) + "\n")
    sys.exit(bool(killer.wrong))


if __name__ == "__main__":
    main()
