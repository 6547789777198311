"""A row is verified, then timed; it is skipped where memory is too small."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpucnn import models
from gpucnn.bench import baselines, networks, session
from gpucnn.bench.cases import operations
from gpucnn.bench.operations import work
from gpucnn.bench.record import BenchRow
from gpucnn.bench.session import Bench, Options, Work
from gpucnn.bench.stopwatch import Seconds, Stopwatch, Times
from gpucnn.errors import DeviceError, MissingExtraError, OutOfMemoryError


@pytest.fixture
def bench(hasty) -> Bench:
    return Bench(Options(suite="quick", seconds=0))


def row(**more: Any) -> BenchRow:
    return BenchRow("ops", "thing", "N1", **more)


def nothing() -> None:
    pass


def test_a_row_that_is_right_is_timed(bench):
    found = bench.measure(row(flop=1e6, nbytes=1e3), Work(nothing, lambda: (1e-7, 1e-6)))
    assert (found.ok, found.error, found.bound) == (True, 1e-7, 1e-6)
    assert found.seconds.median > 0
    assert found.floor == bench.ceilings.roofline_time(1e6, 1e3)
    assert found.share == pytest.approx(found.floor / found.seconds.median)


@pytest.mark.parametrize("error", [2e-6, np.inf, np.nan])
def test_a_row_that_is_wrong_is_not(bench, error):
    calls = []
    found = bench.measure(row(), Work(lambda: calls.append(1), lambda: (error, 1e-6)))
    assert found.ok is False
    assert found.seconds is None
    assert found.error == (error if np.isfinite(error) else None)
    assert not calls


def test_no_verify(hasty):
    bench = Bench(Options(suite="quick", seconds=0, verify=False))
    found = bench.measure(row(), Work(nothing, lambda: 1 / 0))
    assert (found.ok, found.error) == (None, None)
    assert found.seconds is not None


def test_the_faster_layout_counts(bench, monkeypatch):
    def times(*turns: float) -> Times:
        return Times(list(turns), list(turns), list(turns))

    def compare(self: Stopwatch, calls: Any, held: Any) -> Any:
        assert list(calls) == ["", "nchw", "nhwc"]
        return dict(zip(calls, [times(1.0, 2.0), times(9.0, 9.0), times(2.0, 6.0)], strict=True))

    monkeypatch.setattr(Stopwatch, "compare", compare)
    found = bench.measure(row(), Work(nothing, torch={"nchw": nothing, "nhwc": nothing}, images=8))
    torch = found.baselines["torch"]
    assert torch.layout == "nhwc"
    assert torch.seconds.median == 4
    assert torch.ratio.median == 2.5  # of 2/1 and 6/2, not 4/1.5
    assert (torch.value, found.value, found.unit) == (2, 8 / 1.5, "images/s")


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
    monkeypatch.setattr(session, "free_memory", lambda: 10**9)
    found = bench.guarded(row(nbytes=10**9), lambda: 1 / 0)
    assert found.skipped == "needs 8.0 GB, 1.0 GB are free"
    assert bench.guarded(row(nbytes=10**3), lambda: Work(nothing)).seconds is not None
    monkeypatch.setattr(session, "free_memory", lambda: None)
    assert bench.guarded(row(nbytes=10**12), lambda: Work(nothing)).seconds is not None


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [networks.training_tasks, networks.inference_tasks])
def test_a_batch_that_cannot_fit_is_not_even_tried(bench, monkeypatch, tasks):
    monkeypatch.setattr(networks, "IMAGES", 300)
    monkeypatch.setattr(session, "free_memory", lambda: 2_000_000)
    rows = [task() for task in tasks(bench)]
    assert rows[0].skipped is None  # softmax, the smaller batch
    assert rows[-1].skipped.startswith("needs ")


@pytest.mark.parametrize("held", [False, True])
def test_both_sides_are_held_or_neither(bench, monkeypatch, held):
    def compare(self: Stopwatch, calls: Any, held: Any) -> Any:
        given.append([name in held for name in calls])
        return dict.fromkeys(calls, Times([1.0], [1.0], [1.0]))

    given: list[list[bool]] = []
    monkeypatch.setattr(Stopwatch, "compare", compare)
    bench.measure(row(), Work(nothing, torch={"nchw": nothing}, held=held))
    assert given == [[held, held]]


def test_launches_count_for_a_network_and_not_for_an_operation(bench):
    images = networks.random_images(bench.rng, 64)
    assert not networks.training(bench, images, "softmax", 8, "sgd").held
    model = models.get("softmax").build((1, 28, 28))
    assert not networks._inference(bench, model, 8).held
    for operation in list(operations("quick"))[:3]:
        assert work(bench, operation).held


ERRORS = [
    DeviceError("PyTorch 2.11 cannot use cuda:0", cause="it was built without CUDA"),
    MissingExtraError("the baseline torch cannot be imported", cause="a library is missing"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_a_pytorch_that_cannot_be_used_is_left_out(hasty, monkeypatch, error):
    def refuse(backend: Any) -> Any:
        raise error

    monkeypatch.setattr(baselines, "installed", lambda: ["torch"])
    monkeypatch.setattr(baselines, "Torch", refuse)
    bench = Bench(Options(suite="quick", seconds=0, baselines=None))
    assert bench.torch is None
    assert bench.no_torch is error
    assert bench.options.baselines == bench.record.options["baselines"] == ()
    found = bench.measure(row(), Work(nothing, torch=bench.torch_calls(lambda *_: 1 / 0, True)))
    assert found.seconds is not None
    with pytest.raises(type(error)) as caught:  # it was asked for
        Bench(Options(suite="quick", seconds=0, baselines=("torch",)))
    assert caught.value is error


@pytest.mark.parametrize("names", [[], ["torch"]])
def test_an_installed_pytorch_is_the_baseline(hasty, monkeypatch, names):
    monkeypatch.setattr(baselines, "installed", lambda: names)
    monkeypatch.setattr(baselines, "Torch", lambda backend: SimpleNamespace(torch=None))
    bench = Bench(Options(suite="quick", seconds=0, baselines=None))
    assert (bench.torch is not None) == bool(names)
    assert bench.no_torch is None
    assert bench.options.baselines == bench.record.options["baselines"] == tuple(names)


def test_the_simulator_verifies_and_counts(gpu):
    if gpu.name != "sim":
        pytest.skip("there is a GPU, which does time")
    bench = Bench(Options(device="sim", suite="quick", baselines=("torch",)))
    assert bench.ceilings is None
    assert bench.torch is None
    found = bench.measure(row(flop=1.0), Work(nothing, lambda: (0.0, 0.0), images=8))
    assert (found.ok, found.flop, found.unit, found.value) == (True, 1.0, "images/s", None)
    assert found.seconds is found.floor is found.share is None
    assert bench.record.options["baselines"] == ()


def test_steps_that_are_timed_together(bench, monkeypatch):
    """As on a GPU: a row is of 20 steps, and gives the time of one."""
    monkeypatch.setattr(
        Stopwatch,
        "compare",
        lambda self, calls, held: {
            name: Times([2.0 * k], [call() or 1.0 * k], [0.5 * k])
            for k, (name, call) in enumerate(calls.items(), 1)
        },
    )
    steps: list[str] = []
    work = Work(
        lambda: steps.append("ours"), torch={"nchw": lambda: steps.append("torch")}, images=32,
        steps=20,
    )  # fmt: skip
    found = bench.measure(row(flop=1e9), work)
    assert steps == ["ours"] * 20 + ["torch"] * 20
    assert found.seconds == Seconds(0.1, 0.1, 0.1, 0.025)
    assert found.floor == bench.ceilings.roofline_time(1e9, 0)
    assert found.share == pytest.approx(found.floor / 0.1)
    assert found.value == 320
    assert found.baselines["torch"].seconds.median == 0.2
    assert found.baselines["torch"].value == 160
    assert found.baselines["torch"].ratio.median == 2


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


@pytest.mark.slow
def test_the_seed_gives_the_same_data_in_any_call(hasty):
    """A wrong row of `bench all` can be looked into by `bench ops` and the seed."""
    errors = []
    for kinds in (["ops"], ["ops", "train", "infer", "data"]):
        bench = Bench(Options(suite="quick", seconds=0, seed=7))
        errors.append([task().error for task in bench.tasks(kinds)[:8]])
    assert errors[0] == errors[1]
    assert len(set(errors[0])) > 4


def test_rows_are_in_the_record_as_they_come(bench, monkeypatch):
    class Module:
        @staticmethod
        def tasks(_: Bench) -> Any:
            return [row, row]

    monkeypatch.setattr(session.importlib, "import_module", lambda name: Module)
    tasks = bench.tasks(["ops", "data"])
    assert len(tasks) == 4
    running = bench.run(tasks)
    next(running)
    assert len(bench.record.rows) == 1
    assert not bench.record.complete
    assert len(list(running)) == 3
    assert bench.record.complete
