"""Count the terms of shards of documents, and merge them into an inverted index on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hnmine.array_files import Shape, check_offsets, check_values, read_array, save_array
from hnmine.compiled import compiled
from hnmine.errors import damage_explained
from hnmine.index.bm25.formula import fill_impacts, idf_of
from hnmine.index.bm25.postings import Files
from hnmine.index.bm25.settings import BM25Settings
from hnmine.index.bm25.vocabulary import Vocabulary, find_terms, union_of, vocabulary_of
from hnmine.index.csr_transpose import Lists, count_owners
from hnmine.index.tokenise import Tokeniser
from hnmine.ragged import Ints, offsets_of

COUNTED: list[tuple[type[np.number], Shape]] = [
    (np.int64, (None,)),
    (np.uint8, (None,)),
    (np.int32, ()),
    (np.int32, (None,)),
    (np.int64, (None,)),
    (np.int32, (None,)),
    (np.int32, (None,)),
]
"""Arrays of a file of `count_documents`: the boundaries and bytes of its terms, the highest
frequency, the documents' lengths, and posting lists: boundaries, documents, frequencies."""


def count_documents(texts: Iterable[str], tokeniser: Tokeniser, path: Path) -> dict[str, int]:
    """Count the terms of one shard of documents into one file.

    The bytes depend on the texts and the tokeniser alone.
    """
    vocabulary, tokens, lengths = tokeniser.number(texts)
    offsets, documents, frequencies = count_owners(lengths, tokens, len(vocabulary))
    head = (*vocabulary_of(vocabulary), frequencies.max(initial=0), lengths, offsets)
    with path.open("wb") as file:
        # Not a `.npz`, which would compute checksums of its own.
        for values in (*head, documents, frequencies):
            save_array(file, values)
    return {"documents": len(lengths), "tokens": len(tokens)}


def merge_counts(paths: Sequence[Path], settings: BM25Settings, directory: Path) -> dict[str, int]:
    """Merge counted shards into an index, which does not depend on the cuts between shards.

    It holds the vocabulary and one shard in memory, and writes arrays as long as the postings or
    the documents through a memory map.

    Args:
        paths: files of `count_documents`, in the order of the corpus; at most 2 ** 31 - 1
            documents in all.
        settings: of the index.
        directory: an existing empty directory, which gets `settings.json` and, as `.npy` files:
            vocabulary (UTF-8 bytes, terms sorted by code point), vocabulary_offsets (int64), indptr
            (int64), documents (int32, ascending in each posting list), frequencies (the smallest
            unsigned type that holds them), impacts (float32), peaks (float32, the largest impact of
            each term), lengths (int32), idf (float64).
    """
    vocabulary = union_of(_read(path, 2) for path in paths)
    frequencies = np.zeros(len(vocabulary[0]) - 1, np.int64)
    documents = tokens = largest = 0
    for path in paths:
        bounds, letters, most, lengths, offsets = _read(path, 5)
        frequencies[_find(path, vocabulary, bounds, letters)] += np.diff(offsets)
        largest = max(largest, int(most))
        documents += len(lengths)
        tokens += int(lengths.sum(dtype=np.int64))
    indptr = offsets_of(frequencies)
    small: dict[str, NDArray[np.number]] = {
        "vocabulary": vocabulary[1],
        "vocabulary_offsets": vocabulary[0],
        "indptr": indptr,
        "idf": idf_of(settings.variant, documents, frequencies),
    }
    for name, values in small.items():
        save_array(directory / f"{name}.npy", values)
    _write_postings(paths, vocabulary, indptr, documents, np.min_scalar_type(largest), directory)
    numbers = {
        "documents": documents,
        "tokens": tokens,
        "terms": len(frequencies),
        "postings": int(indptr[-1]),
    }
    text = json.dumps({"settings": asdict(settings), **numbers}, indent=2, ensure_ascii=False)
    (directory / "settings.json").write_text(text + "\n", encoding="utf-8")
    _write_impacts(directory)
    return numbers


def _read(path: Path, count: int) -> list[NDArray[Any]]:
    """Read the first so many arrays of a file of `count_documents`."""
    size = path.stat().st_size
    with damage_explained(path), path.open("rb") as file:
        found: list[NDArray[Any]] = [
            read_array(file, size, dtype, shape) for dtype, shape in COUNTED[:count]
        ]
        check_offsets(found[0], len(found[1]))
        if count == len(COUNTED):
            *_, lengths, offsets, documents, frequencies = found
            if not len(documents) == len(frequencies) or len(offsets) != len(found[0]):
                raise ValueError("Its arrays do not belong together.")
            check_offsets(offsets, len(documents), filled=True)
            check_values(documents, low=0, below=len(lengths))
        return found


def _find(path: Path, vocabulary: Vocabulary, bounds: Ints, letters: NDArray[np.uint8]) -> Ints:
    """Return the places of a shard's terms in the vocabulary; in both, terms ascend."""
    with damage_explained(path):
        found = find_terms(*vocabulary, bounds, letters)
        check_values(found, low=0, ascending=True, strictly=True)
        return found


def _create(directory: Path, name: str, dtype: DTypeLike, length: int) -> NDArray[np.number]:
    path = directory / f"{name}.npy"
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(length,))
    if hasattr(os, "posix_fallocate"):
        # A hole in the file would end the process with SIGBUS when the disk is full.
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _write_postings(
    paths: Sequence[Path],
    vocabulary: Vocabulary,
    indptr: Ints,
    total: int,
    frequency_type: DTypeLike,
    directory: Path,
) -> None:
    """Append the postings of every shard to the lists, whose lengths are known."""
    documents = _create(directory, "documents", np.int32, int(indptr[-1]))
    frequencies = _create(directory, "frequencies", frequency_type, int(indptr[-1]))
    lengths = _create(directory, "lengths", np.int32, total)
    ends = indptr[:-1].copy()
    first = 0
    for path in paths:
        bounds, letters, _, own, *lists = _read(path, 7)
        terms = _find(path, vocabulary, bounds, letters)
        last = first + len(own)
        lengths[first:last] = own
        _append(terms, first, tuple(lists), ends, np.asarray(documents), np.asarray(frequencies))
        first = last


@compiled()
def _append(
    terms: Ints,
    first: int,
    lists: Lists,
    ends: Ints,
    documents: NDArray[np.int32],
    frequencies: NDArray[np.unsignedinteger],
) -> None:
    """Append the posting lists of a shard, whose first document is `first`, and move the ends."""
    offsets, owners, counts = lists
    for j in range(len(terms)):
        place = ends[terms[j]] - offsets[j]
        for i in range(offsets[j], offsets[j + 1]):
            documents[place + i], frequencies[place + i] = first + owners[i], counts[i]
        ends[terms[j]] = place + offsets[j + 1]


def _write_impacts(directory: Path) -> None:
    files = Files(directory)
    impacts = _create(directory, "impacts", np.float32, len(files.postings[1]))
    peaks = _create(directory, "peaks", np.float32, len(files.postings[0]) - 1)
    fill_impacts(files.postings, files.statistics, np.asarray(impacts), np.asarray(peaks))
