"""Where output goes: results and JSON events to stdout, progress and logs to stderr."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from gpucnn.errors import GpucnnError

Command = TypeVar("Command", bound=Callable[..., Any])


class Console:
    """What the commands print through.

    Args:
        as_json: stdout is one JSON object a line.
        quiet: stderr is for errors only.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet

    def event(self, fields: dict[str, Any]) -> None:
        """A JSON object on stdout, with --json."""
        if self.as_json:
            click.echo(json.dumps(fields, allow_nan=False))

    def result(self, text: str) -> None:
        """A result on stdout, without --json."""
        if not self.as_json:
            click.echo(text)

    def note(self, text: str) -> None:
        """A line on stderr, without --quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    def device(self, device: str) -> str:
        """The device that ``--device`` says; what "auto" comes down to, and why, is shown."""
        if device != "auto":
            return device
        from gpucnn import backend

        chosen, why = backend.choose()
        self.note(f"device: {chosen.name}, chosen by --device auto ({why})")
        return chosen.name

    def error(self, error: GpucnnError) -> None:
        """What happened, why, and what to do: on stderr, and with --json as an event too."""
        click.echo(f"error: {error}".replace("\n", "\n  "), err=True)
        self.event({"event": "error", **error.as_dict()})


def output_options(command: Command) -> Command:
    """Adds --json, --quiet and --debug; the command gets `console` for the first two."""
    # --debug is read by `Commands.main`, which is where errors end up.
    for decorate in (
        click.option("--debug", is_flag=True, expose_value=False, help="tracebacks of errors"),
        click.option("--quiet", "-q", is_flag=True, help="no progress and no logs"),
        click.option("--json", "as_json", is_flag=True, help="one JSON object a line on stdout"),
    ):
        command = decorate(command)
    return command
