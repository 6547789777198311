"""One call of `gpucnn bench`: the device, what it is set beside, and how a row comes about."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn.backend.cpu.parallel import blas_description
from gpucnn.bench import baselines, ceilings, memory
from gpucnn.bench.others import Others
from gpucnn.bench.record import Peer, Ratio, Record, Row, Seconds
from gpucnn.bench.shapes import SUITES
from gpucnn.bench.stopwatch import Call, Stopwatch, Times, speed_ratio
from gpucnn.errors import UsageError, choose

# What the command takes, and the modules that measure it, each by its `rows` and `count`.
KINDS: dict[str, tuple[str, ...]] = {
    "ops": ("operations",),
    "train": ("training", "processes", "accuracy"),
    "infer": ("inference",),
    "data": ("loading",),
}
DTYPES = ("float32", "float64")
# Arrays of a row on the host beside those that it counts: copies in two layouts for PyTorch,
# results, and an oracle of twice the size.
_COPIES = 8
_DRAWN = (1 << 22) - 3  # numbers drawn for a large array

Rivals = Mapping[str, Mapping[str, Call]]  # baseline -> layout -> call
Check = Callable[[], tuple[float, float]]  # the error and its bound


@dataclass(frozen=True)
class Options:
    """What a user chooses; `Bench` checks it.

    Attributes:
        device: "cpu", "cuda", "cuda:1", "sim".
        suite: "mnist", "deepbench" or "quick".
        dtype: "float32" or "float64".
        verify: check a result before it is timed.
        baselines: names of what to set it beside; the simulator is set beside nothing.
        data_dir: where MNIST lies.
        seconds: to spend on timing a call, about.
        seed: of the random data.
    """

    device: str = "cpu"
    suite: str = "mnist"
    dtype: str = "float32"
    verify: bool = True
    baselines: tuple[str, ...] = ()
    data_dir: str | None = None
    seconds: float = 0.5
    seed: int = 0


class Work(NamedTuple):
    """How a row is measured."""

    run: Call  # ours
    check: Check | None = None
    rivals: Rivals | None = None


class Bench:
    """What the benchmarks share.

    Args:
        options: of the call.
        progress: told what is being measured.

    Attributes:
        backend: of the device.
        watch: times on it.
        ceilings: of the machine, measured now; None on the simulator, which does not time.
        baselines: by their names.
        rng: for data that is fresh in every row.
        record: of this machine; `run` puts the rows there.

    Raises:
        UsageError, DeviceError, MissingExtraError: an option cannot be met.
    """

    def __init__(self, options: Options, progress: Callable[[str], None] = lambda text: None):
        choose(dict.fromkeys(SUITES), options.suite, "suite", " (from --suite)")
        choose(dict.fromkeys(DTYPES), options.dtype, "dtype", " (from --dtype)")
        if not (math.isfinite(options.seconds) and options.seconds >= 0):
            raise UsageError(
                f"--seconds {options.seconds} is no time to spend on a call",
                cause="it must be a number from 0 on",
                fix="give one such as --seconds 0.5",
            )
        self.progress = progress
        self.backend = backends.get(options.device)
        self.watch = Stopwatch(self.backend, seconds=options.seconds)
        baselines.check(options.baselines)
        if not self.watch.ticks:
            options = replace(options, baselines=())
        self.options = options
        # Finds NumPy's BLAS, once for all: one that PyTorch brings with it is not among them then,
        # and is not held at one thread while ours computes.
        blas_description()
        self.baselines = baselines.load(options.baselines, self.backend)
        self.rng = np.random.default_rng(options.seed)
        progress("ceilings")
        self.ceilings = ceilings.measure(self.watch, options.dtype)
        said = {key: value for key, value in asdict(options).items() if key != "data_dir"}
        self.record = Record.begin(self.backend, said)
        if self.ceilings is not None:
            self.record.ceilings = self.ceilings._asdict()

    def run(self, kinds: Iterable[str]) -> Iterator[Row]:
        """Measure, row by row; each is in `record` before it is given out."""
        others = Others()
        for module in self._modules(kinds):
            for row in module.rows(self):
                self.record.rows.append(row)
                self.record.others = others.share()
                yield row
        self.record.complete = True

    def count(self, kinds: Iterable[str]) -> int:
        """Rows that `run` will give, about."""
        return sum(module.count(self) for module in self._modules(kinds))

    def noise(self, *shape: int) -> NDArray[Any]:
        """Normal numbers of the call's dtype on the host. Many repeat: to draw takes long."""
        size = math.prod(shape)
        drawn = self.rng.standard_normal(min(size, _DRAWN), dtype=np.dtype(self.options.dtype))
        return np.resize(drawn, shape)

    def guarded(self, row: Row, prepare: Callable[[], Work], nbytes: float = 0) -> Row:
        """`measure` what `prepare` lays out; a row that memory is too small for says so.

        Args:
            nbytes: that the arrays of a row take which does not count what it moves.
        """
        self.progress(row.title)
        needed, free = _COPIES * (row.nbytes or nbytes), memory.available()
        if free is not None and needed > free:
            return replace(row, skipped=f"needs {_gigabytes(needed)}, {_gigabytes(free)} are free")
        try:
            work = prepare()
            return self.measure(row, work.run, check=work.check, rivals=work.rivals)
        except (MemoryError, RuntimeError) as error:
            if not memory.is_out_of_memory(error):
                raise
            reason = str(error).splitlines()[0] if str(error) else "no memory was left"
            return replace(row, skipped=f"out of memory: {reason}")
        finally:
            self._release()

    def measure(
        self, row: Row, run: Call, *, check: Check | None = None, rivals: Rivals | None = None
    ) -> Row:
        """The row with what was found: checked first, and timed if it is right.

        `rivals` take turns with `run`; of a baseline's layouts the faster one counts.
        """
        if check is not None and self.options.verify:
            error, bound = check()
            row.ok, row.bound = error <= bound, bound  # NaN is not
            row.error = error if math.isfinite(error) else None
        if row.ok is False or not self.watch.ticks:
            return row
        calls = {("ours", ""): run} | {
            (name, layout): call
            for name, layouts in (rivals or {}).items()
            for layout, call in layouts.items()
        }
        times = self.watch.compare(calls)
        ours = times.pop(("ours", ""))
        row.seconds = seconds(ours)
        if self.ceilings is not None and (row.flop or row.nbytes):
            row.floor = self.ceilings.floor(row.flop or 0, row.nbytes or 0)
            row.share = row.floor / ours.median
        for name in rivals or {}:
            layout, best = min(
                ((layout, found) for (whose, layout), found in times.items() if whose == name),
                key=lambda pair: pair[1].median,
            )
            row.baselines[name] = Peer(layout, seconds(best), None, Ratio(*speed_ratio(ours, best)))
        return row

    def _modules(self, kinds: Iterable[str]) -> Iterator[Any]:
        for kind in kinds:
            for name in KINDS[kind]:
                yield importlib.import_module(f"gpucnn.bench.{name}")

    def _release(self) -> None:
        """Both sides keep what they freed: neither is to starve the other on a GPU."""
        if not self.watch.on_gpu:
            return
        self.backend.xp.get_default_memory_pool().free_all_blocks()
        if "torch" in self.baselines:
            self.baselines["torch"].torch.cuda.empty_cache()


def seconds(times: Times) -> Seconds:
    return Seconds(times.median, times.p10, times.p90, times.host)


def _gigabytes(number: float) -> str:
    return f"{number / 1e9:,.1f} GB"
