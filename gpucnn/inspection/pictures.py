"""Pictures of an inspection: the most wrong images, filters, and feature maps of an image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import plots
from gpucnn.inspection.health import Health
from gpucnn.nn import Module

if TYPE_CHECKING:
    from gpucnn.plots import Picture


def draw(health: Health, image: NDArray[Any] | None = None) -> dict[str, Picture]:
    """The pictures by the name of their file; those that cannot be drawn are left out.

    Args:
        health: of a run.
        image: pixels as `SavedModel.predict` takes them, (C, H, W); for feature_maps.png.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    plots.require("pictures")
    found: dict[str, Picture] = {}
    saved, dataset = health.saved, health.looked_at
    if dataset is not None and health.most_wrong and dataset.images.shape[1] in (1, 3):
        wrong = health.most_wrong
        titles = [f"{each.label}, answer {each.answer}" for each in wrong]
        found["wrong.png"] = plots.show_image(
            dataset.images[[each.index for each in wrong]],
            titles,
            cmap="gray",  # as the network sees them
        )
    if saved is None:
        return found
    if filters := first_filters(saved.model, saved.image_shape):
        layer, shape = filters
        found["filters.png"] = plots.show_filters(layer, image_shape=shape)
    if image is not None:
        seen = image.astype(np.float32) * saved.description.scale + saved.description.offset
        found["feature_maps.png"] = plots.show_feature_maps(saved.model, seen.astype(np.float32))
    return found


def first_filters(
    model: Module, image_shape: tuple[int, ...]
) -> tuple[Module, tuple[int, ...] | None] | None:
    """The first layer whose weights are filters on images: convolution, or dense on the pixels.

    Returns:
        The layer, and the shape of its inputs if it is dense; None without one.
    """
    for layer in model.modules():
        weight = getattr(layer, "weight", None)
        if weight is None:
            continue
        if weight.ndim == 4:
            return layer, None
        if weight.ndim == 2 and weight.shape[0] == math.prod(image_shape):
            return layer, image_shape
    return None
