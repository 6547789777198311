"""How far a result may be from its oracle, and whether a gradient is one.

The bound on a float32 result is 4 u sqrt(K), u = 2^-24 the unit roundoff and K the number of
terms that each output adds up: rounding errors of K additions behave as a random walk of K
steps of size u (Higham and Mary 2019), and 4 is the room left for the order of the additions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpucnn.autograd import Tensor

Array = np.ndarray[Any, Any]
UNIT_ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}
GRADIENT_BOUND = 1e-6


def tolerance(dtype: Any, terms: int = 1) -> float:
    """The bound on the relative L2 error of sums of ``terms`` terms."""
    return 4 * UNIT_ROUNDOFF[np.dtype(dtype).name] * math.sqrt(max(terms, 1))


def relative_l2(got: Array, want: Array) -> float:
    """|got - want| / |want| in float64; the plain difference where want is zero."""
    difference = float(np.linalg.norm((got.astype(np.float64) - want).ravel()))
    return difference / (float(np.linalg.norm(want.ravel())) or 1.0)


def assert_close(got: Any, want: Array, terms: int = 1, what: str = "result") -> None:
    """``got`` (a NumPy array) has the shape of the oracle's ``want`` and is within its bound.

    An oracle's result is float64, so the bound is that of ``got``'s type. The oracle's own
    rounding is why a float64 result is given twice the bound.
    """
    assert isinstance(got, np.ndarray), f"{what}: a NumPy array was expected, got {type(got)}"
    assert got.shape == want.shape, f"{what}: shape {got.shape}, the oracle's is {want.shape}"
    assert np.isfinite(want).all(), f"{what}: the oracle's values must be finite"
    bound = tolerance(got.dtype, terms) * (2 if got.dtype == np.float64 else 1)
    error = relative_l2(got, want)
    if not error <= bound:
        worst = np.unravel_index(np.argmax(np.abs(got - want)), want.shape)
        raise AssertionError(
            f"{what}: relative L2 error {error:.3g} > {bound:.3g} ({terms} terms); the worst is "
            f"at {tuple(map(int, worst))}: {got[worst]!r}, the oracle says {want[worst]!r}"
        )


def assert_same_bits(got: Any, want: Any, what: str = "result") -> None:
    """Equal in type, shape and every bit (NaN equals itself)."""
    assert (got.dtype, got.shape) == (want.dtype, want.shape), what
    assert got.tobytes() == want.tobytes(), f"{what}: bits differ"


def inner(a: Array, b: Array) -> float:
    """<a, b>, correctly rounded."""
    return math.fsum((a.astype(np.float64) * b.astype(np.float64)).ravel().tolist())


def assert_adjoint(pairs: Sequence[tuple[Array, Array]], what: str = "adjoint") -> None:
    """All the inner products are the same number: a linear map and its adjoints.

    The bound is relative to the sum of the absolute products, not to their sum, which may be
    zero: float64 roundoff of as many terms as the longest pair has, each of them itself a sum.
    """
    values = [inner(a, b) for a, b in pairs]
    size = max(inner(np.abs(a), np.abs(b)) for a, b in pairs)
    terms = max(a.size for a, _ in pairs)
    assert max(values) - min(values) <= 8 * tolerance(np.float64, terms) * size, (
        f"{what}: {values} are not one number"
    )


def check_gradient(
    backend: Any, function: Callable[..., Any], *inputs: Array, what: str = ""
) -> None:
    """Hold ``backward`` of a function of Tensors to finite differences, input by input.

    With L = <function(inputs), g> for a random g, the derivative of L along a random direction d
    of one input is <dL/dinput, d>; it is measured by a central difference of fourth order,
    (8 (L(h) - L(-h)) - (L(2h) - L(-2h))) / 12h, whose error at h = 1e-4 is about 1e-11 |L|.

    Args:
        function: of as many Tensors as there are inputs, to a Tensor.
        inputs: float64 NumPy arrays, off the kinks of the function by 1e-2 or more.
    """
    rng = np.random.default_rng(20150210)

    def run(arrays: Sequence[Array], wanted: Sequence[int] = ()) -> tuple[Tensor, list[Tensor]]:
        leaves = [
            Tensor(backend.asarray(a.copy()), requires_grad=i in wanted)
            for i, a in enumerate(arrays)
        ]
        return function(*leaves), leaves

    def gradients(wanted: Sequence[int]) -> dict[int, Array]:
        output, leaves = run(inputs, wanted)
        output.backward(backend.asarray(upstream))
        for i, leaf in enumerate(leaves):
            assert (leaf.grad is not None) == (i in wanted), f"{what}: input {i} unasked"
        return {i: backend.to_numpy(leaves[i].grad) for i in wanted}

    upstream = rng.standard_normal(run(inputs)[0].shape)
    together = gradients(range(len(inputs)))
    for i, gradient in together.items():
        where = f"{what} input {i} of shape {inputs[i].shape}"
        assert_same_bits(gradients([i])[i], gradient, f"{where}: the gradient asked for alone")
        assert gradient.dtype == np.float64, f"{where}: a gradient of {gradient.dtype}"
        assert gradient.shape == inputs[i].shape, f"{where}: a gradient of {gradient.shape}"
        for _ in range(2):
            direction = np.asarray(rng.standard_normal(inputs[i].shape))

            def moved(t: float, i: int = i, direction: Array = direction) -> float:
                arrays = [x + t * direction if k == i else x for k, x in enumerate(inputs)]
                return inner(run(arrays)[0].numpy(), upstream)

            h = 1e-4
            expected = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
            found = inner(gradient, direction)
            error = abs(expected - found) / max(abs(expected), abs(found), 1e-6)
            assert error < GRADIENT_BOUND, (
                f"{where}: along a direction {found!r}, by finite differences {expected!r}, "
                f"relative error {error:.2g}"
            )


def graph_functions(output: Tensor) -> set[type]:
    """The classes of all Functions between a Tensor and its leaves."""
    found: set[type] = set()
    todo: list[Any] = [output.creator]
    while todo:
        creator = todo.pop()
        if creator is not None:
            found.add(type(creator))
            todo.extend(tensor.creator for tensor in creator.inputs)
    return found


LAYOUTS = ("C", "F", "every second", "reversed")


def arrange(backend: Any, array: Array, layout: str) -> Any:
    """The array on the backend, with the same values in another order of memory."""
    if layout == "F":
        return backend.asarray(array.T.copy()).T
    if layout == "every second":
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), 7, dtype=array.dtype)
        wide[..., ::2] = array
        return backend.asarray(wide)[..., ::2]
    if layout == "reversed":
        backwards = (slice(None, None, -1),) * array.ndim
        return backend.asarray(np.ascontiguousarray(array[backwards]))[backwards]
    return backend.asarray(array.copy())
