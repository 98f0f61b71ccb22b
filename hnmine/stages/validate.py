"""`hnmine validate`: what is wrong with an input, and what a run on it will need."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from hnmine.checks import Gathered, Side, gather, ids_without_text, join, pick
from hnmine.config import ValidateSettings
from hnmine.copies import NearCopies
from hnmine.data import CONVENTIONS, BadRows, Table
from hnmine.errors import HnmineError, InputError, UsageError
from hnmine.estimates import encode_rate, lengths, model_limits, score_rate, sizes
from hnmine.identity import Lookup, exact_keys
from hnmine.records import (
    PairBatch,
    TextBatch,
    corpus_records,
    pair_records,
    qrel_records,
    query_records,
)
from hnmine.stages.inputs import guess_kind, positives_of, queries_of
from hnmine.stages.report import Report
from hnmine.stages.result import thread_count

Batch = TypeVar("Batch")

COPIES, NEAR_COPIES, CUT = 0.01, 0.05, 0.1
"""Shares of the documents from which on copies, near copies and cut texts are warned of."""


def validate(settings: ValidateSettings, paths: Sequence[str] = ()) -> Report:
    """Check inputs, and estimate what a run on them will need; nothing is written.

    Args:
        settings: of the command.
        paths: more inputs; what each is, its columns say.

    Raises:
        UsageError: nothing to check, or a setting is wrong; what is wrong with an input stands in
            the report.
    """
    validator = _Validator(settings, paths)
    with validator.bar:
        validator.run()
    return validator.report
