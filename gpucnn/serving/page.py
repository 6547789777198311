"""The page: a canvas to draw on, or a place for pictures, and the answers of the network."""

from __future__ import annotations

from gpucnn.data import Reading
from gpucnn.data.reading import times
from gpucnn.quoting import on_one_line
from gpucnn.training import SavedModel
from gpucnn.web import Page

_PAGE = Page("gpucnn.serving", "gpucnn serve", ("drawing.js", "answer.js", "page.js"))


def html(saved: SavedModel, given: Reading) -> str:
    """The page for a model, whose pictures are read with these options."""
    way, why = _way(saved, given)
    shown = {name: on_one_line(name) for name in saved.class_names}
    return _PAGE.html(
        {
            "model": on_one_line(saved.model.display_name),
            "classes": saved.class_names,
            "shown": {name: text for name, text in shown.items() if text != name},
            "shape": times(saved.image_shape),
            "way": way,
            "why": why,
        }
    )


def policy() -> str:
    """The Content-Security-Policy of the page."""
    return _PAGE.policy()


def _way(saved: SavedModel, given: Reading) -> tuple[str, str]:
    """How the page gets an image, "draw", "picture" or "none"; and why not, in words."""
    shape = saved.image_shape
    convert = given.convert or saved.description.reading.convert
    if saved.description.floats or len(shape) != 3 or shape[0] not in (1, 3):
        return "none", "It takes arrays, and no pictures."
    if convert == "mnist":
        return "draw", ""
    if convert is None and shape[0] == 1:
        return "none", (
            "It was trained on gray arrays, which may be dark on light or light on dark, so it is"
            " not known how a picture becomes one. Start gpucnn serve with --convert none (a"
            " picture as it is) or --convert mnist (a digit, cut out, light on dark)."
        )
    return "picture", ""
