"""`hnmine diff`: what another setting changes."""

from __future__ import annotations

from hnmine.config import DiffSettings
from hnmine.report.changes import Changes, changes


def diff(settings: DiffSettings) -> Changes:
    """Compare two mined directories.

    Raises:
        HnmineError: one cannot be used.
    """
    return changes(settings.before, settings.after, settings.queries, settings.cpu_threads)
