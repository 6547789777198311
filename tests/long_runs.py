"""Whether memory, open files and threads stay as they are in long trainings and servers.

python tests/long_runs.py                         all of them, each in a process of its own
python tests/long_runs.py --count 2000 softmax    one of them, with another number of repetitions
python tests/fakecuda/run.py tests/long_runs.py --count 200 graph    on a driver without a GPU

Each repeats a step, an epoch, a prediction or a request, and compares the process after the first
of them with the process after the last. The exit code is 1 if one grows by 5 MB, or by an open file
or a thread.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpucnn import backend, data, nn
from gpucnn.training import Callback, Run, SavedModel, TrainConfig, Trainer, fit, save_run

MOST = 5.0  # MB that a process may grow by
PAGE = resource.getpagesize()


@dataclass
class Usage:
    """What a process holds: memory in MB, open files, threads."""

    memory: float
    files: int
    threads: int

    @classmethod
    def now(cls) -> Usage:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(pages * PAGE / 1e6, len(os.listdir("/proc/self/fd")), threading.active_count())


class Meter(Callback):
    """Counts repetitions, and notes what the process holds after the first ones."""

    def __init__(self, first: int) -> None:
        self.first, self.count = first, 0
        self.before = Usage.now()

    def tick(self) -> None:
        self.count += 1
        if self.count == self.first:
            self.before = Usage.now()


class Steps(Meter):
    def on_step_end(self, trainer: Trainer) -> None:
        self.tick()


class Epochs(Meter):
    def on_epoch_end(self, trainer: Trainer, record: dict[str, object]) -> None:
        self.tick()


def softmax() -> nn.Sequential:
    return nn.Sequential([nn.Flatten(), nn.Dense(10)])


def mlp() -> nn.Sequential:
    return nn.Sequential([nn.Flatten(), nn.Dense(32), nn.ReLU(), nn.Dropout(0.2), nn.Dense(10)])


def conv() -> nn.Sequential:
    layers = [nn.Conv2d(4, 3), nn.BatchNorm2d(), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential([*layers, nn.Dense(10)])


def digits(count: int = 400) -> data.Splits:
    splits = data.load("digits", validation=20)
    return data.Splits(splits.train.subset(slice(count)), splits.validation)


def train(make: Callable[[], nn.Sequential], device: str = "cpu") -> Callable[[int, Meter], None]:
    """A function that trains for so many steps, 100 an epoch, in batches of 4 images."""

    def steps(count: int, meter: Meter) -> None:
        config = TrainConfig(epochs=-(-count // 100), batch_size=4, device=device, shift=1)
        fit(make(), digits(), config, [meter])

    return steps


def epochs(count: int, meter: Meter) -> None:
    """Epochs of one step, with a run: its metrics grow with them."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        config = TrainConfig(epochs=count, batch_size=20, device="cpu", log="csv", runs_dir=folder)
        run = Run.create(config, backend.get("cpu"))
        fit(softmax(), digits(20), config, [meter], run=run)


def predictions(count: int, meter: Meter) -> None:
    """Files of a picture that are found, read and classified."""
    with tempfile.TemporaryDirectory() as folder:
        saved = SavedModel.load(_saved(folder).path)
        np.save(f"{folder}/image.npy", digits().train.images[0, 0])
        for _ in range(count):
            for part in saved.find(f"{folder}/image.npy").parts:
                saved.classify(part.images)
            meter.tick()


def requests(count: int, meter: Meter) -> None:
    """Images that are sent to a server in this process."""
    from serving_client import served

    with tempfile.TemporaryDirectory() as folder:
        image = digits().train.images[0].tolist()
        with served(SavedModel.load(_saved(folder).path)) as client:
            for _ in range(count):
                assert client.predict(image).status == 200
                meter.tick()


def _saved(folder: str) -> Run:
    splits = digits(40)
    model = softmax()
    config = TrainConfig(epochs=1, device="cpu")
    fit(model, splits, config)
    return save_run(model, f"{folder}/run", data=splits, config=config)


def _memory() -> str | None:
    """A folder in memory, where there is one: a disk takes long to sync."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


#: Name -> what is repeated, how often, and how many of them are the first.
CASES: dict[str, tuple[Callable[[int, Meter], None], type[Meter], int, int]] = {
    "softmax": (train(softmax), Steps, 10_000, 500),
    "mlp": (train(mlp), Steps, 10_000, 500),
    "conv": (train(conv), Steps, 10_000, 500),
    "sim": (train(conv, "sim"), Steps, 1_000, 500),
    "epochs": (epochs, Epochs, 1_000, 100),
    "predictions": (predictions, Meter, 500, 100),
    "requests": (requests, Meter, 500, 100),
    "graph": (train(mlp, "cuda"), Steps, 1_000, 500),
}
OWN = ("graph",)  # not without a GPU, or the driver of tests/fakecuda


def run_case(name: str, count: int | None) -> bool:
    """Repeat, and print what has grown; returns whether that is too much."""
    repeat, meter_of, usual, first = CASES[name]
    count = count or usual
    meter = meter_of(min(first, count // 2))
    begun = time.process_time()
    repeat(count, meter)
    seconds, after = time.process_time() - begun, Usage.now()
    grown = after.memory - meter.before.memory
    files, threads = after.files - meter.before.files, after.threads - meter.before.threads
    print(
        f"{name}: after {meter.first:,} of {meter.count:,}: {meter.before.memory:.1f} MB,"
        f" then {grown:+.2f} MB, {files:+d} files, {threads:+d} threads, in {seconds:.0f} s",
        flush=True,
    )
    return grown >= MOST or files > 0 or threads > 0


def main() -> int:
    """Run the cases, and print a line for each; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--count", type=int, help="of repetitions")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in CASES]:
        parser.error(f"there is no {unknown[0]}")
    if len(given.names) == 1:
        return int(run_case(given.names[0], given.count))
    count = [] if given.count is None else ["--count", str(given.count)]
    names = given.names or [name for name in CASES if name not in OWN]
    results = [subprocess.run([sys.executable, __file__, *count, name]) for name in names]
    return max(result.returncode for result in results)


if __name__ == "__main__":
    sys.exit(main())
