"""What a kernel sees of CUDA: indices, warp operations, arithmetic, arguments; and the orders."""

from __future__ import annotations

import numpy as np
import pytest

ORDERS = ("forward", "reverse", "shuffled")


def outputs(launcher, *shape, dtype=np.float32):
    return launcher.empty(shape, dtype)


def test_indices(launcher):
    grid, block = (3, 2, 4), (5, 3, 2)
    out = outputs(launcher, 24, 30, dtype=np.int32)
    launcher.launch("language", "indices", grid, block, out)
    digits = 10 ** np.arange(6)
    places = np.indices((*grid[::-1], *block[::-1])).reshape(6, 24, 30)[[5, 4, 3, 2, 1, 0]]
    np.testing.assert_array_equal(launcher.to_numpy(out), np.tensordot(digits, places, 1))


def turns(launcher, blocks):
    """The order in which blocks came, and the threads three times."""
    came, threads = (
        outputs(launcher, blocks, dtype=np.int32),
        outputs(launcher, 160, dtype=np.int32),
    )
    count = launcher.asarray(np.zeros(4, np.int32))
    launcher.launch("language", "turns", blocks, 64, came, threads, count)
    return launcher.to_numpy(came), np.split(launcher.to_numpy(threads), [64, 128])


@pytest.mark.parametrize("blocks", [1, 2, 3, 12, 35])
@pytest.mark.parametrize("order", ORDERS)
def test_order_of_blocks_and_threads(simulator, order, blocks):
    came, (threads, behind_barrier, behind_warp) = turns(simulator(order=order), blocks)
    for sequence in (came, threads):
        forward = np.arange(len(sequence))
        np.testing.assert_array_equal(np.sort(sequence), forward)
        if order == "shuffled" and len(sequence) > 12:
            assert (sequence != forward).any()
            assert (sequence != forward[::-1]).any()
        elif order != "shuffled":
            expected = forward if order == "forward" else forward[::-1]
            np.testing.assert_array_equal(sequence, expected)
    np.testing.assert_array_equal(behind_barrier, threads)
    np.testing.assert_array_equal(behind_warp, threads[threads < 32])


def test_shuffled_orders_differ(simulator):
    launcher = simulator(order="shuffled")
    assert len({tuple(turns(launcher, 1)[1][0]) for _ in range(4)}) == 4


@pytest.mark.parametrize("width", [32, 16, 8])
def test_shuffles(launcher, rng, width):
    x = rng.standard_normal(64).astype(np.float32)
    out = outputs(launcher, 5, 64)
    launcher.launch("language", "shuffles", 1, 64, launcher.asarray(x), out, width)
    lane, start = np.arange(64), np.arange(64) // width * width
    other = lane ^ 5
    sources = [
        start + 3,
        # In PTX's shfl.bfly a lane reads any segment up to the end of its own.
        np.where(other < start + width, other, lane),
        np.where(lane + 3 < start + width, lane + 3, lane),
        np.where(lane - 3 >= start, lane - 3, lane),
        lane // 32 * 32 + 7,
    ]
    np.testing.assert_array_equal(launcher.to_numpy(out), [x[source] for source in sources])


def test_half_warps(launcher, rng):
    x = rng.integers(-50, 50, 32).astype(np.float32)  # whose sums are exact
    out = outputs(launcher, 2, 32)
    launcher.launch("language", "half_warps", 1, 32, launcher.asarray(x), out)
    first, second = launcher.to_numpy(out)
    np.testing.assert_array_equal(first, np.repeat([x[:16].sum(), x[16:].max()], 16))
    np.testing.assert_array_equal(second, np.repeat([x[3], np.nan], 16))


@pytest.mark.parametrize("values", [[0, 1, 2, 3], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 3, 1]])
def test_votes(launcher, values):
    x = np.repeat(np.array(values, np.int32), 24)
    out = outputs(launcher, 6, 96, dtype=np.int32)
    launcher.launch("language", "votes", 1, 96, launcher.asarray(x), out)
    warps = x.reshape(3, 32)
    bits = ((warps > 0) * 2 ** np.arange(32)).sum(1).astype(np.uint32).view(np.int32)
    expected = [
        np.repeat(bits, 32),
        np.repeat((warps > 2).any(1), 32),
        np.repeat((warps > 0).all(1), 32),
        np.full(96, (x > 0).sum()),
        np.full(96, (x > 2).any()),
        np.full(96, (x > 0).all()),
    ]
    np.testing.assert_array_equal(launcher.to_numpy(out), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mathematics(launcher, rng, dtype):
    x = rng.uniform(0.1, 3.0, 500).astype(dtype)
    out = outputs(launcher, 500, 16, dtype=dtype)
    launcher.launch("language", "mathematics", 3, 64, launcher.asarray(x), out, 500)
    v = x.astype(np.longdouble)
    expected = [
        np.exp(v), np.expm1(v), np.log(v), np.log1p(v), np.sqrt(v), 1 / np.sqrt(v), np.sin(v),
        np.tanh(v), np.floor(-v), v, v**3, np.fmod(v, dtype(0.7)), np.minimum(v, 1), v, v * v + v,
        np.full(500, np.nan),
    ]  # fmt: skip
    # libm promises about one unit in the last place; 1 / sqrt rounds twice.
    tolerance = 2 * np.finfo(dtype).eps
    np.testing.assert_allclose(launcher.to_numpy(out).T, expected, rtol=tolerance, atol=tolerance)


def test_integers(launcher):
    x = np.array([1, 2, 3, 12, 1000, 65536, 2**29, 0], np.int32)
    out, sums = outputs(launcher, 6, 8, dtype=np.int32), np.array([0, 0, 9, 0, 0], np.uint32)
    sums = launcher.asarray(sums)
    launcher.launch("language", "integers", 1, 8, launcher.asarray(x), out, sums)
    numbers = [int(v) for v in x]
    expected = [
        [v.bit_count() for v in numbers],
        [32 - v.bit_length() for v in numbers],
        [(v & -v).bit_length() for v in numbers],
        [v * 0x80000001 >> 32 for v in numbers],
        x.astype(np.float32).view(np.int32),
        [v + 3 + v for v in numbers],
    ]
    np.testing.assert_array_equal(launcher.to_numpy(out), expected)
    totals = [sum(numbers), 2**29, 0, int(np.bitwise_or.reduce(x)), 1]
    np.testing.assert_array_equal(launcher.to_numpy(sums), totals)


def test_vectors(launcher, rng):
    x = rng.standard_normal((16, 4)).astype(np.float32)
    out, bytes_ = outputs(launcher, 16, 4), outputs(launcher, 16, 4, dtype=np.uint8)
    launcher.launch("language", "vectors", 1, 16, launcher.asarray(x), out, bytes_)
    np.testing.assert_array_equal(launcher.to_numpy(out), x[:, ::-1])
    np.testing.assert_array_equal(launcher.to_numpy(bytes_)[:, :3], [[1, 2, 3]] * 16)
    np.testing.assert_array_equal(launcher.to_numpy(bytes_)[:, 3], np.arange(16))


def test_arguments_of_every_type(simulator):
    launcher = simulator(order="forward")
    given = [-(2**31), 2**32 - 1, -(2**62), 2**64 - 2048, 0.1, 0.1, 7, 0.1]
    tenth = np.float32(0.1)
    for wide in (False, True):
        launcher.wide = wide
        out = outputs(launcher, 10, dtype=np.float64)
        launcher.launch("language", "arguments", 1, 1, out, None, *given)
        launcher.wide = False
        expected = [1, *given[:4], tenth, 0.1, 7, tenth, 8 if wide else 4]
        np.testing.assert_array_equal(launcher.to_numpy(out), expected)


def test_structs_by_value(simulator):
    launcher = simulator(order="forward")
    mixed = (200, 0.1, -(2**31), 2**31 - 1, 3, 2**30)
    for wide in (False, True):
        launcher.wide = wide
        out = outputs(launcher, 2, 9, dtype=np.float64)
        launcher.launch("language", "structs", 1, 2, out, (7,), mixed, (255,), -5)
        launcher.wide = False
        np.testing.assert_array_equal(launcher.to_numpy(out), [[8, *mixed, 255, -5]] * 2)
