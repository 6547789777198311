"""gpucnn import"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from gpucnn import files, onnx
from gpucnn.cli.completion import offer
from gpucnn.cli.options import Number
from gpucnn.cli.output import Console, output_options
from gpucnn.cli.output_paths import check_target
from gpucnn.data.labels import listing
from gpucnn.errors import DataError, UsageError, cause_of
from gpucnn.onnx.exporting import scaled
from gpucnn.onnx.extra import require
from gpucnn.training.config import LOSSES
from gpucnn.training.described import SUFFIX

_FILES = offer(files=True)


@click.command("import")
@click.argument("file", metavar="FILE.onnx", type=Path, shell_complete=_FILES)
@click.option(
    "--output",
    metavar="FILE.safetensors",
    type=Path,
    help="the weights file to write [the name of FILE.onnx, in this folder]",
    shell_complete=_FILES,
)
@click.option(
    "--classes",
    metavar="FILE.txt",
    type=Path,
    help="names of the classes, one a line [those in FILE.onnx, else numbers]",
    shell_complete=_FILES,
)
@click.option(
    "--mean",
    type=Number(min=0, max=1),
    help="mean that is subtracted from pixels in [0, 1] [as in FILE.onnx, else 0]",
)
@click.option(
    "--std",
    type=Number(min=0, max=1, min_open=True),
    help="deviation by which they are then divided [as in FILE.onnx, else 1]",
)
@click.option(
    "--loss", type=click.Choice(LOSSES), help="the loss of the training [by the last operation]"
)
@output_options
def command(
    file: Path,
    output: Path | None,
    classes: Path | None,
    mean: float | None,
    std: float | None,
    loss: str | None,
    console: Console,
) -> None:
    """Read the network of an ONNX file, and write it as a weights file.

    evaluate and predict take the weights file as RUN, and train takes it as --weights. The file is
    only read: it runs no code.
    """
    require("gpucnn import")
    target = Path(f"{file.stem or 'network'}{SUFFIX}") if output is None else output
    if output is None and os.path.exists(target):
        raise UsageError(f"{target} exists already", fix="give another name with --output")
    check_target(target, "--output", SUFFIX)
    names = None if classes is None else _names(classes)
    done = onnx.convert(file, target, class_names=names, loss=loss, mean=mean, std=std)
    network, scaling = done.network, scaled(done.scale, done.offset, done.floats)
    (shape,) = network.built_for or ()
    console.result(f"{target}: {len(network.steps)} steps, {network.num_parameters:,} parameters")
    sizes = ", ".join(map(str, ("N", *shape)))
    console.result(f"input: ({sizes}), {scaling} ({done.scaling_known})")
    console.result(f"output: {listing(done.class_names)}")
    if done.left_out:
        console.note(f"note: the {done.left_out} at the end is left out: {done.loss} includes it")
    console.event(
        {
            "event": "end",
            "file": str(target),
            "parameters": network.num_parameters,
            "image_shape": list(shape),
            "class_names": done.class_names,
            "scale": done.scale,
            "offset": done.offset,
            "scaling_known": done.scaling_known,
            "floats": done.floats,
            "loss": done.loss,
            "left_out": done.left_out,
        }
    )
    console.note(f"next: gpucnn predict {shlex.quote(str(target))} FILE")


def _names(path: Path) -> list[str]:
    """The lines of a file that are not empty."""
    try:
        lines = files.read(path).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        cause = cause_of(error) if isinstance(error, OSError) else "it is not text in UTF-8"
        raise DataError(f"{path} cannot be read", cause=cause, fix="check --classes") from error
    return [line.strip() for line in lines if line.strip()]
