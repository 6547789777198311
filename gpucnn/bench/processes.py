"""The costs of `gpucnn train` as a process: disk space, import, time to a batch, peak memory.

Each is measured from outside: `gpucnn train` as a user types it, and beside it the same training in
PyTorch (data/torch_train.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path

import gpucnn
from gpucnn.backend.cpu.parallel import get_threads
from gpucnn.bench import networks
from gpucnn.bench.baselines import SCRIPT, Torch
from gpucnn.bench.record import BaselineResult, BenchRow, Ratio
from gpucnn.bench.session import Bench, Task
from gpucnn.bench.stopwatch import Times
from gpucnn.data import sources
from gpucnn.errors import GpucnnError
from gpucnn.training.config import FIELDS

_RUNS = 5  # of each process, in turn with the baseline's
_STEPS = 50  # of a training whose memory is measured
_IMPORT = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
# The package loads its modules when they are used: a training uses these.
_READY = 'import gpucnn.training, gpucnn.backend; gpucnn.backend.get("cpu")'
# A process that this large one starts begins with its memory; this small one is put between.
_PEAK = (
    "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
)
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes

Command = list[str]
Measure = Callable[[BenchRow], None]  # puts results into a row


def tasks(bench: Bench) -> list[Task]:
    """None on the simulator; in the quick suite only those that need no MNIST."""
    if not bench.watch.ticks:
        return []
    extras = ("cuda12", "cuda13") if bench.watch.on_gpu else ("fast",)
    found: list[tuple[str, str, Measure]] = [
        ("install size", "with dependencies", partial(_size, bench, None)),
        *(
            ("install size", f"with the extra {extra}", partial(_size, bench, extra))
            for extra in extras
            if _distributions("gpucnn", extra).keys() != _distributions("gpucnn").keys()
        ),
        ("import", "gpucnn", partial(_import, bench, "import gpucnn", None)),
        ("import", "gpucnn, ready to train", partial(_import, bench, _READY, "import torch")),
    ]
    if bench.options.suite != "quick":
        for model in ("lenet", "cnn"):
            found.append(("first batch", f"{model}, batch 64", partial(_first_batch, bench, model)))
        for size in (64, 128):
            found.append(("peak memory", f"cnn, batch {size}", partial(_memory, bench, size)))
    return [partial(_measure, bench, *each) for each in found]


def _measure(bench: Bench, name: str, case: str, measure: Measure) -> BenchRow:
    """A row that is skipped if its process fails."""
    row = BenchRow("train", name, case)
    bench.progress(row.title)
    try:
        measure(row)
    except GpucnnError as error:
        last = (error.cause or "").strip().splitlines()[-1:]
        row.skipped = ": ".join([error.message, *last])
    return row


def _import(bench: Bench, ours: str, theirs: str | None, row: BenchRow) -> None:
    commands = [
        [sys.executable, "-c", _IMPORT.format(code)]
        for code in (ours, theirs if bench.torch else None)
        if code is not None
    ]
    _timed(row, lambda command: float(_lines(command)[-1][1]), *commands)


def _first_batch(bench: Bench, model: str, row: BenchRow) -> None:
    commands = [[*_train_ours(bench, model, 64), "--dry-run"]]
    if bench.torch:
        commands.append([*_train_torch(bench, model, 64), "--limit-batches", "1"])
    _timed(row, _until_epoch, *commands)


def _memory(bench: Bench, batch_size: int, row: BenchRow) -> None:
    few = ["--limit-batches", str(_STEPS)]
    with tempfile.TemporaryDirectory() as folder:
        ours = _peak([*_train_ours(bench, "cnn", batch_size), *few, "--runs-dir", folder])
    theirs = [*_train_torch(bench, "cnn", batch_size), *few, "--layout"]
    layouts = Torch.layouts if bench.torch else ()
    _sized(row, ours, [(_peak([*theirs, layout]), layout) for layout in layouts])


def _size(bench: Bench, extra: str | None, row: BenchRow) -> None:
    theirs = [(installed_size("torch") / 1e6, None)] if bench.torch else []
    _sized(row, installed_size("gpucnn", extra) / 1e6, theirs)


def _sized(row: BenchRow, ours: float, theirs: Sequence[tuple[float, str | None]]) -> None:
    """Put megabytes into a row; the smallest of PyTorch's counts, each with its layout."""
    row.value, row.unit = ours, "MB"
    if theirs:
        value, layout = min(theirs)
        ratio = Ratio(*[value / ours] * 3)
        row.baselines["torch"] = BaselineResult(layout, value=value, ratio=ratio)


def _timed(row: BenchRow, seconds: Callable[[Command], float], *commands: Command) -> None:
    """Time our command, and PyTorch's if there is one: A B A B, without the first of each."""
    turns = [[seconds(command) for command in commands] for _ in range(1 + _RUNS)][1:]
    row.set_times(*(Times(runs, runs, runs) for runs in map(list, zip(*turns, strict=True))))


def _train_ours(bench: Bench, model: str, batch_size: int) -> Command:
    """`gpucnn train` for an epoch; its events are those of data/torch_train.py."""
    command = [sys.executable, "-m", "gpucnn", "train", "--json", "--quiet", "--data", "mnist"]
    return [*command, "--epochs", "1", "--validation", "0", *_options(bench, model, batch_size)]


def _train_torch(bench: Bench, model: str, batch_size: int) -> Command:
    # -P: Python does not import from the folder of the script.
    return [sys.executable, "-P", str(SCRIPT), *_options(bench, model, batch_size)]


def _options(bench: Bench, model: str, batch_size: int) -> Command:
    if missing := networks.missing_mnist(bench.options.data_dir):
        raise GpucnnError(missing)
    folder = str(sources.path("mnist", bench.options.data_dir))
    options = ["--data-dir", folder, "--model", model, "--batch-size", str(batch_size)]
    return [*options, "--device", bench.backend.name, "--threads", str(get_threads())]


def _until_epoch(command: Command) -> float:
    """Seconds from the start of a training until it reports the end of an epoch."""
    for passed, line in _lines(command):
        if json.loads(line)["event"] == "epoch":
            return passed
    raise GpucnnError(
        "the measured training ended too early",
        cause="it reported no epoch",
        fix=f"see its output: {shlex.join(command)}",
    )


def _peak(command: Command) -> float:
    """The peak memory of a process, in megabytes."""
    lines = _lines([sys.executable, "-S", "-c", _PEAK, *command])
    return int(lines[-1][1]) * _RSS_UNIT / 1e6


def _lines(command: Command) -> list[tuple[float, str]]:
    """Run a process to its end; the lines that it printed, each with the seconds until then."""
    # Options of ours in the environment would change the training.
    options = {f"GPUCNN_{key.upper()}" for key in FIELDS}
    environment = {key: value for key, value in os.environ.items() if key not in options}
    paths = [str(Path(gpucnn.__file__).parents[1]), os.environ.get("PYTHONPATH")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    start = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            lines = [(time.perf_counter() - start, line.strip()) for line in process.stdout]
        except BaseException:
            process.kill()  # otherwise its end is waited for
            raise
        if code := process.wait():
            errors.seek(0)
            raise GpucnnError(
                f"the measured process ended with {code}",
                cause=errors.read().strip()[-400:] or None,
                fix=f"see its output: {shlex.join(command)}",
            )
    return lines


def installed_size(name: str, extra: str | None = None) -> int:
    """Bytes of a distribution and of all that it requires and that is installed.

    Bytecode, which Python writes beside the files, and Python itself do not count.

    Args:
        extra: of that distribution; its packages count too, those that are installed.

    Raises:
        GpucnnError: one of them does not list its files, or `name` is not installed by pip.
    """
    found = _distributions(name, extra)
    if not found:
        raise GpucnnError(f"{name} is not installed by pip")
    files = {file for each in found.items() for file in _files(*each) if file.suffix != ".pyc"}
    return sum(file.stat().st_size for file in files if file.is_file())


def _distributions(name: str, extra: str | None = None) -> dict[str, metadata.Distribution]:
    """A distribution and those that it requires, by name. Those of other systems, which are not
    installed, are left out.
    """
    found: dict[str, metadata.Distribution] = {}
    pending = [(name, extra)]
    while pending:
        current, extra = pending.pop()
        key = re.sub(r"[-_.]+", "-", current).lower()
        if key in found:
            continue
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[key] = metadata.distribution(current)
            for requirement in found[key].requires or ():
                condition = re.search(r"""extra == ["']([^"']+)["']""", requirement)
                if condition is None or condition[1] == extra:
                    pending.append((re.split(r"[^\w.-]", requirement, maxsplit=1)[0], None))
    return found


def _files(name: str, distribution: metadata.Distribution) -> Iterator[Path]:
    if name == "gpucnn":
        # A checkout holds much that is not installed: two folders beside the package are.
        package, *checkout = map(Path, gpucnn.__path__)
        folders = [package, *(root / name for root in checkout for name in ("cli", "kernels"))]
        return (file for folder in folders for file in folder.rglob("*"))
    if distribution.files is None:
        raise GpucnnError(f"{name} does not list its files")
    return (Path(str(distribution.locate_file(file))) for file in distribution.files)
