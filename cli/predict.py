"""gpucnn predict"""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from gpucnn.cli.output import Console, output_options
from gpucnn.data.image import SUFFIXES, read_images
from gpucnn.errors import MissingExtraError
from gpucnn.training import SavedModel
from gpucnn.training.files import storage_errors, write_atomic


@click.command()
@click.argument("run")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--top", type=click.IntRange(min=1), default=3, help="classes to show [3]")
@click.option("--save-input", metavar="DIR", help="save what the model sees as PNG files")
@click.option("--weights", type=click.Choice(["last", "best"]), default="last", help="[last]")
@click.option("--device", default="auto", help="cpu, cuda, cuda:1, sim or auto [auto]")
@output_options
def command(
    run: str,
    files: tuple[str, ...],
    top: int,
    save_input: str | None,
    weights: str,
    device: str,
    console: Console,
) -> None:
    """Classify the images in each FILE with RUN: a run directory, or a .safetensors file of one.

    A FILE is a picture (PNG, JPEG) of any size, an array (.npy), an idx file or a CSV table. What
    stands beside a class is its probability; of a model that was trained with mean_squared_error it
    is the output itself.
    """
    saved = SavedModel.load(run, weights, console.device(device))
    taken: set[str] = set()
    for file in files:
        path = Path(file)
        picture = path.suffix.lower() in SUFFIXES
        images = read_images(path)
        inputs = np.stack([saved.prepare(image, name, picture=picture) for name, image in images])
        if save_input is not None:
            _save(Path(save_input), path.stem, inputs, taken)
        for (name, _), classes in zip(images, saved.classify(inputs, top), strict=True):
            _show(console, name, classes)


def _show(console: Console, name: str, classes: list[dict[str, Any]]) -> None:
    console.event({"file": name, "top": classes})
    shown = ", ".join(f"{each['label']} {each['probability']:.1%}" for each in classes)
    console.result(f"{name}: {shown}")


def _save(folder: Path, stem: str, inputs: NDArray[np.uint8], taken: set[str]) -> None:
    """Write what the model sees of one file as FOLDER/STEM.input.png, further ones numbered.

    A name that is `taken` by another file of the same stem gets a -2, -3, ...
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError(
            "--save-input needs Pillow, which is not installed", fix='pip install "gpucnn[image]"'
        ) from error
    with storage_errors(folder, "--save-input"):
        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(inputs):
            pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
            name = f"{stem}.{number}" if len(inputs) > 1 else stem
            names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
            free = next(each for each in names if each not in taken)
            taken.add(free)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            write_atomic(folder / f"{free}.input.png", file.getvalue(), "--save-input")
