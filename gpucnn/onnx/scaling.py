"""The scaling of pixels that an imported network needs, and where it is known from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from gpucnn.data.dataset import is_scaling
from gpucnn.errors import UsageError
from gpucnn.onnx.reading import Content, damaged_metadata
from gpucnn.quoting import quoted

_PIXELS = 1 / 255  # by default a network takes pixels as numbers from 0 to 1
_GIVEN, _IN_FILE, _DEFAULT = "as given", "as in the file", "by default"


class Scaling(NamedTuple):
    """How pixels become the input of a network.

    Attributes:
        scale, offset: it takes pixel * scale + offset, for pixels from 0 to 255.
        known: where that is known from, in words.
        floats: whether it takes floats, and how pixels become such floats is not known.
    """

    scale: float
    offset: float
    known: str
    floats: bool = False


def pixel_scaling(
    content: Content,
    about: Mapping[str, Any],
    scale: float | None,
    offset: float | None,
    mean: float | None,
    std: float | None,
) -> Scaling:
    """The scaling of a file; each number that is not given is that of the file, or the default.

    Args:
        content: of the file. An input of uint8 has the pixels themselves.
        about: its metadata, with scale, offset and floats or without them.
        scale, offset: as in `Scaling`.
        mean, std: the same in the other form: the network takes (pixel / 255 - mean) / std.

    Raises:
        UsageError: a number is not finite, both forms are given, or the input is uint8.
        DataError: the metadata are damaged.
    """
    options = {"scale": scale, "offset": offset, "mean": mean, "std": std}
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if not math.isfinite(value) or (name == "std" and value <= 0):
            cause = "it must be a finite number" + (" above 0" if name == "std" else "")
            raise UsageError(f"{name} is {value!r}", cause=cause)
    if content.takes_bytes:
        if given:
            raise UsageError(
                f"{content.path} takes no {' and no '.join(given)}",
                cause="its input is uint8: pixels from 0 to 255, which it scales itself",
                fix=f"leave {' and '.join(given)} out",
            )
        return Scaling(1.0, 0.0, "the file takes uint8, from 0 to 255")
    if {*given} & {"scale", "offset"} and {*given} & {"mean", "std"}:
        raise UsageError(
            f"{' and '.join(given)} are given", fix="give scale and offset, or mean and std"
        )
    in_file = {name for name in ("scale", "offset") if name in about}
    found = {"scale": about.get("scale", _PIXELS), "offset": about.get("offset", 0.0)}
    for name, value in found.items():
        if not is_scaling(value):
            raise damaged_metadata(content.path, f"{name} is {quoted(repr(value))}")
    floats = about.get("floats", False)
    if not isinstance(floats, bool):
        raise damaged_metadata(content.path, f"floats is {quoted(repr(floats))}")
    names = ("mean", "std") if {*given} & {"mean", "std"} else ("scale", "offset")
    rest = _IN_FILE if in_file else _DEFAULT
    known = {name: _GIVEN if name in given else rest for name in names}
    if "mean" in known and found["scale"]:
        before = -found["offset"] / found["scale"] / 255
        found["scale"] = found["scale"] if std is None else _PIXELS / std
        found["offset"] = 0.0 - (before if mean is None else mean) * 255 * found["scale"]
    found |= {name: value for name, value in given.items() if name in found}
    for name in ("scale", "offset"):
        if not is_scaling(found[name]):
            raise UsageError(
                f"with the {' and '.join(given)} that are given, the {name} is {found[name]:g}",
                cause="it is at most 1e9 for pixels",
                fix="give the numbers of the training of the network",
            )
    same = len({*known.values()}) == 1
    words = known[names[0]] if same else ", ".join(f"{name} {how}" for name, how in known.items())
    return Scaling(float(found["scale"]), float(found["offset"]), words, floats and not given)
