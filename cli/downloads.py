"""The progress of a download: a bar on a terminal, a line a file elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gpucnn.cli.output import Console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class DownloadProgress:
    """A `gpucnn.data.download.Progress`: shows nothing with --quiet, or before its first call."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._file: str | None = None
        self._bar: Progress | None = None

    def __enter__(self) -> DownloadProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, file: str, received: int, size: int) -> None:
        if self._console.quiet:
            return
        if sys.stderr is not None and sys.stderr.isatty():
            self._draw(file, received, size)
        elif file != self._file:
            self._console.note(f"downloading {file} ({size:,} bytes)")
        self._file = file

    def _draw(self, file: str, received: int, size: int) -> None:
        if self._bar is None:
            self._bar = _make_bar()
            self._bar.start()
            self._task: TaskID = self._bar.add_task("")
        self._bar.update(self._task, description=file, completed=received, total=size)


def _make_bar() -> Progress:
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=14),
        DownloadColumn(),
        console=Terminal(stderr=True),
        transient=True,
    )
