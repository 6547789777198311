"""Convolution, alone and with the ReLU and the maximum pooling that follow it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from gpucnn.backend.contract.activation import Activation
from gpucnn.backend.contract.arrays import Array
from gpucnn.backend.contract.checks import check_activation, check_channels, check_shape
from gpucnn.backend.contract.pooling import Pooling
from gpucnn.errors import DtypeError, ShapeError, UsageError
from gpucnn.shapes import (
    Conv2dGeometry,
    PaddingArg,
    PairArg,
    Pool2dGeometry,
    conv2d_geometry,
    pool2d_geometry,
)

PoolArg = tuple[PairArg, PairArg | None, PaddingArg]  # kernel, stride (None: the kernel), padding


class Convolution(Pooling, Activation):
    """Weights are (F, C/groups, KH, KW), activations (N, C, H, W)."""

    def conv2d_forward(
        self,
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
        """Convolution plus bias, then the activation: see `gpucnn.ops.conv2d_forward`."""
        self._check_floats(x=x, w=w, b=b)
        check_activation(activation)
        geometry = conv2d_geometry(x.shape, w.shape, stride, padding, dilation, groups)
        if b is not None:
            check_shape("bias", b, (geometry.F,))
        return self._conv2d_forward(x, w, b, geometry, activation)

    @abstractmethod
    def _conv2d_forward(
        self, x: Array, w: Array, b: Array | None, g: Conv2dGeometry, activation: str | None
    ) -> Array: ...

    def conv2d_backward_input(
        self,
        grad_y: Array,
        w: Array,
        x_shape: Sequence[int],
        *,
        stride: PairArg = 1,
        padding: PaddingArg = 0,
        dilation: PairArg = 1,
        groups: int = 1,
    ) -> Array:
        """The gradient by the input of a convolution: see `gpucnn.ops.conv2d_backward_input`."""
        self._check_floats(grad_y=grad_y, w=w)
        geometry = conv2d_geometry(x_shape, w.shape, stride, padding, dilation, groups)
        check_shape("grad_y", grad_y, geometry.y_shape)
        return self._conv2d_backward_input(grad_y, w, geometry)

    @abstractmethod
    def _conv2d_backward_input(self, grad_y: Array, w: Array, g: Conv2dGeometry) -> Array: ...

    def conv2d_backward_weight(
        self,
        grad_y: Array,
        x: Array,
        w_shape: Sequence[int],
        *,
        stride: PairArg = 1,
        padding: PaddingArg = 0,
        dilation: PairArg = 1,
        groups: int = 1,
    ) -> Array:
        """The gradient by the weight of a convolution: see `gpucnn.ops.conv2d_backward_weight`."""
        self._check_floats(grad_y=grad_y, x=x)
        geometry = conv2d_geometry(x.shape, w_shape, stride, padding, dilation, groups)
        check_shape("grad_y", grad_y, geometry.y_shape)
        return self._conv2d_backward_weight(grad_y, x, geometry)

    @abstractmethod
    def _conv2d_backward_weight(self, grad_y: Array, x: Array, g: Conv2dGeometry) -> Array: ...

    def bias_grad(self, grad_y: Array) -> Array:
        """The gradient by a bias, the sum of each channel: see `gpucnn.ops.bias_grad`."""
        self._check_floats(grad_y=grad_y)
        check_channels("grad_y", grad_y)
        return self._bias_grad(grad_y)

    @abstractmethod
    def _bias_grad(self, grad_y: Array) -> Array: ...

    def conv2d_relu_pool_forward(
        self,
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
        """Convolution, ReLU and max pooling: see `gpucnn.ops.conv2d_relu_pool_forward`."""
        self._check_floats(x=x, w=w, b=b)
        check_activation(activation)
        geometry = conv2d_geometry(x.shape, w.shape, stride, padding, dilation, groups)
        if b is not None:
            check_shape("bias", b, (geometry.F,))
        pooling = _pooling(geometry, pool)
        return self._conv2d_relu_pool_forward(x, w, b, geometry, activation, pooling)

    # Not abstract: a backend that can do a block at once replaces these two.
    def _conv2d_relu_pool_forward(
        self,
        x: Array,
        w: Array,
        b: Array | None,
        g: Conv2dGeometry,
        activation: str | None,
        pool: Pool2dGeometry | None,
    ) -> tuple[Array, Array | None]:
        """Two steps; a backend that fuses them overrides this and the backward."""
        y = self._conv2d_forward(x, w, b, g, activation)
        return (y, None) if pool is None else self._max_pool2d_forward(y, pool)

    def conv2d_relu_pool_backward(
        self,
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
        """All gradients of the forward call: see `gpucnn.ops.conv2d_relu_pool_backward`."""
        self._check_floats(grad_y=grad_y, x=x, w=w, y=y)
        geometry = conv2d_geometry(x.shape, w.shape, stride, padding, dilation, groups)
        pooling = _pooling(geometry, pool)
        y_shape = geometry.y_shape if pooling is None else pooling.y_shape
        check_shape("grad_y", grad_y, y_shape)
        if y is not None:
            check_shape("y", y, y_shape)
        if pooling is None:
            argmax = None
        elif argmax is None:
            raise DtypeError(
                "argmax is None",
                cause="there is a pool, and its gradient goes to the pixels that argmax names",
                fix="pass what conv2d_relu_pool_forward returned beside y",
            )
        else:
            self._check_integers(argmax=argmax)
            check_shape("argmax", argmax, y_shape)
        if len(needs) != 3:
            raise UsageError(
                f"needs is {needs!r}",
                cause="it says whether grad_x, grad_w and grad_b are wanted",
                fix="give needs=(True, True, True)",
            )
        return self._conv2d_relu_pool_backward(grad_y, x, w, y, argmax, geometry, pooling, needs)

    def _conv2d_relu_pool_backward(
        self,
        grad_y: Array,
        x: Array,
        w: Array,
        y: Array | None,
        argmax: Array | None,
        g: Conv2dGeometry,
        pool: Pool2dGeometry | None,
        needs: tuple[bool, bool, bool],
    ) -> tuple[Array | None, Array | None, Array | None]:
        """One step after the other."""
        if y is not None:
            grad_y = self._relu_backward(grad_y, y)
        if pool is not None:
            grad_y = self._max_pool2d_backward(grad_y, argmax, pool)
        need_x, need_w, need_b = needs
        return (
            self._conv2d_backward_input(grad_y, w, g) if need_x else None,
            self._conv2d_backward_weight(grad_y, x, g) if need_w else None,
            self._bias_grad(grad_y) if need_b else None,
        )


def _pooling(geometry: Conv2dGeometry, pool: PoolArg | None) -> Pool2dGeometry | None:
    if pool is None:
        return None
    if not isinstance(pool, tuple) or len(pool) != 3:
        raise ShapeError(
            f"pool is {pool!r}",
            cause="it must be (kernel, stride, padding) or None",
            fix="give pool=(2, 2, 0), or pool=(2, None, 0) for a stride as large as the kernel",
        )
    return pool2d_geometry(geometry.y_shape, *pool)
