"""English words that rule edits replace."""

from __future__ import annotations

NUMBER_WORDS = (
    *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
)
"""Not "one", which is a pronoun more often than a number."""

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

UNITS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("mm",), ("cm",), ("m",), ("km",)),
    (("inch",), ("foot",), ("yard",), ("mile",), ("metre", "meter"), ("kilometre", "kilometer")),
    (
        *(("inches",), ("feet",), ("yards",), ("miles",)),
        *(("metres", "meters"), ("kilometres", "kilometers")),
        *(("centimetres", "centimeters"), ("millimetres", "millimeters")),
    ),
    (("mcg", "µg", "μg"), ("mg",), ("g",), ("kg",)),
    (("gram",), ("kilogram",), ("pound",), ("ounce",)),
    (
        *(("milligrams",), ("grams",), ("kilograms",), ("pounds",), ("ounces",)),
        ("tons", "tonnes"),
    ),
    (("ml", "mL"), ("litres", "liters"), ("gallons",)),
    (
        ("ms",),
        ("seconds",),
        ("minutes",),
        ("hours",),
        ("days",),
        ("weeks",),
        ("months",),
        ("years",),
    ),
    (("second",), ("minute",), ("hour",), ("day",), ("week",), ("month",), ("year",)),
    (("KB", "kB"), ("MB",), ("GB",), ("TB",)),
    (("bits",), ("bytes",), ("kilobytes",), ("megabytes",), ("gigabytes",), ("terabytes",)),
    (("Hz",), ("kHz",), ("MHz",), ("GHz",)),
    (("°C",), ("°F",)),
)
"""Units of one kind, each with its spellings; the first spelling is the replacement."""

CURRENCIES = ("$", "€", "£")

OPPOSITES = {
    **{"more": "less", "less": "more", "most": "least", "least": "most"},
    **{"greater": "smaller", "smaller": "larger", "larger": "smaller", "bigger": "smaller"},
    **{"largest": "smallest", "smallest": "largest", "highest": "lowest", "lowest": "highest"},
    **{"higher": "lower", "lower": "higher", "above": "below", "below": "above"},
    **{"increase": "decrease", "increases": "decreases", "increased": "decreased"},
    **{"increasing": "decreasing", "decrease": "increase", "decreases": "increases"},
    **{"decreased": "increased", "decreasing": "increasing", "before": "after", "after": "before"},
    **{"maximum": "minimum", "minimum": "maximum", "longer": "shorter", "shorter": "longer"},
    **{"longest": "shortest", "shortest": "longest", "faster": "slower", "slower": "faster"},
    **{"older": "younger", "younger": "older", "better": "worse", "worse": "better"},
    **{"best": "worst", "worst": "best", "earlier": "later", "later": "earlier"},
    **{"first": "last", "last": "first", "always": "never", "never": "always"},
    **{"heavier": "lighter", "lighter": "heavier", "stronger": "weaker", "weaker": "stronger"},
    **{"deeper": "shallower", "shallower": "deeper", "wider": "narrower", "narrower": "wider"},
    **{"warmer": "colder", "colder": "warmer", "hotter": "colder"},
}

AUXILIARIES = (
    *("is", "are", "was", "were", "can", "could", "will", "would", "should", "must", "may"),
    "might",
)
"""Words after which "not" can be inserted."""

NEGATED = (*AUXILIARIES, "do", "does", "did", "has", "have", "had")
"""Words after which "not" can be removed."""

CONTRACTED = tuple(word for word in NEGATED if word not in ("can", "will", "may", "might"))
"""Words before "n't"; removing it from "can't" and "won't" leaves no word."""

NO_NAMES = {
    *("The", "This", "That", "These", "Those", "A", "An", "In", "On", "At", "It", "Its", "If"),
    *("I", "He", "She", "We", "You", "They", "And", "Or", "But", "For", "To", "Of", "By", "As"),
    *("What", "When", "Where", "Who", "Why", "How", "Is", "Are", "Was", "Were", "Not", "No"),
    *MONTHS,
    *WEEKDAYS,
}
"""Capitalised words that are not names."""
