"""Calls take turns, what is not to be timed is not, and ratios are pair by pair."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest

from gpucnn import backend as backends
from gpucnn.bench import stopwatch
from gpucnn.bench.stopwatch import Ratio, Seconds, Stopwatch, Times


class Clock:
    """A clock that calls move on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.log: list[str] = []
        monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: self.now)

    def call(self, name: str, seconds: float) -> Any:
        def run() -> None:
            self.log.append(name)
            self.now += seconds

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def watch(**options: Any) -> Stopwatch:
    return Stopwatch(backends.get("cpu"), **options)


def test_a_stretch_of_one_and_a_stretch_of_the_other(clock, monkeypatch):
    monkeypatch.setattr(stopwatch, "_SETTLE", 1.0)
    monkeypatch.setattr(stopwatch, "_STRETCH", 3.0)
    found = watch(seconds=0, least=2).compare({"a": clock.call("a", 1), "b": clock.call("b", 0.5)})
    # One each to begin with; then 1 + 3 calls of 1 s, and 2 + 6 of half a second.
    assert "".join(clock.log) == "ab" + 2 * ("a" * 4 + "b" * 8)
    assert found["a"].seconds() == Seconds(1, 1, 1, 1)
    assert found["b"].turns == [0.5, 0.5]


def test_a_long_call_is_timed_once_a_stretch(clock):
    found = watch(seconds=0, least=3).compare({"a": clock.call("a", 2.0)})
    assert len(clock.log) == 1 + 3 * 2
    assert found["a"].turns == pytest.approx([2.0] * 3)


def test_the_budget_is_for_each_call(clock):
    watch(seconds=1.0, least=1).compare({"a": clock.call("a", 0.04), "b": clock.call("b", 0.04)})
    # One to begin with each; then rounds of two calls each until 2 seconds are over.
    assert clock.now == pytest.approx(0.08 + 13 * 0.16)


def test_p10_and_p90_are_of_the_single_calls(clock, monkeypatch):
    monkeypatch.setattr(stopwatch, "_STRETCH", 55.0)
    lengths = iter([1, 1, *range(1, 11)])  # to begin with, to settle, and a stretch

    def run() -> None:
        clock.now += next(lengths)

    found = watch(seconds=0, least=1).compare({"a": run})["a"]
    seconds = found.seconds()
    assert (seconds.p10, seconds.median, seconds.p90) == pytest.approx((1.9, 5.5, 9.1))
    assert found.turns == [5.5]


def test_ratios_are_theirs_over_ours_turn_by_turn():
    ours, theirs = (Times([1.0], turns, [1.0]) for turns in ([1.0, 2.0, 4.0], [3.0, 4.0, 4.0]))
    assert ours.ratio(theirs) == Ratio(2.0, pytest.approx(1.2), pytest.approx(2.8))
    with pytest.raises(ValueError, match="shorter"):
        ours.ratio(theirs._replace(turns=[1.0]))


def test_seconds_are_of_one_of_the_steps_of_a_run():
    times = Times([2.0, 4.0, 6.0], [4.0], [1.0, 2.0, 3.0])
    assert times.seconds(steps=2) == Seconds(2.0, 1.2, 2.8, 1.0)


def test_no_garbage_is_collected_meanwhile(clock):
    seen = []
    watch(seconds=0, least=1).compare(
        {"a": lambda: (seen.append(gc.isenabled()), clock.call("", 1)())}
    )
    assert seen
    assert not any(seen)
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        watch().compare({"a": lambda: 1 / 0})
    assert gc.isenabled()


def test_the_simulator_does_not_time():
    assert not Stopwatch(SimpleNamespace(name="sim")).ticks
    assert watch().ticks


class Gpu:
    """As much of CuPy and of a backend as timing uses; a call takes as long as `queue` is told.

    Attributes:
        log: of what the GPU is given: "hold" where that is not for 0 seconds.
        held: cycles of each hold.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name = "cuda:0"
        self.log: list[str] = []
        self.held: list[int] = []
        self.now = self.host = 0.0
        monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: self.host)
        gpu = self

        class Event:
            def record(self) -> None:
                gpu.log.append("event")
                self.at = gpu.now

            def synchronize(self) -> None:
                gpu.log.append("wait")

        def launch(source: str, kernel: str, grid: int, block: int, cycles: int) -> None:
            assert (source, kernel, grid, block) == ("stopwatch", "hold", 1, 1)
            self.held.append(cycles)
            if cycles:
                self.log.append("hold")

        self.launcher = SimpleNamespace(launch=launch)
        array = SimpleNamespace(fill=lambda value: gpu.log.append("flush"))
        self.xp = SimpleNamespace(
            empty=lambda size, dtype: array,
            cuda=SimpleNamespace(
                Event=Event,
                Device=lambda: SimpleNamespace(synchronize=self.synchronize),
                get_elapsed_time=lambda begin, end: 1e3 * (end.at - begin.at),
            ),
        )

    def synchronize(self) -> None:
        self.host += 1.0

    def quiet_device(self) -> Any:
        return backends.get("cpu").quiet_device()

    def queue(self, name: str, seconds: float, host: float = 0.0) -> Any:
        def run() -> None:
            self.log.append(name)
            self.now += seconds
            self.host += host

        return run


@pytest.mark.parametrize("held", ["", "a", "b", "ab"])
def test_on_a_gpu_each_call_stands_between_two_events_after_a_flush(monkeypatch, held):
    gpu = Gpu(monkeypatch)
    found = Stopwatch(gpu, seconds=0, least=3).compare(  # type: ignore[arg-type]
        {"a": gpu.queue("a", 3e-6), "b": gpu.queue("b", 5e-6, host=7e-6)}, held=held
    )

    def turn(*holds: str) -> list[str]:
        """The GPU is held, or the host waits until it is idle."""
        log = []
        for name in "ab":
            log += ["flush", *(["hold"] if name in holds else []), "event"]
            log += [*([] if name in held else ["wait"]), name, "event"]
        return log

    assert gpu.log == ["a", "b", *turn(), *(1 + 3) * turn(*held)]  # two turns are not counted
    assert found["a"].turns == pytest.approx([3e-6] * 3)
    assert found["b"].seconds().median == pytest.approx(5e-6)
    assert found["b"].seconds().host == pytest.approx(7e-6)


@pytest.mark.parametrize("host", [0.0, 1e-5, 3e-4, 0.004, 2.0])
def test_a_gpu_is_held_until_the_host_has_queued_a_call(monkeypatch, host):
    gpu = Gpu(monkeypatch)
    Stopwatch(gpu, seconds=0, least=3).compare(  # type: ignore[arg-type]
        {"a": gpu.queue("a", 1e-6, host), "b": gpu.queue("b", 1e-6, host)}, held=["b"]
    )
    assert set(gpu.held[0::2]) == {0}
    assert gpu.held[1] == 0
    assert len(gpu.held[3::2]) == 4
    fastest = 3e9  # cycles a second of a GPU that is overclocked
    assert min(gpu.held[3::2]) >= fastest * max(2 * host, 0.0002)
