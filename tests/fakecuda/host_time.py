"""The time of the host in a training step, eager and replayed: what a GPU waits for at most.

FAKECUDA_EXECUTE=0 python tests/fakecuda/run.py tests/fakecuda/host_time.py [MODEL ...]

Batches have 64 images, the optimizer is Adam. Of each the fastest step is printed: other processes
and the start of an epoch only make one slower.
"""

from __future__ import annotations

import sys
import time

import fake_driver
import numpy as np

from gpucnn import models
from gpucnn.data import Dataset, Splits
from gpucnn.training import TrainConfig, Trainer

BATCH, BATCHES, STEPS = 64, 50, 500


def main(names: list[str]) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCHES * BATCH, 1, 28, 28)).astype(np.uint8)
    data = Splits(Dataset("noise", images, rng.integers(0, 10, len(images)).astype(np.int32), 10))
    for name in names or models.NAMES:
        found = [f"{name:8}"]
        for graph in (False, True):
            config = TrainConfig(model=name, device="cuda", batch_size=BATCH, graph=graph)
            trainer = Trainer(models.get(name, 10), data, config)
            before = fake_driver.counters()
            fastest = min(_step(trainer) for _ in range(STEPS))
            nodes = (fake_driver.counters() - before)["node"]
            found.append(f"{'replayed' if graph else 'eager'} {1e6 * fastest:7.1f} us")
            found += [f"{nodes} nodes"] * graph
        print("  ".join(found), flush=True)


def _step(trainer: Trainer) -> float:
    """Seconds of a step."""
    start = time.perf_counter()
    trainer.train_step()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv[1:])
