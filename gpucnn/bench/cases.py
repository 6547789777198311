"""One primitive on one shape: what it costs, how it is checked, and PyTorch's counterpart."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn.bench import verify
from gpucnn.bench.session import Rivals, Work
from gpucnn.bench.stopwatch import Call

if TYPE_CHECKING:
    from gpucnn.bench.session import Bench

Array = NDArray[Any]
Oracle = Callable[[], Array | verify.Expected]
Theirs = Callable[..., Call]


class Case(NamedTuple):
    """A primitive on one shape.

    Attributes:
        name, case: as in `Row`.
        flop: a multiply-add counts as two, a comparison as one.
        values: read and written, of the call's dtype.
        prepare: makes the arrays.
        more: bytes read and written of other dtypes.
    """

    name: str
    case: str
    flop: float
    values: float
    prepare: Callable[[Bench], Work]
    more: float = 0


def work(
    bench: Bench,
    run: Call,
    oracle: Oracle,
    terms: int,
    theirs: Theirs | None = None,
    arrays: tuple[Array, ...] = (),
) -> Work:
    """A call whose result, an array or several, is compared with what `oracle` gives.

    Args:
        terms: in the longest sum of a result; 0 for results that are exact.
        theirs: (torch, *tensors) -> PyTorch's call; None where it has no such operation.
        arrays: those that `theirs` gets as tensors; with four axes in both layouts.
    """

    def check() -> tuple[float, float]:
        expected = oracle()
        if not isinstance(expected, verify.Expected):
            expected = verify.Expected(expected)
        result = run()
        parts = list(result) if isinstance(result, tuple) else [result]
        found = joined(*map(bench.backend.to_numpy, parts))
        return verify.relative_error(found, expected), verify.bound(terms, bench.options.dtype)

    return Work(run, check, rivals(bench, theirs, arrays) if theirs else {})


def joined(*parts: Array) -> Array:
    """One array as it is, several in a row."""
    return parts[0] if len(parts) == 1 else np.concatenate([part.ravel() for part in parts])


def named(shape: tuple[int, ...]) -> str:
    """As in: 128x64x24x24"""
    return "x".join(map(str, shape))


def rivals(bench: Bench, theirs: Theirs, arrays: tuple[Array, ...]) -> Rivals:
    """PyTorch's call by layout, of each baseline; images are in both layouts."""
    has_images = any(array.ndim == 4 for array in arrays)
    return {
        name: {
            layout: theirs(
                peer.torch,
                *(peer.array(a, layout) if a.ndim == 4 else peer.array(a) for a in arrays),
            )
            for layout in (peer.layouts if has_images else peer.layouts[:1])
        }
        for name, peer in bench.baselines.items()
    }
