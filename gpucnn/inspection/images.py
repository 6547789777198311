"""Images that are all equal: nothing can be learned from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import storage
from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Finding, Threshold

EQUAL = Threshold(1.0, "of the images are equal to the first", "equal images get equal answers")
_SOME = 1024  # images, of which the largest pixel is found


def find(evidence: Evidence) -> Iterator[Finding]:
    """A finding if all training images are equal."""
    images = evidence.images
    assert images is not None
    if len(images) < 2 or not _are_equal(images):
        return
    black = " (all pixels are 0)" if not np.any(images[0]) else ""
    yield Finding(
        "images-equal",
        None,
        1.0,
        EQUAL,
        f"all {len(images):,} training images are equal{black}",
        "they were read or prepared wrongly, and the network cannot tell them apart",
        "look at them: data.load(...).train.show(slice(12))",
    )


def _are_equal(images: NDArray[Any]) -> bool:
    return all(bool((images[rows] == images[0]).all()) for rows in storage.chunks(images))


def largest_input(images: NDArray[Any], scale: float, offset: float) -> float | None:
    """The largest absolute value of some inputs x * scale + offset; None without images."""
    some = images[:: max(1, len(images) // _SOME)]
    if not some.size:
        return None
    return max(abs(float(x) * scale + offset) for x in (some.min(), some.max()))


CHECK = Check("images", ("images",), find)
