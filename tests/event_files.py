"""Files of events as TensorBoard's own reader sees them."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Curves = dict[str, list[tuple[int, float]]]


def reader(folder: Path) -> Any:
    """TensorBoard's reader of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = {"scalars": 0, "histograms": 0, "images": 0}
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def read(folder: Path) -> Curves:
    """The points (step, value) of each curve in a folder."""
    found = reader(folder)
    return {
        tag: [(point.step, point.value) for point in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def everything(folder: Path) -> dict[str, Any]:
    """All that is in a folder, by its tag: the points of curves, histograms and pictures."""
    found = reader(folder)
    tags = found.Tags()
    points = {
        **{tag: found.Scalars(tag) for tag in tags["scalars"]},
        **{tag: found.Histograms(tag) for tag in tags["histograms"]},
        **{tag: found.Images(tag) for tag in tags["images"]},
    }
    return {
        **{tag: [replace(point, wall_time=0) for point in each] for tag, each in points.items()},
        "graph": tags["graph"] and found.Graph(),
        "hparams": dict(found._plugin_to_tag_to_content["hparams"]),
    }


def decoded(image: Any) -> Any:
    """The pixels of a picture."""
    pillow = pytest.importorskip("PIL.Image", reason="the extra `image` is not installed")
    return np.asarray(pillow.open(io.BytesIO(image.encoded_image_string)))
