"""What `gpucnn train` costs as a process: to install, to import, until the first batch, in memory.

Each is seen from outside, in processes of their own: `gpucnn train` as a user types it, and beside
it the same training in PyTorch (torch_train.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import gpucnn
from gpucnn.backend.cpu.parallel import get_threads
from gpucnn.bench import installed, networks
from gpucnn.bench.record import Peer, Ratio, Row
from gpucnn.bench.session import Bench, seconds
from gpucnn.bench.stopwatch import Times, speed_ratio
from gpucnn.data import sources
from gpucnn.errors import GpucnnError
from gpucnn.training.config import FIELDS

_RUNS = 5  # of each process, in turn with its rival
_STEPS = 50  # of a training whose memory is looked at
_SCRIPT = Path(__file__).with_name("torch_train.py")
_IMPORT = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
# The package loads nothing until it is used: what computes is asked for, or it is no match.
_READY = 'import gpucnn.training, gpucnn.backend; gpucnn.backend.get("cpu")'
# A process that was started by this large one begins with its memory; one that this small one
# starts does not.
_PEAK = (
    "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
)
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes

Command = list[str]


def count(bench: Bench) -> int:
    """Rows that there will be."""
    return 0 if not bench.watch.ticks else 3 if bench.options.suite == "quick" else 7


def rows(bench: Bench) -> Iterator[Row]:
    """None on the simulator; without what trains on MNIST in the quick suite."""
    if not bench.watch.ticks:
        return
    yield from _sizes(bench)
    theirs = {name: partial(_import, f"import {name}") for name in bench.baselines}
    for case, code, rivals in (
        ("gpucnn", "import gpucnn", {}),
        ("gpucnn, ready to train", _READY, theirs),
    ):
        row = Row("train", "import", case)
        yield _tried(bench, row, partial(_timed, ours=partial(_import, code), rivals=rivals))
    if bench.options.suite == "quick":
        return
    for model in ("lenet", "cnn"):
        row = Row("train", "first batch", f"{model}, batch 64")
        yield _on_mnist(bench, row, partial(_first_batch, bench, model=model))
    for size in (64, 128):
        row = Row("train", "peak memory", f"cnn, batch {size}", unit="MB")
        yield _on_mnist(bench, row, partial(_memory, bench, size=size))


def _sizes(bench: Bench) -> Iterator[Row]:
    """Of the package with what it requires, and with an extra for the device, if that is there."""
    row = Row("train", "install size", "with dependencies", unit="MB")
    try:
        theirs = {name: installed.nbytes(name) / 1e6 for name in bench.baselines}
        yield _sized(row, installed.nbytes("gpucnn") / 1e6, theirs)
        for extra in ("cuda12", "cuda13") if bench.watch.on_gpu else ("fast",):
            size = installed.nbytes("gpucnn", [extra]) / 1e6
            if size != row.value:
                yield _sized(replace(row, case=f"with the extra {extra}"), size, theirs)
    except installed.UnknownSizeError as error:
        yield replace(row, skipped=str(error))


def _sized(row: Row, size: float, theirs: Mapping[str, float]) -> Row:
    row.value = size
    row.baselines = {name: _peer(size, value) for name, value in theirs.items()}
    return row


def _import(code: str) -> float:
    return float(_output([sys.executable, "-c", _IMPORT.format(code)])[-1])


def _on_mnist(bench: Bench, row: Row, measure: Callable[[Row], Row]) -> Row:
    if reason := networks.missing_mnist(bench.options.data_dir):
        return replace(row, skipped=reason)
    return _tried(bench, row, measure)


def _tried(bench: Bench, row: Row, measure: Callable[[Row], Row]) -> Row:
    """The row measured; one whose process fails says so, and the others go on."""
    bench.progress(row.title)
    try:
        return measure(replace(row, baselines={}))
    except GpucnnError as error:
        last = (error.cause or "").strip().splitlines()[-1:]
        return replace(row, skipped=": ".join([error.message, *last]))


def _first_batch(bench: Bench, row: Row, model: str) -> Row:
    ours = [*_gpucnn(bench, model, 64), "--dry-run"]
    theirs = [*_torch(bench, model, 64), "--limit-batches", "1"]
    rivals = {name: partial(_until_epoch, theirs) for name in bench.baselines}
    return _timed(row, partial(_until_epoch, ours), rivals)


def _memory(bench: Bench, row: Row, size: int) -> Row:
    few = ["--limit-batches", str(_STEPS)]
    with tempfile.TemporaryDirectory() as folder:
        row.value = _peak([*_gpucnn(bench, "cnn", size), *few, "--runs-dir", folder])
    for name, peer in bench.baselines.items():
        theirs = [*_torch(bench, "cnn", size), *few, "--layout"]
        least, layout = min((_peak([*theirs, layout]), layout) for layout in peer.layouts)
        row.baselines[name] = replace(_peer(row.value, least), layout=layout)
    return row


def _gpucnn(bench: Bench, model: str, size: int) -> Command:
    """`gpucnn train` for an epoch; it tells of its end as torch_train.py does."""
    folder = str(sources.path("mnist", bench.options.data_dir))
    command = [sys.executable, "-m", "gpucnn", "train", "--json", "--quiet"]
    command += ["--data", "mnist", "--data-dir", folder, "--model", model, "--epochs", "1"]
    command += ["--batch-size", str(size), "--validation", "0"]
    return [*command, "--device", bench.backend.name, "--threads", str(get_threads())]


def _torch(bench: Bench, model: str, size: int) -> Command:
    folder = str(sources.path("mnist", bench.options.data_dir))
    # -P: the folder of the script is no place to import from.
    command = [sys.executable, "-P", str(_SCRIPT), "--data-dir", folder, "--model", model]
    command += ["--batch-size", str(size), "--threads", str(get_threads())]
    return [*command, "--device", bench.backend.name]


def _timed(row: Row, ours: Callable[[], float], rivals: Mapping[str, Callable[[], float]]) -> Row:
    """The row with the seconds that the calls tell, A B A B, the first of each being dropped."""
    calls = {"": ours, **rivals}
    runs = [{name: call() for name, call in calls.items()} for _ in range(1 + _RUNS)][1:]
    times = {name: _times([run[name] for run in runs]) for name in calls}
    row.seconds = seconds(times[""])
    for name in rivals:
        ratio = Ratio(*speed_ratio(times[""], times[name]))
        row.baselines[name] = Peer(seconds=seconds(times[name]), ratio=ratio)
    return row


def _times(runs: list[float]) -> Times:
    return Times.of(runs, runs, runs)


def _peer(ours: float, theirs: float) -> Peer:
    """Of a value of which less is better."""
    return Peer(value=theirs, ratio=Ratio(*[theirs / ours] * 3))


def _until_epoch(command: Command) -> float:
    """Seconds from the start of a training until it tells of an epoch that is done."""
    start = time.perf_counter()
    done = None
    with _process(command) as lines:
        for line in lines:
            if done is None and json.loads(line)["event"] == "epoch":
                done = time.perf_counter() - start
    if done is None:
        raise GpucnnError(
            "a training to be measured ended too early",
            cause="it told of no epoch",
            fix=f"see what it says: {shlex.join(command)}",
        )
    return done


def _peak(command: Command) -> float:
    """The most memory of a process, in megabytes."""
    return int(_output([sys.executable, "-S", "-c", _PEAK, *command])[-1]) * _RSS_UNIT / 1e6


def _output(command: Command) -> list[str]:
    """The lines that a process prints."""
    with _process(command) as lines:
        return [line.rstrip("\n") for line in lines]


@contextlib.contextmanager
def _process(command: Command) -> Iterator[Iterable[str]]:
    """The lines of a process as it prints them; it has ended well when the context is left."""
    # Options of ours in the environment would make it another training.
    options = {f"GPUCNN_{key.upper()}" for key in FIELDS}
    kept = {key: value for key, value in os.environ.items() if key not in options}
    found = [str(Path(gpucnn.__file__).parents[1]), os.environ.get("PYTHONPATH")]
    kept["PYTHONPATH"] = os.pathsep.join(part for part in found if part)
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, env=kept, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield process.stdout
        except BaseException:
            process.kill()  # or it would be waited for
            raise
        if code := process.wait():
            errors.seek(0)
            raise GpucnnError(
                f"a process to be measured ended with {code}",
                cause=errors.read().strip()[-400:] or None,
                fix=f"see what it says: {shlex.join(command)}",
            )
