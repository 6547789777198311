"""Operations of ONNX that are layers here: with weights, pools and activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpucnn import nn
from gpucnn.onnx.array_operations import reshape_to
from gpucnn.onnx.building import Array, Builder, Known, Result, Unsupported, array, images, result
from gpucnn.onnx.sizes import of_one, text
from gpucnn.quoting import quoted
from gpucnn.shapes import conv2d_geometry, pool2d_geometry, resolve_padding

Operation = Callable[..., Known]

# ---- with weights -----------------------------------------------------------------------------


def conv(b: Builder, x: Known, w: Known, bias: Known | None = None) -> Known:
    source, weight = images(x), array(w, "its weight")
    if weight.ndim != 4 or list(weight.shape[2:]) != b.option("kernel_shape", [*weight.shape[2:]]):
        raise Unsupported(f"its weight is {weight.shape}, and must be (F, C, KH, KW)")
    options: dict[str, Any] = {
        "stride": _pair(b, "strides"),
        "dilation": _pair(b, "dilations"),
        "groups": b.option("group", 1),
    }
    kernel = weight.shape[2:]
    options["padding"] = _padding(b, source, kernel, options["stride"], options["dilation"])
    shape = conv2d_geometry(of_one(source.shape), weight.shape, **options).y_shape
    layer = nn.Conv2d(len(weight), kernel, use_bias=bias is not None, **options)
    arrays = {"weight": weight} | _bias(bias, len(weight))
    return b.layer(layer, source, (source.shape[0], *shape[1:]), **arrays)


def gemm(b: Builder, x: Known, w: Known, bias: Known | None = None) -> Known:
    weight = array(w, "its weight")
    if b.option("transA", 0):
        raise Unsupported("its input is transposed")
    weight = weight.T if b.option("transB", 0) else weight
    if b.option("alpha", 1.0) != 1:
        weight = weight * np.float32(b.option("alpha"))
    if bias is not None and b.option("beta", 1.0) != 1:
        bias = array(bias, "its bias") * np.float32(b.option("beta"))
    return _dense(b, x, weight, bias)


def _dense(b: Builder, x: Known, weight: Array, bias: Known | None = None) -> Known:
    source = result(x)
    *others, size = source.shape
    if weight.ndim != 2 or not others or size != weight.shape[0]:
        raise Unsupported(
            f"it multiplies {text(source.shape)} by {weight.shape}; a dense layer takes rows"
            f" (N, {weight.shape[0]})"
        )
    units = weight.shape[1]
    arrays = {"weight": weight} | _bias(bias, units)
    layer = nn.Dense(units, use_bias=bias is not None)
    if len(others) == 1:
        return b.layer(layer, source, (*others, units), **arrays)
    rows = result(reshape_to(b, source, (-1, size)))  # a dense layer for each row of an image
    product = b.layer(layer, rows, (rows.shape[0], units), **arrays)
    return reshape_to(b, product, (*others, units))


def _bias(bias: Known | None, size: int) -> dict[str, Array]:
    if bias is None:
        return {}
    found = array(bias, "its bias")
    try:
        return {"bias": np.broadcast_to(found, (1, size))[0]}
    except ValueError:
        raise Unsupported(f"its bias is {found.shape}, and must be ({size},)") from None


def matmul(b: Builder, x: Known, y: Known) -> Known:
    if isinstance(y, np.ndarray) and y.ndim == 2:
        return _dense(b, x, y)
    left, right = (each.shape for each in (x, y))
    if len(left) != 2 or len(right) != 2 or left[1] != right[0]:
        raise Unsupported("it multiplies arrays that are no two matrices that fit")
    return b.function("matmul", [x, y], (left[0], right[1]))


def batch_norm(b: Builder, x: Known, *arrays: Known) -> Known:
    if b.option("training_mode", 0) or b.option("is_test", 1) == 0:
        raise Unsupported("it takes the statistics of the batch")
    source, eps = result(x), b.option("epsilon", 1e-5)
    gamma, beta, mean, var = (array(each, "a weight") for each in arrays[:4])
    if len(source.shape) != 4:  # batch norm of rows, with its numbers folded
        scale = (gamma / np.sqrt(var.astype(np.float64) + eps)).astype(np.float32)
        shift = (beta - mean.astype(np.float64) * scale).astype(np.float32)
        ones = (1,) * (len(source.shape) - 2)
        scaled = b.function("mul", [source, scale.reshape(-1, *ones)], source.shape)
        return b.function("add", [scaled, shift.reshape(-1, *ones)], source.shape)
    layer = nn.BatchNorm2d(momentum=1 - b.option("momentum", 0.9), eps=eps)
    if any(each.shape != (source.shape[1],) for each in (gamma, beta, mean, var)):
        raise Unsupported(
            f"its weights must have one number for each of {source.shape[1]} channels"
        )
    return b.layer(
        layer, source, source.shape, gamma=gamma, beta=beta, running_mean=mean, running_var=var
    )


def layer_norm(b: Builder, x: Known, scale: Known, bias: Known | None = None) -> Known:
    source, gamma = result(x), array(scale, "its scale")
    last = len(source.shape) - 1
    if b.option("axis", -1) % len(source.shape) != last or gamma.shape != source.shape[-1:]:
        raise Unsupported("it normalizes over more than the last axis")
    beta = np.zeros_like(gamma) if bias is None else array(bias, "its bias")
    layer = nn.LayerNorm(eps=b.option("epsilon", 1e-5))
    return b.layer(layer, source, source.shape, gamma=gamma, beta=beta)


# ---- pools ------------------------------------------------------------------------------------


def max_pool(b: Builder, x: Known) -> Known:
    return _pool(b, x, nn.MaxPool2d)


def average_pool(b: Builder, x: Known) -> Known:
    counted = bool(b.option("count_include_pad", 0))
    return _pool(b, x, nn.AvgPool2d, count_include_pad=counted)


def _pool(b: Builder, x: Known, kind: Any, **options: Any) -> Known:
    source = images(x)
    if len(b.node.outputs) > 1:
        raise Unsupported("it also gives the places of the maxima")
    if any(each != 1 for each in b.option("dilations", [])):
        raise Unsupported("its windows are dilated")
    kernel = _pair(b, "kernel_shape")
    stride = _pair(b, "strides")
    pads = _padding(b, source, kernel, stride)
    if b.option("ceil_mode", 0):
        grown = _ceiled(source.shape[2:], kernel, stride, pads)
        if grown != pads and options.get("count_include_pad") and any(map(any, pads)):
            raise Unsupported("it rounds sizes up, and counts the padding")
        if grown != pads and options:
            options["count_include_pad"] = False
        pads = grown
    shape = pool2d_geometry(of_one(source.shape), kernel, stride, pads).y_shape
    return b.layer(kind(kernel, stride, pads, **options), source, (source.shape[0], *shape[1:]))


def _ceiled(size: Any, kernel: Any, stride: Any, pads: Any) -> Any:
    """The padding with which a size that is rounded down is the one that is rounded up.

    A window that would begin in the padding after the image is left out, as in PyTorch.
    """
    found = []
    for n, k, s, (before, after) in zip(size, kernel, stride, pads, strict=True):
        windows = -(-(n + before + after - k) // s) + 1
        if (windows - 1) * s >= n + before:
            windows -= 1
        found.append((before, max(after, (windows - 1) * s + k - n - before)))
    return tuple(found)


def over_images(function: str) -> Operation:
    def add(b: Builder, x: Known) -> Known:
        source = images(x)
        shape = (*source.shape[:2], 1, 1)
        return b.function(function, [source], shape, axis=[2, 3], keepdims=True)

    return add


def _pair(b: Builder, name: str) -> tuple[int, int]:
    values = b.option(name, [1, 1])
    if len(values) != 2:
        raise Unsupported(f"its {name} are {quoted(values)}, and images have two axes")
    return values[0], values[1]


def _padding(
    b: Builder, x: Result, kernel: Sequence[int], stride: Any, dilation: Any = (1, 1)
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The padding as ((top, bottom), (left, right)), by `pads` or by `auto_pad`."""
    way = b.option("auto_pad", "NOTSET")
    size = of_one(x.shape)[2:]
    if way.startswith("SAME"):
        found = resolve_padding("same", size, tuple(kernel), stride, dilation)  # type: ignore[arg-type]
        if way == "SAME_LOWER":  # the odd one is at the top and left
            return tuple(sides[::-1] for sides in found)  # type: ignore[return-value]
        return found
    top, left, bottom, right = b.option("pads", [0] * 4) if way == "NOTSET" else [0] * 4
    if min(top, left, bottom, right) < 0:
        raise Unsupported("its padding is negative")
    return (top, bottom), (left, right)


# ---- activations ------------------------------------------------------------------------------


def activation(layer: Callable[[], nn.Module]) -> Operation:
    return lambda b, x: b.layer(layer(), x, result(x).shape)


def leaky_relu(b: Builder, x: Known) -> Known:
    return b.layer(nn.LeakyReLU(b.option("alpha", 0.01)), x, result(x).shape)


def gelu(b: Builder, x: Known) -> Known:
    if b.option("approximate", "none") != "tanh":
        raise Unsupported(
            'it is exact, and GELU here is the tanh form, in PyTorch GELU(approximate="tanh")'
        )
    return b.layer(nn.GELU(), x, result(x).shape)


def softmax(layer: Callable[[], nn.Module], function: str) -> Operation:
    def add(b: Builder, x: Known) -> Known:
        shape = result(x).shape
        axis = b.option("axis", 1 if b.opset < 13 else -1) % len(shape)
        if axis == len(shape) - 1:
            return b.layer(layer(), x, shape)
        if b.opset < 13:  # it flattened the axes from this one on
            raise Unsupported("it is over several axes")
        return b.function(function, [x], shape, axis=axis)

    return add


def dropout(
    b: Builder, x: Known, ratio: Known | None = None, training: Known | None = None
) -> Known:
    if training is not None and array(training, "its mode").any():
        raise Unsupported("it drops while the network is used")
    rate = round(b.number("ratio", ratio, 0.5), 6)
    return b.layer(nn.Dropout(rate), x, result(x).shape)


def clip(b: Builder, x: Known, low: Known | None = None, high: Known | None = None) -> Known:
    bounds = [b.number("min", low), b.number("max", high)]
    if bounds == [None, None]:
        return x
    if None not in bounds and not bounds[0] <= bounds[1]:
        raise Unsupported(f"its min is {bounds[0]:g}, and its max {bounds[1]:g}")
    return b.function("clip", [x], result(x).shape, low=bounds[0], high=bounds[1])
