"""The maximum or the mean of each window of an image."""

from __future__ import annotations

from collections.abc import Sequence

from gpucnn.backend.contract import Array
from gpucnn.ops.dispatch import backend_of, primitive
from gpucnn.shapes import PaddingArg, PairArg


@primitive
def max_pool2d_forward(
    x: Array,
    kernel: PairArg,
    *,
    stride: PairArg | None = None,
    padding: PaddingArg = 0,
) -> tuple[Array, Array]:
    """Maximum of each window: y[n,c,oh,ow] = max_{kh,kw} x[n,c,oh*s+kh-p,ow*s+kw-p].

    Padding counts as -inf, and a NaN as the largest number, so it propagates. `argmax` names the
    first of equal maxima in row-major order.

    Args:
        x: (N, C, H, W).
        kernel: pixels of the window, an int or (h, w).
        stride: pixels from one window to the next; None for the size of the kernel.
        padding: around the image: an int, (h, w), ((top, bottom), (left, right)), "valid" for
            none, or "same" for OH = ceil(H / stride). It must be smaller than the kernel.

    Returns:
        y: (N, C, OH, OW), and argmax: an opaque array for `max_pool2d_backward`.
    """
    backend = backend_of("max_pool2d_forward", x=x)
    return backend.max_pool2d_forward(x, kernel, stride=stride, padding=padding)


@primitive
def max_pool2d_backward(
    grad_y: Array,
    argmax: Array,
    x_shape: Sequence[int],
    kernel: PairArg,
    *,
    stride: PairArg | None = None,
    padding: PaddingArg = 0,
) -> Array:
    """The gradient of `max_pool2d_forward`: the pixel that was the maximum gets it.

    Args:
        grad_y: (N, C, OH, OW).
        argmax: what `max_pool2d_forward` returned.
        x_shape: (N, C, H, W) of the input.
        kernel, stride, padding: as in `max_pool2d_forward`.

    Returns:
        grad_x: (N, C, H, W).
    """
    backend = backend_of("max_pool2d_backward", grad_y=grad_y, argmax=argmax)
    return backend.max_pool2d_backward(
        grad_y, argmax, x_shape, kernel, stride=stride, padding=padding
    )


@primitive
def avg_pool2d_forward(
    x: Array,
    kernel: PairArg,
    *,
    stride: PairArg | None = None,
    padding: PaddingArg = 0,
    count_include_pad: bool | None = None,
) -> Array:
    """Mean of each window: y[n,c,oh,ow] = sum_{kh,kw} x[n,c,oh*s+kh-p,ow*s+kw-p] / count.

    `count` is KH*KW, or the number of pixels of the window that are inside the image.

    Args:
        x: (N, C, H, W).
        kernel, stride, padding: as in `max_pool2d_forward`.
        count_include_pad: whether the padding is counted, as zeros. None means no with
            padding="same", as in Keras, TensorFlow and ONNX, and else yes, as in PyTorch.

    Returns:
        y: (N, C, OH, OW).
    """
    backend = backend_of("avg_pool2d_forward", x=x)
    return backend.avg_pool2d_forward(
        x, kernel, stride=stride, padding=padding, count_include_pad=count_include_pad
    )


@primitive
def avg_pool2d_backward(
    grad_y: Array,
    x_shape: Sequence[int],
    kernel: PairArg,
    *,
    stride: PairArg | None = None,
    padding: PaddingArg = 0,
    count_include_pad: bool | None = None,
) -> Array:
    """The gradient of `avg_pool2d_forward`: each counted pixel gets an equal part of it.

    Args:
        grad_y: (N, C, OH, OW).
        x_shape: (N, C, H, W) of the input.
        kernel, stride, padding, count_include_pad: as in `avg_pool2d_forward`.

    Returns:
        grad_x: (N, C, H, W).
    """
    backend = backend_of("avg_pool2d_backward", grad_y=grad_y)
    return backend.avg_pool2d_backward(
        grad_y, x_shape, kernel, stride=stride, padding=padding, count_include_pad=count_include_pad
    )
