"""How a benchmark is shown while it runs: row by row."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gpucnn.bench import report
from gpucnn.bench.record import Row
from gpucnn.cli.output import Console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class RowProgress:
    """A bar on a terminal, a line a row elsewhere; nothing with --quiet.

    Attributes:
        total: rows that there will be.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total: int | None = None
        self._bar: Progress | None = None
        self._task: TaskID

    def __enter__(self) -> RowProgress:
        if not self.console.quiet and sys.stderr is not None and sys.stderr.isatty():
            self._bar = _make_bar()
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def now(self, what: str) -> None:
        """What is being measured."""
        if self._bar is not None:
            self._bar.update(self._task, description=what[:38], total=self.total)

    def row(self, row: Row) -> None:
        """What was found."""
        line = report.line(row)
        if self._bar is None:
            self.console.note(line)
        else:
            self._bar.console.print(line, highlight=False, markup=False)
            self._bar.advance(self._task)


def _make_bar() -> Progress:
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    return Progress(
        TextColumn("{task.description:38}", markup=False),
        BarColumn(bar_width=14),
        MofNCompleteColumn(),
        Elapsed(),
        console=Terminal(stderr=True),
        transient=True,
    )
