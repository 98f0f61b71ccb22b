"""Settings of `hnmine review`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from hnmine.config.report_settings import LookSettings
from hnmine.config.shared import MANY, path, seed


class ReviewSettings(LookSettings):
    """Settings of `hnmine review`."""

    command = "review"

    sheet: Path | None = path(
        "Sheet to write, or to go on with: .csv or .parquet. [default: the one that the directory "
        "was filtered with, else MINED-review.csv]",
        None,
    )
    doubtful: int = Field(
        60,
        ge=0,
        le=MANY,
        description="Doubtful candidates to ask about: negatives that are likeliest relevant, "
        "candidates dropped most narrowly, and those on which judges disagree, in turns.",
    )
    even: int = Field(
        40,
        ge=0,
        le=MANY,
        description="Other negatives to ask about, each as likely to be drawn as any other: the "
        "estimated share of false negatives rests on them.",
    )
    page: bool = Field(
        True,
        description="Serve a page to judge with the keyboard, on this machine alone, until it is "
        "ended there or by Ctrl-C; without it, only write the sheet.",
    )
    port: int = Field(0, ge=0, le=65535, description="Port of the page; 0: any that is free.")
    seed: int = seed("Seed of the even sample, and of the order of the queries.")
