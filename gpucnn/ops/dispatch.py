"""How a primitive takes its arguments, and finds the backend of its arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from gpucnn.backend import Backend, of
from gpucnn.backend.contract import Array, names_of_windows
from gpucnn.errors import DtypeError
from gpucnn.interchange import native

Called = TypeVar("Called", bound=Callable[..., Any])


def primitive(function: Called) -> Called:
    """A decorator: arrays may be of other libraries, and names of their arguments are explained."""

    @functools.wraps(function)
    def with_native_arrays(*args: Any, **kwargs: Any) -> Any:
        given = {name: _native(value) for name, value in kwargs.items()}
        return function(*map(_native, args), **given)

    return names_of_windows(cast(Called, with_native_arrays))


def _native(value: Any) -> Any:
    """An argument, which may be a list of arrays, with the arrays as ours."""
    return [native(each) for each in value] if type(value) is list else native(value)


def backend_of(name: str, *optional: Array | None, **required: Array) -> Backend:
    """The backend on which the arrays of the primitive `name` lie; `optional` ones may be None.

    Raises:
        DtypeError: a required array is None, one is no array, or they lie on different devices.
    """
    for key, array in required.items():
        if array is None:
            raise DtypeError(f"{name}: {key} is None", fix="pass an array")
    return of(*required.values(), *optional)
