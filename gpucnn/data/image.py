"""Reading pictures, and scaling them to what a model takes."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import extras, files
from gpucnn.data.color import GRAY
from gpucnn.data.decoded import Decoded, strips
from gpucnn.data.metadata import Counted
from gpucnn.data.resample import resize_pieces
from gpucnn.errors import DataError, UsageError, cause_of
from gpucnn.quoting import quoted

if TYPE_CHECKING:
    from PIL import Image

_USUAL = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
#: The formats of pictures that are opened. Pillow knows others: one of them starts Ghostscript.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_MOST_PIXELS = 25_000_000  # of a picture: more than those of most cameras
_LONGEST = 30_000  # pixels of a side
_MOVES = "it has several frames, and the first is taken"

Pixels = NDArray[np.uint8] | Decoded  # (H, W) or (H, W, 3)


@dataclass(frozen=True)
class Upload:
    """A picture that came over a network.

    Args:
        content: of the file.
        name: for messages.
    """

    content: bytes
    name: str

    def __str__(self) -> str:
        return self.name


@cache
def suffixes() -> frozenset[str]:
    """The suffixes, in small letters, of the files that are pictures: those of `FORMATS`."""
    try:
        from PIL import Image
    except Exception:  # it is not installed, or cannot be imported
        return frozenset(_USUAL)
    Image.init()
    return frozenset(
        suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS
    )


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its name."""
    return Path(name).suffix.lower() in suffixes()


def open_image(path: Path | Upload) -> NDArray[np.uint8]:
    """A picture as uint8 (H, W) if it is gray, else (H, W, 3), upright.

    Transparent pixels become white; or black, if nothing is visible on white. Of an animation it is
    the first frame.

    Raises:
        DataError: it is no picture of the `FORMATS`, is cut short or damaged, has more than
            25,000,000 pixels or 30,000 along a side (or ``$GPUCNN_MAX_PIXELS``), has more than
            16 MB beside them (or ``$GPUCNN_MAX_INPUT_MB``), or has more than 8 bits a channel.
        MissingExtraError: Pillow is not installed.
    """
    return open_picture(path)[0].whole()


def open_picture(path: Path | Upload) -> tuple[Decoded, list[str]]:
    """The picture of `open_image`, and remarks on it; raises the same."""
    extras.require(f"{path}: reading pictures", "Pillow", "PIL.Image", "image")
    from PIL import Image, UnidentifiedImageError

    try:
        opened = files.open_regular(path) if isinstance(path, Path) else io.BytesIO(path.content)
        with opened as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata that are not used
            counted = Counted(file, str(path))
            counted.bound_header(_bounds()[0])
            with Image.open(counted, formats=FORMATS) as picture:
                _refuse_large(picture, str(path))
                if picture.format == "PNG":  # whose end Pillow does not miss
                    counted.check_png()
                counted.bound_frame(picture.width * picture.height)
                counted.count_exif(picture.info)
                # Cameras write a second picture behind a JPEG, which then is an MPO.
                moves = picture.format != "MPO" and getattr(picture, "is_animated", False)
                counted.free()
                return Decoded(picture, str(path), turned=True), [_MOVES] if moves else []
    except (DataError, UsageError):
        raise
    except Image.DecompressionBombError as error:
        most, longest = _bounds()
        most = min(most, 2 * (Image.MAX_IMAGE_PIXELS or most))  # Pillow's own bound
        raise _too_large(str(path), "too many", most, longest) from error
    except FileNotFoundError as error:
        raise DataError(
            f"there is no file {path}",
            fix="check its name and its folder; a list of pictures has paths beside itself",
        ) from error
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise DataError(
            f"{path} cannot be read as a picture",
            # Pillow names the object in memory.
            cause=f"it is none of {', '.join(FORMATS)}, or it is damaged"
            if isinstance(error, UnidentifiedImageError)
            else cause_of(error),
            fix="give a picture that opens in other programs; save it again as PNG if it does",
        ) from error


def _refuse_large(picture: Image.Image, name: str) -> None:
    width, height = picture.size
    most, longest = _bounds()
    if width * height > most or max(width, height) > longest:
        raise _too_large(name, f"{width} x {height}", most, longest)


def _bounds() -> tuple[int, int]:
    """The most pixels of a picture, and of a side of it."""
    text = os.environ.get("GPUCNN_MAX_PIXELS")
    if not text:
        return _MOST_PIXELS, _LONGEST
    if not (text.isascii() and text.isdecimal() and len(text) < 12 and int(text)):
        raise UsageError(
            f"the environment variable GPUCNN_MAX_PIXELS is {quoted(repr(text))}",
            cause="it must be a whole number of pixels above 0",
            fix="unset GPUCNN_MAX_PIXELS, or give a number such as 50000000",
        )
    return int(text), int(text)


def _too_large(name: str, size: str, most: int, longest: int) -> DataError:
    return DataError(
        f"{name} has {size} pixels",
        cause=f"at most {most:,} are read, and {longest:,} along a side",
        fix="make the picture smaller; GPUCNN_MAX_PIXELS sets the limit",
    )


def fit_image(image: Pixels, image_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An image (H, W) or (H, W, 3) as uint8 of `image_shape` (C, H, W): gray or RGB, and scaled."""
    channels, height, width = image_shape
    fitted = np.empty(image_shape, dtype=np.uint8)
    as_gray = channels == 1 or image.ndim == 2
    for channel in range(1 if as_gray else channels):

        def levels(rows: slice, channel: int = channel) -> NDArray[np.float64]:
            part = image[rows, :]
            return gray(part) if as_gray else part[..., channel].astype(np.float64)

        shape = image.shape[0], image.shape[1]
        for rows, columns, piece in resize_pieces(levels, shape, (height, width)):
            fitted[channel, rows, columns] = np.rint(piece)
    if as_gray:
        fitted[1:] = fitted[0]
    return fitted


def as_picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (C, H, W) as the pixels of a picture: (H, W) if C is 1, else (H, W, C)."""
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def gray(image: NDArray[Any]) -> NDArray[np.float64]:
    """An image (H, W) or (H, W, 3) as gray levels, float64 (H, W), 0 to 255."""
    if image.ndim == 2:
        return image.astype(np.float64)
    levels, weights = np.empty(image.shape[:2]), np.array(GRAY)
    for rows in strips(image.shape):  # not at once, for the memory of the products
        levels[rows] = image[rows] @ weights
    return levels
