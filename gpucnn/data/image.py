"""Reading pictures, and scaling them to what a model takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import csv, idx, npz
from gpucnn.data.files import describe
from gpucnn.data.resample import resize
from gpucnn.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_LUMA = np.array([0.299, 0.587, 0.114])  # weights of R, G, B in gray, ITU-R BT.601


def open_image(path: Path) -> NDArray[np.uint8]:
    """A picture as uint8 (H, W) if it is gray, else (H, W, 3); upright, on white if transparent.

    Raises:
        DataError: it is no picture, is damaged, or has more than 8 bits a channel.
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: reading pictures needs Pillow, which is not installed",
            fix='pip install "gpucnn[image]"',
        ) from error
    try:
        with Image.open(path) as picture:
            return pixels(ImageOps.exif_transpose(picture), str(path))
    except DataError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise DataError(
            f"{path} cannot be read as a picture",
            cause=describe(error),
            fix="give a picture that opens in other programs; save it anew as PNG if it does",
        ) from error


def read_images(path: Path) -> list[tuple[str, NDArray[np.uint8]]]:
    """The images in a file: (what to call it, uint8 (H, W) or (H, W, 3)) of each.

    A picture holds one, and so does an .npy file of (H, W) or (H, W, 3). Other .npy files, CSV
    tables and idx files of images (raw or gzip) may hold many, then called ``FILE[0]``, ...

    Raises:
        DataError: the file is missing, damaged, empty, or none of these.
        MissingExtraError: it is a picture, and Pillow is not installed.
    """
    plain = path.name.lower().removesuffix(".gz")
    if path.suffix.lower() == ".npy":
        array = npz.load_numpy(path).get("")
        if array is None:
            raise DataError(f"{path} is an archive of arrays, not one array", fix="use np.save")
        single = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
        stack = npz.as_images(array[np.newaxis] if single else array, str(path))
    elif plain.endswith(".csv"):
        stack = csv.read_csv(path).images
    elif path.suffix.lower() in SUFFIXES:
        return [(str(path), open_image(path))]
    else:
        stack = idx.read_idx(path, idx.IMAGES)[:, np.newaxis]
    images = [image[0] if len(image) == 1 else image.transpose(1, 2, 0) for image in stack]
    if len(images) == 1:
        return [(str(path), images[0])]
    return [(f"{path}[{number}]", image) for number, image in enumerate(images)]


def fit_image(image: NDArray[np.uint8], image_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An image (H, W) or (H, W, 3) as uint8 of `image_shape` (C, H, W): gray or RGB, and scaled."""
    channels, height, width = image_shape
    if channels == 1:
        planes = gray(image)[np.newaxis]
    else:
        colours = np.atleast_3d(image).transpose(2, 0, 1)  # (H, W, C) -> (C, H, W)
        planes = np.broadcast_to(colours, (channels, *colours.shape[1:])).astype(np.float64)
    return np.rint(resize(planes, (height, width))).astype(np.uint8)


def gray(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """An image (H, W) or (H, W, 3) as gray levels, float64 (H, W), 0 to 255."""
    return image @ _LUMA if image.ndim == 3 else image.astype(np.float64)


def pixels(picture: Image.Image, name: str) -> NDArray[np.uint8]:
    """uint8 (H, W) or (H, W, 3) of a Pillow image."""
    from PIL import Image

    if picture.mode[0] in "IF":
        raise DataError(
            f"{name} has more than 8 bits a pixel (mode {picture.mode})",
            fix="save it with 8 bits a channel",
        )
    gray = picture.mode in ("1", "L", "LA")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return np.asarray(picture.convert("L" if gray else "RGB"))
