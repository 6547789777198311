"""The tables and the progress of benchmarks on a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from itertools import groupby

from gpucnn.bench import report
from gpucnn.bench.record import BenchRow
from gpucnn.bench.tables import Table
from gpucnn.cli.output import Console


def text(tables: Sequence[Table], width: int | None = 80) -> str:
    """Tables in so many columns; tables with the same header show it once.

    Args:
        width: labels and notes that are longer are folded; None: every line is whole.
    """
    from rich.console import Console as Terminal
    from rich.padding import Padding
    from rich.table import Table as Grid

    terminal = Terminal(
        file=io.StringIO(),
        width=width or _whole(tables),
        color_system=None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for header, group in groupby(tables, key=lambda table: table.header):
        alike = list(group)
        cells = [line[1:] for table in alike for line in table.lines]
        widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
        for table in alike:
            grid = Grid(
                box=None, padding=(0, 0, 0, 1), pad_edge=False, expand=True,
                show_header=table is alike[0],
            )  # fmt: skip
            grid.add_column(overflow="fold", ratio=1)
            for name, width in zip(header, widths, strict=True):
                # A column without a name holds bars.
                justify = "right" if name else "left"
                grid.add_column(name, width=width, justify=justify, no_wrap=True)  # type: ignore[arg-type]
            grid.add_row(table.title)
            for label, *line in table.lines:
                grid.add_row(Padding(label, (0, 0, 0, 2)), *line)
            terminal.print(grid)
            for note in table.notes:
                if width is None:
                    terminal.file.write(f"  {note}\n")
                else:
                    terminal.print(Padding(note, (0, 0, 0, 2)))
        terminal.print()
    printed: str = terminal.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in printed.rstrip().splitlines())


def _whole(tables: Sequence[Table]) -> int:
    """The columns of the widest row; at least 80."""
    widths = [80]
    for header, group in groupby(tables, key=lambda table: table.header):
        alike = list(group)
        lines = [line for table in alike for line in table.lines]
        cells = zip(header, *(line[1:] for line in lines), strict=True)
        labels = [len(line[0]) + 2 for line in lines] + [len(table.title) for table in alike]
        widths.append(max(labels) + sum(1 + max(map(len, column)) for column in cells))
    return max(widths)


class RowProgress:
    """A bar on a terminal, a line for each row elsewhere; nothing with --quiet.

    Attributes:
        total: rows that there will be.
    """

    def __init__(self, console: Console) -> None:
        from rich.console import Console as Terminal
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        self.console = console
        self.total: int | None = None
        self._bar = Progress(
            TextColumn("{task.description:38}", markup=False),
            BarColumn(bar_width=14),
            MofNCompleteColumn(),
            Elapsed(),
            console=Terminal(stderr=True),
            transient=True,
            disable=console.quiet or sys.stderr is None or not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> RowProgress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def now(self, what: str) -> None:
        """Show what is being measured."""
        self._bar.update(self._task, description=what[:38], total=self.total)

    def row(self, row: BenchRow) -> None:
        """Show a row that was measured."""
        if self._bar.disable:
            self.console.note(report.line(row, None))
        else:
            self._bar.console.print(report.line(row), highlight=False, markup=False)
            self._bar.advance(self._task)
