"""The suites of convolutions."""

from __future__ import annotations

from gpucnn.bench.convolutions import CONVOLUTIONS, suite


def test_sizes_by_hand():
    """Those of strides, of uneven windows and of padding."""
    sizes = {s.shape: s.y_shape for s in CONVOLUTIONS}
    assert sizes["28x28 1->32 3x3 p0 s1"][1:] == (32, 26, 26)
    assert sizes["28x28 1->6 5x5 p2 s1"][1:] == (6, 28, 28)
    assert sizes["161x700 1->32 5x20 p0 s2"][1:] == (32, 79, 341)
    assert sizes["224x224 3->64 7x7 p3 s2"][1:] == (64, 112, 112)


def test_deepbench_is_all_of_them_with_the_largest_batches_first():
    shapes = suite("deepbench")
    assert sorted(shapes, key=str) == sorted(CONVOLUTIONS, key=str)
    assert set(shapes[:12]) == set(suite("mnist"))
    rest = [shape for shape in shapes if shape.group == "VGG"]
    assert [shape.N for shape in rest] == [16] * 6 + [8] * 6


def test_flop_is_two_a_product():
    (s,) = (s for s in CONVOLUTIONS if s.name == "N128 26x26 32->64 3x3 p0 s1")
    assert s.flop == 2 * 128 * 64 * 24 * 24 * 32 * 9
