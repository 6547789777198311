"""`InputRange`: the values that a model was trained on, which tell how pixels became its inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import storage
from gpucnn.errors import UsageError

_ROUNDING = 1e-4  # by which a float may be beyond 0 or 1
_BRIGHT = 128  # the images of a training have a pixel that is at least so bright, of 255
_OTHERS = (
    "scale=1 / (255 * std), offset=-mean / std for (x / 255 - mean) / std; scale=1, offset=0 for"
    " pixels as they are, and for inputs that are no pixels"
)


@dataclass
class InputRange:
    """The range of all inputs of a training, on the host.

    Attributes:
        least, greatest: of all values.
        is_whole: whether all values are whole numbers.
    """

    least: float = math.inf
    greatest: float = -math.inf
    is_whole: bool = True

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> InputRange:
        """The range that `dataclasses.asdict` made a dict of; errors are those of Python."""
        least, greatest = float(described["least"]), float(described["greatest"])
        return cls(least, greatest, bool(described["is_whole"]))

    def add(self, images: NDArray[Any]) -> None:
        """Extend the range by some inputs."""
        if not images.size:
            return
        self.least = min(self.least, float(images.min()))
        self.greatest = max(self.greatest, float(images.max()))
        self.is_whole = self.is_whole and storage.first(images, _are_fractions) is None

    def scaling(self) -> tuple[float, float]:
        """(scale, offset): pixels from 0 to 255 become such inputs as pixel * scale + offset.

        Raises:
            UsageError: the range does not tell it.
        """
        if self.least >= -_ROUNDING and self.greatest <= 1 + _ROUNDING:
            return 1 / 255, 0.0
        if self.is_whole and self.least >= 0 and _BRIGHT <= self.greatest <= 255:
            return 1.0, 0.0
        likely = abs(self.least + 1) < 0.1 and self.greatest <= 1 + _ROUNDING  # x / 127.5 - 1
        raise UsageError(
            "scale and offset are not given, and the model was trained on inputs from"
            f" {self.least:.4g} to {self.greatest:.4g}",
            cause="a run holds how pixels from 0 to 255 become inputs, pixel * scale + offset;"
            " that is known by itself for inputs from 0 to 1 and for whole numbers up to 255",
            fix="give both: " + "scale=1 / 127.5, offset=-1 for x / 127.5 - 1; " * likely + _OTHERS,
        )


def _are_fractions(values: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = values != np.trunc(values)
    return found
