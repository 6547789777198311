"""Pictures of one size that become one array, as they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import storage
from gpucnn.data.image import Upload, fit_image
from gpucnn.errors import DataError


class Stack:
    """Pictures of one size; no picture is kept beside the array that they become.

    Args:
        channels: of an image; by default 1, or 3 if a picture has colors.
    """

    def __init__(self, channels: int | None = None) -> None:
        self._channels = channels or 1
        self._may_change = channels is None
        self._values = storage.Spool()
        self._count = 0
        self._size: tuple[int, ...] = ()  # (H, W)
        self._first: Path | Upload | None = None

    def add(self, picture: NDArray[np.uint8], file: Path | Upload) -> None:
        """Add a picture (H, W) or (H, W, 3).

        Args:
            file: for messages.

        Raises:
            DataError: it is of another size than the first.
        """
        if self._first is None:
            self._first, self._size = file, picture.shape[:2]
        if picture.shape[:2] != self._size:
            (height, width), (first_height, first_width) = picture.shape[:2], self._size
            raise DataError(
                f"{file} is {width}x{height} pixels, but {self._first} is"
                f" {first_width}x{first_height}",
                cause="a model takes images of one size",
                fix=f"scale all of them with --image-size {first_height}x{first_width} (height x"
                " width), or another size",
            )
        if self._channels == 1 and picture.ndim == 3 and self._may_change:
            self._color()
        if picture.ndim == 2:
            image = np.broadcast_to(picture, (self._channels, *self._size))
        elif self._channels == 1:
            image = fit_image(picture, (1, *self._size))
        else:
            image = picture.transpose(2, 0, 1)  # (H, W, 3) -> (3, H, W)
        self._values.add(image)
        self._count += 1

    def images(self) -> NDArray[np.uint8]:
        """All of them, uint8 (N, C, H, W). No more can be added then."""
        return self._values.array((self._count, self._channels, *self._size), np.uint8)

    def _color(self) -> None:
        """Make gray images RGB."""
        gray, self._values = self.images(), storage.Spool()
        for image in gray:
            for _ in range(3):
                self._values.add(image)
        self._channels = 3
