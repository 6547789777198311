"""The tensor cores' instructions and their twins in the kernels' sources, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.parametrize("launcher", ["assembly", "ucontext", "ptx"], indirect=True)


def rounded(x, bits, ties):
    """Floats of `bits` significant bits, to nearest; ties "away" from zero or to "even"."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    scaled = np.ldexp(mantissa, bits)
    whole = np.rint(scaled)
    if ties == "away":
        whole = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
    return np.ldexp(whole, exponent - bits).astype(np.float32)


FORMATS = {"tf32": (8, 11, "away"), "bf16": (16, 8, "even")}  # K, significant bits, ties


@pytest.mark.parametrize("kind", FORMATS)
def test_product(launcher, rng, kind):
    K, bits, ties = FORMATS[kind]
    a = rng.standard_normal((16, K)).astype(np.float32)
    b = rng.standard_normal((K, 8)).astype(np.float32)
    c = rng.standard_normal((16, 8)).astype(np.float32)
    d = launcher.asarray(c)
    launcher.launch(
        "tensor_cores", f"product_{kind}", 1, 32, launcher.asarray(a), launcher.asarray(b), d
    )
    left, right = (rounded(m, bits, ties).astype(np.float64) for m in (a, b))
    # Products of such short numbers are exact in float32; K additions round.
    bound = K * np.finfo(np.float32).eps * (np.abs(left) @ np.abs(right) + np.abs(c))
    assert (np.abs(launcher.to_numpy(d) - (c + left @ right)) <= bound).all()


def test_rounding(launcher, rng):
    halfway = np.array([1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 1 + 3 * 2**-8, 1 - 2**-12])
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 2.0**-120, 3e38]
    x = np.concatenate([halfway, -halfway, special, rng.standard_normal(47)]).astype(np.float32)
    tf32, low, high = (launcher.empty(x.shape, np.float32) for _ in range(3))
    launcher.launch("tensor_cores", "rounded", 1, x.size, launcher.asarray(x), tf32, low, high)
    np.testing.assert_array_equal(launcher.to_numpy(tf32), rounded(x, 11, "away"))
    np.testing.assert_array_equal(launcher.to_numpy(low), rounded(x, 8, "even"))
    np.testing.assert_array_equal(launcher.to_numpy(high), rounded(-x, 8, "even"))
