"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.quality.compare import FIXED

Results = Sequence[Mapping[str, Any]]


def markdown(results: Results, summary: Mapping[str, Any]) -> str:
    """Return the tables of all cases and of what they say together."""
    parts = [_selections(results)]
    parts += [_equal(results, summary, arm) for arm in summary]
    parts += [_zeros(results, arm) for arm in summary]
    return "\n\n".join(part for part in parts if part) + "\n"


def _selections(results: Results) -> str:
    """Show what each setting gives, and the lowest rate of each rule at the fixed point."""
    lines = _head("selection", results)
    for kind in ("as used", "peers", "hnmine"):
        lines += _rows(results, kind, _point)
    least, deepest = FIXED
    text = f"lowest rate, yield ≥ {least:g}, mean rank ≤ {deepest:g}: "
    lines += _rows(results, "fixed", _point, text)
    return (
        "### Yield, false-negative rate, mean rank, mean similarity, share of zeros dropped\n\n"
        + "\n".join(lines)
    )


def _equal(results: Results, summary: Mapping[str, Any], arm: str) -> str:
    """Show the lowest rate of each rule where an arm's choice is, and the ratios to it."""
    lines = _head("rule", results, ("geometric mean", "worst"))
    own = [result["hnmine"][arm] for result in results]
    cells = [f"{point['rate']:.3f} (the arm itself)" for point in own]
    lines.append(_line([arm, *cells, "", ""]))
    for rule, total in summary[arm].items():
        cells = [_ratio(result["equal"][arm].get(rule)) for result in results]
        low, high = total["95 %"]
        mean = f"{total['geometric mean']:.2f} ({low:.2f} to {high:.2f})"
        worst = f"{total['worst']:.2f} {total['worst on']}"
        everywhere = total["geometric mean"] > 0  # Else it cannot give that yield somewhere.
        lines.append(_line([rule, *cells, *((mean, worst) if everywhere else "--")]))
    return (
        f"### {arm} at equal yield and equal mean rank: the rule's lowest rate, "
        "and the arm's rate over it (95 % interval)\n\n" + "\n".join(lines)
    )


def _zeros(results: Results, arm: str) -> str:
    """Show how many judged zeros each rule must drop to be as safe as an arm."""
    judged = [result for result in results if result["judged zeros among candidates"]]
    if not judged:
        return ""
    lines = _head("rule", judged)
    shares = [f"{result['hnmine'][arm]['dropped_zeros']:.2f}" for result in judged]
    lines.append(_line([arm, *shares]))
    for rule in judged[0]["equal"][arm]:
        points = [result["equal"][arm].get(rule, {}).get("at the same rate") for result in judged]
        lines.append(
            _line([rule, *(f"{point['dropped_zeros']:.2f}" if point else "-" for point in points)])
        )
    title = f"### Share of judged zeros dropped at a rate as low as that of {arm}, range_min 0\n\n"
    return title + "\n".join(lines)


def _head(first: str, results: Results, more: Sequence[str] = ()) -> list[str]:
    columns = [first, *(case_name(result) for result in results), *more]
    return [_line(columns), "|" + "---|" * len(columns)]


def case_name(result: Mapping[str, Any]) -> str:
    """Name a case."""
    return f"{result['collection']} {result['seed']}"


def _rows(
    results: Results, kind: str, show: Callable[[Mapping[str, Any] | None], str], text: str = ""
) -> list[str]:
    rules = dict.fromkeys(rule for result in results for rule in result[kind])
    return [
        _line([text + rule, *(show(result[kind].get(rule)) for result in results)])
        for rule in rules
    ]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _point(point: Mapping[str, Any] | None) -> str:
    if not point:
        return "-"
    zeros = point["dropped_zeros"]
    return (
        f"{point['found']:.2f}, **{point['rate']:.3f}**, {point['rank']:.0f}, "
        f"{point['similarity']:.2f}" + (f", {zeros:.2f}" if zeros == zeros else "")
    )


def _ratio(equal: Mapping[str, Any] | None) -> str:
    if not equal or not equal["best"]:
        return "-"
    low, high = equal["95 %"]
    return f"{equal['best']['rate']:.3f}, {equal['hnmine over it']:.2f} ({low:.2f} to {high:.2f})"
