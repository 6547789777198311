"""One call of `gpucnn bench`: its options, its device and its baseline, and how a row is made."""

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
from gpucnn.bench import baselines, ceilings
from gpucnn.bench.convolutions import SUITES
from gpucnn.bench.machine import CpuContention, free_memory, is_out_of_memory
from gpucnn.bench.record import BenchRow, Record
from gpucnn.bench.stopwatch import Call, Stopwatch
from gpucnn.errors import DeviceError, GpucnnError, MissingExtraError, choose

# The kinds of rows that a user can ask for, and the functions that list their tasks.
KINDS: dict[str, tuple[str, ...]] = {
    "ops": ("operations.tasks",),
    "train": ("networks.training_tasks", "processes.tasks", "accuracy.tasks"),
    "infer": ("networks.inference_tasks",),
    "data": ("loading.tasks",),
}
DTYPES = ("float32", "float64")
# Arrays of a row on the host beside those that it counts: copies in two layouts for PyTorch,
# results, and float64 ones of twice the size.
_COPIES = 8
_DRAWN = (1 << 22) - 3  # numbers drawn for a large array

Task = Callable[[], BenchRow]  # measures a row
Check = Callable[[], tuple[float, float]]  # gives the error and its bound


@dataclass(frozen=True)
class Options:
    """The options of a call; `Bench` checks them.

    Attributes:
        device: "cpu", "cuda", "cuda:1", "sim".
        suite: "mnist", "deepbench" or "quick".
        dtype: "float32" or "float64".
        verify: check a result before it is timed.
        baselines: () or ("torch",); on the simulator there is none. None: those that are installed
            and can compute on the device.
        data_dir: the folder of MNIST.
        seconds: time to spend on a call, about.
        seed: of the random data.
        algorithm: of the CUDA kernels, one of `gpucnn.backend.cuda.algorithms.ALGORITHMS`: only the
            operations that have it are measured. None: all, each with the algorithm that is chosen
            for its sizes.
    """

    device: str = "cpu"
    suite: str = "mnist"
    dtype: str = "float32"
    verify: bool = True
    baselines: tuple[str, ...] | None = ()
    data_dir: str | None = None
    seconds: float = 0.5
    seed: int = 0
    algorithm: str | None = None


class Work(NamedTuple):
    """How a row is measured.

    Attributes:
        run: our call.
        check: verifies it.
        torch: PyTorch's call, by layout; the faster layout counts.
        images: that a step processes, for images a second; 0: these are not said.
        steps: that are timed as one call.
        held: on a GPU only the kernels are timed, not the launches: see `Stopwatch.compare`.
    """

    run: Call
    check: Check | None = None
    torch: Mapping[str, Call] = {}
    images: int = 0
    steps: int = 1
    held: bool = False


class Bench:
    """The device, the baseline and the random data that the rows of a call share.

    Args:
        options: of the call.
        progress: shows which row is being measured.

    Attributes:
        backend: of the device.
        watch: times on it.
        ceilings: of the machine, measured now; None on the simulator, which does not time.
        torch: PyTorch on the same device, or None.
        no_torch: why an installed PyTorch, which was not asked for, is no baseline; or None.
        rng: for data that is fresh in every row.
        record: of this machine; `run` puts the rows there.

    Raises:
        UsageError, DeviceError, MissingExtraError: an option cannot be met.
    """

    def __init__(self, options: Options, progress: Callable[[str], None] = lambda text: None):
        choose(dict.fromkeys(SUITES), options.suite, "suite", " (from --suite)")
        choose(dict.fromkeys(DTYPES), options.dtype, "dtype", " (from --dtype)")
        for name in options.baselines or ():
            choose(dict.fromkeys(baselines.NAMES), name, "baseline")
        self.progress = progress
        self.backend = backends.get(options.device)
        self.watch = Stopwatch(self.backend, seconds=options.seconds)
        if not self.watch.ticks:
            options = replace(options, baselines=())
        # Finds NumPy's BLAS before PyTorch is imported: the BLAS that PyTorch brings with it is not
        # held at one thread while ours computes.
        blas_description()
        self.torch: baselines.Torch | None = None
        self.no_torch: GpucnnError | None = None
        try:
            if baselines.installed() if options.baselines is None else options.baselines:
                self.torch = baselines.Torch(self.backend)
        except (DeviceError, MissingExtraError) as error:
            if options.baselines is not None:
                raise
            self.no_torch = error
        self.options = options = replace(options, baselines=("torch",) if self.torch else ())
        self.rng = np.random.default_rng(options.seed)
        progress("ceilings")
        self.ceilings = ceilings.measure(self.watch, options.dtype)
        shown = {key: value for key, value in asdict(options).items() if key != "data_dir"}
        self.record = Record.begin(self.backend, shown)
        self.record.ceilings = self.ceilings and self.ceilings._asdict()

    def tasks(self, kinds: Iterable[str]) -> list[Task]:
        """The rows of some kinds, each still to be measured."""
        found: list[Task] = []
        for name in (name for kind in kinds for name in KINDS[kind]):
            module, _, function = name.partition(".")
            found += getattr(importlib.import_module(f"gpucnn.bench.{module}"), function)(self)
        return found

    def run(self, tasks: Iterable[Task]) -> Iterator[BenchRow]:
        """Measure, row by row; each is in `record` before it is given out."""
        contention = CpuContention()
        for task in tasks:
            row = task()
            self.record.rows.append(row)
            self.record.others = contention.fraction()
            yield row
        self.record.complete = True

    def noise(self, *shape: int) -> NDArray[Any]:
        """Normal numbers of the call's dtype on the host. Many repeat, as drawing takes long."""
        size = math.prod(shape)
        drawn = self.rng.standard_normal(min(size, _DRAWN), dtype=np.dtype(self.options.dtype))
        return np.resize(drawn, shape)

    def torch_calls(
        self, prepare: Callable[[baselines.Torch, str], Call], images: bool
    ) -> dict[str, Call]:
        """PyTorch's call by layout, as `prepare` makes it; only `images` have several layouts."""
        if self.torch is None:
            return {}
        layouts = self.torch.layouts if images else self.torch.layouts[:1]
        return {layout: prepare(self.torch, layout) for layout in layouts}

    def guarded(self, row: BenchRow, prepare: Callable[[], Work], nbytes: float = 0) -> BenchRow:
        """Measure the work that `prepare` gives; without enough memory the row is skipped.

        Args:
            nbytes: of the arrays of a row that does not count its bytes.
        """
        self.progress(row.title)
        needed, free = _COPIES * (row.nbytes or nbytes), free_memory()
        if free is not None and needed > free:
            return replace(
                row, skipped=f"needs {needed / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are free"
            )
        try:
            return self.measure(row, prepare())
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).splitlines()[0] if str(error) else "no memory was left"
            return replace(row, skipped=f"out of memory: {reason}")
        finally:
            self._release()

    def measure(self, row: BenchRow, work: Work) -> BenchRow:
        """The row with its results: verified first, then timed if it is right.

        Our call and PyTorch's take turns.
        """
        if work.check is not None and self.options.verify:
            error, bound = work.check()
            row.ok, row.bound = error <= bound, bound
            row.error = error if math.isfinite(error) else None
        if work.images:
            row.unit = "images/s"
        if row.ok is False or not self.watch.ticks:
            return row
        calls = {"": work.run, **work.torch}
        times = self.watch.compare(
            {name: _repeated(call, work.steps) for name, call in calls.items()},
            held=calls if work.held else (),
        )
        ours, layout = times.pop(""), None
        if times:
            layout = min(times, key=lambda layout: times[layout].seconds().median)
        row.set_times(ours, times.get(layout or ""), layout=layout, steps=work.steps)
        assert row.seconds is not None
        if self.ceilings is not None and (row.flop or row.nbytes):
            row.floor = self.ceilings.roofline_time(row.flop or 0, row.nbytes or 0)
            row.share = row.floor / row.seconds.median
        if work.images:
            row.value = work.images / row.seconds.median
            for result in row.baselines.values():
                assert result.seconds is not None
                result.value = work.images / result.seconds.median
        return row

    def _release(self) -> None:
        """On a GPU give back the memory that both sides keep, for the other to use."""
        if self.watch.on_gpu:
            with self.backend.quiet_device():
                self.backend.xp.get_default_memory_pool().free_all_blocks()
            if self.torch is not None:
                self.torch.torch.cuda.empty_cache()


def _repeated(call: Call, steps: int) -> Call:
    def repeat() -> None:
        for _ in range(steps):
            call()

    return call if steps == 1 else repeat
