"""The progress of a download: a bar on a terminal, a line a file elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gpucnn.cli.output import Console
from gpucnn.data.download import watching

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class DownloadProgress:
    """Inside of it, downloads are shown; nothing is with --quiet, or if all files are there.

    It is a `gpucnn.data.download.Progress`.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._file: str | None = None
        self._bar: Progress | None = None

    def __enter__(self) -> DownloadProgress:
        self._before = watching.set(self)
        return self

    def __exit__(self, *exception: object) -> None:
        watching.reset(self._before)
        self._remove()

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
        if received == size:  # what follows takes long, too
            self._remove()

    def _remove(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


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
