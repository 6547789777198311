"""Pictures of images, gradients, filters and feature maps, by Matplotlib.

A function `show_...` returns a `Picture`, which a notebook displays; `savefig` writes it to a file
and `show` opens it. The extra `plot` installs Matplotlib, which is imported for the first picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    "show_feature_maps",
    "show_filters",
    "show_image",
    "show_image_gradient",
    "show_learning_rates",
]


def __getattr__(name: str) -> Any:
    if name != "Picture":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("gpucnn.plots.Picture")
    from gpucnn.plots.picture import Picture

    return Picture
