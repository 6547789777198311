"""Memory that was not written is NaN, so that a missing barrier or wait is seen."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn.errors import KernelError

ORDERS = ("forward", "reverse", "shuffled")
everywhere = pytest.mark.parametrize("launcher", ["assembly", "ucontext", "ptx"], indirect=True)


@pytest.mark.parametrize("form", ["source", "ptx"])
@pytest.mark.parametrize("order", ORDERS)
def test_missing_barrier_is_seen_in_some_order(simulator, order, form, rng):
    launcher = simulator(order=order, compiled_from=form)
    x = rng.standard_normal(64).astype(np.float32)
    right, wrong = launcher.empty((64,), np.float32), launcher.empty((64,), np.float32)
    launcher.launch("memory", "neighbor", 1, 64, launcher.asarray(x), right, BARRIER=1)
    launcher.launch("memory", "neighbor", 1, 64, launcher.asarray(x), wrong, BARRIER=0)
    expected = [0, *x[:-1]]
    np.testing.assert_array_equal(launcher.to_numpy(right), expected)
    unwritten = np.isnan(launcher.to_numpy(wrong))
    # Threads that come in their order find their neighbor's value even without the barrier.
    assert unwritten.sum() == {"forward": 0, "reverse": 63}.get(order, unwritten.sum())
    assert order == "forward" or unwritten.sum() > 20
    np.testing.assert_array_equal(
        launcher.to_numpy(wrong)[~unwritten], np.array(expected)[~unwritten]
    )


@pytest.mark.parametrize("order", ORDERS[:2])
def test_every_block_finds_its_shared_memory_poisoned(simulator, order):
    launcher = simulator(order=order)
    first = {"forward": 0, "reverse": 2}[order]
    y = launcher.empty((3, 4), np.float32)
    for _ in range(2):  # also what an earlier launch left behind
        launcher.launch("memory", "stale", 3, 1, y, shared=64, FIRST=first)
        result = launcher.to_numpy(y)
        np.testing.assert_array_equal(result[first], [1, 2, 3, -1])
        np.testing.assert_array_equal(
            np.delete(result, first, 0), [[np.nan, np.nan, np.nan, -1]] * 2
        )


@everywhere
@pytest.mark.parametrize("valid", [16, 8, 0])
def test_asynchronous_copies(launcher, rng, valid):
    x = rng.standard_normal(4).astype(np.float32)
    y = launcher.empty((3, 4), np.float32)
    launcher.launch("memory", "copies", 2, 4, launcher.asarray(x), y, VALID=valid, PENDING=0)
    four, eight, sixteen = launcher.to_numpy(y)
    np.testing.assert_array_equal(four, x)
    kept = np.arange(4) % 2 < valid // 8
    np.testing.assert_array_equal(eight, np.where(kept, x, 0))
    np.testing.assert_array_equal(sixteen, np.where(np.arange(4) < valid // 4, x, 0))


@everywhere
def test_copies_that_are_not_waited_for(launcher, rng):
    x = rng.standard_normal(4).astype(np.float32)
    y = launcher.empty((3, 4), np.float32)
    launcher.launch("memory", "copies", 1, 4, launcher.asarray(x), y, VALID=16, PENDING=1)
    np.testing.assert_array_equal(launcher.to_numpy(y), [x, x, [np.nan] * 4])
    launcher.launch("memory", "copies", 1, 4, launcher.asarray(x), y, VALID=16)
    assert np.isnan(launcher.to_numpy(y)).all()


@everywhere
def test_copy_under_way_hides_what_was_there(launcher, rng):
    x = rng.standard_normal(4).astype(np.float32)
    y = launcher.empty((2, 4), np.float32)
    launcher.launch("memory", "copy_again", 1, 4, launcher.asarray(x), y)
    np.testing.assert_array_equal(launcher.to_numpy(y), [x, [np.nan] * 4])


def test_misaligned_copy(launcher, line_of):
    y = launcher.empty((8,), np.float32)
    with pytest.raises(KernelError, match=r"copies to or from a misaligned address") as error:
        launcher.launch("memory", "copy_misaligned", 1, 1, y, y, VALID=16)
    assert error.value.message.endswith(line_of("copy_misaligned"))


def test_fresh_arrays_are_poisoned(launcher):
    assert np.isnan(launcher.to_numpy(launcher.empty((3, 2), np.float32))).all()
    assert np.isnan(launcher.to_numpy(launcher.empty((3, 2), np.float64))).all()
    assert (launcher.to_numpy(launcher.empty((5,), np.int32)) == -1).all()
    assert launcher.empty((), np.float32).shape == ()
    assert launcher.empty((0, 3), np.uint8).shape == (0, 3)
