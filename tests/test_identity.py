from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnmine.inputs.identity import (
    KEY,
    Lookup,
    exact_keys,
    first_rows,
    identity_keys,
    normalise,
    sort_keys,
)

PROPERTY = settings(max_examples=100, deadline=None)

INVISIBLE = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u180e"]
SPACES = [" ", "\t", "\n", "\r", "\u00a0", "\u3000", "\u2009", "\u2028", "\x85", "\x1f", "\u202f"]
AWKWARD = "ßẞİıŉǰΐᾳᾼͅςσΣﬁﬃ①\uff41\uff21㎏ΩÅée\u0301\u0316\u0338\u05b0¨\u00b4ҲꭰᏸⅷⅧ\u1e9e가ᄀ\u1161"

texts = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from([*AWKWARD])
    | st.sampled_from([*INVISIBLE, *SPACES]),
    max_size=12,
)
words = st.lists(st.text("abcxyzÄßΩéИж漢", min_size=1, max_size=4), min_size=1, max_size=5)
half = st.sampled_from([0, 1, 2, 1 << 62, 1 << 63, (1 << 64) - 1])
key_lists = st.lists(st.tuples(half, half), max_size=25)


def forge(pairs):
    """Keys with chosen halves, so that many share the first one."""
    raw = b"".join(high.to_bytes(8, "big") + low.to_bytes(8, "big") for high, low in pairs)
    return np.frombuffer(raw, dtype=KEY)


@pytest.mark.parametrize(
    "variants",
    [
        pytest.param(["café", "cafe\u0301", "CAFÉ", "Cafe\u0301"], id="NFC and NFD"),
        pytest.param(["Straße", "STRASSE", "strasse", "STRAẞE"], id="sharp s"),
        pytest.param(["İzmir", "i\u0307zmir", "I\u0307ZMIR", "izmir"], id="dotted capital I"),
        pytest.param(["Ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ"], id="final sigma"),
        pytest.param(
            [
                "hello 123",
                "\uff48\uff45\uff4c\uff4c\uff4f\u3000\uff11\uff12\uff13",
                "\uff28\uff25\uff2c\uff2c\uff2f \uff11\uff12\uff13",
            ],
            id="full width",
        ),
        pytest.param(["office", "oﬃce", "oﬀice"], id="ligatures"),
        pytest.param(["x2", "x²", "x₂"], id="superscripts"),
        pytest.param(["ガス", "ｶﾞｽ", "カ\u3099ス"], id="half-width katakana"),
        pytest.param(["가", "\u1100\u1161"], id="Hangul syllables"),
        pytest.param(["Å", "Å", "A\u030a", "å"], id="angstrom sign"),
        pytest.param(
            ["ab", "a\u200bb", "\ufeffab", "a\u2060b", "ab\u200d", "a\u00adb"], id="invisible"
        ),
        pytest.param(["é", "e\u200b\u0301"], id="invisible inside a letter"),
        pytest.param(["葛", "葛\U000e0100", "葛\u3164"], id="selectors and fillers"),
        pytest.param([f" a{space}b " for space in SPACES], id="white space"),
        pytest.param(["a b", "a   b", "\n\ta \t b\u3000"], id="runs of white space"),
        pytest.param(["\u0390", "\u03aa\u0301", "\u0399\u0308\u0301"], id="casefold undoes NFKC"),
        pytest.param(["a\u0316\u0301", "a\u0301\u0316", "á\u0316"], id="order of marks"),
    ],
)
def test_variants_of_one_text_are_the_same(variants):
    assert len({normalise(text) for text in variants}) == 1
    assert len(set(identity_keys(variants).tolist())) == 1
    assert len(set(exact_keys(variants).tolist())) == len(set(variants))


@pytest.mark.parametrize("mark", ["\u200e", "\u200f", "\u061c"])
def test_direction_marks_which_unicode_calls_zero_width_are_left_out(mark):
    """UAX 9 defines LRM, RLM and ALM as zero-width characters; copied web text is full of them."""
    assert normalise(f"{mark}a{mark}b{mark}") == "ab"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a b", "ab"),
        ("resume", "résumé"),
        ("a.", "a"),
        ("1", "l"),
        ("x", "\u0445"),
        ("a", ""),
        ("a", "b"),
    ],
)
def test_different_texts_differ(one, other):
    assert normalise(one) != normalise(other)
    assert (identity_keys([one]) != identity_keys([other])).all()


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u3000", "\u200b", "\u200b \ufeff", "\u00ad"])
def test_nothing_is_left_of_a_blank_text(blank):
    assert normalise(blank) == ""


def test_normalise_is_idempotent_for_every_character():
    for code in range(0x30000):
        if not 0xD800 <= code < 0xE000:
            once = normalise(chr(code))
            assert normalise(once) == once, hex(code)


@PROPERTY
@given(texts)
def test_normalise_is_idempotent(text):
    once = normalise(text)
    assert normalise(once) == once


@PROPERTY
@given(texts, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_unicode_normal_forms_are_the_same_text(text, form):
    assert normalise(unicodedata.normalize(form, text)) == normalise(text)


@PROPERTY
@given(words, st.data())
def test_case_white_space_and_invisible_characters_do_not_matter(parts, data):
    spaces = st.lists(st.sampled_from(SPACES), min_size=1, max_size=3).map("".join)
    padding = st.lists(st.sampled_from(SPACES), max_size=2).map("".join)
    disguised = data.draw(padding)
    for number, part in enumerate(parts):
        part = data.draw(st.sampled_from([part, part.upper(), part.lower(), part.title()]))
        cut = data.draw(st.integers(0, len(part)))
        part = part[:cut] + data.draw(st.sampled_from(["", *INVISIBLE])) + part[cut:]
        disguised += (data.draw(spaces) if number else "") + part
    disguised += data.draw(padding)
    assert normalise(disguised) == normalise(" ".join(parts))


@PROPERTY
@given(st.lists(texts, max_size=15))
def test_identity_keys_are_equal_exactly_where_normalised_texts_are(some):
    keys = identity_keys(some)
    assert keys.shape == (len(some),)
    for one, text in enumerate(some):
        for other, second in enumerate(some):
            assert (keys[one] == keys[other]) == (normalise(text) == normalise(second))


@PROPERTY
@given(st.lists(st.text(st.characters(), max_size=3), max_size=15))
def test_exact_keys_are_equal_exactly_where_strings_are_even_with_lone_surrogates(some):
    keys = exact_keys(some).tolist()
    assert len(set(keys)) == len(set(some))


@PROPERTY
@given(key_lists)
def test_first_rows_is_the_first_row_with_the_same_key(pairs):
    assert first_rows(forge(pairs)).tolist() == [pairs.index(pair) for pair in pairs]


@PROPERTY
@given(key_lists)
def test_sort_keys_is_the_stable_order(pairs):
    assert sort_keys(forge(pairs)).tolist() == sorted(range(len(pairs)), key=pairs.__getitem__)


@PROPERTY
@given(key_lists, key_lists)
def test_lookup_finds_what_a_dict_of_first_occurrences_finds(tmp_path_factory, pairs, asked):
    expected = {}
    for row, pair in enumerate(pairs):
        expected.setdefault(pair, row)
    table = Lookup.build(forge(pairs))
    rows = [expected.get(pair, -1) for pair in asked + pairs]
    assert table.find(forge(asked + pairs)).tolist() == rows
    directory = tmp_path_factory.mktemp("lookup") / "table"
    table.save(directory)
    assert Lookup.load(directory, 1 << 40).find(forge(asked + pairs)).tolist() == rows


def test_lookup_finds_texts_by_hash():
    texts = [f"text {n % 700}" for n in range(1000)]
    table = Lookup.build(exact_keys(texts))
    found = table.find(exact_keys(["text 699", "text 700", "text 0", "", "Text 0"]))
    assert found.tolist() == [699, -1, 0, -1, -1]


def test_lookup_of_nothing_finds_nothing():
    assert Lookup.build(exact_keys([])).find(exact_keys(["a"])).tolist() == [-1]
    assert Lookup.build(exact_keys(["a"])).find(exact_keys([])).tolist() == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("AT&amp;T", "at&T", True),
        ("caf&eacute; &#8364;5", "CAFÉ €5", True),
        ("a&nbsp;b&#x20;c", "a b c", True),
        ("R&amp;amp;D", "R&amp;D", False),
        ("?a=1&copy=2", "?a=1©=2", False),
        ("&unheard;", "&unheard;", True),
        ("&#1114112;", "\ufffd", True),
    ],
)
def test_html_entities_are_the_characters_that_they_name(one, other, same):
    assert (normalise(one) == normalise(other)) is same
