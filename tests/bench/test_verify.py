"""The oracles are those of the reference loops, and the comparison lets nothing wrong through."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference

from gpucnn.bench import verify
from gpucnn.bench.shapes import Convolution
from gpucnn.bench.verify import Expected, relative_error

SHAPES = [
    Convolution("", 2, 3, 9, 7, 5, 3, 2, 2, 1),
    Convolution("", 3, 2, 6, 8, 4, 2, 3, 1, 0),
    Convolution("", 1, 70, 5, 5, 70, 1, 1, 2, 0),  # more weights than are sampled
    Convolution("", 2, 1, 8, 8, 3, 5, 5, 3, 2),
]
PASSES = ("forward", "backward_input", "backward_weight")


def both(s: Convolution, name: str, rng: np.random.Generator) -> tuple[Expected, np.ndarray]:
    """Ours, and the loops'."""
    x, w, g = (rng.standard_normal(shape) for shape in (s.x_shape, s.w_shape, s.y_shape))
    how = {"stride": s.stride, "padding": s.padding}
    if name == "forward":
        return verify.conv2d_forward(s, x, w, rng), reference.conv2d_forward(x, w, **how)
    if name == "backward_input":
        loops = reference.conv2d_backward_input(g, w, s.x_shape, **how)
        return verify.conv2d_backward_input(s, g, w, rng), loops
    loops = reference.conv2d_backward_weight(g, x, s.w_shape, **how)
    return verify.conv2d_backward_weight(s, g, x, rng), loops


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("s", SHAPES, ids=lambda s: s.name)
@pytest.mark.parametrize("sampled_from", [1e9, 0])
def test_convolution(monkeypatch, rng, s, name, sampled_from):
    monkeypatch.setattr(verify, "SAMPLED_FROM", sampled_from)
    expected, loops = both(s, name, rng)
    assert (expected.at is ...) is (sampled_from > 0)
    assert relative_error(loops, expected) < 1e-14
    assert relative_error(loops * (1 + 1e-9), expected) == pytest.approx(1e-9, rel=1e-3)


def test_the_first_and_the_last_are_always_among_the_sampled(rng):
    places = verify._places((3, 5, 70, 70), rng)
    assert [int(axis[0]) for axis in places] == [0, 0, 0, 0]
    assert [int(axis[-1]) for axis in places] == [2, 4, 69, 69]
    assert len(set(zip(*places, strict=True))) > 0.9 * verify.SAMPLES


@pytest.mark.parametrize("sampled_from", [1e9, 0])
def test_matmul(monkeypatch, rng, sampled_from):
    monkeypatch.setattr(verify, "SAMPLED_FROM", sampled_from)
    a, b = rng.standard_normal((100, 30)), rng.standard_normal((30, 90))
    expected = verify.matmul(a, b, rng)
    assert expected.values.size == (9000 if sampled_from else 64 * 64)
    assert relative_error(a @ b, expected) < 1e-14


def test_one_wrong_value_among_a_million_is_seen(rng):
    values = rng.standard_normal(1 << 20)
    found = values.astype(np.float32)
    assert relative_error(found, Expected(values)) < verify.bound(1, "float32")
    found[777] += 0.01
    assert relative_error(found, Expected(values)) > verify.bound(1, "float32")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_never_passes_wherever_it_stands(rng, bad):
    values = rng.standard_normal((4, 5))
    for i in range(20):
        found = values.copy()
        found.flat[i] = bad
        assert relative_error(found, Expected(values)) == math.inf
        # ... also where nobody looks.
        assert relative_error(found, Expected(values[:1, :1], (slice(1), slice(1)))) == math.inf


def test_another_shape_is_wrong():
    assert relative_error(np.ones((2, 3)), Expected(np.ones((3, 2)))) == math.inf


def test_zeros():
    assert relative_error(np.zeros(3), Expected(np.zeros(3))) == 0
    assert relative_error(np.full(3, 1e-30), Expected(np.zeros(3))) == math.inf


def test_the_bound():
    assert verify.bound(100, "float32") == 40 * 2.0**-24
    assert verify.bound(9, "float64") == 12 * 2.0**-53
    assert verify.bound(0, "float32") == 0


@pytest.mark.parametrize("name", PASSES)
def test_terms_are_the_products_of_the_longest_sum(name):
    """Sums of ones count them."""
    s = Convolution("", 2, 3, 9, 9, 5, 3, 3, 1, 1)
    x, w, g = (np.ones(shape) for shape in (s.x_shape, s.w_shape, s.y_shape))
    sums = {
        "forward": verify.conv2d_forward(s, x, w, np.random.default_rng()),
        "backward_input": verify.conv2d_backward_input(s, g, w, np.random.default_rng()),
        "backward_weight": verify.conv2d_backward_weight(s, g, x, np.random.default_rng()),
    }
    assert sums[name].values.max() == verify.terms(s)[name]
