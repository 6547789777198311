"""Conversion of many picture files to one array of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import picture_cache
from gpucnn.data.found import Found, Part
from gpucnn.data.image import Upload, as_picture, fit_image, open_picture
from gpucnn.data.mnist_form import convert
from gpucnn.data.reading import Reading
from gpucnn.data.stack import Stack
from gpucnn.errors import DataError

_FEW = 3  # names in a note
_NAMED = 1000  # pictures that cannot be used, of which each is named


class UnknownConversionError(DataError):
    """Pictures are to be converted, and `Reading.convert` does not say how.

    Args:
        picture: the name of one of them.
    """

    def __init__(self, picture: str) -> None:
        super().__init__(
            f"it is not known how a picture such as {picture} becomes an image",
            fix="give --convert none or --convert mnist",
        )
        self.picture = picture


Listed = list[tuple[Path, str | None]]  # files and their labels


@dataclass(frozen=True, eq=False)
class Pictures:
    """The result of `read_pictures`.

    Args:
        images: uint8 (N, C, H, W).
        kept: the place of each image's file in the list.
        reading: the options, with those that were found.
        said: how pictures became images, in words.
        notes: remarks for the user.
        doubts: name of a picture -> what may be wrong with it; it is also in `notes`.
    """

    images: NDArray[np.uint8]
    kept: list[int]
    reading: Reading
    said: list[str]
    notes: list[str]
    doubts: dict[str, list[str]]


def read_pictures(files: Sequence[Path | Upload], reading: Reading, name: str) -> Pictures:
    """Pictures, in files or uploaded, as images of one shape.

    Large images are kept in the cache, and are not decoded again while the files are the same.

    By default all of them must have one size; the images are gray (C = 1) if all pictures are, else
    RGB (C = 3). With `convert` "mnist" each is converted as MNIST's images were; with `image_size`
    or `image_shape` each is scaled to it.

    Args:
        files: at least one.
        reading: the options; see `Reading`.
        name: of the data, for messages.

    Raises:
        DataError: files cannot be read (the first 1,000 are named), or their sizes differ.
        UnknownConversionError: as soon as one file is read, before the others are.
        MissingExtraError: Pillow is not installed.
    """
    if reading.must_convert and reading.convert is None:
        _refuse_unconverted(files)
    paths = [file for file in files if isinstance(file, Path)]
    if len(paths) < len(files):
        return _read(files, reading, name)
    entry = picture_cache.Entry(paths, name, reading.as_dict())
    if (kept := entry.recall()) is not None:
        images, rest = kept
        return Pictures(images, reading=Reading.from_dict(rest.pop("reading"), name), **rest)
    pictures = _read(files, reading, name)
    rest = {**vars(pictures), "reading": pictures.reading.as_dict()}
    entry.keep(rest.pop("images"), rest)
    return pictures


def _refuse_unconverted(files: Sequence[Path | Upload]) -> None:
    """Raise an UnknownConversionError with the first picture that can be read, if there is one."""
    for file in files:
        try:
            open_picture(file)
        except DataError:
            continue  # it is an error of its own, if there is no other picture
        raise UnknownConversionError(str(file))


def _read(files: Sequence[Path | Upload], reading: Reading, name: str) -> Pictures:
    kept: list[int] = []
    broken: list[DataError] = []
    wrong = 0
    doubts: dict[str, list[str]] = {}
    scaled = 0
    size = reading.image_size or (reading.image_shape and reading.image_shape[1:])
    stack = Stack(reading.image_shape and reading.image_shape[0])
    for place, file in enumerate(files):
        try:
            picture, was_scaled, remarks = _read_one(file, reading, size)
            if remarks:
                doubts[str(file)] = remarks
        except DataError as error:
            wrong += 1
            if wrong <= _NAMED:
                # The frames of its traceback would keep the pixels of the picture.
                error.__cause__ = error.__context__ = None
                broken.append(error.with_traceback(None))
            continue
        scaled += was_scaled
        stack.add(picture, file)
        kept.append(place)
    notes = _refuse_broken(broken, wrong, len(files), reading, name)
    for doubt in sorted({each for several in doubts.values() for each in several}):
        notes.append(f"{_some([file for file in doubts if doubt in doubts[file]])}: {doubt}")
    images = stack.images()
    shape: tuple[int, int, int] = images.shape[1:]
    said = ["converted as MNIST's images were"] if reading.convert == "mnist" else []
    if scaled:
        what = "all of them" if scaled == len(kept) else f"{scaled:,} of them"
        said.append(f"{what} scaled to {shape[1]}x{shape[2]}")
    known = reading.replace(image_shape=shape, convert=reading.convert or "none")
    return Pictures(images, kept, known, said, notes, doubts)


def read_listed(
    path: Path,
    listed: Mapping[str, Listed],
    where: Mapping[str, Path],
    reading: Reading | None,
    classes: list[str] | None,
    notes: list[str],
) -> Found:
    """Pictures whose files and labels are known.

    Args:
        path: of the data.
        listed: role -> [(file, label)]; without labels, each is None.
        where: role -> the folder or file of that part.
        reading: options for the pictures.
        classes: their names; by default the labels.
        notes: the notes so far.

    Raises: as `read_pictures`.
    """
    files = [file for found in listed.values() for file, _ in found]
    pictures = read_pictures(files, reading or Reading(), str(path))
    parts, first, start = [], 0, 0  # the first file of a part, and its first image
    for role, found in listed.items():
        places = [place - first for place in pictures.kept if 0 <= place - first < len(found)]
        labels = [found[place][1] for place in places]
        parts.append(
            Part(
                role,
                pictures.images[start : start + len(places)],
                None if None in labels else np.array(labels, dtype=str),
                str(where[role]),
                [str(found[place][0]) for place in places],
            )
        )
        first, start = first + len(found), start + len(places)
    notes = [*notes, *pictures.notes]
    return Found(
        path,
        parts,
        pictures.reading,
        "pictures",
        pictures.said,
        notes,
        classes,
        doubts=pictures.doubts,
    )


def _some(named: list[str]) -> str:
    """The first few of many names."""
    more = len(named) - _FEW
    return ", ".join(named[:_FEW]) + (f" and {more:,} more" if more > 0 else "")


def _read_one(
    file: Path | Upload, reading: Reading, size: tuple[int, ...] | None
) -> tuple[NDArray[np.uint8], bool, list[str]]:
    """A picture as `open_image` gives it, whether it was scaled to `size`, and remarks on it.

    The decoded picture is gone afterwards, so memory holds one of them at a time.
    """
    picture, remarks = open_picture(file)
    if reading.convert == "mnist":
        converted = convert(picture, str(file))  # of 28x28, as `size` is then if it is given
        return converted.image, False, [*remarks, *converted.notes]
    if size in (None, picture.shape[:2]):
        return picture.whole(), False, remarks
    channels = 3 if picture.ndim == 3 else 1
    return as_picture(fit_image(picture, (channels, *size))), True, remarks


def _refuse_broken(
    broken: list[DataError], wrong: int, count: int, reading: Reading, name: str
) -> list[str]:
    """Raise for files that cannot be read; with `skip_broken` return notes that name them.

    Args:
        broken: the errors, or the first of them.
        wrong: the number of errors.
        count: of all files.
    """
    if not broken:
        return []
    left_out = "leave them out with --skip-broken"
    if count == 1 or (wrong == 1 and not reading.skip_broken):
        error = broken[0]
        error.fix = f"{error.fix}; or {left_out}" if count > 1 else error.fix
        raise error
    reasons = [error.message + (f" ({error.cause})" if error.cause else "") for error in broken]
    if wrong > len(broken):
        reasons.append(f"and {wrong - len(broken):,} more")
    if not reading.skip_broken or wrong == count:
        fix = "replace them" if wrong < count else "give other pictures"
        if len({error.fix for error in broken}) == 1:
            fix = f"for each of them: {broken[0].fix}"
        raise DataError(
            f"{wrong} of the {count} pictures of {name} cannot be used",
            cause="\n".join(reasons),
            fix=f"{fix}, or {left_out}" if wrong < count else fix,
        )
    return [f"left out {wrong} of {count} pictures: {'; '.join(reasons)}"]
