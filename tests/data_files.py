"""Labelled images written as users have them: folders of pictures, tables, idx files."""

from __future__ import annotations

import csv
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """The idx file of an array, written independently of the reader."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def picture_folder(root: Any, images: Any, labels: Iterable[Any], kind: str = "png") -> Path:
    """root/LABEL/0.png and so on, numbered over all classes."""
    from PIL import Image

    for k, (image, label) in enumerate(zip(images, labels, strict=True)):
        (Path(root) / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(Path(root) / str(label) / f"{k}.{kind}")
    return Path(root)


def pixel_table(
    file: Any, images: Any, labels: Iterable[Any], pixel: str = "pixel", label_last: bool = False
) -> Path:
    """A CSV file of a row an image: label,pixel0,pixel1,... or pixels,class; no header for ""."""
    rows = np.reshape(images, (len(images), -1)).tolist()
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if pixel:
            names = [f"{pixel}{k}" for k in range(len(rows[0]))]
            writer.writerow([*names, "class"] if label_last else ["label", *names])
        for row, label in zip(rows, labels, strict=True):
            writer.writerow([*row, label] if label_last else [label, *row])
    return Path(file)
