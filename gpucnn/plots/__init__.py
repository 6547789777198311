"""Pictures of images, filters, feature maps, learning curves and answers, by Matplotlib.

A function `show_...` returns a `Picture`, which a notebook displays; `savefig` writes it to a file
and `show` opens it. The extra `plot` installs Matplotlib, which is imported for the first picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpucnn.plots.answers import show_confused, show_most_wrong, show_samples
from gpucnn.plots.confusion import show_confusion
from gpucnn.plots.curves import show_curves
from gpucnn.plots.extra import require as require
from gpucnn.plots.feature_maps import show_feature_maps
from gpucnn.plots.filters import show_filters
from gpucnn.plots.gradient import image_gradient, show_image_gradient
from gpucnn.plots.images import show_image
from gpucnn.plots.learning_rates import show_learning_rates

if TYPE_CHECKING:
    from gpucnn.plots.picture import Picture

__all__ = [
    "Picture",
    "image_gradient",
    "show_confused",
    "show_confusion",
    "show_curves",
    "show_feature_maps",
    "show_filters",
    "show_image",
    "show_image_gradient",
    "show_learning_rates",
    "show_most_wrong",
    "show_samples",
]


def __getattr__(name: str) -> Any:
    if name != "Picture":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("gpucnn.plots.Picture")
    from gpucnn.plots.picture import Picture

    return Picture
