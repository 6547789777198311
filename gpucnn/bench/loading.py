"""`gpucnn bench data`: from the files to a batch on the device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gpucnn import data, random
from gpucnn.bench import cases, networks, operations
from gpucnn.bench.baselines import Torch
from gpucnn.bench.record import BenchRow
from gpucnn.bench.session import Bench, Task, Work
from gpucnn.bench.stopwatch import Call

IMAGES = 60_000
BATCH_SIZE = 128


def tasks(bench: Bench) -> list[Task]:
    """Rows for reading, shuffling, gathering and augmenting."""

    def task(name: str, case: str, prepare: Callable[[Bench], Work], **fields: Any) -> Task:
        row = BenchRow("data", name, case, **fields)
        return partial(bench.guarded, row, partial(prepare, bench))

    mnist = task("read", "mnist", partial(_read, "mnist", 70_000, bench.options.data_dir))
    if missing := networks.missing_mnist(bench.options.data_dir):
        mnist = partial(BenchRow, "data", "read", "mnist", skipped=missing)
    pixels = BATCH_SIZE * 28 * 28
    return [
        mnist,
        task("read", "digits", partial(_read, "digits", 1797, None)),
        task("shuffle", f"{IMAGES:,} images", _shuffle),
        # A byte is read and a float32 is written for each pixel.
        task("gather", f"{BATCH_SIZE} of {IMAGES:,}", _gather, dtype="float32", nbytes=5 * pixels),
        task("augment", f"shift 2, rotate 10, batch {BATCH_SIZE}", _augment, dtype="float32"),
    ]


def _read(name: str, images: int, data_dir: str | None, bench: Bench) -> Work:
    return Work(lambda: data.load(name, data_dir), images=images)


def _shuffle(bench: Bench) -> Work:
    def run() -> Any:
        return bench.backend.asarray(random.permutation(IMAGES, 0, "shuffle", 1).astype(np.int32))

    def check() -> tuple[float, float]:
        """Count the places where the images are not those of the data set."""
        order = np.sort(bench.backend.to_numpy(run()))
        return float((order != np.arange(IMAGES)).sum()), 0.0

    def torch_call(torch: Torch, _: str) -> Call:
        return partial(torch.torch.randperm, IMAGES, device=torch.device)

    return Work(run, check, bench.torch_calls(torch_call, images=False), images=IMAGES)


def _gather(bench: Bench) -> Work:
    gather = cases.gather(BATCH_SIZE, IMAGES)
    return operations.work(bench, gather)._replace(images=BATCH_SIZE)


def _augment(bench: Bench) -> Work:
    augment = data.Augment(shift=2, rotate=10.0)
    x = bench.backend.asarray(bench.rng.random((BATCH_SIZE, 1, 28, 28), dtype=np.float32))
    motion = bench.backend.asarray(augment.draw(BATCH_SIZE, 0, 0))
    return Work(lambda: augment.apply(bench.backend.xp, x, motion), images=BATCH_SIZE)
