"""gpucnn predict"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from gpucnn import extras
from gpucnn.cli.answers import AnswerTable, Input
from gpucnn.cli.completion import offer
from gpucnn.cli.options import SPLITS, Whole, device_option, reading_options, saved_options
from gpucnn.cli.output import Console, OutputError, output_options
from gpucnn.cli.output_paths import check_target
from gpucnn.data import Reading
from gpucnn.data.found import Found, Part
from gpucnn.data.image import as_picture
from gpucnn.errors import DataError, GpucnnError, UsageError
from gpucnn.quoting import on_one_line, quoted
from gpucnn.training import SavedModel
from gpucnn.training.evaluation import BATCH_SIZE
from gpucnn.writing import make_folder, write_atomic


@click.command()
@saved_options
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", shell_complete=offer(files=True)
)
@click.option("--top", type=Whole(min=1), default=3, help="classes to show [3]")
@click.option(
    "--save-input",
    type=Path,
    metavar="DIR",
    help="save what the model sees as PNG files",
    shell_complete=offer(files=True),
)
@click.option(
    "--csv",
    "table",
    type=Path,
    metavar="FILE.csv",
    help="write the answers as Kaggle takes them: ImageId,Label, or with the table's own ids",
    shell_complete=offer(files=True),
)
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="all",
    help="which part of data that have several [all]",
)
@reading_options
@device_option
@output_options
def command(
    load: Callable[[str], SavedModel],
    files: tuple[str, ...],
    top: int,
    save_input: Path | None,
    table: Path | None,
    split: str,
    reading: Reading,
    device: str,
    console: Console,
) -> None:
    """Classify the images in each FILE with RUN: a run directory, or a .safetensors file of one.

    A FILE is a picture, a folder of pictures, a CSV table, an npz or npy file, or an idx file. They
    are read like the training data of RUN. The number beside a class is its probability; for a
    model that was trained with mean_squared_error it is the output itself.
    """
    if table is not None:
        check_target(table, "--csv", ".csv")
        if os.path.exists(table) and any(
            table.samefile(file) for file in files if os.path.exists(file)
        ):
            raise UsageError(
                f"--csv {table} is one of the files to predict on", fix="give it another name"
            )
    saved = load(console.device(device))
    console.note(f"weights: {saved.path}, of epoch {saved.description.epoch}")
    failed: list[GpucnnError] = []
    role = None if split == "all" else split
    inputs = _inputs(saved, files, role, table is not None, reading, console, failed)
    answers = _classified(saved, inputs, top, save_input)
    left: OutputError | None = None  # of the reader of stdout
    with contextlib.nullcontext() if table is None else AnswerTable(table) as rows:
        for each, classes in answers:
            if rows is not None:
                rows.add(each, classes[0]["label"])
            if left is None:
                try:
                    _show(console, each, classes)
                except OutputError as error:
                    if rows is None:
                        raise
                    left = error  # the table is still to be written
        if rows is not None and not failed:
            rows.write()
            console.note(f"answers: {table}")
    if failed:
        raise failed[0]
    if left is not None:
        raise left


def _classified(
    saved: SavedModel, inputs: Iterator[Input], top: int, save_input: Path | None
) -> Iterator[tuple[Input, list[dict[str, Any]]]]:
    """Each image with its `top` most probable classes."""
    taken: set[str] = set()
    # In the batches of an evaluation, across files, for the same bits.
    while batch := list(itertools.islice(inputs, BATCH_SIZE)):
        if save_input is not None:
            _save(save_input, batch, taken)
        found = saved.classify(np.stack([each.image for each in batch]), top)
        yield from zip(batch, found, strict=True)


def _inputs(
    saved: SavedModel,
    files: tuple[str, ...],
    role: str | None,
    one_part: bool,
    reading: Reading,
    console: Console,
    failed: list[GpucnnError],
) -> Iterator[Input]:
    """The images of all files, until one cannot be read: its error is added to `failed`."""
    said: list[str] = []
    try:
        shared = os.path.commonpath([_folder(file) for file in files])
    except ValueError:  # they are on several drives
        shared = ""
    for file in files:
        try:
            if not os.path.exists(file):
                raise DataError(f"there is no file {file}", fix="check its name")
            found = saved.find(Path(file), reading=reading)
            parts = [part for part in found.parts if role in (None, part.role)]
            if not parts:
                raise DataError(f"{file} has no {role} set", fix="leave --split out")
            if one_part and len(parts) > 1:
                raise UsageError(
                    f"--csv answers one part, and {file} has several:"
                    f" {', '.join(part.role for part in parts)}",
                    fix="choose one, as in --split test",
                )
            for part in parts:
                saved.check_shape(part.images, part.where)
        except DataError as error:
            if not reading.skip_broken:
                failed.append(error)
                return
            console.note(*f"left out: {error}".replace("\n", "\n  ").split("\n"))
            continue
        except GpucnnError as error:
            failed.append(error)
            return
        count = sum(len(part.images) for part in parts)
        if count > 1 or found.said != said:  # only once for many pictures
            text = f"{count:,} images of {file}" if count > 1 else f"1 image of {file}"
            if count == 1 and len(files) > 1:
                text = f"images such as {file}"
            if len(parts) > 1:
                text += f" ({', '.join(f'{len(part.images):,} {part.role}' for part in parts)})"
            console.note(f"data: {', '.join([text, *found.said])}")
            said = found.said
        for note in found.notes:
            console.note(f"note: {note}")
        yield from _inputs_of(file, found, parts, shared)
        del found, parts  # before the next file is read


def _inputs_of(file: str, found: Found, parts: list[Part], shared: str) -> Iterator[Input]:
    """The images in parts of a file."""
    single = sum(len(part.images) for part in parts) == 1
    for part in parts:
        for k, image in enumerate(part.images):
            name = part.items[k] if part.items else file if single else f"{part.where}[{k}]"
            row = (part.id_name or "id", part.ids[k]) if part.ids else None
            is_picture = found.noun == "pictures"
            stem = _stem(name if is_picture else file, shared)
            number = None if single or is_picture else k
            doubts = found.doubts.get(name, [])
            yield Input(name, file, stem, number, image, row, is_picture, doubts)


def _folder(file: str) -> str:
    """The folder of a file; a folder itself."""
    path = os.path.abspath(file)
    return path if os.path.isdir(path) else os.path.dirname(path)


def _stem(file: str, shared: str) -> str:
    """The path of a file below the folder `shared`, without its suffix."""
    path = Path(os.path.abspath(file)).with_suffix("")
    # A table may list pictures in other places.
    return str(path.relative_to(shared)) if path.is_relative_to(shared) else path.name


def _show(console: Console, image: Input, classes: list[dict[str, Any]]) -> None:
    notes = {"notes": image.doubts} if image.doubts else {}
    console.event({"file": image.name, "top": classes, **notes})
    shown = ", ".join(f"{quoted(each['label'])} {each['probability']:.1%}" for each in classes)
    console.result(on_one_line(f"{image.name}: {shown}"))


def _save(folder: Path, batch: list[Input], taken: set[str]) -> None:
    """Write the input of the model as FOLDER/STEM.input.png, with the number in a file of many.

    A name in `taken`, by another file of the same stem and folder, gets a -2, -3, ...
    """
    extras.require("--save-input", "Pillow", "PIL.Image", "image")
    from PIL import Image

    for each in batch:
        name = each.stem if each.number is None else f"{each.stem}.{each.number}"
        names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
        free = next(each for each in names if each not in taken)
        taken.add(free)
        file = io.BytesIO()
        Image.fromarray(as_picture(each.image)).save(file, "PNG")
        target = folder / f"{free}.input.png"
        make_folder(target.parent, "--save-input DIR")
        write_atomic(target, file.getvalue(), "--save-input DIR")
