"""`Picture`: a figure of Matplotlib's that is displayed by itself.

This module alone imports Matplotlib at its head, so the others import it inside their functions.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import warnings
from collections.abc import Iterator

from matplotlib.figure import Figure

from gpucnn import extras
from gpucnn.errors import UsageError

_DPI = 160  # pixels an inch
#: Colors of lines, text and ground: their name, and the color in a light and in a dark scheme.
_THEME = {
    "#000000": ("ink", "#16202c", "#e9eef4"),
    "#444444": ("frame", "#444444", "#8d9aab"),
    "#555555": ("muted", "#555555", "#a3b0bf"),
    "#e5e5e5": ("faint", "#e5e5e5", "#323d4b"),
    "#ffffff": ("paper", "#ffffff", "#171d26"),
}


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
        with _no_warnings_of_glyphs():
            self.savefig(file, format="png", dpi=_DPI)
        return file.getvalue()

    def svg(self) -> str:
        """The picture as an SVG document, which is readable on a light and on a dark page.

        Its ground is transparent. Lines and text are dark in a light color scheme of the browser
        and light in a dark one; colors that mean something stay.
        """
        from matplotlib import rc_context

        file = io.BytesIO()
        # The same picture gives the same bytes.
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        with (
            rc_context({"svg.hashsalt": "gpucnn", "image.composite_image": False}),
            _no_warnings_of_glyphs(),
        ):
            self.savefig(
                file, format="svg", transparent=True, bbox_inches="tight", metadata=nothing
            )
        return _themed(file.getvalue().decode())

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
        extras.require("show", "Pillow", "PIL.ImageShow", "image")
        from PIL import Image, ImageShow

        if not ImageShow.show(Image.open(io.BytesIO(self.png()))):
            raise UsageError(
                "the picture cannot be shown",
                cause="no program that shows pictures was found",
                fix='write it to a file: savefig("picture.png")',
            )


@contextlib.contextmanager
def _no_warnings_of_glyphs() -> Iterator[None]:
    """No warning for a letter that the font lacks, as of an emoji: it is drawn as a box."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        yield


def _themed(svg: str) -> str:
    """An SVG document of Matplotlib's whose colors follow the color scheme of the browser."""

    def scheme(dark: bool) -> str:
        colors = {name: pair[dark] for name, *pair in _THEME.values()}
        variables = "".join(f"--{name}:{color};" for name, color in colors.items())
        return f":root{{fill:var(--ink);{variables}}}"

    style = f"<style>{scheme(False)}@media (prefers-color-scheme:dark){{{scheme(True)}}}</style>"
    svg = svg[svg.index("<svg") :]  # without the prologue, which names a document type
    svg = re.sub(
        '(?<=: )#[0-9a-f]{6}(?=[;"])',
        lambda found: f"var(--{_THEME[found[0]][0]})" if found[0] in _THEME else found[0],
        svg,
    )
    return re.sub("<svg[^>]*>", lambda found: found[0] + style, svg, count=1)
