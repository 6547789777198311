"""A batch of a data set."""

from __future__ import annotations

from gpucnn.backend.contract import Array
from gpucnn.ops.dispatch import backend_of, primitive


@primitive
def gather(dataset: Array, indices: Array, *, scale: float = 1.0, offset: float = 0.0) -> Array:
    """A batch of a uint8 data set as floats: out[i] = dataset[indices[i]] * scale + offset.

    Args:
        dataset: uint8 (M, ...).
        indices: integers (B,) in [0, M). An index outside of that gives a row of NaN.
        scale, offset: numbers.

    Returns:
        out: float32 (B, ...).
    """
    backend = backend_of("gather", dataset=dataset, indices=indices)
    return backend.gather(dataset, indices, scale=scale, offset=offset)


@primitive
def gather_rows(rows: Array, indices: Array) -> Array:
    """A batch of labels, weights or float images as they are: out[i] = rows[indices[i]].

    Args:
        rows: (M, ...), of a dtype of 4 or 8 bytes an element.
        indices: integers (B,) in [0, M). An index outside of that gives a row with all bits set:
            NaN in floats, -1 in integers.

    Returns:
        out: (B, ...) of the dtype of rows.
    """
    return backend_of("gather_rows", rows=rows, indices=indices).gather_rows(rows, indices)
