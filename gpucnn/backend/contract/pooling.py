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
        """Maximum of each window: y[n,c,oh,ow] = max_{kh,kw} x[n,c,oh*s+kh-p,ow*s+kw-p].

        Padding counts as -inf. The first maximum in row-major order wins a tie. A NaN counts as
        greater than all, so it propagates.

        Args:
            x: (N, C, H, W).
            kernel: pixels of the window, an int or (h, w).
            stride: pixels from one window to the next; None for the kernel, so that they touch.
            padding: around the image: an int, (h, w), ((top, bottom), (left, right)), "valid" for
                none, or "same" for OH = ceil(H / stride). It must be smaller than the kernel.

        Returns:
            y: (N, C, OH, OW), and argmax: an opaque array for `max_pool2d_backward`.
        """
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
        """Each output's gradient goes to the input pixel that was its maximum.

        Args:
            grad_y: (N, C, OH, OW).
            argmax: what `max_pool2d_forward` returned.
            x_shape: (N, C, H, W) of the input.
            kernel, stride, padding: as in `max_pool2d_forward`.

        Returns:
            grad_x: (N, C, H, W).
        """
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
        """Mean of each window: y[n,c,oh,ow] = sum_{kh,kw} x[n,c,oh*s+kh-p,ow*s+kw-p] / count.

        `count` is KH*KW, or without the padding the window's pixels inside the image.

        Args:
            x: (N, C, H, W).
            kernel, stride, padding: as in `max_pool2d_forward`.
            count_include_pad: whether the padding counts, as zeros. None: not with padding="same",
                as in Keras, TensorFlow and ONNX; otherwise yes, as in PyTorch.

        Returns:
            y: (N, C, OH, OW).
        """
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
        """Each output's gradient is shared out evenly over the pixels that its window counted.

        Args:
            grad_y: (N, C, OH, OW).
            x_shape: (N, C, H, W) of the input.
            kernel, stride, padding, count_include_pad: as in `avg_pool2d_forward`.

        Returns:
            grad_x: (N, C, H, W).
        """
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
