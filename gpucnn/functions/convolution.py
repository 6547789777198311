"""Convolution and the affine map of a dense layer, fused with the ReLU and the pool that follow."""

from __future__ import annotations

from typing import Any

from gpucnn.autograd import Function, Operand, Tensor
from gpucnn.backend.contract import Array, PoolArg
from gpucnn.shapes import PaddingArg, PairArg


class Conv2d(Function):
    """y = pool(activation(x * w + b)), where * is the cross-correlation of `ops.conv2d_forward`.

    With g the gradient by x * w + b, after the steps back through the pool and the ReLU:

        dL/dx = conv2d_backward_input(g, w)    dL/dw = conv2d_backward_weight(g, x)    dL/db = sum g
    """

    def __init__(
        self,
        stride: PairArg = 1,
        padding: PaddingArg = 0,
        dilation: PairArg = 1,
        groups: int = 1,
        activation: str | None = None,
        pool: PoolArg | None = None,
    ) -> None:
        self.options: dict[str, Any] = {
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": groups,
            "pool": pool,
        }
        self.activation = activation

    @property
    def label(self) -> str:
        pooled = self.options["pool"] is not None
        return super().label + " + ReLU" * bool(self.activation) + " + MaxPool2d" * pooled

    def forward(self, x: Array, w: Array, b: Array | None = None) -> Array:
        y, argmax = self.backend.conv2d_relu_pool_forward(
            x, w, b, **self.options, activation=self.activation
        )
        self.save(x, w, y if self.activation else None, argmax)
        return y

    def backward(self, g: Array) -> tuple[Array | None, ...]:
        x, w, y, argmax = self.saved
        need_x, need_w, *need_b = self.needs_input_grad
        gradients = self.backend.conv2d_relu_pool_backward(
            g, x, w, y, argmax, **self.options, needs=(need_x, need_w, any(need_b))
        )
        return gradients[: len(self.needs_input_grad)]


class Linear(Function):
    """y = activation(x @ w + b).

    With g the gradient by y, masked by y > 0 if a ReLU was fused:

        dL/dx = g @ w^T    dL/dw = x^T @ g    dL/db = sum over the rows of g
    """

    def __init__(self, activation: str | None = None) -> None:
        self.activation = activation

    @property
    def label(self) -> str:
        return super().label + " + ReLU" * bool(self.activation)

    def forward(self, x: Array, w: Array, b: Array | None = None) -> Array:
        y = self.backend.matmul(x, w, bias=b, activation=self.activation)
        need_x, need_w, *_ = self.needs_input_grad
        self.save(x if need_w else None, w if need_x else None, y if self.activation else None)
        return y

    def backward(self, g: Array) -> tuple[Array | None, ...]:
        x, w, y = self.saved
        if y is not None:
            g = self.backend.relu_backward(g, y)
        need_x, need_w, *need_b = self.needs_input_grad
        ops = self.backend
        grad_x = ops.matmul(g, w, transpose_b=True) if need_x else None
        grad_w = ops.matmul(x, g, transpose_a=True) if need_w else None
        return grad_x, grad_w, *(ops.bias_grad(g) if need else None for need in need_b)


def conv2d(
    x: Operand,
    w: Operand,
    b: Operand | None = None,
    *,
    stride: PairArg = 1,
    padding: PaddingArg = 0,
    dilation: PairArg = 1,
    groups: int = 1,
    activation: str | None = None,
    pool: PoolArg | None = None,
) -> Tensor:
    """Cross-correlation of x (N, C, H, W) with w (F, C/groups, KH, KW), plus b (F,).

    `gpucnn.ops.conv2d_forward` explains the options, the result and the errors. `pool` is a tuple
    (kernel, stride, padding) of a `max_pool2d` that follows; both run as one call.
    """
    function = Conv2d(stride, padding, dilation, groups, activation, pool)
    return function(x, w) if b is None else function(x, w, b)


def linear(
    x: Operand, w: Operand, b: Operand | None = None, *, activation: str | None = None
) -> Tensor:
    """activation(x @ w + b) of x (N, in), w (in, out) and b (out,); activation None or "relu"."""
    function = Linear(activation)
    return function(x, w) if b is None else function(x, w, b)
