"""gpucnn export"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import click

from gpucnn import onnx
from gpucnn.cli.completion import offer
from gpucnn.cli.options import saved_options
from gpucnn.cli.output import Console, output_options
from gpucnn.cli.output_paths import check_target
from gpucnn.onnx.exporting import BATCH
from gpucnn.onnx.extra import require
from gpucnn.quoting import on_one_line
from gpucnn.training import SavedModel


@click.command()
@saved_options
@click.option(
    "--onnx",
    "file",
    metavar="FILE.onnx",
    type=Path,
    required=True,
    help="the file to write",
    shell_complete=offer(files=True),
)
@click.option("--with-preprocessing", is_flag=True, help="take pixels, uint8, and scale them")
@click.option(
    "--probabilities", is_flag=True, help="give the probability of each class, not the logits"
)
@click.option("--check", is_flag=True, help="compare onnxruntime's outputs with the network's")
@output_options
def command(
    load: Callable[[str], SavedModel],
    file: Path,
    with_preprocessing: bool,
    probabilities: bool,
    check: bool,
    console: Console,
) -> None:
    """Write the network of RUN as an ONNX file, which other programs can run.

    RUN is a run directory, or a .safetensors file of one. The size of the batch is open. The file
    also has the names of the classes and the scaling of the pixels, as its metadata.
    """
    require("--onnx")
    if check:
        require("--check", "onnxruntime")
    check_target(file, "--onnx", ".onnx")
    saved = load("cpu")
    console.note(f"weights: {saved.path}, of epoch {saved.description.epoch}")
    done = onnx.export(
        saved, file, with_preprocessing=with_preprocessing, probabilities=probabilities
    )
    (images,) = done.inputs
    console.result(f"{done.path}: {done.nodes} operations, {file.stat().st_size:,} bytes")
    console.result(f"input: {images}")
    console.result(on_one_line(f"output: {done.output}"))
    result = {"file": str(file), "input": _as_dict(images), "output": _as_dict(done.output)}
    if check:
        found = onnx.check(saved, done)
        console.result(
            f"check: onnxruntime {found.runtime} on {found.samples} random images:"
            f" largest difference {found.difference:.2g}, largest output {found.largest:.3g}"
        )
        result["check"] = dataclasses.asdict(found)
    console.event({"event": "end", **result})


def _as_dict(port: onnx.Port) -> dict[str, object]:
    return {**dataclasses.asdict(port), "shape": [BATCH, *port.shape]}
