"""Pooling: the maximum or the mean of each window."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from gpucnn.backend.contract.arrays import Array
from gpucnn.backend.contract.checks import Checks, check_shape
from gpucnn.errors import UsageError
from gpucnn.shapes import PaddingArg, PairArg, Pool2dGeometry, is_same, pool2d_geometry


class Pooling(Checks):
    """Activations are (N, C, H, W)."""

    def max_pool2d_forward(
        self,
        x: Array,
        kernel: PairArg,
        *,
        stride: PairArg | None = None,
        padding: PaddingArg = 0,
    ) -> tuple[Array, Array]:
        """The maximum of each window, and its pixel: see `gpucnn.ops.max_pool2d_forward`."""
        self._check_floats(x=x)
        return self._max_pool2d_forward(x, pool2d_geometry(x.shape, kernel, stride, padding))

    @abstractmethod
    def _max_pool2d_forward(self, x: Array, g: Pool2dGeometry) -> tuple[Array, Array]: ...

    def max_pool2d_backward(
        self,
        grad_y: Array,
        argmax: Array,
        x_shape: Sequence[int],
        kernel: PairArg,
        *,
        stride: PairArg | None = None,
        padding: PaddingArg = 0,
    ) -> Array:
        """The gradient of the maximum of each window: see `gpucnn.ops.max_pool2d_backward`."""
        self._check_floats(grad_y=grad_y)
        self._check_integers(argmax=argmax)
        geometry = pool2d_geometry(x_shape, kernel, stride, padding)
        check_shape("grad_y", grad_y, geometry.y_shape)
        check_shape("argmax", argmax, geometry.y_shape)
        return self._max_pool2d_backward(grad_y, argmax, geometry)

    @abstractmethod
    def _max_pool2d_backward(self, grad_y: Array, argmax: Array, g: Pool2dGeometry) -> Array: ...

    def avg_pool2d_forward(
        self,
        x: Array,
        kernel: PairArg,
        *,
        stride: PairArg | None = None,
        padding: PaddingArg = 0,
        count_include_pad: bool | None = None,
    ) -> Array:
        """The mean of each window: see `gpucnn.ops.avg_pool2d_forward`."""
        self._check_floats(x=x)
        geometry = pool2d_geometry(x.shape, kernel, stride, padding)
        counted = _counts_padding(padding, count_include_pad)
        return self._avg_pool2d_forward(x, geometry, counted)

    @abstractmethod
    def _avg_pool2d_forward(
        self, x: Array, g: Pool2dGeometry, count_include_pad: bool
    ) -> Array: ...

    def avg_pool2d_backward(
        self,
        grad_y: Array,
        x_shape: Sequence[int],
        kernel: PairArg,
        *,
        stride: PairArg | None = None,
        padding: PaddingArg = 0,
        count_include_pad: bool | None = None,
    ) -> Array:
        """The gradient of the mean of each window: see `gpucnn.ops.avg_pool2d_backward`."""
        self._check_floats(grad_y=grad_y)
        geometry = pool2d_geometry(x_shape, kernel, stride, padding)
        check_shape("grad_y", grad_y, geometry.y_shape)
        counted = _counts_padding(padding, count_include_pad)
        return self._avg_pool2d_backward(grad_y, geometry, counted)

    @abstractmethod
    def _avg_pool2d_backward(
        self, grad_y: Array, g: Pool2dGeometry, count_include_pad: bool
    ) -> Array: ...


def _counts_padding(padding: PaddingArg, count_include_pad: bool | None) -> bool:
    """Whether an average counts the pixels of the padding; see `Pooling.avg_pool2d_forward`."""
    if count_include_pad not in (None, False, True):
        raise UsageError(
            f"count_include_pad is {count_include_pad!r}",
            cause="it says whether the padding is counted",
            fix='give True, False, or None, which is False with padding="same" and else True',
        )
    return not is_same(padding) if count_include_pad is None else bool(count_include_pad)
