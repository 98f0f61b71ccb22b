"""Tokenising text of many scripts: nanoseconds a character, and times those of ASCII text.

Texts other than ASCII repeat the sentences of `tests/languages.json`: they have few distinct words.
Random Han characters have the most that is possible. All in turn, CPU time of one thread.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import unicodedata
from pathlib import Path

from benchmarks.common import passages, report, spread
from hnmine.index.tokenise import Tokeniser

SENTENCES = Path(__file__).parents[1] / "tests" / "languages.json"
ROUNDS, LETTERS = 7, 3_000_000
ACCENTS = str.maketrans({"e": "\u00e9", "a": "\u00e0", "u": "\u00fc"})


def texts_of(data: Path | None) -> dict[str, list[str]]:
    """Return texts of each script, of about 1,000 characters each."""
    draw = random.Random(0)
    plain = [text.encode("ascii", "ignore").decode() for text in passages(data)]
    plain = plain[: 1 + LETTERS * len(plain) // sum(map(len, plain))]
    accents = [text.translate(ACCENTS) for text in plain]
    texts = {
        "ASCII": plain,
        "accents": accents,
        "accents, decomposed": [unicodedata.normalize("NFD", text) for text in accents],
    }
    for language, corpus in json.loads(SENTENCES.read_text("utf-8")).items():
        made: list[str] = []
        while sum(map(len, made)) < LETTERS:
            made += [" ".join(draw.choices(corpus["documents"], k=25)) for _ in range(100)]
        texts[language] = made
    every = [chr(code) for code in range(0x4E00, 0x4F50)]
    texts["random Han characters"] = ["".join(draw.choices(every, k=600)) for _ in range(1000)]
    return texts


def main() -> None:
    """Measure each script in turn, round by round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder of collections")
    texts = texts_of(parser.parse_args().data)
    tokeniser = Tokeniser()
    for some in texts.values():
        tokeniser.number(some[:10])
    seconds: dict[str, list[float]] = {name: [] for name in texts}
    for _ in range(ROUNDS):
        for name, some in texts.items():
            start = time.process_time()
            tokeniser.number(some)
            seconds[name].append((time.process_time() - start) / sum(map(len, some)))
    rows: list[dict[str, object]] = [
        {
            "script": name,
            "ns a character": spread([value * 1e9 for value in values]),
            "times ASCII": spread([v / a for v, a in zip(values, seconds["ASCII"], strict=True)]),
        }
        for name, values in seconds.items()
    ]
    report("scripts", rows, ["numba", "PyStemmer", "pyarrow"])


if __name__ == "__main__":
    main()
