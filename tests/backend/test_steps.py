"""The start of a step, counters, and rows gathered by index, as NumPy's indexing gives them."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn.errors import DtypeError, GpucnnError, ShapeError, UsageError


def u32(backend, value):
    return backend.asarray(np.array([value], np.uint32))


def table(backend, rates, step):
    """The arguments for a learning rate, which is -1 before."""
    return {
        "rates": backend.asarray(np.array(rates, np.float32)),
        "step": u32(backend, step),
        "learning_rate": backend.asarray(np.array([-1], np.float32)),
    }


@pytest.mark.parametrize("size", [1, 3, 255, 256, 257, 700])
def test_each_call_takes_the_next_batch(backend, rng, size):
    order = rng.permutation(2 * size + 1).astype(np.int32)
    place, there = u32(backend, 0), backend.asarray(order)
    picked = backend.asarray(np.full(size, 99, np.int32))
    for first in (0, size):
        backend.begin_step(place, there, picked)
        np.testing.assert_array_equal(backend.to_numpy(picked), order[first : first + size])
        assert backend.to_numpy(place) == first + size


@pytest.mark.parametrize("first", [3, 5, 6, 2**31 - 1, 2**31, 2**32 - 2])
def test_no_place_outside_of_the_order_is_read(backend, first):
    """2**31 and more are negative as an int, and the last two wrap around."""
    order = np.arange(10, 15, dtype=np.int32)
    place, picked = u32(backend, first), backend.asarray(np.zeros(4, np.int32))
    backend.begin_step(place, backend.asarray(order), picked)
    want = [order[at] if at < 5 else -1 for at in range(first, first + 4)]
    assert backend.to_numpy(picked).tolist() == want
    assert backend.to_numpy(place).tolist() == [(first + 4) % 2**32]


@pytest.mark.parametrize(("step", "rate"), [(0, 0.5), (1, 0.25), (2, 0.125), (3, 0.125)])
@pytest.mark.parametrize("size", [0, 2])
def test_the_learning_rate_of_the_step(backend, step, rate, size):
    """After the end of the table it stays the last one; also where no batch is taken."""
    arrays = [np.arange(5, dtype=np.int32), np.zeros(size, np.int32)]
    lookup = table(backend, [0.5, 0.25, 0.125], step)
    backend.begin_step(u32(backend, 0), *map(backend.asarray, arrays), **lookup)
    assert backend.to_numpy(lookup["learning_rate"]) == np.float32(rate)
    assert backend.to_numpy(lookup["step"]) == step


def test_an_order_with_strides(backend):
    order = backend.asarray(np.arange(12, dtype=np.int32))[::3]
    picked = backend.asarray(np.zeros(2, np.int32))
    backend.begin_step(u32(backend, 1), order, picked)
    assert backend.to_numpy(picked).tolist() == [3, 6]


def test_arguments_that_do_not_fit(backend):
    place, order = u32(backend, 0), backend.asarray(np.zeros(3, np.int32))
    picked, lookup = backend.asarray(np.zeros(2, np.int32)), table(backend, [1.0], 0)
    pixels, matrix = np.zeros(2, np.uint8), np.zeros((2, 2), np.int32)
    wrong = [
        ({"place": order}, "place is int32"),
        ({"order": backend.asarray(pixels)}, "order is uint8"),
        ({"order": backend.asarray(matrix)}, "order has shape"),
        ({"indices": backend.asarray(pixels)}, "indices is uint8"),
        ({"indices": backend.asarray(matrix)}, "indices is int32 of shape"),
        ({"rates": lookup["rates"][:0]}, "rates has shape"),
        ({"rates": order}, "rates is int32"),
        ({"step": order}, "step is int32"),
        ({"learning_rate": lookup["rates"][:0]}, "learning_rate is float32 of shape"),
    ]
    for changed, message in wrong:
        given = {"place": place, "order": order, "indices": picked, **lookup, **changed}
        with pytest.raises(GpucnnError, match=message):
            backend.begin_step(**given)
    for missing in lookup:
        with pytest.raises(UsageError, match=f"without {missing}"):
            backend.begin_step(place, order, picked, **{**lookup, missing: None})


@pytest.mark.parametrize("before", [0, 1, 2**31, 2**32 - 1])
def test_increment(backend, before):
    counter = u32(backend, before)
    backend.increment(counter)
    assert backend.to_numpy(counter).tolist() == [(before + 1) % 2**32]
    with pytest.raises(DtypeError, match="int32"):
        backend.increment(backend.asarray(np.zeros(1, np.int32)))


@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 3, 5), (7, 1, 300), (7, 0)])
@pytest.mark.parametrize("of_rows", ["int32", "float32", "float64", "int64", "uint32"])
def test_rows_are_gathered_bit_by_bit(backend, rng, shape, of_rows):
    rows = np.frombuffer(rng.bytes(8 * int(np.prod(shape))), of_rows)
    rows = np.resize(rows, shape) if rows.size else np.zeros(shape, of_rows)
    for indices in (np.array([6, 0, 3, 3]), np.array([5], np.int32), np.array([], np.int32)):
        got = backend.gather_rows(backend.asarray(rows), backend.asarray(indices))
        assert got.dtype == of_rows
        assert got.shape == (len(indices), *shape[1:])
        assert backend.to_numpy(got).tobytes() == rows[indices].tobytes()


@pytest.mark.parametrize("of_rows", ["int32", "float32", "float64", "int64"])
@pytest.mark.parametrize("outside", [-1, 3, 2**31 - 1, -(2**31), 2**32 + 1])
def test_a_row_outside_is_nan_or_minus_one(backend, of_rows, outside):
    rows = np.arange(6).reshape(3, 2).astype(of_rows)
    indices = np.array([2, outside, 0], np.int64 if outside > 2**31 else np.int32)
    got = backend.to_numpy(backend.gather_rows(backend.asarray(rows), backend.asarray(indices)))
    nothing = np.nan if of_rows[0] == "f" else -1
    np.testing.assert_array_equal(got, [[4, 5], [nothing] * 2, [0, 1]])


def test_rows_with_strides_and_from_nothing(backend):
    rows, one = np.arange(24, dtype=np.float32).reshape(4, 6), backend.asarray(np.array([1]))
    got = backend.gather_rows(backend.asarray(rows)[:, ::2], one)
    np.testing.assert_array_equal(backend.to_numpy(got), rows[1:2, ::2])
    assert got.flags.c_contiguous
    got = backend.gather_rows(backend.asarray(rows[:0]), one)
    np.testing.assert_array_equal(backend.to_numpy(got), np.full((1, 6), np.nan))


def test_rows_that_cannot_be_gathered(backend):
    one = backend.asarray(np.array([1]))
    for rows in (np.zeros(3, np.uint8), np.zeros(3, np.float16), np.zeros(3, bool)):
        with pytest.raises(DtypeError, match=f"from {rows.dtype}"):
            backend.gather_rows(backend.asarray(rows), one)
    floats = backend.asarray(np.zeros((3, 4), np.float32))
    for indices, error in ((floats[0], DtypeError), (backend.asarray(np.zeros((1, 1), int)), None)):
        with pytest.raises(error or ShapeError):
            backend.gather_rows(floats, indices)
    with pytest.raises(ShapeError, match="single number"):
        backend.gather_rows(backend.asarray(np.array(1.0)), one)
