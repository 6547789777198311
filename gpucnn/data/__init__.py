"""Data sets by name or path, and batches of them on the device."""

from __future__ import annotations

from gpucnn.data.augment import Augment
from gpucnn.data.dataset import Dataset, one_hot, pixel_scaling
from gpucnn.data.loader import Loader
from gpucnn.data.loading import NAMES, load
from gpucnn.data.reading import Reading
from gpucnn.data.splits import Splits

__all__ = [
    "NAMES", "Augment", "Dataset", "Loader", "Reading", "Splits", "load", "one_hot", "pixel_scaling"
]  # fmt: skip
