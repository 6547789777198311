"""Timing calls side by side: A B A B in one process, on a GPU by events."""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Container, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gpucnn.backend import Backend

Call = Callable[[], Any]
Name = TypeVar("Name", bound=Hashable)

_STRETCH = 0.030  # seconds of timed calls in a turn
_SETTLE = 0.010  # seconds of untimed calls before them: OpenMP was seen to spin for up to 7 ms
_MOST = 200  # runs of a call on a GPU
_FLUSH_BYTES = 256 << 20  # several times the L2 of any GPU
_LEAST_HOLD = 0.0002  # seconds that a GPU is held at least
_HOLD = 2.0  # times as long as the host needed to queue the call
_CLOCK = 3e9  # cycles a second, more than GPUs have: a hold is too long rather than too short


@dataclass(frozen=True)
class Seconds:
    """The times of one call. `host` is the time until it returned: on a GPU the time to launch."""

    median: float
    p10: float
    p90: float
    host: float


@dataclass(frozen=True)
class Ratio:
    """Time of the baseline over ours, turn by turn: above 1 ours is faster."""

    median: float
    p10: float
    p90: float


class Times(NamedTuple):
    """Every time of one call, in seconds.

    Attributes:
        runs: of every run.
        turns: of every turn.
        host: until each run returned.
    """

    runs: list[float]
    turns: list[float]
    host: list[float]

    def seconds(self, steps: int = 1) -> Seconds:
        """The times of one of the steps of a run."""
        found = (*_quantiles(self.runs), statistics.median(self.host))
        return Seconds(*(value / steps for value in found))

    def ratio(self, theirs: Times) -> Ratio:
        """The speed relative to a call that took turns with this one."""
        turns = zip(self.turns, theirs.turns, strict=True)
        return Ratio(*_quantiles([b / a for a, b in turns]))


def _quantiles(values: list[float]) -> tuple[float, float, float]:
    """Median, tenth and ninetieth percentile."""
    median, p10, p90 = np.percentile(values, [50, 10, 90]).tolist()
    return median, p10, p90


class Stopwatch:
    """Times calls on the device of a backend.

    Args:
        backend: whose device is timed.
        seconds: to spend on a call, about; one call may take longer than that.
        least: turns of a call, however long it takes.

    Attributes:
        ticks: False on the simulator, whose time says nothing about a GPU's.
    """

    def __init__(self, backend: Backend, *, seconds: float = 0.6, least: int = 5) -> None:
        self.backend = backend
        self.seconds = seconds
        self.least = least
        self.ticks = backend.name != "sim"
        self.on_gpu = backend.name.startswith("cuda")

    def compare(self, calls: Mapping[Name, Call], held: Container[Name] = ()) -> dict[Name, Times]:
        """Time the calls in turn, again and again: A B A B. Results are dropped at once.

        On a CPU a turn is some untimed calls and then timed ones for 30 ms. The threads of OpenMP,
        which PyTorch uses, spin for some milliseconds after a call and would take a core from the
        next one. The time of a turn is the median of its timed calls.

        On a GPU a turn is one call. The L2 is flushed before it, and the time is that between two
        events. Where the host launches more slowly than the GPU computes, the gaps between the
        kernels count, as they do for a user. They do not for a call that is held: the GPU waits
        until the whole call is queued, and only its own work counts.

        Args:
            calls: by name.
            held: the names of the calls that are held on a GPU.
        """
        with self.backend.quiet_device(), _no_collection():
            for call in calls.values():
                call()  # compiles, chooses an algorithm, takes memory
            if self.on_gpu:
                return self._by_events(calls, held)
            return self._by_stretches(calls)

    def hold(self, seconds: float) -> None:
        """Keep a GPU busy for that long, so that the host can queue what is timed next."""
        launcher = self.backend.launcher  # type: ignore[attr-defined]
        launcher.launch("stopwatch", "hold", 1, 1, round(_CLOCK * seconds))

    def _by_stretches(self, calls: Mapping[Name, Call]) -> dict[Name, Times]:
        stretches: dict[Name, list[list[float]]] = {name: [] for name in calls}
        deadline = time.perf_counter() + self.seconds * len(calls)
        turns = 0
        while turns < self.least or time.perf_counter() < deadline:
            turns += 1
            for name, call in calls.items():
                _for_a_while(call, _SETTLE)
                stretches[name].append(_for_a_while(call, _STRETCH))
        found = {}
        for name, parts in stretches.items():
            runs = [seconds for part in parts for seconds in part]
            found[name] = Times(runs, [statistics.median(part) for part in parts], runs)
        return found

    def _by_events(self, calls: Mapping[Name, Call], held: Container[Name]) -> dict[Name, Times]:
        cuda = self.backend.xp.cuda
        scratch = self.backend.xp.empty(_FLUSH_BYTES // 4, np.float32)
        events: dict[Name, list[tuple[Any, Any]]] = {name: [] for name in calls}
        host: dict[Name, list[float]] = {name: [] for name in calls}
        holds = dict.fromkeys(calls, 0.0)

        def turn() -> None:
            for name, call in calls.items():
                begin, end = cuda.Event(), cuda.Event()
                scratch.fill(len(host[name]))
                self.hold(holds[name])
                begin.record()
                if name not in held:
                    begin.synchronize()  # or the flush would hide the first launches
                start = time.perf_counter()
                call()
                host[name].append(time.perf_counter() - start)
                end.record()
                events[name].append((begin, end))

        turn()  # untimed: compiles `hold`, and shows how long the host takes to queue a call
        for name in calls:
            if name in held:
                holds[name] = max(_LEAST_HOLD, _HOLD * host[name][0])
        cuda.Device().synchronize()
        start = time.perf_counter()
        turn()
        cuda.Device().synchronize()
        within = self.seconds * len(calls) / (time.perf_counter() - start)
        for _ in range(max(self.least, min(_MOST, round(within)))):
            turn()
        cuda.Device().synchronize()
        found = {}
        for name in calls:
            seconds = [1e-3 * cuda.get_elapsed_time(*pair) for pair in events[name][2:]]
            found[name] = Times(seconds, seconds, host[name][2:])
        return found


def _for_a_while(call: Call, seconds: float) -> list[float]:
    """The times of as many calls as fit, at least one."""
    taken = []
    left = seconds
    while left > 0:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
        left -= taken[-1]
    return taken


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
