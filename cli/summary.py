"""gpucnn summary"""

from __future__ import annotations

import dataclasses

import click

from gpucnn import models
from gpucnn.cli.output import Console, output_options
from gpucnn.errors import UsageError
from gpucnn.training import SavedModel

_MNIST = (1, 28, 28)


@click.command()
@click.argument("run", required=False)
@click.option("--model", help=f"{', '.join(models.NAMES)} [lenet]")
@click.option("--classes", type=click.IntRange(min=1), default=10, help="outputs of --model [10]")
@click.option("--batch", type=click.IntRange(min=1), default=1, help="images in the batch [1]")
@output_options
def command(run: str | None, model: str | None, classes: int, batch: int, console: Console) -> None:
    """Layers of --model, or of the model in RUN: shapes, parameters, FLOPs, memory.

    With --json one object a layer, then the totals.
    """
    if run is not None and model is not None:
        raise UsageError("a run has a model already", fix="give RUN or --model, not both")
    if run is not None:
        network = SavedModel.load(run).model
    else:
        network = models.get(model or "lenet", classes).build(_MNIST)
    console.result(network.summary(batch))
    rows = [dataclasses.asdict(row) for row in network.summary_rows(batch)]
    for row in rows:
        console.event({"event": "layer", **row})
    totals = {key: sum(row[key] for row in rows) for key in ("flops", "activation_bytes")}
    console.event({"event": "end", "batch": batch, "parameters": network.num_parameters, **totals})
