"""The roofline's ceilings, and the time that they allow."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from gpucnn import backend as backends
from gpucnn.bench import ceilings
from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.stopwatch import Stopwatch, Times


def test_the_roofline_time_is_the_longer_of_both():
    machine = Ceilings(flop_per_second=100.0, bytes_per_second=10.0)
    assert machine.roofline_time(flop=500, nbytes=10) == 5
    assert machine.roofline_time(flop=500, nbytes=100) == 10


def test_the_simulator_has_none():
    assert ceilings.measure(Stopwatch(SimpleNamespace(name="sim"))) is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_counted_on_a_cpu_is_what_is_done(hasty, monkeypatch, threads, dtype):
    """Both calls last 1.8 s at best by this watch: the counts are those of 3 threads."""
    threads.set_threads(3)
    times = Times([1.0, *[2.0] * 8], [2.0], [2.0])  # the tenth percentile is 1.8
    called = []

    def compare(self, calls, held):
        called.extend(call() for call in calls.values())
        return dict.fromkeys(calls, times)

    monkeypatch.setattr(Stopwatch, "compare", compare)
    found = ceilings.measure(Stopwatch(backends.get("cpu")), dtype)
    assert found == Ceilings(3 * 2 * 16**3 / 1.8, 2 * (1 << 12) / 1.8)
    products, _ = called
    assert [product.shape for product in products] == [(16, 16)] * 3
    assert products[0].dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loop_of_multiply_adds_does_them(gpu, dtype):
    out = gpu.xp.zeros(64, dtype)
    gpu.launcher.launch("stopwatch", "fma_loop", 2, 32, out, 0.5, 1.0, 5, CHAINS=4)
    chains = np.arange(64)[:, None] + np.arange(4.0)
    for _ in range(5):
        chains = chains * 0.5 + 1.0
    np.testing.assert_array_equal(gpu.to_numpy(out), chains.sum(1).astype(dtype))  # exact
