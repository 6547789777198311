"""Conversion of arrays and rows of numbers in any layout to images: uint8 (N, C, H, W)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import storage
from gpucnn.data.reading import COLORS, Reading, times
from gpucnn.errors import DataError

Images = NDArray[np.uint8]

_DIM = 64  # of 255: images without a brighter pixel may be of another scale
_RESCALE = "correct the image or leave it out; other scales: (x - x.min()) / (x.max() - x.min())"
_NOT_FINITE = "leave the image out, or write numpy.nan_to_num(x, posinf=0, neginf=0) for x"
_ROUNDING = 1e-4  # by which a float may be beyond 1, or beyond a whole number


def as_images(
    array: NDArray[Any], where: str, reading: Reading | None = None
) -> tuple[Images, Reading, list[str]]:
    """An array in one of the usual layouts as images.

    Args:
        array: (N, H, W), (N, C, H, W), (N, H, W, C) with C of 1 or 3, or (N, C*H*W); integers from
            0 to 255, booleans, or floats that are whole numbers from 0 to 255 or lie in [0, 1].
        where: the array, for messages: "x_train of digits.npz".
        reading: the options known so far.

    Returns:
        images: uint8 (N, C, H, W), C-contiguous; in a file where they are large and no view.
        reading: the options, with those that were found.
        said: the changes to the array, in words.

    Raises:
        DataError: another layout, a layout that is not certain, or other values; the message names
            the first image that is wrong, counted from 0.
    """
    reading = (reading or Reading()).replace(image_size=None)  # which is of pictures
    if reading.swapped_in is not None and reading.transpose is None:
        raise DataError(
            f"it is not known whether rows and columns of each image of {where} are swapped",
            cause=f"in the files of {reading.swapped_in} they are, and this is none by its name",
            fix="say it: --transpose if they are swapped, --no-transpose if they are upright",
        )
    wanted = reading.image_shape
    stored = reading
    if reading.transpose and wanted is not None:
        stored = reading.replace(image_shape=(wanted[0], wanted[2], wanted[1]))
    images, found, how = _arrange(array, where, stored)
    refuse_empty(images.shape, where)
    if reading.transpose:
        images = images.swapaxes(-1, -2)
    images, white, scaling = to_bytes(images, where, reading.white)
    said = [words for words in (how, scaling) if words]
    if reading.transpose:
        said.append("rows and columns of each image swapped")
    shape = images.shape[1:]
    if wanted is not None and shape != wanted:
        raise DataError(
            f"{where} has images of {times(shape)}, not of {times(wanted)}"
            " (channels x height x width)",
            fix="give images of that shape",
        )
    found = found.replace(white=white, image_shape=shape)
    return storage.contiguous(images), found, said


def doubts_of_scale(images: Images, where: str) -> list[str]:
    """A note on images that are nearly black, as those of another scale become; or none."""
    highest = int(images.max(initial=0))
    if not 0 < highest < _DIM:
        return []
    factor = "255" if highest == 1 else f"255 / {highest}"
    return [
        f"no pixel of {where} is above {highest} of 255, so its images are nearly black; if"
        f" {highest} stands for white, multiply the pixels by {factor}"
    ]


def refuse_empty(shape: tuple[int, ...], where: str) -> None:
    """Raise a DataError if images of a shape (N, ..., H, W) are none or have no pixels."""
    if shape[0] == 0:
        raise DataError(f"{where} has no images", fix="leave it out, or put images in it")
    if 0 in shape:
        raise DataError(
            f"{where} has images without pixels",
            cause=f"they are {shape[-2]} high and {shape[-1]} wide",
            fix="save the images again, at least 1 pixel high and wide",
        )


def to_bytes(array: NDArray[Any], where: str, white: int | None) -> tuple[Images, int, str]:
    """Numbers of any scale as uint8.

    Args:
        array: (N, ...), as for `as_images`.
        where: for messages.
        white: the value of white in an array of zeros and ones only: 1 or 255; None if not known.

    Returns:
        The array as uint8; its value of white; and the change in words, or "".
    """
    if array.dtype == np.bool_:
        return storage.convert(array, _stretch), 1, "true as 255"
    if array.dtype.kind not in "iuf":
        raise DataError(
            f"{where} has values of type {array.dtype}, where pixels are numbers from 0 to 255",
            fix="save the pixels as uint8",
        )
    if array.dtype.kind == "f":
        return _floats_to_bytes(array, where, white)
    if array.dtype != np.uint8:
        cause = "pixels are 0 to 255, or 0 to 1"
        _refuse(array, lambda some: (some < 0) | (some > 255), where, cause)
    if int(array.max(initial=0)) == 1 and white in (None, 1):
        return storage.convert(array, _stretch), 1, "zeros and ones as black and white"
    if array.dtype != np.uint8:
        array = storage.convert(array, lambda some: some.astype(np.uint8))
    return array, white or 255, ""


def _stretch(array: NDArray[Any]) -> Images:
    """0 as 0, and 1 as 255."""
    return array.astype(np.uint8) * np.uint8(255)


def _floats_to_bytes(
    array: NDArray[np.floating], where: str, white: int | None
) -> tuple[Images, int, str]:
    """`to_bytes` of floats; their scale is 0 to 1 if none is above 1."""
    scales = "pixels are whole from 0 to 255, or 0 to 1"
    cause = "a pixel is a number from 0 to 255"
    _refuse(array, lambda some: ~np.isfinite(some), where, cause, _NOT_FINITE)
    _refuse(array, lambda x: (x < -_ROUNDING) | (x > 255 + _ROUNDING), where, scales)
    above = storage.count(array, _is_above)
    if not above:
        exact = True

        def scale(some: NDArray[np.floating]) -> Images:
            nonlocal exact
            scaled = np.clip(some, 0, 1, dtype=np.float32) * np.float32(255)
            levels = np.rint(scaled)
            exact = exact and bool((np.abs(levels - scaled) < 0.01).all())
            return levels.astype(np.uint8)

        images = storage.convert(array, scale)
        rounding = "" if exact else ", rounded to 256 levels"
        return images, white or 1, f"0 to 1 as 0 to 255{rounding}"
    if broken := storage.count(array, _is_broken):  # the fewer are the mistake
        if broken <= above:
            _refuse(array, _is_broken, where, scales, "round the pixels, as in numpy.rint(x)")
        _refuse(array, _is_above, where, scales)
    return storage.convert(array, lambda some: np.rint(some).astype(np.uint8)), white or 255, ""


def _is_above(array: NDArray[np.floating]) -> NDArray[np.bool_]:
    return array > 1 + _ROUNDING


def _is_broken(array: NDArray[np.floating]) -> NDArray[np.bool_]:
    return np.abs(np.rint(array) - array) > _ROUNDING


def _refuse(
    array: NDArray[Any], is_wrong: storage.Test, where: str, cause: str, fix: str = _RESCALE
) -> None:
    if (place := storage.first(array, is_wrong)) is None:
        return
    value = "NaN" if np.isnan(array[place]) else array[place]
    if len(array) > 1:
        where = f"image {place[0]} of {where}"
    raise DataError(f"{where} holds {value}", cause=cause, fix=fix)


def _arrange(array: NDArray[Any], where: str, reading: Reading) -> tuple[Any, Reading, str]:
    """Images (N, C, H, W), a view if possible; the reading; and the change, in words."""
    if array.ndim == 2:
        return _from_rows(array, where, reading)
    if array.ndim == 3:
        return array[:, np.newaxis], reading, ""
    if array.ndim == 4 and (places := _places(array, reading)):
        if len(places) == 2:
            raise DataError(
                f"{where} has the shape {array.shape}, with channels perhaps first, perhaps last",
                cause=f"both {array.shape[1]} and {array.shape[3]} are numbers of channels",
                fix="say where they are: --channels first or --channels last",
            )
        reading = reading.replace(channels=places[0])
        if places == ["first"]:
            return array, reading, ""
        return array.transpose(0, 3, 1, 2), reading, "channels last, moved to the front"
    wanted = f" of {times(reading.image_shape)}" if reading.image_shape else ""
    if array.ndim == 4 and array.shape[3] == 4:
        raise DataError(
            f"{where} has the shape {array.shape}, which is not one of images{wanted}",
            cause="four channels are red, green, blue and alpha, which is no color",
            fix="save x[..., :3]",
        )
    raise DataError(
        f"{where} has the shape {array.shape}, which is not one of images{wanted}",
        fix="save them as (N, H, W), (N, C, H, W) or (N, H, W, C), with C of 1 or 3; the first axis"
        " is the number of the image",
    )


def _places(array: NDArray[Any], reading: Reading) -> list[str]:
    """The possible places of the channels in a 4-d array: "first", "last", or both."""
    shapes = {"first": array.shape[1:], "last": (array.shape[3], *array.shape[1:3])}
    if array.shape[1:] == (1, 1, 1):
        return ["first"]  # both are the same
    if reading.image_shape is None:
        fitting = [place for place, shape in shapes.items() if shape[0] in COLORS]
    else:
        fitting = [place for place, shape in shapes.items() if shape == reading.image_shape]
        if len(fitting) == 1:
            return fitting
    return [place for place in fitting if reading.channels in (None, place)]


def _from_rows(array: NDArray[Any], where: str, reading: Reading) -> tuple[Any, Reading, str]:
    """Images out of rows (N, pixels): of the shape that is known, or else gray squares."""
    pixels = array.shape[1]
    shape = reading.image_shape
    if shape is None:
        side = math.isqrt(pixels)
        if side * side != pixels or side == 0:
            raise DataError(
                f"{where} has rows of {pixels} pixels, which are no square",
                cause=f"its shape is {array.shape}",
                fix="say what an image is, as in --image-shape 28x28x3 (height x width x channels)",
            )
        shape = (1, side, side)
    channels, height, width = shape
    if channels * height * width != pixels:
        raise DataError(
            f"{where} has rows of {pixels} pixels, not of {channels * height * width}",
            cause=f"an image is {times(shape)} (channels x height x width)",
            fix="give images of that shape",
        )
    said = f"{pixels:,} pixels as {times(shape)}"
    if channels == 1:
        return array.reshape(-1, *shape), reading, said
    if reading.channels is None:
        raise DataError(
            f"{where} has rows of {pixels} pixels in {channels} channels, in an order that is not"
            " known",
            fix="say where the channels are: --channels first (all of red, then green, then blue)"
            " or --channels last (red, green and blue of each pixel)",
        )
    if reading.channels == "first":
        return array.reshape(-1, *shape), reading, f"{said}, channel after channel"
    images = array.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
    return images, reading, f"{said}, the channels of each pixel together"
