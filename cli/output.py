"""The output of commands: results and JSON events to stdout, progress and logs to stderr."""

from __future__ import annotations

import contextlib
import errno
import json
from collections.abc import Callable, Iterable
from typing import Any, TextIO

import click

from gpucnn.errors import GpucnnError, cause_of
from gpucnn.quoting import on_its_lines, on_one_line


class OutputError(GpucnnError):
    """stdout cannot be written: its reader went away, or the disk is full."""

    def __init__(self, error: OSError) -> None:
        super().__init__("standard output cannot be written", cause=cause_of(error))
        self.is_closed = error.errno == errno.EPIPE


class Console:
    """The output of a command.

    Characters that are not seen become escapes (`gpucnn.quoting`): names and other texts of files
    are in what is printed.

    Args:
        as_json: stdout is one JSON object a line.
        quiet: stderr is for warnings and errors only.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet

    def event(self, fields: dict[str, Any]) -> None:
        """A JSON object on stdout, with --json; raises `OutputError`."""
        if self.as_json:
            _print(json.dumps(fields, allow_nan=False))

    def result(self, text: str, colored: bool = False) -> None:
        """A result on stdout, without --json; raises `OutputError`.

        Args:
            colored: it may have color, and holds nothing of a file.
        """
        if not self.as_json:
            _print(text if colored else on_its_lines(text))

    def note(self, *lines: str) -> None:
        """Lines on stderr, without --quiet. They are dropped if stderr cannot be written."""
        if not self.quiet:
            self.warn(*lines)

    def warn(self, *lines: str) -> None:
        """Lines on stderr, also with --quiet. They are dropped if stderr cannot be written."""
        with contextlib.suppress(OSError):
            click.echo("\n".join(map(on_one_line, lines)), err=True)

    def without(self, what: str, error: GpucnnError) -> None:
        """A note of something that a command goes on without, and why, in a line."""
        parts = (error.message, error.cause, error.fix)
        self.note(f"note: no {what}: {'; '.join(part for part in parts if part)}")

    def data(self, text: str, notes: Iterable[str]) -> None:
        """A description of the data, and notes on it, each on a line of stderr."""
        self.note(f"data: {text}")
        for note in notes:
            self.note(f"note: {note}")

    def device(self, device: str) -> str:
        """The name of the device; notes the choice of "auto" with its reason, and slow steps."""
        from gpucnn import backend

        if device == "auto":
            chosen, why = backend.choose()
            device = chosen.name
            self.note(f"device: {device} (auto: {why})")
        if preparation := backend.get(device).preparation():
            self.note(preparation)
        return device

    def error(self, error: GpucnnError) -> None:
        """Show an error on stderr, and with --json also as an event.

        Nothing is shown if the reader of stdout has gone, as in `gpucnn doctor | head`, unless the
        error has a fix.
        """
        if isinstance(error, OutputError) and error.is_closed and error.fix is None:
            return
        with contextlib.suppress(OSError):
            click.echo(on_its_lines(f"error: {error}".replace("\n", "\n  ")), err=True)
        with contextlib.suppress(OutputError):  # the exit code still says it
            self.event({"event": "error", **error.as_dict()})


def _print(text: str) -> None:
    try:
        click.echo(text, color=True)  # text has color only where stdout shows it
    except OSError as error:
        raise OutputError(error) from error


def width_of(stream: TextIO | None) -> int | None:
    """The columns of the lines for a stream: 80 on a terminal; None elsewhere: lines are whole."""
    return 80 if stream is not None and stream.isatty() else None


def loss_text(loss: float) -> str:
    """A loss in four decimals, or in scientific notation where it is large."""
    return f"{loss:.4f}" if abs(loss) < 1e4 else f"{loss:.3e}"


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --json, --quiet and --debug; the command gets `console`, which has the first two."""
    # --debug is read by `Commands.main`, which handles all errors.
    for names, help_, callback in (
        (("--debug",), "tracebacks of errors", None),
        (("--quiet", "-q"), "no progress and no notes, only warnings and errors", _set_console),
        (("--json", "as_json"), "one JSON object a line on stdout", _set_console),
    ):
        option = click.option(
            *names, is_flag=True, expose_value=False, callback=callback, help=help_
        )
        command = option(command)
    return command


def _set_console(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Set an attribute of the `console` that the command gets."""
    setattr(ctx.params.setdefault("console", Console()), param.name or "", value)
