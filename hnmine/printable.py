"""Text made safe for terminals, shells and logs, without credentials."""

from __future__ import annotations

import math
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

STEERING = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff"
"""C0 (but for tab and newline), DEL, C1, what turns text round or ends a line, lone surrogates."""

_STEERING = re.compile(f"[{STEERING}]")
_STEERING_RUN = re.compile(f"[{STEERING}]+")
_BESIDE_TEXT = re.compile(f"[\t\n{STEERING}]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

_URL = r"(?<![a-z0-9+.])([a-z][a-z0-9+.-]{1,40}:/+)"
_USER_INFO = re.compile(
    # A password may hold slashes, where a port has digits alone.
    # What abfs has before its @ is a container's name.
    _URL
    + r"(?:[^\s/@:?#]*:(?!\d*(?:[/?#\s]|$))[^\s@'\"]*@|(?<!abfs://)(?<!abfss://)[^\s/?#'\"]*@)",
    re.IGNORECASE,
)
_OPTIONS = re.compile(_URL + r"([^\s?'\"]*)\?([^\s#'\"]*)", re.IGNORECASE)
_SECRET = re.compile("key|secret|token|passw|pwd|sig|cred|auth|sas", re.IGNORECASE)
"""Names of options that hold credentials."""


def printable(text: str) -> str:
    """Return a text with its lines and tabs, and escapes for what would steer a terminal."""
    return _STEERING.sub(lambda found: escape(found[0]), text)


def one_line(text: str) -> str:
    r"""Return a text on one line: what would steer a terminal or end the line is an escape.

    A newline in a value becomes `\n`, so that no value can look like a line of hnmine's own.
    """
    return _BESIDE_TEXT.sub(lambda found: escape(found[0]), text)


def clean(text: str) -> str:
    """Return a text on one line, with a space for what would steer a terminal."""
    return _STEERING_RUN.sub(" ", " ".join(text.split()))


def shortened(text: str, characters: int) -> str:
    """Return the beginning of a text on one line."""
    plain = clean(text[: 4 * characters])
    return plain if len(plain) <= characters else plain[: characters - 2].rstrip() + " …"


def aligned(rows: Iterable[Sequence[str]], sides: str = "<>>>>>>>>>") -> Iterator[str]:
    """Yield the rows of a table as lines.

    Args:
        rows: the cells of each; a row may have fewer than others.
        sides: of each column: `<`, flush left, or `>`, flush right.
    """
    table = list(rows)
    widths = [max(map(len, column)) for column in zip_longest(*table, fillvalue="")]
    for row in table:
        cells = (f"{cell:{s}{w}}" for cell, s, w in zip(row, sides, widths, strict=False))
        yield "  ".join(cells).rstrip()


PIPE_WIDTH, NARROWEST = 100, 12
"""Characters of a line where there is no terminal, and of a column of texts at least."""


def line_width() -> int:
    """Return the width of the terminal that stdout is, or of a line in a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH


def command_on(name: str, place: str, *more: str) -> str:
    """Return a command of hnmine on a directory, whose name may begin like an option's."""
    return shell(["hnmine", name, f"./{place}" if place.startswith("-") else place, *more])


def fitted(rows: Iterable[Sequence[str]], sides: str) -> Iterator[str]:
    """Yield the rows of a table as `aligned` does, with texts cut so that lines fit.

    Args:
        rows: the cells of each; a row may have fewer than others.
        sides: of each column: `<`, flush left: texts, which may be cut; or `>`, flush right.
    """
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip_longest(*table, fillvalue="")]
    over = sum(widths) + 2 * (len(widths) - 1) - line_width()
    texts = [n for n in range(len(widths)) if sides[n] == "<"]
    while over > 0 and texts:
        widest = max(texts, key=lambda n: widths[n])
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
        over -= 1
    for row in table:
        for n, cell in enumerate(row):
            if len(cell) > widths[n]:
                row[n] = f"{cell[: widths[n] - 1]}…"
    yield from aligned(table, sides)


def wrapped(line: str, width: int) -> list[str]:
    """Return a sentence as lines that break between words, but not within a command.

    Args:
        line: with its commands in backquotes; one that is indented by four is a command itself.
        width: of a line.
    """
    if len(line) <= width or line.startswith("    "):
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    kept = re.sub("`[^`]*`", lambda found: found[0].replace(" ", "\0"), line)
    lines = textwrap.wrap(
        kept,
        width,
        subsequent_indent=f"{indent}  " if indent else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [part.replace("\0", " ") for part in lines]


def escape(character: str) -> str:
    r"""Return a character as bash and Python write it, such as `\n`, `\x1b` or `\u202e`."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # A byte of a path that is not UTF-8.
        code -= 0xDC00
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def without_credentials(text: str) -> str:
    """Return a URL, or a text with URLs in it, without user info and secret options."""
    return _OPTIONS.sub(_harmless, _USER_INFO.sub(r"\1", text))


def harmless(options: Iterable[str]) -> list[str]:
    """Return those of the options of a URL that hold no credentials."""
    return [option for option in options if not _SECRET.search(option.partition("=")[0])]


def _harmless(url: re.Match[str]) -> str:
    options = harmless(url[3].split("&"))
    return f"{url[1]}{url[2]}" + ("?" + "&".join(options) if options else "")


def shell(words: Iterable[object]) -> str:
    """Return a command that bash and zsh read as these words, on one line."""
    return " ".join(_quoted(str(word)) for word in words)


def _quoted(word: str) -> str:
    if not _BESIDE_TEXT.search(word):
        return shlex.quote(word)
    inner = re.sub(f"[\\\\'\t\n{STEERING}]", lambda found: _in_quotes(found[0]), word)
    return f"$'{inner}'"


def _in_quotes(character: str) -> str:
    return f"\\{character}" if character in "\\'" else escape(character)


def redacted(value: Any) -> Any:
    """Return JSON values without the credentials of URLs in them."""
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, Mapping):
        return {key: redacted(item) for key, item in value.items()}
    return [redacted(item) for item in value] if isinstance(value, list | tuple) else value


def without_nan(value: Any) -> Any:
    """Return JSON values with null for every number that is not finite."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
