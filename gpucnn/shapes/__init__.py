"""Sizes and shapes of images, kernels and outputs. Layers, backends and summaries ask here."""

from __future__ import annotations

from gpucnn.shapes.geometry import (
    Conv2dGeometry,
    Pool2dGeometry,
    conv2d_geometry,
    conv2d_transpose_shape,
    pool2d_geometry,
)
from gpucnn.shapes.layout import is_channels_last, layout_fix
from gpucnn.shapes.sizes import (
    AxisPaddingArg,
    Padding,
    PaddingArg,
    Pair,
    PairArg,
    conv_output_size,
    is_same,
    pair,
    resolve_padding,
)

__all__ = [
    "AxisPaddingArg", "Conv2dGeometry", "Padding", "PaddingArg", "Pair", "PairArg",
    "Pool2dGeometry", "conv2d_geometry", "conv2d_transpose_shape", "conv_output_size",
    "is_channels_last", "is_same", "layout_fix", "pair", "pool2d_geometry", "resolve_padding"
]  # fmt: skip
