"""`Picture`: a figure of Matplotlib's that is displayed by itself.

This module alone imports Matplotlib at its head, so the others import it inside their functions.
"""

from __future__ import annotations

import io
import sys

from matplotlib.figure import Figure

from gpucnn.errors import MissingExtraError, UsageError

_DPI = 160  # pixels an inch


class Picture(Figure):
    """A `matplotlib.figure.Figure` that pyplot does not know, and so need not be closed.

    A notebook displays it; `savefig("name.png")` writes it to a file, as in Matplotlib.

    Args:
        width, height: in inches, of 160 pixels each.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), dpi=_DPI, layout="compressed")

    def png(self) -> bytes:
        """The picture as a PNG file."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=_DPI)
        return file.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()

    def show(self) -> None:  # type: ignore[override]
        """Display the picture in the notebook, or open it in a program, as Pillow's `show` does.

        Raises:
            UsageError: there is no program for pictures.
            MissingExtraError: Pillow is not installed.
        """
        ipython = sys.modules.get("IPython")
        if ipython is not None and hasattr(ipython.get_ipython(), "kernel"):  # a notebook
            ipython.display.display(self)
            return
        try:
            from PIL import Image, ImageShow
        except ImportError as error:
            raise MissingExtraError(
                "show needs Pillow, which is not installed", fix='pip install "gpucnn[image]"'
            ) from error
        if not ImageShow.show(Image.open(io.BytesIO(self.png()))):
            raise UsageError(
                "the picture cannot be shown",
                cause="no program that shows pictures was found",
                fix='write it to a file: savefig("picture.png")',
            )
