"""How a primitive finds the backend of its arrays."""

from __future__ import annotations

from gpucnn.backend import Backend, of
from gpucnn.backend.contract import Array
from gpucnn.errors import DtypeError


def backend_of(name: str, *optional: Array | None, **required: Array) -> Backend:
    """The backend on which the arrays of the primitive `name` lie; `optional` ones may be None.

    Raises:
        DtypeError: a required array is None, one is no array, or they lie on different devices.
    """
    for key, array in required.items():
        if array is None:
            raise DtypeError(f"{name}: {key} is None", fix="pass an array")
    return of(*required.values(), *optional)
