"""How a convolution is cut: taps inside the unit, all of the result computed, and once."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from geometries import convolutions
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the extra `fast` is not installed")

from gpucnn.backend.numba.direct.plan import (
    DirectPlan,
    DirectSizes,
    backward_plan,
    forward_plan,
    phase_taps,
)
from gpucnn.backend.numba.llvm.vectors import COLUMNS, LANES
from gpucnn.shapes import Conv2dGeometry, conv2d_geometry

SIZES = st.sampled_from([1, 40, 300, 96 << 10])


def geometry(x_shape: Any, w_shape: Any, options: Any) -> Conv2dGeometry:
    return conv2d_geometry(
        x_shape, w_shape, options["stride"], options["padding"], options["dilation"],
        options["groups"],
    )  # fmt: skip


def sizes_of(plan: DirectPlan) -> DirectSizes:
    return DirectSizes(*plan.loops[-1])


def plans(g: Conv2dGeometry) -> list[tuple[DirectPlan, Any, int]]:
    """Every plan of a convolution, which pixels of its result (height, width) it is to compute,
    and the number of its taps."""
    taps = g.C // g.groups * g.KH * g.KW, g.F // g.groups * g.KH * g.KW
    all_ = np.ones((g.OH, g.OW), bool)
    # Pixels of a row or column in a stride that no tap of the window falls on have no gradient.
    rows, columns = (
        [bool(phase_taps(g, axis)[(i + g.padding[axis][0]) % g.stride[axis]]) for i in range(size)]
        for axis, size in enumerate((g.H, g.W))
    )
    return [
        (forward_plan(g), all_, taps[0]),
        (forward_plan(g, with_gradient=True), all_, taps[0]),
        (backward_plan(g), np.outer(rows, columns), taps[1]),
    ]


@given(convolutions(images=9, channels=5, filters=9, spare=40, padding=9), SIZES)
def test_every_tap_of_every_pixel_is_inside_the_unit(units: Any, convolution: Any, most: int):
    with units(most):
        for plan, _, taps in plans(geometry(*convolution)):
            offsets, planes, phases, out_pitch, *_ = plan.loops
            sizes = sizes_of(plan)
            plane = sizes.images * sizes.packed_rows * sizes.pitch
            assert plan.packed == sizes.C * len(planes) * plane + COLUMNS * LANES
            assert offsets.size == plan.taps == taps
            for first, count, rows, columns, _, _ in phases:
                run = (min(rows, sizes.rows) - 1) * sizes.pitch + columns
                run += (sizes.images - 1) * sizes.packed_rows * sizes.pitch
                assert run + COLUMNS * LANES <= out_pitch
                seen = offsets[first : first + count]
                assert ((seen >= 0) & (seen % plane + run <= plane)).all()
                assert (seen + run + LANES <= plan.packed).all()
                assert columns <= sizes.pitch


@given(convolutions(images=9, channels=5, filters=9, spare=40, padding=9), SIZES)
def test_every_pixel_of_the_result_is_computed_once(units: Any, convolution: Any, most: int):
    with units(most):
        g = geometry(*convolution)
        for plan, met, _ in plans(g):
            sizes = sizes_of(plan)
            count = np.zeros(met.shape, int)
            first_rows = [strip * sizes.rows for strip in range(plan.strips)]
            for (_, _, rows, columns, row, column), start in itertools.product(
                plan.loops[2], first_rows
            ):
                r, c = np.arange(start, min(start + sizes.rows, rows)), np.arange(columns)
                r, c = row + r[:, None] * sizes.out_step_h, column + c * sizes.out_step_w
                count[r, c] += 1
            np.testing.assert_array_equal(count, met)
            assert met.all() or not plan.is_whole
            images = plan.units // plan.strips * plan.images
            assert sizes.N <= images < sizes.N + plan.images
            assert plan.units % plan.strips == 0


@given(convolutions(), st.sampled_from([0, 1]))
def test_every_tap_meets_one_phase(convolution: Any, axis: int):
    g = geometry(*convolution)
    found = phase_taps(g, axis)
    assert len(found) == g.stride[axis]
    assert sorted(itertools.chain(*found)) == list(range((g.KH, g.KW)[axis]))


def test_a_large_image_is_cut_into_rows_and_small_ones_are_put_together():
    large = conv2d_geometry((2, 64, 224, 224), (64, 64, 3, 3), 1, 1, 1, 1)
    small = conv2d_geometry((256, 1, 8, 8), (4, 1, 3, 3), 1, 0, 1, 1)
    for plan, _, _ in plans(large):
        assert plan.strips > 1
        assert plan.images == 1
    for plan, _, _ in plans(small):
        assert plan.strips == 1
    assert forward_plan(small, with_gradient=True).images > 8
