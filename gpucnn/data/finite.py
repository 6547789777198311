"""The check that numbers are finite, which names the first element that is not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import storage
from gpucnn.errors import DataError


def require_finite(
    array: NDArray[Any], where: str, places: NDArray[Any] | None = None, dtype: Any = None
) -> None:
    """Check that numbers are finite.

    Args:
        array: (N, ...).
        where: the description of an element for the message, with {} for its number.
        places: (N,), the number of each element; by default from 0.
        dtype: the type in which they must be finite, too; float32 has no number above 3.4e38.

    Raises:
        DataError: there is a NaN or an infinity.
    """
    if array.dtype.kind != "f":
        return

    def are_bad(values: NDArray[Any]) -> NDArray[np.bool_]:
        with np.errstate(over="ignore"):
            return ~np.isfinite(values.astype(dtype or values.dtype, copy=False))

    if (place := storage.first(array, are_bad)) is None:
        return
    index = place[0]
    values = np.atleast_1d(array[index])
    # Not `format`: the name of a data set may have braces.
    element = where.replace("{}", str(index if places is None else places[index]), 1)
    worst = "NaN" if np.isnan(values).any() else "infinity"
    cause, fix = None, "leave it out, or replace it, as numpy.nan_to_num does"
    if np.isfinite(values).all():
        cause = f"{values[are_bad(values)][0]:g} is infinite as {np.dtype(dtype)}"
        fix = "scale the numbers, as in x / abs(x).max()"
    raise DataError(f"{element} holds {worst}", cause=cause, fix=fix)
