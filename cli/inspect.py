"""gpucnn inspect"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from numpy.typing import NDArray

from gpucnn import plots
from gpucnn.cli.completion import offer
from gpucnn.cli.downloads import DownloadProgress
from gpucnn.cli.health import finding_lines, wrapped
from gpucnn.cli.options import data_options, device_option, model_options, reading_options
from gpucnn.cli.output import Console, loss_text, output_options
from gpucnn.data import Reading
from gpucnn.errors import DataError, UsageError
from gpucnn.inspection import Health, LayerHealth, inspect
from gpucnn.inspection.finding import finite
from gpucnn.inspection.pictures import draw
from gpucnn.nn.summary import aligned
from gpucnn.quoting import quoted
from gpucnn.training import SavedModel
from gpucnn.writing import make_folder, write_atomic


@click.command()
@model_options
@data_options
@click.option(
    "--image",
    type=Path,
    metavar="FILE",
    help="with -o: also draw the feature maps of this image",
    shell_complete=offer(files=True),
)
@click.option(
    "--output",
    "-o",
    "folder",
    type=Path,
    metavar="FOLDER",
    help="save the most wrong images and the filters as PNG files",
    shell_complete=offer(files=True),
)
@reading_options
@device_option
@output_options
def command(
    run: str,
    own_model: str | None,
    image: Path | None,
    folder: Path | None,
    reading: Reading,
    device: str,
    console: Console,
    **sources: Any,
) -> None:
    """Look for what is wrong with RUN, and say its cause and what to type next.

    RUN is a run directory, also of a training that is running, or a .safetensors file of one. The
    data are read like the training data of RUN. Nothing in RUN is changed. With --json one object
    a layer, a finding, a part of the data and a wrong image, then the verdict.
    """
    if image is not None and folder is None:
        raise UsageError("--image is given, and no folder for its pictures", fix="add -o FOLDER")
    if folder is not None:
        plots.require("-o")
    device = console.device(device)
    with DownloadProgress(console):
        health = inspect(run, code=own_model, reading=reading, device=device, **sources)
    if health.data:
        console.data(health.data, health.notes)
    _events(health, console)
    console.result("\n".join(_text(health)))
    if folder is not None:
        seen = None if image is None else _read(health.saved, image, reading)
        _save(health, seen, folder, console)


def _events(health: Health, console: Console) -> None:
    for layer in health.layers:
        console.event({"event": "layer", **layer.as_dict()})
    for finding in health.findings:
        console.event({"event": "finding", **finding.as_dict()})
    for result in health.results:
        images, loss = len(result.labels), finite(result.loss)
        event = {"name": result.name, "images": images, "loss": loss, "accuracy": result.accuracy}
        console.event({"event": "result", **event})
    for wrong in health.most_wrong:
        console.event({"event": "wrong", **wrong.as_dict()})
    end = {"name": health.name, "epoch": health.epoch, "healthy": health.is_healthy}
    checks = {"checked": list(health.checked), "unchecked": health.unchecked}
    console.event({"event": "end", **end, "judged": health.is_judged, **checks})


def _text(health: Health) -> Iterator[str]:
    """The report in 80 columns; a command is one line, however long."""
    yield health.verdict
    if health.cure:
        yield f"  fix: {health.cure}"
    yield from finding_lines(health.findings)
    yield wrapped(f"checked: {', '.join(health.checked)}")
    for reason, names in health.unchecked_by_reason.items():
        yield wrapped(f"not checked: {', '.join(names)}: {reason}")
    if health.layers:
        yield ""
        rows = aligned([_HEADER, *map(_row, health.layers)])
        yield from (row.rstrip() for row in rows)
    if health.results:
        yield ""
    for result in health.results:
        yield (
            f"{result.name}: accuracy {result.accuracy:.2%}, loss {loss_text(result.loss)}"
            f" ({len(result.labels):,} images)"
        )
    for wrong in health.most_wrong[:3]:
        yield wrapped(
            f"wrong: {health.part}[{wrong.index}] is {wrong.label}, the answer {wrong.answer}"
            f" ({wrong.probability:.1%})"
        )


_HEADER = ("layer", "weights", "gradient", "update", "dead ReLUs", "saturated")


def _row(layer: LayerHealth) -> tuple[str, ...]:
    shares = ("" if each is None else f"{each:.0%}" for each in (layer.dead, layer.saturated))
    numbers = (
        "" if each is None else f"{each:.2g}"
        for each in (layer.weight, layer.gradient, layer.update)
    )
    return (quoted(layer.layer), *numbers, *shares)


def _read(saved: SavedModel | None, file: Path, reading: Reading) -> NDArray[Any]:
    """The image in a file, as the model takes it."""
    if saved is None:
        raise DataError(
            f"--image {file} cannot be shown to the model", cause="it cannot be loaded with its run"
        )
    if not file.exists():
        raise DataError(f"there is no file {file}", fix="check its name")
    images = [image for part in saved.find(file, reading=reading).parts for image in part.images]
    if len(images) != 1:
        raise DataError(f"{file} holds {len(images):,} images", fix="give a file of one image")
    saved.check_shape(images[0][None], str(file))
    image: NDArray[Any] = images[0]
    return image


def _save(health: Health, image: NDArray[Any] | None, folder: Path, console: Console) -> None:
    pictures = draw(health, image)
    make_folder(folder, "-o FOLDER")
    for name, picture in pictures.items():
        write_atomic(folder / name, picture.png(), "-o FOLDER")
        console.note(f"picture: {folder / name}")
