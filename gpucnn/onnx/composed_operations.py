"""Operations of ONNX that are made of several functions here."""

from __future__ import annotations

import itertools
import math

import numpy as np

from gpucnn.onnx.building import Builder, Known, Result, Unsupported, array, result
from gpucnn.onnx.sizes import Batch, broadcast, checked, text
from gpucnn.quoting import quoted

# ---- activations ------------------------------------------------------------------------------


def hard_sigmoid(b: Builder, x: Known) -> Known:
    return _hard_sigmoid(b, x, b.option("alpha", 0.2), b.option("beta", 0.5))


def hard_swish(b: Builder, x: Known) -> Known:
    return _apply(b, "mul", x, _hard_sigmoid(b, x, 1 / 6, 0.5))


def _hard_sigmoid(b: Builder, x: Known, alpha: float, beta: float) -> Result:
    """clip(alpha * x + beta, 0, 1)"""
    line = _apply(b, "add", _apply(b, "mul", x, alpha), beta)
    return b.function("clip", [line], line.shape, low=0.0, high=1.0)


def elu(b: Builder, x: Known) -> Known:
    """max(x, 0) + alpha * (exp(min(x, 0)) - 1)"""
    below = _apply(b, "exp", _apply(b, "minimum", x, 0.0))
    curve = _apply(b, "mul", _apply(b, "sub", below, 1.0), b.option("alpha", 1.0))
    return _apply(b, "add", _apply(b, "maximum", x, 0.0), curve)


def softplus(b: Builder, x: Known) -> Known:
    """max(x, 0) + log(1 + exp(-|x|)), which does not overflow"""
    small = _apply(b, "exp", _apply(b, "neg", _apply(b, "abs", x)))
    rest = _apply(b, "log", _apply(b, "add", small, 1.0))
    return _apply(b, "add", _apply(b, "maximum", x, 0.0), rest)


def prelu(b: Builder, x: Known, slope: Known) -> Known:
    """max(x, 0) + slope * min(x, 0); the slope is a constant, which is not trained"""
    below = _apply(b, "mul", _apply(b, "minimum", x, 0.0), array(slope, "its slope"))
    if below.shape != result(x).shape:
        raise Unsupported(f"its slope is {slope.shape}, for {text(result(x).shape)}")
    return _apply(b, "add", _apply(b, "maximum", x, 0.0), below)


def _apply(b: Builder, function: str, *inputs: Known | float) -> Result:
    """A call of a function of results, arrays and numbers, element by element."""
    operands: list[Known] = [
        np.array(each, np.float32) if isinstance(each, float) else each for each in inputs
    ]
    return b.function(function, operands, broadcast(*(each.shape for each in operands)))


# ---- shapes -----------------------------------------------------------------------------------


def split(b: Builder, x: Known, sizes: Known | None = None) -> list[Known]:
    source = result(x)
    axis, count = b.option("axis", 0) % len(source.shape), len(b.node.outputs)
    whole = source.shape[axis]
    if isinstance(whole, Batch):
        raise Unsupported("it cuts the batch")
    part = -(-whole // count)
    given = b.setting("split", sizes, [min(part, whole - k * part) for k in range(count)])
    if len(given) != count or min(given) < 0 or sum(given) != whole:
        raise Unsupported(f"it cuts axis {axis} of {text(source.shape)} into {quoted(given)}")
    found: list[Known] = []
    for size, end in zip(given, itertools.accumulate(given), strict=True):
        cuts: list[list[int | None]] = [[None] * 3 for _ in source.shape]
        cuts[axis] = [end - size, end, 1]
        shape = (*source.shape[:axis], size, *source.shape[axis + 1 :])
        found.append(b.function("slices", [source], shape, ends=cuts))
    return found


def pad(
    b: Builder,
    x: Known,
    pads: Known | None = None,
    value: Known | None = None,
    axes: Known | None = None,
) -> Known:
    padded = result(x)
    if b.option("mode", "constant") != "constant":
        raise Unsupported(f"its mode is {quoted(b.option('mode'))}, and must be constant")
    ends, fill = b.setting("pads", pads), b.number("value", value, 0.0)
    count = len(padded.shape)
    chosen = b.setting("axes", axes, range(count))
    if min(ends) < 0 or not math.isfinite(fill):
        raise Unsupported("its padding is negative, or not filled with a finite number")
    for axis, before, after in zip(chosen, ends, ends[len(ends) // 2 :], strict=False):
        if before or after:
            padded = _padded(b, padded, axis % count, before, after, float(fill))
    return padded


def _padded(b: Builder, x: Result, axis: int, before: int, after: int, fill: float) -> Result:
    """x between two borders along an axis."""
    whole = x.shape[axis]
    if isinstance(whole, Batch) or not whole:
        raise Unsupported("it pads the batch, or an empty axis")
    shape = checked((*x.shape[:axis], before + whole + after, *x.shape[axis + 1 :]))
    parts: list[Known] = [x]
    for size, place in ((before, 0), (after, 2)):
        if not size:
            continue
        border = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        rows = b.function("take", [x], border, axis=axis, where=[0] * size)
        # Numbers that are not finite become 0 as well, and no gradient passes.
        zeros = _apply(b, "mul", b.function("clip", [rows], border, low=0.0, high=0.0), 0.0)
        parts.insert(place, _apply(b, "add", zeros, fill) if fill else zeros)
    return b.function("concat", parts, shape, axis=axis)
