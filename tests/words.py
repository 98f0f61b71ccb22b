"""Words and phrases that hnmine does not use, and a search for them in source code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

INSTEAD = {
    r"mend(s|ed|ing)?": "fix, repair",
    r"foret(ell|ells|elling|old)": "predict",
    r"whoever|whomever": "name the actor",
    r"what there is": "name the things",
    r"(go|goes|going|went|gone) on( with)?": "resume, continue",
    r"(is|are|was|were) at it": "is running",
    r"paid for": "computed, cached",
    r"turn(s|ed|ing)? round": "reverse, transpose",
    r"anew|afresh": "again",
    r"here and there": "sometimes, in places",
    r"in (the )?place of": "instead of",
    r"(is|are|was) there already": "already exists",
    r"(is|are|was) not there": "does not exist",
    r"(is|are) none any more": "no longer is one",
    r"brings? back": "restore",
    r"is wanted|are wanted": "needs",
    r"without a word": "silently",
    r"likewise": "also",
    r"number formats?": "precision",
    r"hence|thereof|therein|thereby|wherein|whereof|upon": "so, in it, on",
}
"""What is not written, by regular expressions of whole words, and what to write instead."""

IN_PAGES = {
    # verbs
    r"(is|are|was|be) paid( for)?": "costs, is computed",
    r"brought": "returned, restored",
    r"let(s|ting)? go of": "release",
    r"stands?(?! out)|stood": "is in, appears in",
    r"lies (where|among|beside)": "is",
    r"hands? on": "pass",
    r"(is|are) wanted": "needs",
    r"says? so": "report, warn",
    r"hold(s)? zero": "include zero",
    r"takes? .{1,20} for (a|an|the) mistake": "treat as",
    r"asked of": "required",
    # nouns and pronouns
    r"whatever|whichever|wherever": "name the actor or the thing",
    r"(there is|are) to": "name the thing",
    r"nobody|somebody": "no one, someone, another user",
    r"at hand": "available",
    r"imposters?": "negative",
    r"of its own kind": "of the same kind",
    r"copies of one": "name whose copies",
    # connectives
    r"by themselves": "automatically",
    r"(is|are) none": "no …",
    r"in (the )?midst": "during",
    r"as (it|they) stands?": "unchanged",
    r"for all of it": "in total",
    r"nothing but": "only",
    r"so many of": "a number of",
    r"at length": "in detail",
    r"in one go": "in one run",
    r"besides": "also, as well as",
    r"alike": "both",
    r"else(where)? (than|but)": "except",
    r"the (one|other) before": "the previous",
}
"""Further phrases that README, docs and examples do not use."""

ODD = re.compile(rf"\b({'|'.join(INSTEAD)})\b", re.IGNORECASE)


def odd_words(text: str) -> list[str]:
    """Return the phrases of a text that hnmine does not use, as they are written there."""
    return [found[0] for found in ODD.finditer(" ".join(text.split()))]


def texts_in(source: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each string in a Python file: messages, help, docstrings."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def comments_in(source: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each comment in a Python file."""
    for number, line in enumerate(source.read_text("utf-8").splitlines(), 1):
        if found := re.search(r"(?:^|\s)# (.*)", line):
            yield number, found[1]


def odd_words_of(*sources: Path) -> list[str]:
    """Return `file:line: phrase` for each phrase in Python files that hnmine does not use."""
    return [
        f"{source}:{line}: {phrase}"
        for source in sources
        for line, text in (*texts_in(source), *comments_in(source))
        for phrase in odd_words(text)
    ]
