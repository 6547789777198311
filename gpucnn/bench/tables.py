"""Tables of results as data, as Markdown, and the forms of numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gpucnn.bench.record import Seconds

NOTHING = "-"


class Table(NamedTuple):
    """Rows of one kind under a title.

    Attributes:
        header: of the columns beside that of the labels.
        lines: of each row the label and the cells.
        notes: sentences below the table.
    """

    title: str
    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """With the title as the header of the labels."""
        rule = ["---", *["---:"] * len(self.header)]
        rows = [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
            for cells in ([self.title, *self.header], rule, *self.lines)
        ]
        return "\n".join([*rows, *(f"\n{note[0].upper()}{note[1:]}." for note in self.notes)])


def time(seconds: Seconds | float | None) -> str:
    """As in: 6.21 ms"""
    value = seconds.median if isinstance(seconds, Seconds) else seconds
    if value is None:
        return NOTHING
    for unit, factor in (("us", 1e6), ("ms", 1e3)):
        if abs(value) * factor < 999.5:
            return f"{number(value * factor)} {unit}"
    return f"{number(value)} s"


def number(value: float | None) -> str:
    """With three digits, or all before the point, as in: 6.21, 43.1, 2,970, 12.0 M"""
    if value is None:
        return NOTHING
    if value >= 999_999.5:
        return f"{number(value / 1e6)} M"
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{digits}f}"


def percent(fraction: float | None) -> str:
    """As in: 49%"""
    return NOTHING if fraction is None else f"{round(100 * fraction)}%"


def billions_per_second(amount: float | None, seconds: Seconds | None) -> str:
    """As in: 322"""
    if amount is None or seconds is None:
        return NOTHING
    rate = amount / seconds.median / 1e9
    return f"{rate:,.0f}" if rate >= 99.95 else f"{rate:.1f}"
