"""Operations on arrays that are known before the network runs: weights, and sizes for a reshape."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpucnn.onnx.array_operations import ranges
from gpucnn.onnx.building import Array, Builder, Unsupported, array, holds_batch, numbers

_LARGEST = 2**24  # numbers of an array that is computed from others
_TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float32, 11: np.float32}


def constant(b: Builder) -> Array:
    """The array that the node itself holds."""
    for name, dtype in (("float", np.float32), ("int", np.int64)):
        for form in (f"value_{name}", f"value_{name}s"):
            if form in b.node.attributes:
                return np.array(b.option(form), dtype)
    return np.asarray(b.option("value"))


def _arithmetic(function: Callable[..., Any]) -> Callable[..., Array]:
    def compute(b: Builder, x: Array, y: Array) -> Array:
        _check_size(math.prod(np.broadcast_shapes(x.shape, y.shape)))
        return np.asarray(function(*(array(each, "a size") for each in (x, y))))

    return compute


def _divide(x: Array, y: Array) -> Any:
    return x / y if x.dtype.kind == "f" else x // y  # sizes are not negative


def _cast(b: Builder, x: Array) -> Array:
    if b.option("to") not in _TYPES:
        raise Unsupported("it converts to another type")
    dtype = np.dtype(_TYPES[b.option("to")])
    if holds_batch(x) and dtype.kind != "i":
        raise Unsupported(f"it converts the batch size to {dtype}")
    return x.astype(dtype)


def _gather(b: Builder, x: Array, where: Array) -> Array:
    axis = b.option("axis", 0)
    _check_size(where.size * x.size // max(x.shape[axis], 1))
    return np.asarray(x.take(where, axis))


def _concat(b: Builder, *arrays: Array) -> Array:
    _check_size(sum(each.size for each in arrays))
    return np.concatenate(arrays, b.option("axis"))


def _reshape(b: Builder, x: Array, shape: Array) -> Array:
    sizes = numbers(shape, "its shape", may_hold_batch=True)
    kept = [x.shape[k] if n == 0 else int(n) for k, n in enumerate(sizes)]
    return x.reshape(kept)


def _squeeze(b: Builder, x: Array, axes: Array | None = None) -> Array:
    given = b.setting("axes", axes)
    return x.squeeze(None if given is None else tuple(given))


def _unsqueeze(b: Builder, x: Array, axes: Array | None = None) -> Array:
    return np.expand_dims(x, tuple(b.setting("axes", axes)))


def _slice(b: Builder, x: Array, *given: Array) -> Array:
    parts = [slice(None)] * x.ndim
    for axis, part in ranges(b, *given).items():
        parts[axis] = part
    return x[tuple(parts)]


def _filled(b: Builder, shape: Array) -> Array:
    sizes = numbers(shape, "its shape", may_hold_batch=True)
    _check_size(math.prod(sizes))
    value = np.asarray(b.option("value", np.zeros(1, np.float32)))
    return np.full(sizes, value.reshape(-1)[0])


def _check_size(count: int) -> None:
    if not 0 <= count <= _LARGEST:
        raise Unsupported(f"a constant has more than {_LARGEST:,} numbers")


CONSTANTS: dict[str, Callable[..., Array]] = {
    "Add": _arithmetic(np.add),
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Div": _arithmetic(_divide),
    "Gather": _gather,
    "Identity": lambda b, x: x,
    "Mul": _arithmetic(np.multiply),
    "Reshape": _reshape,
    "Shape": lambda b, x: np.array(x.shape, np.int64)[b.option("start", 0) : b.option("end")],
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": _arithmetic(np.subtract),
    "Transpose": lambda b, x: x.transpose(b.option("perm")),
    "Unsqueeze": _unsqueeze,
}
