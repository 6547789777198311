"""The connected components of a mask."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_FULL = 0.85  # least fraction of its box that a sheet fills
_SLIM = 0.5  # ratio of the sides of a box; no sheet is slimmer
_INSIDE = 0.3  # of a frame's height: the least height of the component in it
_MOST = 100  # components that may be frames, or be framed; there are more in noise
_PIECE = 1 << 16  # pairs of runs that are joined at once
_TINY = 8  # pixels; no sheet is smaller


class Components:
    """The components of a mask; pixels that touch, corners included, are of one component.

    Components are numbered from 1 in the order of their first pixel, row by row. Arrays about them
    have `count` + 1 values; the first is for the rest of the picture.

    Args:
        mask: bool (H, W).

    Attributes:
        labels: int32 (H, W), the number of the component at each pixel, 0 where there is none.
        count: how many components there are.
        top, bottom, left, right: int64 (count + 1,), the box of each component; bottom and right
            are, as in a slice, one past the last.
    """

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        height, width = mask.shape
        stride = width + 2
        # The margins keep a run of pixels from going on over a row's end.
        flat = np.pad(mask, ((0, 0), (1, 1))).ravel()
        changes = np.flatnonzero(flat[1:] != flat[:-1]).astype(np.int32)  # noise has many
        starts, ends = changes.reshape(-1, 2).T + 1
        number = _joined(starts, ends, stride) + 1
        steps = np.zeros(flat.size, dtype=np.int32)
        steps[starts], steps[ends] = number, -number
        np.cumsum(steps, out=steps)
        self.labels = steps.reshape(height, stride)[:, 1:-1]
        self.count = int(number.max(initial=0))
        row, start = np.divmod(starts, stride)
        size = self.count + 1
        self.top, self.bottom = np.full(size, height), np.zeros(size, dtype=np.int64)
        self.left, self.right = np.full(size, width), np.zeros(size, dtype=np.int64)
        np.minimum.at(self.top, number, row)
        np.maximum.at(self.bottom, number, row + 1)
        np.minimum.at(self.left, number, start - 1)
        np.maximum.at(self.right, number, ends - row * stride - 1)

    @property
    def height(self) -> NDArray[np.int64]:
        return self.bottom - self.top

    @property
    def width(self) -> NDArray[np.int64]:
        return self.right - self.left

    @cached_property
    def size(self) -> NDArray[np.int64]:
        """The longer side of each component's box; 1 for the rest of the picture."""
        return np.maximum(1, np.maximum(self.height, self.width))

    @cached_property
    def thickness(self) -> NDArray[np.float64]:
        """The mean width of the strokes of each component, in pixels.

        A stroke has an outline on both of its sides.
        """
        return 2 * self.total(self.labels > 0) / np.maximum(self.total(self.outline), 1.0)

    @cached_property
    def sheets(self) -> NDArray[np.bool_]:
        """Whether each component fills its box, as a sheet on a table does.

        An upright 1 may fill its box too, but is slim. One of 30,000 images of MNIST is so full.
        """
        full = self.total(self.labels > 0) > _FULL * self.height * self.width
        return full & (np.minimum(self.height, self.width) > np.maximum(_SLIM * self.size, _TINY))

    @cached_property
    def frames(self) -> NDArray[np.bool_]:
        """Whether each component is drawn around another one that is no speck."""
        large = np.argsort(-self.size[1:], kind="stable")[:_MOST] + 1
        top, bottom, left, right = (
            side[large] for side in (self.top, self.bottom, self.left, self.right)
        )
        around = (
            (top[:, np.newaxis] < top)
            & (bottom[:, np.newaxis] > bottom)
            & (left[:, np.newaxis] < left)
            & (right[:, np.newaxis] > right)
            & (self.height[large] > _INSIDE * self.height[large, np.newaxis])
        )
        frames = np.zeros(self.count + 1, dtype=bool)
        frames[large] = around.any(axis=1)
        return frames

    def box(self, numbers: Sequence[int]) -> tuple[slice, slice]:
        """The rows and the columns of the smallest box that holds components."""
        some = list(numbers)
        return (
            slice(int(self.top[some].min()), int(self.bottom[some].max())),
            slice(int(self.left[some].min()), int(self.right[some].max())),
        )

    def total(self, values: NDArray[np.float64] | NDArray[np.bool_]) -> NDArray[np.float64]:
        """The sum of an array (H, W) over each component; 0 for the rest of the picture."""
        inside = self.labels > 0
        sums = np.bincount(self.labels[inside], values[inside], self.count + 1)
        return sums.astype(np.float64)

    @cached_property
    def outline(self) -> NDArray[np.bool_]:
        """bool (H, W), the pixels of components that are beside the rest or at the border."""
        near = np.pad(self.labels > 0, 1)
        sides = (near[:-2, 1:-1], near[2:, 1:-1], near[1:-1, :-2], near[1:-1, 2:])
        return near[1:-1, 1:-1] & ~np.logical_and.reduce(sides)

    @cached_property
    def rim(self) -> NDArray[np.int64]:
        """The number of pixels of each component at the picture's border."""
        inner = self.labels[1:-1]
        sides = (self.labels[0], self.labels[-1], inner[:, 0], inner[:, -1])
        return np.bincount(np.concatenate(sides), minlength=self.count + 1)


def _joined(starts: NDArray[np.int32], ends: NDArray[np.int32], stride: int) -> NDArray[np.int32]:
    """The number, from 0, of the component that each run of pixels belongs to."""
    upper, lower = _touching(starts, ends, stride)
    component = np.arange(starts.size, dtype=np.int32)  # it has the number of its first run
    apart = True
    while apart:
        apart = False
        for start in range(0, upper.size, _PIECE):
            above, below = (component[side[start : start + _PIECE]] for side in (upper, lower))
            if not np.array_equal(above, below):
                apart = True
                joined = np.minimum(above, below)
                np.minimum.at(component, above, joined)
                np.minimum.at(component, below, joined)
        component = component[component]
    return np.unique(component, return_inverse=True)[1].astype(np.int32)


def _touching(
    starts: NDArray[np.int32], ends: NDArray[np.int32], stride: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The pairs of runs that touch: the numbers of the upper and of the lower ones."""
    # Each run touches the runs first..last - 1, which are in the next row.
    first = np.searchsorted(ends, starts + stride, side="left").astype(np.int32)
    count = np.searchsorted(starts, ends + stride, side="right").astype(np.int32) - first
    upper = np.repeat(np.arange(starts.size, dtype=np.int32), count)
    first -= np.cumsum(count, dtype=np.int32) - count
    lower = np.repeat(first, count)
    lower += np.arange(lower.size, dtype=np.int32)
    return upper, lower
