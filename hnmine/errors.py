"""Errors that a user can act on: what happened, why, how to fix it, and the exit code."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from hnmine.printable import printable, without_credentials


class Exit(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    BUG = 1
    USAGE = 2
    BAD_INPUT = 3
    PARTIAL = 4
    MISSING = 5
    INTERRUPTED = 130


class HnmineError(Exception):
    """Something that the user can fix, printed without a traceback.

    What it quotes may come from data or from a URL: it holds no control characters and no
    credentials.
    """

    exit_code = Exit.BUG

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        parts = [without_credentials(printable(part)) for part in (what, why, fix)]
        super().__init__()
        self.say(*parts)

    def say(self, what: str, why: str, fix: str) -> None:
        """Replace its three parts."""
        self.what, self.why, self.fix = what, why, fix
        self.args = ("\n".join(part for part in (what, why, fix) if part),)


class UsageError(HnmineError):
    """A setting is unknown, has a wrong value, or contradicts another."""

    exit_code = Exit.USAGE


class InputError(HnmineError):
    """A file is missing, cannot be read, or holds something that hnmine must not guess about."""

    exit_code = Exit.BAD_INPUT


class PartialRun(HnmineError):
    """A run stopped early; finished work is kept, and the next run resumes."""

    exit_code = Exit.PARTIAL


class MissingModel(HnmineError):
    """A model or an optional package is not on this machine."""

    exit_code = Exit.MISSING


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that the machine or a GPU ran out of memory."""
    said = str(error).lower()
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or (
        isinstance(error, RuntimeError)
        and any(words in said for words in ("can't allocate memory", "bad_alloc", "out of memory"))
    )


LONGEST_WHY = 500
"""Characters of what another library says that are shown."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says; its repr where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].strip()[:LONGEST_WHY] if lines else repr(error)


def missing_extra(package: str, extra: str) -> MissingModel:
    """Name the install line for an optional package that an operation needs."""
    return MissingModel(
        f"The package {package} is not installed.",
        why=f"It is an optional dependency of hnmine, in the extra {extra!r}.",
        fix=f"pip install 'hnmine[{extra}]'",
    )


def is_interrupt(error: BaseException) -> bool:
    """Return whether this is how compiled code answers to Ctrl-C; DuckDB's error has no cause."""
    return isinstance(error.__cause__, KeyboardInterrupt) or (
        isinstance(error, RuntimeError) and str(error) == "Query interrupted"
    )


OF_THE_FILE = (None, errno.ENOENT, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)
"""What the operating system says of a file that is not what it should be."""


@contextmanager
def damage_explained(path: Path) -> Iterator[None]:
    """Turn whatever opening a damaged file of hnmine's own throws into an error that names it.

    What reads files throws nearly anything at a damaged one: NumPy's header parser an error of
    Python's tokenizer, archives errors of their own. So nothing else may be inside.

    Raises:
        InputError: instead of what NumPy, Arrow, FAISS, DuckDB or Python raise.
    """
    try:
        yield
    except (HnmineError, NameError, ImportError):
        raise  # The last two are faults of hnmine's own.
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if isinstance(error, OSError) and error.errno not in OF_THE_FILE:
            raise  # No permission, too many open files: the file may be whole.
        if is_interrupt(error):
            raise
        lines = str(error).strip().splitlines()
        raise InputError(
            f"{path} is damaged.",
            why=lines[-1][:LONGEST_WHY] if lines else repr(error),
            fix="Run the command that wrote it again, with a new directory.",
        ) from error


def did_you_mean(
    name: str, known: Iterable[str], most: int = 1, shown: Callable[[str], str] = str
) -> str:
    """Return a question that names the closest known names; empty if none is close.

    Args:
        name: that is unknown.
        known: what it may be.
        most: names, at most.
        shown: how a known name is written.
    """
    close = difflib.get_close_matches(name, list(known), most)
    return f" Did you mean {' or '.join(map(shown, close))}?" if close else ""
