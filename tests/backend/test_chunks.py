"""The memory that a chunk is computed in."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from gpucnn.backend.cpu import chunks
from gpucnn.backend.cpu.chunks import scratch


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No scratch of other tests, and none is left behind."""
    monkeypatch.setattr(chunks, "_scratch", type(chunks._scratch)())


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_scratch_begins_on_a_line_of_the_cache(dtype):
    for size in (*range(70), 1000, 1001, 100_003):
        array = scratch(f"of {size}", (size,), dtype)
        assert array.ctypes.data % 64 == 0
        assert (array.shape, array.dtype) == ((size,), dtype)
        array[...] = 1  # all of it may be written


def test_the_same_scratch_is_the_same_array():
    array = scratch("a", (3, 5), np.float32)
    assert scratch("a", (3, 5), np.float32) is array
    assert not np.shares_memory(scratch("b", (3, 5), np.float32), array)


def test_another_shape_or_type_is_in_the_same_memory_if_it_fits():
    array = scratch("a", (6, 4), np.float32)
    for shape, dtype in (((6, 4), "i4"), ((4, 6), "i4"), ((2,), "f4"), ((12,), "f8"), ((), "u1")):
        other = scratch("a", shape, dtype)
        assert (other.shape, other.dtype) == (shape, np.dtype(dtype))
        assert other.ctypes.data == array.ctypes.data
    again = scratch("a", (6, 4), np.float32)
    assert (again.shape, again.dtype) == ((6, 4), np.float32)
    assert again.ctypes.data == array.ctypes.data


def test_scratch_grows_and_does_not_shrink():
    small = scratch("a", (10,), np.float32)
    large = scratch("a", (1000,), np.float32)
    large[...] = 1
    assert not np.shares_memory(small, large)
    assert large.ctypes.data % 64 == 0
    assert np.shares_memory(scratch("a", (10,), np.float32), large)
    assert scratch("a", (1000,), np.float32).ctypes.data == large.ctypes.data


def test_each_thread_has_its_own():
    mine, theirs = scratch("a", (5,), np.float32), []

    def take() -> None:
        theirs.append(scratch("a", (5,), np.float32))

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    assert not np.shares_memory(theirs[0], mine)
    assert scratch("a", (5,), np.float32) is mine
