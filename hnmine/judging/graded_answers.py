"""Read the grade and the reason out of what a language model says; nothing is guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from hnmine.judging.machine_judge import Answer
from hnmine.printable import shortened

HIGHEST = 3
"""The highest grade: the document answers the query. From 2 on it counts as relevant."""

LONGEST_REASON = 500
"""Characters of a reason that are kept."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "grade": {"type": "integer", "enum": list(range(HIGHEST + 1))},
    },
    "required": ["reason", "grade"],
    "additionalProperties": False,
}

_THOUGHTS = re.compile(r"^.*</think(?:ing)?>|<think(?:ing)?>.*", re.DOTALL | re.IGNORECASE)
_GRADE_LINE = re.compile(
    rf"""^\W*(?:the\s+|final\s+|overall\s+)*(?:grade|score|rating|relevance)\W*(?:\bis\b)?\W*
    ([0-{HIGHEST}])(?:\.0)?(?:\s*(?:/|out\ of)\s*{HIGHEST})?\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
_ALONE = re.compile(rf"\W*([0-{HIGHEST}])\W*")


def read_answer(said: str) -> Answer:
    """Return the grade, the reason and the verdict in an answer; an empty answer without a grade.

    Understood are a JSON object, also between other words or after thoughts; a line such as
    `Grade: 2`; and a grade alone. Two different grades are none, unless the last line is one.
    """
    whole = _object(said)
    if whole is not None:
        return _answer(whole.get("grade"), whole.get("reason"))
    spoken = _THOUGHTS.sub("", said).strip()
    objects = [found for found in _objects(spoken) if _grade(found.get("grade")) is not None]
    if objects:
        return _answer(objects[-1]["grade"], objects[-1].get("reason"))
    lines = [line for line in spoken.splitlines() if line.strip()]
    if not lines:
        return Answer()
    if alone := _ALONE.fullmatch(spoken):
        return _answer(int(alone[1]), None)
    graded = [
        (n, int(found[1])) for n, line in enumerate(lines) if (found := _GRADE_LINE.match(line))
    ]
    grades = {grade for _, grade in graded}
    if graded and (len(grades) == 1 or graded[-1][0] == len(lines) - 1):
        at, grade = graded[-1]
        return _answer(grade, " ".join(line for n, line in enumerate(lines) if n != at))
    return Answer()


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the outermost JSON objects between other words."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if isinstance(found, dict):
                yield found
        at = text.find("{", end)


def _grade(value: Any) -> int | None:
    """Return a grade from 0 to 3; None for anything else."""
    if isinstance(value, str) and value.strip() in {str(n) for n in range(HIGHEST + 1)}:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value in range(HIGHEST + 1) else None


def _answer(grade: Any, reason: Any) -> Answer:
    known = _grade(grade)
    if known is None:
        return Answer()
    said = shortened(reason, LONGEST_REASON) if isinstance(reason, str) else ""
    return Answer(verdict=known / HIGHEST, grade=known, reason=said or None)
