"""Edits of English texts by rule: another number, unit, name, negation, comparison or date.

The rules know no syntax: an edited text may be odd, or still relevant, so score it with a
cross-encoder. The kinds are those of MMGeoLM and NeIn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import xxhash

from hnmine.extras.generation.edit_words import (
    AUXILIARIES,
    CONTRACTED,
    CURRENCIES,
    MONTHS,
    NEGATED,
    NO_NAMES,
    NUMBER_WORDS,
    OPPOSITES,
    UNITS,
    WEEKDAYS,
)
from hnmine.inputs.identity import normalise

Entities = Mapping[str, Sequence[str]]
"""Names by type: `acronym`, and `name-1` to `name-3` by the number of words."""


LONGEST_NAME = 3
"""Words of a name."""


@dataclass(frozen=True)
class Site:
    """A part of a text that can be replaced.

    Attributes:
        start, stop: the part; empty for an insertion.
        choices: replacements.
    """

    start: int
    stop: int
    choices: Sequence[str]


@dataclass(frozen=True)
class Edit:
    """One change of a text.

    Attributes:
        kind: of `KINDS`.
        start: its position.
        was: the replaced text.
        became: the replacement.
    """

    kind: str
    start: int
    was: str
    became: str

    def apply(self, text: str) -> str:
        """Return a text with the edit applied."""
        return text[: self.start] + self.became + text[self.start + len(self.was) :]


def _either(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


# A number on its own: no part of a word, a version, a range, a time or an ordinal.
_ALONE = r"(?<![\w.,:/-]){}(?!\w|[.,:/-][0-9])"
_NUMBER = re.compile(_ALONE.format(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,6})?")
                     + "|" + _ALONE.format(r"[0-9]{1,9}(?:\.[0-9]{1,6})?"))  # fmt: skip
_NUMBER_WORD = re.compile(rf"\b(?:{_either(NUMBER_WORDS)})\b(?!-)", re.IGNORECASE)
_UNIT_OF = {
    spelling: tuple(other[0] for other in group if other != unit)
    for group in UNITS
    for unit in group
    for spelling in unit
}
_LONG_UNITS = _either(unit for unit in _UNIT_OF if len(unit) > 1)
_SHORT_UNITS = _either(unit for unit in _UNIT_OF if len(unit) == 1)
_UNIT = re.compile(
    rf"(?:[0-9]|\b(?:{_either(NUMBER_WORDS)}))"
    rf"(?:[ -]?(?P<long>{_LONG_UNITS})|[ -](?P<short>{_SHORT_UNITS}))(?![\w'])",
)
_CURRENCY = re.compile(rf"[{re.escape(''.join(CURRENCIES))}](?= ?[0-9])")
_ACRONYM = re.compile(r"\b[A-Z]{2,6}\b")
_NAME = re.compile(r"(?<=[a-z0-9,;)] )[A-Z][a-z]+(?: [A-Z][a-z]+)*\b(?! [A-Z])")
_PUT_NOT = re.compile(rf"\b(?:{_either(AUXILIARIES)})\b(?= (?!not\b)[a-z])")
_TAKE_NOT = re.compile(
    rf"\b(?:{_either(NEGATED)})(?P<word> not)\b|\bcan(?P<cannot>not)\b"
    rf"|\b(?:{_either(CONTRACTED)})(?P<short>n['\u2019]t)\b"
)
_COMPARISON = re.compile(rf"\b(?:{_either(OPPOSITES)})\b", re.IGNORECASE)
_DAY = re.compile(r"(?<![\w-])(?:1[5-9]|20)[0-9]{2}-[0-9]{2}-[0-9]{2}(?![\w-])")
_YEAR = re.compile(_ALONE.format(r"(?<![$€£])(?:1[5-9]|20)[0-9]{2}(?! ?(?:%|percent))"))
_MONTH = re.compile(rf"\b(?:{_either(MONTHS)})\b")
_BY_A_DATE = re.compile(r"(?:[0-9](?:st|nd|rd|th)?|\b(?:[Ii]n|[Oo]f|[Bb]y|[Ss]ince|[Uu]ntil)) $")
_WEEKDAY = re.compile(rf"\b(?:{_either(WEEKDAYS)})(?=s?\b)")


def _like(word: str, model: str) -> str:
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[0].isupper() else word


def _except(words: Sequence[str], own: str) -> list[str]:
    return [_like(word, own) for word in words if word.lower() != own.lower()]


def _other_numbers(own: str) -> list[str]:
    """Return one more, one less, double, half and ten times a number, in the same format."""
    whole, point, decimals = own.replace(",", "").partition(".")
    one, value = 10 ** len(decimals), int(whole + decimals)
    found = []
    for other in (value + one, value - one, 2 * value, value // 2, 10 * value):
        digits, rest = divmod(other, one)
        text = f"{digits:,}" if "," in own else str(digits)
        text = text if "," in own else text.zfill(len(whole) if whole[0] == "0" else 0)
        if other > 0 and other != value:
            found.append(text + point + (str(rest).zfill(len(decimals)) if point else ""))
    return list(dict.fromkeys(found))


def _days(text: str) -> Iterator[Site]:
    for match in _DAY.finditer(text):
        try:
            own = date.fromisoformat(match[0])
        except ValueError:
            continue  # There is no such day.
        others = [own + timedelta(days=days) for days in (-730, -365, -30, -1, 1, 30, 365, 730)]
        yield Site(*match.span(), [other.isoformat() for other in others])


def _dates(text: str) -> Iterator[Site]:
    yield from _days(text)
    quantities = {match.start(match.lastgroup or 0) for match in _UNIT.finditer(text)}
    for match in _YEAR.finditer(text):
        if match.end() not in quantities and match.end() + 1 not in quantities:
            own = int(match[0])
            yield Site(*match.span(), [str(own + years) for years in (-20, -10, -1, 1, 10, 20)])
    for match in _MONTH.finditer(text):
        # "May" and "March" are words too.
        dated = text[match.end() : match.end() + 2].strip()[:1].isdigit()
        if match[0] not in ("May", "March") or dated or _BY_A_DATE.search(text[: match.start()]):
            yield Site(*match.span(), _except(MONTHS, match[0]))
    for match in _WEEKDAY.finditer(text):
        yield Site(*match.span(), _except(WEEKDAYS, match[0]))


def _numbers(text: str) -> Iterator[Site]:
    dated = [(site.start, site.stop) for site in _dates(text)]
    for match in _NUMBER.finditer(text):
        if not any(start < match.end() and match.start() < stop for start, stop in dated):
            yield Site(*match.span(), _other_numbers(match[0]))
    for match in _NUMBER_WORD.finditer(text):
        yield Site(*match.span(), _except(NUMBER_WORDS, match[0]))


def _units(text: str) -> Iterator[Site]:
    for match in _UNIT.finditer(text):
        group = match.lastgroup or 0
        yield Site(*match.span(group), _UNIT_OF[match[group]])
    for match in _CURRENCY.finditer(text):
        yield Site(*match.span(), _except(CURRENCIES, match[0]))


def _negations(text: str) -> Iterator[Site]:
    for match in _PUT_NOT.finditer(text):
        yield Site(match.end(), match.end(), [" not"])
    for match in _TAKE_NOT.finditer(text):
        yield Site(*match.span(match.lastgroup or 0), [""])


def _comparisons(text: str) -> Iterator[Site]:
    for match in _COMPARISON.finditer(text):
        yield Site(*match.span(), [_like(OPPOSITES[match[0].lower()], match[0])])


def named(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield (type, start, stop) of capitalised words that look like a name."""
    for match in _ACRONYM.finditer(text):
        yield "acronym", *match.span()
    for match in _NAME.finditer(text):
        words = match[0].split(" ")
        before = text.rfind(" ", 0, match.start() - 1) + 1
        # A capitalised word before it makes it the end of a longer name.
        whole = len(words) <= LONGEST_NAME and not text[before].isupper()
        if whole and not NO_NAMES.intersection(words):
            yield f"name-{len(words)}", *match.span()


def _entities(text: str, known: Entities, query: str) -> Iterator[Site]:
    said = f"{text} {query}".casefold()
    others = {
        kind: [name for name in known.get(kind, ()) if name.casefold() not in said]
        for kind in {kind for kind, _, _ in named(text)}
    }
    for kind, start, stop in named(text):
        yield Site(start, stop, others[kind])


RULES: dict[str, Callable[[str], Iterator[Site]]] = {
    "number": _numbers,
    "unit": _units,
    "negation": _negations,
    "comparison": _comparisons,
    "date": _dates,
}
"""Kinds of edits that need the text alone; `entity` also needs names."""


def sites(kind: str, text: str, entities: Entities, query: str) -> list[Site]:
    """Return the parts of a text that an edit of one kind can replace, from left to right.

    Args:
        kind: of `hnmine.config.generate_settings.EDITS`.
        text: to edit.
        entities: replacements for names, by type.
        query: its names are not used, as they could make the text more relevant.
    """
    find = partial(_entities, known=entities, query=query) if kind == "entity" else RULES[kind]
    return sorted((site for site in find(text) if site.choices), key=lambda site: site.start)


def draw_edits(
    text: str, query: str, kinds: Sequence[str], entities: Entities, key: int
) -> Iterator[Edit]:
    """Yield edits that lead to different texts, until none is left.

    The kinds take turns. Every place is changed once before one is changed again.

    Args:
        text: to edit.
        query: that it is a positive of.
        kinds: allowed kinds.
        entities: replacements for names, by type.
        key: the draw depends on it alone; from 0 to 2**64 - 1.
    """
    places: list[tuple[int, int, str, Site]] = []
    for kind in kinds:
        found = enumerate(sites(kind, text, entities, query))
        drawn = [(xxhash.xxh3_64_intdigest(f"{kind} {n}".encode(), key), site) for n, site in found]
        drawn.sort(key=lambda item: item[0])
        places += [(turn, noise, kind, site) for turn, (noise, site) in enumerate(drawn)]
    places.sort(key=lambda item: item[:2])
    seen = {normalise(text)}
    for again in range(max((len(site.choices) for *_, site in places), default=0)):
        for _, noise, kind, site in places:
            if again < len(site.choices):
                became = site.choices[(noise + again) % len(site.choices)]
                edit = Edit(kind, site.start, text[site.start : site.stop], became)
                made = normalise(edit.apply(text))
                if made not in seen:
                    seen.add(made)
                    yield edit
