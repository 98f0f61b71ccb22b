"""Find places in a text where later text cannot change the tokens before.

It lists the parts of tokenisers whose look-ahead we checked in the source of `tokenizers`. A
tokeniser with other parts gets no rules.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hnmine.runner.plan import Json

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.models import Model
    from tokenizers.normalizers import Normalizer
    from tokenizers.pre_tokenizers import PreTokenizer

_LETTERS = (
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0391-\u03a1\u03a3-\u03c9\u0410-\u044f"
    "\u05d0-\u05ea\u0621-\u063a\u0641-\u064a\u0905-\u0939\u0995-\u09a8\u0e01-\u0e30\u0e32-\u0e33\u0e40-\u0e46"
    "\u1780-\u17a2\u3041-\u3094\u30a1-\u30fa\uac00-\ud7a3"
)
_MARKS = (
    "\u0300-\u036f\u05b0-\u05bc\u064b-\u0652\u093a-\u093c\u093e-\u094d\u0e31\u0e34-\u0e3a"
    "\u0e47-\u0e4e"
)
"""Letters, and marks on them, in every version of Unicode."""

_IDEOGRAPHS, _KANA = "\u4e00-\u9fff", "\u3041-\u3094\u30a1-\u30fa"
_STOPS = ',.;:!?()[]{}"/|\u3001\u3002\uff01\uff0c\uff1f'
"""Punctuation that does not combine with a mark after it."""

_RUNS = "0-9A-Za-z", f"{_IDEOGRAPHS}{_KANA}"
"""Characters that no normaliser changes or composes with those before."""

_JOINING = (
    "\u115f\u1160\u3164\uffa0\u0d4e\U000111c2\U000111c3\U0001193f\U00011941\U00011a3a"
    "\U00011a84-\U00011a89\U00011d46\U00011f02"
)
"""Letters that form a grapheme with the next character, and fillers."""

_AFTER_WORD = rf"(?:(?<=[^\W_])|(?<=[{_MARKS}]))(?<![{_JOINING}])"
_BEFORE_SPACE, _BEFORE_BLANK, _BEFORE_LINE, _BETWEEN_IDEOGRAPHS = (
    rf"{_AFTER_WORD} (?=[^\W_])",
    rf"{_AFTER_WORD}[ \n\t](?=[^\W_])",
    r"(?<=[0-9A-Za-z])\n(?=[^\W_])",
    f"(?<=[{_IDEOGRAPHS}])(?=[{_IDEOGRAPHS}])",
)

_NORMALISERS = {
    "BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled",
    "Prepend", "Strip", "StripAccents",
}  # fmt: skip
_KEEPS_LETTERS = {"BertNormalizer", "Lowercase", "NFC", "NFD", "StripAccents", "Strip"}
_AT_BLANKS = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_AT_STOPS = {"BertPreTokenizer", "Whitespace", "ByteLevel", "words"}
_INSIDE_WORDS = {"Digits", "Punctuation"}
_SPACES = {" {2,}", r"\s{2,}", "[ ]{2,}"}
"""Patterns of normalisers that match no single space."""

_AFTER_LETTERS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LETTERS_FIRST = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_WORDS = {
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    _LETTERS_FIRST + r"\p{N}" + _AFTER_LETTERS,
    _LETTERS_FIRST + r"\p{N}{1,3}" + _AFTER_LETTERS,
}
"""Patterns of GPT-2, of cl100k and Llama 3, and of Qwen, which begin a word at a space."""

WORDS = "words"
"""The name of a splitter with one of these patterns."""

_CROSSING = re.compile(rf"{_AFTER_WORD}[\s\u2581\u0120]|[{_IDEOGRAPHS}]{{2}}")
"""The content of a token that could lie across one of the places."""


@dataclass(frozen=True)
class Boundaries:
    """Where texts may be cut for a tokeniser.

    Attributes:
        between: matches at places where the tokens on both sides are independent.
        runs: each matches characters inside which a text can be cut, with the number of places
            before the last one to try: tokens that are the same for all of these are settled.
        word: matches a word too long for the model to know, its start and its rest; or None.
    """

    between: re.Pattern[str]
    runs: tuple[tuple[re.Pattern[str], int], ...]
    word: re.Pattern[str] | None


def boundaries_of(tokenizer: Tokenizer) -> Boundaries | None:
    """Return where texts may be cut for a tokeniser of the package tokenizers; None: nowhere."""
    try:
        normalisers, splitters = _parts(tokenizer.normalizer), _parts(tokenizer.pre_tokenizer)
    except Exception:  # It is written in Python, and unknown.
        return None
    mapped = _mapped(normalisers)
    added = _added(tokenizer)
    if mapped is None or any(map(_CROSSING.search, added)):
        return None
    model = tokenizer.model
    kind = type(model).__name__
    if kind not in ("BPE", "Unigram", "WordLevel", "WordPiece") or getattr(model, "dropout", None):
        return None
    splitter, known = _splitter(splitters, mapped)
    vocabulary: list[str] = list(tokenizer.get_vocab(with_added_tokens=False))
    suffixed = _affixed(model)
    if splitter is None and (
        not known
        or kind not in ("BPE", "Unigram")
        or suffixed
        or getattr(model, "ignore_merges", False)
        or mapped not in vocabulary
        or any(map(_holds_space, vocabulary))
    ):
        return None
    bytewise = any(part["type"] == "ByteLevel" for part in (*normalisers, *splitters))
    runs: list[tuple[re.Pattern[str], int] | None] = []
    word = None
    if kind in ("WordPiece", "WordLevel"):
        word = _long_words(model, vocabulary, normalisers, splitters, added)
    elif known and not suffixed and not getattr(model, "ignore_merges", False):
        runs = [_run(one, vocabulary, added) for one in (_RUNS[:1] if bytewise else _RUNS)]
    between = _between(normalisers, splitter, mapped, added)
    return Boundaries(between, tuple(found for found in runs if found), word)


def _parts(component: Normalizer | PreTokenizer | None) -> list[Json]:
    """Return the settings of the parts of a normaliser or pre-tokeniser, in order."""
    if component is None:
        return []
    rest, found = [json.loads(component.__getstate__())], []
    while rest:
        part = rest.pop(0)
        inside = part.get("normalizers", part.get("pretokenizers"))
        if part["type"] == "Sequence":
            rest[:0] = inside
        else:
            found.append(part)
    return found


def _mapped(normalisers: list[Json]) -> str | None:
    """Return the text that normalisers turn a space into; None if one is unknown."""
    space = " "
    for part in normalisers:
        if part["type"] == "Replace":
            pattern, content = part["pattern"], part["content"]
            literal = pattern.get("String")
            if literal == " " == space and content:
                space = content
            elif literal is None:
                if pattern.get("Regex") not in _SPACES:
                    return None
            elif literal == space or not re.fullmatch(r"\s+|[^\w\s\u2581]+", literal):
                return None
        elif part["type"] not in _NORMALISERS:
            return None
        elif part["type"] == "ByteLevel":
            space = "\u0120" if space == " " else space
    return space


def _added(tokenizer: Tokenizer) -> list[str]:
    """Return the texts of added tokens."""
    found = []
    for token in tokenizer.get_added_tokens_decoder().values():
        found.append(token.content)
        if token.normalized and tokenizer.normalizer is not None:
            found.append(tokenizer.normalizer.normalize_str(token.content))
    return found


def _splitter(parts: list[Json], space: str) -> tuple[str | None, bool]:
    """Return the part that splits before a space, if any, and whether all parts are known."""
    found = None
    for part in parts:
        kind, splits = part["type"], False
        if kind == "Metaspace":
            marker = part["replacement"]
            splits = part.get("split", True) and space in (" ", marker)
            space = marker if space == " " else space
        elif kind == "ByteLevel":
            splits = part.get("use_regex", True) and space == " "
            space = "\u0120" if space == " " else space
        elif kind in _AT_BLANKS:
            splits = space == " "
        elif kind == "CharDelimiterSplit":
            splits = part["delimiter"] == space == " "
        elif kind == "Split":
            pattern, literal = part["pattern"].get("Regex"), part["pattern"].get("String")
            before = part["behavior"] in ("Removed", "Isolated", "MergedWithNext")
            if pattern in _WORDS and part["behavior"] in ("Isolated", "Removed"):
                splits, kind = space == " ", WORDS
            elif literal == " ":
                splits = before and space == " " and not part.get("invert")
            else:
                return found, False
        elif kind not in _INSIDE_WORDS:
            return found, False
        found = found or (kind if splits else None)
    return found, True


def _between(
    normalisers: list[Json], splitter: str | None, space: str, added: list[str]
) -> re.Pattern[str]:
    """Return a pattern of places where a splitter always splits."""
    if splitter is None or space != " ":
        return re.compile(_BEFORE_SPACE)
    plain = not any(part["type"] == "Replace" for part in normalisers)
    places = [_BEFORE_BLANK if plain and splitter in {*_AT_BLANKS, "ByteLevel"} else _BEFORE_SPACE]
    if splitter == WORDS and plain:
        places.append(_BEFORE_LINE)
    stops = "".join(stop for stop in _STOPS if not any(stop in content for content in added))
    if splitter in _AT_STOPS and plain and stops:
        places.append(f"(?<=[0-9A-Za-z{_IDEOGRAPHS}{_KANA}])(?=[{re.escape(stops)}])")
    alone = splitter in _AT_BLANKS and len(normalisers) == 1
    if alone and normalisers[0].get("handle_chinese_chars"):
        places.append(_BETWEEN_IDEOGRAPHS)
    return re.compile("|".join(places))


def _holds_space(token: str) -> bool:
    """Tell whether a token contains a space after another character."""
    return re.search("[^ \u2581\u0120][ \u2581\u0120]", token) is not None


def _affixed(model: Model) -> bool:
    return bool(
        getattr(model, "continuing_subword_prefix", None)
        or getattr(model, "end_of_word_suffix", None)
    )


def _run(
    characters: str, vocabulary: list[str], added: list[str]
) -> tuple[re.Pattern[str], int] | None:
    """Return a pattern of a run, and the longest part of a token at its end."""
    if any(re.match(f"[{characters}]", content) for content in added):
        return None
    begins = re.compile(f"[ \u2581\u0120]*([{characters}]*)")
    found = (begins.match(token) for token in (*vocabulary, *added))
    window = 1 + max(len(match[1]) for match in found if match)
    return re.compile(f"[{characters}]{{{window + 2}}}"), window


def _long_words(
    model: Model,
    vocabulary: list[str],
    normalisers: list[Json],
    splitters: list[Json],
    added: list[str],
) -> re.Pattern[str] | None:
    kinds = [part["type"] for part in normalisers]
    whole = {*_AT_BLANKS, "Metaspace", "CharDelimiterSplit", "Punctuation", "Digits"}
    split_alike = all(part["type"] in whole for part in splitters)
    if not split_alike or not _KEEPS_LETTERS.issuperset(kinds):
        return None
    letters = _LETTERS if any(part["type"] == "Digits" for part in splitters) else f"0-9{_LETTERS}"
    if any(re.search(f"[{letters}{_MARKS}]$|^[{letters}{_MARKS}]", content) for content in added):
        return None
    longest = max(len(token) for token in (*vocabulary, *added))
    most = 1 + max(longest, getattr(model, "max_input_chars_per_word", 0))
    # Possessive, so that the match does not backtrack.
    return re.compile(f"((?:[{letters}][{_MARKS}]*+){{{most}}})[{letters}{_MARKS}]++")
