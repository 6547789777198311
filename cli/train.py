"""gpucnn train"""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from gpucnn import data as datasets
from gpucnn import models
from gpucnn.cli import find_lr as search
from gpucnn.cli import outcome, sweep
from gpucnn.cli.completion import offer, offer_runs
from gpucnn.cli.health import HealthWarnings
from gpucnn.cli.options import config_option
from gpucnn.cli.output import Console, OutputError, output_options
from gpucnn.cli.preparation import (
    code_of,
    configure,
    prepare,
    prepare_resumed,
    require_trust,
    resumed_config,
)
from gpucnn.cli.progress import EpochLines, JsonEvents, ProgressBar
from gpucnn.errors import DivergedError, Interrupted, UsageError
from gpucnn.quoting import on_its_lines
from gpucnn.training import Callback, Run, TrainConfig, Trainer, checkpoint, fit_trainer
from gpucnn.training.code import Code
from gpucnn.training.config import FIELDS
from gpucnn.training.grid import OPTIONS
from gpucnn.training.history import best_epoch
from gpucnn.training.sweep import RECORD, Sweep
from gpucnn.training.variables import warn_of_unknown

NEWEST = ""  # what --resume without a value gives


def _config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each field of TrainConfig."""
    others = {"batch_size": ("-b",), "learning_rate": ("--learning-rate",)}
    for key in reversed(FIELDS):
        command = config_option(key, others.get(key, ()))(command)
    return command


@click.command()
@click.argument("stray", nargs=-1, metavar="")
@_config_options
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    help="TOML file with these options",
    shell_complete=offer(files=True),
)
@click.option(
    "--resume",
    metavar="[RUN]",
    is_flag=False,
    flag_value=NEWEST,
    help="continue an interrupted run or sweep, by default the newest; with more --epochs, continue"
    " a finished run as a new one; with --data, read its data there if they were moved",
    shell_complete=offer_runs,
)
@click.option(
    "--find-lr",
    is_flag=True,
    help="search a learning rate for these options: a table, a suggestion, and runs/find-lr.png",
)
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="OPTION=VALUES",
    help="train with each of these values, as in lr=1e-3,3e-3 or seed=0..4, one run after the other"
    " in runs/sweep-N; several options make all combinations",
    shell_complete=offer(*(f"{name}=" for name in OPTIONS)),
)
@click.option("--trust-code", is_flag=True, help="run the code that --config or a run names")
@click.option(
    "--dry-run",
    is_flag=True,
    help="one batch of everything, or with --sweep the list of its runs; writes nothing",
)
@click.option(
    "--health/--no-health",
    default=True,
    help="warn of dead ReLUs, vanishing gradients, overfitting and the like [on]",
)
@click.option("--print-config", is_flag=True, help="print the options in force as TOML, and stop")
@output_options
def command(
    stray: tuple[str, ...],
    config_file: str | None,
    resume: str | None,
    find_lr: bool,
    sweeps: tuple[str, ...],
    trust_code: bool,
    dry_run: bool,
    health: bool,
    print_config: bool,
    console: Console,
    **flags: Any,
) -> None:
    """Train a model, and keep the run in runs/train-N.

    The options down to --name may also stand in the file of --config or in the environment
    (GPUCNN_EPOCHS=3). Flags override the environment, and the environment overrides the file.
    Ctrl-C saves a checkpoint; --resume continues from it, and gives the same weights. With --sweep,
    it goes on with the sweep.
    """
    words = [word for word in stray if not sweeps or "=" not in word]
    if words:
        raise _stray(words[0])
    modes = {
        "--sweep": bool(sweeps), "--find-lr": find_lr, "--resume": resume is not None,
        "--dry-run": dry_run, "--print-config": print_config,
    }  # fmt: skip
    chosen = [flag for flag, is_given in modes.items() if is_given]
    if len(chosen) > 1 and chosen != ["--sweep", "--dry-run"]:
        raise UsageError(f"{' and '.join(chosen)} exclude each other", fix="give one of them")
    callbacks = functools.partial(_callbacks, console, health)
    if sweeps:
        given = TrainConfig.given(config_file, flags=flags)
        named_by = config_file if "model" in given else None
        sweep.start(
            (*sweeps, *stray), given, flags, named_by, trust_code, dry_run, console, callbacks
        )  # fmt: skip
        return
    if resume is None:
        given = TrainConfig.given(config_file, flags=flags)
        config = configure(given, console)
        if print_config:
            click.echo(on_its_lines(config.resolved(config.device).to_toml()), nl=False)
            return
        code = Code.parse(config.model)
        if flags["model"] is None:
            require_trust(code, config_file if "model" in given else config.weights, trust_code)
        if find_lr:
            search.find(config, code, console)
            return
        trainer, run = _start(config, code, dry_run, console)
    elif config_file:
        raise UsageError(
            "--resume and --config exclude each other",
            cause="a run is resumed with the options that it was started with",
        )
    else:
        warn_of_unknown(FIELDS)  # a run has its own options
        found = _to_resume(resume, flags)
        if isinstance(found, Sweep):
            sweep.resume(found, flags, trust_code, console, callbacks)
            return
        trainer, run = _resume(found, flags, trust_code, console)
    try:
        history = fit_trainer(trainer, callbacks(JsonEvents), run=run, resume=resume is not None)
        console.result(outcome.summary(history, trainer))
    except (DivergedError, Interrupted):
        with contextlib.suppress(KeyboardInterrupt):  # the error says how to go on
            outcome.save_pictures(trainer, run, console)
        raise
    except OutputError as error:
        # The run is saved by then: its lines are printed after its checkpoint is written.
        if run is not None:
            error.fix = f"go on with: {run.resume_command}"
        raise
    if run is not None:
        outcome.save_pictures(trainer, run, console)
        console.note(*outcome.what_next(history, trainer, run).split("\n"))


def _start(
    config: TrainConfig, code: Code | None, dry_run: bool, console: Console
) -> tuple[Trainer, Run | None]:
    """A new training, and its run; a dry run has none."""
    if dry_run:
        config = replace(config, epochs=1, limit_batches=1)
    trainer = prepare(config, code, console)
    if config.weights is not None:
        console.note(trainer.start_from(config.weights))
    if frozen := sum(p.size for p in trainer.model.parameters() if not p.requires_grad):
        total = trainer.model.num_parameters
        console.note(f"frozen: {frozen:,} of {total:,} parameters stay as they are")
    return trainer, None if dry_run else Run.create(config, trainer.backend, code)


def _resume(
    run: Run, flags: dict[str, Any], trust_code: bool, console: Console
) -> tuple[Trainer, Run]:
    """The training of a run to go on with; a finished run with more epochs becomes a new run."""
    before = run.config()
    longer = flags.pop("epochs")
    longer = before.epochs if longer is None else longer
    name = flags.pop("name") if longer != before.epochs else None  # of the new run
    config = resumed_config(run, flags)
    if longer != before.epochs:
        config = _longer(run, config, longer, name)
    trainer = prepare_resumed(run, config, trust_code, console)
    if longer == before.epochs:
        if config.weights is not None and not run.has_checkpoint():
            console.note(trainer.start_from(config.weights))
        return trainer, run
    checkpoint.resume(run.weights, functools.partial(trainer.restore, longer=True))
    new = Run.create(config, trainer.backend, code_of(run, config, trust_code))
    new.keep_best(run)
    console.note(
        f"going on with {run.path} as {new.path}, from epoch {trainer.epochs_done} to {longer}; the"
        f" learning rates are those of schedule {config.schedule} over {longer} epochs"
    )
    return trainer, new


def _callbacks(console: Console, health: bool, events: type[JsonEvents]) -> list[Callback]:
    """The callbacks that show a training, and warn of what is wrong with it."""
    callbacks: list[Callback] = [events(console)] if console.as_json else []

    def warn(text: str) -> None:
        console.warn(*text.split("\n"))

    show: Callable[[str], None] = warn
    if not console.quiet:
        progress = ProgressBar(console) if _on_terminal() else EpochLines(console)
        callbacks.append(progress)
        show = progress.show  # among its lines, above the bar
    if health:
        callbacks.append(HealthWarnings(console, show))
    return callbacks


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()  # None: it was closed, as by 2>&-


def _to_resume(resume: str, flags: dict[str, Any]) -> Run | Sweep:
    if resume == NEWEST:
        return Sweep.newest(TrainConfig.load(flags={"runs_dir": flags["runs_dir"]}).runs_dir)
    return Sweep.open(resume) if os.path.isfile(Path(resume) / RECORD) else Run.open(resume)


def _longer(run: Run, config: TrainConfig, epochs: int, name: str | None) -> TrainConfig:
    """The options to go on with a finished run as a new one, for more epochs."""
    records = run.records()
    done, best = len(records), best_epoch(records)
    early = config.patience is not None and best is not None and done - best >= config.patience
    if done < config.epochs or early or epochs <= done:
        raise UsageError(
            f"--epochs {epochs} cannot be given to go on with {run.path}",
            cause=f"it has {done} of {config.epochs} epochs"
            + (", and stopped early for its --patience" if early else ""),
            fix=f"start another from its weights: {run.train_command}"
            f" --weights {shlex.quote(str(run.path))} --epochs {epochs}"
            if early
            else f"give more than {done} epochs"
            if done >= config.epochs
            else f"finish it first: {run.resume_command}",
        )
    return replace(config, epochs=epochs, name=name)


def _stray(word: str) -> UsageError:
    """The error for a word that is no option, and the option that it may be the value of."""
    option = "--model" if word in models.NAMES or Code.parse(word) else "--data"
    known = option == "--model" or word in datasets.NAMES or os.path.exists(word)
    return UsageError(
        f"train takes options only, and was given {word!r}",
        fix=f"did you mean gpucnn train {option} {word}?" if known else "see gpucnn train --help",
    )
