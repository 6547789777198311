"""The embedded data set: 1,797 handwritten digits that need no network.

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (CC BY 4.0); see
digits.LICENSE.txt beside the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpucnn.data.dataset import Dataset
from gpucnn.data.npz import load_numpy
from gpucnn.data.resample import resize

PATH = Path(__file__).with_name("digits.npz")
TRAIN = 1437  # the file's rows are already shuffled; the last 360 are the test set
_HIGHEST = 16  # value of a fully inked pixel


def load_digits() -> tuple[Dataset, Dataset]:
    """(training, test): 1,437 and 360 images, uint8 (N, 1, 28, 28).

    The 8x8 images are scaled bilinearly to 20x20 and padded to 28x28, so that every model that
    takes MNIST takes them.
    """
    arrays = load_numpy(PATH)
    scaled = resize(arrays["images"], (20, 20)) * (255.0 / _HIGHEST)
    padded = np.pad(np.rint(scaled).astype(np.uint8), ((0, 0), (4, 4), (4, 4)))
    both = Dataset("digits", padded[:, np.newaxis], arrays["labels"], 10)
    return both.subset(slice(TRAIN)), both.subset(slice(TRAIN, None))
