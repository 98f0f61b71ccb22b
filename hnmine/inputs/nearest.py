"""Ids that are near one that was not found: blanks, zeros, case, prefixes and types differ."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hnmine.inputs.texts import Texts

SAMPLE = 500
"""Ids that are compared letter by letter."""

WIDEST = 20
"""Digits up to which zeros are put before a number."""

SHOWN = 3

_NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)


class HasIds(Protocol):
    """Documents or queries that are found by id."""

    def find_ids(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """Return the row of each id, or -1, shape (n,)."""
        ...


def near(wanted: str, among: HasIds | Collection[str], here: str = "the index has") -> str:
    """Say which ids are near one that was not found, in brackets; nothing if none is known."""
    sample = _sample(among)
    variants = [one for one in dict.fromkeys(_variants(wanted, sample)) if one != wanted]
    if isinstance(among, Collection):
        known = set(among)
        found = [one for one in variants if one in known]
    else:
        rows = among.find_ids(variants)
        found = [one for one, row in zip(variants, rows, strict=True) if row >= 0]
    found = found or difflib.get_close_matches(wanted, sample, SHOWN, 0.75)
    if found:
        return f" ({here} {', '.join(map(_quoted, found[:SHOWN]))})"
    if sample:
        return f" ({here} ids such as {', '.join(map(_quoted, sample[:SHOWN]))})"
    return ""


def _sample(texts: HasIds | Collection[str]) -> list[str]:
    """Return some of the ids, evenly drawn; none where only their keys are known."""
    if isinstance(texts, Collection):
        return list(texts)[:: -(-len(texts) // SAMPLE) or 1]
    if not isinstance(texts, Texts):
        return []
    rows = np.unique(np.linspace(0, len(texts) - 1, min(len(texts), SAMPLE)).astype(np.int64))
    found: list[str] = texts.id_array(rows).to_pylist()
    return found


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _variants(wanted: str, sample: Sequence[str]) -> Iterator[str]:
    """Yield what an id may have been before a program changed it, the likeliest first."""
    bare = wanted.strip().strip("'\"").strip()
    for text in (wanted, bare):
        yield from (text, text.lower(), text.upper(), text.casefold(), text.capitalize())
        yield from (unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC"))
    yield f"{bare}.0"
    yield from (f"{bare}{end}" for end in (" ", "\t", "\r", "\n"))
    yield f" {bare}"
    if re.fullmatch(r"[0-9a-fA-F]{32}", bare):
        low = bare.lower()
        yield f"{low[:8]}-{low[8:12]}-{low[12:16]}-{low[16:20]}-{low[20:]}"
    yield bare.replace("-", "").lower()
    yield re.split(r"[/#:|]", bare.rstrip("/"))[-1]
    whole = re.sub(r"\.0+$", "", bare)
    yield whole
    numbered = _NUMBERED.fullmatch(whole)
    if numbered:
        number = numbered[2].lstrip("0") or "0"
        prefixes = {found[1] for one in sample if (found := _NUMBERED.fullmatch(one))}
        for prefix in (numbered[1], "", *sorted(prefixes)):
            yield from (prefix + number.zfill(width) for width in range(1, WIDEST + 1))
