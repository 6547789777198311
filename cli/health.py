"""The warnings of a training: between the lines of its progress, and as JSON events."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence

from gpucnn.cli.output import Console
from gpucnn.inspection import Finding, HealthMonitor
from gpucnn.inspection.finding import lines
from gpucnn.quoting import on_one_line
from gpucnn.training import Trainer

_WIDTH = 80


class HealthWarnings(HealthMonitor):
    """A `HealthMonitor` that tells its findings to the reader of a command.

    Args:
        console: gets an event for each finding.
        show: prints a line among those of the progress.
    """

    def __init__(self, console: Console, show: Callable[[str], None]) -> None:
        super().__init__()
        self.console, self.show = console, show

    def on_findings(self, trainer: Trainer, findings: Sequence[Finding]) -> None:
        for finding in findings:
            place = {"step": trainer.step, "epoch": trainer.running_epoch}
            self.console.event({"event": "warning", **place, **finding.as_dict()})

        for text in finding_lines(findings):
            self.show(text)

    def tell(self, text: str) -> None:
        self.show(text)


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """Findings in 80 columns; a command is one line, however long it is."""
    return [
        line if line.startswith("  fix: gpucnn ") else wrapped(line, 4 if line[0] == " " else 2)
        for line in lines(findings)
    ]


def wrapped(text: str, indent: int = 2) -> str:
    """A text in 80 columns, with an indent from its second line on."""
    return textwrap.fill(
        on_one_line(text),
        _WIDTH,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
