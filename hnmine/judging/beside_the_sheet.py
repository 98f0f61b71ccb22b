"""The files beside a sheet: the answers of each judge, as they arrive, and what is known of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from hnmine.judging.judge_result import Judged
from hnmine.judging.machine_judge import Answer, Item, MachineJudge
from hnmine.runner.atomic import write_text
from hnmine.runner.checkpoints import Partial, key_of
from hnmine.runner.locks import file_lock
from hnmine.runner.manifest import read_json
from hnmine.runner.plan import canonical_json, digest


class AnswerCache:
    """The answers of one judge to pairs of texts, whichever sheet they are in."""

    def __init__(self, stored: Partial) -> None:
        self._stored, self._new = stored, dict[Item, Answer]()

    @classmethod
    @contextmanager
    def open(cls, sheet: Path, judge: MachineJudge) -> Iterator[AnswerCache]:
        """Open the cache beside a sheet; another process that opens it waits, and then gives up.

        Raises:
            PartialRun: another process holds it.
        """
        file = place_of(sheet, judge)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(file), Partial(file, _mark(judge)) as stored:
            yield cls(stored)

    @classmethod
    def peek(cls, sheet: Path, judge: MachineJudge) -> AnswerCache:
        """Read the cache without a lock; it is not written."""
        return cls(Partial(place_of(sheet, judge), _mark(judge)))

    def get(self, item: Item) -> Answer | None:
        """Return the answer to a pair, which may be empty; None if it was never asked for."""
        if item in self._new:
            return self._new[item]
        stored = self._stored.get(_key(item))
        try:
            return None if stored is None else Answer(**json.loads(stored))
        except (ValueError, TypeError):  # Of another version.
            return None

    def keep(self, item: Item, answer: Answer) -> None:
        """Store an answer; safe from any thread."""
        self._stored.keep(_key(item), json.dumps(asdict(answer)).encode(), 1)
        self._new[item] = answer


def place_of(sheet: Path, judge: MachineJudge) -> Path:
    """Return the file of a judge's answers, in a folder beside the sheet."""
    return sheet.with_name(f"{sheet.name}.answers") / f"{_mark(judge)[:16]}.bin"


def _mark(judge: MachineJudge) -> str:
    return digest({"judge": judge.identity})


def _key(item: Item) -> bytes:
    return key_of([item.query, item.document])


def record_judge(sheet: Path, judge: MachineJudge, judged: Judged) -> None:
    """Write SHEET.judge.json: by judge its model, prompt, settings, counts, hits and alarms."""
    file = sheet.with_name(f"{sheet.name}.judge.json")
    with file_lock(file):
        known = read_json(file) or {}
        about = {**judge.identity, **judge.reached_by, **judged.as_json()}
        write_text(file, canonical_json(known | {judge.name: about}))
