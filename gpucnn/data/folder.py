"""A folder of images, one subfolder a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import Dataset
from gpucnn.data.image import SUFFIXES, open_image
from gpucnn.errors import DataError

_VALIDATION_NAMES = ("val", "valid", "validation")
_SPLIT_NAMES = ("train", "test", *_VALIDATION_NAMES)


def read_folder(path: Path) -> tuple[Dataset, Dataset | None, Dataset | None]:
    """(training, validation or None, test or None) of a folder of images.

    Either its subfolders are the classes, or they are ``train`` and perhaps ``val`` and ``test``,
    each with classes as subfolders. Classes are sorted by name, as numbers if all names are
    numbers. All images have one size; they are gray (C = 1) if every one of them is, else RGB
    (C = 3). What has a name that begins with a dot is passed over.

    Raises:
        DataError: a part has no images or no classes, a file is no image, or the sizes differ.
        MissingExtraError: Pillow is not installed.
    """
    parts = _subfolders(path)
    if "train" in parts and _subfolders(parts["train"]):
        validation = next((parts[name] for name in _VALIDATION_NAMES if name in parts), None)
        folders = [parts["train"], validation, parts.get("test")]
    elif parts and all(name.lower() in _SPLIT_NAMES for name in parts):
        raise DataError(
            f"{path} has {', '.join(parts)}, but no classes to train on",
            cause="the images are not in folders by class, such as train/CLASS",
            fix="put the images of each class in a folder of its own: train/CLASS/IMAGE.png",
        )
    else:
        folders = [path, None, None]
    names = list(_subfolders(folders[0] or path))
    listings = [None if folder is None else _list_files(folder, names) for folder in folders]
    for folder, listing in zip(folders, listings, strict=True):
        if listing is not None and not listing:
            raise DataError(
                f"{folder} holds no images in subfolders, nor idx files, nor train.csv",
                fix="put the images of each class in a folder of its own: CLASS/IMAGE.png",
            )
    pictures = _open_all([file for listing in listings for file, _ in listing or []])
    datasets: list[Dataset | None] = []
    start = 0
    for listing in listings:
        if listing is None:
            datasets.append(None)
            continue
        images = pictures[start : start + len(listing)]
        start += len(listing)
        labels = np.array([label for _, label in listing], dtype=np.int32)
        datasets.append(Dataset(str(path), images, labels, len(names), names))
    train, held, test = datasets
    assert train is not None
    return train, held, test


def _subfolders(path: Path) -> dict[str, Path]:
    """The folders in a folder by name: sorted, as numbers if all names are."""
    found = {
        item.name: item
        for item in path.iterdir()
        if item.is_dir() and not item.name.startswith(".")
    }
    numbered = all(name.isdecimal() for name in found)
    return {name: found[name] for name in sorted(found, key=int if numbered else str)}


def _list_files(folder: Path, names: list[str]) -> list[tuple[Path, int]]:
    """(file, class) of every image in the class folders of `folder`."""
    listing = []
    for name, subfolder in _subfolders(folder).items():
        if name not in names:
            raise DataError(
                f"{subfolder} is a class that the training images do not have",
                cause=f"those have {', '.join(names)}",
                fix="name the folders alike in every part, or take this one out",
            )
        for file in sorted(subfolder.iterdir()):
            if file.name.startswith("."):
                continue
            if file.suffix.lower() not in SUFFIXES:
                raise DataError(
                    f"{file} is no image by its name",
                    fix=f"take it out of the folder; images end in {', '.join(SUFFIXES)}",
                )
            listing.append((file, names.index(name)))
    return listing


def _open_all(files: list[Path]) -> NDArray[np.uint8]:
    """uint8 (N, C, H, W) of image files of one size: C is 1 if all are gray, else 3."""
    pictures: list[NDArray[np.uint8]] = []
    for file in files:
        picture = open_image(file)
        if pictures and picture.shape[:2] != pictures[0].shape[:2]:
            (height, width), (first_height, first_width) = picture.shape[:2], pictures[0].shape[:2]
            raise DataError(
                f"{file} is {width}x{height} pixels, but {files[0]} is"
                f" {first_width}x{first_height}",
                fix="scale all images to one size",
            )
        pictures.append(picture)
    channels = 3 if any(picture.ndim == 3 for picture in pictures) else 1
    images = np.empty((len(pictures), channels, *pictures[0].shape[:2]), dtype=np.uint8)
    for image, picture in zip(images, pictures, strict=True):
        # (H, W, 3) -> (3, H, W); a gray (H, W) fills every channel.
        image[:] = picture.transpose(2, 0, 1) if picture.ndim == 3 else picture
    return images
