"""Pooling: the maximum or the mean of each window, or of the whole image."""

from __future__ import annotations

from typing import Any

from gpucnn.autograd import Function, Operand, Tensor
from gpucnn.backend.contract import Array
from gpucnn.shapes import PaddingArg, PairArg


class MaxPool2d(Function):
    """y = maximum of each window: the pixel that is the maximum gets g."""

    def __init__(
        self, kernel: PairArg, stride: PairArg | None = None, padding: PaddingArg = 0
    ) -> None:
        self.kernel = kernel
        self.options: dict[str, Any] = {"stride": stride, "padding": padding}

    def forward(self, x: Array) -> Array:
        y, argmax = self.backend.max_pool2d_forward(x, self.kernel, **self.options)
        self.shape = x.shape
        self.save(argmax)
        return y

    def backward(self, g: Array) -> Array:
        (argmax,) = self.saved
        return self.backend.max_pool2d_backward(g, argmax, self.shape, self.kernel, **self.options)


class AvgPool2d(Function):
    """y = mean of each window: each of the n pixels that were counted gets g / n."""

    def __init__(
        self,
        kernel: PairArg,
        stride: PairArg | None = None,
        padding: PaddingArg = 0,
        count_include_pad: bool | None = None,
    ) -> None:
        self.kernel = kernel
        self.options: dict[str, Any] = {
            "stride": stride,
            "padding": padding,
            "count_include_pad": count_include_pad,
        }

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return self.backend.avg_pool2d_forward(x, self.kernel, **self.options)

    def backward(self, g: Array) -> Array:
        return self.backend.avg_pool2d_backward(g, self.shape, self.kernel, **self.options)


def max_pool2d(
    x: Operand, kernel: PairArg, *, stride: PairArg | None = None, padding: PaddingArg = 0
) -> Tensor:
    """Maximum of each window of x (N, C, H, W); stride defaults to the kernel."""
    return MaxPool2d(kernel, stride, padding)(x)


def avg_pool2d(
    x: Operand,
    kernel: PairArg,
    *,
    stride: PairArg | None = None,
    padding: PaddingArg = 0,
    count_include_pad: bool | None = None,
) -> Tensor:
    """Mean of each window of x (N, C, H, W); stride defaults to the kernel.

    Args:
        count_include_pad: whether pixels of the padding count as zeros, or not at all. By default
            they do not with padding="same", as in Keras, and do otherwise, as in PyTorch.
    """
    return AvgPool2d(kernel, stride, padding, count_include_pad)(x)


def global_avg_pool2d(x: Operand) -> Tensor:
    """Mean of each channel's image: (N, C, H, W) to (N, C)."""
    return (x if isinstance(x, Tensor) else Tensor(x)).mean(axis=(2, 3))
