"""ReLU and softmax."""

from __future__ import annotations

from gpucnn.backend import of
from gpucnn.backend.contract import Array
from gpucnn.errors import ShapeError
from gpucnn.operands import as_floats
from gpucnn.ops.dispatch import backend_of, primitive


@primitive
def relu_forward(x: Array) -> Array:
    """y = max(x, 0) of an array of any shape; a NaN stays NaN. `relu_backward` takes y."""
    backend = of(x)
    with backend.quiet_device():
        return backend.xp.maximum(x, 0)


@primitive
def relu_backward(grad_y: Array, y: Array) -> Array:
    """grad_x = grad_y where y > 0, else 0.

    Args:
        grad_y: shape of y.
        y: the output of the ReLU, of any shape.

    Returns:
        grad_x: shape of y.
    """
    backend = backend_of("relu_backward", grad_y=grad_y, y=y)
    return backend.relu_backward(grad_y, y)


@primitive
def softmax(x: Array, axis: int = -1) -> Array:
    """exp(x) / sum(exp(x)) along an axis; stable for scores of any size.

    Raises:
        ShapeError: there is no such axis, or it has no elements.
    """
    backend = of(x)
    whole = hasattr(axis, "__index__")
    if not whole or axis not in range(-x.ndim, x.ndim) or not x.shape[axis]:
        raise ShapeError(
            f"softmax over axis {axis!r} of an array of shape {x.shape}",
            cause="there is no such axis, or it has no elements",
            fix="give the axis of the classes, axis=-1 for the last",
        )
    with backend.quiet_device():
        (x,) = as_floats([x])
        # The maximum cancels in the quotient; without it exp overflows at 89.
        e = backend.xp.exp(x - x.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)
