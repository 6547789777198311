"""Dropout."""

from __future__ import annotations

from gpucnn.backend.contract import Array, Scalar
from gpucnn.ops.dispatch import backend_of, primitive


@primitive
def dropout_forward(
    x: Array, rate: float, *, key: tuple[int, int], step: Scalar
) -> tuple[Array, Array]:
    """y = x * mask / (1 - rate), with the mask of `gpucnn.random.dropout_mask` (inverted dropout).

    Args:
        x: any shape.
        rate: the fraction of elements that are set to zero, in [0, 1).
        key: of the random stream, from `gpucnn.random.stream_key`.
        step: of the stream, an int or a uint32 array (1,) of the device of x.

    Returns:
        y: shape of x; mask: uint8, shape of x, 1 where an element is kept.
    """
    backend = backend_of("dropout_forward", x=x)
    return backend.dropout_forward(x, rate, key=key, step=step)


@primitive
def dropout_backward(grad_y: Array, mask: Array, rate: float) -> Array:
    """grad_x = grad_y * mask / (1 - rate).

    Args:
        grad_y: any shape.
        mask: uint8, shape of grad_y, from `dropout_forward`.
        rate: of the forward call.

    Returns:
        grad_x: shape of grad_y.
    """
    backend = backend_of("dropout_backward", grad_y=grad_y, mask=mask)
    return backend.dropout_backward(grad_y, mask, rate)
