"""Pages, examples and configurations are in plain English: no odd words, no endless sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from blocks import pages
from conftest import ROOT
from words import IN_PAGES, INSTEAD

GENERATED = {"docs/api.md"}
"""Written from docstrings and help texts, which have a test of their own."""
WORDS_IN_A_SENTENCE = 25
WORDS_IN_A_CELL = 30
CODE = re.compile(r"`[^`]*`")
LINK = re.compile(r"\]\([^)\s]*\)")
ODD = {
    re.compile(rf"\b({words})\b", re.IGNORECASE): better
    for words, better in (INSTEAD | IN_PAGES).items()
}
END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bal)(?<!\bvs)[.!?][*\")]*\s")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


PAGES = [page for page in pages() if name_of(page) not in GENERATED]
COMMENTED = [
    path
    for folder in ("configs", "examples")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".yaml", ".sh") and path.is_file()
]


def plain(text: str) -> str:
    """Blank out code and the targets of links; each line keeps its number."""
    text = re.sub(r"^```.*?^```$", _blank, text, flags=re.MULTILINE | re.DOTALL)
    return LINK.sub("]", CODE.sub(lambda code: "x" + "\n" * code[0].count("\n"), text))


def _blank(block: re.Match[str]) -> str:
    return "\n" * block[0].count("\n")


def comments(text: str) -> str:
    """Keep the comments of a script or a configuration; each line keeps its number."""
    found = (re.search(r"(?:^|\s)#(?!!|SBATCH)(.*)", line) for line in text.splitlines())
    return CODE.sub("x", "\n".join(comment[1] if comment else "" for comment in found))


def odd_words(text: str) -> Iterator[str]:
    """Yield the line and the words of every phrase that is not used here."""
    # A phrase may be broken over two lines.
    joined = text.replace("\n", " ")
    for pattern, better in ODD.items():
        for match in pattern.finditer(joined):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{line}: “{match[0]}”, rather: {better}"


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each paragraph or item of a list; tables are left out."""
    start, lines = 0, []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        new = re.match(r"\s*(?:[-*]|\d+\.) ", line)
        if (not line.strip() or line.startswith(("|", "#")) or new) and lines:
            yield start, " ".join(lines)
            lines = []
        if line.strip() and not line.startswith(("|", "#")):
            start = start if lines else number
            lines.append(line.strip())


def cells(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each cell of a table."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("|"):
            yield from ((number, cell) for cell in re.split(r"(?<!\\)\|", line))


def too_long(text: str) -> Iterator[str]:
    for line, paragraph in paragraphs(text):
        for sentence in END.split(paragraph + " "):
            if len(sentence.split()) > WORDS_IN_A_SENTENCE:
                yield f"{line}: {len(sentence.split())} words: {sentence[:60]} …"
    for line, cell in cells(text):
        if len(cell.split()) > WORDS_IN_A_CELL:
            yield f"{line}: a cell of {len(cell.split())} words: {cell.strip()[:60]} …"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_use_no_odd_words(page):
    found = [f"{name_of(page)}:{fault}" for fault in odd_words(plain(page.read_text("utf-8")))]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_sentences_and_cells_are_short(page):
    found = [f"{name_of(page)}:{fault}" for fault in too_long(plain(page.read_text("utf-8")))]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("path", COMMENTED, ids=name_of)
def test_comments_in_configurations_use_no_odd_words(path):
    found = [f"{name_of(path)}:{fault}" for fault in odd_words(comments(path.read_text("utf-8")))]
    assert not found, "\n" + "\n".join(found)


def test_the_makefile_uses_no_odd_words():
    found = list(odd_words(comments((ROOT / "Makefile").read_text("utf-8"))))
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("One.\nThe run goes on\nwhere it was stopped.", 2),
        ("The run goes\non where it was stopped.", 1),
        ("```\nwhoever\n```\n| what | whoever |", 4),
    ],
)
def test_an_odd_word_is_found_with_its_line(text, line):
    assert [fault.split(":")[0] for fault in odd_words(plain(text))] == [str(line)]


def test_code_is_no_sentence():
    assert not list(odd_words(plain("Pass `--whoever` to it, or [this](goes-on.md).")))
    assert not list(too_long(plain("```\n" + "word " * 50 + "\n```")))
    assert list(too_long("word " * 50))
