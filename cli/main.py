"""The group of commands, and the handling of errors: a message, an event, an exit code.

Commands are imported when they are called, so that ``gpucnn --help`` loads none of them.
"""

from __future__ import annotations

from gpucnn.cli import signals  # first: it handles signals during the other imports

# isort: split
import contextlib
import errno
import importlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import click

import gpucnn
from gpucnn import files
from gpucnn.cli import completion  # noqa: F401  its import registers what bash sources
from gpucnn.cli.group import Group
from gpucnn.cli.output import Console
from gpucnn.errors import (
    DataError,
    GpucnnError,
    GpucnnWarning,
    Interrupted,
    UsageError,
    cause_of,
)
from gpucnn.quoting import on_its_lines

COMMANDS = {
    "train": "Train a model.",
    "evaluate": "Measure loss and accuracy of a trained model.",
    "predict": "Classify images with a trained model.",
    "serve": "Answer requests with a trained model, and show a page to draw on.",
    "runs": "List the runs: model, data, accuracy, time, date.",
    "report": "Write a page on a run, or on several side by side.",
    "inspect": "Look for what is wrong with a training, its cause and cure.",
    "export": "Write a trained model as an ONNX file.",
    "import": "Read a network from an ONNX file.",
    "summary": "Show layers, shapes, parameters and cost of a model.",
    "explain": "Explain an operation forward and backward, with its numbers.",
    "profile": "Show the time of a training step, layer by layer.",
    "data": "List, fetch and verify data sets.",
    "bench": "Check and time operations and trainings, beside PyTorch.",
    "doctor": "Report the devices of this machine, and what is missing.",
}


class Commands(Group):
    """Commands by the name of their module, and one place for all errors."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"gpucnn.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run a command and leave with its exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in arguments
        _print_any_name()
        try:
            with _sigterm_as_interrupt(to_the_end=args is None), _plain_warnings():
                result = super().main(
                    arguments, prog_name or "gpucnn", standalone_mode=False, **extra
                )
            code = result if isinstance(result, int) else 0
        except click.exceptions.NoArgsIsHelpError as help_:  # a group without a command
            click.echo(help_.format_message(), err=True)
            code = UsageError.exit_code
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            if isinstance(error, SystemExit) and not _in_own_network(error):
                raise  # a shell has asked for completions
            if debug:
                import traceback

                with contextlib.suppress(OSError):
                    click.echo(on_its_lines(traceback.format_exc()), err=True, nl=False)
            known = _as_gpucnn_error(error, debug)
            Console(as_json="--json" in arguments).error(known)
            code = known.exit_code
        _drop_unwritten()
        sys.exit(code)


def _print_any_name() -> None:
    """Let streams escape characters that their encoding lacks, as \\u65e5, and not raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _drop_unwritten() -> None:
    """Drop output that cannot be written, so that Python does not try again when it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _as_gpucnn_error(error: BaseException, debug: bool) -> GpucnnError:
    if isinstance(error, GpucnnError):
        return _in_own_network(error) or error
    if isinstance(error, (click.Abort, KeyboardInterrupt)):  # the first is click's word for it
        return Interrupted("interrupted")
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "gpucnn"
        hint = getattr(error, "hint", None) or f"see {command} --help"
        return UsageError(" ".join(error.format_message().split("\n")), fix=hint)
    if isinstance(error, MemoryError):
        from gpucnn.backend.cpu.memory import out_of_memory

        ours = out_of_memory(error)
        ours.fix = "use fewer images, or a smaller --batch-size where the command has one"
        return ours
    if own := _in_own_network(error):
        return own
    if isinstance(error, OSError):
        if error.errno == errno.ENAMETOOLONG:
            return DataError(
                f"there is no file {error.filename}",
                cause="its name is longer than a name may be",
                fix="check the path",
            )
        where = f"{error.filename}: " if error.filename else ""
        return GpucnnError(
            f"{where}{cause_of(error)}",
            fix=None if debug else "run again with --debug to see where",
        )
    if isinstance(error, click.ClickException):
        return GpucnnError(error.format_message())
    return GpucnnError(
        f"{type(error).__name__}: {error}",
        cause="this is a bug in gpucnn",
        fix="report what is printed above"
        if debug
        else "run again with --debug, and report what it prints",
    )


def _in_own_network(error: BaseException) -> GpucnnError | None:
    """The error to show for an error in the user's own network; None for other errors."""
    code = sys.modules.get("gpucnn.training.code")  # no network has run if it is not loaded
    found: GpucnnError | None = code.located(error) if code else None
    return found


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Inside, a `GpucnnWarning` is printed as an error is, without the line of the source."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
        if not issubclass(category, GpucnnWarning):
            before(message, category, *where)
            return
        with contextlib.suppress(OSError):
            click.echo(f"warning: {message}".replace("\n", "\n  "), err=True)

    warnings.showwarning = show  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.showwarning = before


@contextlib.contextmanager
def _sigterm_as_interrupt(to_the_end: bool) -> Iterator[None]:
    """Inside, SIGTERM has the effect of Ctrl-C.

    Args:
        to_the_end: whether the process ends with the command; its end is then not interrupted.
    """
    before = signals.handle(signals.interrupt, signal.SIGTERM)
    try:
        yield
    finally:
        if to_the_end:
            signals.handle(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM)
        else:
            signals.restore(before)


@click.group("gpucnn", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(gpucnn.__version__, message="gpucnn %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Train convolutional networks, and see how they work.

    \b
    gpucnn train --data digits             needs no network
    gpucnn train --data mnist --model cnn

    Every command has --help. A shell completes commands, options and their values after
    eval "$(_GPUCNN_COMPLETE=bash_source gpucnn)", or zsh_source or fish_source.
    Errors end with a code that says their kind: 1 other, 2 usage,
    3 device, 4 data missing or damaged, 5 diverged, 6 a result of bench wrong or slower,
    130 interrupted.
    """
    files.limit()  # for all commands: readers would take the error of the variable for their own
    # `train` takes options from the environment, and refuses what it does not know.
    if ctx.invoked_subcommand != "train" and any(name.startswith("GPUCNN_") for name in os.environ):
        from gpucnn.training.config import FIELDS
        from gpucnn.training.variables import warn_of_unknown

        warn_of_unknown(FIELDS)


signals.restore(signals.before_imports)

if __name__ == "__main__":
    main()
