"""Convolution, alone and with the ReLU and the maximum pooling that follow it."""

from __future__ import annotations

from collections.abc import Sequence

from gpucnn.backend.contract import Array, PoolArg
from gpucnn.ops.dispatch import backend_of, primitive
from gpucnn.shapes import PaddingArg, PairArg


@primitive
def conv2d_forward(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: PairArg = 1,
    padding: PaddingArg = 0,
    dilation: PairArg = 1,
    groups: int = 1,
    activation: str | None = None,
) -> Array:
    """Cross-correlation of x with w, plus bias, then the activation.

        y[n,f,oh,ow] = b[f] + sum_{c,kh,kw} x[n, c0+c, oh*s+kh*d-p, ow*s+kw*d-p] * w[f,c,kh,kw]

    where c0 is the first channel of f's group and pixels in the padding are 0.

    Args:
        x: (N, C, H, W).
        w: (F, C/groups, KH, KW).
        b: (F,) or None.
        stride: pixels from one window to the next; an int or (h, w).
        padding: zeros around the image: an int, (h, w), ((top, bottom), (left, right)), "valid"
            for none, or "same" for OH = ceil(H / stride), the odd one at the bottom and right.
        dilation: pixels from one tap of the kernel to the next; an int or (h, w).
        groups: channels and filters are split into so many parts; a filter takes the channels
            of its own part only.
        activation: None, or "relu" for max(y, 0).

    Returns:
        y: (N, F, OH, OW), sizes by `gpucnn.shapes.conv_output_size`.

    Raises:
        ShapeError: the shapes and options do not fit together.
        DtypeError: the arrays are not all float32, or all float64.
    """
    backend = backend_of("conv2d_forward", b, x=x, w=w)
    return backend.conv2d_forward(
        x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups,
        activation=activation,
    )  # fmt: skip


@primitive
def conv2d_backward_input(
    grad_y: Array,
    w: Array,
    x_shape: Sequence[int],
    *,
    stride: PairArg = 1,
    padding: PaddingArg = 0,
    dilation: PairArg = 1,
    groups: int = 1,
) -> Array:
    """Gradient of the loss by the input of a convolution: the adjoint of x -> conv(x, w).

        grad_x[n,c,h,w] = sum over the f, kh, kw, oh, ow with h = oh*s+kh*d-p, w = ow*s+kw*d-p
                          of grad_y[n,f,oh,ow] * w[f,c-c0,kh,kw]

    Args:
        grad_y: (N, F, OH, OW).
        w: (F, C/groups, KH, KW).
        x_shape: (N, C, H, W) of the input. With a stride, several H and W give one OH and OW.
        stride, padding, dilation, groups: as in `conv2d_forward`.

    Returns:
        grad_x: (N, C, H, W).
    """
    backend = backend_of("conv2d_backward_input", grad_y=grad_y, w=w)
    return backend.conv2d_backward_input(
        grad_y, w, x_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
    )


@primitive
def conv2d_backward_weight(
    grad_y: Array,
    x: Array,
    w_shape: Sequence[int],
    *,
    stride: PairArg = 1,
    padding: PaddingArg = 0,
    dilation: PairArg = 1,
    groups: int = 1,
) -> Array:
    """Gradient of the loss by the weight of a convolution: the adjoint of w -> conv(x, w).

        grad_w[f,c,kh,kw] = sum_{n,oh,ow} grad_y[n,f,oh,ow]
                                          * x[n, c0+c, oh*s+kh*d-p, ow*s+kw*d-p]

    Args:
        grad_y: (N, F, OH, OW).
        x: (N, C, H, W).
        w_shape: (F, C/groups, KH, KW) of the weight.
        stride, padding, dilation, groups: as in `conv2d_forward`.

    Returns:
        grad_w: (F, C/groups, KH, KW).
    """
    backend = backend_of("conv2d_backward_weight", grad_y=grad_y, x=x)
    return backend.conv2d_backward_weight(
        grad_y, x, w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
    )


@primitive
def bias_grad(grad_y: Array) -> Array:
    """Sum over all axes but the channels: grad_b[f] = sum_{n,...} grad_y[n,f,...].

    Args:
        grad_y: (N, F) or (N, F, ...).

    Returns:
        grad_b: (F,).
    """
    backend = backend_of("bias_grad", grad_y=grad_y)
    return backend.bias_grad(grad_y)


@primitive
def conv2d_relu_pool_forward(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: PairArg = 1,
    padding: PaddingArg = 0,
    dilation: PairArg = 1,
    groups: int = 1,
    activation: str | None = None,
    pool: PoolArg | None = None,
) -> tuple[Array, Array | None]:
    """`conv2d_forward` and then, with `pool`, `max_pool2d_forward`; the result between is not kept.

    Args:
        x: (N, C, H, W).
        w: (F, C/groups, KH, KW).
        b: (F,) or None.
        stride, padding, dilation, groups, activation: as in `conv2d_forward`.
        pool: (kernel, stride, padding) as `max_pool2d_forward` takes them, or None for no pool.

    Returns:
        y: (N, F, OH, OW), or the pooled size; argmax: shape of y, or None without a pool. Both are
        for `conv2d_relu_pool_backward`.
    """
    backend = backend_of("conv2d_relu_pool_forward", b, x=x, w=w)
    return backend.conv2d_relu_pool_forward(
        x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups,
        activation=activation, pool=pool,
    )  # fmt: skip


@primitive
def conv2d_relu_pool_backward(
    grad_y: Array,
    x: Array,
    w: Array,
    y: Array | None = None,
    argmax: Array | None = None,
    *,
    stride: PairArg = 1,
    padding: PaddingArg = 0,
    dilation: PairArg = 1,
    groups: int = 1,
    pool: PoolArg | None = None,
    needs: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Array | None, Array | None, Array | None]:
    """All gradients of `conv2d_relu_pool_forward`.

    The ReLU's mask is applied after the pool, where there are fewer elements. That is the same: the
    pixel that was the maximum of a window has the value of the window.

    Args:
        grad_y: shape of y.
        x, w: of the forward call.
        y: the result of the forward call if its activation was "relu", else None.
        argmax: the second result of the forward call; without a pool it is not used.
        stride, padding, dilation, groups, pool: of the forward call.
        needs: whether grad_x, grad_w and grad_b are wanted.

    Returns:
        grad_x: (N, C, H, W), grad_w: (F, C/groups, KH, KW), grad_b: (F,); None if not wanted.
    """
    backend = backend_of("conv2d_relu_pool_backward", y, argmax, grad_y=grad_y, x=x, w=w)
    return backend.conv2d_relu_pool_backward(
        grad_y, x, w, y, argmax, stride=stride, padding=padding, dilation=dilation, groups=groups,
        pool=pool, needs=needs,
    )  # fmt: skip
