"""3x3 taps by minimal filtering: exact on small integers, and a sum of the very pixels it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks import assert_close, assert_same_bits
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import Taps

pytest.importorskip("numba", reason="the extra `fast` is not installed")

from gpucnn.backend.numba.direct.plan import forward_plan
from gpucnn.backend.numba.llvm.vectors import LANES
from gpucnn.backend.numba.winograd import loops
from gpucnn.backend.numba.winograd import plan as winograd
from gpucnn.backend.numba.winograd.plan import WinogradPlan, WinogradSizes
from gpucnn.shapes import Conv2dGeometry, conv2d_geometry

UNITS = st.sampled_from([1, 500, 5000, 256 << 10])
PAIRS = (2, None, 0)


@st.composite
def convolutions(draw: st.DrawFn, channels: int = 40, images: int = 20) -> Any:
    """x_shape, w_shape and options of a convolution with 3x3 taps next to one another."""
    side = st.integers(0, 4)
    padding = draw(st.one_of(side, st.tuples(*[st.tuples(side, side)] * 2)))
    sides = ((padding, padding),) * 2 if isinstance(padding, int) else padding
    H, W = (max(1, 3 - sum(pair)) + draw(st.integers(0, 37)) for pair in sides)
    groups, channel = draw(st.integers(1, 3)), st.integers(1, channels)
    C, F, N = draw(channel), draw(channel), draw(st.integers(1, images))
    return (N, groups * C, H, W), (groups * F, C, 3, 3), {"padding": padding, "groups": groups}


def geometry(x_shape: Any, w_shape: Any, options: Any) -> Conv2dGeometry:
    padding, groups = options.get("padding", 0), options.get("groups", 1)
    return conv2d_geometry(x_shape, w_shape, 1, padding, 1, groups)


def passes(backend: Any, x: Any, w: Any, g: Any, options: Any) -> list[Any]:
    """The two that are computed this way, which is asserted."""
    shape = geometry(x.shape, w.shape, options)
    assert winograd.forward_plan(shape)
    assert winograd.backward_plan(shape)
    return [
        backend.conv2d_forward(x, w, **options),
        backend.conv2d_backward_input(g, w, x.shape, **options),
    ]


def integers(rng: np.random.Generator, *shapes: Any) -> list[Any]:
    return [rng.integers(-3, 4, shape).astype(np.float32) for shape in shapes]


@given(convolutions(), UNITS, st.integers(0, 2**32 - 1))
@example(((1, 1, 3, 3), (1, 1, 3, 3), {}), 1, 0)
@example(((2, 3, 1, 1), (2, 3, 3, 3), {"padding": 1}), 1, 0)
@example(((1, 2, 1, 2), (5, 2, 3, 3), {"padding": 4}), 500, 0)
@settings(max_examples=60)
def test_small_integers_are_exact(compiled, units, convolution, most, seed):
    """The factors of the transforms are 1, 1/2 and 1/4: nothing is rounded."""
    x_shape, w_shape, options = convolution
    taps, rng = Taps(x_shape, w_shape, **options), np.random.default_rng(seed)
    x, w, g = integers(rng, x_shape, w_shape, taps.y_shape)
    with units(most):
        y, grad_x = passes(compiled, x, w, g, options)
    np.testing.assert_array_equal(y, taps.forward(x, w))
    np.testing.assert_array_equal(grad_x, taps.backward_input(g, w))


@given(convolutions(channels=20, images=6), UNITS, st.integers(0, 2**32 - 1))
def test_a_block_s_bias_relu_and_maximum(compiled, units, convolution, most, seed):
    """Done while a unit is there: also where the maximum's last row or column is in no window."""
    x_shape, w_shape, options = convolution
    taps, rng = Taps(x_shape, w_shape, **options), np.random.default_rng(seed)
    x, w, b = integers(rng, x_shape, w_shape, w_shape[:1])
    relu = np.maximum(taps.forward(x, w) + b[:, None, None], 0).astype(np.float32)
    pools = (None, PAIRS) if min(taps.OH, taps.OW) >= 2 else (None,)
    with units(96 << 10, most):
        shape = geometry(x_shape, w_shape, options)
        assert winograd.forward_plan(shape)
        assert forward_plan(shape).strips == 1, "the maximum would not be fused"
        for pool in pools:
            block = {**options, "activation": "relu", "pool": pool}
            y, argmax = compiled.conv2d_relu_pool_forward(x, w, b, **block)
            want, places = compiled.max_pool2d_forward(relu, 2) if pool else (relu, None)
            np.testing.assert_array_equal(y, want)
            g = rng.integers(-3, 4, y.shape).astype(np.float32)
            back = g * (y > 0)
            if pool:
                np.testing.assert_array_equal(argmax, places)
                back = compiled.max_pool2d_backward(back, places, relu.shape, 2)
            found = compiled.conv2d_relu_pool_backward(g, x, w, y, argmax, **options, pool=pool)
            np.testing.assert_array_equal(found[0], taps.backward_input(back, w))
            np.testing.assert_array_equal(found[1], taps.backward_weight(back, x))
            np.testing.assert_array_equal(found[2], back.sum((0, 2, 3)))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 33])
@pytest.mark.parametrize("width", [1, 2, 3, 15, 16, 17, 31, 33, 63, 64, 65, 97])
def test_all_remainders_of_the_tiles(compiled, units, rng, channels, width):
    """Channels are rows of a register tile; tiles of pixels go by vectors, and by pairs."""
    x_shape, w_shape = (2, channels, 5, width + 2), (channels + 1, channels, 3, 3)
    taps = Taps(x_shape, w_shape)
    x, w, g = integers(rng, x_shape, w_shape, taps.y_shape)
    with units(256 << 10):
        y, grad_x = passes(compiled, x, w, g, {})
    np.testing.assert_array_equal(y, taps.forward(x, w))
    np.testing.assert_array_equal(grad_x, taps.backward_input(g, w))


@pytest.mark.parametrize(
    ("x_shape", "filters", "options"),
    [
        ((8, 1, 20, 20), 1, {}),
        ((8, 16, 30, 17), 32, {"padding": 1}),
        ((2, 64, 28, 28), 64, {"padding": 1}),
        ((20, 128, 9, 9), 64, {"padding": ((0, 2), (1, 3)), "groups": 2}),
        ((4, 512, 14, 14), 512, {"padding": 1}),
    ],
)
def test_errors_keep_to_their_bounds(compiled, units, rng, x_shape, filters, options):
    w_shape = (filters, x_shape[1] // options.get("groups", 1), 3, 3)
    taps = Taps(x_shape, w_shape, **options)
    x, w, g = (
        rng.standard_normal(shape).astype(np.float32) for shape in (x_shape, w_shape, taps.y_shape)
    )
    with units(96 << 10):
        y, grad_x = passes(compiled, x, w, g, options)
    forward, backward, _ = taps.terms()
    assert_close(y, taps.forward(x, w), forward)
    assert_close(grad_x, taps.backward_input(g, w), backward)


# ---- how the tiles are cut --------------------------------------------------------------------


@given(convolutions(), UNITS)
def test_every_tile_is_computed_once(units: Any, convolution: Any, most: int):
    """In the units of the forward pass, and in the backward one among other numbers of images."""
    with units(most):
        shape = geometry(*convolution)
        together = forward_plan(shape, with_gradient=True).images
        for plan in (winograd.forward_plan(shape), winograd.backward_plan(shape)):
            p = WinogradSizes(*plan.loops[-1])
            tiles = -(-p.out_H // 2), -(-p.out_W // 2)
            assert p.tiles_W == tiles[1]
            assert p.rows * p.strips >= tiles[0] > p.rows * (p.strips - 1)
            assert p.images == 1 or p.strips == 1
            assert p.images * p.rows * p.tiles_W + LANES <= p.pitch
            most_tiles = max(winograd._LEAST, most // (16 * (p.C + p.M)))
            assert p.images * p.rows * p.tiles_W <= most_tiles
            places = [(n, row) for n in range(0, p.N, p.images) for row in range(p.strips)]
            assert len(places) == plan.units
            forward = [
                (unit // p.strips * p.images, p.images, unit % p.strips * p.rows)
                for unit in range(plan.units)
            ]
            backward = [
                (n + i, min(p.images, together - i), row)
                for n in range(0, p.N, together)
                for i in range(0, min(together, p.N - n), p.images)
                for row in range(0, p.strips * p.rows, p.rows)
            ]
            for cuts in (forward, backward):
                count = np.zeros((p.N, tiles[0]), int)
                for n, images, row in cuts:
                    count[n : n + images, row : row + p.rows] += 1
                assert (count == 1).all()


def test_a_large_image_is_cut_into_rows_and_small_ones_are_put_together():
    def sizes(plan: WinogradPlan | None) -> WinogradSizes:
        assert plan is not None
        return WinogradSizes(*plan.loops[-1])

    large = conv2d_geometry((2, 64, 224, 224), (64, 64, 3, 3), 1, 1, 1, 1)
    small = conv2d_geometry((256, 64, 8, 8), (64, 64, 3, 3), 1, 1, 1, 1)
    for plan in (winograd.forward_plan, winograd.backward_plan):
        assert sizes(plan(large)).strips > 1
        assert sizes(plan(large)).images == 1
        assert sizes(plan(small)).strips == 1
        assert sizes(plan(small)).images > 1


@pytest.mark.parametrize("channels", [512, 1024, 4096])
def test_the_workspace_of_a_unit_is_bounded(channels):
    g = conv2d_geometry((2, channels, 30, 30), (channels, channels, 3, 3), 1, 1, 1, 1)
    for plan in (winograd.forward_plan(g), winograd.backward_plan(g)):
        assert plan is not None
        assert 4 * sum(plan.workspace) < 32 << 20


IMAGE = (1, 16, 18, 18)  # 64 tiles


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options"),
    [
        (IMAGE, (16, 16, 3, 2), {}),
        (IMAGE, (16, 16, 2, 3), {}),
        (IMAGE, (16, 16, 5, 5), {"padding": 2}),
        ((1, 16, 50, 50), (16, 16, 3, 3), {"stride": 2}),
        ((1, 16, 50, 50), (16, 16, 3, 3), {"stride": (1, 2)}),
        ((1, 16, 50, 50), (16, 16, 3, 3), {"dilation": 2}),
        ((1, 16, 50, 50), (16, 16, 3, 3), {"dilation": (2, 1)}),
        ((1, 15, 50, 50), (16, 15, 3, 3), {}),
        ((1, 16, 50, 50), (15, 16, 3, 3), {}),
        ((1, 32, 50, 50), (32, 8, 3, 3), {"groups": 4}),
        ((1, 16, 18, 16), (16, 16, 3, 3), {}),
        ((0, 16, 18, 18), (16, 16, 3, 3), {}),
        ((1, 4096, 4, 130), (4096, 4096, 3, 3), {}),  # a row of tiles would take 32 MB
    ],
)
def test_what_is_computed_in_another_way(x_shape, w_shape, options):
    def plans(x_shape: Any, w_shape: Any, options: Any) -> list[WinogradPlan | None]:
        stride, dilation = options.get("stride", 1), options.get("dilation", 1)
        padding, groups = options.get("padding", 0), options.get("groups", 1)
        g = conv2d_geometry(x_shape, w_shape, stride, padding, dilation, groups)
        return [winograd.forward_plan(g), winograd.backward_plan(g)]

    assert all(plans(IMAGE, (16, 16, 3, 3), {}))
    found = plans(x_shape, w_shape, options)
    assert found[0] is None
    assert found[1] is None or x_shape[2:] == (18, 16), "grad_x has more pixels there"


def test_the_gradient_may_be_worth_it_where_the_result_is_not():
    """What counts is the tiles of what is computed."""
    g = conv2d_geometry((1, 16, 16, 16), (16, 16, 3, 3), 1, 0, 1, 1)
    assert winograd.forward_plan(g) is None
    assert winograd.backward_plan(g)


def test_float64_is_computed_by_numpy(compiled, units, rng, monkeypatch):
    """A call of this in float32 would stop at the weights."""

    def stop(*arguments: Any) -> None:
        raise AssertionError("transformed")

    monkeypatch.setattr(loops, "transform_weights", stop)
    x, w = rng.standard_normal((2, 16, 18, 18)), rng.standard_normal((16, 16, 3, 3))
    with pytest.raises(AssertionError, match="transformed"):
        compiled.conv2d_forward(x.astype(np.float32), w.astype(np.float32))
    taps = Taps(x.shape, w.shape)
    assert_close(compiled.conv2d_forward(x, w), taps.forward(x, w), 144)
    g = rng.standard_normal(taps.y_shape)
    found = compiled.conv2d_backward_input(g, w, x.shape)
    assert_close(found, taps.backward_input(g, w), 144)


# ---- what a number reaches, and what the bits depend on ---------------------------------------


@pytest.fixture(params=[500, 256 << 10], ids=["small units", "large units"])
def arrays(units: Callable[..., Any], rng: np.random.Generator, request: Any) -> Any:
    """A case and its numbers, while it is cut into units of one size or another."""
    x_shape, w_shape = (5, 6, 11, 14), (10, 3, 3, 3)
    options = {"padding": ((1, 3), (0, 4)), "groups": 2}
    y_shape = Taps(x_shape, w_shape, **options).y_shape
    shapes = x_shape, w_shape, y_shape
    with units(request.param):
        yield *(rng.standard_normal(shape).astype(np.float32) for shape in shapes), options


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_reach_what_sees_them_and_nothing_else(compiled, rng, arrays, bad):
    """Of a tile's four results each sees nine of the sixteen pixels: no more than these count."""
    x, w, g, options = arrays
    taps = Taps(x.shape, w.shape, **options)
    y, grad_x = passes(compiled, x, w, g, options)

    def check(got: Any, clean: Any, reached: Any) -> None:
        np.testing.assert_array_equal(np.isfinite(got), ~reached)
        assert_same_bits(got[~reached], clean[~reached])

    def with_one(array: Any, place: int) -> tuple[Any, Any]:
        ill, alone = array.copy(), np.zeros(array.shape)
        ill.ravel()[place] = bad
        alone.ravel()[place] = 1
        return ill, alone

    for place in (0, -1, *rng.integers(x.size, size=12)):
        ill, alone = with_one(x, place)
        reached = taps.forward(alone, np.ones(w.shape)) > 0
        check(passes(compiled, ill, w, g, options)[0], y, reached)
    for place in (0, -1, *rng.integers(g.size, size=12)):
        ill, alone = with_one(g, place)
        reached = taps.backward_input(alone, np.ones(w.shape)) > 0
        check(passes(compiled, x, w, ill, options)[1], grad_x, reached)
    for tap in np.ndindex(3, 3):  # zeros of the padding are multiplied with it too
        f, c = int(rng.integers(w.shape[0])), int(rng.integers(w.shape[1]))
        ill = w.copy()
        ill[f, c, *tap] = bad
        got = passes(compiled, x, ill, g, options)
        group = f // (w.shape[0] // options["groups"])
        for found, clean, channel in zip(
            got, (y, grad_x), (f, group * w.shape[1] + c), strict=True
        ):
            reached = np.zeros(found.shape, bool)
            reached[:, channel] = True
            check(found, clean, reached)


def test_a_nan_survives_the_fused_relu(compiled, arrays):
    x, w, _, options = arrays
    x.ravel()[x.size // 2] = np.nan
    y = compiled.conv2d_forward(x, w, **options)
    fused = compiled.conv2d_forward(x, w, **options, activation="relu")
    assert_same_bits(fused, np.maximum(y, 0))
    assert np.isnan(fused).any()


def test_bits_do_not_depend_on_threads_or_on_the_rest_of_the_batch(compiled, threads, arrays):
    """Where the units end depends on the batch; the sums for one image do not."""
    x, w, g, options = arrays
    threads.set_threads(1)
    y, grad_x = passes(compiled, x, w, g, options)
    for count in (2, 3, 8):
        threads.set_threads(count)
        found = passes(compiled, x, w, g, options)
        assert_same_bits(found[0], y)
        assert_same_bits(found[1], grad_x)
    for n in range(len(x)):
        one = slice(n, n + 1)
        found = passes(compiled, x[one], w, g[one], options)
        assert_same_bits(found[0], y[one])
        assert_same_bits(found[1], grad_x[one])


def test_bits_do_not_depend_on_the_units(compiled, units, rng):
    """Nor do they on how a row of tiles falls into vectors."""
    x_shape, w_shape = (9, 5, 40, 37), (7, 5, 3, 3)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in (x_shape, w_shape))
    g = rng.standard_normal(Taps(x_shape, w_shape).y_shape).astype(np.float32)
    want = None
    for most in (1, 5000, 20_000, 256 << 10):
        with units(most):
            found = passes(compiled, x, w, g, {})
        want = want or found
        for got, right in zip(found, want, strict=True):
            assert_same_bits(got, right)
