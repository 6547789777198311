"""Every algorithm and variant of the convolution and matrix product kernels against the oracles.

The suites of all backends run what the launch code chooses; here each of them is forced, each tile,
each specialized kernel size, parts of a sum, 64-bit offsets, float4 and scalar loads. On the
simulator, whose fresh memory is NaN, so that an element that is not written shows; or on the GPUs
that `--device` names.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import pytest
import reference
from checks import assert_close, assert_same_bits
from selection import slow_except

from gpucnn.backend.cuda import convolution as cuda_convolution
from gpucnn.backend.cuda import dense as cuda_matmul
from gpucnn.backend.cuda import tiles as cuda_tiles
from gpucnn.backend.cuda.tiles import STEP, TILES, TilePlan, plan
from gpucnn.errors import UsageError


@pytest.fixture
def force(gpu, monkeypatch):
    """Sets algorithm, 64-bit offsets, and the tile with the number of parts; undone afterwards."""

    def set_to(algorithm, wide=False, tile=None, parts=1):
        monkeypatch.setattr(gpu.launcher, "algorithm", algorithm)
        monkeypatch.setattr(gpu.launcher, "wide", wide)
        if tile is not None:
            for module in (cuda_convolution, cuda_matmul):
                monkeypatch.setattr(module, "plan", lambda *args: planned(tile, parts, args[2]))

    return set_to


def planned(tile, parts, terms):
    share = -(-max(terms, 1) // parts)
    depth = -(-share // STEP) * STEP
    return TilePlan(*tile, max(1, -(-terms // depth)), depth)


def misaligned(gpu, array):
    """The array on the device, contiguous, one element behind where a float4 could begin."""
    behind = np.empty(array.size + 1, array.dtype)
    behind[1:] = array.ravel()
    return gpu.asarray(behind)[1:].reshape(array.shape)


def surrounded(gpu, array):
    """The array on the device, aligned, in memory full of NaN: what reads beyond it will show."""
    memory = np.full(array.size + 128, np.nan, array.dtype)
    memory[64:-64] = array.ravel()
    return gpu.asarray(memory)[64:-64].reshape(array.shape)


class Problem(NamedTuple):
    """Operands of a convolution and what the oracles make of them."""

    x: Any
    w: Any
    b: Any
    grad_y: Any
    y: Any
    grad_x: Any
    grad_w: Any


@functools.cache
def problem(x_shape, w_shape, options, dtype):
    """The same numbers for every algorithm and tile: loops in Python take their time."""
    rng, options = np.random.default_rng(42), dict(options)
    y_shape = reference.conv2d_forward(np.zeros(x_shape), np.zeros(w_shape), **options).shape
    shapes = (x_shape, w_shape, w_shape[:1], y_shape)
    x, w, b, grad_y = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    return Problem(
        *(x, w, b, grad_y),
        reference.conv2d_forward(x, w, b, **options),
        reference.conv2d_backward_input(grad_y, w, x_shape, **options),
        reference.conv2d_backward_weight(grad_y, x, w_shape, **options),
    )


def check(gpu, x_shape, w_shape, options, dtype="float32", place=None, relu=False):
    """Forward with bias, and both gradients, against the oracles."""
    p = problem(x_shape, w_shape, tuple(options.items()), dtype)
    x, w, b, grad_y = map(place or (lambda array: surrounded(gpu, array)), p[:4])
    y = gpu.conv2d_forward(x, w, b, **options, activation="relu" if relu else None)
    want = np.maximum(p.y, 0) if relu else p.y
    assert_close(gpu.to_numpy(y), want, terms=p.w[0].size + 1, what="y")
    grad_x = gpu.conv2d_backward_input(grad_y, w, x_shape, **options)
    terms = p.w[:, 0].size // options.get("groups", 1)
    assert_close(gpu.to_numpy(grad_x), p.grad_x, terms=terms, what="grad_x")
    grad_w = gpu.conv2d_backward_weight(grad_y, x, w_shape, **options)
    assert_close(gpu.to_numpy(grad_w), p.grad_w, terms=p.grad_y[:, 0].size, what="grad_w")


# Name -> x, w, options: up to 4 channels a group, which every algorithm takes.
NARROW = {
    "3x3": ((2, 3, 9, 8), (5, 3, 3, 3), {}),
    "3x3, dilation": ((2, 3, 8, 10), (5, 3, 3, 3), {"dilation": (1, 2)}),
    "3x3, padded": ((3, 4, 7, 12), (33, 4, 3, 3), {"padding": ((1, 0), (2, 1))}),
    "1x1": ((2, 2, 7, 9), (17, 2, 1, 1), {}),
    "1x1, stride": ((3, 1, 9, 8), (20, 1, 1, 1), {"stride": (3, 2)}),
    "5x5": ((2, 1, 10, 11), (6, 1, 5, 5), {"padding": 2}),
    "5x5, stride and dilation": (
        (2, 2, 17, 20),
        (9, 2, 5, 5),
        {"padding": ((3, 1), (0, 2)), "stride": (2, 3), "dilation": (2, 1)},
    ),
    "depthwise": ((2, 5, 9, 8), (5, 1, 3, 3), {"groups": 5, "padding": 1, "stride": 2}),
    "depthwise 7x7": ((2, 3, 9, 10), (3, 1, 7, 7), {"groups": 3, "padding": 3}),
    "groups": ((2, 6, 6, 8), (18, 3, 3, 3), {"groups": 2, "stride": (1, 2)}),
    "many images": ((150, 1, 4, 4), (2, 1, 3, 3), {"padding": 1}),
    "empty batch": ((0, 2, 5, 6), (3, 2, 3, 3), {}),
}
# More channels a group.
WIDER = {
    "tiles are not filled": ((3, 9, 9, 8), (35, 9, 3, 3), {"padding": 1}),
    "more than a tile": ((3, 70, 6, 8), (133, 70, 1, 1), {}),
    "image in quarters": ((2, 8, 8, 8), (8, 8, 5, 5), {"padding": 2}),
    "any kernel": ((2, 5, 9, 10), (6, 5, 2, 4), {"padding": ((0, 1), (2, 1))}),
    "strides": ((2, 6, 11, 10), (7, 6, 3, 3), {"padding": 1, "stride": (2, 3)}),
    "1x1, stride": ((2, 12, 7, 8), (8, 12, 1, 1), {"stride": 2}),
    "phases without taps": ((2, 5, 10, 9), (5, 5, 2, 1), {"stride": (3, 4)}),
    "dilation shares a factor with the stride": (
        (2, 5, 13, 12),
        (6, 5, 3, 3),
        {"dilation": (2, 4), "stride": (4, 2), "padding": ((4, 1), (3, 2))},
    ),
    "groups": ((2, 18, 7, 6), (10, 9, 3, 3), {"groups": 2, "dilation": (1, 2)}),
    "1x1 image": ((5, 40, 1, 1), (66, 40, 1, 1), {}),
    "many small images": ((21, 5, 2, 1), (6, 5, 1, 1), {}),
    "empty batch": ((0, 5, 5, 6), (3, 5, 3, 3), {}),
}
both = {f"narrow, {name}": case for name, case in NARROW.items()} | WIDER
offsets = pytest.mark.parametrize(
    "wide", slow_except([False, True], False), ids=["32-bit", "64-bit"]
)
every_case = pytest.mark.parametrize("case", list(both.values()), ids=list(both))
narrow = pytest.mark.parametrize("case", list(NARROW.values()), ids=list(NARROW))


@every_case
def test_naive(gpu, force, case, dtype):
    force("naive")
    check(gpu, *case, dtype=dtype)


@offsets
@every_case
def test_shared(gpu, force, case, dtype, wide):
    force("shared", wide)
    check(gpu, *case, dtype=dtype, relu=True)


@pytest.mark.parametrize("channels", [15, 16, 17])
@pytest.mark.parametrize("filters", [15, 16, 17])
def test_shared_tiles_that_are_full_and_not(gpu, force, filters, channels):
    """Rows, columns and terms of the sum below, at and above a multiple of 16."""
    force("shared")
    for size in (3, 4, 5):
        check(gpu, (1, channels, size, 4), (filters, channels, 1, 1), {})


@offsets
@every_case
def test_tiled(gpu, force, case, wide):
    force("tiled", wide)
    check(gpu, *case)


@offsets
@narrow
def test_direct(gpu, force, case, wide):
    force(None, wide)  # all of them but the weights of 7x7 with several filters go there
    check(gpu, *case, relu=True)


@pytest.mark.parametrize("parts", [1, 3, 11])
@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("kernel", slow_except([1, 2, 3, 5], 3))
def test_every_tile(gpu, force, tile, kernel, parts):
    """130 filters, 10 channels and 210 pixels: the last tiles are cut both ways."""
    force("tiled", tile=tile, parts=parts)
    case = (1, 10, 10 + kernel - 1, 21 + kernel - 1), (130, 10, kernel, kernel), {}
    check(gpu, *case, relu=True)


@pytest.mark.parametrize("tile", TILES, ids=str)
def test_a_stride_in_parts(gpu, force, tile):
    """Phases have different numbers of taps, so some of their parts are empty."""
    force("tiled", tile=tile, parts=4)
    check(gpu, (2, 66, 5, 7), (9, 66, 3, 2), {"stride": 2, "padding": 1})


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("kernel", [1, 3])
def test_packs_of_four_and_single_elements(gpu, force, tile, kernel):
    """Memory that is aligned to a float4 and memory that is not; sums of 4 n terms and not."""
    force("tiled", tile=tile)
    for channels in (8, 9):
        case = (2, channels, 6, 8), (36, channels, kernel, kernel), {"padding": kernel // 2}
        check(gpu, *case)
        check(gpu, *case, place=lambda array: misaligned(gpu, array))


@pytest.mark.parametrize("filters", [1, 7, 16, 40])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 5), (2, 6)], ids=str)
def test_direct_filters(gpu, force, filters, kernel):
    force(None)
    check(gpu, (2, 3, 6, 9), (filters, 3, *kernel), {"padding": (1, 2)})


def test_direct_in_several_rounds(gpu, force):
    """More weights than fit into shared memory at once, and more pixels than one part takes."""
    force("direct")
    check(gpu, (2, 2, 5, 5), (45, 2, 5, 5), {"padding": 2})
    check(gpu, (17, 1, 20, 18), (2, 1, 3, 3), {})


def test_sums_are_reproducible(gpu, rng, force):
    """Split sums are added in a fixed order: the same bits every time."""
    x, w, g = (
        gpu.asarray(rng.standard_normal(s).astype("float32"))
        for s in ((4, 16, 9, 9), (8, 16, 3, 3), (4, 8, 7, 7))
    )
    for algorithm in ("naive", "shared", "tiled"):
        force(algorithm, tile=(64, 64), parts=5)
        runs = [
            (
                gpu.to_numpy(gpu.conv2d_forward(x, w)),
                gpu.to_numpy(gpu.conv2d_backward_input(g, w, x.shape)),
                gpu.to_numpy(gpu.conv2d_backward_weight(g, x, w.shape)),
            )
            for _ in range(2)
        ]
        for first, second in zip(*runs, strict=True):
            assert_same_bits(first, second)


def test_nan_and_infinity_pass_through_every_algorithm(gpu, force):
    x = np.ones((1, 1, 4, 4), dtype=np.float32)
    x[0, 0, 0, 0], x[0, 0, 3, 3] = np.nan, np.inf
    w = np.full((1, 1, 2, 2), -1, dtype=np.float32)
    for algorithm in ("naive", "shared", "tiled", "direct"):
        force(algorithm)
        y = gpu.to_numpy(gpu.conv2d_forward(gpu.asarray(x), gpu.asarray(w), activation="relu"))
        want = np.zeros((3, 3), dtype=np.float32)
        want[0, 0] = np.nan
        np.testing.assert_array_equal(y[0, 0], want)


def test_an_algorithm_that_cannot_take_the_arguments(gpu, force):
    x, w = gpu.asarray(np.ones((1, 5, 4, 4))), gpu.asarray(np.ones((2, 5, 3, 3)))
    g = gpu.asarray(np.ones((1, 2, 2, 2)))
    force("tiled")
    with pytest.raises(
        UsageError, match="the tiled kernel does not compute a convolution"
    ) as caught:
        gpu.conv2d_forward(x, w)
    assert "float64" in str(caught.value)
    force("direct")
    x, w, g = (a.astype("float32") for a in (x, w, g))
    for call in (
        lambda: gpu.conv2d_forward(x, w),
        lambda: gpu.conv2d_backward_input(g, w, x.shape),
        lambda: gpu.conv2d_backward_weight(g, x, w.shape),
        lambda: gpu.matmul(g[0, 0], g[0, 0]),
    ):
        with pytest.raises(UsageError, match="direct"):
            call()


def test_what_is_chosen(gpu, monkeypatch):
    """float64 is naive, few channels are direct, the rest is tiled."""
    launched = []
    monkeypatch.setattr(
        type(gpu.launcher), "launch", lambda self, *args, **_: launched.append(args)
    )
    for dtype, channels, expected in (
        ("float64", 8, "naive"),
        ("float32", 4, "direct"),
        ("float32", 5, "tiled"),
    ):
        x, w, g = (
            gpu.launcher.empty(s, dtype)
            for s in ((1, channels, 6, 6), (2, channels, 3, 3), (1, 2, 4, 4))
        )
        launched.clear()
        gpu.conv2d_forward(x, w)
        gpu.conv2d_backward_input(g, w, x.shape)
        gpu.conv2d_backward_weight(g, x, w.shape)
        assert [args[1].split("_")[-1] for args in launched] == [expected] * 3


@every_case
def test_shared_is_taken_only_where_it_is_forced(gpu, monkeypatch, dtype, case):
    launched = []
    monkeypatch.setattr(
        type(gpu.launcher), "launch", lambda self, *args, **_: launched.append(args[1])
    )
    x_shape, w_shape, options = case
    x, w = gpu.launcher.empty(x_shape, dtype), gpu.launcher.empty(w_shape, dtype)
    grad_y = gpu.conv2d_forward(x, w, **options)
    gpu.conv2d_backward_input(grad_y, w, x_shape, **options)
    gpu.conv2d_backward_weight(grad_y, x, w_shape, **options)
    gpu.matmul(w.reshape(len(w), -1), w.reshape(len(w), -1), transpose_b=True)
    assert len(launched) >= 4
    assert not any(name.endswith("_shared") for name in launched)


# ---- the plan of a tiled product ---------------------------------------------------------------


@pytest.mark.parametrize("multiprocessors", [1, 4, 46, 132])
@pytest.mark.parametrize(
    ("rows", "columns", "terms", "products"),
    [
        (64, 128, 9216, 1),
        (64, 73728, 288, 1),
        (512, 392, 4608, 1),
        (1, 1, 1, 1),
        (3, 0, 5, 2),
        (5, 4, 0, 1),
    ],
)
def test_a_plan_covers_the_sum(rows, columns, terms, products, multiprocessors):
    p = plan(rows, columns, terms, products, multiprocessors)
    assert (p.BM, p.BN) in TILES
    assert p.depth % STEP == 0
    assert (p.parts - 1) * p.depth < max(terms, 1) <= p.parts * p.depth
    assert p.parts <= cuda_tiles.MOST_PARTS


def test_a_long_sum_of_few_outputs_gets_blocks_for_most_multiprocessors():
    p = plan(64, 128, 9216, 1, 132)
    assert p.parts * -(-64 // p.BM) * -(-128 // p.BN) > 132 / 2
    assert plan(4096, 4096, 4096, 1, 132).parts == 1


# ---- the matrix product ------------------------------------------------------------------------


def check_matmul(gpu, rng, sizes, transpose_a, transpose_b, place=None, dtype="float32"):
    place = place or (lambda array: surrounded(gpu, array))
    M, K, N = sizes
    shapes = ((K, M) if transpose_a else (M, K), (N, K) if transpose_b else (K, N), (N,))
    a, b, bias = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    options = {"transpose_a": transpose_a, "transpose_b": transpose_b, "activation": "relu"}
    got = gpu.matmul(place(a), place(b), bias=place(bias), **options)
    want = (a.T if transpose_a else a).astype(float) @ (b.T if transpose_b else b) + bias
    assert_close(gpu.to_numpy(got), np.maximum(want, 0), terms=K + 1)


@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("tile", TILES, ids=str)
def test_matmul(gpu, rng, force, tile, transpose_a, transpose_b):
    """Sizes that are multiples of four and aligned, sizes that are not, memory that is not."""
    for parts in (1, 3):
        force("tiled", tile=tile, parts=parts)
        for sizes in ((136, 60, 132), (131, 45, 67), (64, 0, 8)):
            check_matmul(gpu, rng, sizes, transpose_a, transpose_b)
    place = lambda array: misaligned(gpu, array)  # noqa: E731
    check_matmul(gpu, rng, (68, 20, 8), transpose_a, transpose_b, place)


@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (16, 32, 48), (33, 17, 15), (5, 0, 40)], ids=str)
def test_shared_matmul(gpu, rng, force, dtype, sizes, transpose_a, transpose_b):
    force("shared")
    check_matmul(gpu, rng, sizes, transpose_a, transpose_b, dtype=dtype)


@pytest.mark.parametrize("which", [0, 1], ids=["a", "b"])
def test_one_operand_alone_allows_no_packs(gpu, rng, force, which):
    """It is not aligned, or its rows are no multiple of four; the other one would allow them."""
    force("tiled", tile=(64, 64))
    places = [surrounded] * 3
    places[which] = misaligned
    turn = iter(places)
    check_matmul(gpu, rng, (68, 20, 8), False, False, lambda array: next(turn)(gpu, array))
    check_matmul(gpu, rng, [(8, 9, 20), (8, 20, 9)][which], False, False)


@pytest.mark.parametrize("parts", [1, 3])
def test_four_results_at_once_have_the_bits_of_single_ones(gpu, rng, force, monkeypatch, parts):
    """Each result once in memory that is aligned to a float4, and once in memory that is not."""
    force("tiled", tile=(64, 64), parts=parts)
    x, w, grad_y = (2, 4, 6, 6), (8, 4, 3, 3), (2, 8, 4, 4)
    shapes = (x, w, grad_y, (8, 40), (40, 12), (12,))
    x, w, grad_y, a, b, bias = (
        gpu.asarray(rng.standard_normal(shape).astype("float32")) for shape in shapes
    )
    empty, launch, stored = gpu.launcher.empty, gpu.launcher.launch, []

    def noted(*args, **constants):
        if "VECTOR_OUT" in constants:
            stored.append(constants["VECTOR_OUT"])
        launch(*args, **constants)

    def results(offset):
        def behind(shape, dtype):
            return empty((int(np.prod(shape)) + offset,), dtype)[offset:].reshape(shape)

        monkeypatch.setattr(gpu.launcher, "empty", behind)
        return [
            gpu.conv2d_forward(x, w, bias[:8], activation="relu"),
            gpu.conv2d_backward_input(grad_y, w, x.shape),
            gpu.conv2d_backward_weight(grad_y, x, w.shape),
            gpu.matmul(a, b, bias=bias, activation="relu"),
        ]

    monkeypatch.setattr(gpu.launcher, "launch", noted)
    for at_once, single in zip(results(0), results(1), strict=True):
        assert_same_bits(gpu.to_numpy(at_once), gpu.to_numpy(single))
    assert stored == [1] * 4 + [0] * 4


@pytest.mark.parametrize("algorithm", ["naive", "shared", "tiled"])
def test_matmul_with_wide_offsets(gpu, rng, force, algorithm):
    force(algorithm, wide=True)
    for transposes in ((False, False), (True, False), (False, True), (True, True)):
        check_matmul(gpu, rng, (33, 40, 65), *transposes)


def test_a_transposed_view_is_not_copied(gpu, monkeypatch):
    """The gradients of a dense layer multiply transposes, which lie in memory as they are."""
    seen = []
    monkeypatch.setattr(gpu.launcher, "launch", lambda *args, **constants: seen.append(args))
    a, b = gpu.launcher.empty((8, 12), "float32"), gpu.launcher.empty((16, 12), "float32")
    gpu.matmul(a, b, transpose_b=True)
    addresses = [gpu.launcher.address(array) for array in seen[0][4:6]]
    assert addresses == [gpu.launcher.address(a), gpu.launcher.address(b)]
