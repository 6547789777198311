"""gpucnn evaluate"""

from __future__ import annotations

import click

from gpucnn import data as datasets
from gpucnn.cli.output import Console, output_options
from gpucnn.errors import DataError
from gpucnn.training import SavedModel


@click.command()
@click.argument("run")
@click.option("--data", help="data set or path [what the run was trained on]")
@click.option("--data-dir", help="the only folder to look for the data set in")
@click.option(
    "--split", type=click.Choice(["test", "validation", "train"]), default="test", help="[test]"
)
@click.option("--weights", type=click.Choice(["last", "best"]), default="last", help="[last]")
@click.option("--device", default="auto", help="cpu, cuda, cuda:1, sim or auto [auto]")
@output_options
def command(
    run: str,
    data: str | None,
    data_dir: str | None,
    split: str,
    weights: str,
    device: str,
    console: Console,
) -> None:
    """Loss and accuracy of RUN: a run directory, or a .safetensors file of one."""
    saved = SavedModel.load(run, weights, console.device(device))
    config = saved.config
    splits = datasets.load(
        data or config.data,
        data_dir or (None if data else config.data_dir),
        validation=None if data else config.validation,
    )
    dataset = getattr(splits, split)
    if dataset is None:
        raise DataError(f"{splits.name} has no {split} set", fix="choose another part with --split")
    result = saved.evaluate(dataset)
    console.event({"event": "end", **result})
    console.result(
        f"{split} accuracy {result['accuracy']:.2%}, loss {result['loss']:.4f} "
        f"({len(dataset):,} images, {saved.path})"
    )
