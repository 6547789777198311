"""The confusion matrix as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError, UsageError
from gpucnn.plots.extra import require
from gpucnn.plots.names import named

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gpucnn.plots.picture import Picture

_CALL = "show_confusion"
_WITH_SHARES = 12  # classes up to which a cell has its share below its count
_WITH_COUNTS = 70  # classes up to which a cell has its count
_LABELED = 70  # classes up to which each has its name at the sides
_DARK, _LIGHT = "#101820", "#fdfdfd"  # of numbers, on light and on dark cells


def show_confusion(
    matrix: Any, class_names: Sequence[str] | None = None, title: str | None = None
) -> Picture:
    """A picture of a confusion matrix: counts, and colors for the shares of each row.

    The diagonal holds the right answers. A share is that of the images of a class. The scale of the
    colors is that of the square root, so that a share of 1 % can be seen. Classes without images
    and answers are left out.

    Args:
        matrix: (K, K): row i, column j counts the images of class i with the answer j, as
            `Report.confusion` has it.
        class_names: of the K classes; by default their numbers.
        title: above the picture.

    Raises:
        ShapeError: it is not square, holds other numbers than counts, or lacks class names.
        UsageError: it counts no image.
        MissingExtraError: Matplotlib is not installed.
    """
    require(_CALL)
    counts = _counts(matrix)
    names = named(len(counts), class_names, _CALL)
    used = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    counts = counts[np.ix_(used, used)]
    return _draw(counts, [names[k] for k in used], title)


def _counts(matrix: Any) -> NDArray[np.int64]:
    counts = np.asarray(matrix)
    square = counts.ndim == 2 and counts.shape[0] == counts.shape[1]
    if not square or counts.dtype.kind not in "iu" or (counts.size and counts.min() < 0):
        raise ShapeError(
            f"{_CALL}: the matrix is {counts.dtype} {counts.shape}",
            cause="it must hold counts, whole numbers (K, K)",
            fix="give Report.confusion, as SavedModel.report returns it",
        )
    if not counts.any():
        raise UsageError(f"{_CALL}: the matrix counts no image", fix="give one of some images")
    return counts.astype(np.int64)


def _draw(counts: NDArray[np.int64], names: list[str], title: str | None) -> Picture:
    from matplotlib.colors import PowerNorm

    from gpucnn.plots.picture import Picture

    K = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = min(0.62, max(0.17, 7.5 / K)) if K <= _WITH_COUNTS else 12 / K  # inches
    side = max(2.2, K * cell)
    longest = max(map(len, names))
    margin = min(0.075 * longest, 1.5) + 0.6
    picture = Picture(side + margin + 1.1, side + margin + 0.4 * (title is not None))
    axes = picture.add_subplot()
    shown = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    _label(axes, names, K * cell)
    if K <= _WITH_COUNTS:
        _write(axes, counts, shares, cell)
        between = np.arange(1, K) - 0.5
        for lines in (axes.hlines, axes.vlines):
            lines(between, -0.5, K - 0.5, color="#c8ccd2", linewidth=0.4)
    axes.tick_params(length=0)
    axes.set_xlabel("answer")
    axes.set_ylabel("true class")
    bar = picture.colorbar(shown, ax=axes, fraction=0.04, aspect=25)
    ticks = [0, 0.01, 0.05, 0.2, 0.5, 1]
    bar.set_ticks(ticks, labels=[f"{tick:.0%}" for tick in ticks])
    bar.set_label("share of the images of the class")
    if title is not None:
        axes.set_title(title, parse_math=False, fontsize="medium")
    return picture


def _label(axes: Axes, names: list[str], inches: float) -> None:
    """The names at both sides; of very many classes, some."""
    K = len(names)
    places = range(0, K, 1 if K <= _LABELED else math.ceil(K / 40))
    size = max(4.5, min(9.0, 0.62 * 72 * inches / K)) if K <= _LABELED else 6
    labels = [names[place] for place in places]
    upright = max(map(len, labels)) * 0.62 * size > 72 * inches / K and K <= _LABELED
    axes.set_xticks(
        places, labels, fontsize=size, rotation=90 if upright or K > _LABELED else 0,
        parse_math=False,
    )  # fmt: skip
    axes.set_yticks(places, labels, fontsize=size, parse_math=False)


def _write(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64], cell: float) -> None:
    """The count in each cell that is not 0, with its share where there is room."""
    both = len(counts) <= _WITH_SHARES
    digits = max(len(f"{counts.max():,}"), 5 if both else 1)
    size = min(9.0, 72 * 0.86 * cell / (0.62 * digits), 72 * 0.7 * cell / (2.3 if both else 1))
    for i, j in np.argwhere(counts):
        text = f"{counts[i, j]:,}"
        if both:
            text += f"\n{shares[i, j]:.1%}"
        color = _LIGHT if shares[i, j] > 0.3 else _DARK
        axes.text(j, i, text, ha="center", va="center", fontsize=size, color=color, linespacing=1.1)
