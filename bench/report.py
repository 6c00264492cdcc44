"""Ratios with their targets, and the table that shows them."""

from __future__ import annotations

import json
import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


INDENT = " " * 6


@dataclass(frozen=True, slots=True)
class Target:
    """`limit` in the same unit as the measured figure. at_least: the figure must reach it; else must not pass it."""

    limit: float
    at_least: bool

    def is_met_by(self, figure: float) -> bool:
        return figure >= self.limit if self.at_least else figure <= self.limit


def at_least(limit: float) -> Target:
    return Target(limit, at_least=True)


def at_most(limit: float) -> Target:
    return Target(limit, at_least=False)


@dataclass(frozen=True, slots=True)
class Ratio:
    """One line of the table.

    rounds: the figure of each round, paired within the round: ours against the baseline of the same round.
    unit: what follows the figure, such as `x`, `%`, `ms`.   target: None for a figure shown for information only.
    measured, baseline: the absolute figures behind it, in words.
    """

    part: str
    name: str
    rounds: tuple[float, ...]
    unit: str
    target: Target | None
    measured: str
    baseline: str

    @property
    def figure(self) -> float:
        return median(self.rounds)

    @property
    def verdict(self) -> str:
        if self.target is None:
            return "-"
        return "pass" if self.target.is_met_by(self.figure) else "FAIL"


@dataclass(frozen=True, slots=True)
class Missing:
    """A ratio that was not measured, and why. is_skipped: for want of something that one may well do without."""

    part: str
    name: str
    why: str
    is_skipped: bool = False

    @property
    def verdict(self) -> str:
        return "skip" if self.is_skipped else "none"


def number(value: float) -> str:
    """Three digits that matter."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(values: Sequence[float], unit: str) -> str:
    """Median and range: `58 % [51-63]`."""
    text = f"{number(median(values))} {unit}"
    return text if len(values) == 1 else f"{text} [{number(min(values))}-{number(max(values))}]"


def line_of(result: Ratio | Missing) -> str:
    """Two lines: verdict, name, figure and target; below them what was compared."""
    if isinstance(result, Missing):
        why = textwrap.fill(result.why, 114, initial_indent=INDENT, subsequent_indent=INDENT)
        return f"{result.verdict}  {result.name}\n{why}"
    aim = ""
    if result.target:
        aim = f"{'>=' if result.target.at_least else '<='} {number(result.target.limit)} {result.unit}"
    head = f"{result.verdict:4}  {result.name:64} {spread(result.rounds, result.unit):26} {aim}".rstrip()
    return f"{head}\n{INDENT}{result.measured} against {result.baseline}"


def summary(results: Sequence[Ratio | Missing]) -> str:
    judged = [result for result in results if isinstance(result, Ratio) and result.target]
    verdicts = [result.verdict for result in results]
    text = f"{verdicts.count('pass')} of {len(judged)} targets reached"
    left_out = [(verdicts.count("none"), "not measured"), (verdicts.count("skip"), "skipped")]
    return ", ".join([text, *(f"{count} {word}" for count, word in left_out if count)]) + "."


def save(results: Sequence[Ratio | Missing], path: Path) -> None:
    """Everything measured, for comparing runs later."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"verdict": result.verdict, **asdict(result)} for result in results]
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
