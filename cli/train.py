"""gpucnn train"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from gpucnn import data as datasets
from gpucnn import models
from gpucnn.cli import outcome
from gpucnn.cli.completion import offer, offer_runs
from gpucnn.cli.options import config_option
from gpucnn.cli.output import Console, OutputError, output_options
from gpucnn.cli.progress import EpochLines, JsonEvents, ProgressBar
from gpucnn.errors import DataError, UsageError
from gpucnn.nn.structure import structure
from gpucnn.training import Callback, Run, TrainConfig, Trainer, checkpoint, fit_trainer
from gpucnn.training.code import COPY, Code
from gpucnn.training.code import network as named_network
from gpucnn.training.config import FIELDS, flag_name
from gpucnn.training.described import is_described
from gpucnn.training.evaluation import are_probabilities, first_outputs
from gpucnn.training.history import best_epoch
from gpucnn.training.run import describe_environment
from gpucnn.training.transfer import network_of

NEWEST = ""  # what --resume without a value gives
# The options that may change when a run is resumed: they do not change the result on the same kind
# of device. The data may be in another place; their digest is checked.
_RESUMABLE = ("data", "data_dir", "device", "log_interval", "runs_dir", "threads")


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
    help="continue an interrupted run, by default the newest; with more --epochs, continue a"
    " finished run as a new one; with --data, read its data there if they were moved",
    shell_complete=offer_runs,
)
@click.option("--trust-code", is_flag=True, help="run the code that --config or a run names")
@click.option("--dry-run", is_flag=True, help="one batch of everything; writes nothing")
@click.option("--print-config", is_flag=True, help="print the options in force as TOML, and stop")
@output_options
def command(
    stray: tuple[str, ...],
    config_file: str | None,
    resume: str | None,
    trust_code: bool,
    dry_run: bool,
    print_config: bool,
    console: Console,
    **flags: Any,
) -> None:
    """Train a model, and keep the run in runs/train-N.

    The options down to --name may also stand in the file of --config or in the environment
    (GPUCNN_EPOCHS=3). Flags override the environment, and the environment overrides the file.
    Ctrl-C saves a checkpoint; --resume continues from it, and gives the same weights.
    """
    if stray:
        raise _stray(stray[0])
    if resume is None:
        given = TrainConfig.given(config_file, flags=flags)
        config = _config(given, console)
        if print_config:
            click.echo(config.resolved(config.device).to_toml(), nl=False)
            return
        code = Code.parse(config.model)
        named_by = config_file if "model" in given else config.weights
        if code is not None and named_by and flags["model"] is None and not trust_code:
            raise UsageError(
                f"{named_by} names code as its model, and gpucnn runs it only if you ask",
                fix=f"read {code.file}, and add --model {code} or --trust-code if you trust it",
            )
        trainer, run = _start(config, code, dry_run, console)
    elif config_file or dry_run or print_config:
        raise UsageError(
            "--resume cannot be given with --config, --dry-run or --print-config",
            cause="a run is resumed with the options that it was started with",
        )
    else:
        trainer, run = _resume(_run_to_resume(resume, flags), flags, trust_code, console)
    callbacks: list[Callback] = [JsonEvents(console)] if console.as_json else []
    if not console.quiet:
        callbacks.append(ProgressBar(console) if _on_terminal() else EpochLines(console))
    try:
        history = fit_trainer(trainer, callbacks, run=run, resume=resume is not None)
        console.result(outcome.summary(history, run))
    except OutputError as error:
        # The run is saved by then: its lines are printed after its checkpoint is written.
        if run is not None:
            error.fix = f"go on with: {run.resume_command}"
        raise
    if run is not None:
        console.note(outcome.what_next(history, trainer, run))


def _config(given: dict[str, Any], console: Console) -> TrainConfig:
    """The configuration; the weights to start from name the model if nothing else does."""
    config = TrainConfig(**given)
    if config.weights is not None and "model" not in given:
        config = replace(config, model=network_of(config.weights))
        console.note(f"model: {config.model}, the network of {config.weights}")
    return config


def _start(
    config: TrainConfig, code: Code | None, dry_run: bool, console: Console
) -> tuple[Trainer, Run | None]:
    """A new training, and its run; a dry run has none."""
    if dry_run:
        config = replace(config, epochs=1, limit_batches=1)
    trainer, code = _trainer(config, code, console)
    if config.weights is not None:
        console.note(trainer.start_from(config.weights))
    return trainer, None if dry_run else Run.create(config, trainer.backend, code)


def _resume(
    run: Run, flags: dict[str, Any], trust_code: bool, console: Console
) -> tuple[Trainer, Run]:
    """The training of a run to go on with; a finished run with more epochs becomes a new run."""
    before = run.config()
    longer = flags.pop("epochs")
    longer = before.epochs if longer is None else longer
    name = flags.pop("name") if longer != before.epochs else None  # of the new run
    config = _resumed_config(run, flags)
    if longer != before.epochs:
        config = _longer(run, config, longer, name)
    code = Code.parse(config.model)
    if code is not None:
        code = run.code(code.function, trust_code)
    # The file that the network came from may have gone; the checkpoint describes it as well.
    kept = is_described(config.model) and run.last.exists()
    try:
        trainer, code = _trainer(config, code, console, str(run.last) if kept else None)
    except DataError as error:
        if config.data not in datasets.NAMES and not Path(config.data).exists():
            error.fix = f"give the place where they are now: {run.resume_command} --data PATH"
        raise
    _note_changes(run, describe_environment(trainer.backend), console)
    if longer == before.epochs:
        if config.weights is not None and not run.has_checkpoint():
            console.note(trainer.start_from(config.weights))
        return trainer, run
    trainer.restore(checkpoint.load(run.weights), longer=True)
    new = Run.create(config, trainer.backend, code)
    new.keep_best(run)
    console.note(
        f"going on with {run.path} as {new.path}, from epoch {trainer.epochs_done} to {longer}; the"
        f" learning rates are those of schedule {config.schedule} over {longer} epochs"
    )
    return trainer, new


def _trainer(
    config: TrainConfig, code: Code | None, console: Console, source: str | None = None
) -> tuple[Trainer, Code | None]:
    """The training that the options ask for, its data read, its model built.

    Args:
        source: a weights file that describes the network, in place of `config.model`.
    """
    config = replace(config, device=console.device(config.device))
    data = datasets.load(
        config.data, config.data_dir, validation=config.validation, reading=config.reading
    )
    console.data(data.text, data.notes)
    if code is None:
        model = named_network(source or config.model, data.image_shape, data.classes)
        about: dict[str, Any] = {}
        if is_described(config.model):
            about = {"model": None, "network": structure(model)}
        return Trainer(model, data, config, about=about), None
    network = code.build(data.image_shape, data.classes)
    about = {"model": f"{COPY}:{code.function}", "code_sha256": code.sha256}
    trainer = Trainer(network, data, config, about=about)
    first = first_outputs(network, data.image_shape)
    outputs = first.shape[-1]
    if outputs != data.classes:
        raise UsageError(
            f"the model of {code} has {outputs} outputs, and the data have {data.classes} classes",
            fix=f"give it an output for each: {code.function} takes their number second",
        )
    if config.loss != "mean_squared_error" and are_probabilities(first):
        console.note(
            f"note: the outputs of {code} are probabilities, and {config.loss} takes them for"
            " logits\n  fix: leave out the softmax at the end of the network"
        )
    return trainer, code


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
            fix=f"start another from its weights: gpucnn train --config {run.path}/config.toml"
            f" --weights {run.path} --epochs {epochs}"
            if early
            else f"give more than {done} epochs"
            if done >= config.epochs
            else f"finish it first: {run.resume_command}",
        )
    return replace(config, epochs=epochs, name=name)


def _stray(word: str) -> UsageError:
    """The error for a word that is no option, and the option that it may be the value of."""
    option = "--model" if word in models.NAMES or Code.parse(word) else "--data"
    known = option == "--model" or word in datasets.NAMES or Path(word).exists()
    return UsageError(
        f"train takes options only, and was given {word!r}",
        fix=f"did you mean gpucnn train {option} {word}?" if known else "see gpucnn train --help",
    )
