"""gpucnn train"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from gpucnn import backend as backends
from gpucnn import data as datasets
from gpucnn import models
from gpucnn.cli.output import Console, OutputError, output_options
from gpucnn.cli.progress import EpochLines, JsonEvents, ProgressBar
from gpucnn.errors import UsageError
from gpucnn.training import Callback, History, Run, TrainConfig, Trainer, fit_trainer
from gpucnn.training.config import FIELDS, field_type, flag_name
from gpucnn.training.run import describe_environment

NEWEST = ""  # what --resume without a value gives
# What a resumed run may do otherwise: none of it changes the result on the same kind of device.
_RESUMABLE = ("data_dir", "device", "log_interval", "runs_dir", "threads")


def _config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each field of TrainConfig, which holds its help text and its default."""
    for key, field in reversed(FIELDS.items()):
        kind, _ = field_type(key)
        default = field.default
        shown = "" if default is None or default is False else f" [{default}]"
        names = [flag_name(key), key]
        if key == "batch_size":
            names.insert(1, "-b")
        if kind is bool:
            names[0] += f"/--no-{key}"
        # The default is None: only what was typed overrides the TOML file and the environment.
        option = click.option(*names, type=kind, default=None, help=field.metadata["help"] + shown)
        command = option(command)
    return command


@click.command()
@_config_options
@click.option("--config", "config_file", metavar="FILE", help="TOML file with these options")
@click.option(
    "--resume",
    metavar="[RUN]",
    is_flag=False,
    flag_value=NEWEST,
    help="go on with a run that was cut short; the newest if none is named",
)
@click.option("--dry-run", is_flag=True, help="one batch of everything; writes nothing")
@click.option("--print-config", is_flag=True, help="print the options in force as TOML, and stop")
@output_options
def command(
    config_file: str | None,
    resume: str | None,
    dry_run: bool,
    print_config: bool,
    console: Console,
    **flags: Any,
) -> None:
    """Train a model, and keep the run in runs/train-N.

    Options come from --config, over it the environment (GPUCNN_EPOCHS=3), over it the flags.
    Ctrl-C saves a checkpoint; --resume goes on from it to the very same weights.
    """
    run = None
    if resume is None:
        config = TrainConfig.load(config_file, flags=flags)
    else:
        if config_file or dry_run or print_config:
            raise UsageError(
                "--resume goes with none of --config, --dry-run and --print-config",
                cause="a run is resumed with the options that it was started with",
            )
        run = _run_to_resume(resume, flags)
        config = _resumed_config(run, flags)
    if print_config:
        click.echo(config.resolved(config.device).to_toml(), nl=False)
        return
    if dry_run:
        config = replace(config, epochs=1, limit_batches=1)
    history = _train(config, run, dry_run, console)
    console.result(_summary(history))


def _train(config: TrainConfig, run: Run | None, dry_run: bool, console: Console) -> History:
    config = replace(config, device=console.device(config.device))
    backend = backends.get(config.device)
    data = datasets.load(config.data, config.data_dir, validation=config.validation)
    trainer = Trainer(models.get(config.model, data.classes), data, config)
    resume = run is not None
    if run is not None:
        _note_changes(run, describe_environment(backend), console)
    elif not dry_run:
        run = Run.create(config, backend)
    callbacks: list[Callback] = [JsonEvents(console)] if console.as_json else []
    if not console.quiet:
        callbacks.append(ProgressBar(console) if _on_terminal() else EpochLines(console))
    try:
        return fit_trainer(trainer, callbacks, run=run, resume=resume)
    except OutputError as error:
        # All is saved by then: what happens in a run is printed after its checkpoint is written.
        if run is not None:
            error.fix = f"go on with: {run.resume_command}"
        raise


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()  # None: it was closed, as by 2>&-


def _run_to_resume(resume: str, flags: dict[str, Any]) -> Run:
    if resume != NEWEST:
        return Run.open(resume)
    return Run.newest(TrainConfig.load(flags={"runs_dir": flags["runs_dir"]}).runs_dir)


def _resumed_config(run: Run, flags: dict[str, Any]) -> TrainConfig:
    given = {key: value for key, value in flags.items() if value is not None}
    fixed = [flag_name(key) for key in given if key not in _RESUMABLE]
    if fixed:
        raise UsageError(
            f"{', '.join(fixed)} cannot be changed when a run is resumed",
            cause="a run is resumed with the options that it was started with",
            fix=f"start another: gpucnn train --config {run.path}/config.toml {fixed[0]} ...",
        )
    return replace(run.config(), **given)


def _note_changes(run: Run, now: dict[str, Any], console: Console) -> None:
    """Say what differs from where the run was started: bits are promised for equal versions."""
    then = run.environment()
    for key, value in now.items():
        if key in then and then[key] != value and key != "threads":
            console.note(f"note: {key} was {then[key]} when the run was started, now it is {value}")


def _summary(history: History) -> str:
    epochs = len(history.records)
    text = f"{history.reason}: {epochs} epoch{'s' * (epochs != 1)} in {history.seconds:.1f} s"
    if history.test is not None:
        accuracy, loss = history.test["accuracy"], history.test["loss"]
        text += f", test accuracy {accuracy:.2%}, test loss {loss:.4f}"
    return text
