"""The images that a model gets wrong, and the images as it sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError, UsageError
from gpucnn.plots.arrays import to_host, to_images
from gpucnn.plots.extra import require
from gpucnn.plots.gallery import Cell, gallery, in_rows
from gpucnn.plots.names import named, short, whole_numbers

if TYPE_CHECKING:
    from gpucnn.plots.picture import Picture

_PAIRS, _OF_A_PAIR = 8, 8
_WRONG, _SAMPLES = 24, 12
_COLUMNS = 8


def show_confused(
    images: Any, labels: Any, answers: Any, class_names: Sequence[str] | None = None
) -> Picture:
    """A picture of the pairs of classes that are confused most, with images of each.

    A row holds up to 8 images of one class with the same wrong answer, in their order; the most
    frequent of at most 8 pairs is on top.

    Args:
        images: (N, C, H, W) or (N, H, W, C), C of 1 or 3.
        labels, answers: class ids (N,).
        class_names: of the classes; by default their numbers.

    Raises:
        UsageError: no answer is wrong.
        ShapeError: the arrays do not fit together, or are no images and class ids.
        DtypeError, DataError: the images hold no real numbers; NaN or infinity.
        MissingExtraError: Matplotlib is not installed.
    """
    call = "show_confused"
    require(call)
    batch, truth, given = _checked(images, labels, answers, call)
    names = named(int(max(truth.max(), given.max())) + 1, class_names, call)
    pairs = _pairs(truth, given)
    if not pairs:
        raise _none_wrong(call, len(truth))
    rows, texts = [], []
    for (i, j), places in pairs[:_PAIRS]:
        rows.append([Cell(batch[place]) for place in places[:_OF_A_PAIR]])
        count = f"{len(places):,} image{'s' * (len(places) != 1)}"
        texts.append(f"{names[i]} taken for {names[j]}\n{count}")
    return gallery(rows, texts)


def show_most_wrong(
    images: Any,
    labels: Any,
    probabilities: Any,
    class_names: Sequence[str] | None = None,
    losses: Any = None,
) -> Picture:
    """A picture of the images with wrong answers and the highest losses, the worst first.

    Below each of up to 24 images are its class, the answer with its probability, and the loss.

    Args:
        images: (N, C, H, W) or (N, H, W, C), C of 1 or 3.
        labels: class ids (N,).
        probabilities: (N, K) of the classes; the answer is the highest.
        class_names: of the K classes; by default their numbers.
        losses: (N,); by default the cross-entropy, -log of the probability of the class.

    Raises:
        UsageError: no answer is wrong.
        ShapeError: the arrays do not fit together, or are no images and class ids.
        DtypeError, DataError: the images hold no real numbers; NaN or infinity.
        MissingExtraError: Matplotlib is not installed.
    """
    call = "show_most_wrong"
    require(call)
    chances = to_host(probabilities, call)
    if chances.ndim != 2:
        raise ShapeError(
            f"{call}: the probabilities are {chances.shape}", fix="give (N, K), a row an image"
        )
    answers = chances.argmax(axis=1)
    batch, truth, given = _checked(images, labels, answers, call)
    names = named(chances.shape[1], class_names, call)
    if truth.max() >= len(names):
        raise ShapeError(
            f"{call}: label {truth.max()}, and {len(names)} probabilities an image",
            fix="give the labels of these classes",
        )
    if losses is None:
        losses = -np.log(np.maximum(chances[np.arange(len(truth)), truth], 1e-30))
    loss = to_host(losses, call)
    if loss.shape != truth.shape:
        raise ShapeError(f"{call}: {loss.shape} losses for {len(truth)} images", fix="give (N,)")
    wrong = np.flatnonzero(truth != given)
    if not len(wrong):
        raise _none_wrong(call, len(truth))
    worst = wrong[np.argsort(-loss[wrong], kind="stable")][:_WRONG]
    cells = [
        Cell(
            batch[k],
            f"class {short(names[truth[k]], 11)}\nanswer {short(names[given[k]], 10)}\n"
            f"{chances[k, given[k]]:.1%}, loss {loss[k]:.2f}",
        )
        for k in worst
    ]
    return gallery(in_rows(cells, _COLUMNS))


def show_samples(
    seen: Any, given: Sequence[Any] | None = None, titles: Sequence[str] = ()
) -> Picture:
    """A picture of images as a network sees them, each beside the image that was given.

    Args:
        seen: inputs of a network, (N, C, H, W); the first 12 are shown.
        given: the N images that they were made of, of any sizes, each (H, W), (C, H, W) or
            (H, W, C); None to show the inputs alone.
        titles: a text for each of the N.

    Raises:
        ShapeError: there are not as many images, or titles, as inputs; or they are no images.
        DtypeError, DataError: the images hold no real numbers; NaN or infinity.
        MissingExtraError: Matplotlib is not installed.
    """
    call = "show_samples"
    require(call)
    inputs, is_batch = to_images(seen, call)
    images = [None] * len(inputs) if given is None else list(given)
    titles = list(titles) or [""] * len(inputs)
    if not is_batch or not len(inputs) == len(images) == len(titles):
        raise ShapeError(
            f"{call}: {len(inputs) if is_batch else 'one'} inputs, {len(images)} images and"
            f" {len(titles)} titles",
            fix="give a batch of inputs (N, C, H, W), with an image and a title for each",
        )
    cells: list[Cell] = []
    for array, image, title in list(zip(inputs, images, titles, strict=True))[:_SAMPLES]:
        name = short(title, 16)
        if image is None:
            cells.append(Cell(array, name))
            continue
        before = to_images(image, call)[0][0]
        name, blank = (f"{name}\n", "\n") if title else ("", "")
        cells += [
            Cell(before, f"{name}given {_size(before)}"), Cell(array, f"{blank}seen {_size(array)}")
        ]  # fmt: skip
    return gallery(in_rows(cells, _COLUMNS, together=1 if given is None else 2))


def _size(image: NDArray[Any]) -> str:
    """Width and height, as in: 300x200"""
    *_, height, width = image.shape
    return f"{width}x{height}"


def _checked(
    images: Any, labels: Any, answers: Any, call: str
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    batch, is_batch = to_images(images, call)
    truth = whole_numbers(labels, call, "labels")
    given = whole_numbers(answers, call, "answers")
    if not is_batch or not len(batch) == len(truth) == len(given):
        raise ShapeError(
            f"{call}: {len(batch) if is_batch else 'one'} images, {len(truth)} labels and"
            f" {len(given)} answers",
            fix="give a batch (N, C, H, W), with one label and one answer an image",
        )
    return batch, truth, given


def _pairs(
    truth: NDArray[np.int64], given: NDArray[np.int64]
) -> list[tuple[tuple[int, int], NDArray[np.intp]]]:
    """((class, wrong answer), places of its images), the most frequent pair first."""
    wrong = np.flatnonzero(truth != given)
    found: dict[tuple[int, int], list[int]] = {}
    for place in wrong:
        found.setdefault((int(truth[place]), int(given[place])), []).append(int(place))
    order = sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return [(pair, np.array(places)) for pair, places in order]


def _none_wrong(call: str, count: int) -> UsageError:
    return UsageError(
        f"{call}: no answer is wrong", cause=f"all {count:,} answers are right", fix="give others"
    )
