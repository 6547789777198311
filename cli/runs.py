"""gpucnn runs"""

from __future__ import annotations

import datetime
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from gpucnn.cli.completion import offer
from gpucnn.cli.output import Console, output_options, width_of
from gpucnn.quoting import on_one_line
from gpucnn.reports.summary import RunSummary, natural, summaries
from gpucnn.training import TrainConfig

Key = Callable[[RunSummary], Any]


def _highest(value: float | None) -> float:
    return -value if value is not None else float("inf")


def _tested(row: RunSummary) -> float | None:
    """The accuracy on the test set, which no run with `overfit_batches` has."""
    return None if row.overfits else row.test_accuracy


#: Column -> the key of its order: names by their numbers, the best accuracy and the newest first.
_COLUMNS: dict[str, Key] = {
    "name": lambda row: natural(Path(row.path)),
    "model": lambda row: (row.model is None, row.model),
    "data": lambda row: (row.data is None, row.data),
    "epochs": lambda row: _highest(row.epochs),
    "val": lambda row: _highest(row.val_accuracy),
    "test": lambda row: _highest(_tested(row)),
    "time": lambda row: _highest(row.seconds),
    "date": lambda row: _highest(row.date.timestamp() if row.date else None),
    "state": lambda row: row.state,
}
_LEAST = {"name": 8, "model": 7, "data": 7}  # characters to which a column may shrink
_RECENT = datetime.timedelta(days=180)  # a date of this time has no year


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, shell_complete=offer(files=True))
@click.option(
    "--sort",
    "column",
    type=click.Choice(list(_COLUMNS)),
    default="date",
    help="order: the best accuracy, the longest time, the newest date first [date]",
)
@output_options
def command(folder: str | None, column: str, console: Console) -> None:
    """List the runs in DIR, by default runs: model, data, epochs, accuracy, time, date, state.

    val is the highest accuracy on the validation set, test that of the last weights on the test
    set. With --json one object a run.
    """
    rows = summaries(folder or TrainConfig.load().runs_dir)
    rows.sort(key=_COLUMNS[column])  # runs that are equal in it keep their order
    for row in rows:
        console.event({"event": "run", **row.as_dict()})
    console.event({"event": "end", "runs": len(rows)})
    if not rows:
        console.note(f"there is no run in {folder or 'runs'}; gpucnn train makes one")
        return
    console.result("\n".join(_table(rows, _width())))


def _width() -> int:
    """The columns of the terminal; 80 where standard output is none, and at least."""
    return max(80, shutil.get_terminal_size().columns) if width_of(sys.stdout) else 80


def _table(rows: Sequence[RunSummary], width: int) -> list[str]:
    """A line for each run, and for each problem one below the table.

    Where the columns are wider than `width`, data and model are cut, and a long name has a line of
    its own.
    """
    lines = [list(_COLUMNS), *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    names = list(_COLUMNS)
    for name in ("data", "model", "name"):
        over = sum(widths) + len(widths) - 1 - width
        place = names.index(name)
        widths[place] -= max(0, min(over, widths[place] - _LEAST[name]))
    left = {names.index(name) for name in (*_LEAST, "state")}
    table = []
    for name, *line in lines:
        if len(name) > widths[0]:
            table.append(name)
            name = ""
        cells = [
            _cut(cell, size).ljust(size) if place in left else cell.rjust(size)
            for place, (cell, size) in enumerate(zip([name, *line], widths, strict=True))
        ]
        table.append(" ".join(cells).rstrip())
    return table + [on_one_line(f"{row.name}: {row.problem}") for row in rows if row.problem]


def _cells(row: RunSummary) -> list[str]:
    done, planned = row.epochs, row.planned
    return [
        on_one_line(row.name),
        on_one_line(row.model or "-"),
        on_one_line(row.data or "-"),
        "-" if done is None else f"{done}" if done == planned else f"{done}/{planned}",
        "-" if row.val_accuracy is None else f"{row.val_accuracy:.2%}",
        "-" if (tested := _tested(row)) is None else f"{tested:.2%}",
        "-" if row.seconds is None else _time(row.seconds),
        "-" if row.date is None else _date(row.date),
        row.state,
    ]


def _time(seconds: float) -> str:
    """As in: 7.0 s, 12 min, 3.4 h"""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def _date(date: datetime.datetime) -> str:
    """As `ls` writes it: "Nov 29 10:02", and with the year, "Nov 29  2024", if it is long ago."""
    recent = abs(datetime.datetime.now(datetime.UTC) - date) < _RECENT
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{month[date.month - 1]} {date.day:2} " + (f"{date:%H:%M}" if recent else f" {date:%Y}")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
