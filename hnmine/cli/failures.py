"""Exceptions as messages with a fix, and as exit codes."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from hnmine.cli.printing import say_error
from hnmine.errors import (
    Exit,
    HnmineError,
    UsageError,
    did_you_mean,
    first_line,
    is_interrupt,
    is_out_of_memory,
)
from hnmine.printable import shell
from hnmine.runner import interrupts


@contextmanager
def errors_explained(debug: bool) -> Iterator[None]:
    """Turn exceptions into what, why and how to fix it on stderr, and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        _fail(_interrupted(), Exit.INTERRUPTED, debug)
    except BrokenPipeError:
        # The reader has closed the pipe, as `head` does; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.OK) from None
    except Exception as error:
        if is_interrupt(error) or interrupts.seen():  # Whatever it says was caused by that.
            _fail(_interrupted(), Exit.INTERRUPTED, debug)
        if isinstance(error, HnmineError):
            _fail(error, error.exit_code, debug)
        if isinstance(error, OSError):
            _fail(_explain_os_error(error), Exit.PARTIAL, debug)
        if is_out_of_memory(error):
            _fail(_explain_memory_error(error), Exit.PARTIAL, debug)
        bug = HnmineError(
            f"Unexpected {type(error).__name__}: {first_line(error)}",
            why="This is a fault in hnmine. Finished work is kept.",
            fix="Run the same command with --debug and report what it prints.",
        )
        _fail(bug, Exit.BUG, debug)


CLICK_ERROR: Any = typer.BadParameter.__mro__[2]
"""What Typer raises for a wrong command line; it exports only classes derived from it."""


@contextmanager
def wrong_usage_explained(help_page: str, flags: Iterable[str]) -> Iterator[None]:
    """Give the errors of Typer's parser the form of all errors.

    Args:
        help_page: the command that lists what is possible.
        flags: that are possible.
    """
    try:
        yield
    except CLICK_ERROR as error:
        name = getattr(error, "option_name", "")
        if name:
            near = "" if name in flags else did_you_mean(name, flags)  # A known one has no value.
            what = f"{error.message.rstrip('.')}.{near}"
        else:
            said = error.format_message().replace("Value error, ", "")
            what = f"{said.partition(', unable to')[0].rstrip('.')}."
        with errors_explained(debug=False):
            raise UsageError(what, fix=f"`{help_page}` lists all options.") from None


def _interrupted() -> HnmineError:
    again = shell(["hnmine", *sys.argv[1:]])
    return HnmineError(
        "Interrupted. Finished work is kept.",
        why=interrupts.kept,
        fix=f"Resume with the same command:\n  {again}",
    )


def _explain_os_error(error: OSError) -> HnmineError:
    what = {
        errno.ENOSPC: "The disk is full.",
        errno.EDQUOT: "The disk quota is used up.",
        errno.EFBIG: "A file would exceed the size limit (see ulimit -f).",
        errno.EACCES: "No permission.",
        errno.EPERM: "No permission.",
        errno.EROFS: "The file system is read-only.",
        errno.EMFILE: "Too many files are open (see ulimit -n).",
        errno.ENAMETOOLONG: "A path is too long.",
        errno.ENOENT: "A file doesn't exist, or was removed.",
        errno.ENOTDIR: "Part of a path is a file, not a directory.",
    }.get(error.errno or 0, "The operating system refused.")
    if error.errno is None and str(error).endswith(" written"):
        what = "The disk is full, or a file would exceed the size limit."  # NumPy's.
    refused = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    return HnmineError(
        what,
        why=f"{error.filename}: {error.strerror}." if error.filename else first_line(error),
        fix="Choose another path, or change its permissions, and rerun; finished work is kept."
        if refused
        else "Fix this and rerun; finished work is kept.",
    )


def _explain_memory_error(error: Exception) -> HnmineError:
    return HnmineError(
        "Out of memory.",
        why=first_line(error),
        fix="Free memory and rerun; finished work is kept. A smaller --batch-tokens, --block-size "
        "or --shard-size needs less.",
    )


def _fail(error: HnmineError, code: Exit, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    say_error(error)
    raise typer.Exit(code)
