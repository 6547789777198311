"""Published data sets that are recognized by the names of their files.

- EMNIST (Cohen, Afshar, Tapson and van Schaik 2017): `emnist-letters-train-images-idx3-ubyte` and
  so on, and the same as CSV. Rows and columns of each image are swapped, and the labels of letters
  begin at 1.
- QMNIST (Yadav and Bottou 2019): `qmnist-train-images-idx3-ubyte`; its labels have eight columns,
  the first of which is the digit.
- KMNIST and Kuzushiji-49 (Clanuwat et al. 2018): `kmnist-train-imgs.npz` beside
  `kmnist-train-labels.npz`.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

_DIGITS = string.digits
_BALANCED = _DIGITS + string.ascii_uppercase + "abdefghnqrt"
_EMNIST = {
    "balanced": _BALANCED,
    "bymerge": _BALANCED,
    "byclass": _DIGITS + string.ascii_uppercase + string.ascii_lowercase,
    "letters": string.ascii_uppercase,
    "digits": _DIGITS,
    "mnist": _DIGITS,
}


@dataclass(frozen=True)
class Published:
    """The facts about a published data set.

    Args:
        name: of the data set.
        convert: the conversion that makes a picture like its images; None if not known.
        transpose: whether rows and columns of its images are swapped.
        classes: the names of the classes; None if they are their numbers.
        first: the label of the first class.
    """

    name: str
    convert: str | None = None
    transpose: bool = False
    classes: list[str] | None = None
    first: int = 0

    @property
    def values(self) -> list[str] | None:
        """The labels in the files, in the order of the classes."""
        if self.classes is None:
            return None
        return [str(self.first + place) for place in range(len(self.classes))]


def by_name(name: str) -> Published | None:
    """The published data set that a file belongs to by its name; None if there is none."""
    lower = name.lower()
    if found := re.match(rf"emnist-({'|'.join(_EMNIST)})-(train|test)[-.]", lower):
        kind = found[1]
        return Published(
            f"EMNIST {kind}", "mnist", True, list(_EMNIST[kind]), int(kind == "letters")
        )
    if lower.startswith("qmnist-"):
        return Published("QMNIST", "mnist")
    if found := re.match(r"(kmnist|k49)-(train|test)-", lower):
        return Published("KMNIST" if found[1] == "kmnist" else "Kuzushiji-49")
    return None
