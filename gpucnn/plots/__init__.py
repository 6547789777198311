"""Pictures as PNG files, by Matplotlib, which the extra `plot` installs."""

from __future__ import annotations

import importlib.util
import io
from typing import TYPE_CHECKING

from gpucnn.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 160


def require() -> None:
    """Raise `MissingExtraError` without Matplotlib; call it before a picture's data is measured."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError(
            "--plot needs Matplotlib, which is not installed", fix='pip install "gpucnn[plot]"'
        )


def figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches, and its axes without a frame."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    axes = made.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return made, axes


def png(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()
