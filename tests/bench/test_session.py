"""How a row comes about: checked, then timed; left out where memory is too small."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from gpucnn.bench import inference, memory, others, session, training
from gpucnn.bench.record import Row
from gpucnn.bench.session import Bench, Options, Work
from gpucnn.bench.stopwatch import Stopwatch, Times
from gpucnn.errors import DeviceError, OutOfMemoryError, UsageError


@pytest.fixture
def bench(hasty) -> Bench:
    return Bench(Options(suite="quick", seconds=0))


def row(**more: Any) -> Row:
    return Row("ops", "thing", "N1", **more)


def nothing() -> None:
    pass


def test_a_row_that_is_right_is_timed(bench):
    found = bench.measure(row(flop=1e6, nbytes=1e3), nothing, check=lambda: (1e-7, 1e-6))
    assert (found.ok, found.error, found.bound) == (True, 1e-7, 1e-6)
    assert found.seconds.median > 0
    assert found.floor == bench.ceilings.floor(1e6, 1e3)
    assert found.share == pytest.approx(found.floor / found.seconds.median)


@pytest.mark.parametrize("error", [2e-6, np.inf, np.nan])
def test_a_row_that_is_wrong_is_not(bench, error):
    calls = []
    found = bench.measure(row(), lambda: calls.append(1), check=lambda: (error, 1e-6))
    assert found.ok is False
    assert found.seconds is None
    assert found.error == (error if np.isfinite(error) else None)
    assert not calls


def test_no_verify(hasty):
    bench = Bench(Options(suite="quick", seconds=0, verify=False))
    found = bench.measure(row(), nothing, check=lambda: 1 / 0)
    assert (found.ok, found.error) == (None, None)
    assert found.seconds is not None


def test_the_faster_layout_counts(bench, monkeypatch):
    def times(*turns: float) -> Times:
        return Times(float(np.median(turns)), min(turns), max(turns), turns[0], list(turns))

    def compare(self: Stopwatch, calls: Any) -> Any:
        assert list(calls) == [("ours", ""), ("torch", "nchw"), ("torch", "nhwc")]
        return dict(zip(calls, [times(1.0, 2.0), times(9.0, 9.0), times(2.0, 6.0)], strict=True))

    monkeypatch.setattr(Stopwatch, "compare", compare)
    found = bench.measure(row(), nothing, rivals={"torch": {"nchw": nothing, "nhwc": nothing}})
    peer = found.baselines["torch"]
    assert peer.layout == "nhwc"
    assert peer.seconds.median == 4
    assert peer.ratio.median == 2.5  # of 2/1 and 6/2, not 4/1.5


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 5 TiB"),
        OutOfMemoryError("no", asked=1, held=1, free=1, total=1),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"),
    ],
)
def test_too_little_memory_leaves_the_row_out(bench, error):
    def prepare() -> Work:
        raise error

    found = bench.guarded(row(), prepare)
    assert found.skipped.startswith("out of memory: ")
    assert str(error).splitlines()[0] in found.skipped
    assert found.seconds is None


def test_another_error_is_not_hidden(bench):
    def prepare() -> Work:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        bench.guarded(row(), prepare)


def test_what_cannot_fit_is_not_even_tried(bench, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    found = bench.guarded(row(nbytes=10**9), lambda: 1 / 0)
    assert found.skipped == "needs 8.0 GB, 1.0 GB are free"
    assert bench.guarded(row(nbytes=10**3), lambda: Work(nothing)).seconds is not None
    monkeypatch.setattr(memory, "available", lambda: None)
    assert bench.guarded(row(nbytes=10**12), lambda: Work(nothing)).seconds is not None


@pytest.mark.parametrize("module", [training, inference])
def test_a_batch_that_cannot_fit_is_not_even_tried(bench, monkeypatch, module):
    monkeypatch.setattr(training, "IMAGES", 300)
    monkeypatch.setattr(memory, "available", lambda: 2_000_000)
    rows = list(module.rows(bench))
    assert rows[0].skipped is None  # softmax, the smaller batch
    assert rows[-1].skipped.startswith("needs ")


def test_memory_of_a_container(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_LIMITS", tmp_path)
    free = memory.available()  # of the machine
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 50\n")
    assert memory._of_container() is None
    (tmp_path / "memory.max").write_text("1000\n")
    assert memory._of_container() == 150
    assert memory.available() == 150
    (tmp_path / "memory.max").write_text("800\n")
    assert memory.available() == 0
    assert free is None or free > 1 << 20


def test_the_simulator_verifies_and_counts(gpu):
    if gpu.name != "sim":
        pytest.skip("there is a GPU, which does time")
    bench = Bench(Options(device="sim", suite="quick", baselines=("torch",)))
    assert bench.ceilings is None
    assert bench.baselines == {}
    found = bench.measure(row(flop=1.0), nothing, check=lambda: (0.0, 0.0))
    assert (found.ok, found.flop) == (True, 1.0)
    assert found.seconds is found.floor is found.share is None
    assert bench.record.options["baselines"] == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"suite": "imagenet"}, "unknown suite 'imagenet'"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"seconds": float("nan")}, "--seconds nan"),
        ({"seconds": float("inf")}, "--seconds inf"),
        ({"baselines": ("keras",)}, "unknown baseline 'keras'"),
        ({"device": "sim", "baselines": ("keras",)}, "unknown baseline 'keras'"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(UsageError, match=message):
        Bench(Options(**options))


def test_a_device_that_is_not_there(monkeypatch):
    from gpucnn import backend as backends
    from gpucnn.backend.problem import Problem

    monkeypatch.setattr(backends, "_cuda", backends._cuda.__wrapped__)
    monkeypatch.setattr(backends, "cuda_problem", lambda index=0: Problem("no GPU", "buy one"))
    with pytest.raises(DeviceError):
        Bench(Options(device="cuda"))


def test_a_record_does_not_tell_where_the_data_lies(bench, tmp_path):
    told = Bench(Options(suite="quick", seconds=0, data_dir=str(tmp_path))).record.options
    assert "data_dir" not in told
    assert told["suite"] == "quick"


def test_noise_is_fresh_and_of_the_dtype(hasty):
    bench = Bench(Options(suite="quick", seconds=0, dtype="float64"))
    a, b = bench.noise(3, 4), bench.noise(3, 4)
    assert a.dtype == np.float64
    assert a.shape == (3, 4)
    assert (a != b).all()
    again = Bench(Options(suite="quick", seconds=0, dtype="float64")).noise(3, 4)
    assert (a == again).all()  # the seed's


def test_what_other_processes_took(monkeypatch, tmp_path):
    stat, clock = tmp_path / "stat", iter([0.0, 10.0, 10.0])
    monkeypatch.setattr(others, "_STAT", stat)
    monkeypatch.setattr(others.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(others.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(others.os, "sysconf", lambda name: 100)
    own = iter([0.0, 4.0, 4.0])
    monkeypatch.setattr(others, "_own", lambda: next(own))
    stat.write_text("cpu  100 0 0 9000 50 0 0 0 0 0\ncpu0 1\n")
    watching = others.Others()
    # 4 s of its own, and 5 s of others (one of them a hypervisor) of the 20 that there were.
    stat.write_text("cpu  500 200 100 9900 70 50 50 100 0 0\ncpu0 1\n")
    assert watching.share() == pytest.approx(0.25)
    stat.unlink()
    assert watching.share() is None


def test_rows_are_in_the_record_as_they_come(bench, monkeypatch):
    class Module:
        @staticmethod
        def rows(_: Bench) -> Any:
            yield row()
            yield row()

        @staticmethod
        def count(_: Bench) -> int:
            return 2

    monkeypatch.setattr(session.importlib, "import_module", lambda name: Module)
    running = bench.run(["ops", "data"])
    next(running)
    assert len(bench.record.rows) == 1
    assert not bench.record.complete
    assert len(list(itertools.chain([1], running))) == bench.count(["ops", "data"]) == 4
    assert bench.record.complete
