"""The record of who judged a sheet: a JSON file beside it, without keys."""

from __future__ import annotations

from pathlib import Path

from hnmine.judging.judge_result import Judged
from hnmine.judging.machine_judge import MachineJudge
from hnmine.runner.atomic import write_text
from hnmine.runner.locks import file_lock
from hnmine.runner.manifest import read_json
from hnmine.runner.plan import canonical_json


def record_judge(sheet: Path, judge: MachineJudge, judged: Judged) -> None:
    """Write SHEET.judge.json: by judge its model, prompt, settings, counts, hits and alarms."""
    file = sheet.with_name(f"{sheet.name}.judge.json")
    with file_lock(file):
        known = read_json(file) or {}
        about = {**judge.identity, **judge.reached_by, **judged.as_json()}
        write_text(file, canonical_json(known | {judge.name: about}))
