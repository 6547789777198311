"""Windows that move over an image: where each lies, and the pixels below it."""

from __future__ import annotations

import numpy as np

from gpucnn.errors import UsageError
from gpucnn.explain.inputs import LONGEST, counted
from gpucnn.explain.lesson import Index, shown
from gpucnn.shapes import conv2d_geometry

#: For each place of the window: its own cells that lie on the image, each with its pixel.
Windows = dict[Index, list[tuple[Index, Index]]]


def windows(
    image: tuple[int, ...], window: tuple[int, ...], stride: int, padding: int, name: str
) -> Windows:
    """The places of a window of KH x KW pixels on an image of H x W pixels.

    Args:
        image: (H, W).
        window: (KH, KW).
        name: what the window is, for the message.

    Raises:
        UsageError: the window does not fit on the image, or on too many places.
    """
    (H, W), (KH, KW) = image, window
    padded = H + 2 * padding, W + 2 * padding
    if padded[0] < KH or padded[1] < KW:
        raise UsageError(
            f"the {name} has {KH} x {KW} pixels, the image {padded[0]} x {padded[1]}"
            + (" with its padding" if padding else ""),
            cause=f"the {name} must fit on the image",
            fix=f"give a smaller {name}, or a larger image as x",
        )
    size = conv2d_geometry((1, 1, H, W), (1, 1, KH, KW), stride, padding)
    if max(size.OH, size.OW) > LONGEST:
        raise UsageError(
            f"the output would have {size.OH} x {size.OW} pixels",
            cause=f"a lesson shows every number: at most {LONGEST} in a row or a column",
            fix="give a larger stride, less padding or a smaller image",
        )
    return {
        (oh, ow): [
            ((kh, kw), (oh * stride - padding + kh, ow * stride - padding + kw))
            for kh, kw in np.ndindex(KH, KW)
            if 0 <= oh * stride - padding + kh < H and 0 <= ow * stride - padding + kw < W
        ]
        for oh, ow in np.ndindex(size.OH, size.OW)
    }


def places_text(size: int, window: int, stride: int, padding: int) -> str:
    """The number of places along an axis, as in "4 places, (3 + 2*1 - 2) / 1 + 1"."""
    padded = f" + 2*{padding}" if padding else ""
    places = (size + 2 * padding - window) / stride + 1
    rounded = "" if places.is_integer() else f" = {shown(places)} rounded down"
    return f"{counted(int(places), 'place')}, ({size}{padded} - {window}) / {stride} + 1{rounded}"


def covers(meet: Windows, image: tuple[int, ...]) -> bool:
    """Whether each pixel of an image of H x W pixels lies under some place of the window."""
    return len({pixel for pairs in meet.values() for _, pixel in pairs}) == image[0] * image[1]
