"""gpucnn profile"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from gpucnn import models
from gpucnn.backend.cpu.diagnosis import blas_problem
from gpucnn.bench import profile_table, profiler
from gpucnn.cli.completion import offer
from gpucnn.cli.options import Number, Whole, device_option, run_argument
from gpucnn.cli.output import Console, output_options
from gpucnn.cli.output_paths import check_picture
from gpucnn.cli.tables import text
from gpucnn.errors import UsageError
from gpucnn.nn import Module
from gpucnn.training import SavedModel, TrainConfig
from gpucnn.training.config import OPTIMIZERS
from gpucnn.writing import write_atomic

_MNIST = (1, 28, 28)
_BATCH_SIZE = 128
_MODELS, _OPTIMIZERS = ", ".join(models.NAMES), ", ".join(OPTIMIZERS)
_POSITIVE = Whole(min=1)


@click.command()
@run_argument(required=False)
@click.option("--model", help=f"{_MODELS} [cnn]", shell_complete=offer(*models.NAMES))
@click.option(
    "--batch-size", "-b", type=_POSITIVE, help=f"images in a step [of RUN, or {_BATCH_SIZE}]"
)
@click.option(
    "--optimizer", help=f"{_OPTIMIZERS} [of RUN, or adam]", shell_complete=offer(*OPTIMIZERS)
)
@device_option
@click.option("--threads", type=_POSITIVE, help="threads of the CPU backend [all usable cores]")
@click.option(
    "--seconds", type=Number(0.1, 3600), default=6.0, help="time for measuring, about [6]"
)
@click.option(
    "--plot",
    metavar="FILE.png",
    type=Path,
    help="draw it as bars",
    shell_complete=offer(files=True),
)
@click.option("--trust-code", is_flag=True, help="run the model's code that RUN keeps")
@output_options
def command(
    run: str | None,
    model: str | None,
    device: str,
    seconds: float,
    plot: Path | None,
    trust_code: bool,
    console: Console,
    **given: Any,
) -> None:
    """Time the layers of a training step, of --model or of the model in RUN.

    Each layer is timed forward and backward; its roofline time is the least that the measured
    ceilings of this machine allow. Layers that run as one call are one line, as in conv1+relu1. The
    images are random; nothing is saved. With --json one object a part, then the whole step.
    """
    if run is not None and model is not None:
        raise UsageError(
            "--model and RUN were both given",
            cause="a run has a model already",
            fix="give RUN or --model, not both",
        )
    device = console.device(device)
    if plot is not None:
        check_picture(plot, device)
    options = {key: value for key, value in given.items() if value is not None}
    network, config, shape = (
        _of_model(model or "cnn", options) if run is None else _of_run(run, trust_code, options)
    )
    trainer = profiler.prepare(network, replace(config, device=device), shape)
    if device == "cpu" and (problem := blas_problem()):
        console.note(f"note: {problem.cause}: {problem.fix}")
    if device == "sim":
        console.note("note: the simulator does not time: operations and bytes are counted")
    else:
        console.note(f"measuring, for about {seconds:g} s")
    profile = profiler.measure(trainer, seconds)
    console.result(f"{profile_table.heading(profile)}\n\n{text([profile_table.table(profile)])}")
    for row in profile.rows:
        found = asdict(row)
        results = {key: found[key] for key in ("seconds", "floor", "flop", "nbytes")}
        console.event({"event": "part", "name": row.name, "direction": row.case, **results})
    if plot is not None:
        from gpucnn.bench.profile_plot import draw

        write_atomic(plot, draw(profile), "--plot FILE")
        console.note(f"plot: {plot}")
    config = profile.config
    console.event(
        {
            "event": "end",
            "model": config.model,
            "batch_size": config.batch_size,
            "optimizer": config.optimizer,
            "environment": profile.environment,
            "ceilings": profile.ceilings and profile.ceilings._asdict(),
            "seconds": profile.step and asdict(profile.step),
            "rest": profile.rest,
            "health": profile.health,
        }
    )


def _of_model(name: str, options: dict[str, Any]) -> tuple[Module, TrainConfig, tuple[int, ...]]:
    config = TrainConfig(model=name, **{"batch_size": _BATCH_SIZE, **options})
    return models.get(name), config, _MNIST


def _of_run(
    run: str, trust_code: bool, options: dict[str, Any]
) -> tuple[Module, TrainConfig, tuple[int, ...]]:
    saved = SavedModel.load(run, trust_code=trust_code)
    config = saved.config
    if options.get("optimizer", config.optimizer) != config.optimizer:  # these are of the run's
        options |= {"momentum": None, "nesterov": False, "weight_decay": None}
    return saved.model, replace(config, **options), saved.image_shape
