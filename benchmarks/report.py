"""What a benchmark found: kept as JSON, shown as a table, ratios first.

Owns the shape of a result and its two files under results/. Never measures. Invariant: a ratio
above 1 means that ours is better, whether the unit counts up (requests a second) or down
(nanoseconds).
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
OURS = "ours"


@dataclass(frozen=True)
class Figure:
    """The median of repeated measurements, with the lowest and highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Figure:
        return cls(statistics.median(samples), min(samples), max(samples))


@dataclass(frozen=True)
class Case:
    """One question put to every subject."""

    name: str
    unit: str
    more_is_better: bool
    figures: dict[str, Figure]

    def ratio(self, peer: str) -> float:
        ours, other = self.figures[OURS].median, self.figures[peer].median
        return ours / other if self.more_is_better else other / ours


@dataclass(frozen=True)
class Result:
    """Everything that one run of one benchmark says."""

    name: str
    claim: str
    cases: list[Case]
    machine: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, str]
    notes: list[str] = field(default_factory=list)


def options(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a short run that keeps no result")
    return parser


def publish(result: Result, *, keep: bool) -> None:
    """Print the table; with `keep`, also write results/<name>.json and .md."""
    text = render(result)
    print(text)
    if keep:
        RESULTS.mkdir(exist_ok=True)
        written = json.dumps(asdict(result), indent=1) + "\n"
        (RESULTS / f"{result.name}.json").write_text(written)
        (RESULTS / f"{result.name}.md").write_text(text)


def render(result: Result) -> str:
    lines = [f"# {result.name.replace('_', ' ').capitalize()}", "", result.claim, ""]
    for peers in _groups(result.cases):
        lines += [*_table([c for c in result.cases if _peers(c) == peers], peers), ""]
    lines += [f"- {note}" for note in result.notes]
    lines += [f"- {name}: {value}" for name, value in result.settings.items()]
    lines.append("- machine: " + ", ".join(f"{k} {v}" for k, v in result.machine.items()))
    lines.append("- versions: " + ", ".join(f"{k} {v}" for k, v in result.versions.items()))
    return "\n".join(lines) + "\n"


def _groups(cases: Sequence[Case]) -> list[tuple[str, ...]]:
    """The sets of peers that occur, in order: each gets a table."""
    return list(dict.fromkeys(_peers(case) for case in cases))


def _peers(case: Case) -> tuple[str, ...]:
    return tuple(name for name in case.figures if name != OURS)


def _table(cases: Sequence[Case], peers: Sequence[str]) -> list[str]:
    head = ["case", *(f"ours against {peer}" for peer in peers), OURS, *peers]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for case in cases:
        ratios = [f"**{case.ratio(peer):.2f}×**" for peer in peers]
        figures = [_figure(case, name) for name in (OURS, *peers)]
        lines.append(f"| {' | '.join([f'{case.name}, {case.unit}', *ratios, *figures])} |")
    return lines


def _figure(case: Case, name: str) -> str:
    figure = case.figures[name]
    digits = 0 if figure.median >= 100 else 2
    low, high = (f"{value:,.{digits}f}" for value in (figure.low, figure.high))
    return f"{figure.median:,.{digits}f} ({low}–{high})"
