from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnmine.errors import UsageError
from hnmine.index.tokenise import Tokeniser


def test_word_casefolds_and_stems():
    assert Tokeniser()("The DOGS' barking: Straße_3, naïve") == [
        "the",
        "dog",
        "bark",
        "strasse_3",
        "naïv",
    ]


def test_word_without_stemmer_keeps_the_endings():
    assert Tokeniser(stemmer="none")("Dogs, barking") == ["dogs", "barking"]


def test_whitespace_keeps_case_and_punctuation():
    assert Tokeniser("whitespace", "none")(" The\tDOGS'  b.\n") == ["The", "DOGS'", "b."]


def test_stemmer_is_the_one_asked_for():
    assert Tokeniser(stemmer="german")("Häuser") == ["haus"]
    assert Tokeniser(stemmer="english")("Häuser") == ["häuser"]


def test_lone_surrogate_does_not_crash():
    assert Tokeniser("whitespace")("a\ud800 b") == ["a?", "b"]
    assert Tokeniser("word")("a\ud800 b") == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "choice"), [(("wordpiece",), "whitespace"), (("word", "klingon"), "swedish")]
)
def test_unknown_setting_lists_the_choices(arguments, choice):
    with pytest.raises(UsageError) as caught:
        Tokeniser(*arguments)
    assert repr(arguments[-1]) in caught.value.what
    assert choice in caught.value.fix


def test_can_be_sent_to_a_worker():
    tokeniser = Tokeniser("whitespace", "french")
    assert pickle.loads(pickle.dumps(tokeniser)) == tokeniser


WORDS = st.sampled_from(
    ["run", "Running", "RUNS", "été", "zebra", "\U0001d518", "\ufb01", "a.b", "x", ""]
)


@given(
    st.lists(st.lists(WORDS, max_size=8).map(" ".join), max_size=6),
    st.sampled_from([Tokeniser(), Tokeniser("whitespace", "none"), Tokeniser("word", "none")]),
)
def test_count_equals_a_counter_for_each_text(texts, tokeniser):
    counts = tokeniser.count(iter(texts))
    words = [tokeniser(text) for text in texts]
    assert counts.vocabulary == sorted({word for text in words for word in text})
    assert counts.lengths.tolist() == [len(text) for text in words]
    assert len(counts.offsets) == len(texts) + 1
    for number, text in enumerate(words):
        mine = slice(counts.offsets[number], counts.offsets[number + 1])
        assert (np.diff(counts.terms[mine]) > 0).all()
        pairs = zip(counts.terms[mine], counts.frequencies[mine], strict=True)
        assert {counts.vocabulary[t]: f for t, f in pairs} == dict(Counter(text))
    types = [counts.offsets.dtype, counts.terms.dtype, counts.frequencies.dtype]
    assert [*types, counts.lengths.dtype] == [np.int64, np.int32, np.int32, np.int32]


def test_vocabulary_is_sorted_by_code_point():
    # In UTF-16 order, the first would come before the second.
    assert Tokeniser("whitespace", "none").count(["\U0001d518 \uffee Z a"]).vocabulary == [
        "Z",
        "a",
        "\uffee",
        "\U0001d518",
    ]


# Separators of `\w+` and of `str.split`, letters that casefold to others or to several, digits and
# marks of other scripts, what is no text in UTF-8.
ODD = "aZ_0 .-\t\n\x0b\x1c\x1f\x00\x7f\x85\xa0\u2003"
ODD += "\u00df\u0130\u01c5\u0660\u0301\u4e2d\u212a\U0001d7d8\ud800"


@given(
    st.lists(st.text(ODD) | st.text("abC' _1\n"), max_size=8),
    st.sampled_from([Tokeniser(stemmer="none"), Tokeniser("whitespace", "none")]),
)
def test_number_splits_as_each_text_alone_is_split(texts, tokeniser):
    vocabulary, tokens, lengths = tokeniser.number(iter(texts))
    expected = [tokeniser(text) for text in texts]
    assert [vocabulary[token] for token in tokens] == [word for text in expected for word in text]
    assert lengths.tolist() == [len(text) for text in expected]
    assert vocabulary == sorted(set(vocabulary))


def test_number_of_more_words_than_one_table_holds():
    long = "x" * 100_000
    texts = [" ".join(f"w{n}" for n in range(first, first + 7)) for first in range(30_000)]
    texts[20_000] = f"{long} {long}y {long}"
    vocabulary, tokens, _ = Tokeniser("whitespace", "none").number(texts)
    assert [vocabulary[token] for token in tokens] == [w for text in texts for w in text.split()]
    assert len(vocabulary) == 30_006 + 2
