"""Rule edits: each changes one thing, the one that it says, and nothing but the key decides."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnmine.config.generate_settings import EDITS
from hnmine.extras.generation.edit_words import OPPOSITES, UNITS
from hnmine.extras.generation.edits import RULES, Edit, draw_edits, named, sites
from hnmine.inputs.identity import normalise

NAMES = {"name-1": ["Paris", "Moon"], "name-2": ["Ada Lovelace", "Neil Armstrong"]}
WORDS = [
    *("12", "3.50", "1,200", "0", "007", "1969", "2020-02-29", "v1.2.3", "3-4", "22nd", "10:30"),
    *("two", "Twelve", "km", "metres", "hours", "°C", "$5", "5 kg", "10-mile", "seven days"),
    *("is", "is not", "isn't", "cannot", "may not be", "will run", "more", "HIGHEST", "Before"),
    *("May", "in May", "March", "on Monday", "1990s", "NASA", "the Moon", "said Ada Lovelace"),
    *("naïve", "İstanbul", "ﬁne", "\u200b", "5\u00a0km", "\n", "n't", "'", "-", ".", "$", "€ 7"),
]
NOTHING = {kind: [] for kind in EDITS}
texts = st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=14).map(" ".join)


def edits(kind, text, query=""):
    """All edits of one kind: (was, became)."""
    return {
        (text[site.start : site.stop], choice)
        for site in sites(kind, text, NAMES, query)
        for choice in site.choices
    }


def changed(text):
    """What one kind of edits may take out of a text, by kind."""
    return {kind: sorted({was for was, _ in edits(kind, text)}) for kind in EDITS}


@given(texts, st.sampled_from(EDITS))
def test_an_edit_changes_one_place(text, kind):
    for site in sites(kind, text, NAMES, ""):
        assert 0 <= site.start <= site.stop <= len(text)
        was = text[site.start : site.stop]
        for became in site.choices:
            assert became != was
            edit = Edit(kind, site.start, was, became)
            made = edit.apply(text)
            assert made != text
            tail = len(text) - site.stop
            assert made[: site.start] == text[: site.start]
            assert made[len(made) - tail :] == text[site.stop :]
            assert len(made) - len(text) == len(became) - len(was)


def first_edits(text, key, n, query="where is the Moon"):
    return list(islice(draw_edits(text, query, EDITS, NAMES, key), n))


@given(texts, st.integers(0, 2**64 - 1), st.integers(1, 12))
def test_a_draw_is_of_different_texts_and_depends_on_its_key_alone(text, key, n):
    drawn = first_edits(text, key, n)
    assert drawn == first_edits(text, key, n)
    made = [normalise(edit.apply(text)) for edit in drawn]
    assert len(set(made)) == len(made) <= n
    assert normalise(text) not in made
    assert first_edits(text, key, n + 1)[:n] == drawn


@given(texts, st.integers(0, 2**64 - 1))
def test_every_replacement_is_made(text, key):
    drawn = list(draw_edits(text, "where is the Moon", EDITS, NAMES, key))
    possible = {
        normalise(Edit(kind, site.start, text[site.start : site.stop], became).apply(text))
        for kind in EDITS
        for site in sites(kind, text, NAMES, "where is the Moon")
        for became in site.choices
    } - {normalise(text)}
    assert {normalise(edit.apply(text)) for edit in drawn} == possible


def test_ten_edits_of_a_text_with_three_places():
    drawn = first_edits("The lamp weighs 40 kg and is always on.", 7, 10)
    assert len({(edit.kind, edit.start) for edit in drawn[:4]}) == 4, "every place first"
    assert len(drawn) == 10
    assert Counter(edit.kind for edit in drawn) == {
        "number": 5, "unit": 3, "comparison": 1, "negation": 1,
    }  # fmt: skip


def test_the_kinds_take_turns_and_all_places_get_theirs():
    text = "On 3 May 1999 it was 5 km long and 12 m wide, more than 7 of the others are."
    whole = [kind for kind in EDITS if edits(kind, text)]
    first = set()
    for key in range(200):
        drawn = first_edits(text, key, len(whole), "")
        assert {edit.kind for edit in drawn} == set(whole)
        first |= {(edit.kind, edit.was, edit.became) for edit in drawn}
    for kind in whole:
        assert {(was, became) for k, was, became in first if k == kind} == edits(kind, text)


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("it weighs 40 kg", "number", {"40": "41 39 80 20 400"}),
        ("it costs $1,000.50", "number", {"1,000.50": "1,001.50 999.50 2,001.00 500.25 10,005.00"}),
        ("agent 007", "number", {"007": "008 006 014 003 070"}),
        ("0 or 1", "number", {"0": "1", "1": "2 10"}),
        ("in 9 days", "unit", {"days": "ms seconds minutes hours weeks months years"}),
        ("a 10-mile run", "unit", {"mile": "inch foot yard metre kilometre"}),
        ("at 20 °C", "unit", {"°C": "°F"}),
        ("for $5", "unit", {"$": "€ £"}),
        ("MORE, More, more", "comparison", {"MORE": "LESS", "More": "Less", "more": "less"}),
        ("on 2020-02-29", "date", {"2020-02-29": "2018-03-01 2019-03-01 2020-01-30 2020-02-28 "
         "2020-03-01 2020-03-30 2021-02-28 2022-02-28"}),
        ("born 1815", "date", {"1815": "1795 1805 1814 1816 1825 1835"}),
        ("to the Moon", "entity", {"Moon": "Paris"}),
    ],
)  # fmt: skip
def test_what_each_kind_makes(text, kind, expected):
    want = {(was, one) for was, many in expected.items() for one in many.split(" ")}
    assert edits(kind, text) == want


@pytest.mark.parametrize(
    "text",
    ["v1.2.3", "the 22nd", "pages 3-4", "at 10:30", "1/2", "x86", "192.168.0.1", "the 1990s"],
)
def test_what_is_no_number_of_its_own_is_left_alone(text):
    assert changed(text) == NOTHING


def test_what_looks_alike_is_told_apart():
    assert changed("2000 metres in 2000")["date"] == ["2000"]
    assert [site.start for site in sites("date", "2000 metres in 2000", {}, "")] == [15]
    assert changed("You may march. In May, on 5 March")["date"] == ["March", "May"]
    assert changed("March on, May said") == NOTHING
    assert changed("on 2020-13-45")["date"] == []
    assert changed("one of the m, 5 m")["unit"] == ["m"]


@pytest.mark.parametrize(
    ("with_not", "without"),
    [
        ("it is not here", "it is here"),
        ("they could not run", "they could run"),
        ("this may not be so", "this may be so"),
    ],
)
def test_a_negation_goes_in_where_it_comes_out(with_not, without):
    (out,) = sites("negation", with_not, {}, "")
    (into,) = sites("negation", without, {}, "")
    assert Edit("negation", out.start, " not", "").apply(with_not) == without
    assert Edit("negation", into.start, "", " not").apply(without) == with_not


def test_contractions_lose_their_negation_only_where_a_word_is_left():
    assert edits("negation", "it isn't, doesn\u2019t, cannot") == {
        ("n't", ""), ("n\u2019t", ""), ("not", ""),
    }  # fmt: skip
    assert edits("negation", "it won't and can't") == set()


def test_names_are_of_one_type_and_neither_in_the_text_nor_in_the_query():
    text = "the probe of Grace Hopper landed on Mars"
    assert edits("entity", text) == {
        ("Grace Hopper", "Ada Lovelace"), ("Grace Hopper", "Neil Armstrong"),
        ("Mars", "Paris"), ("Mars", "Moon"),
    }  # fmt: skip
    assert ("Mars", "Moon") not in edits("entity", text, "who flew to the moon")
    # What begins a sentence, and the end of a longer name, is no name by itself.
    found = named("United States Virgin Islands. Today The New York Stock Exchange of Rome")
    assert [kind for kind, _, _ in found] == ["name-1"]


def test_opposites_and_units_lead_back():
    for word, opposite in OPPOSITES.items():
        assert opposite in OPPOSITES and OPPOSITES[opposite] != opposite, word
    for group in UNITS:
        spellings = [spelling for unit in group for spelling in unit]
        assert len(set(spellings)) == len(spellings)
        for unit in group:
            for spelling in unit:
                others = {became for _, became in edits("unit", f"5 {spelling} of it")}
                assert others == {other[0] for other in group if other != unit}


def test_the_kinds_are_those_of_the_settings():
    assert set(EDITS) == {*RULES, "entity"}
