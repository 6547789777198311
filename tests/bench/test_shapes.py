"""The suites of shapes."""

from __future__ import annotations

import pytest

from gpucnn.bench.shapes import SHAPES, SUITES, suite
from gpucnn.errors import UsageError
from gpucnn.shapes import conv2d_geometry


def test_sizes_are_those_of_the_library():
    for s in {*SHAPES, *suite("quick")}:
        assert conv2d_geometry(s.x_shape, s.w_shape, s.stride, s.padding).y_shape == s.y_shape


def test_names_are_unique():
    for name in SUITES:
        names = [shape.name for shape in suite(name)]
        assert len(names) == len(set(names)) > 3


def test_deepbench_is_all_of_them_with_the_largest_batches_first():
    shapes = suite("deepbench")
    assert sorted(shapes, key=str) == sorted(SHAPES, key=str)
    assert set(shapes[:12]) == set(suite("mnist"))
    rest = [shape for shape in shapes if shape.group == "VGG"]
    assert [shape.N for shape in rest] == [16] * 6 + [8] * 6


def test_flop_is_two_a_product():
    (s,) = (s for s in SHAPES if s.name == "N128 26x26 32->64 3x3 p0 s1")
    assert s.flop == 2 * 128 * 64 * 24 * 24 * 32 * 9


def test_no_such_suite():
    with pytest.raises(UsageError, match="unknown suite 'minst'") as caught:
        suite("minst")
    assert "did you mean mnist?" in caught.value.fix
