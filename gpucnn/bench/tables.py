"""The rows of a record as tables, for a terminal of 80 columns and as Markdown."""

from __future__ import annotations

import math
import re
import statistics
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gpucnn.bench.record import Peer, Record, Row, Seconds

WIDTH = 80
NOTHING = "-"


class Column(NamedTuple):
    """A column beside that of the labels, which take what is left of the width."""

    header: str
    width: int
    cell: Callable[[Row], str]


@dataclass
class Table:
    """Rows of one kind under a title.

    Attributes:
        lines: the label of each row with its cells, or with one sentence instead of them.
    """

    title: str
    columns: list[Column]
    lines: list[tuple[str, list[str] | str]]
    notes: list[str] = field(default_factory=list)

    def text(self, header: bool = True) -> str:
        """For a terminal; without a header below a table that has the same one."""
        room = WIDTH - sum(column.width + 1 for column in self.columns)
        found = []
        if header:
            found.append(" " * room + self._cells([column.header for column in self.columns]))
        found.append(self.title)
        for label, cells in self.lines:
            if isinstance(cells, str):
                found.append(wrapped(f"  {label}: {cells}", "    "))
                continue
            label = f"  {label}"
            if len(label) > room:
                found.append(label)
                label = ""
            found.append((label.ljust(room) + self._cells(cells)).rstrip())
        found += [wrapped(f"  {note}", "    ") for note in self.notes]
        return "\n".join(found)

    def _cells(self, cells: Sequence[str]) -> str:
        pairs = zip(cells, self.columns, strict=True)
        return "".join(f" {cell:>{column.width}}" for cell, column in pairs)

    def markdown(self) -> str:
        """With the title as the heading of the labels."""
        lines = [_piped([self.title, *(column.header for column in self.columns)])]
        lines.append(_piped(["---", *["---:"] * len(self.columns)]))
        for label, cells in self.lines:
            if isinstance(cells, str):
                cells = [cells, *[""] * (len(self.columns) - 1)]
            lines.append(_piped([label, *cells]))
        return "\n".join([*lines, *(f"\n{note[0].upper()}{note[1:]}." for note in self.notes)])


def tables(record: Record) -> list[Table]:
    """All rows, none left out; those of one name in one table."""
    names = baselines(record)
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in record.rows:
        groups.setdefault(_group(row), []).append(row)
    make = {"ops": _operations, "step": _steps, "data": _steps, "cost": beside}
    return [make[kind](title, rows, names) for (kind, title), rows in groups.items()]


def baselines(record: Record) -> list[str]:
    """The names of those that any row is beside."""
    return list(dict.fromkeys(name for row in record.rows for name in row.baselines))


def _group(row: Row) -> tuple[str, str]:
    """Its kind of table, and the title."""
    if row.bench == "ops":
        return "ops", row.name
    if row.bench == "data":
        return "data", "data"
    if row.bench == "infer":
        return "step", f"inference, {row.name}"
    if row.case.startswith("batch"):
        return "step", f"training, {row.name}"
    return "cost", "a whole training"


def _operations(title: str, rows: list[Row], names: list[str]) -> Table:
    columns = [
        Column("time", 8, lambda row: time(row.seconds)),
        Column("±", 4, spread),
        Column("GFLOP/s", 7, lambda row: per_second(row.flop, row.seconds)),
        Column("GB/s", 5, lambda row: per_second(row.nbytes, row.seconds)),
        Column("roof", 5, lambda row: percent(row.share)),
        Column("error", 7, error),
        *(Column(f"x {name}", max(7, 2 + len(name)), _ratio_to(name)) for name in names),
    ]
    return Table(title, columns, _lines(rows, columns), _means(rows, names))


def _steps(title: str, rows: list[Row], names: list[str]) -> Table:
    columns = [
        Column("time", 8, lambda row: time(row.seconds)),
        Column("±", 4, spread),
        Column("images/s", 8, lambda row: number(row.value)),
        Column("roof", 5, lambda row: percent(row.share)),
        Column("error", 7, error),
        *(
            column
            for name in names
            for column in (
                Column(name, 8, _value_of(name)),
                Column(f"x {name}", max(7, 2 + len(name)), _ratio_to(name)),
            )
        ),
    ]
    lines = _lines(rows, columns, named=title == "data")
    return Table(title, columns, lines, list(_flatness(rows, names)))


def beside(title: str, rows: list[Row], names: list[str]) -> Table:
    """What each row is about beside the baselines: its value, or without one its time."""

    columns = [
        Column("gpucnn", 10, lambda row: _amount(row, row)),
        *(
            column
            for name in names
            for column in (
                Column(name, 10, _amount_of(name)),
                Column(f"x {name}", max(7, 2 + len(name)), _ratio_to(name)),
            )
        ),
    ]
    return Table(title, columns, _lines(rows, columns, named=True))


def _lines(
    rows: list[Row], columns: list[Column], named: bool = False
) -> list[tuple[str, list[str] | str]]:
    found: list[tuple[str, list[str] | str]] = []
    for row in rows:
        label = f"{row.name}, {row.case}" if named else row.case
        label += f", {row.dtype}" * (row.dtype not in (None, "float32"))
        if row.skipped:
            found.append((label, f"skipped: {row.skipped}"))
        elif row.ok is False:
            found.append((label, f"WRONG: {why_wrong(row)}"))
        else:
            found.append((label, [column.cell(row) for column in columns]))
    return found


def _means(rows: list[Row], names: list[str]) -> list[str]:
    """Geometric means, which treat twice and half as fast alike."""
    found = []
    for name in names:
        ratios = [r.median for row in rows if (r := _peer(row, name).ratio) is not None]
        if len(ratios) > 1:
            mean = statistics.geometric_mean(ratios)
            found.append(f"geometric mean of the {len(ratios)} speeds beside {name}: {mean:.2f}")
    return found


def _flatness(rows: list[Row], names: list[str]) -> Iterator[str]:
    """How evenly images/s stand over the batch sizes of one training."""
    plain = [row for row in rows if re.fullmatch(r"batch \d+", row.case) and row.value]
    if len(plain) < 2 or plain[0].bench != "train":
        return
    text = f"{plain[0].case} to {plain[-1].case.removeprefix('batch ')}: the lowest images/s are "
    text += f"{flatness(row.value for row in plain):.0%} of the highest"
    others = [(name, flatness(_peer(row, name).value for row in plain)) for name in names]
    known = [f"{name} {share:.0%}" for name, share in others if not math.isnan(share)]
    yield text + (f" ({', '.join(known)})" if known else "")


def flatness(values: Iterable[float | None]) -> float:
    """The lowest over the highest; NaN if one is not known."""
    found = list(values)
    known = [value for value in found if value is not None]
    return min(known) / max(known) if known and len(known) == len(found) else math.nan


def _peer(row: Row, name: str) -> Peer:
    return row.baselines.get(name, Peer())


def _value_of(name: str) -> Callable[[Row], str]:
    return lambda row: number(_peer(row, name).value)


def _amount_of(name: str) -> Callable[[Row], str]:
    return lambda row: _amount(row, _peer(row, name))


def _amount(row: Row, whose: Row | Peer) -> str:
    """The value that it, or a baseline, has in the row's unit, or without one the time."""
    return time(whose.seconds) if whose.value is None else f"{number(whose.value)} {row.unit}"


def _ratio_to(name: str) -> Callable[[Row], str]:
    return lambda row: ratio(_peer(row, name))


def ratio(peer: Peer) -> str:
    """As in: 1.32"""
    return NOTHING if peer.ratio is None else f"{peer.ratio.median:.2f}"


def time(seconds: Seconds | None) -> str:
    """As in: 6.21 ms"""
    if seconds is None:
        return NOTHING
    for unit, factor in (("us", 1e6), ("ms", 1e3)):
        if seconds.median * factor < 999.5:
            return f"{number(seconds.median * factor)} {unit}"
    return f"{number(seconds.median)} s"


def number(value: float | None) -> str:
    """Of three digits or of all before the point, as in: 6.21, 43.1, 2,970, 12.0 M"""
    if value is None:
        return NOTHING
    if value >= 999_999.5:
        return f"{number(value / 1e6)} M"
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{digits}f}"


def percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share:.0%}"


def spread(row: Row) -> str:
    """Half of what lies between the tenth and the ninetieth percentile, of the median."""
    if row.seconds is None:
        return NOTHING
    return f"{(row.seconds.p90 - row.seconds.p10) / 2 / row.seconds.median:.0%}"


def per_second(amount: float | None, seconds: Seconds | None) -> str:
    """Billions a second."""
    if amount is None or seconds is None:
        return NOTHING
    rate = amount / seconds.median / 1e9
    return f"{rate:,.0f}" if rate >= 99.95 else f"{rate:.1f}"


def error(row: Row) -> str:
    """Relative L2, as in: 3e-07"""
    return NOTHING if row.error is None else f"{row.error:.0e}" if row.error else "0"


def why_wrong(row: Row) -> str:
    """The error of a row and its bound, for a message."""
    if row.error is None:
        return "the result is not finite"
    return f"error {row.error:.1e}, bound {row.bound or 0:.1e}"


def wrapped(text: str, indent: str = "") -> str:
    """Within 80 columns."""
    lines = textwrap.wrap(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
        drop_whitespace=True,
    )  # fmt: skip
    return "\n".join(lines)


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
