"""The sections of a report that show one run each.

A section is a function from an `Examined` run to markup. One that cannot be made raises a
`GpucnnError`; the page then shows the error in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gpucnn import plots
from gpucnn.data.dataset import Dataset
from gpucnn.data.image import is_picture, open_image
from gpucnn.errors import DataError, UsageError
from gpucnn.inspection import inspect
from gpucnn.inspection.data import Outputs
from gpucnn.inspection.finding import Context
from gpucnn.inspection.pictures import first_filters
from gpucnn.quoting import quoted
from gpucnn.reports.examined import Examined
from gpucnn.reports.markup import brief, details, figure, notice, paragraph, table
from gpucnn.reports.pictures import show_report
from gpucnn.training.grid import word

_SAMPLES = 12
_CONFUSED = 15  # pairs in the table
_WORST = 24  # images
_CLASSES = 30  # rows of the table of scores that are shown at once


class Section(NamedTuple):
    """A part of the page, with a heading.

    Attributes:
        name: of its anchor.
        title: above it.
        build: makes it of a run.
    """

    name: str
    title: str
    build: Callable[[Examined], str]


def data(view: Examined) -> str:
    read = view.saved.description.read or "The run does not say how its data were read."
    try:
        part = view.part
    except (DataError, UsageError) as error:
        why = f"The data cannot be read now: {error.reason}."
        return paragraph(read) + paragraph(why, "note")
    notes = "".join(paragraph(f"Note: {note}", "note") for note in part.notes)
    shown = f"This page evaluates the {_part(part.split)}: {len(part.dataset):,} images."
    return paragraph(read) + paragraph(shown) + notes


def model(view: Examined) -> str:
    rows = view.saved.model.summary_rows()
    shapes = (" x ".join(map(str, row.output_shape[1:])) or "1" for row in rows)
    lines = [
        (row.layer, row.title, shape, f"{row.parameters:,}", f"{row.flops:,}")
        for row, shape in zip(rows, shapes, strict=True)
    ]
    parameters, flops = (sum(getattr(row, key) for row in rows) for key in ("parameters", "flops"))
    lines.append(("all", "", "", f"{parameters:,}", f"{flops:,}"))
    header = ("layer", "type", "output shape", "parameters", "FLOPs")
    return table(header, lines, words=2)


def confusion(view: Examined) -> str:
    report, part = view.report, _part(view.part.split)
    text = f"Confusion matrix on the {part}: rows are the true classes, columns the answers."
    return figure(show_report(report, part), text, _weights(view))


def scores(view: Examined) -> str:
    lines = [
        (label, f"{images:,}", *("-" if s is None else f"{s:.2%}" for s in numbers))
        for label, images, *numbers in view.report.scores
    ]
    found = table(("class", "images", "precision", "recall", "F1"), lines)
    return found if len(lines) <= _CLASSES else details(f"{len(lines)} classes", found)


def confused(view: Examined) -> str:
    found = view.outputs
    lines = [(*pair, f"{count:,}") for *pair, count in view.report.confused[:_CONFUSED]]
    if not lines:
        return _no_errors(found)
    picture = plots.show_confused(
        found.dataset.images, found.dataset.labels, found.answers, found.class_names
    )
    text = "Images of the pairs of classes that are confused most; the table has the counts."
    return figure(picture, text, text) + table(("class", "taken for", "images"), lines, words=2)


def most_wrong(view: Examined) -> str:
    found: Outputs = view.outputs
    labels, answers, names = found.dataset.labels, found.answers, found.class_names
    worst = found.wrong[:_WORST]
    if not len(worst):
        return _no_errors(found)
    assert labels is not None
    images = found.dataset.images[worst]
    chances, losses = found.probabilities(worst), found.losses[worst]
    picture = plots.show_most_wrong(images, labels[worst], chances, names, losses)
    lines = [
        (_image_name(view, k), names[labels[k]], names[answers[k]], f"{p.max():.1%}", f"{loss:.3f}")
        for k, p, loss in zip(worst.tolist(), chances, losses, strict=True)
    ]
    header = ("image", "class", "answer", "probability", "loss")
    text = "The images with wrong answers and the highest losses, the worst first."
    return figure(picture, text, text) + details("their names", table(header, lines, words=3))


def samples(view: Examined) -> str:
    dataset = view.judged.dataset
    places = _of_each_class(dataset)
    images = dataset.images[places]
    scale, offset = view.saved.description.scale, view.saved.description.offset
    shift = f" {offset:+.5g}" if offset else ""
    text = f"The network gets each pixel x as x * {scale:.5g}{shift}."
    files = [Path(dataset.item(int(place))) for place in places]
    names = [view.saved.class_names[k] for k in dataset.labels[places]]
    if all(is_picture(file.name) and file.is_file() for file in files):
        given: list[Any] = [open_image(file) for file in files]
        picture = plots.show_samples(images, given, names)
        about = "Pictures as they were given, each beside the image that the network sees."
    else:
        picture = plots.show_samples(images, None, names)
        about = "Images of the classes, as the network sees them. The files hold them like this."
    return figure(picture, about, f"{about} {text}")


def filters(view: Examined) -> str:
    network = view.saved.model
    found = first_filters(network, view.saved.image_shape)
    if found is None:
        raise UsageError(
            f"{network.display_name} has no filters",
            cause="no layer is a convolution, or a dense layer on the pixels",
        )
    layer, shape = found
    picture = plots.show_filters(layer, image_shape=shape)
    text = f"The weights of {layer.display_name}: blue is below 0, red is above."
    return figure(picture, text, text)


def feature_maps(view: Examined) -> str:
    description, dataset = view.saved.description, view.judged.dataset
    image = dataset.images[0] * np.float32(description.scale) + np.float32(description.offset)
    picture = plots.show_feature_maps(view.saved.model, image)
    name = view.saved.class_names[dataset.labels[0]]
    text = f"The output of each layer for {_image_name(view, 0)}, an image of class {name}."
    return figure(picture, text, text)


def health(view: Examined) -> str:
    options = view.sources
    found = inspect(view.saved, data=options.data, data_dir=options.data_dir)
    parts = [paragraph(f"{found.verdict[0].upper()}{found.verdict[1:]}.")]
    for each in found.findings:
        parts.append(notice(f"{each.message}.", f"Cause: {each.cause}", f"Fix: {each.cure}"))
    if found.unchecked:
        header = ("not checked", "why")
        rows = [
            (", ".join(names), brief(reason)) for reason, names in found.unchecked_by_reason.items()
        ]
        parts.append(details("what was not checked", table(header, rows)))
    return "".join(parts)


def options(view: Examined) -> str:
    values = view.config.as_dict()
    rows = [(key, "" if value is None else word(value)) for key, value in values.items()]
    again = Context(view.config, view.run).train_again()
    how = paragraph(f"Train it again: {again}") if again else ""
    return details("all options", table(("option", "value"), rows, words=2)) + how


def environment(view: Examined) -> str:
    found = view.run.environment()
    if not found:
        raise DataError(
            f"{view.run.path} has no environment.json that can be read", fix="use an intact copy"
        )
    rows = [(quoted(key), quoted(value)) for key, value in found.items()]
    return details("versions, device, threads", table(("", "value"), rows, words=2))


#: The page has these sections, in this order.
SECTIONS = [
    Section("data", "Data", data),
    Section("model", "Model", model),
    Section("confusion", "Confusion matrix", confusion),
    Section("scores", "Scores of each class", scores),
    Section("confused", "Most confused classes", confused),
    Section("wrong", "Most wrong images", most_wrong),
    Section("samples", "Images as the network sees them", samples),
    Section("filters", "Filters", filters),
    Section("maps", "Feature maps", feature_maps),
    Section("health", "Health", health),
    Section("options", "Options", options),
    Section("environment", "Environment", environment),
]


def _part(split: str) -> str:
    return {"all": "whole data", "train": "training images"}.get(split, f"{split} set")


def _image_name(view: Examined, index: int) -> str:
    """The part and the place of an image of the answers: "test[3]"; a file with its folder."""
    dataset = view.judged.dataset
    if dataset.items is None:
        return view.part.split + dataset.item(index).removeprefix(dataset.name)
    return "/".join(Path(dataset.item(index)).parts[-2:])


def _weights(view: Examined) -> str:
    return f"{view.saved.path}, of epoch {view.saved.description.epoch}"


def _no_errors(found: Outputs) -> str:
    return paragraph(f"No answer is wrong: all {len(found.answers):,} are right.")


def _of_each_class(dataset: Dataset) -> list[int]:
    """Places of the first images of the classes in turn, at most 12."""
    labels = dataset.labels
    assert labels is not None
    turn = np.zeros(len(labels), np.int64)  # how many of its class are before an image
    for k in np.unique(labels):
        of_class = labels == k
        turn[of_class] = np.arange(of_class.sum())
    return [int(place) for place in np.lexsort((labels, turn))[:_SAMPLES]]
