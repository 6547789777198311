"""The preparation of a training: its options, its data, and the trainer."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpucnn import data as datasets
from gpucnn.cli.downloads import DownloadProgress
from gpucnn.cli.output import Console
from gpucnn.data import Splits
from gpucnn.errors import DataError, UsageError
from gpucnn.nn.structure import structure
from gpucnn.quoting import quoted
from gpucnn.training import Run, TrainConfig, Trainer
from gpucnn.training.code import Code
from gpucnn.training.code import network as named_network
from gpucnn.training.config import flag_name
from gpucnn.training.described import MADE, is_described
from gpucnn.training.environment import describe_environment
from gpucnn.training.evaluation import count_outputs
from gpucnn.training.logs import log_callbacks
from gpucnn.training.transfer import network_of

# The options that may change when a run is resumed: they do not change the result on the same kind
# of device. The data may be in another place; their digest is checked.
_RESUMABLE = ("data", "data_dir", "device", "graph", "log_interval", "runs_dir", "threads")


Load = Callable[[TrainConfig, Console], Splits]  # reads the data that the options name


def configure(given: dict[str, Any], console: Console) -> TrainConfig:
    """The configuration; the weights to start from name the model if nothing else does."""
    config = TrainConfig(**given)
    if config.weights is not None and "model" not in given:
        config = replace(config, model=network_of(config.weights))
        console.note(f"model: {config.model}, the network of {config.weights}")
    return config


def require_trust(code: Code | None, named_by: str | None, trust_code: bool) -> None:
    """Raise a `UsageError` for code that a file names, unless the user asks to run it."""
    if code is not None and named_by and not trust_code:
        raise UsageError(
            f"{named_by} names code as its model, and gpucnn runs it only if you ask",
            fix=f"read {code.file}, and add --model {code} or --trust-code if you trust it",
        )


def load(config: TrainConfig, console: Console) -> Splits:
    """The data that the options name; they are downloaded if they are missing."""
    with DownloadProgress(console):
        data = datasets.load(
            config.data, config.data_dir, validation=config.validation, reading=config.reading
        )
    console.data(data.text, data.notes)
    return data


def prepare(
    config: TrainConfig,
    code: Code | None,
    console: Console,
    load: Load = load,
    source: str | None = None,
) -> Trainer:
    """The training that the options ask for, its data read, its model built.

    Args:
        source: a weights file that describes the network, in place of `config.model`.
    """
    config = replace(config, device=console.device(config.device))
    return make_trainer(config, load(config, console), code, console, source)


def make_trainer(
    config: TrainConfig,
    data: Splits,
    code: Code | None,
    console: Console,
    source: str | None = None,
) -> Trainer:
    """The training that the options ask for, on data that were read; `source` as in `prepare`."""
    log_callbacks(config, Run(Path()))  # raises if a package that they need is not installed
    if code is None:
        model = named_network(source or config.model, data.image_shape, data.classes)
        about: dict[str, Any] = {}
        if is_described(config.model):
            about = {"model": None, "network": structure(model)}
        elif config.model == MADE:
            about = {"network": structure(model)}
        return Trainer(model, data, config, about=about)
    network = code.build(data.image_shape, data.classes)
    trainer = Trainer(network, data, config, about=code.about())
    outputs = count_outputs(network, data.image_shape)
    if outputs != data.classes:
        raise UsageError(
            f"the model of {code} has {outputs} outputs, and the data have {data.classes} classes",
            fix=f"give it an output for each: {code.function} takes their number second",
        )
    return trainer


def prepare_resumed(
    run: Run, config: TrainConfig, trust_code: bool, console: Console, load: Load = load
) -> Trainer:
    """The training of a run to go on with, not restored yet; `config` is that of the run."""
    code = code_of(run, config, trust_code)
    # The file that the network came from may have gone; the checkpoint describes it as well.
    kept = (is_described(config.model) or config.model == MADE) and run.last.exists()
    try:
        trainer = prepare(config, code, console, load, str(run.last) if kept else None)
    except DataError as error:
        if config.data not in datasets.NAMES and not os.path.exists(config.data):
            error.fix = f"give the place where they are now: {run.resume_command} --data PATH"
        raise
    _note_changes(run, describe_environment(trainer.backend), console)
    return trainer


def code_of(run: Run, config: TrainConfig, trust_code: bool) -> Code | None:
    """The copy of the code of a run's model, checked; None if its model is no code."""
    code = Code.parse(config.model)
    if code is None:
        return None
    return run.code(code.function, trust_code, run.code_sha256())


def resumed_config(run: Run, flags: dict[str, Any]) -> TrainConfig:
    """The options to go on with a run: its own, with the flags that may change.

    Its config.toml does not choose where a new run is made: that is beside it.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    fixed = [flag_name(key) for key in given if key not in _RESUMABLE]
    if fixed:
        raise UsageError(
            f"{', '.join(fixed)} cannot be changed when a run is resumed",
            cause="a run is resumed with the options that it was started with",
            fix=f"start another: {run.train_command} {fixed[0]} ...",
        )
    beside = os.path.normpath(run.path / os.pardir)
    return replace(run.config(), **{"runs_dir": beside, **given})


def _note_changes(run: Run, now: dict[str, Any], console: Console) -> None:
    """Say what differs from where the run was started: bits are promised for equal versions."""
    then = run.environment()
    for key, value in now.items():
        if key in then and then[key] != value and key != "threads":
            was = quoted(then[key])
            console.note(f"note: {key} was {was} when the run was started, now it is {value}")
