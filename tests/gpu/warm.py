"""Compiles the kernels in 16 processes, so that the parts after this one find them in the cache.

Training steps and evaluations compile what CuPy makes of array expressions, and on the CPU, which
results are compared with, what Numba compiles.
"""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import record
from kernel_variants import Variant, in_use, wide

from gpucnn import backend as backends
from gpucnn import data, models
from gpucnn.backend.cuda.sources import Kernel
from gpucnn.training import TrainConfig, Trainer

PROCESSES = 16


def main() -> None:
    args = record.options(__doc__)
    devices = dict.fromkeys(("cpu", args.device))
    names = models.NAMES[:1] if args.quick else models.NAMES
    trainings = list(itertools.product(devices, names, ("sgd", "adam")))
    variants = [*in_use(), *wide()] if args.device != "cpu" else []
    if args.quick:
        variants = variants[:2]
    start, failures = time.monotonic(), []
    with ProcessPoolExecutor(2 if args.quick else PROCESSES, get_context("spawn")) as pool:
        jobs = {pool.submit(_train, *each): " ".join(each) for each in trainings}
        jobs |= {pool.submit(_compile, args.device, each): str(each) for each in variants}
        for job, what in jobs.items():
            if (error := job.exception()) is not None:
                failures.append(f"{what}: {error}")
    seconds = round(time.monotonic() - start, 1)
    print(f"{len(variants)} kernels, {len(trainings)} trainings: {seconds} s", flush=True)
    found: dict[str, Any] = {"kernels": len(variants), "seconds": seconds, "failures": failures}
    record.save(args.out, "warm", {**record.machine(args.device), **found})
    record.finish(failures)


def _compile(device: str, variant: Variant) -> None:
    """Compile one variant and load it, as its first launch does."""
    kernel = Kernel(variant.source, variant.kernel, variant.constants, variant.text, ())
    backends.get(device).launcher._compile(kernel)


def _train(device: str, model: str, optimizer: str) -> None:
    """A few steps and an evaluation."""
    splits = data.load("digits")
    config = TrainConfig(model=model, device=device, optimizer=optimizer, epochs=1)
    trainer = Trainer(models.get(model, splits.classes), splits, config)
    for _ in range(2):
        trainer.train_step()
    trainer.read()
    trainer.evaluate(trainer.test)


if __name__ == "__main__":
    main()
