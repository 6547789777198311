"""The CPU backend alone: the same bits on any number of threads, bounded scratch, re-entrance."""

from __future__ import annotations

import os
import platform
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl
from calls import Calls
from checks import assert_close
from processes import run_python

import gpucnn.backend
from gpucnn.backend.cpu.backend import CpuBackend
from gpucnn.backend.cpu.dense import _ROW_BYTES
from gpucnn.errors import DtypeError, UsageError

MB = 2**20


@pytest.fixture(params=["numpy", "compiled"])
def cpu(request):
    """The CPU's backend without Numba and with it."""
    if request.param == "numpy":
        return CpuBackend()
    pytest.importorskip("numba", reason="the extra `fast` is not installed")
    from gpucnn.backend.numba.backend import CompiledBackend

    return CompiledBackend()


@pytest.mark.parametrize("name", sorted(Calls(np.asarray).calls))
@pytest.mark.parametrize("images", [1, 7, 300])
def test_bits_do_not_depend_on_the_number_of_threads(cpu, threads, name, images):
    call = Calls(np.asarray, images).calls[name]
    threads.set_threads(1)
    want = [array.copy() for array in call(cpu)]
    for count in (2, 3, 8):
        threads.set_threads(count)
        for got, expected in zip(call(cpu), want, strict=True):
            assert got.tobytes() == expected.tobytes(), f"{name} on {count} threads"


def test_bits_of_a_training_sized_convolution(cpu, threads):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 32, 26, 26)).astype(np.float32)
    w = rng.standard_normal((64, 32, 3, 3)).astype(np.float32)
    g = rng.standard_normal((64, 64, 24, 24)).astype(np.float32)
    results = []
    for count in (1, 2, 5):
        threads.set_threads(count)
        results.append(
            (
                cpu.conv2d_forward(x, w).tobytes(),
                cpu.conv2d_backward_input(g, w, x.shape).tobytes(),
                cpu.conv2d_backward_weight(g, x, w.shape).tobytes(),
                cpu.bias_grad(g).tobytes(),
            )
        )
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("numba", ["0", "1"])
def test_bits_of_a_process_with_another_number_of_threads(numba):
    """What is worked out once, at import, must not depend on the threads either."""
    code = """
import hashlib, numpy as np, gpucnn.backend
rng = np.random.default_rng(0)
x, g = (rng.standard_normal((50, 4, 20, 20)).astype(np.float32) for _ in range(2))
cpu = gpucnn.backend.get("cpu")
weight = cpu.conv2d_backward_weight(g, x, (4, 4, 3, 3), padding=1)
forward = cpu.conv2d_forward(x, weight)
print(hashlib.sha256(weight.tobytes() + forward.tobytes() + cpu.bias_grad(g).tobytes()).hexdigest())
"""
    digests = {
        run_python(code, GPUCNN_THREADS=n, GPUCNN_NUMBA=numba).stdout for n in ("1", "2", "5")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def test_calls_from_several_threads_do_not_meet(cpu, threads):
    """Scratch memory is not shared between two calls at once."""
    threads.set_threads(2)
    rng = np.random.default_rng(0)
    w = rng.standard_normal((8, 4, 3, 3)).astype(np.float32)
    batches = [rng.standard_normal((40, 4, 16, 16)).astype(np.float32) for _ in range(8)]
    want = [cpu.conv2d_forward(x, w, padding=1).tobytes() for x in batches]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda x: cpu.conv2d_forward(x, w, padding=1).tobytes(), batches))
    assert got == want


def test_another_thread_than_the_first_gets_the_same_bits(cpu, threads):
    """The BLAS is held at one thread for every caller: its own threads add in another order."""
    threads.set_threads(1)
    rng = np.random.default_rng(0)
    a = rng.standard_normal((8, 400)).astype(np.float32)
    b = rng.standard_normal((400, 3000)).astype(np.float32)
    want = cpu.matmul(a, b).tobytes()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: cpu.matmul(a, b).tobytes()).result() == want


def test_the_caller_s_blas_is_put_back(cpu):
    def blas_threads():
        return [
            library["num_threads"]
            for library in threadpoolctl.threadpool_info()
            if library["user_api"] == "blas"
        ]

    for count in (1, 2):
        with threadpoolctl.threadpool_limits(count):
            before = blas_threads()
            assert before
            cpu.matmul(np.ones((50, 50)), np.ones((50, 50)))
            assert blas_threads() == before


def test_threads_are_set_and_read_back(cpu, threads):
    threads.set_threads(3)
    assert threads.get_threads() == 3
    assert cpu.describe()["threads"] == 3


@pytest.mark.parametrize("count", [0, -1])
def test_a_number_of_threads_below_one(threads, count):
    with pytest.raises(UsageError, match="thread"):
        threads.set_threads(count)


def test_threads_come_from_the_environment():
    code = "from gpucnn.backend.cpu import parallel as cpu; print(cpu.get_threads())"
    assert run_python(code, GPUCNN_THREADS="3").stdout == "3\n"
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert int(run_python(code).stdout) == usable


@pytest.mark.parametrize("value", ["0", "two", "-4"])
def test_a_bad_number_in_the_environment_is_named(value):
    code = "from gpucnn.backend.cpu import parallel as cpu; cpu.get_threads()"
    err = run_python(code, GPUCNN_THREADS=value).stderr
    assert "UsageError" in err
    assert "GPUCNN_THREADS" in err


SCRATCH = {
    # A packing of the whole batch would be 64 * 32*9 * 56*56 floats = 231 MB.
    "forward": lambda cpu, x, w, g: cpu.conv2d_forward(x, w, padding=1),
    "backward_input": lambda cpu, x, w, g: cpu.conv2d_backward_input(g, w, x.shape, padding=1),
    "backward_weight": lambda cpu, x, w, g: cpu.conv2d_backward_weight(g, x, w.shape, padding=1),
}


def scratch_of(call, *arrays):
    """Bytes allocated by the call at its worst, above its result; NumPy reports to tracemalloc."""
    tracemalloc.start()
    try:
        result = call(*arrays)
        return tracemalloc.get_traced_memory()[1] - result.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", SCRATCH)
def test_scratch_of_a_convolution_is_bounded(cpu, name):
    x = np.ones((64, 32, 56, 56), dtype=np.float32)
    w = np.ones((32, 32, 3, 3), dtype=np.float32)
    assert scratch_of(SCRATCH[name], cpu, x, w, x) < 64 * MB


@pytest.mark.parametrize("name", SCRATCH)
def test_scratch_of_a_wide_convolution_is_bounded(cpu, name):
    """The weight is 2.4 MB here: a copy of its gradient for each image would be 150 MB."""
    x = np.ones((64, 256, 7, 7), dtype=np.float32)
    w = np.ones((256, 256, 3, 3), dtype=np.float32)
    assert scratch_of(SCRATCH[name], cpu, x, w, x) < 64 * MB


def test_scratch_of_many_filters_is_bounded(cpu):
    """The product is larger than the columns here: 512 MB for the whole batch."""
    x, w = np.ones((64, 1, 64, 64), dtype=np.float32), np.ones((512, 1, 1, 1), dtype=np.float32)
    assert scratch_of(SCRATCH["forward"], cpu, x, w, x) < 32 * MB


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("K", "N"), [(4_500, 500), (2_000_000, 2), (1, 3_000_000)])
def test_one_row_by_a_large_matrix(cpu, threads, dtype, K, N):
    """Its rows are shared out; the sums of the parts are added up in one order."""
    rng = np.random.default_rng(0)
    a, b, bias = (rng.standard_normal(s).astype(dtype) for s in ((1, K), (K, N), (N,)))
    assert b.nbytes >= 2 * _ROW_BYTES
    want = (a.astype(np.float64) @ b)[0] + bias
    found = []
    for count in (1, 2, 3):
        threads.set_threads(count)
        plain, biased = cpu.matmul(a, b), cpu.matmul(a, b, bias=bias)
        fused = cpu.matmul(a, b, bias=bias, activation="relu")
        assert plain.dtype == dtype
        assert_close(biased, want[None], K + 1)
        np.testing.assert_array_equal(biased, plain + bias)
        np.testing.assert_array_equal(fused, np.maximum(biased, 0))
        found.append(fused.tobytes())
    assert found[0] == found[1] == found[2]


def test_nan_survives_the_relu_of_one_row_by_a_large_matrix(cpu):
    a, b = np.ones((1, 3000)), -np.ones((3000, 400))
    b[1000, 7] = np.nan
    want = np.zeros((1, 400))
    want[0, 7] = np.nan
    np.testing.assert_array_equal(cpu.matmul(a, b, activation="relu"), want)


def test_subclasses_of_arrays_are_refused(cpu):
    for array in (np.ma.ones((2, 2)), np.ones((2, 2)).view(type("Sub", (np.ndarray,), {}))):
        with pytest.raises(DtypeError):
            gpucnn.backend.of(array)
        with pytest.raises(DtypeError):
            cpu.relu_backward(array, array)


def test_scratch_does_not_grow_with_the_batch(cpu):
    w = np.ones((8, 8, 3, 3), dtype=np.float32)

    def scratch(images):
        x = np.ones((images, 8, 28, 28), dtype=np.float32)
        return scratch_of(SCRATCH["backward_weight"], cpu, x, w, x)

    scratch(64)
    assert scratch(512) < scratch(64) + 8 * MB


@pytest.mark.parametrize("which", [0, 2], ids=["parameter", "slot"])
def test_an_update_of_what_is_read_only_is_an_error(cpu, which):
    """And not one of a copy, silently."""
    arrays = [np.ones(3, np.float32) for _ in range(3)]
    arrays[which].flags.writeable = False
    with pytest.raises(UsageError, match="read-only"):
        cpu.rmsprop_update(*arrays, learning_rate=0.1)
    assert all((array == 1).all() for array in arrays)


@pytest.mark.parametrize("which", ["totals", "step", "found_inf"])
def test_metrics_of_what_is_read_only_are_an_error(cpu, which):
    state = {
        "totals": np.zeros(2),
        "step": np.zeros(1, np.uint32),
        "found_inf": np.zeros(1, np.uint32),
    }
    state[which].flags.writeable = False
    logits = np.ones((2, 3), np.float32)
    with pytest.raises(UsageError, match=f"{which} is read-only"):
        cpu.accumulate_metrics(
            losses=np.ones(2, np.float32), outputs=logits, labels=np.array([0, 1]), **state
        )
    assert all((array == 0).all() for array in state.values())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about glibc's malloc")
def test_a_step_gets_the_pages_of_the_one_before():
    code = """
import resource, numpy as np, gpucnn.backend
{}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5): [np.ones(1 << 20, np.float32) for _ in range(10)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""
    without, kept = (
        int(run_python(code.format(line)).stdout) for line in ("", 'gpucnn.backend.get("cpu")')
    )
    assert kept < without / 10
