"""`Reading`: the options by which files become arrays, which a run stores."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpucnn.errors import DataError, UsageError
from gpucnn.quoting import quoted

Shape = tuple[int, int, int]  # (C, H, W)

CHANNELS = ("first", "last")
CONVERT = ("mnist", "none")
COLORS = (1, 3)  # channels of an image: gray, or red, green and blue
_MATTERS = {
    "rows": ("label_column", "image_shape", "channels", "transpose", "convert"),
    "images": ("image_shape", "channels", "transpose", "convert"),
    "pictures": ("label_column", "image_size", "convert", "skip_broken"),
    "named": ("convert",),
}
_KINDS = {
    "rows": "a table",
    "images": "arrays",
    "pictures": "pictures",
    "named": "images of a known form",
}
_SHAPE = re.compile(r"[1-9]\d{0,4}(x[1-9]\d{0,4}){0,2}")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The options by which files become uint8 images (N, C, H, W) and labels.

    None leaves an option to the file; if the file does not decide it with certainty, that is an
    error. A reader fills in the options that it found. The description of a run stores them, so
    that later data for the run are read in the same way.

    Args:
        label_column: of a table: its name, or its place ("1" is the first, "-1" the last), or
            "none".
        label_was: the label's column in the table that was read; another table may have it
            in another place.
        image_shape: (C, H, W) of an image.
        channels: the place of the channels in an array or a row of a table: "first" or "last".
        transpose: whether rows and columns of each image of an array are swapped, as in EMNIST.
        swapped_in: the published data set in whose files the images are swapped. For another file,
            its name or `transpose` decides.
        white: 1 if integers that are zeros and ones only are black and white, else 255.
        image_size: (H, W) that pictures are scaled to.
        convert: the conversion of a picture: "mnist" (`gpucnn.data.mnist_form`) or "none". A
            picture is a PNG, JPEG or the like, not an array.
        skip_broken: whether pictures that cannot be read are left out; otherwise they are an error.
        must_convert: whether pictures are an error without `convert`. It is not stored.

    Raises:
        UsageError: a value is none of these, or two of them contradict each other.
    """

    label_column: str | None = None
    label_was: str | None = None
    image_shape: Shape | None = None
    channels: str | None = None
    transpose: bool | None = None
    swapped_in: str | None = None
    white: int | None = None
    image_size: tuple[int, int] | None = None
    convert: str | None = None
    skip_broken: bool = False
    must_convert: bool = False

    def __post_init__(self) -> None:
        for key, count in (("image_shape", 3), ("image_size", 2)):
            sizes = getattr(self, key)
            if sizes is None:
                continue
            whole = isinstance(sizes, (tuple, list)) and all(type(size) is int for size in sizes)
            if not whole or len(sizes) != count or min(sizes) < 1:
                names = "(C, H, W)" if count == 3 else "(H, W)"
                example = "(3, 32, 32)" if count == 3 else "(32, 32)"
                raise UsageError(
                    f"{key} is {sizes!r}, where it takes {names}", fix=f"write {key}={example}"
                )
            object.__setattr__(self, key, tuple(sizes))
        for key, choices in (("channels", CHANNELS), ("convert", CONVERT)):
            if getattr(self, key) not in (*choices, None):
                raise UsageError(
                    f"{key} is {getattr(self, key)!r}", fix=f"give {' or '.join(choices)}"
                )
        shape, size = self.image_shape, self.image_size
        if self.convert == "mnist" and (
            size not in (None, (28, 28)) or shape not in (None, (1, 28, 28))
        ):
            raise UsageError(
                f"images of {times(size or shape or ())} are to be converted as MNIST's were",
                cause="that conversion makes gray images of 28x28",
                fix="give --convert none",
            )
        if shape and size and shape[1:] != size:
            raise UsageError(
                f"the image shape is {times(shape)}, the size of the images {times(size)}",
                fix="leave one of them out",
            )

    def refuse_unused(self, noun: str, name: str) -> None:
        """Raise a UsageError for an option that does not apply to data of a kind.

        Args:
            noun: the kind of the images in the files, as in `gpucnn.data.found.Found`.
            name: of the data, for the message.
        """
        unused = [key for key in self.as_dict() if key not in _MATTERS[noun]]
        if "image_shape" in unused and "channels" in unused:
            unused.remove("channels")  # it comes from the shape
        if unused:
            flags = ", ".join(f"--{key.replace('_', '-')}" for key in unused)
            raise UsageError(
                f"{flags} {'does' if len(unused) == 1 else 'do'} not matter for {name}",
                cause=f"it holds {_KINDS[noun]}",
                fix="leave it out",
            )

    def replace(self, **changes: Any) -> Reading:
        """A copy with other values."""
        return dataclasses.replace(self, **changes)

    def over(self, other: Reading) -> Reading:
        """These options, with `other` for those that are None."""
        return other.replace(**self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The options that are set, as JSON values."""
        fields = dict(vars(self), skip_broken=self.skip_broken or None, must_convert=None)
        return {key: value for key, value in fields.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: object) -> Reading:
        """The inverse of `as_dict`.

        Raises:
            DataError: the values are not acceptable; the message names `where`.
        """
        try:
            return cls(**values)
        except (TypeError, UsageError) as error:  # of an unknown option, of its value
            raise DataError(
                f"{where} does not say how its data were read",
                cause=quoted(error.message if isinstance(error, UsageError) else error),
                fix="use an intact copy of the run, or train again",
            ) from error


def parse_shape(text: str) -> tuple[Shape, str | None]:
    """(C, H, W) of an image, and the place of the channels, from HxW, HxWxC or CxHxW.

    Raises:
        UsageError: it is none of these, or both of the last two.
    """
    sizes = _sizes(text)
    if len(sizes) == 2:
        return (1, *sizes), None
    if len(sizes) == 3:
        first, last = sizes[0] in COLORS, sizes[2] in COLORS
        if first != last:
            return (sizes, "first") if first else ((sizes[2], *sizes[:2]), "last")
    raise UsageError(
        f"the image shape is {quoted(repr(text))}",
        cause="it is height x width, with 1 or 3 channels before or behind them",
        fix="write it as 28x28, 32x32x3 (channels last) or 3x32x32 (channels first)",
    )


def parse_size(text: str) -> tuple[int, int]:
    """(H, W) from HxW, or from one number for both.

    Raises:
        UsageError: it is neither.
    """
    sizes = _sizes(text)
    if len(sizes) == 1:
        return sizes[0], sizes[0]
    if len(sizes) == 2:
        return sizes
    raise UsageError(
        f"the size of the images is {quoted(repr(text))}",
        cause="it is height x width in pixels, or one number for both",
        fix="write it as 64 or 48x64",
    )


def _sizes(text: str) -> tuple[int, ...]:
    plain = text.lower().replace(" ", "").replace(",", "x").strip("()")
    return tuple(map(int, plain.split("x"))) if _SHAPE.fullmatch(plain) else ()


def times(sizes: tuple[int, ...]) -> str:
    """Sizes in words: 3x32x32."""
    return "x".join(map(str, sizes))
