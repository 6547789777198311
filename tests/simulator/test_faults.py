"""A kernel that a GPU would let run into undefined behavior ends with an error here."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gpucnn.errors import KernelError

THREADS = 64


@pytest.fixture
def y(launcher):
    return launcher.empty((THREADS,), np.float32)


def caught(launcher, kernel, *args, threads=THREADS, block=1, **options):
    """The error of a launch of two blocks, of which those before `block` are right."""
    with pytest.raises(KernelError) as error:
        launcher.launch("faults", kernel, block + 1, threads, *args, **options)
    return error.value


FAULTS = [
    ("returned_before", 40, r"thread \(0, 0, 0\) waits at the barrier in {at}, "
                            r"thread \(40, 0, 0\) has returned"),
    ("returned_after", 40, r"thread \(0, 0, 0\) waits at the barrier in {at}, "
                           r"thread \(40, 0, 0\) has returned"),
    ("two_barriers", 40, r"thread \(63, 0, 0\) waits at the barrier in kernels/faults.cu:\d+, "
                         r"thread \(0, 0, 0\) waits at the barrier in {at}"),
    ("lanes_missing", 40, r"thread \(32, 0, 0\) is in __shfl_xor_sync with mask 0xffffffff in "
                          r"{at}, thread \(40, 0, 0\) has returned"),
    ("not_in_mask", 20, r"thread \(20, 0, 0\) calls __shfl_sync in {at} with mask 0x000fffff"),
    ("two_masks", 20, r"thread \(31, 0, 0\) is in __shfl_sync with mask 0xfffffffe in {at}, "
                      r"thread \(1, 0, 0\) is in __shfl_sync with mask 0xffffffff in {at}"),
    ("two_operations", 20, r"thread \(31, 0, 0\) is in __any_sync with mask 0xffffffff in "
                           r"\S+, thread \(0, 0, 0\) is in __shfl_sync with mask \S+ in {at}"),
    ("barrier_or_warp", 20, r"thread \(0, 0, 0\) is in __syncwarp with mask 0xffffffff in "
                            r"{at}, thread \(20, 0, 0\) waits at the barrier in \S+"),
    ("divided_by_zero", 7, r"thread \(7, 0, 0\) divides an integer by zero"),
    ("wild_address", 7, r"thread \(7, 0, 0\) touches memory .* near address 0x38$"),
    ("stack_overflow", 7, r"thread \([07], 0, 0\) touches memory that is not its own"),
]  # fmt: skip
# Those whose PTX the simulator knows.
IN_PTX = ("returned_before", "returned_after", "two_barriers", "lanes_missing", "not_in_mask",
          "two_masks", "barrier_or_warp", "divided_by_zero")  # fmt: skip


def check_fault(launcher, line_of, kernel, n, said):
    said = said.replace("{at}", line_of(kernel)) if "{at}" in said else said
    y = launcher.empty((THREADS,), np.float32)
    error = caught(launcher, kernel, y, n, block=0)
    assert error.message.startswith(f"{kernel} on (64,) float32: block (0, 0, 0), thread ")
    assert re.search(said, error.message)
    assert error.fix or error.cause

    # The fibers that were left where they stood are used again.
    launcher.launch("faults", "right", 3, THREADS, y, 0)
    np.testing.assert_array_equal(launcher.to_numpy(y), np.repeat([32.0, 0.0], 32))


@pytest.mark.parametrize(("kernel", "n", "said"), FAULTS)
def test_fault(launcher, line_of, kernel, n, said):
    check_fault(launcher, line_of, kernel, n, said)


@pytest.mark.parametrize(("kernel", "n", "said"), [case for case in FAULTS if case[0] in IN_PTX])
def test_fault_in_ptx(simulator, line_of, kernel, n, said):
    check_fault(simulator(compiled_from="ptx"), line_of, kernel, n, said)


def test_threads_that_returned_before_the_first_came_to_the_barrier(simulator, line_of):
    launcher = simulator(order="reverse")
    y = launcher.empty((THREADS,), np.float32)
    error = caught(launcher, "returned_before", y, 40)
    assert error.message.endswith(
        f"block (1, 0, 0), thread (39, 0, 0) waits at the barrier in {line_of('returned_before')}, "
        "thread (40, 0, 0) has returned"
    )


def test_fault_names_the_block(launcher):
    out = launcher.empty((32,), np.int32)
    launcher.add_source(
        "blocks",
        """
        extern "C" __global__ void blocks(int *out) {
            const unsigned int place = blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z +
                                       1000 * threadIdx.x + 10000 * threadIdx.y;
            out[threadIdx.x] = 100 / (static_cast<int>(place) - 12321);
        }
        """,
    )
    with pytest.raises(KernelError, match=r"block \(1, 2, 3\), thread \(2, 1, 0\) divides"):
        launcher.launch("blocks", "blocks", (2, 3, 4), (4, 2), out)


def test_lanes_that_a_small_block_lacks(launcher):
    """They count as there, but what they would give is undefined: poison."""
    y = launcher.empty((20,), np.float32)
    launcher.launch("faults", "small_block", 1, 20, y)
    expected = [20.0 if lane ^ 8 < 20 else np.nan for lane in range(20)]
    np.testing.assert_array_equal(launcher.to_numpy(y), expected)


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("kernel", ["misaligned", "integer_overflow", "beyond_array"])
def test_undefined_behavior(simulator, line_of, kernel, n):
    launcher = simulator(sanitize="undefined")
    if kernel == "misaligned" and "clang" in launcher.describe()["compiler"]:
        pytest.skip("clang does not look at the address of a struct that is copied as a whole")
    x, y = launcher.empty((8 * 8,), np.float32), launcher.empty((64,), np.float32)
    x.fill(1)
    where = {"misaligned": n, "integer_overflow": n, "beyond_array": n}[kernel]
    said = {
        "misaligned": "touches memory at a null or misaligned address",
        "integer_overflow": "overflows a signed integer in an addition",
        "beyond_array": "indexes an array beyond its end",
    }[kernel]
    error = caught(launcher, kernel, x, y, n, threads=8, block=0)
    assert f"thread ({where}, 0, 0) {said}" in error.message
    assert error.message.endswith(f"in {line_of(kernel)}")

    launcher.launch("faults", "right", 1, 64, y, 0)
    np.testing.assert_array_equal(launcher.to_numpy(y), np.repeat([32.0, 0.0], 32))
