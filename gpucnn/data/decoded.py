"""Pictures that Pillow has decoded, read a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION = 0x0112  # the tag of Exif
#: Orientation -> whether columns and rows are swapped, and which of the stored ones are reversed.
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}
_PIECE = 1 << 18  # pixels that are converted at once
_VISIBLE = 0.05  # of the range from black to white: less contrast is none


class Decoded:
    """The pixels of a Pillow image, upright, as `gpucnn.data.image.open_image` describes them.

    An index of two slices gives a part of them, which is converted then: the whole picture as an
    array would take its memory once more.

    Args:
        picture: the image; its pixels may still be in its file, which then has to be open.
        name: for messages.
        turned: whether its Exif data say how it is turned.

    Attributes:
        shape: (H, W) if it is gray, else (H, W, 3).

    Raises:
        DataError: it has more than 8 bits a channel.
    """

    def __init__(self, picture: Image.Image, name: str, turned: bool = False) -> None:
        if picture.mode[0] in "IF":
            raise DataError(
                f"{name} has more than 8 bits a channel (mode {picture.mode})",
                fix="save it with 8 bits a channel",
            )
        # Pillow would turn a TIFF file when it decodes it, if the tag were still there then.
        turn = picture.getexif().pop(_ORIENTATION, 1) if turned else 1
        self._swapped, *self._reversed = _TURNS.get(turn, (False, False, False))
        picture.load()
        self._picture = picture
        self._ground: str | None = None
        self._size = picture.im.size  # that of a TIFF file itself has been turned already
        width, height = self._size
        self.shape: tuple[int, ...] = (width, height) if self._swapped else (height, width)
        is_gray = self._is_gray()
        if picture.has_transparency_data:
            self._ground = "black" if self._is_blank_on_white() else "white"
        self._mode = "L" if is_gray else "RGB"
        self.shape = self.shape if is_gray else (*self.shape, 3)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, box: tuple[slice, slice]) -> NDArray[np.uint8]:
        """uint8 (h, w) or (h, w, 3), the pixels in a box of rows and columns."""
        part = self._stored(box)
        if self._ground:
            part = _on(self._ground, part)
        pixels = np.asarray(part.convert(self._mode))
        down, across = (slice(None, None, -1 if back else 1) for back in self._reversed)
        pixels = pixels[down, across]
        return pixels.swapaxes(0, 1) if self._swapped else pixels

    def whole(self) -> NDArray[np.uint8]:
        """uint8 (H, W) or (H, W, 3), all of the pixels."""
        pixels = np.empty(self.shape, dtype=np.uint8)
        for rows in strips(self.shape):
            pixels[rows] = self[rows, :]
        return pixels

    def _stored(self, box: tuple[slice, slice]) -> Image.Image:
        """A part of the Pillow image, as it lies there."""
        parts = [part.indices(side)[:2] for part, side in zip(box, self.shape, strict=False)]
        if self._swapped:
            parts.reverse()
        (top, bottom), (left, right) = (
            (side - stop, side - start) if back else (start, stop)
            for (start, stop), side, back in zip(
                parts, self._size[::-1], self._reversed, strict=True
            )
        )
        return self._picture.crop((left, top, right, bottom))

    def _parts(self) -> Iterator[Image.Image]:
        return (self._stored((rows, slice(None))) for rows in strips(self.shape))

    def _is_gray(self) -> bool:
        """Whether a picture is gray by its mode; one with a palette, by its colors."""
        if self._picture.mode != "P":
            return self._picture.mode in ("1", "L", "LA")
        colors = (np.asarray(part.convert("RGBA"))[..., :3] for part in self._parts())
        return all(bool((each == each[..., :1]).all()) for each in colors)

    def _is_blank_on_white(self) -> bool:
        """Whether nothing of a picture with transparent parts is visible on white, but on black."""

        def contrast(ground: str) -> int:
            levels = (np.asarray(_on(ground, part).convert("L")) for part in self._parts())
            darkest, lightest = zip(*((each.min(), each.max()) for each in levels), strict=True)
            return int(max(lightest)) - int(min(darkest))

        return contrast("white") < _VISIBLE * 255 < contrast("black")


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """The rows of an array (H, W, ...), as many at a time as have about `_PIECE` pixels."""
    step = max(1, _PIECE // max(1, shape[1]))
    return (slice(start, start + step) for start in range(0, shape[0], step))


def _on(ground: str, picture: Image.Image) -> Image.Image:
    """A picture with transparent parts on a ground of one color, in RGB."""
    from PIL import Image

    return Image.alpha_composite(Image.new("RGBA", picture.size, ground), picture.convert("RGBA"))
