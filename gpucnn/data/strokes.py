"""The strokes of a drawing, and which of them make up a digit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.components import Components
from gpucnn.data.ink import Floats, Ink

_STROKE = 0.5  # of the darkness of ink; weaker ink is usually no stroke
_SPECK = 0.03  # of the main stroke's mass; what has less is dust
_SHARP = 0.9  # least sharpness of a stroke
_ABOVE, _BESIDE = 0.25, 0.2  # of the main stroke's size: the widest gaps within a digit
_TALL = 0.5  # least ratio of the heights of two digits
_FULL = 0.2  # least ratio of their masses; a thin 1 beside a broad 8 has it
_MOST = 2000  # strokes that are grouped, the nearest to the center; there are more in noise
_SHARED = 0.5  # least fraction of its columns that a tall stroke has in common with its digit


def darkness(components: Components, ink: Ink) -> Floats:
    """The mean amount of ink in each component, weighted so that faint lines in it hardly count."""
    cubes = ink.amount**3
    weight = np.maximum(components.total(cubes), 1e-30)
    cubes *= ink.amount  # in place, for the memory
    return components.total(cubes) / weight


def sharpness(components: Components, ink: Ink) -> Floats:
    """The part of each component's outline where the picture has an edge.

    It is 1 for ink in focus. The outline of a shadow, or of paper taken for ink, has no edge. At an
    edge the picture changes by half of the ink's darkness or more within 3x3 pixels.
    """
    outline = components.outline
    number = components.labels[outline]
    edge = 0.5 * np.maximum(darkness(components, ink), 1e-9)[number]
    sharp = np.bincount(number, np.minimum(ink.edges[outline] / edge, 1.0), components.count + 1)
    return sharp / np.maximum(components.total(outline), 1.0)


class Strokes:
    """The strokes in a picture that are as dark as the ink in one place.

    Args:
        ink: of the picture, some of it in that place.
        where: bool (H, W), the place.
        weakest: part of the darkness there; weaker ink, as the lines of paper, is no stroke.

    Attributes:
        darkness: of the ink there.
        components: the strokes.
        mass: float64 (count + 1,), the ink of each stroke; 0 for the first, which is none.
        main: the number of the stroke that has most ink in that place.
    """

    def __init__(self, ink: Ink, where: NDArray[np.bool_], weakest: float = _STROKE) -> None:
        amount = ink.amount[where]
        self.ink = ink
        self.darkness = float((amount**4).sum() / (amount**3).sum())
        self.components = Components(ink.amount > weakest * self.darkness)
        self.mass = self.components.total(ink.amount)
        self.main = int((self._mass(where) * ~self.components.frames).argmax())

    def inside(self, where: NDArray[np.bool_]) -> list[int]:
        """The main stroke and those that lie mostly in a place, bool (H, W); no specks."""
        mostly = (2 * self._mass(where) > self.mass) & (self.mass > _SPECK * self.mass[self.main])
        mostly[self.main] = True
        return np.flatnonzero(mostly).tolist()

    def digits(self) -> list[list[int]]:
        """The strokes of each digit, the nearest to the center first.

        The main stroke is of one digit. A short stroke belongs to the digit that it is near to. A
        tall one is a digit of its own, unless it is above or below another.
        """
        components, main = self.components, self.main
        height, width = components.labels.shape
        cut = (components.top == 0) | (components.left == 0)
        cut |= (components.bottom == height) | (components.right == width)
        drawn = (self.mass > _SPECK * self.mass[main]) & (sharpness(components, self.ink) > _SHARP)
        drawn &= (
            ~components.frames
            & (cut[main] | ~cut)
            & (components.size * _TALL < components.size[main])
        )
        tall = components.height > _TALL * components.height[main]
        tall &= self.mass > _FULL * self.mass[main]
        drawn[main] = False
        others = np.flatnonzero(drawn)
        middle = components.top + components.bottom, components.left + components.right
        distance = self._off_center(*(each[others] for each in middle))
        others = others[np.argsort(distance, kind="stable")[:_MOST]]
        order = sorted(others.tolist(), key=lambda k: (not tall[k], -components.height[k], k))
        strokes = self._boxes([main, *order])
        digits, boxes = [[main]], strokes.copy()
        for k, stroke in zip(order, strokes[1:], strict=True):
            gaps = self._gaps(stroke, boxes[: len(digits)], bool(tall[k]))
            nearest = int(gaps.argmin())
            if gaps[nearest] < np.inf:
                digits[nearest].append(k)
                boxes[nearest] = np.minimum(boxes[nearest], stroke)
            elif tall[k]:
                boxes[len(digits)] = stroke
                digits.append([k])
        rows, columns = (boxes[:, :2] - boxes[:, 2:])[: len(digits)].T
        distance = self._off_center(rows, columns)
        return [digits[k] for k in np.argsort(distance, kind="stable").tolist()]

    def _boxes(self, numbers: Any) -> NDArray[np.int64]:
        """The box of each of some strokes: top, left, -bottom, -right, (N, 4)."""
        components = self.components
        sides = components.top, components.left, -components.bottom, -components.right
        return np.stack([side[numbers] for side in sides], axis=1)

    def _off_center(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """How far boxes are off the center: the square of twice the pixels, (N,).

        Args:
            rows, columns: twice the middle of each box.
        """
        height, width = self.components.labels.shape
        return (rows - height) ** 2 + (columns - width) ** 2

    def _gaps(
        self, stroke: NDArray[np.int64], boxes: NDArray[np.int64], tall: bool
    ) -> NDArray[np.float64]:
        """Pixels between a stroke and each digit that it may belong to, or else infinity, (N,).

        Args:
            stroke: its box, as in `_boxes`, (4,).
            boxes: those of the digits, (N, 4).
        """
        above, beside = np.maximum(boxes[:, :2] + stroke[2:], stroke[:2] + boxes[:, 2:]).T
        size = self.components.size[self.main]
        width = np.minimum(-stroke[1] - stroke[3], -boxes[:, 1] - boxes[:, 3])
        near = (above < _ABOVE * size) & (beside < _BESIDE * size)
        if tall:
            near &= -beside / width > _SHARED
        return np.where(near, np.maximum(above, beside), np.inf)

    def _mass(self, where: NDArray[np.bool_]) -> Floats:
        """The ink of each stroke in a place."""
        return self.components.total(self.ink.amount * where)
