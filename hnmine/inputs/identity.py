"""Whether two texts are the same, and a compact lookup of rows by text or id."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from hnmine.array_files import load_array, save_array

Keys = NDArray[np.void]
KEY = np.dtype("V16")
"""A 128-bit xxh3 digest: in 100 million texts the chance of one collision is about 1e-23."""

INVISIBLE = dict.fromkeys(
    [
        *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10),
        *range(0xE0000, 0xE1000),
    ]
)
"""Joiners, direction marks, soft hyphens, variation selectors, fillers and the like."""

ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z][a-zA-Z\d]{1,31});")
"""An HTML entity; without the semicolon it may be part of a URL."""


def normalise(text: str) -> str:
    """Return the form in which equal texts are equal strings.

    HTML entities as characters, Unicode NFKC, casefold, white space collapsed, zero-width
    characters out, and the dot that casefold leaves above the i of a Turkish \u0130. NFKC is
    applied again after casefolding, which can undo it (Unicode 16, section 3.13, definition D145).
    """
    if "&" in text:
        text = ENTITY.sub(lambda found: html.unescape(found.group()), text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(INVISIBLE)).casefold()
        text = unicodedata.normalize("NFKC", text.replace("i\u0307", "i"))
        return " ".join(text.split())
    return " ".join(text.casefold().split())


def exact_keys(texts: Iterable[str]) -> Keys:
    """Hash strings as they are, shape (n,)."""
    return _keys(xxhash.xxh3_128_digest(_bytes(text)) for text in texts)


def identity_keys(texts: Iterable[str]) -> Keys:
    """Hash strings by their normalised form, shape (n,)."""
    return _keys(xxhash.xxh3_128_digest(_bytes(normalise(text))) for text in texts)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _keys(digests: Iterable[bytes]) -> Keys:
    return np.frombuffer(b"".join(digests), dtype=KEY)


def _sortable(keys: Keys) -> NDArray[np.void]:
    """View keys as pairs of integers, which NumPy compares much faster than raw bytes."""
    return keys.view(np.dtype([("high", ">u8"), ("low", ">u8")]))


def sort_keys(keys: Keys) -> NDArray[np.int64]:
    """Return the stable order that sorts keys, shape (n,)."""
    parts = _sortable(keys)
    return np.lexsort((parts["low"].astype(np.uint64), parts["high"].astype(np.uint64)))


def first_rows(keys: Keys) -> NDArray[np.int64]:
    """Return for each row the first row that has the same key, shape (n,)."""
    if len(keys) == 0:
        return np.empty(0, dtype=np.int64)
    order = sort_keys(keys)
    ordered = keys[order]
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    first = np.empty(len(keys), dtype=np.int64)
    first[order] = order[starts][np.cumsum(starts) - 1]
    return first


@dataclass(frozen=True)
class Lookup:
    """A sorted table from key to the first row that has it; memory-mapped once saved.

    Attributes:
        high: uint64, shape (keys,), ascending: the first half of each key.
        low: uint64, shape (keys,): its second half, ascending where `high` is equal.
        rows: int64, shape (keys,).
    """

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    rows: NDArray[np.int64]

    @classmethod
    def build(cls, keys: Keys) -> Lookup:
        """Index keys, shape (n,), by their position."""
        rows = np.flatnonzero(first_rows(keys) == np.arange(len(keys)))
        rows = rows[sort_keys(keys[rows])]
        parts = _sortable(keys[rows])
        return cls(parts["high"].astype(np.uint64), parts["low"].astype(np.uint64), rows)

    def save(self, directory: Path) -> None:
        """Write the table as three .npy files into a new directory."""
        directory.mkdir()
        for name in ("high", "low", "rows"):
            save_array(directory / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, directory: Path, count: int) -> Lookup:
        """Open a saved table of so many rows, memory-mapped.

        Raises:
            InputError: it is damaged.
        """
        high = load_array(directory / "high.npy", np.uint64, ascending=True)
        return cls(
            high,
            load_array(directory / "low.npy", np.uint64, high.shape),
            load_array(directory / "rows.npy", np.int64, high.shape, low=0, below=count),
        )

    @property
    def keys(self) -> Keys:
        """The keys, ascending, shape (keys,)."""
        parts = np.empty(len(self.high), dtype=np.dtype([("high", ">u8"), ("low", ">u8")]))
        parts["high"], parts["low"] = self.high, self.low
        return parts.view(KEY)

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """Return the row of each key, or -1, shape (n,)."""
        parts = _sortable(keys)
        high, low = parts["high"].astype(np.uint64), parts["low"].astype(np.uint64)
        found = np.full(len(keys), -1, dtype=np.int64)
        at = np.searchsorted(self.high, high)
        open_ = np.flatnonzero(at < len(self.high))
        # Keys that share the first half stand side by side: step until the second half is equal.
        while len(open_):
            same_high = self.high[at[open_]] == high[open_]
            hit = same_high & (self.low[at[open_]] == low[open_])
            found[open_[hit]] = self.rows[at[open_[hit]]]
            open_ = open_[same_high & ~hit]
            at[open_] += 1
            open_ = open_[at[open_] < len(self.high)]
        return found
