"""gpucnn summary"""

from __future__ import annotations

import dataclasses

import click

from gpucnn import models
from gpucnn.cli.completion import offer
from gpucnn.cli.options import Whole, run_argument
from gpucnn.cli.output import Console, output_options
from gpucnn.data.reading import parse_shape
from gpucnn.errors import UsageError
from gpucnn.training import SavedModel
from gpucnn.training.code import network
from gpucnn.training.evaluation import count_outputs


@click.command()
@run_argument(required=False)
@click.option(
    "--model",
    help=f"{', '.join(models.NAMES)}, or your own as my_net.py:build [lenet]",
    shell_complete=offer(*models.NAMES, files=True),
)
@click.option("--classes", type=Whole(min=1), default=10, help="outputs of --model [10]")
@click.option("--image-shape", default="28x28", help="what --model takes, as 32x32x3 [28x28]")
@click.option("--batch", type=Whole(min=1), default=1, help="images in the batch [1]")
@click.option("--trust-code", is_flag=True, help="run the model's code that RUN keeps")
@output_options
def command(
    run: str | None,
    model: str | None,
    classes: int,
    image_shape: str,
    batch: int,
    trust_code: bool,
    console: Console,
) -> None:
    """Show the layers of --model, or of the model in RUN: shapes, parameters, FLOPs, memory.

    For a run, also show how its data were read. With --json one object a layer, then the totals.
    """
    if run is not None and model is not None:
        raise UsageError("a run has a model already", fix="give RUN or --model, not both")
    if run is not None:
        saved = SavedModel.load(run, trust_code=trust_code)
        built = saved.model
        if saved.description.read:
            console.note(f"data: {saved.description.read}")
    else:
        shape, _ = parse_shape(image_shape)
        built = network(model or "lenet", shape, classes).build(shape)
        count_outputs(built, shape)  # raises if the user's own network returns no outputs
    console.result(built.summary(batch))
    rows = [dataclasses.asdict(row) for row in built.summary_rows(batch)]
    for row in rows:
        console.event({"event": "layer", **row})
    totals = {key: sum(row[key] for row in rows) for key in ("flops", "activation_bytes")}
    console.event({"event": "end", "batch": batch, "parameters": built.num_parameters, **totals})
